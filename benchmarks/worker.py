"""A contender's process: it reads the job, makes ready what it is told to, and times runs.

Each contender has a process of its own, so that no library's threads, allocator or settings disturb
another's; while one runs, the others wait at their pipe.
"""

from __future__ import annotations

import gc
import importlib
import time
import traceback
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.jobs import read


class Timing(NamedTuple):
    """Seconds by the clock, and of all this process's threads on the processors."""

    wall: float
    cpu: float


class Process:
    """What the commands below act on: the contenders made so far, by a key of the caller's."""

    def __init__(self, module: str) -> None:
        self.module = importlib.import_module(module)
        self.made: dict[str, Any] = {}

    def make(self, key: str, folder: str, form: dict[str, Any], threads: int) -> str:
        """Makes a contender for a job ready, as far as it can be without running; a word on it."""
        job = read(Path(folder))
        kind = self.module.Trainer if job.trains else self.module.Predictor
        self.made[key] = kind(job, form, threads)
        return str(self.made[key].about())

    def run(self, key: str, amount: int) -> Timing:
        """Times so many epochs from the initial weights, or so many predictions."""
        contender = self.made[key]
        contender.use()
        if contender.job.trains:
            contender.reset()
            cpu, start = time.process_time(), time.perf_counter()
            contender.train(amount)
        else:
            cpu, start = time.process_time(), time.perf_counter()
            for _ in range(amount):
                contender.predict()
        return Timing(time.perf_counter() - start, time.process_time() - cpu)

    def result(self, key: str) -> Any:
        """The weights after the last run, or the predictions."""
        contender = self.made[key]
        return contender.weights() if contender.job.trains else contender.predict()

    def rate(self, threads: int) -> float:
        """The machine's rate of matrix products, where the module can measure it."""
        return float(self.module.rate(threads))

    def peak(self) -> float:
        """The most memory this process has had, in MiB."""
        try:
            lines = Path("/proc/self/status").read_text().splitlines()
            return int(next(x for x in lines if x.startswith("VmHWM")).split()[1]) / 1024
        except OSError:
            import resource

            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # bytes on macOS

    def drop(self, key: str) -> None:
        """Forgets a contender."""
        self.made.pop(key, None)

    def clear(self) -> None:
        """Forgets all of them, and what their library compiled."""
        self.made.clear()
        getattr(self.module, "forget", lambda: None)()
        gc.collect()


def serve(pipe: Connection, module: str) -> None:
    """Answers commands until the pipe closes: (name, arguments) → ("ok", value) or ("no", why)."""
    process, broken = None, ""
    try:
        process = Process(module)
    except Exception as error:
        broken = f"{module} cannot be imported: {type(error).__name__}: {error}"
    while True:
        try:
            name, arguments = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send(("ok", getattr(process, name)(*arguments)) if process else ("no", broken))
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{Path(where.filename).name}:{where.lineno}"
            pipe.send(("no", f"{type(error).__name__} in {place}: {error}"))
