"""The protocol of all layers by hand, and the layers that have nothing to learn.

A layer keeps in `forward` what `backward` needs. Calling the gradient of the loss with respect to an array `a` of the
same shape `da`, `backward(dy)` leaves the gradients of the layer's parameters in `gradients` and returns `dx`: the
chain rule, one layer at a time (Rumelhart, Hinton and Williams, 1986, doi:10.1038/323533a0).
"""

import numpy as np


class Layer:
    """What every layer has: parameters, their gradients, a forward and a backward pass.

    Attributes:
        parameters: name to array, in the order of the Keras layer's weights. Optimizers change them in place.
        gradients: name to array of the same shape, of the last backward pass.
        statistics: name to array of what is measured and not learned (moving averages).
    """

    def __init__(self):
        self.parameters, self.gradients, self.statistics = {}, {}, {}
        self._kept = None

    def forward(self, x, training=False):
        """The layer's output."""
        raise NotImplementedError(f"a layer defines forward. Received: layer={type(self).__name__}")

    def backward(self, dy):
        """Leaves the parameters' gradients in `gradients` and returns the gradient to the input."""
        raise NotImplementedError(f"a layer defines backward. Received: layer={type(self).__name__}")

    @property
    def weights(self):
        """Parameters and then statistics, as `keras.layers.Layer.get_weights` orders them."""
        return [*self.parameters.values(), *self.statistics.values()]

    def set_weights(self, weights):
        """Copies arrays, in the order of `weights`, into the layer; so those of a Keras layer.

        Raises:
            ValueError: if their number or a shape differs.
        """
        mine, given = self.weights, [np.asarray(w) for w in weights]
        if [w.shape for w in mine] != [w.shape for w in given]:
            raise ValueError(
                f"the weights must have the shapes {[w.shape for w in mine]}. "
                f"Received: weights of {[w.shape for w in given]}"
            )
        for old, new in zip(mine, given):
            old[...] = new

    def astype(self, dtype):
        """Changes the precision of parameters and statistics, and returns the layer.

        They are made in float64, where finite differences can tell a wrong formula from rounding; training is twice
        as quick in float32.
        """
        for arrays in (self.parameters, self.statistics):
            for name in arrays:
                arrays[name] = arrays[name].astype(dtype, order="C")
        return self

    def _recall(self):
        if self._kept is None:
            raise RuntimeError(f"backward follows a forward pass. Received: layer={type(self).__name__}")
        return self._kept


def check_axis(layer, x, size, axis=-1):
    """Raises a `ValueError` if an input's axis is not as long as the layer's weights want it."""
    if np.ndim(x) < 2 or np.shape(x)[axis] != size:
        raise ValueError(
            f"the input of {type(layer).__name__} must have {size} along axis {axis}. "
            f"Received: x of shape {np.shape(x)}"
        )


class Flatten(Layer):
    """Gives each example as one row: `(b, ...)` to `(b, n)`."""

    def forward(self, x, training=False):
        self._kept = x.shape
        return x.reshape(len(x), -1)

    def backward(self, dy):
        return dy.reshape(self._recall())


class Dropout(Layer):
    """Sets a share of the inputs to zero in training and scales the others up, so that their mean stays.

    Srivastava et al. (2014), Journal of Machine Learning Research 15; scaled in training ("inverted"), as in Keras.

    Args:
        rate: the share, from 0 up to but not 1.
        seed: a seed or a NumPy generator.
    """

    def __init__(self, rate, seed=None):
        super().__init__()
        if not 0 <= rate < 1:
            raise ValueError(f"the rate must be at least 0 and below 1. Received: rate={rate}")
        self.rate, self.generator = rate, np.random.default_rng(seed)

    def forward(self, x, training=False):
        if not training or self.rate == 0:
            self._kept = np.ones((), x.dtype)
            return x
        drawn = self.generator.random(x.shape, "float32" if x.dtype == np.float32 else "float64")
        self._kept = (drawn >= self.rate) / np.asarray(1 - self.rate, x.dtype)
        return x * self._kept

    def backward(self, dy):
        return dy * self._recall()
