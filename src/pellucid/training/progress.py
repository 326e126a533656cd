"""The progress line: a bar on a terminal, one line an epoch anywhere else."""

from __future__ import annotations

import sys
import time
from typing import Any

from pellucid.events import EpochEnd, Observer, RunEnd, RunStart, StepEnd

_SECONDS = 0.2  # how often the bar moves


class Progress(Observer):
    """Shows where a run is. On a terminal it moves a few times a second, whatever a step takes."""

    every: int | None = 1

    def on_run_start(self, event: RunStart) -> None:
        self._terminal = sys.stderr.isatty()
        self.every = 1 if self._terminal else None
        self._clock, self._step = time.perf_counter(), event.run.net.updates
        self._epochs = event.run.last_epoch - event.run.state.first_epoch
        self._bar: Any = None
        self._total = event.steps_per_epoch

    def _open(self, event: StepEnd | EpochEnd) -> Any:
        if self._bar is None:
            from tqdm import tqdm

            state = event.run.state
            number = state.epoch + isinstance(event, StepEnd) - state.first_epoch
            self._bar = tqdm(
                total=self._total, leave=True, dynamic_ncols=True, unit=" steps", mininterval=0,
                desc=f"epoch {number}/{self._epochs}",
                bar_format="{desc} {bar:20} {n_fmt}/{total_fmt} {rate_fmt}{postfix}",
            )  # fmt: skip
        return self._bar

    def on_step(self, event: StepEnd) -> None:
        now, done = time.perf_counter(), event.step - self._step
        bar = self._open(event)
        bar.set_postfix_str(f"loss {event.loss:.4g}", refresh=False)
        bar.n = event.run.state.batch
        bar.refresh()
        pace = done / max(now - self._clock, 1e-9)
        self.every = max(1, int(pace * _SECONDS))
        self._clock, self._step = now, event.step

    def on_epoch(self, event: EpochEnd) -> None:
        skip = ("epoch", "step", "seconds", "learning_rate")
        shown = "  ".join(f"{k} {v:.4g}" for k, v in event.row.items() if k not in skip)
        if not self._terminal:
            number = event.epoch - event.run.state.first_epoch
            sys.stderr.write(
                f"epoch {number}/{self._epochs}  {shown}  ({event.row['seconds']:.1f} s)\n"
            )
            return
        bar = self._open(event)
        bar.n = self._total or event.row["step"]
        bar.set_postfix_str(shown)
        bar.close()
        self._bar = None

    def on_run_end(self, event: RunEnd) -> None:
        if self._bar is not None:
            self._bar.close()
        if event.reason != "completed":
            sys.stderr.write(f"stopped: {event.reason}\n")
