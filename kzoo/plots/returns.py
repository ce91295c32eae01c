"""Pictures of agents: what they scored, against the steps that they had lived through."""

import numpy as np

from kzoo.plots.drawing import COLOURS, INK, drawn, dress


def returns(curves, path, title="", x="steps of the environments", y="return of the episodes"):
    """Draws one thin line for each training, and the mean of all as a thick one.

    Args:
        curves: name to steps and returns, two lists of one length; a return may be `None` where no episode ended.
        path: the PNG to write.
        title: what stands above.
        x, y: what the axes are called.
    """
    known = {}
    for name, (steps, values) in curves.items():
        values = np.array([np.nan if value is None else value for value in values], "float64")
        there = np.isfinite(values)
        known[name] = np.asarray(steps, "float64")[there], values[there]
    known = {name: curve for name, curve in known.items() if len(curve[0])}
    with drawn(path, (6.4, 4.0), title) as figure:
        axes = figure.subplots()
        for (name, (steps, values)), colour in zip(known.items(), COLOURS * len(known)):
            alone = len(known) == 1
            axes.plot(
                steps,
                values,
                color=colour,
                linewidth=2.0 if alone else 1.0,
                alpha=1.0 if alone else 0.6,
                label=name,
            )
        if len(known) > 1:
            end = min(steps[-1] for steps, _ in known.values())
            places = np.linspace(max(steps[0] for steps, _ in known.values()), end, 100)
            mean = np.mean([np.interp(places, *curve) for curve in known.values()], axis=0)
            axes.plot(places, mean, color=INK, linewidth=2.4, label="mean")
        dress(axes, x, y)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        if known:
            axes.legend(frameon=False, fontsize=9, labelcolor=INK)
    return path
