"""Drawings with Matplotlib: of runs, answers, parameters, and of what happens in between.

Each function draws on the `Axes` it is handed, or in a new figure, and returns the Axes. Nothing
is shown or saved (``ax.figure.savefig(path)`` does), no setting of Matplotlib's is changed, and the
network keeps every bit. ``pip install "pellucid[plot]"`` brings Matplotlib.
"""

from pellucid.insight.plots.classes import confusion_matrix, mistakes, predictions
from pellucid.insight.plots.diagram import diagram
from pellucid.insight.plots.layers import (
    activation_histograms,
    activations,
    gradient_flow,
    weights,
)
from pellucid.insight.plots.surface import decision_surface, unit_maps
from pellucid.insight.plots.training import learning_curves, rate_search

__all__ = [
    "activation_histograms", "activations", "confusion_matrix", "decision_surface", "diagram",
    "gradient_flow", "learning_curves", "mistakes", "predictions", "rate_search", "unit_maps",
    "weights",
]  # fmt: skip
