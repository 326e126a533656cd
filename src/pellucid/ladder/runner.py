"""From here the reader's process is started, listened to, and ended."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pellucid.errors import FileFormatError
from pellucid.ladder.rungs import RUNGS
from pellucid.ladder.verdict import BLANK, Verdict

CHECK_SECONDS, EPOCH_SECONDS = 10.0, 120.0


@dataclass
class Report:
    """What the checker found: verdicts by rung, what could not be run, what the file printed.

    `trouble` says why the file could not be looked at, or not to its end.
    """

    path: Path
    verdicts: dict[int, list[Verdict]] = field(default_factory=dict)
    trouble: str = ""
    printed: str = ""

    @property
    def right(self) -> bool:
        """Whether all that the file has is right, and it has something."""
        every = [verdict for verdicts in self.verdicts.values() for verdict in verdicts]
        return bool(every) and not self.trouble and all(verdict.right for verdict in every)

    @property
    def slips(self) -> list[str]:
        """All slips that were named."""
        found = [v for verdicts in self.verdicts.values() for v in verdicts]
        return [words for verdict in found for words in verdict.slips]

    def __str__(self) -> str:
        lines: list[str] = []
        for rung in RUNGS:
            verdicts = self.verdicts.get(rung.number, [])
            if not verdicts:
                continue
            lines.append(f"rung {rung.number}: {rung.title}")
            for verdict in verdicts:
                state = "right" if verdict.right else "not right"
                if verdict.lines == [BLANK]:
                    state, verdict = BLANK, Verdict(verdict.piece)
                shown = f"; {verdict.shown}" if verdict.right and verdict.shown else ""
                lines.append(f"  {verdict.piece:<24}{state}{shown}")
                lines += [f"    {line}" for line in verdict.lines]
                lines += [f"    likely: {words}" for words in verdict.slips]
                lines += [f"    by the way: {note}" for note in verdict.notes]
            absent = [p for p in rung.checks if p not in [v.piece for v in verdicts]]
            if absent:
                lines.append(f"  this rung also asks for {', '.join(absent)}")
        if self.trouble:
            lines.append(self.trouble)
        if self.printed:
            lines.append(f"(the file printed: {' '.join(self.printed.split())[:200]})")
        return "\n".join(lines)


def check_file(path: str | Path, *, seconds: float = CHECK_SECONDS) -> Report:
    """Looks at every piece of the ladder that a file defines, in a process of its own.

    No call may take longer than `seconds`. A FileNotFoundError or FileFormatError says that there
    is nothing to look at.

    >>> print(check_file("rung_1_forward.py"))                     # doctest: +SKIP
    rung 1: a dense layer's forward pass
      dense_forward           right
    """
    path = existing(path)
    report = Report(path)
    for document in documents(path, "check", seconds):
        kind = document.pop("kind")
        if kind == "verdict":
            report.verdicts.setdefault(document.pop("rung"), []).append(Verdict(**document))
        elif kind == "end":
            report.printed = document["printed"]
        elif kind in ("unreadable", "stopped"):
            report.trouble = document["text"]
    if not report.verdicts and not report.trouble:
        asked = "\n".join(f"  rung {r.number}: {', '.join(r.checks)}" for r in RUNGS)
        raise FileFormatError(
            f"{path} defines nothing that the ladder asks for. It asks for\n{asked}\n"
            "pellucid check --start FOLDER writes a file for each rung"
        )
    return report


def existing(path: str | Path) -> Path:
    """The path of a file that is there, and is Python by its name and text."""
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(2, "no such file", str(path))
    if path.is_dir():
        raise FileFormatError(f"{path} is a folder: check looks at one file")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise FileFormatError(f"{path} is no Python file: it is not text") from None
    if "\0" in text:
        raise FileFormatError(f"{path} is no Python file: it has bytes of 0")
    return path


def documents(path: Path, task: str, seconds: float, *more: str) -> Iterator[dict[str, Any]]:
    """What the reader's process reports, document by document, while it runs.

    Where it ended before its time, the last document is a "stopped" that says in what, and where.
    """
    # -P: a file called numpy.py in the reader's folder is not NumPy
    command = [sys.executable, "-P", "-m", "pellucid.ladder.child", str(path), task, str(seconds)]
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONIOENCODING": "utf-8"}
    begun, ended = "", False
    with tempfile.TemporaryFile() as errors:
        child = subprocess.Popen(
            [*command, *more], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
            env=environment,
        )  # fmt: skip
        assert child.stdout is not None
        # the child watches the clock itself; this is for one that cannot any more
        guard = threading.Timer(seconds + 5, child.kill)
        try:
            guard.start()
            for line in child.stdout:
                guard.cancel()
                guard = threading.Timer(seconds + 5, child.kill)
                guard.start()
                try:
                    document = json.loads(line)
                except ValueError:
                    continue
                if document["kind"] == "begin":
                    begun = document["what"]
                    continue
                ended = document["kind"] == "end"
                yield document
            status = child.wait()
            if not ended:
                errors.seek(0)
                told = errors.read().decode("utf-8", "replace")
                yield {"kind": "stopped", "text": _stopped(path, begun, told, status, seconds)}
        finally:
            guard.cancel()
            child.kill()
            child.wait()
            child.stdout.close()


def _stopped(path: Path, begun: str, told: str, status: int, seconds: float) -> str:
    """Why the reader's process ended before its time."""
    what = begun or "the file"
    if "Timeout" in told:
        name = re.escape(str(path.resolve()))
        lines = re.findall(rf'File "{name}", line (\d+)', told)
        where = ""
        if lines:
            number = int(lines[0])
            text = path.read_text(encoding="utf-8").splitlines()[number - 1].strip()
            where = f" It was at line {number}: {text}"
        return (
            f"{what} did not come back within {seconds:g} seconds: an endless loop?{where}\n"
            "What comes after it was not looked at"
        )
    if "MemoryError" in told:
        return f"{what} asked for more memory than there is"
    last = told.strip().splitlines()[-1:] or [""]
    return f"{what} ended the process (status {status}). {last[0]}".rstrip()
