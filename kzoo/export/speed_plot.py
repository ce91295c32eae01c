"""The picture of `kzoo benchmark`: one row per artefact; size, time, speed, memory and accuracy side by side."""

import math

from kzoo.plots import COLOURS, FAINT, INK, MUTED, WRONG, drawn, shortened

OFF = COLOURS[1]  # it ran, but differs
PANELS = (  # figure, title, factor, how it is written
    ("bytes", "size, MB", 1e-6, "{:.2f}"),
    ("p50_ms", "one example, ms\n(p50; line to p95)", 1, "{:.2f}"),
    ("throughput", "examples a second\nin batches of {batch}", 1, "{:,.0f}"),
    ("memory_mb", "peak memory, MB", 1, "{:,.0f}"),
    ("accuracy", "accuracy, %", 100, "{:.2f}"),
)


def draw(result, path):
    """Draws a `Benchmark` as a PNG; the artefacts that differ from the model are orange, failures have a word."""
    panels = [panel for panel in PANELS if any(getattr(row, panel[0]) is not None for row in result.rows)]
    title = f"{result.model} from {result.engine}"
    with drawn(path, (2.2 + 1.75 * (len(panels) + 0.7), 1.5 + 0.36 * len(result.rows)), title) as figure:
        grid = figure.subplots(1, len(panels) + 1, squeeze=False)[0]
        for column, (axes, panel) in enumerate(zip(grid, panels)):
            _panel(axes, result, *panel, named=column == 0)
        _verdicts(grid[-1], result.rows)
        foot = f"{result.machine}; {result.threads} thread{'s' * (result.threads > 1)}"
        if result.data:
            foot += f"; {result.examples} test images of {result.data}"
        if any(row.status == "differs" for row in result.rows):
            foot += "; orange: differs from the model by more than its format allows"
        figure.supxlabel(foot, fontsize=8, color=MUTED)
    return path


def _panel(axes, result, key, label, factor, form, named):
    rows = result.rows
    values = [None if getattr(row, key) is None else factor * getattr(row, key) for row in rows]
    ends = [
        factor * row.p95_ms if key == "p50_ms" and row.p95_ms else value for row, value in zip(rows, values)
    ]
    top = max((end for end in ends if end is not None), default=1) or 1
    low = _low(values) if key == "accuracy" else 0.0
    places = range(len(rows))[::-1]
    for y, row, value, end in zip(places, rows, values, ends):
        if value is None:
            if row.status == "failed" and not named:  # the reason runs across
                continue
            text = shortened(row.message or row.status, 90) if named else "–"
            axes.text(
                low, y, f" {text}", va="center", fontsize=8, color=WRONG if named else MUTED, in_layout=False
            )
            continue
        colour = OFF if row.status == "differs" else MUTED if row.format == "keras" else COLOURS[0]
        axes.barh(y, value - low, left=low, color=colour, height=0.62)
        if end > value:
            axes.plot([value, end], [y, y], color=INK, linewidth=1)
        axes.text(end + 0.03 * (top - low), y, form.format(value), va="center", fontsize=8.5, color=INK)
    axes.patch.set_visible(False)
    axes.set_xlim(low, low + 1.42 * (top - low))
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_yticks(places, [row.format for row in rows] if named else [""] * len(rows), fontsize=9)
    axes.set_xticks([])
    axes.tick_params(length=0, labelcolor=INK)
    axes.spines[:].set_visible(False)
    axes.spines["left"].set(visible=True, color=FAINT)
    if low:
        label = f"{label}\n(bars from {low:g})"
    axes.set_title(label.format(batch=result.batch), fontsize=9, color=MUTED, loc="left", pad=4)


def _verdicts(axes, rows):
    for y, row in zip(range(len(rows))[::-1], rows):
        colour = {"✓": INK, "differs": OFF}.get(row.status, MUTED)
        text = row.status if row.difference is None else f"{row.status}  {row.difference:.1e}"
        axes.text(0, y, text, va="center", fontsize=8.5, color=colour)
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_axis_off()
    axes.set_title("largest difference\n(over largest output)", fontsize=9, color=MUTED, loc="left", pad=4)


def _low(values):
    """Where bars of accuracy begin: low enough that the worst one shows, high enough to tell them apart."""
    known = [value for value in values if value is not None]
    spread = max(known) - min(known)
    return max(0.0, math.floor(min(known) - max(2 * spread, 1)))
