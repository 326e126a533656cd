"""The progress of a run on stderr: one line an epoch, and on a terminal a bar below them.

An epoch's line says when it ended, then the values of the record::

    epoch 2/8   2.2 s  loss 0.2007  accuracy 0.9396  validation: loss 0.1512  accuracy 0.9563

On a terminal the bar moves, and lines appear, a few times a second at most, so that watching costs
next to nothing even where an epoch takes a few milliseconds: epochs in between go without a line
there. The record has them all.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

from pellucid.events import EpochEnd, Observer, RunEnd, RunStart, StepEnd
from pellucid.training.loop import Run

_SECONDS = 0.2  # how often the bar moves
_MANY = 6  # networks side by side that have a column each; of more, the range is told
_APART = ("epoch", "step", "seconds", "learning_rate")  # columns of the record that are not shown


class Progress(Observer):
    """Shows where a run is, as this file describes."""

    every: int | None = 1

    def on_run_start(self, event: RunStart) -> None:
        self._terminal = sys.stderr.isatty()
        self.every = 1 if self._terminal else None  # steps matter to the bar alone
        self._first, self._last = event.run.state.first_epoch, event.run.last_epoch
        self._total = event.steps_per_epoch
        self._bar: Any = None
        self._clock, self._step = time.perf_counter(), event.run.net.updates
        self._line_due = 0.0

    def on_step(self, event: StepEnd) -> None:
        now = time.perf_counter()
        pace = (event.step - self._step) / max(now - self._clock, 1e-9)
        self.every = max(1, int(pace * _SECONDS))
        self._clock, self._step = now, event.step
        state = event.run.state
        speed = f"{pace:,.0f}" if pace >= 10 else f"{pace:.2g}"
        told = [f"{speed} steps/s", f"loss {_number(event.loss).strip()}"]
        if self._total is not None:
            left = (self._last - state.epoch) * self._total - state.batch
            told.append(f"{_clock(left / pace)} left")
        if self._bar is None:
            self._bar = _bar(self._total)
        self._bar.set_description_str(self._epoch(state.epoch + 1), refresh=False)
        self._bar.set_postfix_str(", ".join(told), refresh=False)
        self._bar.n = state.batch
        self._bar.refresh()

    def on_epoch(self, event: EpochEnd) -> None:
        now = time.perf_counter()
        if self._terminal and now < self._line_due and event.epoch < self._last:
            return
        self._line_due = now + _SECONDS
        if self._bar is not None:
            self._bar.clear()
        row = {key: value for key, value in event.row.items() if key not in _APART}
        mine = [f"{k} {_number(v)}" for k, v in row.items() if not k.startswith("validation_")]
        held = [f"{k[11:]} {_number(v)}" for k, v in row.items() if k.startswith("validation_")]
        told = "  ".join([*mine, *(["validation: " + "  ".join(held)] if held else [])])
        seconds = f"{event.row['seconds']:.1f} s"
        sys.stderr.write(f"{self._epoch(event.epoch)}  {seconds:>7}  {told.rstrip()}\n")
        sys.stderr.flush()

    def on_run_end(self, event: RunEnd) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        if event.reason != "completed":
            sys.stderr.write(f"stopped: {event.reason}\n")

    def _epoch(self, number: int) -> str:
        total = str(self._last - self._first)
        return f"epoch {number - self._first:>{len(total)}}/{total}"


class ProgressTogether:
    """The progress of several networks trained together: one bar, one line an epoch.

    A line has each value for every network in their order, or of many the lowest and highest::

        epoch 2/8   2.2 s  loss 0.2007 0.1855 0.3120  accuracy 0.9396 0.9420 0.9011
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        self._runs = list(runs)
        self._terminal = sys.stderr.isatty()
        self._bar: Any = None
        self._due = self._line_due = 0.0
        self._total = runs[0].steps_per_epoch
        self._first = min(run.state.first_epoch for run in runs)
        self._last = max(run.last_epoch for run in runs)

    def block(self, here: Sequence[Run]) -> None:
        """Some updates of the networks whose epoch it is are done."""
        now = time.perf_counter()
        if not self._terminal or now < self._due:
            return
        self._due = now + _SECONDS
        state = here[0].state
        if self._bar is None:
            self._bar = _bar(self._total)
        self._bar.set_description_str(self._epoch(state.epoch + 1), refresh=False)
        self._bar.set_postfix_str(f"{len(here)} networks", refresh=False)
        self._bar.n = state.batch
        self._bar.refresh()

    def epoch(self, ended: Sequence[Run]) -> None:
        """These networks have come to the end of an epoch."""
        now = time.perf_counter()
        last = bool(ended) and ended[0].state.epoch == self._last
        if not ended or (self._terminal and now < self._line_due and not last):
            return
        self._line_due = now + _SECONDS
        if self._bar is not None:
            self._bar.clear()
        rows = [run.record[-1] for run in ended]
        keys = [k for k in dict.fromkeys(k for row in rows for k in row) if k not in _APART]
        told = {key: _side_by_side([row[key] for row in rows if key in row]) for key in keys}
        mine = [f"{k} {v}" for k, v in told.items() if not k.startswith("validation_")]
        held = [f"{k[11:]} {v}" for k, v in told.items() if k.startswith("validation_")]
        text = "  ".join([*mine, *(["validation: " + "  ".join(held)] if held else [])])
        seconds = f"{rows[0]['seconds']:.1f} s"
        sys.stderr.write(f"{self._epoch(ended[0].state.epoch)}  {seconds:>7}  {text.rstrip()}\n")
        sys.stderr.flush()

    def close(self) -> None:
        """All is over; says which networks stopped before their last epoch, and why."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        for number, run in enumerate(self._runs):
            if run.record.stopped:
                sys.stderr.write(f"networks[{number}] stopped: {run.record.stopped}\n")

    def _epoch(self, number: int) -> str:
        total = str(self._last - self._first)
        return f"epoch {number - self._first:>{len(total)}}/{total}"


def _bar(total: int | None) -> Any:
    from tqdm import tqdm

    return tqdm(
        total=total, leave=False, dynamic_ncols=True, mininterval=0,
        bar_format="{desc} {bar:20} {n_fmt}/{total_fmt}{postfix}",
    )  # fmt: skip


def _side_by_side(values: Sequence[float]) -> str:
    """One value for each network, or the range of many."""
    if len(values) > _MANY:
        return f"{_number(min(values)).strip()} … {_number(max(values)).strip()}"
    return " ".join(_number(value).strip() for value in values)


def _number(value: float) -> str:
    """Four digits behind the point where that says something; of one width for most values."""
    return f"{value:<7.4f}" if 1e-3 <= abs(value) < 1e4 or value == 0 else f"{value:<7.1e}"


def _clock(seconds: float) -> str:
    """A length of time as 0:07, 12:30 or 1:02:45."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
