"""Convolution and pooling as instructions; sequences are images of height 1.

A ReLU behind a convolution is computed in its epilogue; with a max-pool behind that it waits for
the pool: the greatest of a window is the same before and after, and there are fewer of them.

A transposed convolution is a convolution run backwards: `conv_dx` is its forward pass, `conv` and
`conv_dw` are its gradients, with the places of x and y exchanged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pellucid.engine.opcodes import MAPS, Buffer
from pellucid.engine.opcodes.images import POOLS
from pellucid.layers import (
    DepthwiseConv2D,
    GlobalAvgPool1D,
    GlobalAvgPool2D,
    GlobalMaxPool1D,
    GlobalMaxPool2D,
    LeakyReLU,
    MaxPool1D,
    MaxPool2D,
    ReLU,
    SeparableConv2D,
)
from pellucid.layers.windows import Grid, sides
from pellucid.network.graph import Node, Source

if TYPE_CHECKING:
    from pellucid.engine.lowering.base import Lowering

Numbers = dict[str, float]
Sides = tuple[tuple[int, int], tuple[int, int]]  # top and bottom, left and right
_NO_SIDES: Sides = ((0, 0), (0, 0))
_GREATEST = (MaxPool2D, MaxPool1D, GlobalMaxPool2D, GlobalMaxPool1D)
_WHOLE = (GlobalAvgPool2D, GlobalAvgPool1D, GlobalMaxPool2D, GlobalMaxPool1D)


def image_of(row: tuple[int, ...]) -> tuple[int, int, int]:
    """(H, W, C) of a row (H, W, C) or (T, C)."""
    height, width, channels = (1, *row)[-3:]
    return height, width, channels


def sides_of(padding: Node) -> Sides:
    """The zeros that a padding layer puts around."""
    layer: Any = padding.layer
    return sides(layer, layer.padding)


def numbers_of(grid: Grid, channels: int) -> Numbers:
    """What convolution and pooling have in common."""
    (H, W), (OH, OW), (kh, kw), (sh, sw) = grid.size, grid.number, grid.kernel, grid.strides
    top, left = grid.before
    return {"IH": H, "IW": W, "C": channels, "OH": OH, "OW": OW, "kh": kh, "kw": kw, "sh": sh,
            "sw": sw, "top": top, "left": left}  # fmt: skip


def _filters(grid: Grid, channels: int, filters: int, groups: int) -> Numbers:
    """What convolution and its gradients have in common."""
    dh, dw = grid.dilation
    return numbers_of(grid, channels) | {"O": filters, "dh": dh, "dw": dw, "groups": groups}


def emit_copy(
    low: Lowering, y: Buffer, x: Buffer, width: int, *, y_width: int = 0, y_start: int = 0,
    x_width: int = 0, x_start: int = 0, accumulate: int = 0,
) -> None:  # fmt: skip
    """A stretch of each row: rows are as wide as the stretch, or as they are said to be."""
    low.emit("copy", {"y": y, "x": x}, width=width, y_width=y_width or width, y_start=y_start,
             x_width=x_width or width, x_start=x_start, accumulate=accumulate)  # fmt: skip


# ---- convolution --------------------------------------------------------------------------------


class _Part(NamedTuple):
    """A convolution, and what its weights and its bias are called in the layer it is part of."""

    conv: Any
    W: str
    b: str | None


def _parts(layer: Any, channels: int) -> list[_Part]:
    """The convolutions that a layer is, one after another."""
    b = "b" if layer.use_bias else None
    if isinstance(layer, SeparableConv2D):
        depth, point = layer.parts
        return [_Part(depth.as_conv2d(channels), "W_depth", None), _Part(point, "W_point", b)]
    single = layer.as_conv2d(channels) if isinstance(layer, DepthwiseConv2D) else layer
    return [_Part(single, "W", b)]


def _conv_grid(conv: Any, image: tuple[int, int, int], around: Sides) -> Grid:
    """The windows of a convolution on images that have zeros around them first."""
    (top, bottom), (left, right) = around
    H, W, C = image
    shape = (1, top + H + bottom, left + W + right, C)
    grid = Grid.of(conv, shape, conv.kernel_size, conv.strides, conv._padding, conv.dilation_rate)
    before = (grid.before[0] + top, grid.before[1] + left)
    return grid._replace(size=(H, W), before=before)


def lower_conv(low: Lowering, index: int, node: Node, *, padding: Node | None = None) -> None:
    """Windows times filters, with the bias and a ReLU right behind it in the epilogue.

    Zeros that a layer in front puts around are padding too; `padding` is its node.
    """
    from pellucid.engine.lowering.layers import folded_activation, slope_before

    source = (padding or node).inputs[0]
    around = _NO_SIDES if padding is None else sides_of(padding)
    start = x = low.at[source]
    activation = low.only_reader(index, ReLU, LeakyReLU)
    pool = None if activation is None else low.only_reader(activation, *_GREATEST)
    last, act, slope = (index, 0, 0.0) if pool is not None else folded_activation(low, index)
    y = low.output(last)
    done: list[tuple[_Part, Buffer, Numbers]] = []
    parts = _parts(node.layer, x.shape[-1])
    for part in parts:
        conv: Any = part.conv
        grid = _conv_grid(conv, image_of(x.shape), around if x is start else _NO_SIDES)
        size = _filters(grid, x.shape[-1], conv.filters, conv.groups)
        done.append((part, x, size))
        final = part is parts[-1]
        z = y if final else Buffer(f"{node.name}/between", (*grid.number, conv.filters))
        low.emit("conv", {"y": z, "x": x, "W": low.parameter(node, part.W),
                 "b": low.parameter(node, part.b) if part.b else None}, **size,
                 act=act if final else 0, slope=slope if final else 0.0)  # fmt: skip
        x = z

    def backward() -> None:
        dy = slope_before(low, node, y, low.slopes.get(Source(last)), act, slope)
        for part, x, size in reversed(done):
            if dy is None:
                return
            dW, added = low.gradient(node, part.W)
            db = low.gradient(node, part.b)[0] if part.b else None
            low.emit("conv_dw", {"dW": dW, "x": x, "dy": dy, "db": db}, **size, accumulate=added)
            inner = Buffer(f"d/{x.name}", x.shape), 0
            entry = low.send(source) if x is start else inner
            if entry is not None:
                low.emit("conv_dx", {"dx": entry[0], "dy": dy, "W": low.parameter(node, part.W)},
                         **size, accumulate=entry[1])  # fmt: skip
            dy = entry[0] if entry else None

    low.later(backward)
    if activation is not None and pool is not None:
        low.folded |= {activation, pool}
        low.node(low.graph.nodes[pool].name)
        lower_pool(low, pool, low.graph.nodes[pool], activation=activation)


def lower_transposed(low: Lowering, index: int, node: Node) -> None:
    """The bias everywhere, every pixel's window added to it, and a ReLU right behind in place."""
    from pellucid.engine.lowering.layers import folded_activation, slope_before

    layer: Any = node.layer
    x, W = low.at[node.inputs[0]], low.parameter(node, "W")
    last, act, slope = folded_activation(low, index)
    y = low.output(last)
    grid: Grid = layer._grid((1, *image_of(x.shape)))
    size = _filters(grid, layer.filters, x.shape[-1], layer.groups)
    edge = _outside(grid, x, layer.filters)
    b = low.parameter(node, "b") if layer.use_bias else None
    if b is not None:
        low.emit("conv", {"y": y, "x": x, "W": b, "b": b}, **edge, act=0, slope=0.0)
    low.emit("conv_dx", {"dx": y, "dy": x, "W": W}, **size, accumulate=int(layer.use_bias))
    if act:
        kind = MAPS.index("leaky" if slope else "relu")
        low.emit("map", {"y": y, "x": y}, kind=kind, a=slope, b=0.0)

    def backward() -> None:
        dy = slope_before(low, node, y, low.slopes.get(Source(last)), act, slope)
        if dy is None:
            return
        dW, added = low.gradient(node, "W")
        low.emit("conv_dw", {"dW": dW, "x": dy, "dy": x, "db": None}, **size, accumulate=added)
        if b is not None:
            db, added = low.gradient(node, "b")
            nothing = Buffer(f"{node.name}/nothing", b.shape, batch=False)
            low.emit("conv_dw", {"dW": nothing, "x": x, "dy": dy, "db": db}, **edge,
                     accumulate=added)  # fmt: skip
        entry = low.send(node.inputs[0])
        if entry is not None:
            dx = Buffer(f"{node.name}/dx", x.shape) if entry[1] else entry[0]
            low.emit("conv", {"y": dx, "x": dy, "W": W, "b": None}, **size, act=0, slope=0.0)
            if dx is not entry[0]:
                emit_copy(low, entry[0], dx, dx.size, accumulate=1)

    low.later(backward)


def _outside(grid: Grid, x: Buffer, filters: int) -> Numbers:
    """Windows of one pixel that lie above the image, as many as the larger images have pixels.

    They see zeros: a convolution gives its bias alone, and its gradient by the bias is the sum of
    dy over all pixels. So a bias can be had where there is no convolution forwards.
    """
    (H, W), one, none = grid.size, (1, 1), (0, 0)
    above = Grid((1, x.size), (H, 0), none, one, one, one, (H, W))
    return _filters(above, 1, filters, 1)


# ---- pooling ------------------------------------------------------------------------------------


def lower_pool(low: Lowering, index: int, node: Node, *, activation: int | None = None) -> None:
    """A number for each window; the greatest may go through an activation on its way out."""
    layer: Any = node.layer
    source, act, slope = node.inputs[0], 0, 0.0
    if activation is not None:
        source = low.graph.nodes[activation].inputs[0]
        slope = float(getattr(low.graph.nodes[activation].layer, "negative_slope", 0.0))
        act = 2 if slope else 1
    H, W, C = image_of(low.shape(source))
    if isinstance(layer, _WHOLE):
        grid = Grid((H, W), (0, 0), (0, 0), (H, W), (H, W), (1, 1), (1, 1))
    else:
        strides = layer.pool_size if layer.strides is None else layer.strides
        grid = Grid.of(layer, (1, H, W, C), layer.pool_size, strides, layer.padding)
    kind = "mean" if getattr(layer, "count_include_pad", True) else POOLS[2]
    size = pool_numbers(grid, C, "max" if isinstance(layer, _GREATEST) else kind)
    emit_pool(low, index, source, size | {"act": act, "slope": slope})


def pool_numbers(grid: Grid, channels: int, kind: str) -> Numbers:
    """What pooling and its gradient have in common."""
    return numbers_of(grid, channels) | {"kind": POOLS.index(kind), "act": 0, "slope": 0.0}


def emit_pool(low: Lowering, index: int, source: Source, size: Numbers) -> None:
    """A node that is one pool, and later its gradient."""
    x, y = low.at[source], low.output(index)
    low.emit("pool", {"y": y, "x": x}, **size)

    def backward() -> None:
        dy = low.slopes.get(Source(index))
        entry = low.send(source) if dy is not None else None
        if entry is not None and dy is not None:
            emit_pool_grad(low, x, y, dy, entry, size)

    low.later(backward)


def emit_pool_grad(low: Lowering, x: Buffer, y: Buffer, dy: Buffer, into: tuple[Buffer, int],
                   size: Numbers) -> None:  # fmt: skip
    """The gradient of a pool by x; `into` says where it goes, and whether it is added there."""
    seen: dict[str, Buffer | None] = {"x": x, "y": y}
    if size["kind"] != POOLS.index("max"):
        seen = {"x": None, "y": None}
    low.emit("pool_grad", {"dx": into[0], "dy": dy, **seen}, **size, accumulate=into[1])
