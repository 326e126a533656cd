"""What each library costs beside time: memory of a training, import, room on the disk.

Each figure is taken in a process of its own. Memory is the peak of a process that trains
784-128-10 on 8,000 rows for one epoch, everything included: interpreter, library, 25 MB of data.
Import time is that of a fresh interpreter less the interpreter's own. Size is what pip put on the
disk: the library itself, and with all that it requires.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks import jobs, race
from benchmarks.machine import about
from benchmarks.peers import BY_NAME, OURS, forms
from benchmarks.race import Refused, Say, Worker, Workers
from benchmarks.workloads import chosen

LIBRARIES = {  # what a table calls it: what is imported, what pip installs, who trains with it
    "NumPy alone": ("numpy", "numpy", ""),
    OURS: ("pellucid", "pellucid", OURS),
    "PyTorch": ("torch", "torch", "PyTorch eager"),
    "JAX": ("jax", "jax", "JAX"),
    "scikit-learn": ("sklearn.neural_network", "scikit-learn", "scikit-learn"),
    "ONNX Runtime": ("onnxruntime", "onnxruntime", ""),
}


def measure(_: Workers, say: Say, quick: bool = False) -> dict[str, Any]:
    """One row for each library, as JSON values."""
    imports = _imports(2 if quick else 7, say)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        job = jobs.write(Path(folder), chosen("digits")[0])
        for name, (module, distribution, peer) in LIBRARIES.items():
            say(f"memory and size of {name}")
            alone, whole = _sizes(distribution)
            rows.append(
                {"library": name, "import_ms": imports[module], "size_mb": alone,
                 "with_requirements_mb": whole, "peak_mb": _peak(job, peer) if peer else None}
            )  # fmt: skip
    return {"about": about(), "quick": quick, "rows": rows}


def _imports(count: int, say: Say) -> dict[str, float]:
    """Milliseconds of importing each, in interleaved rounds; the first only warms the disk."""
    modules = ["sys", *(module for module, *_ in LIBRARIES.values())]
    times: dict[str, list[float]] = {module: [] for module in modules}
    for number in range(count + 1):
        say(f"import, round {number} of {count}")
        for module in modules:
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", f"import {module}"], check=True)
            times[module].append((time.perf_counter() - start) * 1e3)
    nothing = times["sys"][1:]
    return {
        module: statistics.median(t - n for t, n in zip(times[module][1:], nothing, strict=True))
        for module in modules[1:]
    }


def _peak(job: jobs.Job, peer: str) -> float | None:
    """The most memory of a process that trains for an epoch, in MB."""
    worker = Worker(BY_NAME[peer].module, max(race.THREADS))
    try:
        form = forms(peer, job)[0]
        worker.ask("make", "it", str(job.folder), form, max(race.THREADS))
        worker.ask("run", "it", 1)
        return float(worker.ask("peak")) * 2**20 / 1e6
    except Refused:
        return None
    finally:
        worker.close()


def _sizes(distribution: str) -> tuple[float, float]:
    """Megabytes of an installed distribution, alone and with all that it requires."""
    found: dict[str, float] = {}
    waiting = [distribution]
    while waiting:
        name = _plain(waiting.pop())
        if name in found:
            continue
        try:
            installed = metadata.distribution(name)
        except metadata.PackageNotFoundError:  # required elsewhere than on this system
            continue
        paths = {Path(str(installed.locate_file(f))) for f in installed.files or []}
        found[name] = sum(path.stat().st_size for path in paths if path.is_file()) / 1e6
        waiting += [_name(r) for r in installed.requires or [] if "extra ==" not in r]
    return found[_plain(distribution)], sum(found.values())


def _name(requirement: str) -> str:
    match = re.match(r"[\w.-]+", requirement)
    return match.group() if match else requirement


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
