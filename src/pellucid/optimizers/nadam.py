"""Adam with its first steps mended: NAdam looks ahead, RAdam waits until v can be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import sqrt
from typing import Any, ClassVar, final

import numpy as np

from pellucid.description import number
from pellucid.optimizers.adam import Moments
from pellucid.random import Array
from pellucid.schedules import Schedule


@final
@dataclass(frozen=True, repr=False)
class NAdam(Moments):
    """Adam with Nesterov's momentum, which grows as the run goes on.

    ::

        μₜ = β₁ (1 − ½ · 0.96^(t·ψ))     momentum of update t;  Pₜ = μ₁ μ₂ … μₜ
        θ ← θ − rate · ((1 − μₜ) / (1 − Pₜ) · g + μₜ₊₁ / (1 − Pₜ₊₁) · m) / (√v̂ + ε)

    with m and v as in `Moments` and v̂ = v / (1 − β₂ᵗ). With c = √(1 − β₂ᵗ), as in
    `AdaptiveMoments`, that is one line: θ ← θ − (a·g + b·m) / (√v + c·ε). Dozat, "Incorporating
    Nesterov momentum into Adam", 2016; numerically PyTorch's.

    Parameters
    ----------
    learning_rate : float or Schedule, default 0.002
    beta_1, beta_2 : float, default 0.9 and 0.999
    epsilon : float, default 1e-8
    momentum_decay : float, default 0.004
        ψ, how fast the momentum grows from β₁/2 to β₁.
    decoupled_weight_decay : bool, default False
        Decay the weights themselves, θ ← θ − rate·λ·θ, instead of adding λθ to the gradient.

    >>> from pellucid.optimizers import Run
    >>> theta, slots = np.array([1.0]), {"m": np.zeros(1), "v": np.zeros(1)}
    >>> NAdam(0.1).apply(theta, np.array([5.0]), slots, 1, [Run(0, 1, True)])
    >>> theta.round(3)
    array([0.894])
    """

    learning_rate: float | Schedule = 2e-3
    momentum_decay: float = 4e-3
    decoupled_weight_decay: bool = False

    aliases: ClassVar[dict[str, str]] = {**Moments.aliases, "decoupled": "decoupled_weight_decay"}

    def __post_init__(self) -> None:
        super().__post_init__()
        number(self, "momentum_decay", at_least=0)

    def numbers(self, rate: float, t: int) -> tuple[float, ...]:
        c = sqrt(1 - self.beta_2**t)
        of_g, of_m = _nesterov(self.beta_1, self.momentum_decay, t)
        return rate * c * of_g, rate * c * of_m, c * self.epsilon

    def update(self, theta: Array, g: Array, slots: Any, rate: float, t: int, decay: float) -> None:
        if decay and self.decoupled_weight_decay:
            theta *= 1 - rate * decay
        elif decay:
            g = g + decay * theta
        m, v = slots.m, slots.v
        self.remember(g, m, v)
        of_g, of_m, epsilon = self.numbers(rate, t)
        theta -= (of_g * g + of_m * m) / (np.sqrt(v) + epsilon)


@lru_cache(maxsize=64)
def _nesterov(beta_1: float, psi: float, t: int) -> tuple[float, float]:
    """(1 − μₜ) / (1 − Pₜ) and μₜ₊₁ / (1 − Pₜ₊₁)."""
    product = 1.0 if t < _vanishing(beta_1, psi) else 0.0
    for k in range(1, t + 1 if product else 1):
        product *= _momentum(beta_1, psi, k)
    now, after = _momentum(beta_1, psi, t), _momentum(beta_1, psi, t + 1)
    return (1 - now) / (1 - product), after / (1 - product * after)


@lru_cache(maxsize=64)
def _vanishing(beta_1: float, psi: float) -> int:
    """The first update whose product of momenta no longer changes 1 − Pₜ."""
    product, t = 1.0, 0
    while product > 2.0**-54:
        t += 1
        product *= _momentum(beta_1, psi, t)
    return t


def _momentum(beta_1: float, psi: float, t: int) -> float:
    return beta_1 * (1 - 0.5 * float(0.96 ** (t * psi)))


@final
@dataclass(frozen=True, repr=False)
class RAdam(Moments):
    """Adam that takes plain momentum steps until its v has seen enough gradients.

    The variance of 1/√v̂ is huge in the first steps. With ρ the number of gradients that v is
    effectively the mean of::

        ρ∞ = 2 / (1 − β₂) − 1            ρ = ρ∞ − 2t·β₂ᵗ / (1 − β₂ᵗ)

        θ ← θ − rate · m̂                                    while ρ ≤ 5
        θ ← θ − rate · r · √(1 − β₂ᵗ) · m̂ / (√v + ε)        from then on
        r = √((ρ − 4)(ρ − 2) ρ∞ / ((ρ∞ − 4)(ρ∞ − 2) ρ))     the rectification, from 0 up to 1

    with m and v as in `Moments` and m̂ = m / (1 − β₁ᵗ). So it needs no warm-up. ε is added to the
    uncorrected √v, as in PyTorch. Liu et al., "On the variance of the adaptive learning rate and
    beyond", 2020.

    Parameters
    ----------
    learning_rate : float or Schedule, default 0.001
    beta_1, beta_2 : float, default 0.9 and 0.999
    epsilon : float, default 1e-8
    decoupled_weight_decay : bool, default False
        Decay the weights themselves, θ ← θ − rate·λ·θ, instead of adding λθ to the gradient.

    >>> from pellucid.optimizers import Run
    >>> theta, slots = np.array([1.0]), {"m": np.zeros(1), "v": np.zeros(1)}
    >>> RAdam(0.1).apply(theta, np.array([5.0]), slots, 1, [Run(0, 1, True)])
    >>> theta  # a plain step: 1 - 0.1 · 5
    array([0.5])
    """

    decoupled_weight_decay: bool = False

    aliases: ClassVar[dict[str, str]] = {**Moments.aliases, "decoupled": "decoupled_weight_decay"}

    def update(self, theta: Array, g: Array, slots: Any, rate: float, t: int, decay: float) -> None:
        if decay and self.decoupled_weight_decay:
            theta *= 1 - rate * decay
        elif decay:
            g = g + decay * theta
        m, v = slots.m, slots.v
        self.remember(g, m, v)
        plain, adapted = self.numbers(rate, t)  # one of them is 0
        theta -= plain * m
        theta -= adapted * (m / (np.sqrt(v) + self.epsilon))

    def numbers(self, rate: float, t: int) -> tuple[float, ...]:
        """The step along m, and the one along m / (√v + ε)."""
        rate, kept = rate / (1 - self.beta_1**t), self.beta_2**t
        limit = 2 / (1 - self.beta_2) - 1
        rho = limit - 2 * t * kept / (1 - kept)
        if rho <= 5:
            return rate, 0.0
        r = sqrt((rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho))
        return 0.0, rate * r * sqrt(1 - kept)
