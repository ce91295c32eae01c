"""Attention whose cache is an input and an output, so that a functional model can be made of a decoding step.

Shapes: b batch, t queries, s places of the cache, d dim, m heads of keys and values, h a head's length.
"""

import keras
from keras import ops

from kzoo.layers.attention import MultiHeadAttention


@keras.saving.register_keras_serializable("kzoo")
class CachedAttention(keras.layers.Wrapper):
    """Goes on with a `MultiHeadAttention`: `(b, t, d)` and its cache to `(b, t, d)` and the cache after these.

    `MultiHeadAttention` does all of it in a call; in a functional model a layer that is called again has to give as
    much as at first.

    Args:
        layer: a causal `MultiHeadAttention`. Its weights are shared.
    """

    def __init__(self, layer, **kwargs):
        if not (isinstance(layer, MultiHeadAttention) and layer.causal):
            raise ValueError(f"CachedAttention takes a causal MultiHeadAttention. Received: layer={layer!r}")
        kwargs.setdefault("dtype", layer.dtype_policy.name)  # the object itself would be saved as shared
        super().__init__(layer, **kwargs)

    def build(self, inputs_shape, keys_shape=None, values_shape=None, index_shape=None):
        super().build(inputs_shape)

    def call(self, inputs, keys, values, index):
        """Attends.

        Args:
            inputs: `(b, t, d)`.
            keys: those so far, `(b, s, m, h)`.
            values: theirs, of the same shape.
            index: `(b,)`, the place of the first query in the cache: that of the first row counts for all. One that
                is too large for the cache counts as the last that is not.

        Returns:
            The output, keys and values.
        """
        # Past the end engines would write elsewhere, each in its own way.
        index = ops.minimum(index[0], ops.shape(keys)[1] - ops.shape(inputs)[1])
        output, (keys, values) = self.layer(inputs, cache=(keys, values), cache_index=index)
        return output, keys, values

    def compute_output_shape(self, inputs_shape, keys_shape, values_shape, index_shape):
        return inputs_shape, keys_shape, values_shape

    def multiply_adds(self, inputs_shape):
        """As many as if all queries came at once."""
        return self.layer.multiply_adds(inputs_shape)
