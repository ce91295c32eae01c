"""Several optimizers under names, seen by Keras as one: what a `Learner` is compiled with."""

from collections.abc import Mapping

import keras
import numpy as np
from keras import ops

from kzoo import autodiff, backend

INITIAL_SCALE, GROWTH_STEPS = 2.0**15, 2000  # as keras.optimizers.LossScaleOptimizer


@keras.saving.register_keras_serializable("kzoo")
class NamedOptimizers(keras.optimizers.Optimizer):
    """A mapping from names to optimizers whose whole state is saved, restored and carried through a training step.

    `optimizers["critic"].apply(gradients, variables)` makes one step. Reading `learning_rate` gives the first one's;
    setting it scales all of them by the same factor, so that schedules by callback keep their ratio.

    With `loss_scale=True` one dynamic scale keeps float16 gradients from vanishing: `value_and_grad` multiplies by it
    and divides by it, and a step with a gradient that is not finite is skipped and halves the scale.

    Args:
        optimizers: a dict from names to Keras optimizers (or their names or configurations).
        loss_scale: whether to scale losses (mixed precision in float16).
    """

    def __init__(self, optimizers, loss_scale=False, name="named_optimizers"):
        super().__init__(learning_rate=0.0, name=name)
        for variable in (self._iterations, self._learning_rate):
            self._untrack_variable(variable)  # the parts have their own
        if not isinstance(optimizers, dict):
            raise TypeError(f"optimizers must be a dict from names to optimizers. Received: {optimizers!r}")
        parts = {}
        for key, optimizer in optimizers.items():
            if not isinstance(key, str) or not key or "." in key:
                raise ValueError(f"an optimizer's name must be text without dots. Received: {key!r}")
            parts[key] = keras.optimizers.get(optimizer)
        if len({id(part) for part in parts.values()}) < len(parts):
            raise ValueError(f"each name needs an optimizer of its own. Received: one twice in {list(parts)}")
        # Not a dict: Keras would find the parts in it and save them once more.
        self._handles = _Handles({key: Handle(self, key, part) for key, part in parts.items()})
        self.loss_scale = loss_scale
        if loss_scale:
            self._scale = self.add_variable(
                (), initializer=keras.initializers.Constant(INITIAL_SCALE), name="scale"
            )
            self._good_steps = self.add_variable((), dtype="int32", name="good_steps")
        self._rehearsed = {}
        self.built = False

    # ------------------------------------------------------------------ a mapping of handles

    def __getitem__(self, name):
        if name not in self._handles:
            names = ", ".join(self._handles) or "none: compile with optimizer= or optimizers="
            raise ValueError(f"there is no optimizer of this name; there are: {names}. Received: {name!r}")
        return self._handles[name]

    def __iter__(self):
        return iter(self._handles)

    def __len__(self):
        return len(self._handles)

    def __contains__(self, name):
        return name in self._handles

    def items(self):
        return self._handles.items()

    @property
    def _only(self):
        if len(self._handles) != 1:
            raise ValueError(f"say which optimizer: optimizers[name]. Received: {list(self._handles)}")
        return self._first

    @property
    def _first(self):
        if not self._handles:
            raise ValueError("there is no optimizer: compile with optimizer= or optimizers=")
        return next(iter(self._handles.values()))

    # ------------------------------------------------------------------ building

    def build_part(self, name, variables):
        """Creates the state of one optimizer for its variables. Does nothing the second time."""
        part = self[name].optimizer
        if not part.built:
            if not variables:
                raise ValueError(f"optimizer {name!r} has no variables to train: is everything frozen?")
            part.build(list(variables))
            self[name].variables = list(variables)
        self.built = all(handle.optimizer.built for handle in self._handles.values())

    def build(self, variables):
        """Builds a single optimizer for all the variables, as Keras does. Several are built by the learner."""
        if len(self._handles) == 1 and variables:
            self.build_part(next(iter(self._handles)), variables)

    # ------------------------------------------------------------------ what Keras asks of an optimizer

    @property
    def variables(self):
        return self._variables + [v for handle in self._handles.values() for v in handle.optimizer.variables]

    @property
    def iterations(self):
        """The steps taken by the first optimizer."""
        return self._first.iterations

    @property
    def learning_rate(self):
        return self._first.learning_rate

    @learning_rate.setter
    def learning_rate(self, value):
        handles = list(self._handles.values())
        first = float(ops.convert_to_numpy(handles[0].learning_rate))
        if first == 0.0 and len(handles) > 1:
            raise ValueError("the first learning rate is 0 and gives no ratio: set each optimizer's own")
        for handle in handles[1:]:
            handle.learning_rate = float(ops.convert_to_numpy(handle.learning_rate)) * float(value) / first
        handles[0].learning_rate = value

    def apply(self, grads, trainable_variables=None):
        """One step of the only optimizer; with several, use `optimizers[name].apply`."""
        self._only.apply(grads, trainable_variables)

    def finalize_variable_values(self, trainable_variables):
        """At the end of `fit`: each part overwrites its variables by their averages, where it keeps them."""
        for handle in self._handles.values():
            handle.optimizer.finalize_variable_values(handle.variables)

    def save_own_variables(self, store):
        if self.loss_scale:
            store["scale"], store["good_steps"] = self._scale.numpy(), self._good_steps.numpy()
        for name, handle in self._handles.items():
            for i, variable in enumerate(handle.optimizer.variables):
                store[f"{name}.{i}"] = variable.numpy()

    def load_own_variables(self, store):
        expected = {"scale": self._scale, "good_steps": self._good_steps} if self.loss_scale else {}
        for name, handle in self._handles.items():
            expected |= {f"{name}.{i}": variable for i, variable in enumerate(handle.optimizer.variables)}
        keys = set(store.keys())
        if keys != set(expected):
            raise ValueError(
                "the saved optimizer state does not belong to these optimizers. "
                f"Received: {_summary(keys)}; expected: {_summary(expected)}"
            )
        for key, variable in expected.items():
            variable.assign(np.asarray(store[key]))

    def get_config(self):
        parts = {
            name: keras.saving.serialize_keras_object(handle.optimizer)
            for name, handle in self._handles.items()
        }
        return {"optimizers": parts, "loss_scale": self.loss_scale, "name": self.name}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        parts = {
            name: keras.saving.deserialize_keras_object(part, custom_objects=custom_objects)
            for name, part in config["optimizers"].items()
        }
        return cls(parts, loss_scale=config["loss_scale"], name=config["name"])

    # ------------------------------------------------------------------ loss scale

    def scale(self):
        """The factor that `value_and_grad` multiplies losses by."""
        return self._scale.value

    def rehearsed(self):
        """The variables each optimizer was given in the last rehearsal, see `Learner`."""
        found, self._rehearsed = self._rehearsed, {}
        return found

    def step(self, name, gradients, variables):
        """What a handle's `apply` does."""
        if autodiff.differentiating():
            raise ValueError(
                f"optimizers[{name!r}].apply was called inside a function that is being differentiated: "
                "apply the gradients outside"
            )
        part = self[name].optimizer
        variables = list(self[name].variables if variables is None else variables)
        if autodiff.rehearsing():
            known = self._rehearsed.setdefault(name, [])
            ids = {id(variable) for variable in known}
            known += [variable for variable in variables if id(variable) not in ids]
            return
        gradients = list(gradients)
        if not variables or len(gradients) != len(variables):
            raise ValueError(
                f"optimizers[{name!r}].apply takes one gradient for each variable. "
                f"Received: {len(gradients)} gradients and {len(variables)} variables"
            )
        if not part.built:
            self.build_part(name, variables)
        with backend.no_grad():
            if self.loss_scale:
                self._step_if_finite(part, gradients, variables)
            else:
                part.apply(gradients, variables)

    def _step_if_finite(self, part, gradients, variables):
        finite = ops.all(ops.stack([ops.all(ops.isfinite(gradient)) for gradient in gradients]))
        state = list({id(v): v for v in [*variables, *part.variables]}.values())
        before = [ops.copy(v.value) for v in state]
        part.apply([ops.where(finite, g, ops.zeros_like(g)) for g in gradients], variables)
        # Selected afterwards and not by a branch: JAX cannot assign to variables in a branch of ops.cond.
        for variable, old in zip(state, before):
            variable.assign(ops.where(finite, variable.value, old))
        good = ops.where(finite, self._good_steps.value + 1, 0)
        grown = ops.where(good >= GROWTH_STEPS, self._scale.value * 2.0, self._scale.value)
        self._scale.assign(ops.where(finite, grown, self._scale.value / 2.0))
        self._good_steps.assign(ops.where(good >= GROWTH_STEPS, 0, good))


class Handle:
    """One named optimizer of a learner."""

    def __init__(self, owner, name, optimizer):
        self._owner, self.name, self.optimizer, self.variables = owner, name, optimizer, []

    def apply(self, gradients, variables=None):
        """Changes the variables by one step along the gradients.

        Args:
            gradients: one per variable.
            variables: Keras variables; those it was built with if not given.
        """
        self._owner.step(self.name, gradients, variables)

    @property
    def learning_rate(self):
        return self.optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, value):
        self.optimizer.learning_rate = value

    @property
    def iterations(self):
        return self.optimizer.iterations

    def __repr__(self):
        return f"<{self.name}: {self.optimizer.__class__.__name__}>"


class _Handles(Mapping):
    def __init__(self, handles):
        self._handles = handles

    def __getitem__(self, name):
        return self._handles[name]

    def __iter__(self):
        return iter(self._handles)

    def __len__(self):
        return len(self._handles)


def _summary(keys):
    counts = {}
    for key in keys:
        name = key.rpartition(".")[0] or key
        counts[name] = counts.get(name, 0) + 1
    return ", ".join(f"{name} ({count})" for name, count in sorted(counts.items())) or "nothing"
