"""Features of a class near its centre: a loss with state, as a layer (Wen, Zhang, Li and Qiao 2016, ECCV)."""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("kzoo")
class CenterLoss(layers.Layer):
    """Adds `weight · ½ mean ‖x - c_y‖²`, the distance of features to their class's centre, and passes `x` on.

    Call it on `(features, labels)`, `(b, d)` and `(b,)`; it returns the features. In training the centres move by the
    paper's own rule and not by gradient: `c_j -= rate · Σ_{y=j} (c_j - x) / (1 + n_j)` with `n_j` the batch's examples
    of class `j`, from the centres that the loss was computed with. The centres are weights of the layer: they are
    saved, and the optimizer does not see them. Use it beside the classifier's own loss. Wen et al. (2016), "A
    Discriminative Feature Learning Approach for Deep Face Recognition", equations 2 to 4.

    Args:
        num_classes: how many centres.
        weight: `λ`; the paper has 0.003.
        rate: `α`, by which centres move; the paper has 0.5.

    Raises:
        ValueError: when built, if features are not `(b, d)`.
    """

    def __init__(self, num_classes, weight=0.003, rate=0.5, **kwargs):
        super().__init__(**kwargs)
        if num_classes < 1:
            raise ValueError(f"there must be a class. Received: num_classes={num_classes}")
        if not 0 <= rate <= 1:
            raise ValueError(f"the rate is a share between 0 and 1. Received: rate={rate}")
        self.num_classes = num_classes
        self.weight = weight
        self.rate = rate

    def build(self, input_shape):
        features = input_shape[0]
        if len(features) != 2 or features[-1] is None:
            raise ValueError(f"CenterLoss needs features of (b, d): pool them. Received: shape={features}")
        self.centers = self.add_weight(
            shape=(self.num_classes, features[-1]),
            initializer="zeros",
            trainable=False,
            dtype=self.variable_dtype,
            autocast=False,  # half precision would not hold small moves
            name="centers",
        )

    def call(self, inputs, training=None):
        features, labels = inputs
        x = ops.cast(features, self.variable_dtype)
        labels = ops.reshape(ops.cast(labels, "int32"), (-1,))
        centers = ops.stop_gradient(ops.convert_to_tensor(self.centers))
        apart = x - ops.take(centers, labels, axis=0)  # (b, d)
        self.add_loss(self.weight * 0.5 * ops.mean(ops.sum(ops.square(apart), axis=-1)))
        if training:
            belongs = ops.one_hot(labels, self.num_classes, dtype=self.variable_dtype)  # (b, classes)
            pull = ops.matmul(ops.transpose(belongs), ops.stop_gradient(apart))
            counts = ops.sum(belongs, axis=0)[:, None]
            self.centers.assign(centers + self.rate * pull / (1.0 + counts))
        return features

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def get_config(self):
        own = {name: getattr(self, name) for name in ("num_classes", "weight", "rate")}
        return super().get_config() | own
