"""One workload from start to end: job, trial, rounds, judgement; the result as JSON values."""

from __future__ import annotations

import statistics
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import jobs, race
from benchmarks.machine import about
from benchmarks.networks import step_flops
from benchmarks.peers import NO_PEERS, OURS, PEERS, PRODUCTS
from benchmarks.race import Entry, Refused, Say, Workers
from benchmarks.workloads import BEST, Workload

LOOSE = {"scikit-learn": 0.05}  # its Adam adds ε to the uncorrected √v: not quite the same run


def measure(
    workers: Workers, work: Workload, say: Say, *, count: int | None = None, quick: bool = False
) -> Any:
    """Everything about one workload; see the keys at the end."""
    description = jobs.described(work)
    if quick:
        work = replace(work, epochs=min(work.epochs, 2), calls=min(work.calls, 300), rounds=2)
    if count is not None:
        work = replace(work, rounds=count)
    with tempfile.TemporaryDirectory() as folder:
        job = jobs.write(Path(folder), work)
        names = [peer.name for peer in PEERS if not quick or peer.name != "PyTorch compiled"]
        most = work.epochs if job.trains else work.calls
        tried = race.choose(
            workers, job, names, most, 0.1 if quick else 0.6, say,
            race.THREADS[:1] if quick else None, only_first=quick,
        )  # fmt: skip
        entries = [forms[0] for forms in tried.values() if not forms[0].failed]
        speeds = _rates(workers) if PRODUCTS in tried else []
        others = race.rounds(entries, most, work.rounds, say)
        speeds += _rates(workers) if PRODUCTS in tried else []
        say("comparing results")
        scale = 1e6 / (most * job.steps if job.trains else most)
        rows = [_row(entry, scale) for entry in entries]
        _judge(job, entries, rows, work.tolerance)
        result: dict[str, Any] = {
            "about": about(),
            "quick": quick,
            "workload": description,
            "unit": "µs a step" if job.trains else "µs a call",
            "steps": job.steps if job.trains else None,
            "rows": len(job.x),
            "others": round(others, 3),
            "entries": rows,
            "tried": [_tried(e, job) for forms in tried.values() for e in forms],
            "targets": _targets(work, rows),
        }
        if speeds:
            flops = step_flops(job.layers, job.row, job.batch)
            result |= {"gflops": max(speeds) / 1e9, "step_mflop": flops / 1e6}
        workers.clear()
    return result


def _rates(workers: Workers) -> list[float]:
    """The machine's rate on a large matrix product with each number of threads."""
    found = []
    for threads in race.THREADS:
        try:
            found.append(workers.of(PRODUCTS, threads).ask("rate", threads))
        except Refused:
            continue
    return found


def _row(entry: Entry, scale: float) -> dict[str, Any]:
    times = [timing.wall * scale for timing in entry.times]
    wall = sum(timing.wall for timing in entry.times)
    return {
        "peer": entry.peer,
        "form": entry.described(),
        "threads": entry.threads,
        "median": statistics.median(times) if times else None,
        "rounds": [round(t, 3) for t in times],
        "cores": round(sum(t.cpu for t in entry.times) / wall, 2) if wall else None,
        "compilation_s": round(entry.compilation, 2),
        "failed": entry.failed,
    }


def _tried(entry: Entry, job: jobs.Job) -> dict[str, Any]:
    trial = entry.trial * 1e6 / (job.steps if job.trains else 1)
    return {
        "peer": entry.peer,
        "form": entry.described(),
        "median": None if entry.failed else round(trial, 2),
        "compilation_s": round(entry.compilation, 2),
        "failed": entry.failed,
    }


def _judge(job: jobs.Job, entries: list[Entry], rows: list[Any], tolerance: float) -> None:
    """Adds to each row what its contender came to, and whether that is the same as ours."""
    truth = None if job.trains else jobs.expected(job)
    for entry, row in zip(entries, rows, strict=True):
        if entry.peer == PRODUCTS or entry.failed:
            continue
        found = entry.worker.ask("result", entry.key)
        if truth is None:
            row["loss"] = jobs.judged(job, found)
        else:
            row["error"] = float(np.abs(np.asarray(found) - truth).max())
    ours = next((row["loss"] for row in rows if row["peer"] == OURS and "loss" in row), None)
    for row in rows:
        allowed = max(tolerance, LOOSE.get(row["peer"], 0.0))
        if "error" in row:
            row["same"] = row["error"] <= tolerance
        elif "loss" in row and ours is not None:
            row["apart"] = abs(row["loss"] - ours) / ours
            row["same"] = row["apart"] <= allowed


def _targets(work: Workload, rows: list[Any]) -> list[dict[str, Any]]:
    """Each promise beside what came of it: the median over the rounds of the ratio of times."""
    same = {row["peer"]: row for row in rows if row["rounds"] and row.get("same")}
    ours = same.get(OURS)
    good = {name: row for name, row in same.items() if name not in NO_PEERS}
    found = []
    for name, least in work.targets.items():
        peer = name
        if name == BEST:
            peer = min(good, key=lambda n: good[n]["median"], default="")
        ratio = None
        if ours is not None and peer in good:
            pairs = zip(good[peer]["rounds"], ours["rounds"], strict=False)
            ratio = round(statistics.median(theirs / mine for theirs, mine in pairs), 3)
        found.append(
            {"against": name, "peer": peer, "at_least": least, "ratio": ratio,
             "met": ratio is not None and ratio >= least}
        )  # fmt: skip
    return found
