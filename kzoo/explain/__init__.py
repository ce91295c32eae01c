"""Why a model says what it says, and what its parts look for."""

from kzoo.explain.activation_maximization import maximize_activation

__all__ = ["maximize_activation"]
