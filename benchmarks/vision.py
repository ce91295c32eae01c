"""Each family's network beside the same one elsewhere, on the same engine, in turn in one run.

```
python benchmarks/vision.py --engine torch [--rounds 7] [--only resnet50,vit_tiny_patch16] [--out FILE]
```

The peer is timm on PyTorch, channels first in the channels-last memory order, as its users run it on a CPU;
`keras.applications` on TensorFlow and JAX; and on JAX also four networks in Flax (`flax_networks.py`). Ours is
accelerated. A training step is `train_on_batch` with SGD and momentum on the Keras side; forward, backward and step on
theirs. Inference is `predict_on_batch`, or a call without gradients. Images are of `SIDE` pixels and classes 10, so
that a round of every network is minutes on two cores; multiply-adds, not pixels, decide the ratio. Swin's windows are
of 3 places there, on both sides. `keras.applications` has another VGG at this size (its dense layers see fewer places).
"""

import argparse
import json
import math
import os
import statistics
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
PEERS = {  # ours: timm's name, keras.applications' name and its further arguments
    "vgg11": ("vgg11", None, {}),
    "resnet18": ("resnet18", None, {}),
    "resnet50": ("resnet50", "ResNet50", {}),
    "resnet50_v2": (None, "ResNet50V2", {}),
    "resnext50_32x4d": ("resnext50_32x4d", None, {}),
    "inception_v3": ("inception_v3", "InceptionV3", {}),
    "xception": ("legacy_xception", "Xception", {}),
    "mobilenet_v1": ("mobilenetv1_100", "MobileNet", {}),
    "mobilenet_v2": ("mobilenetv2_100", "MobileNetV2", {}),
    "mobilenet_v3_large": ("mobilenetv3_large_100", "MobileNetV3Large", {"include_preprocessing": False}),
    "efficientnet_b0": ("efficientnet_b0", "EfficientNetB0", {}),
    "densenet121": ("densenet121", "DenseNet121", {}),
    "convnext_tiny": ("convnext_tiny", "ConvNeXtTiny", {"include_preprocessing": False}),
    "vit_tiny_patch16": ("vit_tiny_patch16_224", None, {}),
    "swin_tiny": ("swin_tiny_patch4_window7_224", None, {}),
}
# Where the peer is another network than our default: Keras shrinks maps in the last block of a stage.
LIKE_PEER = {"resnet50_v2": {"stride_last": True}}
SIDE, CLASSES, BATCHES = 96, 10, (1, 32)
parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--engine", default="torch", choices=("tensorflow", "torch", "jax"))
parser.add_argument("--rounds", type=int, default=7, help="counted rounds; default: %(default)s")
parser.add_argument("--only", default="", help="comma-separated names of networks")
parser.add_argument("--out", type=Path, default=HERE / "vision.json")
ARGUMENTS = parser.parse_args()
os.environ["KERAS_BACKEND"] = ARGUMENTS.engine
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "tests" / "vision")]

if ARGUMENTS.engine == "torch":
    import oracle

    LIBRARY = oracle.declare_operators()
    import timm
if ARGUMENTS.engine == "jax":
    import oracle

    sys.path.append(str(oracle.ORACLES))  # last: it has Flax, and what must not be found before our own
    import flax_networks

import keras  # noqa: E402
import numpy as np  # noqa: E402
from measured import machine, ratio  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

import kzoo  # noqa: E402
from kzoo.files import write_json  # noqa: E402


def keras_side(model):
    """Functions of a batch that train and that predict, waiting for the result; and the number of parameters."""
    model.compile(
        keras.optimizers.SGD(1e-4, momentum=0.9), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    size = sum(math.prod(variable.shape) for variable in model.trainable_variables)
    return lambda x, y: model.train_on_batch(x, y), lambda x, y: model.predict_on_batch(x), size


def ours(name):
    more = LIKE_PEER.get(name, {}) | ({"window_size": 3} if name.startswith("swin") else {})
    model = kzoo.create_model(name, image_shape=(SIDE, SIDE, 3), num_classes=CLASSES, dropout=0.0, **more)
    kzoo.accelerate(model)
    return keras_side(model)


def keras_peer(builder, arguments):
    return keras_side(
        getattr(keras.applications, builder)(
            weights=None,
            classes=CLASSES,
            classifier_activation=None,
            input_shape=(SIDE, SIDE, 3),
            **arguments,
        )
    )


def timm_peer(name):
    import torch

    size = {"img_size": SIDE} if name.startswith(("vit", "swin")) else {}
    size |= {"window_size": 3} if name.startswith("swin") else {}
    model = timm.create_model(name, num_classes=CLASSES, **size).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9)

    def tensor(x):
        return torch.from_numpy(x).permute(0, 3, 1, 2)

    def train(x, y):
        model.train()
        loss = torch.nn.functional.cross_entropy(model(tensor(x)), torch.from_numpy(y))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    def predict(x, y):
        model.eval()
        with torch.no_grad():
            return model(tensor(x)).numpy()

    return train, predict, sum(parameter.numel() for parameter in model.parameters())


def peers(name):
    """The peers on this engine: name to a function that makes one."""
    timm_name, builder, arguments = PEERS[name]
    if ARGUMENTS.engine == "torch":
        return {"timm": lambda: timm_peer(timm_name)} if timm_name else {}
    found = {"keras.applications": lambda: keras_peer(builder, arguments)} if builder else {}
    if ARGUMENTS.engine == "jax" and name in flax_networks.NETWORKS:
        found["Flax"] = lambda: flax_networks.steps(name, SIDE, CLASSES)
    return found


def milliseconds(step, x, y):
    began = time.perf_counter()
    step(x, y)
    return 1000 * (time.perf_counter() - began)


def measure(name, theirs):
    """What is done, by batch: the ratio, its quartiles and both medians."""
    sides, found = (ours(name), theirs()), {}
    if abs(sides[0][2] / sides[1][2] - 1) > 0.005:  # Keras's ResNet has biases before its norms
        raise ValueError(f"{name} has {sides[0][2]:,} parameters, its peer {sides[1][2]:,}: another network")
    for size in BATCHES:
        x = np.random.default_rng(0).normal(size=(size, SIDE, SIDE, 3)).astype("float32")
        y = np.random.default_rng(1).integers(0, CLASSES, size)
        for place, what in enumerate(("train", "predict")):
            if (size, what) == (1, "train"):  # statistics of one image mean nothing
                continue
            times = ([], [])
            for index in range(ARGUMENTS.rounds + 2):
                for side, own in zip(sides, times):
                    taken = milliseconds(side[place], x, y)
                    if index > 1:  # the first two compile and warm up
                        own.append(taken)
            medians = [statistics.median(own) for own in times]
            found[f"{what} {size}"] = {"ratio": ratio(*times), "ours_ms": medians[0], "theirs_ms": medians[1]}
    return found


def main():
    names = ARGUMENTS.only.split(",") if ARGUMENTS.only else list(PEERS)
    if unknown := set(names) - set(PEERS):
        parser.error(f"choose from {', '.join(PEERS)}. Received: {', '.join(sorted(unknown))}")
    before = json.loads(ARGUMENTS.out.read_text()) if ARGUMENTS.out.exists() else {}
    networks = before.get(ARGUMENTS.engine, {}).get("networks", {}) if ARGUMENTS.only else {}
    console, facts = Console(), machine()
    if networks:  # the others keep their day
        days = f"{before[ARGUMENTS.engine]['machine']['date']} and {facts['date']}".split(" and ")
        facts["date"] = " and ".join(dict.fromkeys(days))
    pairs = [(f"{name}, {label}", name, make) for name in names for label, make in peers(name).items()]
    for title, name, make in pairs:
        found = networks[title] = measure(name, make)
        keras.utils.clear_session()
        cells = ", ".join(
            "{}: {:.2f} ({:.2f}-{:.2f})".format(what, *row["ratio"]) for what, row in found.items()
        )
        console.print(f"{title}: {cells}", highlight=False)
        report = {"machine": facts, "rounds": ARGUMENTS.rounds, "side": SIDE, "networks": networks}
        write_json(ARGUMENTS.out, before | {ARGUMENTS.engine: report})
    table = Table(
        "network, peer", "train, 32", "predict, 32", "predict, 1", title=f"ours ÷ peer, {ARGUMENTS.engine}"
    )
    for name, found in networks.items():
        shown = ("train 32", "predict 32", "predict 1")
        table.add_row(name, *("{:.2f} ({:.2f}–{:.2f})".format(*found[what]["ratio"]) for what in shown))
    console.print(table)


if __name__ == "__main__":
    main()
