"""The steps of scikit-learn's two optimizers, penalty included, in one formula for an engine.

Each update has numbers of its own, from `EachBatch`: the pull of the penalty, alpha/Σw, and what
the squares of its weights count for in the value of an epoch. That value is

    ½ · alpha · Σ_b (n_b/Σw_b) ΣW_b²,        W_b the weights before update b, n_b the batch's rows

so `update` adds up (n_b/Σw_b) W_b² entry by entry in the slot `squares`, for the weights that it
has just made, which are those before the next update; the first are for who begins the epoch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import sqrt
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from pellucid.optimizers import Optimizer

Array = NDArray[Any]

SQUARES = "squares"


class EachBatch:
    """What the updates of an epoch need besides arrays: n_b/Σw_b and 1/Σw_b of every batch.

    Its updates are counted from 1; the optimizer has made `before` others before it.
    """

    def __init__(self) -> None:
        self.shares, self.pulls, self.before = [1.0, 0.0], [1.0], 0

    def begin(self, rows: Array, totals: Array, before: int) -> None:
        """Another epoch: the rows of its batches, and Σw of each."""
        self.shares = [*(rows / totals).tolist(), 0.0]
        self.pulls = (1 / totals).tolist()
        self.before = before

    def __repr__(self) -> str:
        return "EachBatch()"

    def of(self, t: int) -> tuple[float, float, int]:
        """1/Σw of update `t`'s batch, the share of the batch after it, and its number in all."""
        place = (t - 1) % len(self.pulls)
        return self.pulls[place], self.shares[place + 1], self.before + place + 1


@dataclass(frozen=True, repr=False)
class Penalized(Optimizer):
    """Base of the two: `weight_decay` is alpha."""

    learning_rate: float = 1e-3
    batches: EachBatch = field(default_factory=EachBatch, compare=False, kw_only=True)

    def __post_init__(self) -> None:
        """Nothing is checked: the estimator has."""


@final
@dataclass(frozen=True, repr=False)
class PenalizedMomentum(Penalized):
    """SGD with the rate inside the velocity.

    ::

        g ← (Σ w ∂ℓ + alpha W) / Σw
        v ← μ v − η g
        θ ← θ + v,  or  θ + μ v − η g  (Nesterov's)
    """

    momentum: float = 0.9
    nesterov: bool = True

    def own_slots(self) -> tuple[str, ...]:
        return ("velocity", SQUARES) if self.momentum else (SQUARES,)

    def numbers(self, rate: float, t: int) -> tuple[float, ...]:
        pull, share, _ = self.batches.of(t)
        return self.weight_decay * pull, share

    def update(self, theta: Array, g: Array, slots: Any, rate: float, t: int, decay: float) -> None:
        pull, share = self.numbers(rate, t)
        if decay:
            g = g + pull * theta
        if self.momentum:
            velocity = slots.velocity
            velocity *= self.momentum
            velocity -= rate * g
            theta += self.momentum * velocity - rate * g if self.nesterov else velocity
        else:
            theta -= rate * g
        if decay:
            squares = slots.squares
            squares += share * (theta * theta)


@final
@dataclass(frozen=True, repr=False)
class PenalizedAdam(Penalized):
    """Adam with ε added to √v before its correction.

    ::

        g ← (Σ w ∂ℓ + alpha W) / Σw
        m ← β₁ m + (1 − β₁) g,    v ← β₂ v + (1 − β₂) g²
        θ ← θ − η √(1 − β₂ᵗ) / (1 − β₁ᵗ) · m / (√v + ε)
    """

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8

    def own_slots(self) -> tuple[str, ...]:
        return ("m", "v", SQUARES)

    def numbers(self, rate: float, t: int) -> tuple[float, ...]:
        pull, share, step = self.batches.of(t)
        return self.weight_decay * pull, share, self.corrected(rate, step)

    def corrected(self, rate: float, t: int) -> float:
        """The step along m / (√v + ε)."""
        return rate * sqrt(1 - self.beta_2**t) / (1 - self.beta_1**t)

    def update(self, theta: Array, g: Array, slots: Any, rate: float, t: int, decay: float) -> None:
        pull, share, step = self.numbers(rate, t)
        m, v = slots.m, slots.v
        if decay:
            g = g + pull * theta
        m *= self.beta_1
        m += (1 - self.beta_1) * g
        v *= self.beta_2
        v += (1 - self.beta_2) * (g * g)
        theta -= step * m / (np.sqrt(v) + self.epsilon)
        if decay:
            squares = slots.squares
            squares += share * (theta * theta)
