"""Pictures of what was done, as PNG. Each function writes one file, aside and then renamed."""

from kzoo.plots.drawing import COLOURS, ENGINES, FAINT, INK, MUTED, RIGHT, WRONG, drawn, dress, shortened
from kzoo.plots.foundations import computation, decision_surfaces, families, gradient_flow, heat_map, race
from kzoo.plots.generative import coverage, mosaic, scores
from kzoo.plots.health import health
from kzoo.plots.inside import embedding, feature_maps, filters, sheet
from kzoo.plots.language import attention
from kzoo.plots.rates import learning_rates, schedules
from kzoo.plots.repeated import bands, generalisation
from kzoo.plots.returns import returns
from kzoo.plots.side_by_side import comparison, costs
from kzoo.plots.texts import texts
from kzoo.plots.training import confusion, curves, predictions

__all__ = [
    "COLOURS",
    "ENGINES",
    "FAINT",
    "INK",
    "MUTED",
    "RIGHT",
    "WRONG",
    "attention",
    "bands",
    "comparison",
    "computation",
    "confusion",
    "costs",
    "coverage",
    "curves",
    "decision_surfaces",
    "drawn",
    "dress",
    "embedding",
    "families",
    "feature_maps",
    "filters",
    "generalisation",
    "gradient_flow",
    "health",
    "heat_map",
    "learning_rates",
    "mosaic",
    "predictions",
    "race",
    "returns",
    "schedules",
    "scores",
    "sheet",
    "shortened",
    "texts",
]
