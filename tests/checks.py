"""The parity gate: every case's arrays, made on one engine; `test_parity.py` compares the engines.

`python tests/checks.py OUT.npz FLOAT` runs all cases on the engine of `KERAS_BACKEND` in that precision. Weights and
data are drawn by NumPy, so that nothing needs to be carried over; random layers are off.
"""

import sys

import keras
import numpy as np
from keras import ops
from keras.src.backend.common import dtypes

import kzoo

# ---------------------------------------------------------------- cases: public name → a function that makes the thing


def _image_model(name, **arguments):
    return lambda: kzoo.create_model(name, image_shape=(8, 8, 3), num_classes=4, dropout=0.0, **arguments)


MODELS = {name: _image_model(name) for name in kzoo.list_models()}
# keras.layers.BatchNormalization alone agrees between engines to 1e-7 only in float64, so that what stands around it
# is checked to the full tolerance without it.
WITHOUT_NORM = {
    f"{name} without norm": _image_model(name, norm=None) for name in kzoo.list_models(family="cnn")
}
BATCH_NORM = tuple(f"models.{name}/" for name in kzoo.list_models(family="cnn"))
LAYERS = {}
LOSSES = {}
METRICS = {}
OPTIMIZERS = {
    "NamedOptimizers": lambda: kzoo.optimizers.NamedOptimizers(
        {"first": keras.optimizers.Adam(0.1, clipnorm=1.0), "second": keras.optimizers.SGD(0.1, momentum=0.9)}
    ),
}
ROOMS = {"models": MODELS, "layers": LAYERS, "losses": LOSSES, "metrics": METRICS, "optimizers": OPTIMIZERS}


def uncovered(rooms=None):
    """Public names of the rooms that have no case, as `room.name`."""
    missing = [f"models.{name}" for name in kzoo.list_models() if name not in MODELS]
    for room, cases in (rooms or ROOMS).items():
        if room == "models":
            continue
        try:
            module = __import__(f"kzoo.{room}", fromlist=["*"]) if isinstance(room, str) else room
        except ImportError:
            continue  # the room has not been built yet
        missing += [f"{room}.{name}" for name in getattr(module, "__all__", ()) if name not in cases]
    return missing


# ---------------------------------------------------------------- what is computed of each


def draw(shape, seed, scale=1.0, dtype=None):
    return (np.random.default_rng(seed).normal(size=shape) * scale).astype(dtype or keras.config.floatx())


def set_weights(layer):
    for i, variable in enumerate(layer.weights):
        if variable.path.endswith("moving_variance"):
            value = 1.0 + np.abs(draw(variable.shape, i))
        else:
            value = draw(variable.shape, i, 1.0 / np.sqrt(max(1, np.prod(variable.shape[:-1]))))
        variable.assign(value)


def check_model(make, seed=0):
    """Forward in both modes, gradients, and the weights and losses of three SGD steps."""
    model = make()
    set_weights(model)
    shapes = [(6, *tensor.shape[1:]) for tensor in model.inputs]
    inputs = [ops.convert_to_tensor(draw(shape, seed + 1 + i)) for i, shape in enumerate(shapes)]
    target = ops.convert_to_tensor(draw((6, *model.outputs[0].shape[1:]), seed + 9))

    def loss():
        return ops.mean(ops.square(ops.subtract(model(inputs, training=True), target)))

    arrays = {"forward": ops.convert_to_numpy(model(inputs, training=False))}
    variables = model.trainable_variables
    optimizer = keras.optimizers.SGD(0.05)
    optimizer.build(variables)
    for step in range(3):
        value, gradients = kzoo.value_and_grad(loss, variables)()
        if step == 0:
            arrays |= {f"gradient.{i}": ops.convert_to_numpy(g) for i, g in enumerate(gradients)}
        arrays[f"loss.{step}"] = ops.convert_to_numpy(value)
        optimizer.apply(gradients, variables)
    return arrays | {f"step.{i}": np.asarray(v.numpy()) for i, v in enumerate(model.weights)}


def check_optimizer(make):
    """Three steps on given gradients."""
    named = make()
    arrays = {}
    for i, name in enumerate(named):
        variable = keras.Variable(draw((5, 3), i), name=f"v{i}")
        named.build_part(name, [variable])
        for step in range(3):
            named[name].apply([ops.convert_to_tensor(draw((5, 3), 10 * i + step))], [variable])
            arrays[f"step.{name}.{step}"] = np.asarray(variable.numpy())
    return arrays


def check_autodiff():
    """Gradients of gradients and of the log-sum-exp of a matrix product."""
    w, x = ops.convert_to_tensor(draw((4, 4), 1)), ops.convert_to_tensor(draw((3, 4), 2))

    def energy(w):
        return ops.sum(ops.logsumexp(ops.tanh(ops.matmul(x, w)), axis=-1))

    first = kzoo.grad(energy)
    second = kzoo.grad(lambda w: ops.sum(first(w) ** 2))
    third = kzoo.grad(lambda w: ops.sum(second(w) ** 2))
    return {f"gradient.{i}": ops.convert_to_numpy(g(w)) for i, g in enumerate((first, second, third))}


def check_learner():
    """Gradient penalty plus a sharpness-aware step, two Adams, five epochs through `fit`: the loss curves."""
    from learners import SharpGAN

    learner = SharpGAN()
    for i, net in enumerate((learner.critic, learner.generator)):
        for j, variable in enumerate(net.trainable_variables):
            variable.assign(draw(variable.shape, 10 * i + j, 0.5))
    learner.compile(
        optimizers={
            "critic": keras.optimizers.Adam(2e-3),
            "generator": keras.optimizers.Adam(1e-3, beta_1=0.5),
        }
    )
    logs = learner.fit(
        draw((96, 4), 1), draw((96, 4), 2), batch_size=32, epochs=5, shuffle=False, verbose=0
    ).history
    return {f"loss.{name}": np.asarray(values) for name, values in logs.items()}


def run(path, floatx):
    """All cases in one precision; arrays are named `case/array`."""
    # Keras computes products of float64 in float32 on PyTorch and JAX; a wrong formula could hide behind that.
    dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"
    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy(floatx)
    arrays = {}
    checks = {f"models.{name}": lambda make=make: check_model(make) for name, make in MODELS.items()}
    checks |= {
        f"optimizers.{name}": lambda make=make: check_optimizer(make) for name, make in OPTIMIZERS.items()
    }
    checks |= {"autodiff": check_autodiff, "learner": check_learner}
    for case, check in checks.items():
        arrays |= {f"{case}/{name}": array for name, array in check().items()}
    np.savez(path, **arrays)


if __name__ == "__main__":
    run(*sys.argv[1:])
