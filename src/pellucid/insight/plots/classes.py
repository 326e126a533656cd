"""Drawings of a classifier's answers: which classes it takes for which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pellucid.errors import OptionError
from pellucid.insight.plots.canvas import AMOUNT, axes_for
from pellucid.metrics import confusion_matrix as count_confusions

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[Any]


def confusion_matrix(
    y_true: Any, y_pred: Any, ax: Axes | None = None, *, names: Sequence[Any] | None = None,
    shares: bool = False,
) -> Axes:  # fmt: skip
    """Draws how often each class was taken for which (`pellucid.metrics.confusion_matrix`).

    The shade of a square is its share of the rows of its true class, so that rare classes are
    seen as well as frequent ones; the number in it is the count, or with `shares` that share in
    per cent.

    Parameters
    ----------
    y_true, y_pred : arrays
        Class indices (B,), or one-hot rows and probabilities (B, K).
    ax : matplotlib.axes.Axes, optional
    names : sequence of str, optional
        The classes' names in order; by default their numbers.
    shares : bool, default False

    >>> ax = confusion_matrix([0, 0, 1], [0, 1, 1], names=["cat", "dog"])
    >>> [text.get_text() for text in ax.texts]
    ['1', '1', '0', '1']
    """
    counts = count_confusions(y_true, y_pred, None if names is None else len(names))
    labels = [str(n) for n in (range(len(counts)) if names is None else names)]
    if not len(counts):
        raise OptionError("there are no rows to count")
    rows = counts.sum(axis=1, keepdims=True)
    part = counts / np.maximum(rows, 1)  # (K, K)
    size = min(3.2 + 0.42 * len(labels), 10.0)
    ax = axes_for(ax, size, size * 0.9)
    image = ax.imshow(part, cmap=AMOUNT, vmin=0, vmax=1)
    ax.figure.colorbar(image, ax=ax, label="share of the true class", shrink=0.8)
    font = max(min(9.0, 110 / len(labels)), 4.0)
    for (i, j), share in np.ndenumerate(part):
        text = (f"{100 * share:.0f}" if rows[i] else "") if shares else str(counts[i, j])
        faint = "0.6" if counts[i, j] == 0 else "black"
        ax.text(j, i, text, ha="center", va="center", fontsize=font,
                color="white" if share > 0.6 else faint)  # fmt: skip
    places = range(len(labels))
    turned = 45 if max(map(len, labels)) > 3 else 0
    ax.set_xticks(places, labels, rotation=turned, ha="right" if turned else "center",
                  rotation_mode="anchor" if turned else "default")  # fmt: skip
    ax.set_yticks(places, labels)
    ax.set(xlabel="predicted class", ylabel="true class")
    right = int(np.trace(counts))
    unit = ", in % of each true class" if shares else ""
    ax.set_title(f"{right:,} of {int(rows.sum()):,} right{unit}", fontsize=10)
    return ax
