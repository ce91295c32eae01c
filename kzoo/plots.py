"""Pictures of what a run did, as PNG: curves, confusion matrix, a sheet of predictions, engines side by side.

Drawn on canvases of their own: no window opens, and no global state of matplotlib changes. Colours are Okabe
and Ito's, which people with any colour vision tell apart.
"""

import contextlib
import math

import numpy as np

from kzoo.engine import require
from kzoo.files import replacing

INK, MUTED, FAINT = "#222222", "#6b6b6b", "#e4e4e4"
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
ENGINES = {"tensorflow": "#E69F00", "torch": "#CC6699", "jax": "#0072B2"}
RIGHT, WRONG = "#3d3d3d", "#C1121F"
DPI = 180  # about twice the pixels that a README shows


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
            _dress(axes, "epoch", group[0].replace("_", " ") if len(group) == 1 else "")
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
        if len(known):
            best = known[values.argmin() if name.endswith(("loss", "error")) else values.argmax()]
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


def comparison(results, path, title=""):
    """Draws engines side by side: their loss curves, how far these are apart, and what the steps cost.

    Args:
        results: one dict per engine, with `engine`, `losses` by step, `step_ms`, `first_step_s`,
            `peak_memory_mb` and `error`, a text where the engine gave nothing. Differences are to the first
            without an error.
        path: the PNG to write.
        title: what stands above.
    """
    done = [result for result in results if not result.get("error")]
    if not done:
        raise ValueError(f"at least one engine must have run. Received: {[r['engine'] for r in results]}")
    with drawn(path, (9.4, 6.6), title) as figure:
        grid = figure.add_gridspec(3, 3, height_ratios=(3.1, 1.5, 1.0 + 0.12 * len(results)))
        upper = figure.add_subplot(grid[0, :])
        _overlay(upper, done)
        _difference(figure.add_subplot(grid[1, :], sharex=upper), done)
        bars = (
            ("step_ms", "step, ms"),
            ("first_step_s", "first step, s"),
            ("peak_memory_mb", "peak memory, MB"),
        )
        for column, (key, label) in enumerate(bars):
            _bars(figure.add_subplot(grid[2, column]), results, key, label, named=column == 0)
    return path


def costs(rows, path, title=""):
    """Draws models by test accuracy against what they cost: multiply-adds, and the time of a training step.

    Args:
        rows: one dict per model, with `model`, `test_accuracy`, `parameters`, `multiply_adds` and `step_ms`. The
            area of a dot grows with the parameters.
        path: the PNG to write.
        title: what stands above.
    """
    panels = (("multiply_adds", "multiply-adds of one example"), ("step_ms", "training step, ms"))
    most = max(row["parameters"] for row in rows)
    with drawn(path, (9.4, 4.0), title) as figure:
        for axes, (key, label) in zip(figure.subplots(1, 2, sharey=True), panels):
            for row, colour in zip(rows, COLOURS * len(rows)):
                area = 30 + 220 * row["parameters"] / most
                axes.scatter(
                    row[key], 100 * row["test_accuracy"], s=area, color=colour, alpha=0.75, linewidth=0
                )
                axes.annotate(
                    row["model"],
                    (row[key], 100 * row["test_accuracy"]),
                    xytext=(0, 9),
                    textcoords="offset points",
                    ha="center",
                    fontsize=8.5,
                    color=INK,
                )
            axes.set_xscale("log")
            axes.margins(x=0.18, y=0.16)
            _dress(axes, label, "test accuracy, %" if key == "multiply_adds" else "")
    return path


def _overlay(axes, done):
    """Curves that may lie on one another: each drawn thinner than the one below it, the last ones dashed."""
    alone = ((2.0, 1.0, "-"),)
    together = ((7.0, 0.4, "-"), (3.2, 1.0, "-"), (1.5, 1.0, (0, (3, 3))), (1.2, 1.0, (0, (1, 2))))
    styles = alone if len(done) == 1 else together
    window = max(len(result["losses"]) for result in done) // 250 + 1
    lowest, highest = np.inf, 0.0
    for result, (width, alpha, dashes) in zip(done, styles * len(done)):
        losses = np.asarray(result["losses"], "float64")
        steps = len(losses) // window * window
        means = losses[:steps].reshape(-1, window).mean(1)
        x = np.arange(window, steps + 1, window)
        colour = ENGINES.get(result["engine"], MUTED)
        axes.plot(
            x, means, color=colour, linewidth=width, alpha=alpha, linestyle=dashes, label=result["engine"]
        )
        finite = means[np.isfinite(means)]
        lowest, highest = min(lowest, finite.min(initial=np.inf)), max(highest, finite.max(initial=0))
    if 0 < lowest < highest / 30:
        axes.set_yscale("log")
    _dress(axes, "", "loss" if window == 1 else f"loss, mean of {window} steps")
    axes.tick_params(labelbottom=False)
    axes.legend(frameon=False, fontsize=10, labelcolor=INK, handlelength=3)


def _difference(axes, done):
    first = np.asarray(done[0]["losses"], "float64")
    _dress(axes, "step", f"|loss − {done[0]['engine']}'s|")
    pairs, floor = [], np.inf
    for result in done[1:]:
        steps = min(len(first), len(result["losses"]))
        with np.errstate(invalid="ignore"):  # losses may have become infinite
            apart = np.abs(np.asarray(result["losses"][:steps], "float64") - first[:steps])
        pairs.append((result["engine"], apart))
        floor = min(floor, apart[apart > 0].min(initial=np.inf))
    if not np.isfinite(floor):
        text = "no difference at any step" if pairs else "only one engine ran"
        axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=MUTED)
        axes.set_yticks([])
        return
    for name, apart in pairs:
        steps = np.arange(1, len(apart) + 1)
        drawn = np.where(
            apart > 0, apart, floor / 2
        )  # equal losses lie on the floor, since a logarithm has no 0
        axes.plot(steps, drawn, color=ENGINES.get(name, MUTED), linewidth=1.2, alpha=0.9, label=name)
    with np.errstate(invalid="ignore", over="ignore"):
        resolution = np.spacing(np.abs(first).astype("float32"))
    axes.plot(
        np.arange(1, len(first) + 1),
        resolution,
        color=MUTED,
        linewidth=1,
        linestyle=":",
        label="float32 resolution",
    )
    axes.set_yscale("log")
    axes.legend(
        frameon=False,
        fontsize=8.5,
        labelcolor=INK,
        ncols=3,
        loc="upper left",
        bbox_to_anchor=(0, 1.22),
        borderpad=0,
    )


def _bars(axes, results, key, label, named):
    values = [0 if r.get("error") else r.get(key) or 0 for r in results]
    top = max(values) or 1
    places = np.arange(len(results))[::-1]
    for y, result, value in zip(places, results, values):
        if result.get("error"):
            if named:  # once, across the three panels
                axes.text(
                    0,
                    y,
                    " " + shortened(result["error"], 90),
                    va="center",
                    fontsize=8.5,
                    color=WRONG,
                    in_layout=False,
                )
            continue
        axes.barh(y, value, color=ENGINES.get(result["engine"], MUTED), height=0.62)
        number = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
        axes.text(value + 0.03 * top, y, number if value else "–", va="center", fontsize=9, color=INK)
    axes.patch.set_visible(False)
    axes.set_xlim(0, 1.28 * top)
    axes.set_ylim(-0.6, len(results) - 0.4)
    axes.set_yticks(places, [r["engine"] for r in results] if named else [""] * len(results), fontsize=9.5)
    axes.set_xticks([])
    axes.tick_params(length=0, labelcolor=INK)
    axes.spines[:].set_visible(False)
    axes.spines["left"].set(visible=True, color=FAINT)
    axes.set_title(label, fontsize=9.5, color=MUTED, loc="left", pad=4)


@contextlib.contextmanager
def drawn(path, size, title):
    """A figure that is written to `path` when the block ends well."""
    module = require("matplotlib.figure", "recipes")
    canvas = require("matplotlib.backends.backend_agg", "recipes").FigureCanvasAgg
    figure = module.Figure(figsize=size, dpi=DPI, layout="constrained", facecolor="white")
    canvas(figure)
    figure.get_layout_engine().set(w_pad=0.09, h_pad=0.07)
    if title:
        figure.suptitle(title, fontsize=12, weight="bold", color=INK)
    yield figure
    with replacing(path) as aside:
        figure.savefig(aside, format="png", metadata={"Software": None})


def _dress(axes, x, y):
    """Quiet axes: a light grid, no box."""
    axes.grid(color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#bdbdbd")
    axes.tick_params(color="#bdbdbd", labelcolor=INK, labelsize=9)
    axes.set_xlabel(x, color=MUTED, fontsize=10)
    axes.set_ylabel(y, color=MUTED, fontsize=10)


def shortened(text, length=22):
    text = str(text)
    return text if len(text) <= length else text[: length - 1] + "…"


def _wide(names, n):
    """Whether the longest name is wider than its column."""
    return n > 20 or max(map(len, names)) > 5
