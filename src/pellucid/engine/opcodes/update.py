"""θ ← θ − η u(g): penalties, clipping and the optimizers, on stretches of the flat vectors."""

from __future__ import annotations

import numpy as np

from pellucid.engine.opcodes.base import Array, Moment, opcode


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
