"""What the figures were taken on: processor, versions, and how busy the machine was with others."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SIMD = ("sse4_2", "avx", "avx2", "fma", "avx512f", "avx512bw", "avx512vl", "amx_tile", "asimd",
        "sve")  # fmt: skip
PACKAGES = ("pellucid", "numpy", "torch", "jax", "jaxlib", "scikit-learn", "onnxruntime", "onnx",
            "scipy")  # fmt: skip


def about() -> dict[str, Any]:
    """Processor, cores, memory, versions and the commit, as JSON values."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": _cpu_field("model name") or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "simd": [flag for flag in SIMD if flag in (_cpu_field("flags") or "").split()],
        "memory_gib": _memory(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: version for name in PACKAGES if (version := _version(name))},
        "commit": _commit(),
    }


def busy_seconds() -> float:
    """Seconds that all processors together have worked since the start; 0 where nobody says."""
    try:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    except OSError:
        return 0.0
    user, nice, system, _idle, _wait, irq, soft, *_ = map(int, fields)
    return float(user + nice + system + irq + soft) / os.sysconf("SC_CLK_TCK")


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _cpu_field(name: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(name)), "")


def _memory() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (ValueError, OSError):
        return None


def _commit() -> str:
    """The commit that was measured, with a + where the sources differ from it."""
    git = ["git", "-C", str(ROOT)]
    try:
        head = subprocess.run(
            [*git, "rev-parse", "--short=10", "HEAD"], capture_output=True, text=True, check=True
        )
        same = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", "src", "native"], check=False)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return head.stdout.strip() + ("" if same.returncode == 0 else "+")
