"""Running a walkthrough: every block in turn, with what it printed and drew."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from pellucid.errors import MissingExtraError
from pellucid.walkthroughs.text import Part, Walkthrough

_STYLE: Any = {
    "axes.spines.right": False, "axes.spines.top": False, "axes.titlesize": "medium",
    "figure.dpi": 100, "font.size": 10, "savefig.bbox": "tight", "savefig.dpi": 144,
}  # fmt: skip


@dataclass(frozen=True)
class Done:
    """A part that has been shown or run: its printed lines, and the figures that it left open."""

    part: Part
    output: str = ""
    figures: tuple[Any, ...] = ()
    skipped: bool = False


def run(walkthrough: Walkthrough, *, long: bool = False) -> Iterator[Done]:
    """Runs the blocks one after another, in one namespace, and yields each part when it is done.

    Nothing opens a window: figures (of matplotlib) are handed over, and closed afterwards. With
    ``long=True`` the blocks marked long run as well. What a block raises is raised here, and its
    traceback names the line of the Markdown file.

    >>> from pellucid.walkthroughs.text import load
    >>> next(run(load("perceptron"))).part.text.splitlines()[0]
    '# 3. A multi-layer perceptron on small digits'
    """
    try:
        import matplotlib
    except ImportError as error:
        raise MissingExtraError.of("matplotlib", "plot") from error
    from matplotlib import pyplot

    matplotlib.use("agg")
    module = ModuleType(f"pellucid_walkthrough_{walkthrough.name}")
    sys.modules[module.__name__] = module  # dataclasses look their module up
    try:
        for part in walkthrough.parts:
            if part.kind == "prose":
                yield Done(part)
            elif part.long and not long:
                yield Done(part, skipped=True)
            else:
                with matplotlib.rc_context(_STYLE):
                    output = _execute(part, walkthrough, module)
                    figures = tuple(map(pyplot.figure, pyplot.get_fignums()))
                    yield Done(part, output, figures)
                pyplot.close("all")
    finally:
        del sys.modules[module.__name__]


def _execute(part: Part, walkthrough: Walkthrough, module: ModuleType) -> str:
    """Runs one block; what it printed."""
    source = "\n" * (part.line - 1) + part.text  # so that tracebacks have the file's own lines
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream):
        exec(compile(source, str(walkthrough.path), "exec"), vars(module))
    return stream.getvalue()
