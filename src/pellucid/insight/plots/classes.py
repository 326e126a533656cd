"""Drawings of a classifier's answers: which classes it takes for which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pellucid.errors import DataError, OptionError, ShapeError
from pellucid.insight.plots.canvas import AMOUNT, COLOURS, axes_for, bare, class_labels, grid_for
from pellucid.metrics import confusion_matrix as count_confusions
from pellucid.network.network import Network
from pellucid.targets import class_indices
from pellucid.training.sources import unpacked

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
    if ax is not None and not hasattr(ax, "imshow"):
        raise OptionError(
            f"confusion_matrix draws on ax, Matplotlib's Axes, not on {ax!r}; the classes' names "
            "are names=..."
        )
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
    font = max(min(9.0, 180 / len(labels)), 4.0)
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


def predictions(
    net: Network, x: Any, y: Any = None, axes: Any = None, *, names: Sequence[Any] | None = None,
    shape: tuple[int, ...] | None = None, most: int = 24,
) -> Array:  # fmt: skip
    """Draws images with what the network takes them for, and how sure it is.

    The title of a right answer is black; that of a wrong one is red, marked by ✗, and says the
    true class first: ``✗ 4 → 9 97 %``.

    Parameters
    ----------
    net : Network
        That gives probabilities of classes.
    x : data, as in `fit`
        Images (B, H, W), (B, H, W, 1) or (B, H, W, 3), or rows that `shape` makes images of.
    y : array, optional
        The true classes, indices (B,) or one-hot (B, K).
    axes : sequence of matplotlib.axes.Axes, optional
        One for each image.
    names : sequence of str, optional
        The classes' names in order; by default those of a dataset, or what the network knows.
    shape : tuple of int, optional
        Height and width, and channels if any, of a row.
    most : int, default 24
        Images that are drawn, from the first on.

    Returns
    -------
    array of matplotlib.axes.Axes, (images,)
    """
    others = getattr(x, "names", None), net.classes
    x, y, _ = unpacked(x, y, None)
    x, y = np.asarray(x)[:most], None if y is None else np.asarray(y)[:most]
    p = _probabilities(net, x)
    return _answers(x, y, p, axes, class_labels(p.shape[1], names, *others), shape)


def mistakes(
    net: Network, x: Any, y: Any = None, axes: Any = None, *, names: Sequence[Any] | None = None,
    shape: tuple[int, ...] | None = None, most: int = 24,
) -> Array:  # fmt: skip
    """Draws the images that a network is most wrong about, the worst first.

    These are the ones taken for another class whose true class has the least probability. The
    arguments are those of `predictions`; all rows of `x` are looked at, `most` of them drawn.
    """
    others = getattr(x, "names", None), net.classes
    x, y, _ = unpacked(x, y, None)
    if y is None:
        raise DataError("which are mistakes is known from the true classes: mistakes(net, x, y)")
    x, y = np.asarray(x), np.asarray(y)
    p = _probabilities(net, x)
    true = _indices(y, p.shape[1])
    wrong = np.flatnonzero(p.argmax(axis=1) != true)
    worst = wrong[np.argsort(p[wrong, true[wrong]], kind="stable")][:most]
    if not worst.size:
        raise DataError(f"there are no mistakes among these {len(x)} rows")
    labels = class_labels(p.shape[1], names, *others)
    return _answers(x[worst], true[worst], p[worst], axes, labels, shape)


def _probabilities(net: Network, x: Array) -> Array:
    p = net.predict(x)
    if not isinstance(p, np.ndarray) or p.ndim != 2 or p.shape[1] < 2:
        raise ShapeError("a network with one output of 2 or more classes (B, K) is needed")
    return p


def _indices(y: Array, classes: int) -> NDArray[np.int64]:
    return class_indices(y.argmax(axis=1) if y.ndim == 2 and y.shape[1] > 1 else y.ravel(), classes)


def _answers(
    x: Array, y: Array | None, p: Array, axes: Any, labels: list[str], shape: Any
) -> Array:
    if not len(x):
        raise DataError("there are no rows to draw")
    said, true = p.argmax(axis=1), None if y is None else _indices(y, p.shape[1])
    axes = grid_for(axes, len(x), width=1.25, height=1.4)
    for i, ax in enumerate(axes):
        picture = _picture(x[i], shape)
        ax.imshow(picture, cmap="gray_r" if picture.ndim == 2 else None, interpolation="nearest")
        sure = f"{labels[said[i]]} {100 * p[i, said[i]]:.0f} %"
        wrong = true is not None and said[i] != true[i]
        title = f"✗ {labels[true[i]]} → {sure}" if wrong and true is not None else sure
        bare(ax, title if len(title) <= 18 else title.replace(" → ", "\n→ "))
        ax.title.set_color(COLOURS[3] if wrong else "black")
    return axes  # type: ignore[no-any-return]


def _picture(row: Array, shape: tuple[int, ...] | None) -> Array:
    """A row as an image (H, W) or (H, W, 3), its numbers fit to be drawn."""
    if shape is not None and row.size != np.prod(shape):
        raise ShapeError(f"rows of shape {row.shape} make no images of shape {shape}")
    image = row.reshape(shape) if shape is not None else row
    image = image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image
    if image.ndim != 2 and not (image.ndim == 3 and image.shape[2] == 3):
        raise ShapeError(f"a row of shape {row.shape} is no image: say which, shape=(H, W)")
    if image.ndim == 3 and image.dtype != np.uint8:
        low, high = float(image.min()), float(image.max())
        image = (image - low) / ((high - low) or 1.0) if low < 0 or high > 1 else image
    return image
