"""AlexNet in torchvision."""

from oracle import Case


def torchvision():
    from torch import nn
    from torchvision.models import AlexNet

    model = AlexNet(num_classes=5)
    model.classifier[1] = nn.Linear(256 * 36, 40)
    model.classifier[4] = nn.Linear(40, 36)
    model.classifier[6] = nn.Linear(36, 5)
    return model


CASES = [
    Case(
        *("alexnet", "torchvision", torchvision, dict(hidden_dims=(40, 36))),
        {"stem": "features.1", "stage_1": "features.4", "stage_2": "features.11"},
        sizes=((64, 64), (260, 131)),  # maps smaller and larger than 6 x 6
    )
]
PARAMETERS = {
    "alexnet": 61_100_840,  # torchvision 0.28
    "alexnet_2012": 60_965_224,  # Caffe's network; "60 million" in the abstract
}
TINY = {
    "alexnet": dict(image_shape=(63, 64, 3), filters=(4, 4, 6, 4, 4), hidden_dims=(24, 16)),
    "alexnet_2012": dict(
        image_shape=(16, 15, 3), filters=(4, 6, 6, 4, 4), hidden_dims=(24, 16), stem="small"
    ),
}
