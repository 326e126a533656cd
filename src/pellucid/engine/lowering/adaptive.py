"""Adaptive pools as instructions: one pool where that can be, else several that share the work.

Window i of o over n values begins at ⌊i n / o⌋ and ends before ⌈(i + 1) n / o⌉. Let g be the
greatest common divisor of n and o. As i grows by o/g, beginning and end grow by n/g: so the windows
are those of o/g ordinary pools with a stride of n/g, each with its own length and beginning, whose
outputs stand side by side. Often they are also those of a single pool, cut off at the edges.

The greatest value of a window is the greatest of its rows' greatest, and of equals the first in the
first row that has it; its mean is the mean of its rows' means. So width and height may go one after
the other.
"""

from __future__ import annotations

from collections.abc import Callable
from math import gcd
from typing import TYPE_CHECKING, Any, NamedTuple

from pellucid.engine.lowering.images import (
    Numbers,
    emit_copy,
    emit_pool,
    emit_pool_grad,
    image_of,
    pool_numbers,
)
from pellucid.engine.opcodes import Buffer
from pellucid.engine.opcodes.images import POOLS
from pellucid.layers import AdaptiveMaxPool2D
from pellucid.layers.windows import Grid, pair
from pellucid.network.graph import Node, Source

if TYPE_CHECKING:
    from pellucid.engine.lowering.base import Lowering

Size = tuple[int, int, int]  # (H, W, C)
Back = Callable[[Buffer, tuple[Buffer, int]], None]  # dy, and where dx goes


class _Piece(NamedTuple):
    """A pool along one axis, over the values from `start` on."""

    start: int
    length: int
    stride: int
    before: int
    outputs: int


def _pieces(n: int, count: int) -> list[_Piece]:
    """The pools along an axis of n values whose outputs, side by side, are an adaptive pool's."""
    cuts = [(i * n // count, -(-(i + 1) * n // count)) for i in range(count)]
    stride = n if count == 1 else cuts[1][0] if count == 2 else cuts[2][0] - cuts[1][0]
    before = stride - cuts[1][0] if count > 1 else 0
    length = cuts[0][1] + before
    slid = [
        (max(i * stride - before, 0), min(i * stride - before + length, n)) for i in range(count)
    ]
    if slid == cuts and 0 <= before < length and stride > 0:
        return [_Piece(0, length, stride, before, count)]
    common = gcd(n, count)
    return [_Piece(a, b - a, n // common, 0, common) for a, b in cuts[: count // common]]


def lower_adaptive(low: Lowering, index: int, node: Node) -> None:
    """One pool, or those along the width and then those along the height."""
    layer: Any = node.layer
    kind = "max" if isinstance(layer, AdaptiveMaxPool2D) else POOLS[2]
    source, (height, width) = node.inputs[0], pair(layer, layer.output_size)
    H, W, C = image_of(low.shape(source))
    rows, columns = _pieces(H, height), _pieces(W, width)
    if len(rows) == len(columns) == 1:
        emit_pool(low, index, source, _numbers((H, W, C), rows[0], columns[0], kind))
        return
    x, y, middle = low.at[source], low.output(index), Buffer(f"{node.name}/rows", (H, width, C))
    first = _along(low, x, middle, (H, W, C), columns, kind)
    second = _along(low, middle, y, (1, H, width * C), rows, kind)

    def backward() -> None:
        dy = low.slopes.get(Source(index))
        entry = low.send(source) if dy is not None else None
        if entry is not None and dy is not None:
            back = Buffer(f"d/{middle.name}", middle.shape)
            second(dy, (back, 0))
            first(back, entry)

    low.later(backward)


def _numbers(size: Size, rows: _Piece, columns: _Piece, kind: str) -> Numbers:
    """The pool that is one piece along the height and one along the width."""
    _, kernel, strides, before, number = zip(rows, columns, strict=True)
    grid = Grid(size[:2], before, (0, 0), kernel, strides, (1, 1), number)
    return pool_numbers(grid, size[2], kind)


def _along(low: Lowering, x: Buffer, y: Buffer, size: Size, pieces: list[_Piece],
           kind: str) -> Back:  # fmt: skip
    """All pieces along the width of images of this size; returns what emits their gradients."""
    H, W, C = size
    several, done = len(pieces), []
    for number, piece in enumerate(pieces):
        n = W - piece.start
        seen = Buffer(f"{y.name}/from {number}", (H, n, C)) if piece.start else x
        if piece.start:
            emit_copy(low, seen, x, n * C, x_width=W * C, x_start=piece.start * C)
        made = Buffer(f"{y.name}/{number}", (H, piece.outputs, C)) if several > 1 else y
        numbers = _numbers((H, n, C), _Piece(0, 1, 1, 0, H), piece, kind)
        low.emit("pool", {"y": made, "x": seen}, **numbers)
        if several > 1:
            emit_copy(low, y, made, C, y_width=several * C, y_start=number * C)
        done.append((piece, seen, made, numbers))

    def back(dy: Buffer, into: tuple[Buffer, int]) -> None:
        dx, added = into
        for number, (piece, seen, made, numbers) in enumerate(done):
            got = Buffer(f"d/{made.name}", made.shape) if several > 1 else dy
            if several > 1:
                emit_copy(low, got, dy, C, x_width=several * C, x_start=number * C)
            if piece.start:
                sent, n = Buffer(f"d/{seen.name}", seen.shape), W - piece.start
                emit_pool_grad(low, seen, made, got, (sent, 0), numbers)
                emit_copy(
                    low, dx, sent, n * C, y_width=W * C, y_start=piece.start * C, accumulate=1
                )
            else:
                emit_pool_grad(low, seen, made, got, (dx, added), numbers)
            added = 1

    return back
