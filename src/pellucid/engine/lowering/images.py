"""Convolution and pooling as instructions.

A ReLU behind a convolution is computed in its epilogue; with a max-pool behind that it waits for
the pool: the greatest of a window is the same before and after, and there are fewer of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pellucid.engine.opcodes import Buffer
from pellucid.engine.opcodes.images import POOLS
from pellucid.layers import LeakyReLU, MaxPool2D, ReLU
from pellucid.layers.windows import Grid
from pellucid.network.graph import Node, Source

if TYPE_CHECKING:
    from pellucid.engine.lowering.base import Lowering


def _numbers(grid: Grid, channels: int) -> dict[str, float]:
    """What convolution and pooling have in common."""
    (H, W), (OH, OW), (kh, kw), (sh, sw) = grid.size, grid.number, grid.kernel, grid.strides
    top, left = grid.before
    return {"IH": H, "IW": W, "C": channels, "OH": OH, "OW": OW, "kh": kh, "kw": kw, "sh": sh,
            "sw": sw, "top": top, "left": left}  # fmt: skip


def lower_conv(low: Lowering, index: int, node: Node) -> None:
    """Windows times filters, with the bias and a ReLU right behind it in the epilogue."""
    from pellucid.engine.lowering.layers import folded_activation, slope_before

    layer: Any = node.layer
    x, W = low.at[node.inputs[0]], low.parameter(node, "W")
    b = low.parameter(node, "b") if layer.use_bias else None
    grid = Grid.of(layer, (1, *x.shape), layer.kernel_size, layer.strides, layer.padding,
                   layer.dilation_rate)  # fmt: skip
    size = _numbers(grid, x.shape[-1])
    size |= {"O": layer.filters, "dh": grid.dilation[0], "dw": grid.dilation[1]}
    size |= {"groups": layer.groups}
    activation = low.only_reader(index, ReLU, LeakyReLU)
    if activation is not None and low.only_reader(activation, MaxPool2D) is not None:
        last, act, slope = index, 0, 0.0  # the pool will do it
    else:
        last, act, slope = folded_activation(low, index)
    y = low.output(last)
    low.emit("conv", {"y": y, "x": x, "W": W, "b": b}, **size, act=act, slope=slope)

    def backward() -> None:
        dy = slope_before(low, node, y, low.slopes.get(Source(last)), act, slope)
        if dy is None:
            return
        dW, added = low.gradient(node, "W")
        db = low.gradient(node, "b")[0] if layer.use_bias else None
        low.emit("conv_dw", {"dW": dW, "x": x, "dy": dy, "db": db}, **size, accumulate=added)
        entry = low.send(node.inputs[0])
        if entry is not None:
            low.emit("conv_dx", {"dx": entry[0], "dy": dy, "W": W}, **size, accumulate=entry[1])

    low.later(backward)
    if activation is not None and last == index:
        low.folded.add(activation)
        pool = low.only_reader(activation, MaxPool2D)
        assert pool is not None
        low.folded.add(pool)
        low.node(low.graph.nodes[pool].name)
        lower_pool(low, pool, low.graph.nodes[pool], activation=activation)


def lower_pool(low: Lowering, index: int, node: Node, *, activation: int | None = None) -> None:
    """A number for each window; the greatest may go through an activation on its way out."""
    layer: Any = node.layer
    source, act, slope = node.inputs[0], 0, 0.0
    if activation is not None:
        source = low.graph.nodes[activation].inputs[0]
        slope = float(getattr(low.graph.nodes[activation].layer, "negative_slope", 0.0))
        act = 2 if slope else 1
    x, y = low.at[source], low.output(index)
    strides = layer.pool_size if layer.strides is None else layer.strides
    grid = Grid.of(layer, (1, *x.shape), layer.pool_size, strides, layer.padding)
    greatest = isinstance(layer, MaxPool2D)
    kind = "max" if greatest else "mean" if layer.count_include_pad else POOLS[2]
    size = _numbers(grid, x.shape[-1])
    size |= {"kind": POOLS.index(kind), "act": act, "slope": slope}
    low.emit("pool", {"y": y, "x": x}, **size)

    def backward() -> None:
        dy = low.slopes.get(Source(index))
        entry = low.send(source) if dy is not None else None
        if entry is not None:
            seen: dict[str, Buffer | None] = {"x": x, "y": y}
            seen = seen if greatest else {"x": None, "y": None}
            low.emit("pool_grad", {"dx": entry[0], "dy": dy, **seen}, **size, accumulate=entry[1])

    low.later(backward)
