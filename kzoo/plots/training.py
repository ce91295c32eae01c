"""Pictures of one training: curves, confusion matrix, a sheet of predictions."""

import math

import numpy as np

from kzoo.plots.drawing import COLOURS, FAINT, INK, MUTED, RIGHT, WRONG, drawn, dress, shortened

LOWER_IS_BETTER = ("loss", "error", "reconstruction", "perplexity")
NEITHER = ("kl",)  # how much of something, not how good


def curves(history, path, title=""):
    """Draws losses on the left and the other metrics on the right, by epoch.

    Args:
        history: log name to its values by epoch, as Keras gives it. `x` and `val_x` share a colour; the first
            is thin, the second thick, with its best epoch marked. The learning rate is left out.
        path: the PNG to write.
        title: what stands above.
    """
    names = [
        name for name in history if not name.startswith("val_") and name != "learning_rate" and history[name]
    ]
    names += [name[4:] for name in history if name.startswith("val_") and name[4:] not in history]
    losses = [name for name in names if name.endswith("loss")]
    panels = [group for group in (losses, [name for name in names if name not in losses]) if group]
    if not panels:
        raise ValueError(f"the history must hold at least one value. Received: history={history!r}")
    with drawn(path, (4.6 * len(panels) if len(panels) > 1 else 6.4, 3.5), title) as figure:
        for axes, group in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels):
            for name, colour in zip(group, COLOURS * len(group)):
                _pair(axes, name, history.get(name), history.get("val_" + name), colour)
            dress(axes, "epoch", group[0].replace("_", " ") if len(group) == 1 else "")
            axes.xaxis.get_major_locator().set_params(integer=True)
            if max(map(len, history.values())) == 1:
                axes.set_xticks([1])
            axes.legend(frameon=False, fontsize=9, labelcolor=INK)
    return path


def _pair(axes, name, train, validation, colour):
    shown = name.replace("_", " ")
    if train:
        epochs = range(1, len(train) + 1)
        label = f"{shown}, training" if validation else shown
        axes.plot(
            epochs,
            train,
            color=colour,
            linewidth=1.3,
            alpha=0.75,
            marker="o" if len(train) == 1 else "",
            label=label,
        )
    if validation:
        known = np.flatnonzero(np.isfinite(validation))
        values = np.asarray(validation)[known]
        label = f"{shown}, validation"
        if len(known) and name not in NEITHER:
            best = known[values.argmin() if name.endswith(LOWER_IS_BETTER) else values.argmax()]
            label += f" (best {validation[best]:.4g})"
            axes.plot(
                best + 1, validation[best], "o", color=colour, markersize=7, markeredgecolor="white", zorder=5
            )
        axes.plot(range(1, len(validation) + 1), validation, color=colour, linewidth=2.4, label=label)


def confusion(matrix, labels, path, title=""):
    """Draws a confusion matrix: rows are true classes, columns predicted ones, shades are shares of the row.

    Shades are stretched so that rare confusions show. Up to 20 classes have their counts written in, and on
    the right the share of each that was found.

    Args:
        matrix: counts, `(n, n)`.
        labels: the names of the classes.
        path: the PNG to write.
        title: what stands above.
    """
    matrix = np.asarray(matrix)
    n = len(labels)
    if matrix.shape != (n, n):
        raise ValueError(
            f"the matrix must be square with one row per label. Received: {matrix.shape}, {n} labels"
        )
    share = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    names, few = [shortened(label) for label in labels], n <= 20
    side = min(10.0, 2.6 + 0.5 * n) if few else 9.0
    with drawn(path, (side, side * 0.96), title) as figure:
        axes = figure.subplots()
        axes.imshow(np.sqrt(share), cmap="Blues", vmin=0, vmax=1.15)
        every = range(0, n, 1 if few else math.ceil(n / 50))
        size = 9 if few else 6
        axes.set_xticks(
            every, [names[i] for i in every], rotation=90 if _wide(names, n) else 0, fontsize=size
        )
        axes.set_yticks(every, [names[i] for i in every], fontsize=size)
        axes.set_xlabel("predicted", color=MUTED)
        axes.set_ylabel("true", color=MUTED)
        axes.tick_params(length=0, labelcolor=INK)
        axes.spines[:].set_visible(False)
        if few:
            axes.set_xticks(np.arange(n + 1) - 0.5, minor=True)
            axes.set_yticks(np.arange(n + 1) - 0.5, minor=True)
            axes.grid(which="minor", color="white", linewidth=1.5)
            axes.tick_params(which="minor", length=0)
            for i, j in np.argwhere(matrix > 0):
                colour = "white" if share[i, j] > 0.35 else INK
                axes.text(j, i, f"{matrix[i, j]}", ha="center", va="center", color=colour, fontsize=8.5)
            for i in range(n):
                found = f"{share[i, i]:.1%}" if matrix[i].sum() else "none"
                axes.text(n - 0.35, i, found, ha="left", va="center", color=MUTED, fontsize=9)
    return path


def predictions(images, labels_true, scores, names, path, title="", columns=8):
    """Draws a sheet of images with what was predicted for each and how surely; the wrong ones in red.

    Args:
        images: `(n, h, w, c)`, uint8 or between 0 and 1.
        labels_true: class indices, `(n,)`.
        scores: logits or probabilities, `(n, classes)`; rows that do not sum to 1 are taken for logits.
        names: the names of the classes.
        path: the PNG to write.
        title: what stands above.
        columns: images per row.
    """
    from kzoo.predict import softmax

    images, scores = np.asarray(images), np.asarray(scores, "float64")
    if not len(images) == len(labels_true) == len(scores) or not len(images):
        received = f"{len(images)} images, {len(labels_true)} labels, {len(scores)} scores"
        raise ValueError(f"there must be one label and one row of scores per image. Received: {received}")
    if scores.min() < 0 or not np.allclose(scores.sum(-1), 1, atol=1e-3):
        scores = softmax(scores)
    predicted = scores.argmax(-1)
    columns = min(columns, len(images))
    rows = math.ceil(len(images) / columns)
    with drawn(path, (max(9.4 * columns / 8, 3), 1.48 * rows + 0.2), title) as figure:
        grid = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes in grid[len(images) :]:
            axes.set_axis_off()
        for axes, image, true, guess, row in zip(grid, images, labels_true, predicted, scores):
            right = true == guess
            picture = image if image.shape[-1] == 3 else image[..., 0]
            axes.imshow(picture, cmap="gray", vmin=0, vmax=255 if picture.dtype == np.uint8 else 1)
            axes.set_xticks([])
            axes.set_yticks([])
            for spine in axes.spines.values():
                spine.set(color=FAINT if right else WRONG, linewidth=1 if right else 2.5)
            text = f"{shortened(names[guess], 14)} {row[guess]:.0%}"
            axes.set_title(
                text, fontsize=8, color=RIGHT if right else WRONG, pad=3, weight="normal" if right else "bold"
            )
            axes.set_xlabel(
                "" if right else f"is {shortened(names[true], 16)}", fontsize=8, color=WRONG, labelpad=2
            )
    return path


def _wide(names, n):
    """Whether the longest name is wider than its column."""
    return n > 20 or max(map(len, names)) > 5
