"""README.md keeps its word: its Python runs, its output is what is shown, its commands work."""

from __future__ import annotations

import contextlib
import io
import re
import sys
from pathlib import Path
from shlex import split
from types import ModuleType

import pytest

from pellucid.cli import main
from pellucid.data import sample_images

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def blurred(text: str) -> list[str]:
    """Lines without the digits and spaces that may differ from machine to machine."""
    return [
        re.sub(r"[-+]?\d+(\.\d*)?(e[-+]?\d+)?|\s+", " ", line).split() for line in text.splitlines()
    ]


def test_python_runs_and_prints_what_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    module = ModuleType("readme")  # dataclasses look their module up
    monkeypatch.setitem(sys.modules, "readme", module)
    printed, compared = "", 0
    for kind, code in BLOCKS:
        if kind == "python":
            stream = io.StringIO()
            with contextlib.redirect_stdout(stream):
                exec(compile(code, f"README.md: {code.splitlines()[0]}", "exec"), vars(module))
            printed = stream.getvalue()
        elif kind == "text":
            assert blurred(code) == blurred(printed)
            compared += 1
    assert compared == 2


def test_commands_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [line for kind, text in BLOCKS if kind == "console" for line in text.splitlines()]
    assert len(lines) == 6
    for line in lines:
        dollar, program, *words = split(line.replace("IMAGE", str(sample_images()[7])))
        assert (dollar, program) == ("$", "pellucid")
        assert main(words) == 0, line


def test_what_it_points_at_is_there() -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", README)
    assert len(targets) > 5
    for target in targets:
        assert (ROOT / target).exists(), target
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"make ([a-z-]+)", README)) <= targets
