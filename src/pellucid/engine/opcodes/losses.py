"""Losses and metrics: each row's value, its gradient, and sums over the rows.

A loss returns Σ scale·w·ℓ and writes dp = scale · w/Σw · ∂ℓ/∂p; without a place for dp it only
returns the value.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pellucid.engine.opcodes.base import Array, Moment, fold, opcode


def _finish(at: Moment, dp: Array | None, gradient: Array, values: Array, weight: Array | None,
            scale: float) -> float:  # fmt: skip
    """Σ scale·w·ℓ; the gradient, multiplied by scale·w/Σw, goes to dp where it is wanted."""
    weighted = weight if at.weighted and weight is not None else None
    if dp is not None:
        share: Any = dp.dtype.type(scale / at.total if at.total else 0.0)
        if weighted is not None:
            share = (weighted * share).reshape(-1, *[1] * (gradient.ndim - 1))
        dp[...] = gradient * share
    return scale * float((values if weighted is None else values * weighted).sum(dtype=np.float64))


@opcode("dp p y weight", "N scale", "l = ((p - y)**2).mean(axis=1); dp = share * 2 * (p - y) / N")
def mse(
    at: Moment, dp: Array | None, p: Array, y: Array, weight: Array, N: int, scale: float
) -> float:
    error = p - y
    values = (error * error).reshape(at.rows, -1).sum(axis=1) / p.dtype.type(N)
    return _finish(at, dp, error * p.dtype.type(2 / N), values, weight, scale)


@opcode("dp p y weight", "N scale", "l = (max(p, 0) - p * y + log1p(exp(-abs(p)))).mean(axis=1)")
def binary_cross_entropy(at: Moment, dp: Array | None, p: Array, y: Array, weight: Array, N: int,
                         scale: float) -> float:  # fmt: skip
    e = np.exp(-np.abs(p))
    values = (np.maximum(p, 0) - p * y + np.log1p(e)).reshape(at.rows, -1).sum(axis=1)
    gradient = np.maximum(p >= 0, e) / (1 + e) - y
    n = p.dtype.type(N)
    return _finish(at, dp, gradient * (1 / n), values / n, weight, scale)


@opcode(
    "dp p y weight",
    "K scale places",
    "l = log(exp(p).sum(axis=1)) - p[y]; dp = share * (softmax(p) - onehot(y))",
)
def cross_entropy(at: Moment, dp: Array | None, p: Array, y: Array, weight: Array, K: int,
                  scale: float, places: int) -> float:  # fmt: skip
    """A row has one class, or a class for each of its places, whose mean counts."""
    z = fold(p, K) - fold(p, K).max(axis=1, keepdims=True)
    e = np.exp(z)
    total = e.sum(axis=1, keepdims=True)
    pick = (np.arange(len(z)), y.reshape(-1))
    values = np.log(total)[:, 0] - z[pick]
    gradient = e / total
    gradient[pick] -= 1
    return _finish(at, dp, *_means(p, gradient, values, places), weight, scale)


@opcode("dp p y weight", "K scale places",
        "l = -(y * log(softmax(p))).sum(axis=1); dp = share * (p - y)")  # fmt: skip
def cross_entropy_rows(at: Moment, dp: Array | None, p: Array, y: Array, weight: Array, K: int,
                       scale: float, places: int) -> float:  # fmt: skip
    """The rows of y are probabilities."""
    z, y = fold(p, K) - fold(p, K).max(axis=1, keepdims=True), fold(y, K)
    e = np.exp(z)
    total = e.sum(axis=1, keepdims=True)
    mass = y.sum(axis=1, keepdims=True)
    values = (np.log(total) * mass)[:, 0] - (y * z).sum(axis=1)
    gradient = mass * (e / total) - y
    return _finish(at, dp, *_means(p, gradient, values, places), weight, scale)


def _means(p: Array, gradient: Array, values: Array, places: int) -> tuple[Array, Array]:
    """The gradient and the values of rows, from those of their places."""
    n = p.dtype.type(places)
    return gradient.reshape(p.shape) / n, fold(values, places).sum(axis=1) / n


# ---- metrics, in the same sums as the losses -----------------------------------------------------


@opcode("p y weight", "K places", "(weight * (p.argmax(axis=1) == y)).sum(), weight.sum()")
def accuracy(at: Moment, p: Array, y: Array, weight: Array, K: int,
             places: int) -> tuple[float, float]:  # fmt: skip
    right = fold(p, K).argmax(axis=1) == y.reshape(-1)
    if at.weighted:
        each = np.repeat(weight.astype(np.float64), int(places))
        return float(each[right].sum()), float(each.sum())
    return float(np.count_nonzero(right)), float(right.size)
