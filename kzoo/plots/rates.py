"""Pictures of learning rates: schedules by step, and the range test."""

import math

import numpy as np

from kzoo.plots.drawing import COLOURS, FAINT, INK, MUTED, WRONG, drawn, dress


def schedules(named, steps, path, title="", columns=4):
    """Draws learning-rate schedules beside one another, each in a panel of its own.

    Args:
        named: name to schedule, a function of the step.
        steps: how many steps are drawn.
        path: the PNG to write.
        title: what stands above.
        columns: panels in a row.
    """
    shown = np.unique(np.linspace(0, steps - 1, min(steps, 240)).round().astype(int))
    rows = math.ceil(len(named) / columns)
    with drawn(path, (2.5 * min(columns, len(named)), 1.75 * rows + 0.3), title) as figure:
        grid = figure.subplots(rows, min(columns, len(named)), squeeze=False, sharex=True).ravel()
        for axes in grid[len(named) :]:
            axes.set_axis_off()
        for axes, (name, schedule), colour in zip(grid, named.items(), COLOURS * len(named)):
            axes.plot(shown, [float(schedule(int(step))) for step in shown], color=colour, linewidth=1.8)
            dress(axes, "", "")
            axes.set_title(name, fontsize=9.5, color=INK, loc="left")
            axes.set_ylim(bottom=0)
            axes.tick_params(labelsize=8)
        for axes in grid[max(0, len(named) - columns) : len(named)]:
            axes.set_xlabel("step", color=MUTED, fontsize=9)
            axes.tick_params(labelbottom=True)
    return path


def learning_rates(rates, losses, smoothed, suggestion, path, title=""):
    """Draws the losses of a range test over the rate, with the rate that it suggests.

    Args:
        rates: the learning rates, rising.
        losses: the loss at each.
        smoothed: their running mean.
        suggestion: the rate to mark.
        path: the PNG to write.
        title: what stands above.
    """
    losses, smoothed = np.asarray(losses, "float64"), np.asarray(smoothed, "float64")
    rates = np.asarray(rates)[: len(losses)]
    with drawn(path, (6.4, 3.6), title) as figure:
        axes = figure.subplots()
        axes.plot(rates, losses, color=FAINT, linewidth=1.5, label="each batch", zorder=1)
        axes.plot(rates[: len(smoothed)], smoothed, color=COLOURS[0], linewidth=2.2, label="running mean")
        axes.axvline(
            suggestion, color=WRONG, linewidth=1.2, linestyle="--", label=f"suggestion: {suggestion:.2g}"
        )
        axes.set_xscale("log")
        finite = smoothed[np.isfinite(smoothed)]
        low, high = finite.min(), np.quantile(finite, 0.95)
        axes.set_ylim(low - 0.1 * (high - low), min(finite.max(), high + 0.5 * (high - low)))
        dress(axes, "learning rate", "loss")
        axes.legend(frameon=False, fontsize=9, labelcolor=INK)
    return path
