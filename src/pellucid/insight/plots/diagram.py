"""The diagram of a small dense network: units as circles, weights as lines in their colours."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pellucid.errors import OptionError
from pellucid.insight.plots.canvas import SIGNED, axes_for, symmetric
from pellucid.layers import Dense
from pellucid.network.network import Network

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[Any]


def diagram(net: Network, ax: Axes | None = None, *, most: int = 16) -> Axes:
    """Draws the dense layers of a network with every weight as a line: red above 0, blue below.

    The larger a weight, the stronger its line; the scale is that of the largest there is. Of
    layers with more than `most` units the first and the last are drawn, and what is left out is
    said under the column. Biases are not drawn.

    Parameters
    ----------
    net : Network
        Whose weights are those of dense layers, one after another.
    ax : matplotlib.axes.Axes, optional
    most : int, default 16
        Units that are drawn of a layer, 2 or more.
    """
    if most < 2:
        raise OptionError(f"most is 2 units or more, not {most}")
    nodes = [node for node in net.graph.nodes if isinstance(node.layer, Dense)]
    matrices = [np.asarray(net.parameters[f"{node.owner}/W"], np.float64) for node in nodes]
    chained = all(a.shape[1] == b.shape[0] for a, b in pairwise(matrices))
    others = [k for k, a in net.parameters.items() if a.ndim > 1 and k not in _own(nodes)]
    if not nodes or not chained or others:
        what = f"{others[0]} is of another kind" if others else "they do not follow one another"
        raise OptionError(
            "a diagram is of dense layers, one after another; here "
            f"{what if nodes else 'are none'}. A notebook draws the graph of any network: type its "
            "name"
        )
    sizes = [len(matrices[0]), *(w.shape[1] for w in matrices)]
    columns = [_shown(size, most) for size in sizes]
    ax = axes_for(ax, 1.6 + 1.5 * len(sizes), 1.4 + 0.28 * max(len(c) for c in columns))
    from matplotlib.collections import LineCollection

    reach = symmetric(np.concatenate([w.ravel() for w in matrices]))
    segments: list[Any] = []
    values: list[float] = []
    for k, matrix in enumerate(matrices):
        for i, y in columns[k].items():
            for j, v in columns[k + 1].items():
                segments.append([(k, y), (k + 1, v)])
                values.append(float(matrix[i, j]))
    order = np.argsort(np.abs(values), kind="stable")  # the strong ones on top
    strong = np.abs(np.array(values))[order] / reach
    lines = LineCollection(
        [segments[i] for i in order], array=np.array(values)[order], cmap=SIGNED,
        linewidths=0.3 + 2.2 * strong, alpha=0.25 + 0.75 * strong, zorder=1,
    )  # fmt: skip
    lines.set_clim(-reach, reach)
    ax.add_collection(lines)
    tall = max(max(column.values()) for column in columns) + 0.9
    titles = ["inputs", *(node.name for node in nodes)]
    for k, (size, column, title) in enumerate(zip(sizes, columns, titles, strict=True)):
        heights = list(column.values())
        ax.scatter([k] * len(heights), heights, s=70, color="white", edgecolor="0.2", zorder=2)
        if len(column) < size:
            ax.text(k, 0, "⋮", ha="center", va="center", fontsize=14)
        said = f"{len(column)} of {size:,} units" if len(column) < size else f"{size} units"
        ax.text(k, -tall, f"{title}\n{said}", ha="center", va="top", fontsize=8)
    ax.set(xlim=(-0.5, len(sizes) - 0.5), ylim=(-tall - 0.5, tall))
    ax.set_axis_off()
    scale: Any = ax.figure.colorbar(lines, ax=ax, label="weight", shrink=0.7)
    scale.solids.set_alpha(1)
    return ax


def _own(nodes: list[Any]) -> list[str]:
    return [f"{node.owner}/W" for node in nodes]


def _shown(size: int, most: int) -> dict[int, float]:
    """Which units of a layer are drawn, and at which height; a gap in the middle is left out."""
    if size <= most:
        return {i: (size - 1) / 2 - i for i in range(size)}
    half = most // 2
    units = [*range(half), *range(size - half, size)]
    heights = [*(half + 0.5 - i for i in range(half)), *(-1.5 - i for i in range(half))]
    return dict(zip(units, heights, strict=True))
