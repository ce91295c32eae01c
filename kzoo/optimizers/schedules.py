"""Learning-rate schedules beside `keras.optimizers.schedules`."""

__all__ = []
