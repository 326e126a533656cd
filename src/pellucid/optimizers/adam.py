"""Adam, and AdamW: every entry has its own step size, from how large its gradients have been."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import sqrt
from typing import Any, ClassVar, final

import numpy as np

from pellucid.description import number
from pellucid.optimizers.base import Optimizer
from pellucid.random import Array
from pellucid.schedules import Schedule


@dataclass(frozen=True, repr=False)
class Moments(Optimizer):
    """What Adam and its kin share: two running means, of the gradient and of its square.

    ::

        m ← β₁m + (1 − β₁) g
        v ← β₂v + (1 − β₂) g²
    """

    learning_rate: float | Schedule = 1e-3
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8

    aliases: ClassVar[dict[str, str]] = {
        **Optimizer.aliases, "eps": "epsilon", "beta1": "beta_1", "beta2": "beta_2"
    }  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        number(self, "beta_1", at_least=0, below=1)
        number(self, "beta_2", at_least=0, below=1)
        number(self, "epsilon", above=0)

    def own_slots(self) -> tuple[str, ...]:
        return ("m", "v")

    @final
    def remember(self, g: Array, m: Array, v: Array) -> None:
        """The two means, in place."""
        m *= self.beta_1
        m += (1 - self.beta_1) * g
        v *= self.beta_2
        v += (1 - self.beta_2) * g * g


@dataclass(frozen=True, repr=False)
class AdaptiveMoments(Moments):
    """What Adam and AdamW share: the step along m, entry by entry in units of √v.

    ::

        m̂ = m / (1 − β₁ᵗ)                both start at 0, and so are too small by these factors
        v̂ = v / (1 − β₂ᵗ)
        θ ← θ − rate · m̂ / (√v̂ + ε)

    With c = √(1 − β₂ᵗ), so that √v̂ = √v / c, the three lines are one (the reordering at the end of
    section 2 of the paper), and two passes over the vectors are saved::

        θ ← θ − (rate · c / (1 − β₁ᵗ)) · m / (√v + c·ε)
    """

    amsgrad: bool = field(default=False, kw_only=True)

    def own_slots(self) -> tuple[str, ...]:
        return ("m", "v", "v_max") if self.amsgrad else ("m", "v")

    @final
    def numbers(self, rate: float, t: int) -> tuple[float, ...]:
        """The step along m / (√v + ε'), and ε'."""
        c = sqrt(1 - self.beta_2**t)
        return rate * c / (1 - self.beta_1**t), c * self.epsilon

    @final
    def descend(self, theta: Array, g: Array, slots: Any, rate: float, t: int) -> None:
        """The means and the step, in place."""
        m, v = slots.m, slots.v
        self.remember(g, m, v)
        if self.amsgrad:
            v = np.maximum(slots.v_max, v, out=slots.v_max)
        step, epsilon = self.numbers(rate, t)
        theta -= step * m / (np.sqrt(v) + epsilon)


@final
@dataclass(frozen=True, repr=False)
class Adam(AdaptiveMoments):
    """Adam: every entry has its own step size, from how large its gradients have been.

    Kingma and Ba, "Adam: a method for stochastic optimization", 2015; the formulas stand in
    `Moments` and `AdaptiveMoments`. ε is added to the corrected √v̂, as in the paper and in
    PyTorch. Weight decay is added to the gradient, g ← g + λθ, and so is rescaled with it; `AdamW`
    keeps it apart.

    Parameters
    ----------
    learning_rate : float or Schedule, default 0.001
    beta_1, beta_2 : float, default 0.9 and 0.999
        How much of the old means is kept, from 0 to below 1.
    epsilon : float, default 1e-8
        Keeps the division finite, above 0.
    amsgrad : bool, default False
        Divide by the largest v so far, v_max ← max(v_max, v), so that steps never grow: Reddi et
        al., "On the convergence of Adam and beyond", 2018. By name: "amsgrad".

    >>> from pellucid.optimizers import Run
    >>> theta, slots = np.array([1.0, 1.0]), {"m": np.zeros(2), "v": np.zeros(2)}
    >>> Adam(0.1).apply(theta, np.array([5.0, -0.01]), slots, 1, [Run(0, 2, True)])
    >>> theta.round(6)  # the first step is as long as the rate, whatever the gradient
    array([0.9, 1.1])
    """

    def update(self, theta: Array, g: Array, slots: Any, rate: float, t: int, decay: float) -> None:
        if decay:
            g = g + decay * theta
        self.descend(theta, g, slots, rate, t)


@final
@dataclass(frozen=True, repr=False)
class AdamW(AdaptiveMoments):
    """Adam with decoupled weight decay: θ ← θ − rate · λ · θ, then Adam on the gradient alone.

    Loshchilov and Hutter, "Decoupled weight decay regularization", 2019. Options as in `Adam`,
    but `weight_decay` is 0.01 unless said otherwise.

    >>> AdamW(3e-4, weight_decay=0.1)
    AdamW(learning_rate=0.0003, weight_decay=0.1)
    """

    weight_decay: float = field(default=0.01, kw_only=True)

    def update(self, theta: Array, g: Array, slots: Any, rate: float, t: int, decay: float) -> None:
        if decay:
            theta *= 1 - rate * decay
        self.descend(theta, g, slots, rate, t)
