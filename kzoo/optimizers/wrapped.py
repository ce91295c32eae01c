"""What an optimizer around another has in common: one state, one learning rate, one count of steps."""

import keras
from keras import ops


class Wrapped(keras.optimizers.Optimizer):
    """An optimizer whose state is its own variables and those of the one inside.

    The learning rate, the steps taken, clipping, weight decay, gradient accumulation and averages of the weights are
    the inner optimizer's. A sub-class defines `apply`.

    Args:
        optimizer: the optimizer inside, or its name or configuration.
    """

    def __init__(self, optimizer, name):
        super().__init__(learning_rate=0.0, name=name)
        for variable in (self._iterations, self._learning_rate):
            self._untrack_variable(variable)  # the inner one has its own
        self.inner = keras.optimizers.get(optimizer)

    def build(self, variables):
        if not self.inner.built:
            self.inner.build(list(variables))
        # Past __setattr__, which would track them as this optimizer's own state.
        self.__dict__["_trainable_variables"] = list(variables)
        self.built = True

    def apply(self, grads, trainable_variables=None):
        raise TypeError(f"{type(self).__name__} must define apply(grads, trainable_variables)")

    def targets(self, trainable_variables):
        """The variables of a step: those given, or those it was built for. Builds at the first step."""
        if trainable_variables is None:
            return list(self._trainable_variables)
        if not self.built:
            self.build(list(trainable_variables))
        return list(trainable_variables)

    @property
    def variables(self):
        # Read before __init__ has set the inner one, too.
        return self._variables + (self.inner.variables if "inner" in self.__dict__ else [])

    @property
    def iterations(self):
        return self.inner.iterations

    @property
    def learning_rate(self):
        return self.inner.learning_rate

    @learning_rate.setter
    def learning_rate(self, value):
        self.inner.learning_rate = value

    def scale_loss(self, loss):
        return self.inner.scale_loss(loss)

    def finalize_variable_values(self, var_list):
        self.inner.finalize_variable_values(var_list)
        if getattr(self.inner, "use_ema", False):
            # An average and its variable would share one buffer on JAX, which the next fit may not give away twice.
            for variable in var_list:
                variable.assign(ops.copy(variable))

    # Keras saves the inner optimizer by itself, as an attribute of this one.

    def save_own_variables(self, store):
        for i, variable in enumerate(self._variables):
            store[str(i)] = variable.numpy()

    def load_own_variables(self, store):
        if len(store.keys()) != len(self._variables):
            raise ValueError(
                f"the saved state does not belong to this {type(self).__name__}: build it for the same variables. "
                f"Received: {len(store.keys())} arrays for {len(self._variables)} variables"
            )
        for i, variable in enumerate(self._variables):
            variable.assign(store[str(i)])

    def get_config(self):
        return {"optimizer": keras.saving.serialize_keras_object(self.inner), "name": self.name}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        inner = keras.saving.deserialize_keras_object(config["optimizer"], custom_objects=custom_objects)
        return cls(**{**config, "optimizer": inner})
