"""Published weights: found, fetched, converted once, kept, and carried into a model of any number of classes.

`kzoo.create_model("resnet50", pretrained=True)` does all of it. A source is `"torchvision"`, `"timm"`,
`"transformers"` or `"keras"`; `published(name)` lists what there is. `text_encoder`
gives a BERT with its vocabulary.
"""

from kzoo.weights.catalog import Published, imagenet_labels, published
from kzoo.weights.convert import carry_over
from kzoo.weights.encoders import text_encoder
from kzoo.weights.load import load_weights

__all__ = ["Published", "carry_over", "imagenet_labels", "load_weights", "published", "text_encoder"]
