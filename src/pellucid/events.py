"""What training says while it runs: one stream of typed events, watched by observers.

Progress bars, the record, checkpoints, early stopping and diagnosis are observers of this stream.
Each says beforehand what it needs; the loop runs as many steps as it can until someone is due.
Watching never changes the arithmetic: a run gives the same bits watched or not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from numpy.typing import NDArray

if TYPE_CHECKING:
    from pellucid.training.loop import Run

Array = NDArray[Any]
Phase = Literal["forward", "loss", "backward", "update"]


@dataclass(frozen=True)
class Event:
    """Something that happened in `run` (which has `net`, `record`, `state` and `stop(reason)`)."""

    run: Run


@dataclass(frozen=True)
class RunStart(Event):
    """A run begins, or goes on; `epochs` and `steps` are those it is to do (None: unknown)."""

    epochs: int
    steps_per_epoch: int | None


@dataclass(frozen=True)
class StepEnd(Event):
    """Updates up to `step` are done; `loss` is that of the last batch.

    `tensors` has copies of what the observers asked for: an input's values or a node's output
    under its name, a parameter under ``node/W``, under ``d/...`` the gradient of the loss by any of
    these, and a running statistic under ``node/mean``.
    """

    step: int
    loss: float
    tensors: dict[str, Array] = field(default_factory=dict)


@dataclass(frozen=True)
class PhaseEnd(Event):
    """One phase of the step after `step` updates is over."""

    step: int
    phase: Phase


@dataclass(frozen=True)
class EpochEnd(Event):
    """An epoch is over; `row` is its line of the record."""

    epoch: int
    row: dict[str, float]


@dataclass(frozen=True)
class Alarm(Event):
    """Something is wrong: `kind` is a word, `message` a sentence."""

    kind: str
    message: str


@dataclass(frozen=True)
class RunEnd(Event):
    """The run is over: "completed", "interrupted", "diverged", or what `stop` was told."""

    reason: str


class Observer:
    """Base of everything that watches a run. Override the methods of the events you want.

    Attributes
    ----------
    every : int or None
        Ask for `on_step` each time the number of updates is a multiple of this. May be changed
        while the run goes on. None: never.
    phases : bool
        Ask for `on_phase` after each phase of every step.
    tensors : tuple of str, or "all"
        What `StepEnd.tensors` should hold.
    last : bool
        Observers that must see what the others did (a checkpoint) are told last.

    >>> class Print(Observer):
    ...     every = 100
    ...     def on_step(self, event):
    ...         print(event.step, event.loss)
    """

    every: int | None = None
    phases: bool = False
    tensors: tuple[str, ...] | Literal["all"] = ()
    last: ClassVar[bool] = False

    def on_run_start(self, event: RunStart) -> None:
        """A run begins."""

    def on_step(self, event: StepEnd) -> None:
        """`every` updates are done."""

    def on_phase(self, event: PhaseEnd) -> None:
        """A phase is over."""

    def on_epoch(self, event: EpochEnd) -> None:
        """An epoch is over."""

    def on_alarm(self, event: Alarm) -> None:
        """Something is wrong."""

    def on_run_end(self, event: RunEnd) -> None:
        """The run is over, however it ended."""

    def state(self) -> dict[str, Any]:
        """What this observer needs to go on after a resume: JSON values and arrays."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Takes back what `state` gave."""
