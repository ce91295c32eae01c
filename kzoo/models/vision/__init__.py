"""Image models."""

from kzoo.models.vision.alexnet import alexnet
from kzoo.models.vision.capsnet import capsnet
from kzoo.models.vision.cnn import cnn
from kzoo.models.vision.convnext import convnext
from kzoo.models.vision.deit import deit
from kzoo.models.vision.densenet import densenet
from kzoo.models.vision.efficientnet import efficientnet
from kzoo.models.vision.efficientnet_v2 import efficientnet_v2
from kzoo.models.vision.googlenet import googlenet
from kzoo.models.vision.inception_resnet import inception_resnet
from kzoo.models.vision.inception_v3 import inception_v3
from kzoo.models.vision.inception_v4 import inception_v4
from kzoo.models.vision.lenet import lenet
from kzoo.models.vision.mlp import mlp
from kzoo.models.vision.mobilenet_v1 import mobilenet_v1
from kzoo.models.vision.mobilenet_v2 import mobilenet_v2
from kzoo.models.vision.mobilenet_v3 import mobilenet_v3
from kzoo.models.vision.resnet_v2 import resnet_v2
from kzoo.models.vision.swin import swin
from kzoo.models.vision.vgg import vgg
from kzoo.models.vision.vit import vit
from kzoo.models.vision.wide_resnet import wide_resnet
from kzoo.models.vision.xception import xception

__all__ = [
    "alexnet",
    "capsnet",
    "cnn",
    "convnext",
    "deit",
    "densenet",
    "efficientnet",
    "efficientnet_v2",
    "googlenet",
    "inception_resnet",
    "inception_v3",
    "inception_v4",
    "lenet",
    "mlp",
    "mobilenet_v1",
    "mobilenet_v2",
    "mobilenet_v3",
    "resnet_v2",
    "swin",
    "vgg",
    "vit",
    "wide_resnet",
    "xception",
]
