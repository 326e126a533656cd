"""The text of a walkthrough: its prose and its blocks of code, in order."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pellucid.errors import UnknownNameError

_HERE = Path(__file__).parent
_FENCE = re.compile(r"^```(\w*) *(\w*)$")


@dataclass(frozen=True)
class Part:
    """A stretch of prose, or one block of code that is executed.

    `line` is where its text begins in the file, counted from 1; `long` marks code that only a
    complete run executes.
    """

    kind: Literal["prose", "code"]
    text: str
    line: int
    long: bool = False


@dataclass(frozen=True)
class Walkthrough:
    """One walkthrough: its name, its title, its parts, and the file they stand in."""

    name: str
    title: str
    parts: tuple[Part, ...]
    path: Path


def names() -> list[str]:
    """The names of all walkthroughs, in the order in which to take them."""
    return sorted(path.stem for path in _HERE.glob("[0-9]_*.md"))


def load(name: str) -> Walkthrough:
    """A walkthrough by its name, its number, or its name without the number.

    Raises
    ------
    UnknownNameError : with the nearest name

    >>> load("3").name
    '3_perceptron'
    """
    short = {key: full for full in names() for key in (full, full[0], full[2:])}
    if name not in short:
        raise UnknownNameError.of(name, short)
    path = _HERE / f"{short[name]}.md"
    text = path.read_text(encoding="utf-8")
    title = text.partition("\n")[0].removeprefix("# ")
    return Walkthrough(short[name], title, parse(text), path)


def parse(text: str) -> tuple[Part, ...]:
    r"""Markdown as parts; blocks of other languages than ``python`` belong to the prose.

    >>> [part.kind for part in parse("# One\n\n```python\n1 + 1\n```\n\nand so on\n")]
    ['prose', 'code', 'prose']
    """
    parts: list[Part] = []
    lines = text.splitlines()
    kept: list[str] = []  # of the prose
    at = 0
    while at < len(lines):
        fence = _FENCE.match(lines[at])
        if fence is None:
            kept.append(lines[at])
            at += 1
            continue
        end = lines.index("```", at + 1)
        if fence[1] == "python":
            _add_prose(parts, kept, at)
            kept = []
            code = "\n".join(lines[at + 1 : end]) + "\n"
            parts.append(Part("code", code, at + 2, fence[2] == "long"))
        else:
            kept += lines[at : end + 1]
        at = end + 1
    _add_prose(parts, kept, at)
    return tuple(parts)


def _add_prose(parts: list[Part], lines: list[str], end: int) -> None:
    text = "\n".join(lines).strip("\n")
    if text:
        parts.append(Part("prose", text + "\n", end - len(lines) + 1))
