"""Gradient descent over epochs as scikit-learn does it: its two optimizers, in terms of ours."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from pellucid.estimators.objective import Objective
from pellucid.estimators.rows import Pick, Rows
from pellucid.network.network import Network
from pellucid.optimizers import SGD, Adam, Optimizer
from pellucid.schedules import Schedule

Array = NDArray[Any]


class Steps(ABC):
    """An optimizer's state between fits: what a network's own vectors and counters are set to.

    Attributes
    ----------
    learning_rate : float
        The rate of the last step, or of the next where it is changed between epochs.
    t : int
        Steps made.
    slots : dict of arrays
        The optimizer's vectors; a network that is trained shares them.
    """

    learning_rate: float

    def __init__(self) -> None:
        self.t = 0
        self.slots: dict[str, Array] = {}

    @abstractmethod
    def optimizer(self) -> Optimizer:
        """The same as one of ours."""

    def attach(self, net: Network) -> None:
        """Has a network go on from here."""
        net.optimizer = self.optimizer()
        size = net.parameters.vector.size
        if tuple(self.slots) != net.optimizer.slot_names() or any(
            slot.size != size for slot in self.slots.values()
        ):
            names = net.optimizer.slot_names()
            self.slots = {name: np.zeros_like(net.parameters.vector) for name in names}
        net.slots = self.slots
        net.updates = self.t

    def step(self, objective: Objective) -> None:
        """One update with the gradient that the objective has just found."""
        objective.program.update()
        self.t += 1

    def epoch_ends(self, net: Network, seen: int) -> None:  # noqa: B027  # most rates stay
        """Sets the rate of the next epoch; `seen` rows have gone by in all."""

    def slow_down(self, net: Network) -> str:
        """Lowers the rate, where nothing improves; says what was done, "Stopping." to stop."""
        return "Stopping."


@final
@dataclass(frozen=True, repr=False)
class Undamped(SGD):
    """SGD whose velocity keeps all of itself, momentum 1, which `SGD` refuses and this allows."""

    momentum: float = 1.0

    def __post_init__(self) -> None:
        """Nothing is checked: the estimator has."""


@final
class Momentum(Steps):
    """SGD with the rate inside the velocity, v ← μv − ηg, θ ← θ + v (or + μv − ηg, Nesterov's).

    Ours has it outside, u ← μu + g, θ ← θ − ηu. With v = −ηu they are the same while η stays; when
    it changes to η′, u becomes (η/η′) u, so that v is kept.
    """

    def __init__(
        self, learning_rate_init: float, schedule: str, momentum: float, nesterov: bool,
        power_t: float,
    ) -> None:  # fmt: skip
        super().__init__()
        self.learning_rate_init = self.learning_rate = float(learning_rate_init)
        self.schedule, self.power_t = schedule, float(power_t)
        self.momentum, self.nesterov = float(momentum), bool(nesterov)

    def optimizer(self) -> Optimizer:
        nesterov = self.nesterov and self.momentum > 0
        if self.momentum == 1:
            return Undamped(self.learning_rate, 1.0, nesterov)
        return SGD(self.learning_rate, self.momentum, nesterov)

    def epoch_ends(self, net: Network, seen: int) -> None:
        if self.schedule == "invscaling":
            self._change(net, self.learning_rate_init / (seen + 1) ** self.power_t)

    def slow_down(self, net: Network) -> str:
        if self.schedule != "adaptive":
            return "Stopping."
        if self.learning_rate <= 1e-6:
            return "Learning rate too small. Stopping."
        self._change(net, self.learning_rate / 5)
        return f"Setting learning rate to {self.learning_rate:f}"

    def _change(self, net: Network, rate: float) -> None:
        for velocity in self.slots.values():
            with np.errstate(all="ignore"):
                velocity *= self.learning_rate / rate
        self.learning_rate = rate
        net.optimizer = self.optimizer()


_LATE = 2**52  # a step so late that Adam's corrections 1 − βᵗ are 1


@final
@dataclass(frozen=True, repr=False)
class CorrectedRate(Schedule):
    """η √(1 − β₂ᵗ) / (1 − β₁ᵗ), with t from 1: Adam's corrections as a part of the rate."""

    learning_rate: float
    beta_1: float
    beta_2: float

    def __call__(self, step: int) -> float:
        t = step - _LATE + 1
        return self.learning_rate * sqrt(1 - self.beta_2**t) / (1 - self.beta_1**t)


@final
class Moments(Steps):
    """Adam with ε added to √v before its correction, θ ← θ − η √(1−β₂ᵗ)/(1−β₁ᵗ) · m / (√v + ε).

    Ours adds it after, which is √(1−β₂ᵗ) ε in this formula. So the corrections are given to ours
    with the rate, and its steps are counted from one so late that it finds nothing to correct.
    """

    def __init__(
        self, learning_rate_init: float, beta_1: float, beta_2: float, epsilon: float
    ) -> None:
        super().__init__()
        self.learning_rate_init = float(learning_rate_init)
        self.beta_1, self.beta_2, self.epsilon = float(beta_1), float(beta_2), float(epsilon)

    @property
    def learning_rate(self) -> float:  # type: ignore[override]
        """The rate of the last step, corrections included."""
        return self._rate()(_LATE + self.t - 1) if self.t else self.learning_rate_init

    def _rate(self) -> CorrectedRate:
        return CorrectedRate(self.learning_rate_init, self.beta_1, self.beta_2)

    def optimizer(self) -> Optimizer:
        return Adam(self._rate(), self.beta_1, self.beta_2, self.epsilon)

    def attach(self, net: Network) -> None:
        super().attach(net)
        net.updates = _LATE + self.t


def epochs(
    objective: Objective, steps: Steps, rows: Rows, picks: Array | None, size: int,
    random: np.random.RandomState | None,
) -> Iterator[float]:  # fmt: skip
    """Trains for ever, and gives the mean value of each epoch.

    `picks` are the rows to train on (None: all), `size` those of a batch. Each epoch shuffles the
    order of the one before by `random`; without it the order stays. A batch whose weights are all 0
    makes no step.
    """
    count = rows.count if picks is None else len(picks)
    order = np.arange(count)
    while True:
        if random is not None:
            moved = np.arange(count)
            random.shuffle(moved)
            order = order[moved]
        value = 0.0
        for start in range(0, count, size):
            span = slice(start, min(start + size, count))
            pick: Pick = span if random is None else order[span]
            batch = rows.batch(pick if picks is None else picks[pick])
            if batch.total:
                value += objective.gradient([batch]) * batch.rows
                steps.step(objective)
        yield value / count
