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
from typing import Any

from pellucid.events import EpochEnd, Observer, RunEnd, RunStart, StepEnd

_SECONDS = 0.2  # how often the bar moves
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
            self._bar = self._opened()
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

    def _opened(self) -> Any:
        from tqdm import tqdm

        return tqdm(
            total=self._total, leave=False, dynamic_ncols=True, mininterval=0,
            bar_format="{desc} {bar:20} {n_fmt}/{total_fmt}{postfix}",
        )  # fmt: skip

    def _epoch(self, number: int) -> str:
        total = str(self._last - self._first)
        return f"epoch {number - self._first:>{len(total)}}/{total}"


def _number(value: float) -> str:
    """Four digits behind the point where that says something; of one width for most values."""
    return f"{value:<7.4f}" if 1e-3 <= abs(value) < 1e4 or value == 0 else f"{value:<7.1e}"


def _clock(seconds: float) -> str:
    """A length of time as 0:07, 12:30 or 1:02:45."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
