"""The way through a functional model's graph on PyTorch, for `torch_accelerate.py`.

Keras calls a layer through some 30 microseconds of questions: are its arguments tensors of its dtype, is it built, is
there a mask, a loss, a distribution. In a graph whose layers are all built and of one dtype the answers are known, and
`layer.call` can be called at once; what is no longer needed is let go. Anything out of the ordinary (masks, hooks,
tracing, autocasting, another dtype, arguments of a call) goes Keras's own way.
"""

import inspect

import keras
import torch
from keras.src.backend.common.masking import get_keras_mask
from keras.src.backend.common.variables import get_autocast_scope
from keras.src.backend.torch.core import get_device, to_torch_dtype
from keras.src.models.functional import Functional, operation_fn
from keras.src.models.sequential import Sequential

from kzoo.backend.state import replace
from kzoo.backend.torch_fusion import join_neighbours
from kzoo.backend.torch_layout import kernels_serve


class Step:
    """One node of the graph: what is called, on which values, into which, and which are not needed afterwards."""

    def __init__(self, node):
        self.operation, self.arguments = node.operation, node.arguments
        self.inputs = [id(x) for x in node.input_tensors]
        self.outputs = [id(x) for x in node.outputs]
        self.done_with = []
        args = node.arguments.args
        self.listed = len(args) == 1 and isinstance(args[0], (list, tuple))
        flat = args[0] if self.listed else args
        self.layer = isinstance(node.operation, keras.Layer)
        # What Keras filled in when the graph was made: `mask=None` and a default of `training`.
        self.settings = {key: value for key, value in node.arguments.kwargs.items() if value is not None}
        tensors = [isinstance(x, keras.KerasTensor) for x in keras.tree.flatten(self.settings)]
        masked = any("mask" in key for key in self.settings)
        simple = all(isinstance(x, keras.KerasTensor) for x in flat) and not (masked or any(tensors))
        self.direct = simple and self.layer and can_be_called_directly(node.operation)
        self.mode = self.direct and "training" in inspect.signature(node.operation.call).parameters
        # Set by `join_neighbours`: what overwrites an input, and the layer that made that; a layer of zeros that this
        # one does the work of, and the name of its output; steps behind it that this one does the work of, with what a
        # sum adds, and steps before it that do its work.
        self.overwrite = self.producer = self.zeros = self.padded = None
        self.after, self.done_by = [], []

    def run(self, values, training):
        """Computes the outputs into `values`."""
        if self.outputs[0] in values:  # the step before it did its work
            self.let_go(values)
            return
        operation, zeros = self.operation, self.zeros
        if self.direct and not changed_since(operation) and not (zeros and changed_since(zeros)):
            inputs = [values[key] for key in self.inputs]
            if all(map(ordinary, inputs)):
                self.store(self.compute(inputs, training, values), values)
                return
        given = values if zeros is None else {self.padded: zeros(values[self.inputs[0]])}
        args, kwargs = self.arguments.fill_in(given)
        if self.layer:
            operation = operation_fn(operation, training=training)
        self.store(operation(*args, **kwargs), values)

    def compute(self, inputs, training, values):
        """The outputs, by `layer.call` itself."""
        if self.overwrite and not changed_since(self.producer):
            outputs = self.overwrite(inputs)
            if outputs is not None:
                return outputs
        settings = self.settings
        if self.mode and training is not None:
            settings = settings | {"training": training}
        if self.zeros:
            settings = settings | {"zeros": self.zeros}
        served = []
        for step, key in self.after:
            added = values.get(key)
            if changed_since(step.operation) or (key and not alike(added, inputs[0])):
                break
            served.append(step)
            settings = settings | ({"relu": True} if key is None else {"plus": added})
        outputs = self.operation.call(*([inputs] if self.listed else inputs), **settings)
        values.update((step.outputs[0], outputs) for step in served)
        return outputs

    def store(self, outputs, values):
        if len(self.outputs) == 1 and isinstance(outputs, torch.Tensor):
            values[self.outputs[0]] = outputs
        else:
            values.update(zip(self.outputs, keras.tree.flatten(outputs), strict=True))
        self.let_go(values)

    def let_go(self, values):
        for key in self.done_with:
            del values[key]


def can_be_called_directly(layer):
    """Whether Keras would do nothing around `layer.call` but ask."""
    return (
        type(layer) not in (Functional, Sequential)
        and not isinstance(layer, (keras.layers.RNN, keras.layers.Wrapper, keras.layers.Masking))
        and not getattr(layer, "mask_zero", False)
        and layer.built
        and layer.dtype_policy.name == "float32"
        and not getattr(layer, "_remat_mode", None)
    )


def changed_since(layer):
    """Whether something was put on this layer after its graph was looked at: hooks, quantization, a regularizer."""
    return bool(
        layer._forward_hooks
        or layer._forward_pre_hooks
        or layer._backward_hooks
        or layer._backward_pre_hooks
        or layer.quantization_mode
        or layer.activity_regularizer
    )


def alike(a, b):
    """Whether there is an `a`, and it can be added to a tensor like `b` in place."""
    return a is not None and ordinary(a) and a.shape == b.shape and a.dtype == b.dtype


def ordinary(x):
    """A tensor that Keras would hand to a float32 layer as it is, without a mask."""
    return (x.dtype is torch.float32 or not x.is_floating_point()) and get_keras_mask(x) is None


def steps_of(model):
    """The nodes in the order in which Keras runs them."""
    depths = sorted(model._nodes_by_depth, reverse=True)
    steps = [
        Step(node)
        for depth in depths
        for node in model._nodes_by_depth[depth]
        if node.operation and not node.is_input
    ]
    kept, later = {id(x) for x in model.outputs}, set()
    steps = join_neighbours(steps, kept)
    for step in reversed(steps):
        for key in dict.fromkeys(step.inputs + step.outputs):
            if key not in kept and key not in later:
                step.done_with.append(key)
                later.add(key)
    return steps


def walk(model):
    """Lets a `Functional` model, or the one inside a `Sequential`, go through its graph directly where it can."""
    if type(model) is Sequential:
        model = model._functional
    if type(model) is not Functional or "call" in vars(model):
        return
    steps = steps_of(model)
    inputs, outputs = [id(x) for x in model.inputs], [id(x) for x in model.outputs]
    used = {key for step in steps for key in step.inputs}
    if not any(step.direct for step in steps) or not used.issuperset(inputs) or set(inputs) & set(outputs):
        return

    one = model._inputs_struct if isinstance(model._inputs_struct, keras.KerasTensor) else None
    dtype = None if one is None else to_torch_dtype(one.dtype)

    def call(original, given, training=None, mask=None, **kwargs):
        if mask is not None or kwargs or get_autocast_scope() is not None:
            return original(given, training=training, mask=mask, **kwargs)
        fits = one is not None and given.__class__ is torch.Tensor and given.dtype is dtype
        if fits and given.ndim == len(one.shape) and given.device.type == get_device():
            tensors = [given]
        else:
            tensors = model._standardize_inputs(given)
        if not all(map(plain, tensors)):
            return original(given, training=training)
        values = dict(zip(inputs, tensors, strict=True))
        for step in steps:
            step.run(values, training)
        if isinstance(model._outputs_struct, keras.KerasTensor):
            return values[outputs[0]]
        found = keras.tree.pack_sequence_as(model._outputs_struct, [values[key] for key in outputs])
        return found[0] if isinstance(found, (list, tuple)) and len(found) == 1 else found

    replace(model, "call", call)


def plain(x):
    """Whether an input of the model is a tensor to compute with here and now, without a mask."""
    if not isinstance(x, torch.Tensor) or get_keras_mask(x) is not None or torch.compiler.is_compiling():
        return False
    return kernels_serve(x) or not (x.is_floating_point() or x.is_meta or torch.jit.is_tracing())
