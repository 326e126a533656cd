"""Windows that slide over images: convolution with its two gradients, pooling with its one.

Images are (B, H, W, C), the numbers those of `layers.windows.Grid`; padding at the bottom and right
follows from the size of what comes out.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pellucid.engine.opcodes.base import Array, Moment, opcode, put
from pellucid.engine.opcodes.maps import activated
from pellucid.layers.windows import Grid, batch_last

_CONV = "IH IW C OH OW O kh kw sh sw dh dw top left groups act slope"


def _grid(n: dict[str, int]) -> Grid:
    """The windows that the numbers of an instruction describe."""
    size, number, kernel = (n["IH"], n["IW"]), (n["OH"], n["OW"]), (n["kh"], n["kw"])
    strides, dilation = (n["sh"], n["sw"]), (n.get("dh", 1), n.get("dw", 1))
    before = (n["top"], n["left"])
    after = tuple(
        max((m - 1) * s + (k - 1) * d + 1 - length - b, 0)
        for m, s, k, d, length, b in zip(
            number, strides, kernel, dilation, size, before, strict=True
        )
    )
    return Grid(size, before, after, kernel, strides, dilation, number)


def _matrices(W: Array, groups: int) -> Array:
    """(kh, kw, C/G, O) as one matrix a group: (G, K, O/G)."""
    return W.reshape(-1, groups, W.shape[-1] // groups).swapaxes(0, 1)


def _whole(numbers: dict[str, float]) -> dict[str, int]:
    return {key: int(value) for key, value in numbers.items()}


@opcode("y x W b", _CONV, "y = act(windows(x) @ W + b)")
def conv(at: Moment, y: Array, x: Array, W: Array, b: Array | None, act: int, slope: float,
         **numbers: float) -> None:  # fmt: skip
    n = _whole(numbers)
    x = x.reshape(at.rows, n["IH"], n["IW"], n["C"])
    columns = _grid(n).columns(x, n["groups"])
    out = _matrices(W, n["groups"]).swapaxes(1, 2) @ columns
    out = out.reshape(n["O"], n["OH"], n["OW"], at.rows).swapaxes(0, 3)
    out = out if b is None else out + b
    y[...] = (activated(out, slope) if act else out).reshape(y.shape)


@opcode("dx dy W", _CONV.replace("act slope", "accumulate"), "dx (+)= scatter(dy @ W.T)")
def conv_dx(at: Moment, dx: Array, dy: Array, W: Array, accumulate: int, **numbers: float) -> None:
    n = _whole(numbers)
    dy = batch_last(dy.reshape(at.rows, n["OH"], n["OW"], n["O"])).reshape(
        n["groups"], n["O"] // n["groups"], -1
    )
    back = _grid(n).scattered(_matrices(W, n["groups"]) @ dy, at.rows)
    put(dx, back.reshape(dx.shape), accumulate)


@opcode("dW x dy db", _CONV.replace("act slope", "accumulate"),
        "dW (+)= windows(x).T @ dy; db (+)= dy.sum(axis=(0, 1, 2))")  # fmt: skip
def conv_dw(at: Moment, dW: Array, x: Array, dy: Array, db: Array | None, accumulate: int,
            **numbers: float) -> None:  # fmt: skip
    n = _whole(numbers)
    columns = _grid(n).columns(x.reshape(at.rows, n["IH"], n["IW"], n["C"]), n["groups"])
    dy = batch_last(dy.reshape(at.rows, n["OH"], n["OW"], n["O"])).reshape(
        n["groups"], n["O"] // n["groups"], -1
    )
    put(dW, (columns @ dy.swapaxes(1, 2)).swapaxes(0, 1).reshape(dW.shape), accumulate or at.part)
    if db is not None:
        put(db, dy.sum(axis=2).reshape(-1), accumulate or at.part)


# ---- pooling ------------------------------------------------------------------------------------

POOLS = ("max", "mean", "mean of what is inside")
_POOL = "kind IH IW C OH OW kh kw sh sw top left act slope"


@opcode("y x", _POOL, "y = act(windows(x).max()), or .mean()")
def pool(at: Moment, y: Array, x: Array, kind: int, act: int, slope: float,
         **numbers: float) -> None:  # fmt: skip
    n = _whole(numbers)
    grid, x = _grid(n), x.reshape(at.rows, n["IH"], n["IW"], n["C"])
    padded = grid.padded(x, 0 if kind else -np.inf)
    first, *others = grid.taps()
    out = padded[:, *first].copy()
    for tap in others:
        (np.add if kind else np.maximum)(out, padded[:, *tap], out=out)
    if kind:
        out *= _share(grid, int(kind), x.dtype)
    y[...] = (activated(out, slope) if act else out).swapaxes(0, 3).reshape(y.shape)


@opcode("dx dy x y", f"{_POOL} accumulate", "dx (+)= dy where x is the first greatest, or dy / n")
def pool_grad(at: Moment, dx: Array, dy: Array, x: Array | None, y: Array | None, kind: int,
              act: int, slope: float, accumulate: int, **numbers: float) -> None:  # fmt: skip
    """Of the greatest that went through an activation on its way out: `act` and `slope` are its."""
    n = _whole(numbers)
    grid, shape = _grid(n), (at.rows, n["OH"], n["OW"], n["C"])
    dy = batch_last(dy.reshape(shape))
    if kind:
        dy = dy * _share(grid, int(kind), dy.dtype)
    size = [b + m + a for b, m, a in zip(grid.before, grid.size, grid.after, strict=True)]
    back = np.zeros((n["C"], *size, at.rows), dy.dtype)
    if not kind:
        assert x is not None
        assert y is not None
        top = batch_last(y.reshape(shape))
        seen = grid.padded(x.reshape(at.rows, n["IH"], n["IW"], n["C"]), -np.inf)
        if act:
            dy = np.where(top > 0, dy, dy * dy.dtype.type(slope))
            seen = activated(seen, slope)
    free = np.ones(dy.shape, bool)  # windows whose gradient no place has taken yet
    for tap in grid.taps():
        hit: Any = free if kind else (seen[:, *tap] == top) & free
        back[:, *tap] += dy * hit
        free = free if kind else free & ~hit
    put(dx, grid.cropped(back).reshape(dx.shape), accumulate)


def _share(grid: Grid, kind: int, dtype: Any) -> Array:
    """1/n, n the values of a window, or those inside the image: () or (H', W', 1)."""
    if kind == POOLS.index("mean"):
        return np.asarray(1 / (grid.kernel[0] * grid.kernel[1]), dtype)
    inside = []
    for n, b, k, s, count in zip(
        grid.size, grid.before, grid.kernel, grid.strides, grid.number, strict=True
    ):
        start = np.arange(count) * s - b
        inside.append(np.minimum(start + k, n) - np.maximum(start, 0))
    share: Array = (1 / np.outer(*inside))[:, :, None].astype(dtype)
    return share
