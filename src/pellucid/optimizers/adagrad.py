"""Rates from the sizes of the gradients alone: Adagrad, RMSProp, Adadelta."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np

from pellucid.description import number
from pellucid.optimizers.base import Optimizer
from pellucid.random import Array
from pellucid.schedules import Schedule


@final
@dataclass(frozen=True, repr=False)
class Adagrad(Optimizer):
    """Every entry's rate falls with the sum of its squared gradients: rare features learn on.

    ::

        g ← g + λθ                       weight decay
        s ← s + g²
        θ ← θ − rate · g / (√(s₀ + s) + ε)

    Duchi, Hazan and Singer, "Adaptive subgradient methods", JMLR 2011. PyTorch's `lr_decay` is a
    schedule here: ``Adagrad(InverseScaling(0.01, power=1, scale=lr_decay))``.

    Parameters
    ----------
    learning_rate : float or Schedule, default 0.01
    initial_accumulator_value : float, default 0
        s₀, which keeps the first steps small. Keras has 0.1.
    epsilon : float, default 1e-10
        Keeps the division finite, above 0.

    >>> from pellucid.optimizers import Run
    >>> theta, slots = np.array([1.0, 1.0]), {"s": np.zeros(2)}
    >>> Adagrad(0.5).apply(theta, np.array([3.0, 0.1]), slots, 1, [Run(0, 2, True)])
    >>> theta.round(6)
    array([0.5, 0.5])
    """

    learning_rate: float | Schedule = 0.01
    initial_accumulator_value: float = 0.0
    epsilon: float = 1e-10

    aliases: ClassVar[dict[str, str]] = {
        **Optimizer.aliases, "eps": "epsilon", "initial_accumulator": "initial_accumulator_value"
    }  # fmt: skip
    remedies: ClassVar[dict[str, str]] = {
        **Optimizer.remedies,
        "lr_decay": "Write learning_rate=InverseScaling(0.01, power=1, scale=lr_decay)",
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        number(self, "initial_accumulator_value", at_least=0)
        number(self, "epsilon", above=0)

    def own_slots(self) -> tuple[str, ...]:
        return ("s",)

    def update(self, theta: Array, g: Array, slots: Any, rate: float, t: int, decay: float) -> None:
        if decay:
            g = g + decay * theta
        s = slots.s
        s += g * g
        theta -= rate * g / (np.sqrt(s + self.initial_accumulator_value) + self.epsilon)


@final
@dataclass(frozen=True, repr=False)
class RMSProp(Optimizer):
    """The gradient in units of its recent root mean square; made for minibatches.

    ::

        g ← g + λθ                       weight decay
        v ← ρv + (1 − ρ) g²
        a ← ρa + (1 − ρ) g               centered: divide by the deviation from the mean instead
        d = √v + ε                       plain
        d = √(v − a²) + ε                centered
        θ ← θ − rate · g / d             plain
        u ← μu + g / d;  θ ← θ − rate · u      momentum, if μ > 0

    Tieleman and Hinton, "Lecture 6.5: rmsprop", 2012; centered as in Graves, "Generating sequences
    with recurrent neural networks", 2013. Numerically PyTorch's, where rho is called alpha.

    Parameters
    ----------
    learning_rate : float or Schedule, default 0.01
    rho : float, default 0.99
        ρ, what stays of the old means, from 0 to below 1. Alias: alpha.
    momentum : float, default 0
        μ, from 0 to below 1.
    epsilon : float, default 1e-8
        Keeps the division finite, above 0.
    centered : bool, default False

    >>> from pellucid.optimizers import Run
    >>> theta, slots = np.array([1.0, 1.0]), {"v": np.zeros(2)}
    >>> RMSProp(0.01).apply(theta, np.array([5.0, -0.1]), slots, 1, [Run(0, 2, True)])
    >>> theta.round(6)  # the first step is 1/√(1 − ρ) times the rate
    array([0.9, 1.1])
    """

    learning_rate: float | Schedule = 0.01
    rho: float = 0.99
    momentum: float = 0.0
    epsilon: float = 1e-8
    centered: bool = False

    aliases: ClassVar[dict[str, str]] = {**Optimizer.aliases, "eps": "epsilon", "alpha": "rho"}

    def __post_init__(self) -> None:
        super().__post_init__()
        number(self, "rho", at_least=0, below=1)
        number(self, "momentum", at_least=0, below=1)
        number(self, "epsilon", above=0)

    def own_slots(self) -> tuple[str, ...]:
        mean = ("a",) if self.centered else ()
        return ("v", *mean, "velocity") if self.momentum > 0 else ("v", *mean)

    def update(self, theta: Array, g: Array, slots: Any, rate: float, t: int, decay: float) -> None:
        if decay:
            g = g + decay * theta
        v = slots.v
        v *= self.rho
        v += (1 - self.rho) * g * g
        variance = v
        if self.centered:
            a = slots.a
            a *= self.rho
            a += (1 - self.rho) * g
            variance = np.maximum(v - a * a, 0)  # rounding may leave less than nothing
            variance[np.isinf(v)] = np.inf  # where a² may be infinite too
        g = g / (np.sqrt(variance) + self.epsilon)
        if self.momentum:
            velocity = slots.velocity
            velocity *= self.momentum
            velocity += g
            g = velocity
        theta -= rate * g


@final
@dataclass(frozen=True, repr=False)
class Adadelta(Optimizer):
    """RMSProp that measures its steps in units of the steps it has taken, so needs no rate.

    ::

        g ← g + λθ                       weight decay
        v ← ρv + (1 − ρ) g²
        δ = √(u + ε) / √(v + ε) · g
        u ← ρu + (1 − ρ) δ²
        θ ← θ − rate · δ

    ε lies under both roots, and starts the first step. Zeiler, "Adadelta: an adaptive learning
    rate method", 2012.

    Parameters
    ----------
    learning_rate : float or Schedule, default 1
    rho : float, default 0.9
        ρ, what stays of the old means, from 0 to below 1.
    epsilon : float, default 1e-6

    >>> from pellucid.optimizers import Run
    >>> theta, slots = np.array([1.0, 1.0]), {"v": np.zeros(2), "u": np.zeros(2)}
    >>> Adadelta().apply(theta, np.array([5.0, -5.0]), slots, 1, [Run(0, 2, True)])
    >>> theta.round(6)  # it starts small: √(ε / (1 − ρ))
    array([0.996838, 1.003162])
    """

    learning_rate: float | Schedule = 1.0
    rho: float = 0.9
    epsilon: float = 1e-6

    aliases: ClassVar[dict[str, str]] = {**Optimizer.aliases, "eps": "epsilon"}

    def __post_init__(self) -> None:
        super().__post_init__()
        number(self, "rho", at_least=0, below=1)
        number(self, "epsilon", above=0)

    def own_slots(self) -> tuple[str, ...]:
        return ("v", "u")

    def update(self, theta: Array, g: Array, slots: Any, rate: float, t: int, decay: float) -> None:
        if decay:
            g = g + decay * theta
        v, u = slots.v, slots.u
        v *= self.rho
        v += (1 - self.rho) * g * g
        delta = np.sqrt(u + self.epsilon) / np.sqrt(v + self.epsilon) * g
        u *= self.rho
        u += (1 - self.rho) * delta * delta
        theta -= rate * delta
