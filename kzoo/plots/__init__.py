"""Pictures of what was done, as PNG. Each function writes one file, aside and then renamed."""

from kzoo.plots.drawing import COLOURS, ENGINES, FAINT, INK, MUTED, RIGHT, WRONG, drawn, dress, shortened
from kzoo.plots.side_by_side import comparison, costs
from kzoo.plots.training import confusion, curves, predictions

__all__ = [
    "COLOURS",
    "ENGINES",
    "FAINT",
    "INK",
    "MUTED",
    "RIGHT",
    "WRONG",
    "comparison",
    "confusion",
    "costs",
    "curves",
    "drawn",
    "dress",
    "predictions",
    "shortened",
]
