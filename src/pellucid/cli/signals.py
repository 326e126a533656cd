"""Ctrl-C and SIGTERM: both ask a run to stop between two updates, so that it can be resumed.

The training loop answers Ctrl-C itself. SIGTERM, which it knows nothing of, is made to do the same
here; a second one stops at once. A process that was started with Ctrl-C ignored, as a shell does
with what it runs in the background, goes on ignoring it, and still ends on SIGTERM.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

from pellucid.events import Observer, RunStart


class Signals(Observer):
    """Notes which signal came. As an observer of a run it knows what to stop.

    Attributes
    ----------
    came : the number of the signal, 0 while there was none
    """

    def __init__(self) -> None:
        self.came = 0
        self._run: Any = None
        self._before: Any = None
        self._mine = threading.current_thread() is threading.main_thread()

    @property
    def status(self) -> int:
        """The exit status of a command that was stopped, as shells count: 128 + the signal."""
        return 128 + (self.came or signal.SIGINT)

    def __enter__(self) -> Signals:
        if self._mine:  # elsewhere Python allows no handlers
            self._before = signal.signal(signal.SIGTERM, self._terminate)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        place: TracebackType | None,
    ) -> None:  # fmt: skip
        if self._mine:
            signal.signal(signal.SIGTERM, self._before)

    def on_run_start(self, event: RunStart) -> None:
        self._run = event.run

    def _terminate(self, number: int, frame: FrameType | None) -> None:
        again, self.came = bool(self.came), number
        if self._run is None or again:
            raise KeyboardInterrupt
        self._run.stop("interrupted")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Lets what stands inside come to its end: a Ctrl-C meanwhile is only noted."""
        ours = self._mine and signal.getsignal(signal.SIGINT) is signal.default_int_handler

        def note(number: int, _frame: FrameType | None) -> None:
            self.came = number

        if ours:
            signal.signal(signal.SIGINT, note)
        try:
            yield
        finally:
            if ours:
                signal.signal(signal.SIGINT, signal.default_int_handler)
