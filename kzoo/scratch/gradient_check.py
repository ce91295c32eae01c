"""Gradients checked by finite differences."""

import copy

import numpy as np

from kzoo.scratch.layer import Layer


def check_gradients(subject, x, *, training=True, step=1e-5, seed=0):
    """The largest relative error of a gradient by hand against central differences, `(f(x + e) - f(x - e)) / 2e`.

    The error is measured against the largest entry of each array's gradient, or a hundredth of the largest of all
    where that is more. In float64 right gradients of smooth functions stay below 1e-8.

    Args:
        subject: a layer, whose outputs are weighted by random numbers and added up, so that each of its gradients is
            checked; or a function of an array that gives a number and its gradient.
        x: the input, or a tuple of inputs. Floating-point ones are checked, integers are left as they are.
        training: handed to the layer. Its random draws and statistics are those of the first pass in all passes.
        step: `e`.
        seed: decides the random weights.

    Returns:
        The error, over inputs and parameters.
    """
    inputs = list(x) if isinstance(x, tuple) else [x]
    inputs = [np.array(a, "float64" if np.asarray(a).dtype.kind == "f" else None, order="C") for a in inputs]
    arrays, analytic = {}, {}
    if isinstance(subject, Layer):
        layer = copy.deepcopy(subject).astype("float64")

        def output():
            # A copy, so that a second pass draws the same mask and moves no average.
            passing = copy.deepcopy(layer)
            return passing, passing.forward(
                tuple(inputs) if isinstance(x, tuple) else inputs[0], training=training
            )

        passed, y = output()
        weights = np.random.default_rng(seed).normal(size=y.shape)
        dx = passed.backward(weights)
        analytic |= passed.gradients
        arrays |= {name: layer.parameters[name] for name in passed.gradients}

        def value():
            return np.sum(weights * output()[1])

        missing = set(layer.parameters) - set(arrays)
        if missing:
            raise ValueError(f"backward left no gradient for some parameters. Received: {sorted(missing)}")
    else:

        def value():
            return subject(*inputs)[0]

        dx = subject(*inputs)[1]
    dx = dx if isinstance(dx, tuple) else (dx,)
    for i, (a, da) in enumerate(zip(inputs, dx)):
        if a.dtype.kind == "f":
            arrays[f"input {i}"], analytic[f"input {i}"] = a, da
    numeric = {name: _central_differences(value, array, step) for name, array in arrays.items()}
    for name, array in arrays.items():
        if np.shape(analytic[name]) != array.shape:
            raise ValueError(
                f"a gradient has the shape of its array, {array.shape}. Received: {name} of "
                f"{np.shape(analytic[name])}"
            )
    sizes = {name: max(np.abs(a).max(initial=0) for a in (analytic[name], numeric[name])) for name in arrays}
    # Some gradients are zero by nature, as that of a bias before normalisation: only rounding is left of them.
    least = max(0.01 * max(sizes.values()), 1e-12)
    return float(max(np.abs(numeric[n] - analytic[n]).max(initial=0) / max(sizes[n], least) for n in arrays))


def _central_differences(value, array, step):
    numeric, flat = np.empty(array.shape), array.reshape(-1)  # a view: what is written reaches the layer
    for i, kept in enumerate(flat.copy()):
        flat[i] = kept + step
        above = value()
        flat[i] = kept - step
        numeric.flat[i] = (above - value()) / (2 * step)
        flat[i] = kept
    return numeric
