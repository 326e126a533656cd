"""Observers that steer a run: early stopping and checkpoints."""

from __future__ import annotations

import os
from math import isfinite
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from pellucid.description import checked_options
from pellucid.errors import OptionError, did_you_mean
from pellucid.events import EpochEnd, Event, Observer, RunEnd, RunStart, StepEnd
from pellucid.training.averaging import AveragedWeights
from pellucid.training.loop import Run

Array = NDArray[Any]


class Watch(Observer):
    """Follows one column of the record: its best value so far, and the epochs since."""

    def __init__(self, monitor: str | None, patience: int, min_delta: float, mode: str) -> None:
        if isinstance(patience, bool) or not isinstance(patience, int) or patience < 0:
            raise OptionError(f"patience is a number of epochs, not {patience!r}")
        if mode not in ("auto", "min", "max"):
            raise OptionError(f"mode is 'auto', 'min' or 'max', not {mode!r}")
        if not isinstance(min_delta, int | float) or not min_delta >= 0:
            raise OptionError(f"min_delta is a number of 0 or more, not {min_delta!r}")
        self.patience, self.min_delta, self.mode = patience, min_delta, mode
        self._asked = monitor
        self.forget()

    def forget(self) -> None:
        """Starts over, for another run."""
        self.monitor = self._asked
        self.best: float | None = None
        self.best_epoch = 0
        self.waited = 0

    def on_run_start(self, event: RunStart) -> None:
        if event.run.state.epoch == event.run.state.first_epoch and event.run.state.batch == 0:
            self.forget()

    def improves(self, event: EpochEnd) -> bool:
        """Whether this epoch is the best so far, which is then remembered. NaN never is."""
        value = self._value(event.row)
        sign = -1.0 if self._larger_is_better(self.monitor or "loss") else 1.0
        better = self.best is None or sign * value < sign * self.best - self.min_delta
        if not (better and isfinite(value)):
            return False
        self.best, self.best_epoch, self.waited = float(value), event.epoch, 0
        return True

    def _value(self, row: dict[str, float]) -> float:
        if self.monitor is None:
            self.monitor = "validation_loss" if "validation_loss" in row else "loss"
        if self.monitor not in row:
            hint = did_you_mean(self.monitor, row)
            raise OptionError(f"{type(self).__name__}: the record has no {self.monitor!r}. {hint}")
        return row[self.monitor]

    def _larger_is_better(self, monitor: str) -> bool:
        if self.mode != "auto":
            return self.mode == "max"
        return not monitor.rpartition("/")[2].endswith(("loss", "mae", "error", "penalty"))

    def state(self) -> dict[str, Any]:
        return {"best": self.best, "best_epoch": self.best_epoch, "waited": self.waited,
                "monitor": self.monitor}  # fmt: skip

    def restore(self, state: dict[str, Any]) -> None:
        self.best, self.best_epoch = state["best"], state["best_epoch"]
        self.waited, self.monitor = state["waited"], state["monitor"]


class EarlyStopping(Watch):
    """Stops when a value of the record no longer gets better, and brings the best weights back.

    Parameters
    ----------
    monitor : str, optional
        A column of the record; by default ``validation_loss``, or ``loss`` without validation.
    patience : int, default 10
        Epochs in a row without an improvement that are put up with; one more stops the run.
    min_delta : float, default 0
        What counts as an improvement.
    mode : {"auto", "min", "max"}
        Whether small or large is good; "auto": losses and errors small, metrics large.
    restore_best : bool, default True
        Put the weights of the best epoch back, however the run ends (with `AveragedWeights`, the
        averages of that epoch).

    Attributes
    ----------
    best, best_epoch : the best value so far and its epoch
    """

    @checked_options("EarlyStopping", restore_best_weights="Write restore_best=")
    def __init__(
        self, monitor: str | None = None, *, patience: int = 10, min_delta: float = 0.0,
        mode: Literal["auto", "min", "max"] = "auto", restore_best: bool = True,
    ) -> None:  # fmt: skip
        self.restore_best = restore_best
        super().__init__(monitor, patience, min_delta, mode)

    @property
    def restores(self) -> bool:
        """Whether weights are kept that will be put back."""
        return bool(self._vectors)

    def forget(self) -> None:
        super().forget()
        self._vectors: dict[str, Array] = {}

    def on_run_start(self, event: RunStart) -> None:
        super().on_run_start(event)
        self._stop_if_over(event)  # a checkpoint may have been written at the very end

    def on_epoch(self, event: EpochEnd) -> None:
        if self.improves(event):
            if self.restore_best:
                self._vectors = _as_validated(event.run)
            return
        self.waited += 1
        self._stop_if_over(event)

    def _stop_if_over(self, event: Event) -> None:
        if self.waited > self.patience:
            event.run.stop(f"no better {self.monitor} for {self.waited} epochs")

    def on_run_end(self, event: RunEnd) -> None:
        if self._vectors:
            event.run.net.parameters.vector[...] = self._vectors["parameters"]
            event.run.net.state.vector[...] = self._vectors["state"]

    def state(self) -> dict[str, Any]:
        return {**super().state(), **self._vectors}

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        self._vectors = {k: np.array(state[k]) for k in ("parameters", "state") if k in state}


def _as_validated(run: Run) -> dict[str, Array]:
    """Copies of the vectors that the record's last row is about."""
    for observer in run.observers:
        if isinstance(observer, AveragedWeights):
            return observer.vectors
    net = run.net
    return {"parameters": net.parameters.vector.copy(), "state": net.state.vector.copy()}


class Checkpoint(Observer):
    """Writes the network and all that a run needs to go on, atomically, while it runs.

    Parameters
    ----------
    path : str or Path
        A safetensors file; ``fit(..., resume=path)`` goes on from it and ``Network.load`` reads
        it. The one before is kept beside it as ``<name>.previous``.
    every : int, optional
        Updates between two writes; by default it is written at the end of each epoch.
    best_of : str, optional
        Write only after epochs in which this column of the record is the best so far
        ("validation_loss"); NaN never is. Not together with `every`.

    Without `best_of` it is also written when a run is stopped in the middle of an epoch, by Ctrl-C
    or an observer.
    """

    last: ClassVar[bool] = True

    @checked_options("Checkpoint", save_best_only='Write best_of="validation_loss"')
    def __init__(
        self, path: str | os.PathLike[str], *, every: int | None = None, best_of: str | None = None
    ) -> None:
        whole = isinstance(every, int) and not isinstance(every, bool)
        if every is not None and (not whole or every < 1):
            raise OptionError(f"every is a number of updates, not {every!r}")
        if every is not None and best_of is not None:
            raise OptionError("Checkpoint takes every or best_of: use two, with a file for each")
        self.path = Path(path)
        self.every = every
        self._best = EarlyStopping(best_of, restore_best=False) if best_of is not None else None

    def on_run_start(self, event: RunStart) -> None:
        from pellucid.formats.atomic import check_writable
        from pellucid.formats.safetensors import checked_config

        check_writable(self.path)  # refused before the first epoch, not after it
        checked_config(event.run.net)

    def on_step(self, event: StepEnd) -> None:
        self._write(event)

    def on_epoch(self, event: EpochEnd) -> None:
        if self._best.improves(event) if self._best is not None else self.every is None:
            self._write(event)

    def on_run_end(self, event: RunEnd) -> None:
        whole = event.reason not in ("completed", "diverged", "failed")
        if whole and (event.run.state.batch or self.every) and self._best is None:
            self._write(event)

    def state(self) -> dict[str, Any]:
        return self._best.state() if self._best is not None else {}

    def restore(self, state: dict[str, Any]) -> None:
        if self._best is not None:
            self._best.restore(state)

    def _write(self, event: Event) -> None:
        from pellucid.formats.safetensors import save_state

        run = event.run
        if run.net.training is not None and isinstance(event, RunEnd):
            save_state(run.net, self.path, run.net.training)
        else:
            save_state(run.net, self.path, run.snapshot())
