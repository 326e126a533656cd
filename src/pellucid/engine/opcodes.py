"""The instructions of a program, each with the NumPy line it stands for.

A program is a table: one row an instruction, each with an opcode, the buffers it reads and writes,
and a few numbers. `OPCODES` says which buffers and numbers an opcode takes, in which order, and
holds its NumPy twin, a function that does on arrays what the compiled core does on memory. The
twins run the same table in Python: they are how the table is tested, and what it means.

Buffers that go with the batch have its rows first; `mult` is how many rows of the product a row of
the batch holds, 1 except for layers applied along time: (B, T, C) is (B·T, C) there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pellucid.random import Stream

Array = NDArray[Any]

REGIONS = ("arena", "theta", "gradient", "state", "slot0", "slot1")


@dataclass(eq=False)
class Buffer:
    """A place for an array: in the arena, or a stretch of one of the network's vectors.

    `shape` is that of one row where the buffer goes with the batch (`batch`), else the whole.
    `offset` counts bytes from the start of the region; the planner sets it for the arena.
    """

    name: str
    shape: tuple[int, ...]
    batch: bool = True
    region: str = "arena"
    offset: int = 0
    integer: bool = False  # int64
    double: bool = False  # float64, whatever the network computes in
    alias: Buffer | None = None  # another shape of the same memory

    @property
    def size(self) -> int:
        """Values in one row, or in all."""
        return prod(self.shape)

    @property
    def root(self) -> Buffer:
        """The buffer whose memory this is."""
        return self if self.alias is None else self.alias.root

    def reshaped(self, name: str, shape: tuple[int, ...]) -> Buffer:
        """The same memory under another name and shape."""
        return Buffer(name, shape, self.batch, self.region, self.offset, self.integer, alias=self)


@dataclass(eq=False)
class Instruction:
    """An opcode, its buffers by name (None where one is left out) and its numbers."""

    op: str
    buffers: dict[str, Buffer | None]
    numbers: dict[str, float] = field(default_factory=dict)
    node: str = ""

    @property
    def writes(self) -> Buffer:
        """The buffer that is written (the first one)."""
        first = next(iter(self.buffers.values()))
        assert first is not None
        return first


class Moment(NamedTuple):
    """What an instruction may need to know of the step it runs in."""

    rows: int
    total: float  # Σw of the effective batch
    weighted: bool
    step: int
    part: int
    rate: float = 0.0  # the learning rate, and the number of the update counted from 1
    t: int = 0


Twin = Callable[..., float | None]


class Opcode(NamedTuple):
    """Which buffers and numbers an opcode takes, its NumPy line, and its twin."""

    number: int
    buffers: tuple[str, ...]
    numbers: tuple[str, ...]
    line: str
    twin: Twin


OPCODES: dict[str, Opcode] = {}


def opcode(buffers: str, numbers: str, line: str) -> Callable[[Twin], Twin]:
    """Enters a twin into the table of opcodes, in order."""

    def decorate(twin: Twin) -> Twin:
        name = twin.__name__.rstrip("_")
        entry = Opcode(len(OPCODES), tuple(buffers.split()), tuple(numbers.split()), line, twin)
        OPCODES[name] = entry
        return twin

    return decorate


MAPS = ("affine", "relu", "leaky", "sigmoid", "tanh")


def _put(y: Array, value: Any, accumulate: float) -> None:
    if accumulate:
        y += value
    else:
        y[...] = value


def _fold(x: Array, width: float) -> Array:
    return x.reshape(-1, int(width))


# ---- dense layers -----------------------------------------------------------------------------


@opcode("y x W b", "I O act slope", "y = act(x @ W + b)")
def matmul(at: Moment, y: Array, x: Array, W: Array, b: Array | None, I: int, O: int, act: int,
           slope: float) -> None:  # fmt: skip
    """Act 0 is none, 1 ReLU, 2 leaky ReLU."""
    out = _fold(y, O)
    np.matmul(_fold(x, I), W, out=out)
    if b is not None:
        out += b
    if act:
        np.maximum(out, slope * out, out=out)


@opcode("dx dy W", "I O accumulate", "dx (+)= dy @ W.T")
def matmul_dx(at: Moment, dx: Array, dy: Array, W: Array, I: int, O: int, accumulate: int) -> None:
    _put(_fold(dx, I), _fold(dy, O) @ W.T, accumulate)


@opcode("dW x dy", "I O", "dW += x.T @ dy")
def matmul_dw(at: Moment, dW: Array, x: Array, dy: Array, I: int, O: int) -> None:
    dW += _fold(x, I).T @ _fold(dy, O)


@opcode("db dy", "O", "db += dy.sum(axis=0)")
def rowsum(at: Moment, db: Array, dy: Array, O: int) -> None:
    db += _fold(dy, O).sum(axis=0)


# ---- elementwise --------------------------------------------------------------------------------


@opcode("y x", "kind a b", "y = f(x)")
def map_(at: Moment, y: Array, x: Array, kind: int, a: float, b: float) -> None:
    """Kinds: `MAPS`; affine is a·x + b, leaky has slope a."""
    name = MAPS[int(kind)]
    if name == "affine":
        y[...] = x * y.dtype.type(a) + y.dtype.type(b)
    elif name in ("relu", "leaky"):
        np.maximum(x, y.dtype.type(a) * x, out=y)
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
    _put(dx, dy * slope, accumulate)


@opcode("y x", "width y_width y_start x_width x_start accumulate",
        "y[:, y_start:][:, :width] (+)= x[:, x_start:][:, :width]")  # fmt: skip
def copy(at: Moment, y: Array, x: Array, width: int, y_width: int, y_start: int, x_width: int,
         x_start: int, accumulate: int) -> None:  # fmt: skip
    target = _fold(y, y_width)[:, int(y_start) : int(y_start + width)]
    _put(target, _fold(x, x_width)[:, int(x_start) : int(x_start + width)], accumulate)


@opcode("y x mean variance", "C", "y = (x - mean) / sqrt(variance)")
def standardize(at: Moment, y: Array, x: Array, mean: Array, variance: Array, C: int) -> None:
    np.multiply(_fold(x, C) - mean, _scale(mean, variance), out=_fold(y, C))


@opcode("dx dy mean variance", "C accumulate", "dx (+)= dy / sqrt(variance)")
def standardize_dx(at: Moment, dx: Array, dy: Array, mean: Array, variance: Array, C: int,
                   accumulate: int) -> None:  # fmt: skip
    _put(_fold(dx, C), _fold(dy, C) * _scale(mean, variance), accumulate)


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
    _put(dx, dy * mask, accumulate)


# ---- losses: each returns its Σwℓ and writes the gradient, multiplied by scale·w/Σw --------------


def _finish(at: Moment, dp: Array, gradient: Array, values: Array, weight: Array | None,
            scale: float) -> float:  # fmt: skip
    share = dp.dtype.type(scale / at.total if at.total else 0.0)
    if at.weighted and weight is not None:
        dp[...] = gradient * (weight * share).reshape(-1, *[1] * (gradient.ndim - 1))
        return scale * float((values * weight).sum(dtype=np.float64))
    dp[...] = gradient * share
    return scale * float(values.sum(dtype=np.float64))


@opcode("dp p y weight", "N scale", "l = ((p - y)**2).mean(axis=1); dp = share * 2 * (p - y) / N")
def mse(at: Moment, dp: Array, p: Array, y: Array, weight: Array, N: int, scale: float) -> float:
    error = p - y
    values = (error * error).reshape(at.rows, -1).sum(axis=1) / p.dtype.type(N)
    return _finish(at, dp, error * p.dtype.type(2 / N), values, weight, scale)


@opcode(
    "dp p y weight",
    "K scale",
    "l = log(exp(p).sum(axis=1)) - p[y]; dp = share * (softmax(p) - onehot(y))",
)
def cross_entropy(
    at: Moment, dp: Array, p: Array, y: Array, weight: Array, K: int, scale: float
) -> float:
    z = p - p.max(axis=1, keepdims=True)
    e = np.exp(z)
    total = e.sum(axis=1, keepdims=True)
    pick = (np.arange(at.rows), y)
    values = np.log(total)[:, 0] - z[pick]
    gradient = e / total
    gradient[pick] -= 1
    return _finish(at, dp, gradient, values, weight, scale)


@opcode("dp p y weight", "K scale", "l = -(y * log(softmax(p))).sum(axis=1); dp = share * (p - y)")
def cross_entropy_rows(at: Moment, dp: Array, p: Array, y: Array, weight: Array, K: int,
                       scale: float) -> float:  # fmt: skip
    """The rows of y are probabilities."""
    z = p - p.max(axis=1, keepdims=True)
    e = np.exp(z)
    total = e.sum(axis=1, keepdims=True)
    mass = y.sum(axis=1, keepdims=True)
    values = (np.log(total) * mass)[:, 0] - (y * z).sum(axis=1)
    return _finish(at, dp, mass * (e / total) - y, values, weight, scale)


@opcode("dp p y weight", "N scale", "l = (max(p, 0) - p * y + log1p(exp(-abs(p)))).mean(axis=1)")
def binary_cross_entropy(at: Moment, dp: Array, p: Array, y: Array, weight: Array, N: int,
                         scale: float) -> float:  # fmt: skip
    e = np.exp(-np.abs(p))
    values = (np.maximum(p, 0) - p * y + np.log1p(e)).reshape(at.rows, -1).sum(axis=1)
    gradient = np.maximum(p >= 0, e) / (1 + e) - y
    n = p.dtype.type(N)
    return _finish(at, dp, gradient * (1 / n), values / n, weight, scale)


# ---- metrics, in the same sums as the losses -----------------------------------------------------


@opcode("p y weight", "K", "sum of weight * (p.argmax(axis=1) == y)")
def accuracy(at: Moment, p: Array, y: Array, weight: Array, K: int) -> float:
    right = p.argmax(axis=1) == y
    return float(weight[right].sum(dtype=np.float64) if at.weighted else np.count_nonzero(right))


# ---- the update, on one stretch of the flat vectors ----------------------------------------------


@opcode("g theta", "l1 l2", "g += l1 * sign(theta) + l2 * theta")
def penalize(at: Moment, g: Array, theta: Array, l1: float, l2: float) -> None:
    if l2:
        g += l2 * theta
    if l1:
        g += l1 * np.sign(theta)


@opcode("g", "limit", "g = clip(g, -limit, limit)")
def clamp(at: Moment, g: Array, limit: float) -> None:
    np.clip(g, -limit, limit, out=g)


@opcode("total g", "start", "total (+)= (g * g).sum(), as (sum, scale) so that it cannot overflow")
def square_sum(at: Moment, total: Array, g: Array, start: int) -> None:
    if start:
        total[...] = 0.0, 1.0
    more = float(np.square(g / total[1], dtype=np.float64).sum())
    if not np.isfinite(total[0] + more):
        scale = max(float(np.abs(g).max()), float(total[1]))
        total[...] = total[0] * (total[1] / scale) ** 2, scale
        more = float(np.square(g / scale, dtype=np.float64).sum())
    total[0] += more


@opcode("g total", "limit", "g *= min(1, limit / (norm + 1e-6))")
def shrink(at: Moment, g: Array, total: Array, limit: float) -> None:
    g *= min(1.0, limit / (float(total[1]) * float(total[0]) ** 0.5 + 1e-6))


@opcode(
    "theta g velocity",
    "momentum nesterov decay",
    "theta -= rate * (velocity = momentum * velocity + g)",
)
def sgd(at: Moment, theta: Array, g: Array, velocity: Array | None, momentum: float, nesterov: int,
        decay: float) -> None:  # fmt: skip
    if decay:
        g = g + decay * theta
    if velocity is not None:
        velocity *= momentum
        velocity += g
        g = g + momentum * velocity if nesterov else velocity
    theta -= at.rate * g


@opcode(
    "theta g m v",
    "beta_1 beta_2 epsilon decay decoupled",
    "theta -= rate * m / (sqrt(v) + epsilon)",
)
def adam(at: Moment, theta: Array, g: Array, m: Array, v: Array, beta_1: float, beta_2: float,
         epsilon: float, decay: float, decoupled: int) -> None:  # fmt: skip
    if decay and decoupled:
        theta *= 1 - at.rate * decay
    elif decay:
        g = g + decay * theta
    m *= beta_1
    m += (1 - beta_1) * g
    v *= beta_2
    v += (1 - beta_2) * g * g
    c = (1 - beta_2**at.t) ** 0.5
    theta -= (at.rate * c / (1 - beta_1**at.t)) * m / (np.sqrt(v) + c * epsilon)
