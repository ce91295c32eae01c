"""Layers for the parity gate: `"Name"` or `"Name, what is special"` to a function that makes `(layer, inputs)`.

Inputs are NumPy arrays in any nested structure: they are the layer's only positional argument. A third value, a dict,
goes to `check_layer`: `training=False` for a layer that draws at random in training, `kwargs` for its call.
"""

LAYERS = {}
