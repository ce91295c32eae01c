"""Model families, one file each, and the catalog that lists them."""

from kzoo.models.catalog import create_model, list_models

__all__ = ["create_model", "list_models"]
