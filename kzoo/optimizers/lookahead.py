"""Lookahead: slow weights that follow the fast ones of any optimizer."""

import keras
from keras import ops

from kzoo.optimizers.wrapped import Wrapped


@keras.saving.register_keras_serializable("kzoo")
class Lookahead(Wrapped):
    """Pulls the weights back, every k steps, to a point between where they are and where they were k steps ago.

    slow ← slow + α (fast − slow), fast ← slow, after each k steps of the optimizer inside. Where that accumulates
    gradients, its updates are counted, not the batches.

    Source: Zhang et al. (2019), arXiv:1907.08610; its image experiments take k = 5 and α = 0.8 or 0.5.

    Args:
        optimizer: the optimizer of the fast weights, or its name.
        sync_period: k.
        slow_step_size: α, between 0 and 1; 1 leaves the optimizer as it is.
        name: its name.
    """

    def __init__(self, optimizer, sync_period=5, slow_step_size=0.5, name="lookahead"):
        super().__init__(optimizer, name)
        if sync_period != int(sync_period) or sync_period < 1:
            raise ValueError(
                f"sync_period must be a whole number of steps. Received: sync_period={sync_period!r}"
            )
        if not 0 < slow_step_size <= 1:
            raise ValueError(
                f"slow_step_size must lie above 0 and not above 1. Received: slow_step_size={slow_step_size!r}"
            )
        self.sync_period, self.slow_step_size = int(sync_period), slow_step_size

    def build(self, variables):
        if not self.built:
            super().build(variables)
            self._slow = [self.add_variable_from_reference(v, name="slow") for v in variables]
            self._place = {id(v): i for i, v in enumerate(variables)}

    def apply(self, grads, trainable_variables=None):
        variables = self.targets(trainable_variables)
        pairs = [(variable, self._slow[self._place[id(variable)]]) for variable in variables]
        before = ops.add(self.inner.iterations, 0)
        # The slow weights begin at the first step and not when they are made: weights may be loaded in between.
        first = ops.equal(before, 0)
        for variable, slow in pairs:
            slow.assign(ops.where(first, ops.convert_to_tensor(variable), ops.convert_to_tensor(slow)))
        self.inner.apply(grads, variables)
        after = ops.convert_to_tensor(self.inner.iterations)
        sync = ops.logical_and(ops.equal(after % self.sync_period, 0), ops.not_equal(after, before))
        for variable, slow in pairs:
            fast, old = ops.convert_to_tensor(variable), ops.convert_to_tensor(slow)
            new = old + self.slow_step_size * (fast - old)
            slow.assign(ops.where(sync, new, old))
            variable.assign(ops.where(sync, new, fast))

    def get_config(self):
        return {
            **super().get_config(),
            "sync_period": self.sync_period,
            "slow_step_size": self.slow_step_size,
        }
