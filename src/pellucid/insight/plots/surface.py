"""Drawings over the plane of two inputs: what a network decides where, and what each unit gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pellucid.errors import OptionError, ShapeError, did_you_mean
from pellucid.insight.plots.canvas import (
    MARKERS,
    SIGNED,
    VALUES,
    axes_for,
    bare,
    class_labels,
    colours,
    grid_for,
    symmetric,
)
from pellucid.network.network import Network
from pellucid.training.sources import unpacked

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[Any]


class Plane(NamedTuple):
    """Points in a grid over the inputs, and the picture's edges: half a step beyond the points."""

    points: Array  # (N·N, 2), row by row from below
    steps: int  # N
    extent: tuple[float, float, float, float]


def plane(net: Network, x: Any, steps: int, margin: float = 0.1) -> tuple[Plane, Array]:
    """A grid over the range of `x` with a margin around it, and the rows of `x` as an array."""
    if steps < 2:
        raise OptionError(f"a plane has 2 steps or more each way, not {steps}")
    arrays = net.inputs_for(x)
    specs = net.graph.inputs
    if len(specs) != 1 or next(iter(specs.values())).shape != (2,):
        shapes = ", ".join(str(spec) for spec in specs.values())
        raise ShapeError(
            f"a plane has two coordinates: a network with one input of shape (B, 2) is needed, "
            f"not {shapes}"
        )
    rows = np.asarray(next(iter(arrays.values())), np.float64)
    if not len(rows):
        raise ShapeError("there are no rows to draw around")
    low, high = rows.min(axis=0), rows.max(axis=0)
    wide = np.where(high > low, high - low, 1.0)
    low, high = low - margin * wide, high + margin * wide
    across, up = (np.linspace(low[k], high[k], steps) for k in (0, 1))
    points = np.stack([axis.ravel() for axis in np.meshgrid(across, up)], axis=1)
    half = (high - low) / (steps - 1) / 2
    left, right, bottom, top = (
        low[0] - half[0],
        high[0] + half[0],
        low[1] - half[1],
        high[1] + half[1],
    )
    return Plane(points, steps, (float(left), float(right), float(bottom), float(top))), rows


def decision_surface(
    net: Network, x: Any, y: Any = None, ax: Axes | None = None, *, output: str | None = None,
    names: Sequence[Any] | None = None, steps: int = 200,
) -> Axes:  # fmt: skip
    """Draws what a network of two inputs answers all over the plane, with the data upon it.

    Several outputs are classes: every place has the colour of the likeliest, fainter where it is
    less sure, with black lines between the classes. A single output between 0 and 1 is a
    probability, with a line at a half; any other is drawn by its value.

    Parameters
    ----------
    net : Network
        With one input of shape (B, 2).
    x, y : data, as in `fit`
        The rows around which to draw, and, where given, the points' classes or values.
    ax : matplotlib.axes.Axes, optional
    output : str, optional
        Which output to draw, where there are several.
    names : sequence of str, optional
        The classes' names in order.
    steps : int, default 200
        Points each way at which the network is asked.
    """
    others = getattr(x, "names", None), net.classes
    x, y, _ = unpacked(x, y, None)
    grid, rows = plane(net, x, steps)
    answer = _chosen(net.predict(grid.points.astype(net.dtype)), output)
    target = None if y is None else np.asarray(_chosen(y, output) if isinstance(y, dict) else y)
    answer = answer.reshape(len(answer), -1)  # (N·N, K)
    ax = axes_for(ax, 5.2, 4.4)
    if answer.shape[1] > 1:
        labels = class_labels(answer.shape[1], names, *others)
        _classes(ax, grid, answer, rows, target, labels)
    else:
        _values(ax, grid, answer[:, 0], rows, target)
    ax.set(xlabel="input 0", ylabel="input 1")
    return ax


def _chosen(outputs: Any, name: str | None) -> Any:
    """The output of this name, or the only one."""
    if not isinstance(outputs, dict):
        return outputs
    if name not in outputs:
        hint = did_you_mean(str(name), outputs) if name is not None else f"one of {list(outputs)}"
        raise OptionError(f"which output is to be drawn? output=: {hint}")
    return outputs[name]


def _classes(
    ax: Any, grid: Plane, answer: Array, rows: Array, y: Array | None, labels: list[str]
) -> None:
    from matplotlib.colors import ListedColormap

    count = answer.shape[1]
    palette = colours(count)
    winner = answer.argmax(axis=1)
    sure = np.ones(len(answer))
    if answer.min() >= 0 and np.allclose(answer.sum(axis=1), 1, atol=1e-3):  # probabilities
        sure = np.clip((answer.max(axis=1) - 1 / count) / (1 - 1 / count), 0, 1)  # 0: all alike
    shape = grid.steps, grid.steps
    ax.imshow(winner.reshape(shape), origin="lower", extent=grid.extent, aspect="auto",
              cmap=ListedColormap(palette), vmin=-0.5, vmax=count - 0.5, interpolation="nearest",
              alpha=0.15 + 0.4 * sure.reshape(shape))  # fmt: skip
    across, up = grid.points[: grid.steps, 0], grid.points[:: grid.steps, 1]
    for k in range(count):
        others = np.delete(answer, k, axis=1).max(axis=1)
        lead = (answer[:, k] - others).reshape(shape)
        if lead.min() < 0 < lead.max():
            ax.contour(across, up, lead, levels=[0], colors="black", linewidths=0.8)
    if y is not None:
        classes = y.argmax(axis=1) if y.ndim == 2 and y.shape[1] == count else y.ravel()
        _points(ax, rows, classes, palette, labels)


def _points(ax: Any, rows: Array, classes: Array, palette: list[Any], labels: list[str]) -> None:
    for k, (colour, label) in enumerate(zip(palette, labels, strict=True)):
        mine = rows[classes == k]
        ax.scatter(mine[:, 0], mine[:, 1], s=18, color=colour, edgecolor="black", linewidth=0.4,
                   marker=MARKERS[k % len(MARKERS)], label=label)  # fmt: skip
    if len(labels) <= 12:
        ax.legend(title="class", fontsize=8, title_fontsize=8, framealpha=0.8)


def _values(ax: Any, grid: Plane, answer: Array, rows: Array, y: Array | None) -> None:
    y = None if y is None else y.ravel()
    binary = y is None or bool(np.isin(y, (0, 1)).all())
    shape = grid.steps, grid.steps
    probable = binary and answer.min() >= 0 and answer.max() <= 1
    if probable:
        low, high, cmap, label = 0.0, 1.0, SIGNED, "probability of class 1"
    elif answer.min() < 0 < answer.max():
        high = symmetric(answer)
        low, cmap, label = -high, SIGNED, "output"
    else:
        low, high, cmap, label = float(answer.min()), float(answer.max()), VALUES, "output"
    image = ax.imshow(answer.reshape(shape), origin="lower", extent=grid.extent, aspect="auto",
                      cmap=cmap, vmin=low, vmax=high, interpolation="nearest",
                      alpha=0.7)  # fmt: skip
    ax.figure.colorbar(image, ax=ax, label=label)
    across, up = grid.points[: grid.steps, 0], grid.points[:: grid.steps, 1]
    if probable and answer.min() < 0.5 < answer.max():
        ax.contour(across, up, answer.reshape(shape), levels=[0.5], colors="black", linewidths=0.8)
    if y is None:
        return
    if probable:
        for k, colour in enumerate(("#2166AC", "#B2182B")):  # the ends of the map
            mine = rows[y == k]
            ax.scatter(mine[:, 0], mine[:, 1], s=18, color=colour, edgecolor="white",
                       linewidth=0.6, marker=MARKERS[k], label=str(k))  # fmt: skip
        ax.legend(title="class", fontsize=8, title_fontsize=8, framealpha=0.8)
    else:
        ax.scatter(rows[:, 0], rows[:, 1], c=y, s=18, cmap=cmap, vmin=low, vmax=high,
                   edgecolor="black", linewidth=0.5)  # fmt: skip


def unit_maps(
    net: Network, x: Any, node: str, axes: Any = None, *, most: int = 32, steps: int = 80
) -> Array:
    """Draws what each unit of a node gives out over the plane of two inputs.

    White is 0, red above and blue below; all units share one scale, so that they can be compared.
    A black line is where a unit's output changes its sign.

    Parameters
    ----------
    net : Network
        With one input of shape (B, 2).
    x : data, as in `fit`
        The rows around which to draw.
    node : str
        ``"dense_1"`` for z, ``"relu_1"`` for a.
    axes : sequence of matplotlib.axes.Axes, optional
        One for each unit.
    most : int, default 32
        Units that are drawn; the title of the last says how many are left out.

    Returns
    -------
    array of matplotlib.axes.Axes, (units,)
    """
    x, _, _ = unpacked(x, None, None)
    grid, _ = plane(net, x, steps)
    values = net.activations(grid.points.astype(net.dtype), node)[node]
    values = values.reshape(len(values), -1)  # (N·N, units)
    shown = min(values.shape[1], most)
    own = axes is None
    axes = grid_for(axes, shown)
    reach = symmetric(values)
    across, up = grid.points[:steps, 0], grid.points[::steps, 1]
    for k, ax in enumerate(axes):
        unit = values[:, k].reshape(steps, steps)
        image = ax.imshow(unit, origin="lower", extent=grid.extent, aspect="auto", cmap=SIGNED,
                          vmin=-reach, vmax=reach, interpolation="nearest")  # fmt: skip
        if unit.min() < 0 < unit.max():
            ax.contour(across, up, unit, levels=[0], colors="black", linewidths=0.8)
        rest = values.shape[1] - shown
        bare(ax, f"{node}[{k}]" + (f" (+{rest})" if rest and k == shown - 1 else ""))
    if own:
        axes[0].figure.colorbar(image, ax=list(axes), label="output")
    return axes  # type: ignore[no-any-return]
