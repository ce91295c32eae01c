"""JAX: gradients of pure functions, with what they change in Keras variables carried out as extra output."""

import contextlib
import functools

import jax
import jax.numpy as jnp
import keras
from keras import ops

from kzoo.backend.state import current_scope, peak_resident_memory, values_of


def detach(structure):
    """JAX's arrays carry no graph: nothing to cut."""
    return structure


def no_grad():
    return contextlib.nullcontext()


def differentiated():
    """Whether an outer derivative must be kept alive: JAX's outer trace sees to that by itself."""
    return False


@jax.custom_jvp
def _overwritten(leaf, value):
    """`value`, with the derivative of `leaf`."""
    return value


@_overwritten.defjvp
def _overwritten_jvp(primals, tangents):
    return _overwritten(*primals), tangents[0]


class _Scope(keras.StatelessScope):
    """A scope that sees everything the outer one holds and remembers which variables were assigned.

    An assignment has the meaning it has under TensorFlow's tape and in PyTorch: the new value is a constant, and a
    variable that is differentiated stays the leaf that the gradient refers to.
    """

    def __init__(self, state=()):
        state = list(state)
        super().__init__(state, collect_losses=True)
        if (outer := current_scope()) is not None:
            self.state_mapping = {**outer.state_mapping, **self.state_mapping}
        self.leaves = {id(variable): self.state_mapping[id(variable)] for variable, _ in state}
        self.assigned = {}

    def add_update(self, update):
        variable, value = update
        value = jax.lax.stop_gradient(value)
        if (leaf := self.leaves.get(id(variable))) is not None and jnp.issubdtype(leaf.dtype, jnp.floating):
            value = _overwritten(leaf, value)
        super().add_update((variable, value))
        self.assigned[id(variable)] = variable

    def get_current_value(self, variable):
        value = super().get_current_value(variable)
        # Regularizers ask the scope only, also for variables that nobody put in.
        return variable._value if value is None else value

    def updates(self):
        """The variables assigned inside, and their new values."""
        variables = list(self.assigned.values())
        return variables, [self.state_mapping[id(variable)] for variable in variables]


def gradients_of_variables(call, variables, nested):
    """`call() -> (scalar, aux)`; returns `(scalar, aux), gradients` with zeros for unconnected variables."""
    return _differentiate(lambda _: call(), values_of(variables), variables)


def gradients_of_inputs(call, tensors, nested):
    """`call(tensors) -> (scalar, aux)`; as above, with respect to the tensors."""
    return _differentiate(call, tensors, ())


def _differentiate(call, sources, variables):
    seen = {}

    def pure(values):
        with _Scope(zip(variables, values)) as scope:
            value, aux = call(values)
            seen["variables"], updates = scope.updates()
        # Auxiliary output may hold anything; only its arrays pass through JAX.
        leaves = keras.tree.flatten(aux)
        seen["aux"] = aux, leaves
        arrays = [leaf for leaf in leaves if isinstance(leaf, jax.Array)]
        return value, (value, arrays, updates)

    (_, (value, arrays, updates)), gradients = jax.value_and_grad(pure, has_aux=True)(list(sources))
    for variable, update in zip(seen["variables"], updates):
        variable.assign(update)
    structure, leaves = seen["aux"]
    arrays = iter(arrays)
    leaves = [next(arrays) if isinstance(leaf, jax.Array) else leaf for leaf in leaves]
    return (value, keras.tree.pack_sequence_as(structure, leaves)), gradients


def train_step(learner, state, data):
    return _step(learner, learner.run_update, _learner_variables(learner, optimizer=True), state, data)


def test_step(learner, state, data):
    if not learner.has_evaluate_step:
        return keras.Model.test_step(learner, state, data)
    return _step(
        learner, learner.run_evaluate_step, _learner_variables(learner, optimizer=False), state, data
    )


def _learner_variables(learner, optimizer):
    lists = [learner.trainable_variables, learner.non_trainable_variables]
    lists += [learner.optimizer.variables] if optimizer else []
    return lists + [learner.metrics_variables]


def _step(learner, step, lists, state, data):
    pairs = [pair for variables, values in zip(lists, state) for pair in zip(variables, values)]
    with keras.StatelessScope(pairs, collect_losses=True) as scope:
        logs = step(data)
    return logs, tuple([scope.get_current_value(variable) for variable in variables] for variables in lists)


def _get_jax_state(self, **kwargs):
    """Keras donates these buffers: one that two variables share (after `a.assign(b)`) must be copied first."""
    seen, state = set(), []
    for values in keras.Model._get_jax_state(self, **kwargs):
        state.append([])
        for value in values:
            state[-1].append(jnp.copy(value) if id(value) in seen else value)
            seen.add(id(value))
    return tuple(state)


overrides = {"_get_jax_state": _get_jax_state}


def set_seed(seed):
    """JAX has no global generator."""


def get_random_state():
    """Keras draws through its seed generators here: the engine has no further state to keep."""
    return None


def set_random_state(state):
    """Nothing to restore, see `get_random_state`."""


def peak_memory():
    """The most memory used so far, in bytes: the GPU's where there is one, else the process's."""
    statistics = jax.local_devices()[0].memory_stats() or {}
    return statistics.get("peak_bytes_in_use") or peak_resident_memory()


def fused_attention(query, key, value, mask, bias, causal, offset, scale):
    """cuDNN's kernel or the TPU's, which there is in half precision; else `None`, and the caller writes it out.

    Arguments and result are those of `kzoo.ops.dot_product_attention`, with masks and biases of four axes.
    """
    if jax.default_backend() == "cpu" or query.dtype not in (jnp.float16, jnp.bfloat16):
        return None
    seen = mask
    if causal and not (isinstance(offset, int) and offset == 0 and mask is None and bias is None):
        before = jnp.arange(key.shape[1]) <= jnp.arange(query.shape[1])[:, None] + offset
        seen, causal = before[None, None] if mask is None else before & mask, False
    output = ops.dot_product_attention(query, key, value, bias, seen, scale, is_causal=causal)
    if mask is None:
        return output
    return jnp.where(seen.any(-1, keepdims=True).swapaxes(1, 2), output, 0)


def written_at(buffer, values, index):
    """`buffer`, `(b, s, …)`, with `values`, `(b, t, …)`, at the places from `index` on."""
    return jax.lax.dynamic_update_slice_in_dim(buffer, values, index, axis=1)


def lean_call(layer):
    """The layer: once compiled, nothing of what Keras asks around its `call` is left."""
    return layer


class Decoder:
    """Runs `step(state, first, count) -> state`, compiled, once for the prompt and then in a loop.

    Args:
        step: a function of a dictionary of tensors, in which `ended`, if there, says which rows are done; of the place
            of the first symbol to read; and of how many to read. It reads the variables and does not change them.
        variables: all that it reads.
    """

    recompiles = True  # for each shape: better few of them

    def __init__(self, step, variables):
        self.variables = variables

        @functools.partial(jax.jit, static_argnums=2)
        def start(values, state, count):
            with keras.StatelessScope(zip(variables, values)):
                return step(state, 0, count)

        @functools.partial(jax.jit, donate_argnums=1)
        def advance(values, state, index, until):
            def going(loop):
                index, state = loop
                return (index < until) & ~jnp.all(state.get("ended", False))

            def body(loop):
                index, state = loop
                return index + 1, step(state, index, 1)

            with keras.StatelessScope(zip(variables, values)):
                return jax.lax.while_loop(going, body, (index, state))

        self._start, self._advance = start, advance

    def start(self, state, count):
        """Reads the first `count` symbols."""
        return self._start(values_of(self.variables), state, count)

    def advance(self, state, index, until):
        """Reads one symbol at a time from place `index` on, up to `until` or until all rows have ended.

        Returns:
            The place of the next symbol, and the state. The state that was handed in is used up.
        """
        index, state = self._advance(values_of(self.variables), state, jnp.int32(index), jnp.int32(until))
        return int(index), state


class Program:
    """A function of arrays that reads variables and may change them, as one compiled program.

    Args:
        function: takes tensors, or dictionaries of them, and gives a dictionary of tensors.
        variables: all that it reads.
        changing: whether it changes them. Their buffers are not donated: two of them may share one.
    """

    def __init__(self, function, variables, changing=False):
        self.variables = variables = list({id(variable): variable for variable in variables}.values())
        self.changing = changing

        def run(values, *arrays):
            with keras.StatelessScope(zip(variables, values), collect_losses=True) as scope:
                results = function(*arrays)
                values = [scope.get_current_value(variable) for variable in variables] if changing else []
            return values, results

        def over(values, data, rows):
            def part(values, row):
                return run(values, keras.tree.map_structure(lambda x: jnp.take(x, row, axis=0), data))

            return jax.lax.scan(part, values, rows)

        self._run, self._over = jax.jit(run), jax.jit(over)

    def __call__(self, *arrays):
        """What the function gives."""
        return self._finish(*self._run(self._values(), *arrays))

    def over(self, data, rows):
        """The function of part after part of `data`, each seeing what the one before changed, in one call.

        Args:
            data: a dictionary of arrays of one length.
            rows: int32 `(n, m)`: the m places in the data that each of n parts has.

        Returns:
            What it gives for each, stacked: `(n, …)`.
        """
        return self._finish(*self._over(self._values(), data, rows))

    def _values(self):
        # Called from outside, under no scope: asking each variable takes Keras longer than the call takes JAX.
        return [variable._value for variable in self.variables]

    def _finish(self, values, results):
        if self.changing:
            for variable, value in zip(self.variables, values):
                variable._value = value
        return results
