"""Spectral normalisation: a kernel divided by its largest singular value, which keeps a layer 1-Lipschitz."""

import keras
from keras import ops

from kzoo.layers.arguments import check_whole
from kzoo.layers.kernels import KernelWrapper, output_axes


@keras.saving.register_keras_serializable("kzoo")
class SpectralNormalization(KernelWrapper):
    """Runs a layer with the kernel `W / σ(W)`, where σ is estimated by power iteration and differentiated.

    Miyato et al. (2018), Spectral Normalization for Generative Adversarial Networks, arXiv:1802.05957, algorithm 1. In
    training `v ← Wᵀu / ‖Wᵀu‖`, `u ← W v / ‖W v‖` once for each call, and `σ = uᵀ W v` with constant u and v.
    `keras.layers.SpectralNormalization` overwrites the kernel with its quotient instead, for which PyTorch refuses to
    differentiate a critic that judges real and generated images in turn, and leaves σ out of its gradient (eq. 12).

    Args:
        layer: a layer with a kernel.
        weight: the name of the variable to normalise, `"embeddings"` of an `Embedding`.
        power_iterations: for each call in training.
    """

    def __init__(self, layer, weight="kernel", power_iterations=1, **kwargs):
        super().__init__(layer, weight, **kwargs)
        check_whole(power_iterations=power_iterations)
        self.power_iterations = power_iterations

    def build(self, input_shape):
        super().build(input_shape)
        rank = len(self.kernel.shape)
        kept = output_axes(self.layer, rank)
        self._order = [axis for axis in range(rank) if axis not in kept] + list(kept)
        outputs = 1
        for axis in kept:
            outputs *= self.kernel.shape[axis]
        self.vector = self.add_weight(
            (outputs,), "random_normal", trainable=False, autocast=False, name="vector"
        )

    def _rows(self, kernel):
        """The kernel as a matrix, `(inputs, outputs)`."""
        return ops.reshape(ops.transpose(kernel, self._order), (-1, self.vector.shape[0]))

    def call(self, inputs, training=None, mask=None):
        kernel = self.kernel_value
        rows = self._rows(kernel)
        known, u = ops.stop_gradient(rows), ops.cast(self.vector.value, rows.dtype)
        v = _unit(ops.matmul(known, u))
        if training:
            for i in range(self.power_iterations):
                v = v if i == 0 else _unit(ops.matmul(known, u))
                u = _unit(ops.matmul(v, known))
            self.vector.assign(ops.cast(u, self.vector.dtype))
        else:
            u = _unit(u)
        sigma = ops.sum(ops.matmul(v, rows) * u)
        return self.run(kernel / ops.maximum(sigma, 1e-12), inputs, training=training, mask=mask)

    def get_config(self):
        return super().get_config() | {"power_iterations": self.power_iterations}


def _unit(vector):
    return vector / (ops.norm(vector) + 1e-12)
