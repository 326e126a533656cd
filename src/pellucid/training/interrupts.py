"""Ctrl-C in the middle of training: the update under way is finished first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pellucid.training.loop import Run


@contextmanager
def interrupts(runs: Sequence[Run]) -> Iterator[None]:
    """Ctrl-C asks the runs to stop between two updates; a second one stops at once."""
    default = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not default or threading.current_thread() is not threading.main_thread():
        yield
        return

    def handler(number: int, frame: FrameType | None) -> None:
        if all(run.flag[0] for run in runs):
            signal.default_int_handler(number, frame)
        for run in runs:
            run.stop("interrupted")

    signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
