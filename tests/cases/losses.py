"""Losses for the parity gate: `"Name"` or `"Name, what is special"` to what makes `(loss, y_true, y_pred)`."""

LOSSES = {}
