"""Checks of layers' arguments: each raises a `ValueError` that says what is wanted and what was received."""


def check_rate(**named):
    """A probability of dropping: a number in `[0, 1)`."""
    for name, value in named.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
            raise ValueError(f"{name} must be a number in [0, 1). Received: {name}={value!r}")


def check_whole(**named):
    """A whole number, at least 1."""
    for name, value in named.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} must be a whole number, at least 1. Received: {name}={value!r}")


def check_positive(**named):
    """A number above 0."""
    for name, value in named.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
            raise ValueError(f"{name} must be a number above 0. Received: {name}={value!r}")


def check_choice(choices, **named):
    """One of a few names."""
    for name, value in named.items():
        if value not in choices:
            raise ValueError(f"{name} must be one of {', '.join(choices)}. Received: {name}={value!r}")


def check_rank(input_shape, rank, what):
    """A shape with so many axes, the last of known size."""
    if len(input_shape) != rank or input_shape[-1] is None:
        raise ValueError(f"the input must be {what}. Received: input_shape={tuple(input_shape)}")
