"""Descent with one rate for every entry: SGD and its momentum; and Lion, by the sign alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np

from pellucid.description import number
from pellucid.errors import OptionError
from pellucid.optimizers.base import Optimizer
from pellucid.random import Array
from pellucid.schedules import Schedule


@dataclass(frozen=True, repr=False)
class SGD(Optimizer):
    """Stochastic gradient descent, if wanted with momentum; PyTorch's formulas.

    ::

        g ← g + λθ                       weight decay
        u ← μu + g                       velocity, if μ > 0
        θ ← θ − rate · g                 plain
        θ ← θ − rate · u                 momentum
        θ ← θ − rate · (g + μu)          Nesterov's: the gradient seen from one step ahead

    The rate stands outside the velocity, so lowering it also slows what is already rolling.
    Sutskever et al., "On the importance of initialization and momentum in deep learning", 2013.

    Parameters
    ----------
    learning_rate : float or Schedule, default 0.01
    momentum : float, default 0
        μ, from 0 to below 1.
    nesterov : bool, default False

    >>> from pellucid.optimizers import Run
    >>> theta, slots = np.array([1.0]), {"velocity": np.zeros(1)}
    >>> for t in (1, 2):
    ...     SGD(0.1, momentum=0.9).apply(theta, np.ones(1), slots, t, [Run(0, 1, True)])
    >>> theta.round(6), slots["velocity"]
    (array([0.71]), array([1.9]))
    """

    learning_rate: float | Schedule = 0.01
    momentum: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        number(self, "momentum", at_least=0, below=1)
        if not isinstance(self.nesterov, bool):
            raise OptionError(f"SGD: nesterov must be True or False, not {self.nesterov!r}")
        if self.nesterov and self.momentum == 0:
            raise OptionError("SGD: nesterov needs momentum: SGD(momentum=0.9, nesterov=True)")

    def own_slots(self) -> tuple[str, ...]:
        return ("velocity",) if self.momentum > 0 else ()

    def update(self, theta: Array, g: Array, slots: Any, rate: float, t: int, decay: float) -> None:
        if decay:
            g = g + decay * theta
        if self.momentum:
            velocity = slots.velocity
            velocity *= self.momentum
            velocity += g
            g = g + self.momentum * velocity if self.nesterov else velocity
        theta -= rate * g


@final
@dataclass(frozen=True, repr=False)
class Lion(Optimizer):
    """Lion: every entry moves by the rate, in the direction of a short memory's sign.

    ::

        θ ← θ − rate · λ · θ                        weight decay, decoupled
        θ ← θ − rate · sign(β₁m + (1 − β₁) g)
        m ← β₂m + (1 − β₂) g

    One vector of state where Adam has two. Its steps are larger than Adam's, so it wants a rate
    three to ten times smaller, and as many times more weight decay. Chen et al., "Symbolic
    discovery of optimization algorithms", 2023.

    Parameters
    ----------
    learning_rate : float or Schedule, default 0.0001
    beta_1, beta_2 : float, default 0.9 and 0.99
        What stays of the memory in the direction, and in the memory itself.

    >>> from pellucid.optimizers import Run
    >>> theta, slots = np.array([1.0, 1.0]), {"m": np.zeros(2)}
    >>> Lion(0.25).apply(theta, np.array([3.0, -0.1]), slots, 1, [Run(0, 2, True)])
    >>> theta
    array([0.75, 1.25])
    """

    learning_rate: float | Schedule = 1e-4
    beta_1: float = 0.9
    beta_2: float = 0.99

    aliases: ClassVar[dict[str, str]] = {
        **Optimizer.aliases, "beta1": "beta_1", "beta2": "beta_2"
    }  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        number(self, "beta_1", at_least=0, below=1)
        number(self, "beta_2", at_least=0, below=1)

    def own_slots(self) -> tuple[str, ...]:
        return ("m",)

    def update(self, theta: Array, g: Array, slots: Any, rate: float, t: int, decay: float) -> None:
        m = slots.m
        if decay:
            theta *= 1 - rate * decay
        theta -= rate * np.sign(self.beta_1 * m + (1 - self.beta_1) * g)
        m *= self.beta_2
        m += (1 - self.beta_2) * g
