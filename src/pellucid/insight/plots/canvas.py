"""What all drawings share: Axes to draw on, and colours that everybody can tell apart.

Matplotlib is imported here and nowhere else, when something is drawn. A function that is handed an
`Axes` draws on it and leaves pyplot alone; without one it opens a figure through pyplot, so that a
notebook shows it. No setting of Matplotlib's is changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pellucid.errors import MissingExtraError, OptionError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[Any]

# Okabe and Ito, "Color universal design", 2008: told apart by colour-blind eyes too. Yellow is left
# out, which does not show on white paper; markers say the same once more.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#555555", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
SIGNED = "RdBu_r"  # red above 0, blue below, white at 0
AMOUNT = "Blues"  # from nothing, white, to much
VALUES = "cividis"  # any values, dark to light


def pyplot() -> Any:
    """Matplotlib's pyplot, or the error that names the command that installs it."""
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise MissingExtraError.of("matplotlib", "plot") from None
    return plt


def axes_for(ax: Axes | None, width: float = 6.0, height: float = 4.0) -> Axes:
    """The Axes handed in, or those of a new figure of this size in inches."""
    if ax is not None:
        return ax
    _, new = pyplot().subplots(figsize=(width, height), layout="constrained")
    return new  # type: ignore[no-any-return]


def grid_for(
    axes: Any, count: int, *, width: float = 1.6, height: float = 1.6, columns: int = 8
) -> Array:
    """`count` Axes, (count,): those handed in, one for each, or those of a new figure."""
    if axes is not None:
        given = np.atleast_1d(np.asarray(axes, dtype=object)).ravel()
        if len(given) < count:
            raise OptionError(f"{count} pictures need as many Axes, not {len(given)}")
        for spare in given[count:]:
            spare.set_axis_off()
        return given[:count]
    across = max(min(columns, count), 1)
    down = max(-(-count // across), 1)
    figure = pyplot().figure(figsize=(width * across, height * down), layout="constrained")
    made = figure.subplots(down, across, squeeze=False).ravel()
    for spare in made[count:]:
        spare.set_axis_off()
    return made[:count]  # type: ignore[no-any-return]


def colours(count: int) -> list[Any]:
    """As many colours for classes: the palette, and where it ends, steps through a colour map."""
    if count <= len(COLOURS):
        return list(COLOURS[:count])
    _ = pyplot()
    from matplotlib import colormaps

    return [tuple(c) for c in colormaps["turbo"](np.linspace(0.05, 0.95, count))]


def class_labels(count: int, given: Any, *others: Any) -> list[str]:
    """What the classes are called: as given, else the first of the others that fits, or numbers."""
    if given is not None and len(given) != count:
        raise OptionError(f"there are {count} classes, and names= has {len(given)}")
    for names in (given, *others):
        if names is not None and len(names) == count:
            return [str(name) for name in names]
    return [str(k) for k in range(count)]


def symmetric(values: Array) -> float:
    """The largest size among finite values: a signed map reaches from −it to +it."""
    finite = values[np.isfinite(values)]
    return float(np.abs(finite).max()) if finite.size and finite.any() else 1.0


def bare(ax: Axes, title: str = "") -> None:
    """Takes the ticks off a picture and writes a title above it."""
    ax.set_xticks([])
    ax.set_yticks([])
    if title:
        ax.set_title(title, fontsize=8)
