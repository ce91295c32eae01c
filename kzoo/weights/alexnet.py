"""AlexNet elsewhere."""

from kzoo.weights.convert import Source
from kzoo.weights.flattened import flattened

# What each of our networks is called there, where published weights are listed.
NAMES = {"torchvision": {"alexnet": "alexnet"}}
SOURCES = {
    "torchvision": Source(
        (
            ("stem_conv", "features.0"),
            ("stage_1_conv_1", "features.3"),
            (r"stage_2_conv_(\d)", lambda k: f"features.{2 * k + 4}"),
            (r"hidden_(\d)", lambda k: f"classifier.{3 * k - 2}"),
            ("head", "classifier.6"),
        ),
        tensors=(("hidden_1/kernel", "classifier.1.weight", flattened(6, 6)),),
    )
}
