"""Learning-rate schedules beside `keras.optimizers.schedules`, made to be put together.

Keras has step decay (`ExponentialDecay(staircase=True)`, `PiecewiseConstantDecay`), exponential, polynomial, inverse
time, cosine and cosine with restarts. Here is what warms up, cycles, restarts, joins or stretches any of them:

```python
decay = keras.optimizers.schedules.CosineDecay(0.1, 10_000)
keras.optimizers.SGD(Warmup(decay, 500))
```

A schedule is a function of the number of steps taken so far, 0 at the first.
"""

import math

import keras
from keras import ops

Schedule = keras.optimizers.schedules.LearningRateSchedule


@keras.saving.register_keras_serializable("kzoo")
class Warmup(Schedule):
    """Rises in a straight line from `start` to where a schedule begins, then follows it.

    Step s gives start + (schedule(0) − start)·s / warmup_steps before `warmup_steps`, and schedule(s − warmup_steps)
    from there (Goyal et al. 2017, arXiv:1706.02677).

    Args:
        schedule: a schedule, or a number for a constant rate.
        warmup_steps: how many steps the rise takes, at least 1.
        start: the rate at step 0.
    """

    def __init__(self, schedule, warmup_steps, start=0.0):
        _check_steps(warmup_steps=warmup_steps)
        self.schedule, self.warmup_steps, self.start = schedule, warmup_steps, start

    def __call__(self, step):
        step = _number(step)
        first = _rate(self.schedule, ops.zeros_like(step))
        rising = self.start + (first - self.start) * step / self.warmup_steps
        after = _rate(self.schedule, ops.maximum(step - self.warmup_steps, 0))
        return ops.where(step < self.warmup_steps, rising, after)

    def get_config(self):
        return {
            "schedule": _serialized(self.schedule),
            "warmup_steps": self.warmup_steps,
            "start": self.start,
        }

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "schedule": _deserialized(config["schedule"])})


@keras.saving.register_keras_serializable("kzoo")
class Noam(Schedule):
    """scale · dim^−½ · min(s^−½, s · warmup_steps^−³⁄²) at the s-th step: the Transformer's own schedule.

    Source: Vaswani et al. (2017), arXiv:1706.03762, equation 3.

    Args:
        dim: the width of the model.
        warmup_steps: where it is highest.
        scale: a factor for the whole.
    """

    def __init__(self, dim, warmup_steps=4000, scale=1.0):
        _check_steps(dim=dim, warmup_steps=warmup_steps)
        self.dim, self.warmup_steps, self.scale = dim, warmup_steps, scale

    def __call__(self, step):
        step = _number(step) + 1
        return self.scale * self.dim**-0.5 * ops.minimum(step**-0.5, step * self.warmup_steps**-1.5)

    def get_config(self):
        return {"dim": self.dim, "warmup_steps": self.warmup_steps, "scale": self.scale}


@keras.saving.register_keras_serializable("kzoo")
class Cyclical(Schedule):
    """Goes up and down between two rates in straight lines.

    At step s, with cycle c = ⌊1 + s / (2·step_size)⌋ and x = |s / step_size − 2c + 1|, it is
    lowest + (highest − lowest) · max(0, 1 − x) · f, where f is 1 ("triangular"), 2^(1−c) ("triangular2") or gamma^s
    ("exp_range").

    Source: Smith (2017), arXiv:1506.01186.

    Args:
        lowest: the rate at the beginning of a cycle.
        highest: the rate in the middle of the first.
        step_size: half a cycle, in steps; the paper takes 2 to 10 epochs.
        mode: "triangular", "triangular2" or "exp_range".
        gamma: for "exp_range".
    """

    MODES = ("triangular", "triangular2", "exp_range")

    def __init__(self, lowest, highest, step_size=2000, mode="triangular", gamma=0.99994):
        _check_steps(step_size=step_size)
        if mode not in self.MODES:
            raise ValueError(f"mode must be one of {', '.join(self.MODES)}. Received: mode={mode!r}")
        self.lowest, self.highest, self.step_size = lowest, highest, step_size
        self.mode, self.gamma = mode, gamma

    def __call__(self, step):
        step = _number(step)
        cycle = ops.floor(1 + step / (2 * self.step_size))
        height = ops.maximum(0.0, 1 - ops.abs(step / self.step_size - 2 * cycle + 1))
        factor = {
            "triangular": lambda: ops.ones_like(step),
            "triangular2": lambda: 2.0 ** (1 - cycle),
            "exp_range": lambda: self.gamma**step,
        }[self.mode]()
        return self.lowest + (self.highest - self.lowest) * height * factor

    def get_config(self):
        return {
            "lowest": self.lowest,
            "highest": self.highest,
            "step_size": self.step_size,
            "mode": self.mode,
            "gamma": self.gamma,
        }


@keras.saving.register_keras_serializable("kzoo")
class OneCycle(Schedule):
    """Rises once from highest / start_divisor to `highest`, then falls to that start / end_divisor, and stays there.

    Source: Smith & Topin (2019), arXiv:1708.07120. Their momentum, which falls while the rate rises, is not part of a
    rate's schedule and stays as the optimizer has it.

    Args:
        highest: the highest rate; see `kzoo.callbacks.LearningRateFinder`.
        total_steps: the steps of the training, at least 2.
        rise: the share of the steps that the rise takes, between 0 and 1.
        start_divisor: how many times lower than `highest` it begins.
        end_divisor: how many times lower than where it began it ends.
        anneal: "cosine" or "linear".
    """

    def __init__(self, highest, total_steps, rise=0.3, start_divisor=25.0, end_divisor=1e4, anneal="cosine"):
        _check_steps(total_steps=total_steps - 1)
        if not 0 < rise < 1:
            raise ValueError(f"rise must lie between 0 and 1. Received: rise={rise!r}")
        if anneal not in ("cosine", "linear"):
            raise ValueError(f"anneal must be 'cosine' or 'linear'. Received: anneal={anneal!r}")
        self.highest, self.total_steps, self.rise = highest, total_steps, rise
        self.start_divisor, self.end_divisor, self.anneal = start_divisor, end_divisor, anneal

    def __call__(self, step):
        step = _number(step)
        start = self.highest / self.start_divisor
        top = max(self.rise * self.total_steps - 1, 1e-6)
        rising = self._between(start, self.highest, ops.clip(step / top, 0.0, 1.0))
        share = ops.clip((step - top) / (self.total_steps - 1 - top), 0.0, 1.0)
        return ops.where(step <= top, rising, self._between(self.highest, start / self.end_divisor, share))

    def _between(self, first, last, share):
        if self.anneal == "cosine":
            return last + (first - last) * 0.5 * (1 + ops.cos(share * math.pi))
        return first + (last - first) * share

    def get_config(self):
        return {
            "highest": self.highest,
            "total_steps": self.total_steps,
            "rise": self.rise,
            "start_divisor": self.start_divisor,
            "end_divisor": self.end_divisor,
            "anneal": self.anneal,
        }


@keras.saving.register_keras_serializable("kzoo")
class Restarts(Schedule):
    """Starts a schedule again every `period` steps: warm restarts of any schedule.

    Cycle i takes period · length^i steps, in which the schedule goes from its step 0 to its step `period`, times
    height^i. With `CosineDecay(rate, period)` it is Keras's `CosineDecayRestarts` and the SGDR of Loshchilov & Hutter
    (2017), arXiv:1608.03983.

    Args:
        schedule: what is repeated.
        period: the steps of the first cycle.
        length: how much longer each cycle is than the one before, at least 1.
        height: how much higher its rates are.
    """

    def __init__(self, schedule, period, length=1.0, height=1.0):
        _check_steps(period=period)
        if length < 1:
            raise ValueError(f"length must be at least 1. Received: length={length!r}")
        self.schedule, self.period, self.length, self.height = schedule, period, length, height

    def __call__(self, step):
        done = _number(step) / self.period
        if self.length == 1:
            cycle = ops.floor(done)
            share = done - cycle
        else:
            # Steps before cycle i: period · (length^i − 1) / (length − 1).
            n = self.length
            cycle = ops.floor(ops.log(1 - done * (1 - n)) / math.log(n) + 1e-6)
            share = ops.maximum(done - (1 - n**cycle) / (1 - n), 0) / n**cycle
        return _rate(self.schedule, share * self.period) * self.height**cycle

    def get_config(self):
        return {
            "schedule": _serialized(self.schedule),
            "period": self.period,
            "length": self.length,
            "height": self.height,
        }

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "schedule": _deserialized(config["schedule"])})


@keras.saving.register_keras_serializable("kzoo")
class Chain(Schedule):
    """Follows one schedule after another; each begins at its own step 0.

    Args:
        schedules: schedules or numbers.
        boundaries: the steps at which the second, the third … begin, rising.
    """

    def __init__(self, schedules, boundaries):
        self.schedules, self.boundaries = list(schedules), list(boundaries)
        if len(self.boundaries) != len(self.schedules) - 1:
            raise ValueError(
                "there must be one boundary between every two schedules. "
                f"Received: {len(self.schedules)} schedules and boundaries={self.boundaries}"
            )
        if sorted(set(self.boundaries)) != self.boundaries:
            raise ValueError(f"boundaries must rise. Received: boundaries={self.boundaries}")

    def __call__(self, step):
        step = _number(step)
        value = _rate(self.schedules[0], step)
        for boundary, schedule in zip(self.boundaries, self.schedules[1:]):
            value = ops.where(step < boundary, value, _rate(schedule, ops.maximum(step - boundary, 0)))
        return value

    def get_config(self):
        return {"schedules": [_serialized(s) for s in self.schedules], "boundaries": self.boundaries}

    @classmethod
    def from_config(cls, config):
        return cls([_deserialized(s) for s in config["schedules"]], config["boundaries"])


@keras.saving.register_keras_serializable("kzoo")
class Stretched(Schedule):
    """Advances a schedule by one step every `steps` steps.

    Keras counts batches: with `gradient_accumulation_steps=4` a schedule would decay four times too fast, and
    `Stretched(schedule, 4)` puts it right.

    Args:
        schedule: what is slowed down.
        steps: by how much.
    """

    def __init__(self, schedule, steps):
        _check_steps(steps=steps)
        self.schedule, self.steps = schedule, steps

    def __call__(self, step):
        return _rate(self.schedule, ops.floor(_number(step) / self.steps))

    def get_config(self):
        return {"schedule": _serialized(self.schedule), "steps": self.steps}

    @classmethod
    def from_config(cls, config):
        return cls(_deserialized(config["schedule"]), config["steps"])


def _number(step):
    """Whole steps as floating-point numbers: exact to 16 million in float32."""
    return ops.cast(step, keras.config.floatx())


def _rate(schedule, step):
    if callable(schedule):
        return ops.cast(schedule(step), keras.config.floatx())
    return ops.convert_to_tensor(schedule, keras.config.floatx())


def _serialized(schedule):
    return keras.saving.serialize_keras_object(schedule) if callable(schedule) else schedule


def _deserialized(config):
    return keras.saving.deserialize_keras_object(config) if isinstance(config, dict) else config


def _check_steps(**values):
    for name, value in values.items():
        if not value >= 1:
            raise ValueError(f"{name} must be at least 1. Received: {name}={value!r}")


__all__ = ["Chain", "Cyclical", "Noam", "OneCycle", "Restarts", "Stretched", "Warmup"]
