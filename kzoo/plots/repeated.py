"""Pictures of trainings repeated: curves with their spread, and error against the amount of data."""

import numpy as np

from kzoo.plots.drawing import COLOURS, INK, MUTED, drawn, dress

DASHES = ("-", (0, (4, 1.5)), (0, (1, 1.2)))


def bands(named, path, title="", x="epoch", y="", steps=None, log=False):
    """Draws the mean of several curves for each name, and their standard deviation as a band.

    Args:
        named: name to a list of curves of equal length, one per seed.
        path: the PNG to write.
        title: what stands above.
        x, y: what the axes are called.
        steps: where on the x axis the curves' values lie; by default at 1, 2, 3 …
        log: whether the x axis is logarithmic, with a tick at each value.
    """
    wide = len(named) > 4
    with drawn(path, (8.4 if wide else 6.4, 4.2), title) as figure:
        axes = figure.subplots()
        styles = [(colour, dash) for dash in DASHES for colour in COLOURS]
        ends = []
        for (name, curves), (colour, dash) in zip(named.items(), styles * len(named)):
            curves = np.asarray(curves, "float64")
            mean, spread = curves.mean(0), curves.std(0)
            places = np.arange(1, len(mean) + 1) if steps is None else steps
            axes.plot(
                places, mean, color=colour, linestyle=dash, linewidth=1.8, label=f"{name}: {mean[-1]:.4g}"
            )
            if len(curves) > 1:
                axes.fill_between(places, mean - spread, mean + spread, color=colour, alpha=0.18, linewidth=0)
            ends += list(mean[len(mean) // 4 :])
        low, high = min(ends), max(ends)
        if len(mean) > 8 and high > low:  # the first steps would flatten what follows
            axes.set_ylim(low - 0.15 * (high - low), high + 0.08 * (high - low))
        dress(axes, x, y)
        if log:
            axes.set_xscale("log")
            axes.set_xticks(places)
            axes.xaxis.set_major_formatter("{x:,.0f}")
            axes.minorticks_off()
        else:
            axes.xaxis.get_major_locator().set_params(integer=True)
        place = dict(loc="center left", bbox_to_anchor=(1.01, 0.5)) if wide else {}
        axes.legend(frameon=False, fontsize=9, labelcolor=INK, **place)
    return path


def generalisation(rows, path, title="", columns=3):
    """Draws training and test error against the number of training examples: a panel per method, a colour per width.

    Args:
        rows: one dict per setting: `method`, `width`, `size`, `train_error`, `test_error`, lists over repeats.
        path: the PNG to write.
        title: what stands above.
        columns: panels in a row.
    """
    methods = list(dict.fromkeys(row["method"] for row in rows))
    widths = sorted({row["width"] for row in rows})
    columns = min(columns, len(methods))
    lines = -(-len(methods) // columns)
    with drawn(path, (3.3 * columns, 2.7 * lines + 0.4), title) as figure:
        grid = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True).ravel()
        for axes in grid[len(methods) :]:
            axes.set_axis_off()
        for place, (axes, method) in enumerate(zip(grid, methods)):
            last = {}
            for width, colour in zip(widths, COLOURS * len(widths)):
                own = sorted(
                    (row for row in rows if (row["method"], row["width"]) == (method, width)),
                    key=lambda row: row["size"],
                )
                sizes = [row["size"] for row in own]
                for key, style, thick in (("train_error", (0, (3, 2)), 1.3), ("test_error", "-", 2.0)):
                    means = [100 * np.mean(row[key]) for row in own]
                    label = f"{width} wide" if key == "test_error" else None
                    axes.plot(
                        sizes, means, color=colour, linestyle=style, linewidth=thick, marker=".", label=label
                    )
                last[width] = (100 * np.mean(own[-1]["test_error"]), sizes[-1], colour)
            lowest, place_x, colour = min(last.values())
            axes.annotate(
                f"{lowest:.1f}", (place_x, lowest), (5, 0), textcoords="offset points", fontsize=7.5,
                color=colour, va="center",
            )  # fmt: skip
            axes.set_xscale("log")
            axes.set_xticks(sorted({row["size"] for row in rows}))
            axes.xaxis.set_major_formatter("{x:g}")
            axes.minorticks_off()
            left, bottom = place % columns == 0, place >= len(methods) - columns
            dress(axes, "training examples" if bottom else "", "error, %" if left else "")
            axes.tick_params(labelbottom=True)
            axes.set_title(method.replace("_", " "), fontsize=10, color=INK, loc="left")
            axes.margins(x=0.12)
        grid[0].plot([], [], color=MUTED, linestyle=(0, (3, 2)), label="training")
        grid[0].plot([], [], color=MUTED, label="test")
        grid[0].legend(frameon=False, fontsize=8, labelcolor=INK)
    return path
