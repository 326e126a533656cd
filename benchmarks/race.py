"""The race: contenders made ready, each in its best form, and timed in interleaved rounds.

First every contender is tried in each of its forms and with each number of threads; the fastest one
of each goes into the rounds. A round times all of them one after the other, starting with another
one each time, so that what disturbs the machine disturbs them alike. What counts is the median over
the rounds.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from benchmarks.jobs import Job
from benchmarks.machine import busy_seconds
from benchmarks.peers import BY_NAME, Form, forms
from benchmarks.worker import Timing, serve

THREADS = tuple(n for n in (1, 2) if n <= (os.cpu_count() or 1))
PATIENCE = 300.0  # seconds for one command
TRIAL = 180.0  # seconds for one command of the trial, compilation included
PAUSE = 0.02  # seconds between two contenders: threads that wait actively fall asleep
Say = Callable[[str], None]


class Refused(Exception):
    """A contender could not do what it was asked; the message says why."""


class Worker:
    """The parent's end of a contender's process."""

    def __init__(self, module: str, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, child = context.Pipe()
        self.process = context.Process(target=serve, args=(child, module), daemon=True)
        with _environment(threads):
            self.process.start()
        child.close()

    def ask(self, name: str, *arguments: Any, patience: float = PATIENCE) -> Any:
        """The answer to a command; Refused where it fails, dies or takes too long."""
        try:
            self.pipe.send((name, arguments))
            if not self.pipe.poll(patience):
                self.close()
                raise Refused(f"no answer to '{name}' within {patience:.0f} s")
            verdict, value = self.pipe.recv()
        except (EOFError, BrokenPipeError, OSError) as error:
            raise Refused(f"the process ended during {name} ({type(error).__name__})") from None
        if verdict != "ok":
            raise Refused(value)
        return value

    def close(self) -> None:
        """Ends the process."""
        self.pipe.close()
        self.process.join(1)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


@contextmanager
def _environment(threads: int) -> Iterator[None]:
    """The environment of a process with so many threads, for what is fixed when it starts."""
    before = dict(os.environ)
    os.environ |= {"NPROC": str(threads), "OMP_NUM_THREADS": str(threads)}  # NPROC is JAX's
    if threads == 1:
        os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


class Workers:
    """The processes, one for each contender and number of threads; a context that ends them."""

    def __init__(self) -> None:
        self.workers: dict[tuple[str, int], Worker] = {}

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self.workers.values():
            worker.close()

    def of(self, name: str, threads: int) -> Worker:
        """The process of a contender, started anew where it ended."""
        key = (name, threads)
        if key not in self.workers or not self.workers[key].process.is_alive():
            self.workers[key] = Worker(BY_NAME[name].module, threads)
        return self.workers[key]

    def clear(self) -> None:
        """Has every process forget what it made: the next workload begins."""
        for worker in self.workers.values():
            with suppress(Refused):
                worker.ask("clear")


@dataclass
class Entry:
    """One contender in one form with so many threads, on one job."""

    peer: str
    form: Form
    threads: int
    job: Job
    worker: Worker
    about: str = ""
    compilation: float = 0.0  # what the first run took more than the second, in seconds
    trial: float = float("inf")  # seconds of an epoch or a call in the trial
    failed: str = ""
    times: list[Timing] = field(default_factory=list)

    @property
    def key(self) -> str:
        """What the worker knows it by."""
        return f"{self.job.folder} {self.form} {self.threads}"

    def run(self, amount: int, patience: float = PATIENCE) -> Timing:
        """One timed run."""
        time.sleep(PAUSE)
        return Timing(*self.worker.ask("run", self.key, amount, patience=patience))

    def attempt(self, most: int, seconds: float) -> None:
        """A first short run, which compiles, another, and then two that take about `seconds`.

        The fewer epochs a run has, the more its start weighs; so the longer runs decide.
        """
        try:
            self.about = self.worker.ask(
                "make", self.key, str(self.job.folder), self.form, self.threads, patience=TRIAL
            )
            first = self.run(1, TRIAL).wall
            self.trial = self.run(1, TRIAL).wall
            self.compilation = max(0.0, first - self.trial)
            amount = max(1, min(most, round(seconds / 2 / self.trial)))
            if self.trial < seconds:
                self.trial = min(self.run(amount).wall for _ in range(2)) / amount
        except Refused as refusal:
            self.failed, self.trial = str(refusal), float("inf")

    def drop(self) -> None:
        """Frees what the worker holds for this entry."""
        with suppress(Refused):
            self.worker.ask("drop", self.key)

    def described(self) -> str:
        """The form in words: what is not "none", what the module says of it, the threads."""
        words = [_WORDS.get((k, v), f"{k} {v}") for k, v in self.form.items() if v != "none"]
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        return ", ".join(word for word in [self.about, *words, threads] if word)


_WORDS = {
    ("engine", "auto"): "", ("engine", "numpy"): "",
    ("layout", "rows"): "", ("layout", "channels_last"): "channels_last",
    ("layout", "contiguous"): "channels first", ("gather", "batch"): "rows picked by the batch",
    ("gather", "epoch"): "rows picked by the epoch",
    ("step", "module"): "network and loss compiled", ("step", "functional"): "",
    ("unroll", 1): "", ("unroll", 4): "4 batches unrolled", ("vector", "tree"): "",
    ("vector", "flat"): "one flat vector", ("call", "run"): "session.run",
    ("call", "io binding"): "io binding", ("conv", "lax"): "lax.conv",
    ("conv", "patches"): "convolution as patches and a product",
    ("pool", "reduce_window"): "pool by reduce_window", ("pool", "reshape"): "pool by a reshape",
    ("pool", "maximum"): "pool by maxima of slices",
}  # fmt: skip


def choose(
    workers: Workers, job: Job, names: list[str], most: int, seconds: float, say: Say,
    threads: tuple[int, ...] | None = None, only_first: bool = False,
) -> dict[str, list[Entry]]:  # fmt: skip
    """Tries every form of every contender; the entries of each, the fastest first."""
    tried: dict[str, list[Entry]] = {}
    for name in names:
        options = forms(name, job)[: 1 if only_first else None]
        entries = [
            Entry(name, form, count, job, workers.of(name, count))
            for form in options for count in threads or THREADS
        ]  # fmt: skip
        for number, entry in enumerate(entries):
            say(f"trying {name}, form {number + 1} of {len(entries)}")
            entry.worker = workers.of(name, entry.threads)  # a new one where the last was ended
            entry.attempt(most, seconds)
        if entries:
            tried[name] = sorted(entries, key=lambda e: e.trial)
        for entry in tried.get(name, [])[1:]:
            entry.drop()
    return tried


def rounds(entries: list[Entry], amount: int, count: int, say: Say) -> float:
    """Times all entries `count` times; the share of the machine that others used meanwhile."""
    start, busy, own = time.perf_counter(), busy_seconds(), time.process_time()
    used = 0.0
    for number in range(count):
        say(f"round {number + 1} of {count}")
        turn = number % len(entries)
        for entry in entries[turn:] + entries[:turn]:
            if entry.failed:
                continue
            try:
                entry.times.append(entry.run(amount))
                used += entry.times[-1].cpu
            except Refused as refusal:
                entry.failed = str(refusal)
    used += time.process_time() - own
    capacity = (time.perf_counter() - start) * (os.cpu_count() or 1)
    return max(0.0, busy_seconds() - busy - used) / capacity
