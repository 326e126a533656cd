"""y = f(x), element by element, and what else goes over an array once."""

from __future__ import annotations

from typing import Any

import numpy as np

from pellucid.engine.opcodes.base import Array, Moment, fold, opcode, put
from pellucid.random import Stream

MAPS = ("affine", "relu", "leaky", "sigmoid", "tanh")


def activated(x: Array, slope: float) -> Array:
    """ReLU, with a slope below 0: of x and slope·x the larger; NaN stays NaN."""
    y: Array = np.maximum(x, x.dtype.type(slope) * x)
    return y


@opcode("y x", "kind a b", "y = f(x)")
def map_(at: Moment, y: Array, x: Array, kind: int, a: float, b: float) -> None:
    """Kinds: `MAPS`; affine is a·x + b, leaky has slope a."""
    name = MAPS[int(kind)]
    if name == "affine":
        y[...] = x * y.dtype.type(a) + y.dtype.type(b)
    elif name in ("relu", "leaky"):
        y[...] = activated(x, a)
    elif name == "sigmoid":
        e = np.exp(-np.abs(x))
        y[...] = np.maximum(x >= 0, e) / (1 + e)
    else:
        np.tanh(x, out=y)


@opcode("dx dy y", "kind a accumulate", "dx (+)= dy * f'(x), written with y = f(x)")
def map_grad(
    at: Moment, dx: Array, dy: Array, y: Array, kind: int, a: float, accumulate: int
) -> None:
    name = MAPS[int(kind)]
    if name == "affine":
        slope: Any = dx.dtype.type(a)
    elif name in ("relu", "leaky"):  # y > 0 exactly where x > 0, for slopes above 0 too
        slope = np.where(y > 0, dx.dtype.type(1), dx.dtype.type(a))
    else:
        slope = y * (1 - y) if name == "sigmoid" else 1 - y * y
    put(dx, dy * slope, accumulate)


@opcode("y x", "width y_width y_start x_width x_start accumulate",
        "y[:, y_start:][:, :width] (+)= x[:, x_start:][:, :width]")  # fmt: skip
def copy(at: Moment, y: Array, x: Array, width: int, y_width: int, y_start: int, x_width: int,
         x_start: int, accumulate: int) -> None:  # fmt: skip
    target = fold(y, y_width)[:, int(y_start) : int(y_start + width)]
    put(target, fold(x, x_width)[:, int(x_start) : int(x_start + width)], accumulate)


@opcode("y x mean variance", "C", "y = (x - mean) / sqrt(variance)")
def standardize(at: Moment, y: Array, x: Array, mean: Array, variance: Array, C: int) -> None:
    np.multiply(fold(x, C) - mean, _scale(mean, variance), out=fold(y, C))


@opcode("dx dy mean variance", "C accumulate", "dx (+)= dy / sqrt(variance)")
def standardize_dx(at: Moment, dx: Array, dy: Array, mean: Array, variance: Array, C: int,
                   accumulate: int) -> None:  # fmt: skip
    put(fold(dx, C), fold(dy, C) * _scale(mean, variance), accumulate)


def _scale(mean: Array, variance: Array) -> Array:
    """1/√v, and 1 where v is nothing but rounding, as in `Standardize`."""
    deviation = np.sqrt(variance)
    noise = 8 * np.finfo(deviation.dtype).eps * np.abs(mean)
    scale: Array = 1 / np.where(deviation > noise, deviation, 1)
    return scale


@opcode(
    "y x mask", "rate key0 key1 draw", "mask = (bits >= rate * 2**32) / (1 - rate); y = x * mask"
)
def dropout(at: Moment, y: Array, x: Array, mask: Array, rate: float, key0: int, key1: int,
            draw: int) -> None:  # fmt: skip
    stream = Stream.from_key((int(key0), int(key1)), int(draw), at.step, at.part)
    mask[...] = stream.keep(x.shape, rate) * x.dtype.type(1 / (1 - rate))
    np.multiply(x, mask, out=y)


@opcode("dx dy mask", "accumulate", "dx (+)= dy * mask")
def multiply(at: Moment, dx: Array, dy: Array, mask: Array, accumulate: int) -> None:
    put(dx, dy * mask, accumulate)
