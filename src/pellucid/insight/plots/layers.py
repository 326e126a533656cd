"""Drawings of what is inside: activations, weights, and what flows through a network on a batch."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pellucid.errors import DataError, OptionError, ShapeError, UnknownNameError
from pellucid.insight.plots.canvas import (
    COLOURS,
    SIGNED,
    axes_for,
    bare,
    colours,
    grid_for,
    symmetric,
)
from pellucid.insight.trace import trace
from pellucid.layers import Activation
from pellucid.network.network import Network
from pellucid.training.sources import unpacked

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[Any]


def activations(
    *layers: Activation, ax: Axes | None = None, low: float = -4.0, high: float = 4.0
) -> Axes:
    """Draws elementwise activations, solid, and their derivatives, dashed.

    >>> from pellucid import ReLU, Tanh
    >>> [line.get_label() for line in activations(Tanh(), ReLU()).get_legend().get_lines()]
    ['Tanh()', 'ReLU()', 'derivative']
    """
    if not layers:
        raise OptionError("which activations? activations(ReLU(), Tanh())")
    for layer in layers:
        if not isinstance(layer, Activation):
            made = f"; call it: {layer.__name__}()" if isinstance(layer, type) else ""
            raise OptionError(f"{layer!r} is no elementwise activation, which has a curve{made}")
    ax = axes_for(ax)
    z = np.linspace(low, high, 801)
    ax.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    ax.axvline(0, color="0.8", linewidth=0.8, zorder=0)
    for layer, colour in zip(layers, colours(len(layers)), strict=True):
        ax.plot(z, layer.value(z), color=colour, label=repr(layer))
        ax.plot(z, layer.derivative(z), color=colour, linestyle="--")
    ax.plot([], [], color="0.4", linestyle="--", label="derivative")
    ax.set(xlabel="z", ylabel="f(z)")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), fontsize=8, frameon=False,
              ncols=min(len(layers) + 1, 4))  # fmt: skip
    return ax


# ---- weights -------------------------------------------------------------------------------------


def weights(
    net: Network, name: str | None = None, axes: Any = None, *,
    shape: tuple[int, ...] | None = None, most: int = 32,
) -> Array:  # fmt: skip
    """Draws weights as pictures: what each unit of a dense layer looks for, or each kernel.

    White is 0, red above and blue below, on one scale for all. Kernels over three channels are
    drawn in colour, about a grey of 0; over other numbers of channels, one picture a channel.

    Parameters
    ----------
    net : Network
    name : str, optional
        The parameter, ``"dense_1/W"``; by default the first weights there are.
    axes : sequence of matplotlib.axes.Axes, optional
        One for each picture.
    shape : tuple of int, optional
        Height and width (and channels) of what a dense layer's inputs make; by default those of
        the network's input. Where there is no such shape, the matrix itself is drawn.
    most : int, default 32
        Pictures that are drawn; the title of the last says how many are left out.

    Returns
    -------
    array of matplotlib.axes.Axes, (pictures,)
    """
    name = name or next((k for k, a in net.parameters.items() if a.ndim > 1), None)
    if name is None:
        raise OptionError("this network has no weights to draw")
    array = np.asarray(net.parameters[name], np.float64)
    if array.ndim == 4:
        pictures = _kernels(array)
    elif array.ndim == 2:
        pictures = _columns(array, shape or _image_shape(net, len(array)))
    else:
        raise ShapeError(f"{name} has shape {array.shape}: weights of 2 or 4 axes make pictures")
    reach, shown = symmetric(array), min(len(pictures), most)
    matrix = array.ndim == 2 and len(pictures) == 1 and pictures[0][1].shape == array.shape
    own = axes is None
    width, height = (5.0, 3.6) if matrix else (1.2, 1.35)
    axes = grid_for(axes, shown, width=width, height=height)
    for k, (ax, (title, picture)) in enumerate(zip(axes, pictures, strict=False)):
        if picture.ndim == 3:
            ax.imshow(0.5 + picture / (2 * reach), interpolation="nearest")
            own = False  # colours have no scale
        else:
            image = ax.imshow(picture, cmap=SIGNED, vmin=-reach, vmax=reach,
                              interpolation="nearest",
                              aspect="auto" if matrix else "equal")  # fmt: skip
        rest = len(pictures) - shown
        if not matrix:
            bare(ax, title + (f" (+{rest})" if rest and k == shown - 1 else ""))
    if matrix:
        axes[0].set(xlabel="output", ylabel="input", title=name)
        axes[0].locator_params(integer=True, min_n_ticks=1)  # units have whole numbers
    if own:
        axes[0].figure.colorbar(image, ax=list(axes), label="weight")
    return axes  # type: ignore[no-any-return]


def _kernels(array: Array) -> list[tuple[str, Array]]:
    """(kh, kw, I, O) as pictures of each kernel."""
    _, _, channels, filters = array.shape
    if channels in (1, 3):
        return [(str(o), array[..., o].squeeze(axis=2) if channels == 1 else array[..., o])
                for o in range(filters)]  # fmt: skip
    pairs = [(o, c) for o in range(filters) for c in range(channels)]
    return [(f"{o}, ch. {c}", array[:, :, c, o]) for o, c in pairs]


def _columns(array: Array, shape: tuple[int, ...] | None) -> list[tuple[str, Array]]:
    """(I, O) as a picture of each unit's inputs, or of the matrix itself."""
    if shape is None:
        return [("", array)]
    if prod(shape) != len(array):
        raise ShapeError(f"{len(array)} inputs make no picture of shape {shape}")
    shape = shape[:2] if shape[2:] == (1,) else shape
    return [(str(o), array[:, o].reshape(shape)) for o in range(array.shape[1])]


def _image_shape(net: Network, inputs: int) -> tuple[int, ...] | None:
    """The shape of the network's input where it is an image of as many values."""
    for spec in net.graph.inputs.values():
        image = len(spec.shape) == 2 or (len(spec.shape) == 3 and spec.shape[2] in (1, 3))
        if image and None not in spec.shape and spec.size == inputs:
            return tuple(int(n or 0) for n in spec.shape)
    return None


# ---- what flows ----------------------------------------------------------------------------------


def gradient_flow(net: Network, x: Any, y: Any = None, ax: Axes | None = None) -> Axes:
    """Draws how large each parameter's gradient is, and its change by one update beside itself.

    Two dots a parameter, on a logarithmic axis, from the first layer at the top: the root mean
    square of dL/dθ, and the norm of the update over that of θ. A ratio near 1e-3 is usual;
    gradients that shrink from the bottom to the top of the picture vanish on their way back. What
    is exactly 0 is marked by a cross at the left edge. The step is taken in a copy.
    """
    story = trace(net, x, y, few=0)
    names = list(story.gradients)
    if not names:
        raise OptionError("this network has no parameters, and so no gradients")
    sizes = np.array(
        [np.sqrt(np.mean(np.square(g, dtype=np.float64))) for g in story.gradients.values()]
    )
    ratios = np.array([_ratio(story.changes[name], story.parameters[name]) for name in names])
    ax = axes_for(ax, 6.0, 1.4 + 0.28 * len(names))
    rows = np.arange(len(names))
    both = np.concatenate([sizes, ratios])
    fine = both[np.isfinite(both) & (both > 0)]
    low, high = (float(fine.min()) / 3, float(fine.max()) * 3) if fine.size else (1e-9, 1.0)
    ax.axvline(1e-3, color="0.8", linewidth=0.8, zorder=0)
    for values, colour, marker, label in (
        (sizes, COLOURS[0], "o", "gradient (root mean square)"),
        (ratios, COLOURS[3], "s", "update / parameter (norms)"),
    ):
        style: dict[str, Any] = {"color": colour, "linestyle": "none"}
        style["fillstyle"] = "full" if marker == "o" else "none"  # both are seen where they meet
        ax.plot(np.where(values > 0, values, np.nan), rows, marker=marker, label=label, **style)
        ax.plot(np.where(values == 0, low, np.nan), rows, marker="x", **style)
    ax.set_xscale("log")
    ax.set_xlim(min(low / 1.5, 5e-4), max(high, 2e-2))  # two powers of ten at the least
    ax.set_yticks(rows, names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.grid(axis="y", color="0.92", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.set_xlabel("size, × where it is exactly 0" if (both == 0).any() else "size")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, fontsize=8, frameon=False)
    return ax


def _ratio(change: Array, parameter: Array) -> float:
    """‖Δ‖ / ‖θ‖; of parameters that are all 0, as biases start, that of Δ alone."""
    size = float(np.linalg.norm(parameter)) or 1.0
    return float(np.linalg.norm(change)) / size


def activation_histograms(
    net: Network, x: Any, axes: Any = None, *, nodes: Sequence[str] | None = None, bins: int = 50
) -> Array:
    """Draws how the values of each node are distributed over a batch.

    The title has their mean and standard deviation, and how many are exactly 0, as a ReLU makes
    them. Values that shrink from node to node, or pile up at the ends of a Sigmoid, are seen here.

    Parameters
    ----------
    net : Network
    x : data, as in `fit`
    axes : sequence of matplotlib.axes.Axes, optional
        One for each node.
    nodes : sequence of str, optional
        By default every node that is no input and changes values, at most 24 of them.
    bins : int, default 50

    Returns
    -------
    array of matplotlib.axes.Axes, (nodes,)
    """
    x, _, _ = unpacked(x, None, None)
    net.inputs_for(x)
    known = [n.name for n in net.graph.nodes]
    if nodes is None:
        moved = ("Flatten", "Reshape", "Identity", "Dropout")
        nodes = [n.name for n in net.graph.nodes
                 if n.layer is not None and type(n.layer).__name__ not in moved][:24]  # fmt: skip
    for name in nodes:
        if name not in known:
            raise UnknownNameError.of(name, known)
    values = net.activations(x, *nodes)
    axes = grid_for(axes, len(nodes), width=2.3, height=1.9, columns=4)
    for ax, name in zip(axes, nodes, strict=True):
        array = values[name].astype(np.float64).ravel()
        finite = array[np.isfinite(array)]
        if not finite.size:
            raise DataError(f"{name} gives nothing finite: net.diagnose(x) looks for the source")
        counts, edges = np.histogram(finite, bins)
        ax.stairs(counts, edges, fill=True, color=COLOURS[0])
        zeros = float(np.mean(array == 0))
        more = f", {100 * zeros:.0f} % are 0" if zeros >= 0.005 else ""
        bad = array.size - finite.size
        more += f", {bad} not finite" if bad else ""
        ax.set_title(f"{name}\n{finite.mean():.2g} ± {finite.std():.2g}{more}", fontsize=8)
        ax.tick_params(labelsize=7)
        ax.set_yticks([])
    return axes  # type: ignore[no-any-return]
