"""A rate that follows the record: lowered when a value no longer gets better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pellucid.description import checked_options
from pellucid.errors import OptionError
from pellucid.events import EpochEnd, RunEnd, RunStart
from pellucid.network.network import Network
from pellucid.schedules import Schedule, as_schedule
from pellucid.training.callbacks import Watch


class ReduceLROnPlateau(Watch):
    """Multiplies the learning rate by `factor` when a value of the record no longer gets better.

    It multiplies whatever the optimizer's own rate or schedule says, for the time of the run; the
    optimizer itself stays as it was described. Its count is PyTorch's.

    Parameters
    ----------
    monitor : str, optional
        A column of the record; by default ``validation_loss``, or ``loss`` without validation.
    factor : float, default 0.1
        Between 0 and 1.
    patience : int, default 10
        Epochs in a row without an improvement that are put up with; one more lowers the rate.
    min_delta : float, default 1e-4
        What counts as an improvement.
    cooldown : int, default 0
        Epochs after a reduction that are not counted.
    min_rate : float, default 0
        The rate is never lowered below this.
    mode : {"auto", "min", "max"}
        Whether small or large is good; "auto": losses and errors small, metrics large.

    Attributes
    ----------
    scale : float
        What the rate is multiplied by now.
    best, best_epoch : the best value so far and its epoch

    >>> import numpy as np
    >>> from pellucid import Adam, Dense, MSE, Network
    >>> net = Network([Dense(1)], loss=MSE(), optimizer=Adam(0.1))
    >>> hard_to_please = ReduceLROnPlateau("loss", patience=0, min_delta=10.0)
    >>> record = net.fit(np.ones((8, 2)), np.ones((8, 1)), epochs=4, progress=False,
    ...                  callbacks=[hard_to_please])
    >>> [round(rate, 4) for rate in record["learning_rate"]]
    [0.1, 0.1, 0.01, 0.001]
    """

    @checked_options(
        "ReduceLROnPlateau", min_lr="Write min_rate=", threshold="Write min_delta=",
        verbose="The record has a column learning_rate",
    )  # fmt: skip
    def __init__(
        self, monitor: str | None = None, *, factor: float = 0.1, patience: int = 10,
        min_delta: float = 1e-4, cooldown: int = 0, min_rate: float = 0.0,
        mode: Literal["auto", "min", "max"] = "auto",
    ) -> None:  # fmt: skip
        if not isinstance(factor, int | float) or not 0 < factor < 1:
            raise OptionError(f"factor is a number between 0 and 1, not {factor!r}")
        if isinstance(cooldown, bool) or not isinstance(cooldown, int) or cooldown < 0:
            raise OptionError(f"cooldown is a number of epochs, not {cooldown!r}")
        if not isinstance(min_rate, int | float) or not min_rate >= 0:
            raise OptionError(f"min_rate is a number of 0 or more, not {min_rate!r}")
        self.factor, self.cooldown, self.min_rate = float(factor), cooldown, float(min_rate)
        super().__init__(monitor, patience, min_delta, mode)

    def forget(self) -> None:
        super().forget()
        self.scale, self._resting = 1.0, 0

    def on_run_start(self, event: RunStart) -> None:
        super().on_run_start(event)
        if sum(isinstance(other, ReduceLROnPlateau) for other in event.run.observers) > 1:
            raise OptionError("one ReduceLROnPlateau a run: two would undo each other's work")
        self._set(event.run.net, self.scale)

    def on_epoch(self, event: EpochEnd) -> None:
        if not self.improves(event):
            self.waited += 1
        if self._resting:
            self._resting, self.waited = self._resting - 1, 0
        if self.waited > self.patience:
            self.scale *= self.factor
            self._resting, self.waited = self.cooldown, 0
            self._set(event.run.net, self.scale)

    def on_run_end(self, event: RunEnd) -> None:
        self._set(event.run.net, 1.0)

    def _set(self, net: Network, scale: float) -> None:
        """Multiplies the rate as the optimizer was described with."""
        assert net.optimizer is not None
        rate = net.optimizer.learning_rate
        plain = rate.rate if isinstance(rate, Reduced) else rate
        if scale < 1:
            net.optimizer = net.optimizer.replace(
                learning_rate=Reduced(plain, scale, self.min_rate)
            )
        elif plain is not rate:
            net.optimizer = net.optimizer.replace(learning_rate=plain)

    def state(self) -> dict[str, Any]:
        return {**super().state(), "scale": self.scale, "resting": self._resting}

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        self.scale, self._resting = state["scale"], state["resting"]


@dataclass(frozen=True, repr=False)
class Reduced(Schedule):
    """A rate multiplied by a callback, for the time of a run.

    In JSON it is the rate that it multiplies: a file keeps the optimizer as it was described, and
    by how much the rate was lowered among what the callback remembers.
    """

    rate: float | Schedule
    factor: float
    floor: float = 0.0

    def __call__(self, step: int) -> float:
        rate = as_schedule(self.rate)(step)
        return max(rate * self.factor, min(self.floor, rate))

    def to_config(self) -> Any:
        return self.rate.to_config() if isinstance(self.rate, Schedule) else self.rate
