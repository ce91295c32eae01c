"""Deep learning by hand, in NumPy: every forward and backward pass written out, small enough to read in an evening."""

__all__ = []
