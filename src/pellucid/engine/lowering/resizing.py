"""Up-sampling, padding and cropping as instructions.

*Nearest* by s is what the mean over windows of s × s pixels sends back: to each of them their
gradient, over s². So it is `pool_grad` of s² x, and its own gradient is s² times that mean.

*Linear* by s is nearest by m, a multiple of s, and a mean of what that gave. Let a row of pixels be
the function that is x_i over [i, i + 1). Its mean over a window of length 1 is

    (1 − f) x_i + f x_{i+1}

where the window begins at i + f: linear interpolation between the centres of two pixels, found at
the window's own centre. Beyond the edges the image goes on as it ends, so there the mean of what is
inside is the same. Output pixel k has its centre at (k + ½)/s, and its window begins at
(2k + 1 − s)/(2s), a multiple of 1/m for m = s where s is odd, and for m = 2s else. Each window has
m values of the m·n, begins m/s further than the last, and the first (m − m/s)/2 before the edge.

*Padding* below and at the right is what windows of one pixel, side by side, send back to an image
that they do not fill. For padding above and at the left that image is turned in memory, where all
its rows are one line: so much of the zeros at the end of it come to its beginning.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from pellucid.engine.lowering.images import (
    Numbers,
    Sides,
    emit_copy,
    emit_pool_grad,
    image_of,
    lower_conv,
    pool_numbers,
    sides_of,
)
from pellucid.engine.opcodes import MAPS, Buffer
from pellucid.engine.opcodes.images import POOLS
from pellucid.layers import Conv1D, Conv2D, DepthwiseConv2D, SeparableConv2D
from pellucid.layers.windows import Grid, pair, sides
from pellucid.network.graph import Node, Source

if TYPE_CHECKING:
    from pellucid.engine.lowering.base import Lowering

Size = tuple[int, int, int]  # (H, W, C)
Pair = tuple[int, int]  # along height and width
_NONE, _ONE, _AFFINE = (0, 0), (1, 1), MAPS.index("affine")


def _pool(size: Size, kernel: Pair, strides: Pair, before: Pair, number: Pair) -> Numbers:
    """The numbers of a mean of what is inside of windows."""
    grid = Grid(size[:2], before, _NONE, kernel, strides, _ONE, number)
    return pool_numbers(grid, size[2], POOLS[2])


# ---- up-sampling --------------------------------------------------------------------------------


class _Step(NamedTuple):
    """Pixels become windows (`spread`), or windows their means."""

    spread: bool
    size: Size  # of what comes out
    numbers: Numbers


def _spread(size: Size, factors: Pair) -> _Step:
    larger = (size[0] * factors[0], size[1] * factors[1], size[2])
    return _Step(True, larger, _pool(larger, factors, factors, _NONE, size[:2]))


def _linear(size: Size, factor: int) -> list[_Step]:
    """Linear interpolation along the width."""
    H, W, C = size
    parts = factor if factor % 2 else 2 * factor
    spread, apart = _spread(size, (1, parts)), parts // factor
    made = (H, W * factor)
    numbers = _pool(spread.size, (1, parts), (1, apart), (0, (parts - apart) // 2), made)
    return [spread, _Step(False, (*made, C), numbers)]


def _steps(layer: Any, size: Size) -> list[_Step]:
    """Nearest at once; linear along the width, then along the height of rows as wide pixels."""
    (H, W, C), (height, width) = size, pair(layer, layer.size)
    if layer.interpolation == "nearest":
        return [_spread(size, (height, width))]
    steps = _linear(size, width) if width > 1 else []
    return steps + (_linear((1, H, W * width * C), height) if height > 1 else [])


def lower_upsampling(low: Lowering, index: int, node: Node) -> None:
    """Each pixel, times how many it becomes, spread over a window; and linearly, means of those."""
    from pellucid.engine.lowering.layers import lower_alias

    layer: Any = node.layer
    if pair(layer, layer.size) == _ONE:
        lower_alias(low, index, node)
        return
    x, y = low.at[node.inputs[0]], low.output(index)
    steps = _steps(layer, image_of(x.shape))
    scale = float(prod(s.numbers["kh"] * s.numbers["kw"] for s in steps if s.spread))
    z = Buffer(f"{node.name}/0", x.shape)
    low.emit("map", {"y": z, "x": x}, kind=_AFFINE, a=scale, b=0.0)
    for number, step in enumerate(steps, 1):
        made = y if step is steps[-1] else Buffer(f"{node.name}/{number}", step.size)
        _emit(low, step.spread, made, z, step.numbers)
        z = made

    def backward() -> None:
        dz = low.slopes.get(Source(index))
        entry = low.send(node.inputs[0]) if dz is not None else None
        if dz is None or entry is None:
            return
        for number, step in reversed(list(enumerate(steps))):
            shape = steps[number - 1].size if number else x.shape
            made = Buffer(f"d/{node.name}/{number}", shape)
            _emit(low, not step.spread, made, dz, step.numbers)
            dz = made
        low.emit("map_grad", {"dx": entry[0], "dy": dz, "y": dz}, kind=_AFFINE, a=scale,
                 accumulate=entry[1])  # fmt: skip

    low.later(backward)


def _emit(low: Lowering, spread: bool, y: Buffer, x: Buffer, size: Numbers, added: int = 0) -> None:
    """Windows' means, or what they send back."""
    if spread:
        emit_pool_grad(low, y, x, x, (y, added), size)
    else:
        low.emit("pool", {"y": y, "x": x}, **size)


# ---- padding, cropping --------------------------------------------------------------------------


def lower_padding(low: Lowering, index: int, node: Node) -> None:
    """Zeros around; those of a convolution that alone reads it are that one's own padding."""
    reader = low.only_reader(index, Conv2D, Conv1D, DepthwiseConv2D, SeparableConv2D)
    if reader is None:
        _resize(low, index, node, sides_of(node), padding=True)
        return
    low.folded.add(reader)
    low.node(low.graph.nodes[reader].name)
    lower_conv(low, reader, low.graph.nodes[reader], padding=node)


def lower_cropping(low: Lowering, index: int, node: Node) -> None:
    """Without the edges."""
    layer: Any = node.layer
    _resize(low, index, node, sides(layer, layer.cropping), padding=False)


def _resize(low: Lowering, index: int, node: Node, around: Sides, *, padding: bool) -> None:
    """Padding and cropping, each of which is the other's gradient."""
    from pellucid.engine.lowering.layers import lower_alias, simple

    if around == (_NONE, _NONE):
        lower_alias(low, index, node)
        return
    x, y = low.at[node.inputs[0]], low.output(index)
    there, back = (_pad, _crop) if padding else (_crop, _pad)
    there(low, x, y, around, 0)
    simple(low, index, node, lambda dy, dx, added: back(low, dy, dx, around, added))


def _crop(low: Lowering, x: Buffer, y: Buffer, around: Sides, added: int) -> None:
    """Writes x without its edges to y, or adds it: first without some rows, then columns."""
    (top, bottom), (left, right) = around
    (H, W, C), (h, w, _) = image_of(x.shape), image_of(y.shape)
    if top or bottom:
        rows = Buffer(f"{y.name}/rows", (h, W, C)) if left or right else y
        emit_copy(low, rows, x, h * W * C, x_width=H * W * C, x_start=top * W * C,
                  accumulate=added if rows is y else 0)  # fmt: skip
        x = rows
    if left or right:
        emit_copy(low, y, x, w * C, x_width=W * C, x_start=left * C, accumulate=added)


def _pad(low: Lowering, x: Buffer, y: Buffer, around: Sides, added: int) -> None:
    """Writes x with zeros around it to y, or adds it."""
    (top, _), (left, _) = around
    (h, w, _), size = image_of(x.shape), image_of(y.shape)
    numbers = _pool(size, _ONE, _ONE, _NONE, (h, w))
    turn, n = (top * size[1] + left) * size[2], y.size
    if not turn:
        _emit(low, True, y, x, numbers, added)
        return
    line = Buffer(f"{y.name}/line", y.shape)
    _emit(low, True, line, x, numbers)
    for width, y_start, x_start in ((n - turn, turn, 0), (turn, 0, n - turn)):
        emit_copy(low, y, line, width, y_width=n, y_start=y_start, x_width=n, x_start=x_start,
                  accumulate=added)  # fmt: skip
