"""Model families, one file each, the catalog that lists them, and what models cost."""

from kzoo.models.catalog import create_model, list_models
from kzoo.models.cost import multiply_adds
from kzoo.models.features import features

__all__ = ["create_model", "features", "list_models", "multiply_adds"]
