"""A student learns a teacher's softened answers (Hinton, Vinyals and Dean 2015, arXiv:1503.02531)."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("kzoo")
class Distillation(keras.losses.Loss):
    """`T² KL(softmax(teacher / T) ‖ softmax(student / T))`, whose gradients keep their size whatever `T` is.

    `y_true` and `y_pred` `(…, classes)` are the teacher's and the student's logits; values have the shape without the
    last axis. The teacher gets no gradient. It works on log-probabilities:
    `keras.distillation.LogitsDistillation`, which goes with Keras's `Distiller`, clips probabilities at 1e-7 and loses
    the gradient there.

    Args:
        temperature: `T`.

    Raises:
        ValueError: for a temperature that is not positive.
    """

    def __init__(self, temperature=4.0, reduction="sum_over_batch_size", name="distillation", dtype=None):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        if temperature <= 0:
            raise ValueError(f"the temperature must be positive. Received: temperature={temperature}")
        self.temperature = temperature

    def call(self, y_true, y_pred):
        teacher = ops.log_softmax(ops.stop_gradient(y_true) / self.temperature, axis=-1)
        student = ops.log_softmax(y_pred / self.temperature, axis=-1)
        return self.temperature**2 * ops.sum(ops.exp(teacher) * (teacher - student), axis=-1)

    def get_config(self):
        return super().get_config() | {"temperature": self.temperature}
