"""What goes along the last axis: normalisation, softmax, and rows of a table looked up."""

from __future__ import annotations

import numpy as np

from pellucid.engine.opcodes.base import Array, Moment, fold, opcode, put

# ---- normalisation over all axes but the last ---------------------------------------------------


@opcode("y x gamma beta saved mean variance", "C momentum epsilon training",
        "y = (x - x.mean()) / sqrt(x.var() + epsilon) * gamma + beta, by channel")  # fmt: skip
def normalize(at: Moment, y: Array, x: Array, gamma: Array | None, beta: Array | None,
              saved: Array | None, mean: Array, variance: Array, C: int, momentum: float,
              epsilon: float, training: int) -> None:  # fmt: skip
    """In training mean and variance are the running ones, to be moved; `saved` gets μ and 1/σ."""
    x, out = fold(x, C), fold(y, C)
    mu, var = mean, variance
    if training:
        n = len(x)
        mu = x.sum(axis=0) / n
        var = np.square(x - mu).sum(axis=0) / n
        mean += (1 - momentum) * (mu - mean)
        variance += (1 - momentum) * (var * (n / (n - 1)) - variance)
    r = 1 / np.sqrt(var + epsilon)
    if saved is not None:
        saved[0], saved[1] = mu, r
    out[...] = (x - mu) * r
    if gamma is not None:
        out *= gamma
    if beta is not None:
        out += beta


@opcode("dx dy x gamma saved dgamma dbeta", "C accumulate added",
        "dx (+)= gamma / σ * (dy - mean(dy) - x_hat * mean(dy * x_hat))")  # fmt: skip
def normalize_grad(at: Moment, dx: Array | None, dy: Array, x: Array, gamma: Array | None,
                   saved: Array, dgamma: Array | None, dbeta: Array | None, C: int,
                   accumulate: int, added: int) -> None:  # fmt: skip
    """`added` is for the parameters' gradients, `accumulate` for dx."""
    dy, x_hat = fold(dy, C), (fold(x, C) - saved[0]) * saved[1]
    db, dg = dy.sum(axis=0), (dy * x_hat).sum(axis=0)
    if dgamma is not None:
        put(dgamma, dg, added or at.part)
    if dbeta is not None:
        put(dbeta, db, added or at.part)
    if dx is not None:
        factor = saved[1] if gamma is None else gamma * saved[1]
        put(fold(dx, C), factor * (dy - db / len(dy) - x_hat * (dg / len(dy))), accumulate)


# ---- softmax ------------------------------------------------------------------------------------


@opcode("y x", "K inner", "y = exp(x) / exp(x).sum(axis)")
def softmax(at: Moment, y: Array, x: Array, K: int, inner: int) -> None:
    """The axis has K values that stand `inner` apart."""
    x, out = (a.reshape(-1, int(K), int(inner)) for a in (x, y))
    top = x.max(axis=1, keepdims=True)
    if not np.isfinite(top).all():  # infinite scores share all, as in `Softmax`
        x = np.where(np.isinf(top), np.where(x == top, 0, -np.inf), x).astype(x.dtype)
        top = np.where(np.isinf(top), 0, top).astype(x.dtype)
    np.exp(x - top, out=out)
    out /= out.sum(axis=1, keepdims=True)


@opcode("dx dy y", "K inner accumulate", "dx (+)= y * (dy - (dy * y).sum(axis))")
def softmax_grad(at: Moment, dx: Array, dy: Array, y: Array, K: int, inner: int,
                 accumulate: int) -> None:  # fmt: skip
    shape = (-1, int(K), int(inner))
    a, d = y.reshape(shape), dy.reshape(shape)
    put(dx.reshape(shape), a * (d - (d * a).sum(axis=1, keepdims=True)), accumulate)


# ---- rows of a table ----------------------------------------------------------------------------


@opcode("y W x", "rows D", "y = W[x]")
def lookup(at: Moment, y: Array, W: Array, x: Array, rows: int, D: int) -> None:
    """Indices outside the table were refused before; the core gives NaN for them."""
    y[...] = W[x].reshape(y.shape)


@opcode("dW dy x", "rows D accumulate", "dW[x] += dy")
def lookup_grad(at: Moment, dW: Array, dy: Array, x: Array, rows: int, D: int,
                accumulate: int) -> None:  # fmt: skip
    if not (accumulate or at.part):
        dW[...] = 0
    np.add.at(dW, x.ravel(), fold(dy, D))
