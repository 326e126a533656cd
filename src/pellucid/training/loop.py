"""The training loop: epochs of batches, the events they give rise to, and how a run can end.

`train` is the whole of it. It asks the observers how many updates may pass before somebody is due,
lets the program make that many in one call, tells whoever is due, and goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from math import isfinite
from typing import Any

import numpy as np

from pellucid.engine.base import Batches, Program, Tally
from pellucid.errors import DivergenceError, Interrupted
from pellucid.events import (
    Alarm,
    EpochEnd,
    Event,
    Observer,
    Phase,
    PhaseEnd,
    RunEnd,
    RunStart,
    StepEnd,
)
from pellucid.network.network import Network
from pellucid.training.interrupts import interrupts
from pellucid.training.record import Record
from pellucid.training.state import TrainingState

_MANY = 2**31


class Run:
    """One training from start to end: what observers can see and ask for.

    Attributes
    ----------
    net, state, record : the network, the counters, and the rows so far
    last_epoch : the value of `state.epoch` at which the run is complete
    """

    def __init__(
        self, net: Network, program: Program, state: TrainingState, observers: Sequence[Observer],
        epochs: int, batches_of: Callable[[int], Batches],
        finish_row: Callable[[], dict[str, float]],
        measure: Callable[[Tally], dict[str, float]], steps_per_epoch: int | None,
    ) -> None:  # fmt: skip
        self.net, self.program, self.state = net, program, state
        self.observers = sorted(observers, key=lambda o: o.last)
        self.record = Record(state.rows)
        self.last_epoch = state.first_epoch + epochs
        self.steps_per_epoch = steps_per_epoch
        self.batches_of, self.finish_row, self.measure = batches_of, finish_row, measure
        self.reason = self.diverged = ""  # why it ended; what became NaN or infinite
        self.flag = np.zeros(1, np.uint8)  # set to stop between two updates; engines look at it
        self.watches_phases = any(o.phases for o in observers)

    def stop(self, reason: str) -> None:
        """Ends the run before the next update; `reason` goes into the record."""
        if not self.flag[0]:  # the first reason counts
            self.reason, self.flag[0] = reason or "stopped", 1

    def observers_by_key(self) -> dict[str, Observer]:
        """The observers under the names by which a resumed run finds them: class and number."""
        found: dict[str, Observer] = {}
        for observer in self.observers:
            kind = type(observer).__name__
            number = sum(type(other).__name__ == kind for other in found.values())
            found[f"{kind}.{number + 1}"] = observer
        return found

    def snapshot(self) -> TrainingState:
        """A `TrainingState` from which `fit(..., resume=...)` goes on bit for bit."""
        self.state.observers = {key: o.state() for key, o in self.observers_by_key().items()}
        return self.state.snapshot(self.net)

    def emit(self, event: Event, handler: str) -> None:
        """Tells every observer."""
        for observer in self.observers:
            getattr(observer, handler)(event)

    def until_due(self) -> int:
        """Updates that may pass before somebody wants to hear of one."""
        waits = [o.every - self.net.updates % o.every for o in self.observers if o.every]
        return min(waits, default=_MANY)

    def tell_step(self, loss: float) -> None:
        """`StepEnd` for those who are due at this number of updates."""
        due = [o for o in self.observers if o.every and self.net.updates % o.every == 0]
        if not due:
            return
        names: Any = () if not any(o.tensors for o in due) else None
        if names is None and not any(o.tensors == "all" for o in due):
            names = sorted({name for o in due for name in o.tensors})
        tensors = self.program.tensors(names) if names != () else {}
        for observer in due:
            observer.on_step(StepEnd(self, self.net.updates, loss, tensors))

    def tell_phase(self, phase: Phase) -> None:
        """`PhaseEnd` for those who asked for phases."""
        for observer in self.observers:
            if observer.phases:
                observer.on_phase(PhaseEnd(self, self.net.updates, phase))


def train(run: Run) -> Record:
    """Runs epochs until the last one is done or somebody stops it."""
    state, began = run.state, time.perf_counter() - run.state.seconds
    run.emit(RunStart(run, run.last_epoch - state.first_epoch, run.steps_per_epoch), "on_run_start")
    with interrupts([run]):
        try:
            while state.epoch < run.last_epoch and not run.reason:
                if advance(run, run.batches_of(state.epoch)):
                    state.seconds = time.perf_counter() - began
                    end_epoch(run)
        finally:
            state.seconds = time.perf_counter() - began
            end_run(run)
    if run.diverged:
        raise DivergenceError(divergence(run))
    if run.reason == "interrupted":
        raise Interrupted(
            f"training stopped after update {state.updates}, in epoch {state.epoch + 1}; the "
            "network is whole, and fit with resume=True goes on from there"
        )
    return run.record


def advance(run: Run, batches: Batches, first: int = 0) -> bool:
    """Makes the updates of some batches, the first of which is number `first` of the epoch.

    True when all are made, False where the run was stopped before.
    """
    net, state = run.net, run.state
    on_phase, ended = run.tell_phase if run.watches_phases else None, False
    while not ended and not run.flag[0]:
        due = run.until_due()
        result = run.program.run(batches, state.batch - first, due, state.tally, run.flag, on_phase)
        state.batch += result.done
        state.updates, ended = net.updates, result.ended
        run.diverged = result.diverged or _overflown(net, result.done)
        if run.diverged:
            run.reason, run.flag[0], ended = "diverged", 1, False
        elif result.done:
            run.tell_step(result.loss)
    return ended


def end_epoch(run: Run) -> None:
    """Closes the epoch: its row of the record, counters, events."""
    state = run.state
    row = {"epoch": state.epoch + 1, "step": state.updates, **run.measure(state.tally)}
    row |= run.finish_row()  # may fail: the epoch is not closed before
    state.epoch, state.batch, state.tally = state.epoch + 1, 0, Tally()
    row["seconds"] = round(state.seconds, 3)
    state.rows.append(row)
    run.emit(EpochEnd(run, state.epoch, row), "on_epoch")


def end_run(run: Run) -> None:
    """Keeps what a resume needs, then lets observers restore what they promised."""
    # where an error fell among the steps, the updates before it are not counted yet
    run.state.batch += run.net.updates - run.state.updates
    run.state.updates = run.net.updates
    run.reason = run.reason or "completed"
    if run.state.epoch < run.last_epoch and run.reason == "completed":
        run.reason = "failed"
    run.record.stopped = run.state.stopped = "" if run.reason == "completed" else run.reason
    run.net.training = run.snapshot()
    if run.diverged:
        run.emit(Alarm(run, "divergence", divergence(run)), "on_alarm")
    run.emit(RunEnd(run, run.reason), "on_run_end")


def _overflown(net: Network, done: int) -> str:
    """Which vector is no longer finite after some updates."""
    for what, vector in (
        ("parameters", net.parameters.vector),
        ("running statistics", net.state.vector),
    ):
        with np.errstate(all="ignore"):
            if done and not (isfinite(vector @ vector) or np.isfinite(vector).all()):
                return what
    return ""


def divergence(run: Run) -> str:
    """What became NaN or infinite, when, and what to try."""
    state, what = run.state, run.diverged
    if what in ("parameters", "running statistics"):
        event = f"are NaN or infinite after update {state.updates} (epoch {state.epoch + 1})"
    else:
        event = (
            f"became NaN or infinite at update {state.updates + 1} (epoch {state.epoch + 1}, batch "
            f"{state.batch + 1}); that update was not made"
        )
    return (
        f"the {what} {event}. Usual causes: a learning rate too large, inputs that are not scaled "
        "(add Rescale or Standardize), no clipping (clip_norm=1.0). net.diagnose(x, y) looks for "
        "the first source"
    )
