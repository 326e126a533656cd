"""The process in which the reader's code runs: loads the file, tries it, and reports line by line.

``python -m pellucid.ladder.child FILE check|train SECONDS`` writes one JSON document a line to its
stdout. Whatever the reader's code prints is kept apart and cut short. A call that does not come
back in time ends the process, with a traceback on stderr that names the line.
"""

from __future__ import annotations

import ast
import faulthandler
import importlib.util
import io
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

_KEPT = 2000  # characters of what the reader's code prints


class _Printed(io.TextIOBase):
    """Takes what is printed, and keeps the beginning."""

    def __init__(self) -> None:
        self.text = ""
        self.length = 0

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.text += text[: max(0, _KEPT - len(self.text))]
        self.length += len(text)
        return len(text)


class Reporter:
    """Writes documents to the process that waits for them, and watches the clock."""

    def __init__(self, seconds: float) -> None:
        self._out = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        self._seconds = seconds
        self.printed = _Printed()
        sys.stdout = sys.stderr = self.printed

    def send(self, kind: str, **content: Any) -> None:
        """One document."""
        self._out.write(json.dumps({"kind": kind, **content}) + "\n")
        self._out.flush()

    def begin(self, what: str) -> None:
        """Says what is tried next; it must come back within the time."""
        self.send("begin", what=what)
        faulthandler.dump_traceback_later(self._seconds, exit=True, file=2)

    def done(self) -> None:
        """What was tried has come back."""
        faulthandler.cancel_dump_traceback_later()


def load(path: Path, reporter: Reporter) -> dict[str, Any] | None:
    """The names that a file defines; None where it cannot be run, which is then told."""
    try:
        ast.parse(path.read_bytes())
    except SyntaxError as error:
        line = (error.text or "").rstrip()
        reporter.send("unreadable", text=f"line {error.lineno}: {error.msg}\n  {line}")
        return None
    spec = importlib.util.spec_from_file_location("mine", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent))
    reporter.begin("the file itself")
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        from pellucid.ladder.verdict import Caller

        reporter.send("unreadable", text=f"running the file raises {Caller(path).told(error)}")
        return None
    finally:
        reporter.done()
    return {k: v for k, v in vars(module).items() if not k.startswith("__")}


def check(path: Path, reporter: Reporter) -> None:
    """Every piece of every rung that the file has a name of."""
    names = load(path, reporter)
    if names is None:
        return
    from pellucid.ladder.rungs import look

    for number, verdict in look(path, names, reporter.begin):
        reporter.done()
        reporter.send("verdict", rung=number, **asdict(verdict))


def main(words: list[str]) -> None:
    """What the module's first lines say."""
    path, task, seconds = Path(words[0]).resolve(), words[1], float(words[2])
    reporter = Reporter(seconds)
    try:
        if task == "check":
            check(path, reporter)
        else:
            from pellucid.ladder.training import train

            names = load(path, reporter)
            if names is not None:
                train(path, names, reporter, json.loads(words[3]))
    except SystemExit:
        reporter.send("unreadable", text="the file ends the program: leave out exit()")
    reporter.send("end", printed=reporter.printed.text, length=reporter.printed.length)


if __name__ == "__main__":
    main(sys.argv[1:])
