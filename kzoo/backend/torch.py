"""PyTorch: gradients by `torch.autograd.grad`."""

import sys

import keras
import numpy as np
import torch
from keras.src.backend.torch.core import get_device
from keras.src.backend.torch.trainer import TorchTrainer
from torch.nn import functional as F

from kzoo.backend.state import current_scope, peak_resident_memory, values_of
from kzoo.backend.torch_graph import can_be_called_directly, changed_since

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


def fused_attention(query, key, value, mask, bias, causal, offset, scale):
    """PyTorch's attention, without the copies that `keras.ops.dot_product_attention` makes before it.

    Arguments and result are those of `kzoo.ops.dot_product_attention`, with masks and biases of four axes.
    """
    seen = mask
    if causal and not (isinstance(offset, int) and offset == 0 and mask is None and bias is None):
        queries, keys = (torch.arange(x.shape[1], device=x.device) for x in (query, key))
        before = keys <= queries.unsqueeze(1) + offset
        seen, causal = before if mask is None else before & mask, False
    if seen is not None:
        # Minus infinity, which PyTorch makes of masks, would give gradients that are no numbers where all is masked.
        unseen = max(torch.finfo(query.dtype).min / 2, -1e30)
        bias = torch.where(seen, 0.0 if bias is None else bias, unseen)
    output = F.scaled_dot_product_attention(
        *(x.transpose(1, 2) for x in (query, key, value)),
        attn_mask=None if bias is None else bias.to(query.dtype),
        is_causal=causal,
        scale=scale,
        enable_gqa=query.shape[2] != key.shape[2],
    )
    if mask is not None:  # causal order alone leaves no query without a key
        output = torch.where(seen.any(-1, keepdim=True), output, 0.0)
    return output.transpose(1, 2)


def written_at(buffer, values, index):
    """`buffer`, `(b, s, …)`, with `values`, `(b, t, …)`, at the places from `index` on.

    In place where no gradient is asked for: `keras.ops.slice_update` copies the buffer.
    """
    if torch.is_grad_enabled():
        buffer = buffer.clone()
    if isinstance(index, int):
        buffer[:, index : index + values.shape[1]] = values
        return buffer
    places = index + torch.arange(values.shape[1], device=buffer.device)
    return buffer.index_copy_(1, places, values)


def lean_call(layer):
    """`layer.call` where Keras would only ask questions around it, else the layer."""
    return layer.call if can_be_called_directly(layer) and not changed_since(layer) else layer


class Decoder:
    """Runs `step(state, first, count) -> state`, once for the prompt and then in a loop.

    Args:
        step: a function of a dictionary of tensors, in which `ended`, if there, says which rows are done; of the place
            of the first symbol to read; and of how many to read. It reads the variables and does not change them.
        variables: all that it reads.
    """

    recompiles = False

    def __init__(self, step, variables):
        self._step = step

    @torch.inference_mode()
    def start(self, state, count):
        """Reads the first `count` symbols."""
        return self._step(keras.tree.map_structure(keras.ops.convert_to_tensor, state), 0, count)

    @torch.inference_mode()
    def advance(self, state, index, until):
        """Reads one symbol at a time from place `index` on, up to `until` or until all rows have ended.

        Returns:
            The place of the next symbol, and the state. The state that was handed in is used up.
        """
        while index < until and not ("ended" in state and state["ended"].all()):
            state, index = self._step(state, index, 1), index + 1
        return index, state


def _tensor(values):
    """An array as a tensor: at once where Keras would not change its type."""
    if isinstance(values, np.ndarray) and values.dtype.name in ("float32", "int32", "uint8", "bool"):
        return torch.as_tensor(values, device=get_device())
    return keras.ops.convert_to_tensor(values)


def _tensors(arrays):
    """Arrays or a dictionary of them as tensors; `keras.tree` takes longer than a small network."""
    if isinstance(arrays, dict):
        return {name: _tensor(values) for name, values in arrays.items()}
    return _tensor(arrays)


class Program:
    """A function of arrays that reads variables and may change them, run without a graph.

    Args:
        function: takes tensors, or dictionaries of them, and gives a dictionary of tensors.
        variables: all that it reads.
        changing: whether it changes them.
    """

    def __init__(self, function, variables, changing=False):
        self._function, self._mode = function, torch.no_grad if changing else torch.inference_mode

    def __call__(self, *arrays):
        """What the function gives."""
        with self._mode():
            return self._function(*map(_tensors, arrays))

    def over(self, data, rows):
        """The function of part after part of `data`, each seeing what the one before changed.

        Args:
            data: a dictionary of arrays of one length.
            rows: int32 `(n, m)`: the m places in the data that each of n parts has.

        Returns:
            What it gives for each, stacked: `(n, …)`.
        """
        with self._mode():
            data, rows = _tensors(data), _tensors(rows)
            found = [self._function({name: values[row] for name, values in data.items()}) for row in rows]
            return {name: torch.stack([results[name] for results in found]) for name in found[0]}
