"""Pictures of several at once: engines beside one another, models by what they cost."""

import numpy as np

from kzoo.plots.drawing import COLOURS, ENGINES, FAINT, INK, MUTED, WRONG, drawn, dress, shortened


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
            dress(axes, label, "test accuracy, %" if key == "multiply_adds" else "")
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
    dress(axes, "", "loss" if window == 1 else f"loss, mean of {window} steps")
    axes.tick_params(labelbottom=False)
    axes.legend(frameon=False, fontsize=10, labelcolor=INK, handlelength=3)


def _difference(axes, done):
    first = np.asarray(done[0]["losses"], "float64")
    dress(axes, "step", f"|loss − {done[0]['engine']}'s|")
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
