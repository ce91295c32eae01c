"""Training steps beside `fit`'s own: a `kzoo.Learner` around a model."""

__all__ = []
