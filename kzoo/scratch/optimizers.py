"""Optimizers: each changes arrays in place, given their gradients. Names, defaults and conventions are Keras's.

In the formulas `g` is the gradient, `w` the weights, `r` the learning rate, `t` the step from 1.
"""

import math

import numpy as np

__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "Optimizer", "RMSprop"]


class Optimizer:
    """What all share: a learning rate that may be set between steps, and slots for each array.

    Args:
        learning_rate: the size of the steps.
    """

    def __init__(self, learning_rate):
        if not learning_rate > 0:
            raise ValueError(f"learning_rate must be above 0. Received: learning_rate={learning_rate}")
        self.learning_rate, self.iterations, self._slots = learning_rate, 0, None

    def step(self, parameters, gradients):
        """Changes parameters in place.

        Args:
            parameters: name to array, the same names at every step.
            gradients: name to array of the same shape.
        """
        if set(parameters) != set(gradients):
            odd = sorted(set(parameters) ^ set(gradients))
            raise ValueError(
                f"parameters and gradients must have the same names. Received: {odd} in one only"
            )
        if self._slots is None:
            self._slots = {name: self.slots(w) for name, w in parameters.items()}
        self.iterations += 1
        for name, w in parameters.items():
            self.update(w, gradients[name], *self._slots[name])

    def slots(self, w):
        """The arrays kept for a parameter."""
        return ()

    def update(self, w, g, *slots):
        """Changes one parameter and its slots in place."""
        raise NotImplementedError(f"an optimizer defines update. Received: {type(self).__name__}")


class SGD(Optimizer):
    """Steepest descent, with momentum `m`: `v = m v - r g`, `w += v`; Nesterov: `w += m v - r g`.

    Polyak (1964); Nesterov (1983) in the form of Sutskever et al. (2013).

    Args:
        learning_rate: `r`.
        momentum: `m`, how much of the last step is kept.
        nesterov: whether the gradient is taken to be that after the step.
    """

    def __init__(self, learning_rate=0.01, momentum=0.0, nesterov=False):
        super().__init__(learning_rate)
        self.momentum, self.nesterov = momentum, nesterov

    def slots(self, w):
        return (np.zeros_like(w),) if self.momentum else ()

    def update(self, w, g, v=None):
        if v is None:
            w -= self.learning_rate * g
            return
        v *= self.momentum
        v -= self.learning_rate * g
        w += self.momentum * v - self.learning_rate * g if self.nesterov else v


class Adagrad(Optimizer):
    """Steps divided by the root of all squared gradients so far: `a += g^2`, `w -= r g / sqrt(a + epsilon)`.

    Duchi et al. (2011), Journal of Machine Learning Research 12.
    """

    def __init__(self, learning_rate=0.001, initial_accumulator_value=0.1, epsilon=1e-7):
        super().__init__(learning_rate)
        self.initial_accumulator_value, self.epsilon = initial_accumulator_value, epsilon

    def slots(self, w):
        return (np.full_like(w, self.initial_accumulator_value),)

    def update(self, w, g, a):
        a += g * g
        w -= self.learning_rate * g / np.sqrt(a + self.epsilon)


class RMSprop(Optimizer):
    """Steps divided by a moving root mean square: `a = p a + (1 - p) g^2`, `w -= r g / sqrt(a + epsilon)`.

    Tieleman and Hinton (2012), Coursera lecture 6e. With momentum: `v = m v + r g / sqrt(a + epsilon)`, `w -= v`.

    Args:
        learning_rate: `r`.
        rho: `p`, how much of the mean square each step keeps.
        momentum: `m`.
        epsilon: added to the mean square.
    """

    def __init__(self, learning_rate=0.001, rho=0.9, momentum=0.0, epsilon=1e-7):
        super().__init__(learning_rate)
        self.rho, self.momentum, self.epsilon = rho, momentum, epsilon

    def slots(self, w):
        return np.zeros_like(w), np.zeros_like(w)

    def update(self, w, g, a, v):
        a *= self.rho
        a += (1 - self.rho) * g * g
        v *= self.momentum
        v += self.learning_rate * g / np.sqrt(a + self.epsilon)
        w -= v


class Adam(Optimizer):
    """Momentum over a moving root mean square, both freed of their start at zero: Kingma and Ba, arXiv:1412.6980.

    `m = p m + (1 - p) g`, `a = q a + (1 - q) g^2`, and `w -= r' m / (sqrt(a) + epsilon)` with
    `r' = r sqrt(1 - q^t) / (1 - p^t)`: the paper's "epsilon hat", as in Keras.

    Args:
        learning_rate: `r`.
        beta_1, beta_2: `p` and `q`, how much each step keeps.
        epsilon: added to the root.
    """

    def __init__(self, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
        super().__init__(learning_rate)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def slots(self, w):
        return np.zeros_like(w), np.zeros_like(w)

    def update(self, w, g, m, a):
        p, q, t = self.beta_1, self.beta_2, self.iterations
        m *= p
        m += (1 - p) * g
        a *= q
        a += (1 - q) * g * g
        w -= (self.learning_rate * math.sqrt(1 - q**t) / (1 - p**t)) * m / (np.sqrt(a) + self.epsilon)


class AdamW(Adam):
    """Adam that also shrinks the weights by `r weight_decay w` at each step: Loshchilov and Hutter, arXiv:1711.05101.

    Args:
        learning_rate, beta_1, beta_2, epsilon: as for Adam.
        weight_decay: how much, apart from the gradient and so not divided by its size.
    """

    def __init__(self, learning_rate=0.001, weight_decay=0.004, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
        super().__init__(learning_rate, beta_1, beta_2, epsilon)
        self.weight_decay = weight_decay

    def update(self, w, g, m, a):
        w -= self.learning_rate * self.weight_decay * w
        super().update(w, g, m, a)
