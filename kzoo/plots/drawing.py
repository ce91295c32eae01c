"""What the pictures share: a canvas of its own for each, quiet axes, colours.

No window opens, and no global state of matplotlib changes. Colours are Okabe and Ito's, which people with any colour
vision tell apart.
"""

import contextlib

from kzoo.engine import require
from kzoo.files import replacing

INK, MUTED, FAINT = "#222222", "#6b6b6b", "#e4e4e4"
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
ENGINES = {"tensorflow": "#E69F00", "torch": "#CC6699", "jax": "#0072B2"}
RIGHT, WRONG = "#3d3d3d", "#C1121F"
DPI = 180  # about twice the pixels that a README shows


@contextlib.contextmanager
def drawn(path, size, title):
    """A figure that is written to `path` when the block ends well."""
    module = require("matplotlib.figure", "recipes")
    canvas = require("matplotlib.backends.backend_agg", "recipes").FigureCanvasAgg
    figure = module.Figure(figsize=size, dpi=DPI, layout="constrained", facecolor="white")
    canvas(figure)
    figure.get_layout_engine().set(w_pad=0.09, h_pad=0.07)
    if title:
        longest = max(map(len, title.splitlines()))
        figure.suptitle(title, fontsize=min(12, 120 * size[0] / longest), weight="bold", color=INK)
    yield figure
    with replacing(path) as aside:
        figure.savefig(aside, format="png", metadata={"Software": None})


def dress(axes, x, y):
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
