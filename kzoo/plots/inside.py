"""Pictures of what is inside an image network: its first filters, its maps, and what its units look for."""

import keras
import numpy as np

from kzoo.engine import require
from kzoo.plots.drawing import INK, MUTED, drawn, shortened


def filters(model, path, layer=None, most=64, title=""):
    """Draws the kernels of a convolution as small pictures, each between its own darkest and lightest value.

    Kernels with three input channels are in colour; of those with more, the mean over the channels is drawn.

    Args:
        model: a built model.
        path: the PNG to write.
        layer: the convolution's name; by default the first one.
        most: how many to draw.
        title: what stands above.

    Raises:
        ValueError: if there is no such convolution.
    """
    kinds = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
    found = [part for part in model._flatten_layers() if isinstance(part, kinds)]
    chosen = [part for part in found if part.name == layer] if layer else found[:1]
    if not chosen:
        names = ", ".join(part.name for part in found[:8])
        raise ValueError(f"there is no such convolution; there are {names}. Received: layer={layer!r}")
    kernel = np.moveaxis(keras.ops.convert_to_numpy(chosen[0].kernel), -1, 0)  # (f, h, w, c)
    if kernel.shape[-1] != 3:
        kernel = kernel.mean(-1, keepdims=True)
    _sheet(
        [_stretched(one) for one in kernel[:most]], path, title or f"{chosen[0].name}: {len(kernel)} filters"
    )
    return path


def feature_maps(model, image, path, channels=8, title=""):
    """Draws an image and the strongest channels of each stage's maps: one row a stage.

    Args:
        model: a model that `kzoo.features` takes.
        image: `(h, w, c)`, as the model takes it.
        path: the PNG to write.
        channels: how many of each stage: those with the largest deviation over the image.
        title: what stands above.
    """
    from kzoo.models.features import features

    network = features(model)
    found = network(np.asarray(image)[None], training=False)
    names = [layer.name for layer in network.layers if layer.name in found]  # from first to last
    stages = {name: keras.ops.convert_to_numpy(found[name])[0] for name in names}
    with drawn(path, (1.1 * (channels + 1) + 0.6, 1.15 * len(stages) + 0.5), title) as figure:
        grid = figure.subplots(len(stages), channels + 1, squeeze=False)
        for row, (name, maps) in zip(grid, stages.items()):
            strongest = np.argsort(-maps.std(axis=(0, 1)), kind="stable")[:channels]
            shown = [np.asarray(image), *(maps[..., channel] for channel in strongest)]
            for axes, one in zip(row, shown):
                _show(axes, one)
            for axes in row[len(shown) :]:
                axes.set_axis_off()
            h, w, c = maps.shape
            row[0].set_ylabel(f"{shortened(name, 10)}\n{h}×{w}×{c}", fontsize=8, color=INK)
    return path


def embedding(points, labels, names, path, title=""):
    """Draws examples as points coloured by class, each class's name at the middle of its points.

    Args:
        points: `(n, 2)`.
        labels: class indices, `(n,)`.
        names: the names of the classes.
        path: the PNG to write.
        title: what stands above.
    """
    points, labels = np.asarray(points), np.asarray(labels)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) != len(labels):
        raise ValueError(
            f"there must be a label for each point on the plane. Received: {points.shape} and {labels.shape}"
        )
    with drawn(path, (6.2, 5.4), title) as figure:
        axes = figure.subplots()
        shades = require("matplotlib", "recipes").colormaps["tab10" if len(names) <= 10 else "tab20"]
        colours = [shades(i % shades.N) for i in range(len(names))]
        for label in np.unique(labels):
            own = points[labels == label]
            axes.scatter(*own.T, s=7, color=colours[label], linewidths=0, alpha=0.75)
        for label in np.unique(labels):  # above all points
            middle = np.median(points[labels == label], axis=0)
            axes.text(
                *middle,
                shortened(names[label], 14),
                ha="center",
                va="center",
                fontsize=9,
                color=INK,
                bbox=dict(facecolor="white", edgecolor=colours[label], boxstyle="round,pad=0.2", alpha=0.85),
            )
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_visible(False)
    return path


def sheet(images, path, captions=(), title="", columns=None):
    """Draws pictures in rows with a caption under each.

    Args:
        images: `(n, h, w, c)` or a list of pictures, of any range: each is drawn between its own extremes.
        path: the PNG to write.
        captions: one for each, or none.
        title: what stands above.
        columns: how many in a row.
    """
    _sheet([_stretched(np.asarray(image)) for image in images], path, title, captions, columns)
    return path


def _sheet(images, path, title, captions=(), columns=None):
    columns = columns or min(len(images), 8)
    rows = -(-len(images) // columns)
    with drawn(path, (1.25 * columns + 0.3, (1.25 + 0.2 * bool(captions)) * rows + 0.4), title) as figure:
        cells = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes, image in zip(cells, images):
            _show(axes, image)
        for axes, caption in zip(cells, captions):
            axes.set_xlabel(shortened(caption, 20), fontsize=7.5, color=MUTED)
        for axes in cells[len(images) :]:
            axes.set_axis_off()


def _stretched(image):
    """Between 0 and 1."""
    low, high = float(image.min()), float(image.max())
    return (image - low) / max(high - low, 1e-12)


def _show(axes, image):
    image = _stretched(image)
    grey = image.ndim == 2 or image.shape[-1] != 3
    axes.imshow(image.squeeze() if grey else image, cmap="gray" if grey else None, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
