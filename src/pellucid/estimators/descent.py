"""Gradient descent over epochs as scikit-learn does it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from pellucid.engine.base import Batches, Tally
from pellucid.estimators.objective import Objective
from pellucid.estimators.optimizers import (
    SQUARES,
    EachBatch,
    Penalized,
    PenalizedAdam,
    PenalizedMomentum,
)
from pellucid.estimators.rows import Rows
from pellucid.network.network import Network

Array = NDArray[Any]


class Steps(ABC):
    """An optimizer's state between fits, and its rate between epochs.

    Attributes
    ----------
    learning_rate : float
        The rate of the last step, or of the next where it has been changed between epochs.
    t : int
        Steps made.
    slots : dict of arrays
        The optimizer's vectors; a network that is trained shares them.
    """

    def __init__(self) -> None:
        self.t = 0
        self.slots: dict[str, Array] = {}
        self.batches = EachBatch()

    @abstractmethod
    def optimizer(self, alpha: float) -> Penalized:
        """One of ours that makes these steps, with the numbers of `batches`."""

    def attach(self, net: Network, alpha: float) -> None:
        """Has a network make the next epoch's steps from here."""
        made = net.optimizer
        known = isinstance(made, Penalized) and made.batches is self.batches
        if not (known and self.agrees(made, alpha) and net.slots is self.slots):
            made = net.optimizer = self.optimizer(alpha)
            theta, names = net.parameters.vector, made.slot_names()
            if tuple(self.slots) != names or any(s.size != theta.size for s in self.slots.values()):
                kept = {name: slot for name, slot in self.slots.items() if slot.size == theta.size}
                self.slots = {name: kept.get(name, np.zeros_like(theta)) for name in names}
            net.slots = self.slots
        self.slots[SQUARES].fill(0)
        net.updates = 0

    def agrees(self, made: Any, alpha: float) -> bool:
        """Whether an optimizer made before still makes these steps."""
        return bool(made.weight_decay == alpha)

    def __getstate__(self) -> dict[str, Any]:
        """All that the next epoch needs."""
        kept = {name: slot for name, slot in self.slots.items() if name != SQUARES}
        return self.__dict__ | {"slots": kept, "batches": EachBatch()}

    def epoch_ends(self, seen: int) -> None:  # noqa: B027  # most rates stay
        """Sets the rate of the next epoch; `seen` rows have gone by in all."""

    def slow_down(self) -> str:
        """Lowers the rate, where nothing improves; says what was done, "Stopping." to stop."""
        return "Stopping."


@final
class MomentumSteps(Steps):
    """`PenalizedMomentum`, and the schedules of its rate."""

    def __init__(
        self, learning_rate_init: float, schedule: str, momentum: float, nesterov: bool,
        power_t: float,
    ) -> None:  # fmt: skip
        super().__init__()
        self.learning_rate_init = self.learning_rate = float(learning_rate_init)
        self.schedule, self.power_t = schedule, float(power_t)
        self.momentum, self.nesterov = float(momentum), bool(nesterov)

    def optimizer(self, alpha: float) -> Penalized:
        return PenalizedMomentum(
            self.learning_rate, self.momentum, self.nesterov, weight_decay=alpha,
            batches=self.batches,
        )  # fmt: skip

    def agrees(self, made: Any, alpha: float) -> bool:
        return super().agrees(made, alpha) and bool(made.learning_rate == self.learning_rate)

    def epoch_ends(self, seen: int) -> None:
        if self.schedule == "invscaling":
            self.learning_rate = self.learning_rate_init / (seen + 1) ** self.power_t

    def slow_down(self) -> str:
        if self.schedule != "adaptive":
            return "Stopping."
        if self.learning_rate <= 1e-6:
            return "Learning rate too small. Stopping."
        self.learning_rate /= 5
        return f"Setting learning rate to {self.learning_rate:f}"


@final
class AdamSteps(Steps):
    """`PenalizedAdam`, whose rate stays but for its corrections."""

    def __init__(
        self, learning_rate_init: float, beta_1: float, beta_2: float, epsilon: float
    ) -> None:
        super().__init__()
        self.learning_rate_init = float(learning_rate_init)
        self.beta_1, self.beta_2, self.epsilon = float(beta_1), float(beta_2), float(epsilon)

    @property
    def learning_rate(self) -> float:
        """The rate of the last step, corrections included."""
        made = PenalizedAdam(self.learning_rate_init, self.beta_1, self.beta_2, self.epsilon)
        return made.corrected(made.learning_rate, self.t) if self.t else made.learning_rate

    def optimizer(self, alpha: float) -> Penalized:
        return PenalizedAdam(
            self.learning_rate_init, self.beta_1, self.beta_2, self.epsilon,
            weight_decay=alpha, batches=self.batches,
        )  # fmt: skip


class Interrupt:
    """What Ctrl-C sets, so that training ends between two updates."""

    def __init__(self) -> None:
        self.flag = np.zeros(1, np.uint8)

    def stop(self, reason: str) -> None:
        """Asks for the end."""
        self.flag[0] = 1


class Descent:
    """Epochs of a network's training, one after another.

    Parameters
    ----------
    picks : array of row numbers, optional
        The rows to train on; None: all.
    size : int
        Rows of a batch; the last one is as short as it comes out.
    random : RandomState, optional
        Shuffles, in each epoch, the order of the one before; without it the order stays.
    stop : array of one number
        Once it is not 0, an epoch ends after the update under way with a KeyboardInterrupt.
    """

    def __init__(
        self, objective: Objective, steps: Steps, rows: Rows, picks: Array | None, size: int,
        random: np.random.RandomState | None, stop: Array,
    ) -> None:  # fmt: skip
        self._objective, self._steps, self._rows, self._picks = objective, steps, rows, picks
        self._size, self._random, self._stop = size, random, stop
        self.count = rows.count if picks is None else len(picks)
        self._order = np.arange(self.count)
        self._lying = random is None and picks is None  # rows are taken as they lie
        starts = np.arange(0, self.count, size)
        self._counts = np.diff(np.append(starts, self.count)).astype(np.float64)

    def epoch(self) -> float:
        """Trains on every batch once; returns the mean over rows of the batches' values.

        The weights of each batch are scaled to a sum of its rows, so that the engine's Σwℓ over
        the epoch is that of values times rows; the penalty has the Σw that they had. A batch
        without weight is left out.
        """
        objective, steps, weight = self._objective, self._steps, self._rows.weight
        order, counts = self._next_order(), self._counts
        totals = counts
        if weight is not None:
            order = self._order if order is None else order
            order, counts, totals = _counting(weight, order, self._size, counts)
            scaled = np.zeros_like(weight)
            scaled[order] = weight[order] * np.repeat(counts / totals, counts.astype(np.int64))
            weight = scaled
        steps.batches.begin(counts, totals, steps.t)
        steps.attach(objective.net, objective.alpha)
        squares, tally = steps.batches.shares[0] * objective.squares(), Tally()
        try:
            batches = self._rows.epoch(order, self._size, weight)
            _run(objective, batches, len(counts), tally, self._stop)
        finally:
            steps.t += objective.net.updates
        squares += objective.squares(steps.slots[SQUARES])
        return (sum(tally.losses.values()) + 0.5 * objective.alpha * squares) / self.count

    def _next_order(self) -> Array | None:
        """The rows in this epoch's order; None: as they lie."""
        if self._random is not None:
            moved = np.arange(self.count)
            self._random.shuffle(moved)
            self._order = self._order[moved]
        if self._lying:
            return None
        return self._order if self._picks is None else self._picks[self._order]


def _counting(weight: Array, order: Array, size: int, counts: Array) -> tuple[Array, Array, Array]:
    """The order without batches that have no weight, their rows, and Σw of each."""
    starts = np.arange(0, len(order), size)
    totals = np.add.reduceat(weight[order], starts)
    kept = totals != 0
    if kept.all():
        return order, counts, totals
    return order[np.repeat(kept, counts.astype(np.int64))], counts[kept], totals[kept]


def _run(objective: Objective, batches: Batches, count: int, tally: Tally, stop: Array) -> None:
    """All updates of an epoch, those too that an engine would not make because of NaN."""
    program, done = objective.program, 0
    while done < count:
        result = program.run(batches, done, count - done, tally, stop)
        done += result.done
        if stop[0]:
            raise KeyboardInterrupt
        if result.diverged:
            parts = batches.get(done)
            assert parts is not None
            with np.errstate(all="ignore"):
                program.begin()
                program.forward(parts[0])
                value = program.loss() * parts[0].total
                program.backward()
                program.update()
            tally.add(parts[0].share, {objective.output: value}, [])
            done += 1
