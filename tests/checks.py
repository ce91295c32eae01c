"""The parity gate: every case's arrays, made on one engine; `test_parity.py` compares the engines.

`python tests/checks.py OUT.npz FLOAT [ROOM.NAME]` runs all cases, or those whose name begins so, on the engine of
`KERAS_BACKEND` in that precision. Weights and data are drawn by NumPy, so that nothing needs to be carried over;
random layers are off.
"""

import functools
import importlib
import inspect
import sys

import keras
import numpy as np
from cases.layers import LAYERS
from cases.losses import LOSSES
from cases.metrics import METRICS
from cases.models import MODELS, without_a_case
from cases.optimizers import LEARNERS, OPTIMIZERS, SCHEDULES
from keras import ops
from keras.src import backend
from keras.src.backend.common import dtypes
from stepping import arrays_of, compiled, descend, forward_of, step_of

import kzoo

ROOMS = {
    "layers": LAYERS,
    "losses": LOSSES,
    "learners": LEARNERS,
    "metrics": METRICS,
    "optimizers": OPTIMIZERS,
    "optimizers.schedules": SCHEDULES,
}
# It moves all scores of a query alike, which a softmax does not see: the gradient is rounding and nothing else.
UNSEEN = "/key/bias"
# Found in __all__ of a room, but not a thing to compute.
NOT_CASES = {"optimizers.schedules", "optimizers.layer_decay"}


def uncovered(rooms=None):
    """Public names of the rooms that have no case, as `room.name`."""
    missing = [f"models.{family}" for family in without_a_case()]
    for room, cases in (ROOMS if rooms is None else rooms).items():
        known = {case.partition(",")[0] for case in cases} | {name.rpartition(".")[2] for name in NOT_CASES}
        module = importlib.import_module(f"kzoo.{room}")
        missing += [f"{room}.{name}" for name in module.__all__ if name not in known]
    return missing


# ---------------------------------------------------------------- what is computed of each


def draw(shape, seed, scale=1.0, dtype=None):
    return (np.random.default_rng(seed).normal(size=shape) * scale).astype(dtype or keras.config.floatx())


def floating(structure):
    """NumPy arrays as tensors; floating-point ones in the precision of this run."""
    return keras.tree.map_structure(
        lambda a: ops.convert_to_tensor(
            a, keras.config.floatx() if np.asarray(a).dtype.kind == "f" else None
        ),
        structure,
    )


def set_weights(layer):
    for i, variable in enumerate(layer.weights):
        if not keras.backend.is_float_dtype(variable.dtype):
            continue
        if variable.path.endswith("moving_variance"):
            value = 1.0 + np.abs(draw(variable.shape, i))
        else:
            value = draw(variable.shape, i, 1.0 / np.sqrt(max(1, np.prod(variable.shape[:-1]))))
        variable.assign(value)


AGAIN = "@2"
LENGTH = 5  # of sequences whose length is free


def _sized(shape):
    return (4, *(LENGTH if size is None else size for size in shape[1:]))


def given_to(tensor, seed):
    """Numbers for an input of a model: of a vocabulary of five where it takes whole ones."""
    shape = _sized(tensor.shape)
    if keras.backend.is_int_dtype(tensor.dtype):
        return np.random.default_rng(seed).integers(0, 5, shape).astype(tensor.dtype)
    return draw(shape, seed)


def check_model(make, seed=0):
    """Forward in inference, gradients in training, and the weights and losses of three steps of gradient descent.

    The steps are short: tiny networks with batch normalisation multiply rounding manifold with long ones.
    """
    model = make()
    set_weights(model)
    inputs = [ops.convert_to_tensor(given_to(tensor, seed + 1 + i)) for i, tensor in enumerate(model.inputs)]
    inputs = keras.tree.pack_sequence_as(model.input, inputs)
    targets = [
        ops.convert_to_tensor(draw(_sized(y.shape), seed + 9 + i)) for i, y in enumerate(model.outputs)
    ]

    def loss():
        outputs = keras.tree.flatten(model(inputs, training=True))
        values = [ops.mean(ops.square(ops.subtract(y, t))) for y, t in zip(outputs, targets, strict=True)]
        return sum([*values, *model.losses])

    arrays = {f"forward.{i}": y for i, y in enumerate(forward_of(model)(inputs))}
    variables, step = model.trainable_variables, step_of(model, loss)
    for i in range(3):
        value, gradients = step()
        if i == 0:
            seen = [g for v, g in zip(variables, gradients) if not v.path.endswith(UNSEEN)]
            arrays |= {f"gradient.{j}": ops.convert_to_numpy(g) for j, g in enumerate(seen)}
        arrays[f"loss.{i}"] = ops.convert_to_numpy(value)
        descend(variables, gradients, 0.01)
    return arrays | {f"step.{i}": np.asarray(v.numpy()) for i, v in enumerate(model.weights)}


def check_layer(make):
    """Forward in both modes, gradients to weights and inputs, and three SGD steps."""
    layer, inputs, *options = make()
    options = {"training": True, "kwargs": {}} | (options[0] if options else {})
    inputs = floating(inputs)
    takes_mode = "training" in inspect.signature(layer.call).parameters

    def run(inputs, training):
        mode = {"training": training} if takes_mode else {}
        return keras.tree.flatten(layer(inputs, **options["kwargs"], **mode))

    backend.compute_output_spec(lambda inputs: run(inputs, False), inputs)  # builds it
    set_weights(layer)
    sources = [x for x in keras.tree.flatten(inputs) if keras.backend.is_float_dtype(x.dtype)]

    def loss(sources):
        given, places = iter(sources), keras.tree.flatten(inputs)
        filled = [next(given) if keras.backend.is_float_dtype(x.dtype) else x for x in places]
        outputs = run(keras.tree.pack_sequence_as(inputs, filled), options["training"])
        total = sum(layer.losses, ops.zeros(()))
        for i, output in enumerate(outputs):
            if keras.backend.is_float_dtype(output.dtype):
                target = ops.convert_to_tensor(draw(output.shape, 50 + i))
                total = total + ops.mean(ops.square(ops.subtract(output, target)))
        return total

    # Together, since compiling is what takes time.
    def passes(inputs, sources):
        return run(inputs, False), kzoo.grad(loss)(sources) if sources else []

    outputs, gradients = compiled(passes, layer.variables)(inputs, sources)
    arrays = {f"forward.{i}": y for i, y in enumerate(arrays_of(outputs))}
    arrays |= {f"gradient.input.{i}": g for i, g in enumerate(arrays_of(gradients))}
    if variables := layer.trainable_variables:
        step = step_of(layer, lambda: loss(sources))
        for i in range(3):
            value, gradients = step()
            arrays |= {f"gradient.{i}.{j}": g for j, g in enumerate(arrays_of(gradients))}
            arrays[f"loss.{i}"] = ops.convert_to_numpy(value)
            descend(variables, gradients, 0.05)
    weights = [v for v in layer.weights if keras.backend.is_float_dtype(v.dtype)]
    return arrays | {f"step.{i}": np.asarray(v.numpy()) for i, v in enumerate(weights)}


def check_loss(make):
    """Per-sample values, the reduced value and its gradient to the predictions."""
    loss, y_true, y_pred = make()
    y_true, y_pred = floating(y_true), floating(y_pred)
    value, gradients = compiled(kzoo.value_and_grad(lambda y_pred: loss(y_true, y_pred)))(y_pred)
    (forward,) = arrays_of(compiled(lambda y_pred: loss.call(y_true, y_pred))(y_pred))
    arrays = {"forward": forward, "loss": ops.convert_to_numpy(value)}
    return arrays | {f"gradient.{i}": g for i, g in enumerate(arrays_of(gradients))}


def check_metric(make):
    """The result after each batch, and after a reset."""
    metric, batches = make()
    arrays = {}
    for i, batch in enumerate(batches):
        metric.update_state(*floating(tuple(batch)))
        for j, result in enumerate(keras.tree.flatten(metric.result())):
            arrays[f"forward.{i}.{j}"] = ops.convert_to_numpy(result)
    metric.reset_state()
    metric.update_state(*floating(tuple(batches[-1])))
    for j, result in enumerate(keras.tree.flatten(metric.result())):
        arrays[f"forward.reset.{j}"] = ops.convert_to_numpy(result)
    return arrays


def check_fit(make):
    """The logs of two epochs of three batches, or of what the case says, and the weights after them."""
    learner, data, *options = make()
    options = {"epochs": 2, "batch_size": 4} | (options[0] if options else {})
    set_weights(learner)
    x, y = data if isinstance(data, tuple) else (data, None)
    x, y = (
        part
        if part is None
        else keras.tree.map_structure(
            lambda a: a.astype(keras.config.floatx()) if a.dtype.kind == "f" else a, part
        )
        for part in (x, y)
    )
    logs = learner.fit(x, y, **options, shuffle=False, verbose=0).history
    arrays = {f"step.{i}": np.asarray(v.numpy()) for i, v in enumerate(learner.weights)}
    return arrays | {
        f"loss.{name}": np.asarray(values, keras.config.floatx()) for name, values in logs.items()
    }


def check_schedule(make):
    """Its values by step."""
    schedule = make()
    return {"forward": np.asarray([ops.convert_to_numpy(schedule(step)) for step in range(40)])}


def check_optimizer(make):
    """Six steps on given gradients."""
    optimizer = make()
    named = isinstance(optimizer, kzoo.optimizers.NamedOptimizers)
    parts = {name: optimizer[name].apply for name in optimizer} if named else {"": optimizer.apply}
    arrays = {}
    for i, (name, apply) in enumerate(parts.items()):
        variables = [
            keras.Variable(draw((5, 3), i), name=f"v{i}"),
            keras.Variable(draw((4,), i), name=f"b{i}"),
        ]
        optimizer.build_part(name, variables) if named else optimizer.build(variables)

        def update(*gradients, apply=apply, variables=variables):
            apply(list(gradients), variables)
            return []

        update = compiled(update, optimizer.variables + variables)
        for step in range(6):
            update(*(ops.convert_to_tensor(draw(v.shape, 10 * i + step)) for v in variables))
            for j, variable in enumerate(variables):
                arrays[f"step.{name}.{step}.{j}"] = np.asarray(variable.numpy())
    return arrays


def check_autodiff():
    """Gradients of gradients and of the log-sum-exp of a matrix product."""
    w, x = ops.convert_to_tensor(draw((4, 4), 1)), ops.convert_to_tensor(draw((3, 4), 2))

    def energy(w):
        return ops.sum(ops.logsumexp(ops.tanh(ops.matmul(x, w)), axis=-1))

    first = kzoo.grad(energy)
    second = kzoo.grad(lambda w: ops.sum(first(w) ** 2))
    third = kzoo.grad(lambda w: ops.sum(second(w) ** 2))
    return {
        f"gradient.{i}": ops.convert_to_numpy(compiled(g)(w)) for i, g in enumerate((first, second, third))
    }


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


def attention_in_full(query, key, value, bias=None, mask=None, scale=None, is_causal=False, **kwargs):
    """What `ops.dot_product_attention` computes, which on JAX takes the softmax in float32 whatever it is given."""
    if is_causal:
        raise NotImplementedError("no case of the gate has needed a causal mask in float64 yet")
    scores = ops.einsum("btnh,bsnh->bnts", query, key) * scale
    scores = scores if bias is None else scores + bias
    scores = scores if mask is None else ops.where(mask, scores, -1e30)
    return ops.einsum("bnts,bsnh->btnh", ops.softmax(scores), value)


def gelu_in_full(x, approximate=True):
    """What `ops.gelu` computes, which on TensorFlow has the root of 2 in float32 whatever it is given."""
    if approximate:
        return 0.5 * x * (1.0 + ops.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x * x * x)))
    return 0.5 * x * (1.0 + ops.erf(x * np.sqrt(0.5)))


def run(path, floatx, only=""):
    """All cases in one precision, as arrays named `case/array`.

    `only` keeps those whose name begins so, or with one of several parted by commas; after a minus, the others. Models
    named with `@2` after them are checked on another draw of inputs.
    """
    # Keras computes products of float64 in float32 on PyTorch and JAX; a wrong formula could hide behind that.
    dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"
    if floatx == "float64":
        backend.nn.dot_product_attention = attention_in_full
        backend.nn.gelu = gelu_in_full
        # TensorFlow's operator has the slope in float32.
        backend.nn.leaky_relu = lambda x, negative_slope=0.2: ops.maximum(x, negative_slope * x)
        # PyTorch's backward pass of these has 1/6 in float32.
        backend.nn.hard_sigmoid = lambda x: ops.clip(x / 6.0 + 0.5, 0.0, 1.0)
        backend.nn.hard_silu = lambda x: x * ops.clip(x / 6.0 + 0.5, 0.0, 1.0)
    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy(floatx)
    arrays = {}
    kinds = {
        "models": (check_model, MODELS),
        "layers": (check_layer, LAYERS),
        "losses": (check_loss, LOSSES),
        "metrics": (check_metric, METRICS),
        "optimizers": (check_optimizer, OPTIMIZERS),
        "schedules": (check_schedule, SCHEDULES),
        "learners": (check_fit, LEARNERS),
    }
    checks = {
        f"{room}.{case}": functools.partial(check, make)
        for room, (check, cases) in kinds.items()
        for case, make in cases.items()
    }
    if AGAIN in only:
        checks = {f"{case}{AGAIN}": functools.partial(check, seed=100) for case, check in checks.items()}
    names = tuple(only.removeprefix("-").split(","))
    checks = {case: check for case, check in checks.items() if case.startswith(names) != only.startswith("-")}
    if not only or only.startswith("-"):
        checks |= {"autodiff": check_autodiff, "learner": check_learner}
    for case, check in checks.items():
        arrays |= {f"{case}/{name}": array for name, array in check().items()}
    np.savez(path, **arrays)


if __name__ == "__main__":
    run(*sys.argv[1:])
