"""How the cost of a training step grows with width, depth, batch and threads.

Dense networks with ReLU and Adam on random rows, 64 features and 10 classes. Each curve changes one
number and leaves the others as `BASE` has them. Every contender is timed with one thread and with
two, in interleaved rounds; a curve shows the better of the two, and the width curve also says what
the second thread was worth. As in the workloads, all start from the same weights and end, within a
tolerance, with the same loss.
"""

from __future__ import annotations

import statistics
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import jobs, race
from benchmarks.machine import about
from benchmarks.networks import step_flops
from benchmarks.peers import OURS, PRODUCTS, forms
from benchmarks.race import Entry, Refused, Say, Workers
from benchmarks.workloads import Workload, dense

BASE = {"width": 256, "depth": 2, "batch": 64}
CURVES = {
    "width": [16, 32, 64, 128, 256, 512, 1024, 2048, 4096],
    "depth": [1, 2, 4, 8, 16, 32],
    "batch": [1, 4, 16, 64, 256, 1024, 4096],
}
COMPILED_AT = {"width": [16, 256, 4096], "depth": [], "batch": [1, 4096]}  # it compiles for seconds
CONTENDERS = [OURS, "PyTorch eager", "JAX", "PyTorch compiled"]
ROUNDS = 3
FEATURES, CLASSES = 64, 10
TOLERANCE = 0.02
_WORK = 2e10  # operations of one run, about, within 4 … 2,000 steps


def measure(workers: Workers, say: Say, quick: bool = False) -> dict[str, Any]:
    """All points of all curves, as JSON values."""
    points = []
    for curve, values in CURVES.items():
        for value in values[::3] if quick else values:
            say(f"{curve} {value}")
            compiled = value in COMPILED_AT[curve] and not quick
            sizes = {**BASE, curve: value}
            names = CONTENDERS if compiled else CONTENDERS[:-1]
            points.append(
                {"curve": curve, "value": value, "sizes": sizes} | _point(workers, sizes, names)
            )
    return {"about": about(), "quick": quick, "base": BASE, "points": points}


def _point(workers: Workers, sizes: dict[str, int], names: list[str]) -> dict[str, Any]:
    """Step times of the contenders at one place of one curve."""
    layers = dense(FEATURES, *[sizes["width"]] * sizes["depth"], CLASSES)
    batch = sizes["batch"]
    flops = step_flops(layers, (FEATURES,), batch)
    steps = int(np.clip(_WORK / flops, 4, 2000))
    work = Workload(
        "scaling", "", "train", layers, "", {}, batch=batch, epochs=1, tolerance=TOLERANCE
    )
    with tempfile.TemporaryDirectory() as folder:
        job = jobs.write(Path(folder), work, _rows(steps * batch))
        entries = [
            Entry(name, forms(name, job)[0], threads, job, workers.of(name, threads))
            for name in names if name != PRODUCTS for threads in race.THREADS
        ]  # fmt: skip
        for entry in entries:
            entry.attempt(1, 0.0)
        others = race.rounds(entries, 1, ROUNDS, lambda _: None)
        found = [_found(entry, job) for entry in entries]
    ours = next((f["loss"] for f in found if f["peer"] == OURS and f["loss"] is not None), None)
    for row in found:
        row["same"] = None not in (row["loss"], ours) and (
            abs(row["loss"] - ours) <= TOLERANCE * max(ours, 0.01)
        )
    return {"steps": steps, "mflop": flops / 1e6, "others": round(others, 3), "entries": found}


def _rows(count: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    x = rng.random((count, FEATURES), np.float32)
    return x, rng.integers(0, CLASSES, count)


def _found(entry: Entry, job: jobs.Job) -> dict[str, Any]:
    """Median time of a step, and the loss it came to; then the worker may forget it."""
    times = [timing.wall / job.steps * 1e6 for timing in entry.times]
    loss = None
    if times and not entry.failed:
        try:
            loss = jobs.judged(job, entry.worker.ask("result", entry.key))
        except Refused as refusal:
            entry.failed = str(refusal)
    entry.drop()
    return {
        "peer": entry.peer, "threads": entry.threads, "failed": entry.failed, "loss": loss,
        "median": statistics.median(times) if times else None,
        "rounds": [round(t, 2) for t in times],
    }  # fmt: skip


def best(point: dict[str, Any], peer: str) -> float | None:
    """A contender's time at a point with its better number of threads."""
    times = [
        e["median"] for e in point["entries"]
        if e["peer"] == peer and e["median"] is not None and e["same"]
    ]  # fmt: skip
    return min(times, default=None)


def crossovers(points: list[dict[str, Any]], peer: str) -> list[tuple[float, bool]]:
    """Where a peer's curve crosses ours, and whether it is the faster one beyond.

    Between two measured points the ratio of the times is taken to follow a power of the number that
    changes, a straight line in the plot.
    """
    found = []
    ratios = [
        (p["value"], theirs / ours)
        for p in points if (theirs := best(p, peer)) and (ours := best(p, OURS))
    ]  # fmt: skip
    for (left, before), (right, after) in pairwise(ratios):
        if (before >= 1) != (after >= 1):
            share = np.log(before) / (np.log(before) - np.log(after))
            found.append((float(left * (right / left) ** share), after < 1))
    return found
