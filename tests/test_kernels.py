"""The kernels' own tests in C++, built and run where there is a compiler; also under sanitizers."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path

import pytest

NATIVE = Path(__file__).parents[1] / "native"
WIDE = {
    "avx2": ["-mavx2", "-mfma"],
    "avx512": ["-mavx512f", "-mavx512dq", "-mavx512vl", "-mavx512bw", "-mfma"],
}


@pytest.mark.long
@pytest.mark.skipif(
    not NATIVE.is_dir() or shutil.which("g++") is None, reason="no compiler or core"
)
@pytest.mark.skipif(platform.machine() != "x86_64", reason="built here for x86-64 alone")
@pytest.mark.parametrize("checked", ["", "address,undefined", "thread"])
def test_kernels(checked: str, tmp_path: Path) -> None:
    flags = ["-std=c++20", "-O2", "-ffp-contract=off", "-pthread", f"-I{NATIVE}"]
    flags += [f"-fsanitize={checked}", "-g"] if checked else []
    objects = []
    for source in sorted([*NATIVE.glob("gemm*.cpp"), *NATIVE.glob("vecmath*.cpp"),
                          NATIVE / "parallel.cpp", NATIVE / "tests" / "kernels_test.cpp"]):  # fmt: skip
        wide = next((f for tier, f in WIDE.items() if source.stem.endswith(tier)), [])
        objects.append(str(tmp_path / f"{source.stem}.o"))
        command = ["g++", *flags, *wide, "-c", str(source), "-o", objects[-1]]
        subprocess.run(command, check=True, capture_output=True, text=True)
    program = str(tmp_path / "kernels_test")
    subprocess.run(["g++", *flags, *objects, "-o", program], check=True)
    done = subprocess.run([program], capture_output=True, text=True, check=False, timeout=600,
                          env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
