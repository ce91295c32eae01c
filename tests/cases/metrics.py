"""Metrics for the parity gate: `"Name"` or `"Name, what is special"` to a function that makes `(metric, batches)`.

`batches` is a list of the positional arguments of `update_state`, as NumPy arrays.
"""

METRICS = {}
