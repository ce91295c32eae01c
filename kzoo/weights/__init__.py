"""Published weights: found, fetched, converted once, kept, and carried into a model of any number of classes.

`kzoo.create_model("resnet50", pretrained=True)` does all of it. A source is `"torchvision"`, `"timm"`,
`"transformers"` or `"keras"`.
"""

from kzoo.weights.load import load_weights

__all__ = ["load_weights"]
