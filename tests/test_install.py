"""The package is built and installed where there is no compiled core; the tests pass without it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
TESTS = ["test_first_steps", "test_training", "test_native"]

pytestmark = pytest.mark.long


def run(*command: str, cwd: Path, **environment: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, timeout=900,
                          env={**os.environ, **environment})  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what a clone has."""
    ignored = shutil.ignore_patterns(
        ".git", ".venv*", "build", "dist", "__pycache__", ".*_cache", ".hypothesis"
    )
    return Path(shutil.copytree(ROOT, tmp_path / "tree", ignore=ignored))


def wheel(tree: Path, **environment: str) -> Path:
    run(*PIP, "wheel", "--no-deps", "--wheel-dir", "..", ".", cwd=tree, **environment)
    (made,) = tree.parent.glob("*.whl")
    return made


def fresh(folder: Path, made: Path) -> str:
    """An environment with this wheel, and the packages of ours for what it needs; its Python."""
    run(sys.executable, "-m", "venv", "--without-pip", str(folder / "fresh"), cwd=folder)
    python = folder / "fresh" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    where = run(
        str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder
    )
    here = run(
        sys.executable, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder
    )
    (Path(where.strip()) / "ours.pth").write_text(here)
    run(*PIP, "--python", str(python), "install", "--no-deps", str(made), cwd=folder)
    return str(python)


@pytest.mark.parametrize("without", ["native", "PELLUCID_NATIVE", "compiler"])
def test_installs_without_the_core(without: str, tree: Path) -> None:
    if without == "native":
        shutil.rmtree(tree / "native", ignore_errors=True)
    asked = {"PELLUCID_NATIVE": {"PELLUCID_NATIVE": "0"}, "compiler": {"CXX": "no-such-compiler"}}
    made = wheel(tree, **asked.get(without, {}))
    assert made.name.endswith("-py3-none-any.whl")
    names = zipfile.ZipFile(made).namelist()
    assert not [name for name in names if name.endswith((".so", ".pyd", ".cpp", ".hpp", ".txt.in"))]
    if without != "native":
        return
    python = fresh(tree.parent, made)
    code = "import pellucid.engine.native as n; assert n.missing(); print(n.__file__)"
    assert str(tree.parent / "fresh") in run(python, "-c", code, cwd=tree.parent)
    out = run(python, "-m", "pytest", "-q", "-p", "no:cacheprovider",
              *(f"tests/{name}.py" for name in TESTS), cwd=tree)  # fmt: skip
    assert " passed" in out
