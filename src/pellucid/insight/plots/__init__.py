"""Drawings with Matplotlib: of runs, answers, parameters, and of what happens in between.

Each function draws on the `Axes` it is handed, or in a new figure, and returns the Axes. Nothing
is shown or saved (``ax.figure.savefig(path)`` does), no setting of Matplotlib's is changed, and the
network keeps every bit. ``pip install "pellucid[plot]"`` brings Matplotlib.
"""

from pellucid.insight.plots.classes import confusion_matrix
from pellucid.insight.plots.surface import decision_surface, unit_maps
from pellucid.insight.plots.training import learning_curves, rate_search

__all__ = ["confusion_matrix", "decision_surface", "learning_curves", "rate_search", "unit_maps"]
