"""PyTorch: gradients by `torch.autograd.grad`."""

import sys

import keras
import numpy as np
import torch
from keras.src.backend.torch.trainer import TorchTrainer

from kzoo.backend.state import current_scope, peak_resident_memory, values_of

_KERAS_TRAIN_STEP = TorchTrainer.train_step.__code__


def detach(structure):
    """Cuts every tensor of the structure from its graph."""
    return keras.tree.map_structure(lambda x: x.detach() if isinstance(x, torch.Tensor) else x, structure)


def no_grad():
    return torch.no_grad()


def differentiated():
    """Whether Keras's own training step is waiting to differentiate what is computed now.

    `Learner` runs its update without gradients and so never gets here with gradients on. Keras's step leaves no
    mark but its frame on the stack.
    """
    if not torch.is_grad_enabled():
        return False
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_code is _KERAS_TRAIN_STEP:
            return True
        frame = frame.f_back
    return False


def gradients_of_variables(call, variables, nested):
    """`call() -> (scalar, aux)`; returns `(scalar, aux), gradients` with zeros for unconnected variables."""
    scope, values = current_scope(), values_of(variables)
    frozen, replaced = [], []
    for variable, value in zip(variables, values):
        if value.requires_grad:
            continue
        if scope is not None and scope.get_current_value(variable) is not None:
            replaced.append((variable, value))
            scope.add_update((variable, value.detach().requires_grad_()))
        else:
            frozen.append(value.requires_grad_())
    try:
        return _differentiate(lambda _: call(), values_of(variables), nested)
    finally:
        for value in frozen:
            value.requires_grad_(False)
        for update in replaced:
            scope.add_update(update)


def gradients_of_inputs(call, tensors, nested):
    """`call(tensors) -> (scalar, aux)`; as above, with respect to the tensors."""
    # An alias, so that only what goes through the argument counts, not what `call` closes over.
    aliases = [x.view_as(x) if nested and x.requires_grad else x.detach().requires_grad_() for x in tensors]
    return _differentiate(call, aliases, nested)


def _differentiate(call, sources, nested):
    with torch.enable_grad():
        value, aux = call(sources)
        if not value.requires_grad:
            gradients = [torch.zeros_like(source) for source in sources]
        else:
            try:
                gradients = torch.autograd.grad(
                    value, sources, create_graph=nested, allow_unused=True, materialize_grads=True
                )
            except RuntimeError as error:
                if "double backward" not in str(error):
                    raise
                raise RuntimeError(
                    "torch.compile cannot differentiate a gradient: compile this model with jit_compile=False "
                    "to use gradients of gradients on PyTorch"
                ) from error
    return (value, aux), list(gradients)


def train_step(learner, data):
    # Nothing outside value_and_grad is differentiated, as on JAX: no graph is recorded for it.
    with torch.no_grad():
        return learner.run_update(data)


def test_step(learner, data):
    return (
        learner.run_evaluate_step(data) if learner.has_evaluate_step else keras.Model.test_step(learner, data)
    )


overrides = {}


def set_seed(seed):
    torch.manual_seed(seed)


def get_random_state():
    """The state of PyTorch's own generators as one array: dropout without a seed draws from them."""
    states = [torch.get_rng_state()]
    if torch.cuda.is_available():
        states += torch.cuda.get_rng_state_all()
    return np.concatenate([state.cpu().numpy() for state in states])


def set_random_state(state):
    """Restores what `get_random_state` gave. A state from another number of devices restores the CPU's part."""
    state = torch.from_numpy(np.array(state, dtype="uint8"))
    size = torch.get_rng_state().numel()
    torch.set_rng_state(state[:size])
    if torch.cuda.is_available():
        rest = state[size:]
        count = torch.cuda.device_count()
        if rest.numel() and rest.numel() % count == 0:
            torch.cuda.set_rng_state_all(list(rest.reshape(count, -1)))


def peak_memory():
    """The most memory used so far, in bytes: the GPU's where there is one, else the process's."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return peak_resident_memory()
