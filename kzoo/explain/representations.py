"""What layers know in common, and how a layer lays out the examples.

Kornblith et al. (2019), Similarity of Neural Network Representations Revisited, arXiv:1905.00414.

Shapes: n examples, p and q features, l and m layers.
"""

import re

import keras
import numpy as np
from keras import ops

from kzoo.engine import require, unknown
from kzoo.models.nodes import functional

BLOCKS = re.compile(r"stem|stage_\d+(_block_\d+)?|head")


def linear_cka(x, y):
    """Centred kernel alignment of two representations of the same examples, between 0 and 1 (section 3 of the paper).

    1 for representations that a rotation and one scale turn into each other. It says little where there are fewer
    examples than features.

    Args:
        x: `(n, p)`, or maps `(n, ..., p)` that are flattened.
        y: `(n, q)`, likewise.

    Raises:
        ValueError: if the numbers of examples differ, or are less than 2.
    """
    return _aligned(_gram(x), _gram(y))


def layer_similarity(model, images, other=None, layers=None, batch_size=64):
    """How alike a network's layers are to each other, or to another network's.

    All chosen layers' outputs for all images are held in memory at once: a few hundred images say enough.

    Args:
        model: a functional model.
        images: `(n, h, w, c)`, as the model takes them.
        other: a second model of the same images; by default the model itself.
        layers: their names in both models; by default the stem, the blocks and the head, or what has weights.
        batch_size: of prediction.

    Returns:
        The matrix of `linear_cka`, `(l, m)`, the names of its rows, and of its columns.

    Raises:
        ValueError: if there is no such layer.
    """
    rows, ours = _grams(model, images, layers, batch_size)
    columns, theirs = (rows, ours) if other is None else _grams(other, images, layers, batch_size)
    return np.array([[_aligned(a, b) for b in theirs] for a in ours]), rows, columns


def embed(features, method="tsne", seed=0):
    """Examples laid out on a plane by scikit-learn: `(n, p)` features to `(n, 2)` points.

    Args:
        features: `(n, p)`, or maps, that are flattened.
        method: `"tsne"`, which keeps neighbours together (van der Maaten and Hinton, 2008), or `"pca"`, the two
            directions in which examples differ most.
        seed: of t-SNE.

    Raises:
        ValueError: for another method, or fewer than four examples.
        ImportError: without scikit-learn.
    """
    if method not in ("tsne", "pca"):
        raise unknown("method", method, ("tsne", "pca"))
    x = _flat(features)
    if len(x) < 4:
        raise ValueError(f"an embedding needs four examples or more. Received: {len(x)}")
    require("sklearn", "recipes")
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    if method == "pca":
        return PCA(2, random_state=seed).fit_transform(x)
    reduced = PCA(min(50, *x.shape), random_state=seed).fit_transform(x)
    perplexity = min(30.0, (len(x) - 1) / 3)
    return TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(reduced)


def _grams(model, images, layers, batch_size):
    model = functional(model)
    if layers is None:
        layers = [layer.name for layer in model.layers if BLOCKS.fullmatch(layer.name)]
        layers = layers if len(layers) > 1 else [layer.name for layer in model.layers if layer.weights]
    known = {layer.name: layer.output for layer in model.layers}
    for name in layers:
        if name not in known:
            raise unknown("layer", name, known)
    part = keras.Model(model.input, {name: known[name] for name in layers})
    outputs = part.predict(images, batch_size=batch_size, verbose=0)
    return list(layers), [_gram(outputs[name]) for name in layers]


def _flat(x):
    x = ops.convert_to_numpy(x)
    return x.reshape(len(x), -1).astype("float64")


def _gram(x):
    """The centred products of examples, `(n, n)`."""
    x = _flat(x)
    if len(x) < 2:
        raise ValueError(f"a comparison needs two examples or more. Received: {len(x)}")
    x = x - x.mean(0)
    return x @ x.T


def _aligned(a, b):
    if a.shape != b.shape:
        raise ValueError(f"both must have the same examples. Received: {len(a)} and {len(b)}")
    size = np.linalg.norm(a) * np.linalg.norm(b)
    return float(np.sum(a * b) / size) if size else 0.0
