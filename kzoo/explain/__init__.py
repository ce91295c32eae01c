"""Why a model says what it says, what its parts look for, and how its layers see the examples."""

from kzoo.explain.activation_maximization import maximize_activation
from kzoo.explain.representations import embed, layer_similarity, linear_cka

__all__ = ["embed", "layer_similarity", "linear_cka", "maximize_activation"]
