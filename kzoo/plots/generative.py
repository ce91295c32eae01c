"""Pictures of what generators make: sheets of images as they are, scores of what is unlike the rest, and coverage."""

import numpy as np

from kzoo.plots.drawing import COLOURS, INK, MUTED, drawn, dress, shortened


def mosaic(images, path, columns=None, rows=(), heads=(), title="", scale=0.62):
    """Draws images side by side without gaps, each as bright as it is, in rows.

    Args:
        images: `(n, h, w, c)` between 0 and 1; what lies outside is cut off.
        path: the PNG to write.
        columns: how many in a row.
        rows: what stands to the left of each row, or nothing.
        heads: what stands above each column, or nothing.
        title: what stands above.
        scale: inches of an image's side.

    Raises:
        ValueError: if the images are not four-dimensional.
    """
    images = np.clip(np.asarray(images, "float32"), 0, 1)
    if images.ndim != 4 or not len(images):
        raise ValueError(f"images must be (n, h, w, c). Received: shape {images.shape}")
    n, h, w, c = images.shape
    columns = columns or min(n, 10)
    count = -(-n // columns)
    sheet = np.ones((count * columns, h, w, c), "float32")
    sheet[:n] = images
    sheet = sheet.reshape(count, columns, h, w, c).swapaxes(1, 2).reshape(count * h, columns * w, c)
    size = (scale * columns * w / max(h, w) + 0.3 + 0.9 * bool(rows), scale * count * h / max(h, w) + 0.5)
    with drawn(path, size, title) as figure:
        axes = figure.subplots()
        grey = c != 3
        axes.imshow(
            sheet[..., 0] if grey else sheet,
            cmap="gray" if grey else None,
            vmin=0,
            vmax=1,
            interpolation="nearest",
        )
        axes.set_yticks([h * (i + 0.5) - 0.5 for i in range(len(rows))], [shortened(row, 16) for row in rows])
        axes.set_xticks(
            [w * (i + 0.5) - 0.5 for i in range(len(heads))], [shortened(head, 12) for head in heads]
        )
        axes.xaxis.tick_top()
        axes.tick_params(length=0, labelsize=8, labelcolor=INK)
        axes.spines[:].set_visible(False)
    return path


def scores(values, path, names, threshold=None, title="", x="reconstruction error"):
    """Draws how scores are spread, group by group, each its own curve of counts.

    Args:
        values: a list of arrays `(n,)`, one for each group.
        path: the PNG to write.
        names: of the groups.
        threshold: a score to mark.
        title: what stands above.
        x: what the scores are.
    """
    if len(values) != len(names):
        raise ValueError(
            f"there must be a name for each group. Received: {len(values)} groups, {len(names)} names"
        )
    everything = np.concatenate([np.ravel(group) for group in values])
    edges = np.linspace(everything.min(), np.quantile(everything, 0.995), 41)
    with drawn(path, (6.4, 3.6), title) as figure:
        axes = figure.subplots()
        for i, (group, name) in enumerate(zip(values, names)):
            counts, _ = np.histogram(group, edges)
            shares = counts / max(1, len(group))
            axes.stairs(shares, edges, fill=True, color=COLOURS[i % len(COLOURS)], alpha=0.35)
            axes.stairs(shares, edges, color=COLOURS[i % len(COLOURS)], label=shortened(name))
        if threshold is not None:
            axes.axvline(threshold, color=INK, linewidth=1, linestyle="--")
        dress(axes, x, "share")
        axes.legend(frameon=False, fontsize=9, labelcolor=INK)
    return path


def coverage(shares, path, names, wanted=None, title=""):
    """Draws which classes generated images fall into, beside those of the data.

    Args:
        shares: `(classes,)`, of the generated images.
        path: the PNG to write.
        names: of the classes.
        wanted: `(classes,)`, of the data; by default all alike.
        title: what stands above.
    """
    shares = np.asarray(shares, "float64")
    wanted = np.full(len(shares), 1 / len(shares)) if wanted is None else np.asarray(wanted, "float64")
    if not len(shares) == len(wanted) == len(names):
        raise ValueError(
            f"there must be a share and a name for each class. Received: {len(shares)} shares, {len(wanted)} wanted, "
            f"{len(names)} names"
        )
    places = np.arange(len(shares))
    with drawn(path, (6.4, 3.2), title) as figure:
        axes = figure.subplots()
        axes.bar(places - 0.2, shares, 0.4, color=COLOURS[0], label="generated")
        axes.bar(places + 0.2, wanted, 0.4, color=MUTED, alpha=0.5, label="data")
        dress(axes, "", "share")
        axes.set_xticks(places, [shortened(name, 11) for name in names], rotation=30 if len(names) > 5 else 0)
        axes.set_ylim(0, 1.2 * max(1e-9, shares.max(), wanted.max()))  # room for the legend
        axes.legend(frameon=False, fontsize=9, labelcolor=INK, ncols=2, loc="upper right")
    return path
