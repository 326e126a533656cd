"""The suite must catch what other hand-written libraries got wrong.

Each file in `tests/mutants/` is a patch that plants one well-known mistake; its first lines say
which mistake, and which tests must fail with it. The patch is applied to a copy of the package.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PATCHES = sorted((ROOT / "tests" / "mutants").glob("*.patch"))
# Put first on the path of the run and of every process it starts: the copy instead of the package.
SITE = """
import sys
sys.meta_path[:] = [f for f in sys.meta_path if "editable" not in type(f).__module__.lower()]
sys.path.insert(0, {copy!r})
"""


def apply_patch(text: str, root: Path) -> None:
    """Applies a unified diff whose hunks each occur exactly once in their file."""
    target = root
    for part in re.split(r"^(?=--- |@@)", text, flags=re.MULTILINE):
        if part.startswith("--- "):
            target = root / re.findall(r"^\+\+\+ (\S+)", part, re.MULTILINE)[0]
        elif part.startswith("@@"):
            lines = part.splitlines()[1:]
            old = "\n".join(line[1:] for line in lines if line[:1] in " -")
            new = "\n".join(line[1:] for line in lines if line[:1] in " +")
            source = target.read_text()
            assert source.count(old) == 1, f"the hunk must occur once in {target.name}:\n{old}"
            target.write_text(source.replace(old, new))


@pytest.mark.parametrize("patch", PATCHES, ids=lambda p: p.stem)
def test_the_suite_catches(patch: Path, tmp_path: Path) -> None:
    text = patch.read_text()
    tests = re.findall(r"^tests: (.+)$", text, re.MULTILINE)[0].split()
    shutil.copytree(ROOT / "src" / "pellucid", tmp_path / "pellucid")
    apply_patch(text, tmp_path)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(SITE.format(copy=str(tmp_path)))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests],
        capture_output=True, text=True, cwd=ROOT, check=False,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
    )  # fmt: skip
    assert done.returncode == 1, done.stdout[-2000:] + done.stderr[-2000:]
    assert "error during collection" not in done.stdout
    assert " failed" in done.stdout


def test_every_trap_has_its_patch() -> None:
    assert len(PATCHES) >= 15
