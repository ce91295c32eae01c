"""A learned number added to each feature, where a linear map has none of its own."""

import keras


@keras.saving.register_keras_serializable("kzoo")
class Bias(keras.Layer):
    """Adds a learned number to each feature: `(b, ..., d)` to the same shape. It starts at zero.

    For logits that are products with a table of embeddings, as those of BERT's masked language model.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def build(self, input_shape):
        if len(input_shape) < 2 or input_shape[-1] is None:
            raise ValueError(
                f"Bias needs a known number of features. Received: input_shape={tuple(input_shape)}"
            )
        self.bias = self.add_weight((input_shape[-1],), "zeros", name="bias")
        self.built = True

    def call(self, inputs):
        return inputs + keras.ops.cast(self.bias, inputs.dtype)

    def multiply_adds(self, input_shape):
        return 0  # one addition per value

    def compute_output_shape(self, input_shape):
        return input_shape
