"""Automatic differentiation in reverse, small: write the forward pass, and the backward pass follows.

Each operation on a `Tensor` makes a new one that remembers its parents and how to send a gradient to each of them.
`backward` visits the graph from the end, every tensor after all that use it, and adds up what arrives. Linnainmaa
(1970); Griewank and Walther, Evaluating derivatives (2008).

    w = Tensor(np.ones((3, 2)), name="w")
    loss = ((Tensor(x) @ w).tanh() ** 2).mean()
    loss.backward()
    w.gradient
"""

import numpy as np

from kzoo.scratch.activations import sigmoid

__all__ = ["Tensor", "concatenate", "graph", "where"]


class Tensor:
    """A NumPy array that remembers how it was made.

    Args:
        value: an array or a number.
        name: what a drawing of the graph calls it.

    Attributes:
        value: the array, float64 unless it came in another floating-point precision.
        gradient: after `backward`, of the value it was called on with respect to this one.
        parents: the tensors it was made of.
        operation: what made it; empty for one that was given.
    """

    __array_ufunc__ = None  # `array + tensor` shall be ours, not NumPy's element by element

    def __init__(self, value, name=""):
        value = np.asarray(value)
        self.value = value if value.dtype.kind == "f" else value.astype("float64")
        self.gradient, self.name, self.operation = None, name, ""
        self.parents, self._backward = (), ()

    @property
    def shape(self):
        """The array's shape."""
        return self.value.shape

    def __repr__(self):
        return f"Tensor({self.value!r}, {self.name or self.operation or 'given'})"

    def backward(self, gradient=None):
        """Sets `gradient` of every tensor that this one was made of.

        Args:
            gradient: what arrives here; 1 for a single number, which is all that needs none.
        """
        if gradient is None and self.value.size != 1:
            raise ValueError(
                f"only a single number has a gradient without being given one. Received: shape {self.shape}"
            )
        order = _ordered(self)
        for tensor in order:
            tensor.gradient = np.zeros_like(tensor.value)
        self.gradient = (
            np.ones_like(self.value) if gradient is None else np.asarray(gradient, self.value.dtype)
        )
        for tensor in reversed(order):
            for parent, send in zip(tensor.parents, tensor._backward):
                parent.gradient = parent.gradient + _summed_to(send(tensor.gradient), parent.shape)

    # ---------------------------------------------------------------- arithmetic

    def __add__(self, other):
        return _made("add", lambda a, b: a + b, (self, other), lambda d: d, lambda d: d)

    def __mul__(self, other):
        a, b = self.value, _value(other)
        return _made("multiply", lambda a, b: a * b, (self, other), lambda d: d * b, lambda d: d * a)

    def __truediv__(self, other):
        a, b = self.value, _value(other)
        return _made("divide", lambda a, b: a / b, (self, other), lambda d: d / b, lambda d: -d * a / (b * b))

    def __pow__(self, exponent):
        x = self.value
        return _made(
            f"power {exponent:g}",
            lambda x: x**exponent,
            (self,),
            lambda d: d * exponent * x ** (exponent - 1),
        )

    def __matmul__(self, other):
        a, b = self.value, _value(other)
        if min(a.ndim, b.ndim) < 2:
            raise ValueError(f"a matrix product needs matrices. Received: shapes {a.shape} and {b.shape}")
        return _made(
            "matmul",
            lambda a, b: a @ b,
            (self, other),
            lambda d: d @ b.swapaxes(-1, -2),
            lambda d: a.swapaxes(-1, -2) @ d,
        )

    def __neg__(self):
        return _made("negate", np.negative, (self,), np.negative)

    def __sub__(self, other):
        return _made("subtract", lambda a, b: a - b, (self, other), lambda d: d, np.negative)

    def __rsub__(self, other):
        return Tensor(other) - self

    def __rtruediv__(self, other):
        return Tensor(other) / self

    def __rmatmul__(self, other):
        return Tensor(other) @ self

    __radd__, __rmul__ = __add__, __mul__

    # ---------------------------------------------------------------- functions of each element

    def exp(self):
        y = np.exp(self.value)
        return _made("exp", lambda x: y, (self,), lambda d: d * y)

    def log(self):
        x = self.value
        return _made("log", np.log, (self,), lambda d: d / x)

    def tanh(self):
        y = np.tanh(self.value)
        return _made("tanh", lambda x: y, (self,), lambda d: d * (1 - y * y))

    def sigmoid(self):
        y = sigmoid(self.value)
        return _made("sigmoid", lambda x: y, (self,), lambda d: d * y * (1 - y))

    def relu(self):
        above = self.value > 0
        return _made("relu", lambda x: x * above, (self,), lambda d: d * above)

    # ---------------------------------------------------------------- over axes

    def sum(self, axis=None, keepdims=False):
        shape = self.shape

        def spread(d):
            return np.broadcast_to(d if axis is None or keepdims else np.expand_dims(d, axis), shape)

        return _made("sum", lambda x: x.sum(axis, keepdims=keepdims), (self,), spread)

    def mean(self, axis=None, keepdims=False):
        total = self.sum(axis, keepdims)
        return total * (total.value.size / self.value.size)

    def max(self, axis=None, keepdims=False):
        """The largest; of several, each gets an equal part of the gradient."""
        x = self.value
        top = x.max(axis, keepdims=True)
        share = (x == top) / (x == top).sum(axis, keepdims=True)

        def spread(d):
            return share * (d if axis is None or keepdims else np.expand_dims(d, axis))

        return _made("max", lambda x: x.max(axis, keepdims=keepdims), (self,), spread)

    def logsumexp(self, axis=-1, keepdims=False):
        """`log(sum(exp(x)))`, which neither overflows nor becomes the logarithm of 0."""
        x = self.value
        top = x.max(axis, keepdims=True)
        total = np.exp(x - top).sum(axis, keepdims=True)
        full = top + np.log(total)

        def spread(d):
            return (d if keepdims else np.expand_dims(d, axis)) * np.exp(x - full)

        return _made("logsumexp", lambda x: full if keepdims else full.squeeze(axis), (self,), spread)

    # ---------------------------------------------------------------- shapes

    def reshape(self, *shape):
        old = self.shape
        return _made("reshape", lambda x: x.reshape(*shape), (self,), lambda d: d.reshape(old))

    def transpose(self, *axes):
        axes = axes or tuple(reversed(range(self.value.ndim)))
        return _made(
            "transpose", lambda x: x.transpose(axes), (self,), lambda d: d.transpose(np.argsort(axes))
        )

    def __getitem__(self, index):
        shape = self.shape

        def put_back(d):
            full = np.zeros(shape, d.dtype)
            np.add.at(full, index, d)  # an index may occur twice
            return full

        return _made("index", lambda x: x[index], (self,), put_back)


def concatenate(tensors, axis=0):
    """Tensors joined along an axis."""
    ends = np.cumsum([t.shape[axis] for t in tensors])[:-1]
    sends = [lambda d, i=i: np.split(d, ends, axis)[i] for i in range(len(tensors))]
    return _made("concatenate", lambda *values: np.concatenate(values, axis), tuple(tensors), *sends)


def where(condition, x, y):
    """`x` where an array of truth values holds and `y` elsewhere."""
    return _made(
        "where",
        lambda x, y: np.where(condition, x, y),
        (x, y),
        lambda d: np.where(condition, d, 0),
        lambda d: np.where(condition, 0, d),
    )


def graph(tensor):
    """The graph that ends in a tensor, for `kzoo.plots.computation`.

    Returns:
        The nodes, parents first, each with `label`, `shape` and `kind` (`"given"`, `"operation"`), and the edges as
        pairs of indices.
    """
    order = _ordered(tensor)
    places = {id(t): i for i, t in enumerate(order)}
    nodes = [
        {
            "label": t.name or t.operation or "constant",
            "shape": t.shape,
            "kind": "operation" if t.operation else "given",
        }
        for t in order
    ]
    return nodes, [(places[id(parent)], places[id(t)]) for t in order for parent in t.parents]


def _made(operation, compute, parents, *sends):
    """The result of an operation, with one function per parent that sends the gradient back."""
    parents = tuple(p if isinstance(p, Tensor) else Tensor(p) for p in parents)
    made = Tensor(compute(*(p.value for p in parents)))
    made.operation, made.parents, made._backward = operation, parents, sends
    return made


def _value(x):
    return x.value if isinstance(x, Tensor) else np.asarray(x)


def _ordered(tensor):
    """All that a tensor was made of and itself, parents first. Without recursion: graphs are deep."""
    order, seen, stack = [], set(), [(tensor, False)]
    while stack:
        t, done = stack.pop()
        if done:
            order.append(t)
        elif id(t) not in seen:
            seen.add(id(t))
            stack.append((t, True))
            stack.extend((parent, False) for parent in t.parents)
    return order


def _summed_to(gradient, shape):
    """The transpose of broadcasting: sums over the axes that were stretched."""
    extra = gradient.ndim - len(shape)
    gradient = gradient.sum(tuple(range(extra))) if extra else gradient
    stretched = tuple(i for i, n in enumerate(shape) if n == 1 and gradient.shape[i] != 1)
    return gradient.sum(stretched, keepdims=True) if stretched else gradient
