"""Pictures of what a network read and wrote."""

import numpy as np

from kzoo.plots.drawing import INK, MUTED, drawn, shortened


def attention(weights, written, read, path, title="", most=40):
    """Draws where a network looked while it wrote: a row for each symbol written, a column for each one read.

    Args:
        weights: `(written, read)`; a row's sum is 1.
        written, read: the symbols as texts.
        path: the PNG to write.
        title: what stands above.
        most: how many rows and columns to draw at most, the first ones.
    """
    weights = np.asarray(weights)
    if weights.shape != (len(written), len(read)):
        raise ValueError(
            "the weights must have a row for each symbol written and a column for each one read. Received: "
            f"{weights.shape} for {len(written)} and {len(read)} symbols"
        )
    weights, rows, columns = weights[:most, :most], written[:most], read[:most]
    size = (max(3.6, 0.3 * len(columns) + 1.5), max(3.0, 0.27 * len(rows) + 1.4))
    with drawn(path, size, shortened(title, int(11 * size[0]))) as figure:
        axes = figure.subplots()
        axes.imshow(weights, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        axes.set_xticks(range(len(columns)), columns, fontsize=9, rotation=90)
        axes.set_yticks(range(len(rows)), rows, fontsize=9)
        axes.xaxis.tick_top()
        axes.xaxis.set_label_position("top")
        axes.set_xlabel("read", color=MUTED)
        axes.set_ylabel("written", color=MUTED)
        axes.tick_params(length=0, labelcolor=INK)
        axes.spines[:].set_visible(False)
    return path
