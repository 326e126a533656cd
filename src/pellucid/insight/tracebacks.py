"""explain_errors: what NumPy's error was about, drawn from the place where it fell.

A traceback has the frames with their names, and since Python 3.11 the columns of the operation that
failed. From both the operands are found again: names are looked up, never called; attributes are
read where they lie; only arithmetic of NumPy's own arrays is done once more.
"""

from __future__ import annotations

import ast
import inspect
import linecache
import types
from contextlib import ContextDecorator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from pellucid.errors import PellucidError
from pellucid.insight.drawing import as_text, layout
from pellucid.insight.expressions import OPERATORS, UNKNOWN, Reader, Term, is_value
from pellucid.insight.shapes import mismatch

_NUMPY = str(Path(np.__file__).parent)
_OPERATIONS = (ast.BinOp, ast.Compare, ast.UnaryOp, ast.Call, ast.Subscript)


class explain_errors(ContextDecorator):  # noqa: N801 - read as `with explain_errors():`
    """Adds to an error raised in its block which operation failed, on arrays of which shapes.

    The error stays what it is, with its type and traceback; the explanation is a note under its
    message. It concerns ValueError, TypeError and IndexError from operations on arrays; Pellucid's
    own errors explain themselves. Nothing is done unless an error is raised, and nothing that the
    program wrote is executed then. It also works as a decorator, ``@explain_errors()``.

    Where the source cannot be read (typed into a plain Python 3.11 prompt), the note lists the
    arrays there are.

    >>> x, W = np.ones((5, 3)), np.ones((4, 3))
    >>> with explain_errors():  # doctest: +SKIP
    ...     x @ W
    ValueError: matmul: Input operand 1 has a mismatch in its core dimension 0, ...
    In x @ W: (5, 3) @ (4, 3) does not fit: the last axis of x has 3, the first axis of W has 4, ...
    """

    def __enter__(self) -> explain_errors:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, ValueError | TypeError | IndexError):
            try:
                note = note_on(error)
            except Exception:  # an explanation must never stand before the error itself
                note = ""
            if note and note not in getattr(error, "__notes__", []):
                error.add_note(note)


def note_on(error: BaseException) -> str:
    """What can be said about an error from its traceback; empty where that is nothing."""
    if isinstance(error, PellucidError) or error.__traceback__ is None:
        return ""
    found = None
    step: types.TracebackType | None = error.__traceback__
    while step is not None:
        if not step.tb_frame.f_code.co_filename.startswith(_NUMPY):
            found = step
        step = step.tb_next
    if found is None:
        return ""
    frame = found.tb_frame
    source = "".join(linecache.getlines(frame.f_code.co_filename, frame.f_globals))
    node, inside = _failed_node(found, source)
    if node is None:
        return _arrays_of(frame)
    term = _term(node, inside, source, frame)
    shown = [t for t in term.walk() if t is not term and is_value(t.value)]
    if not any(isinstance(t.value, np.ndarray) for t in shown):
        return ""
    why = mismatch(term)
    term.failure = error if isinstance(error, Exception) else None
    place = f"In {term.source}" + (f": {why}" if why else "")
    return f"{place}\n\n{as_text(layout(term, 0))}"


def _failed_node(step: types.TracebackType, source: str) -> tuple[ast.AST | None, ast.AST | None]:
    """The operation that failed and what it stands in; None where it cannot be found."""
    code = step.tb_frame.f_code
    place = next(islice(code.co_positions(), step.tb_lasti // 2, None), None)
    if place is None or None in place or not source:
        return None, None
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return None, None
    line, end_line, column, end_column = place
    for parent in ast.walk(tree):
        for node in ast.iter_child_nodes(parent):
            where = [getattr(node, k, None) for k in _PLACES]
            wanted = isinstance(node, (*_OPERATIONS, ast.AugAssign))
            if wanted and where == [line, end_line, column, end_column]:
                return node, parent
    return None, None


_PLACES = ("lineno", "end_lineno", "col_offset", "end_col_offset")


def _term(node: ast.AST, parent: ast.AST | None, source: str, frame: types.FrameType) -> Term:
    """The failed operation with its operands, their values looked up in the frame."""

    def named(name: str) -> Any:
        for scope in (frame.f_locals, frame.f_globals, frame.f_builtins):
            if name in scope:
                return scope[name]
        return UNKNOWN

    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
        node = parent if isinstance(parent, ast.Assign | ast.AugAssign) else node  # a[0] = b
    reader = Reader(source, named, _lying, strict=False)
    if not isinstance(node, ast.AugAssign | ast.Assign):
        return reader.read(node)
    target = node.target if isinstance(node, ast.AugAssign) else node.targets[0]
    sign = OPERATORS[type(node.op)][0] + "=" if isinstance(node, ast.AugAssign) else "="
    for part in ast.walk(target):
        if hasattr(part, "ctx"):
            part.ctx = ast.Load()
    parts = [reader.read(target), reader.read(node.value)]
    return reader.between(node, parts, 1, sign)


def _lying(owner: Any, name: str) -> Any:
    """An attribute as it lies in an object or module; UNKNOWN where reading it would run code."""
    if isinstance(owner, types.ModuleType):
        return vars(owner).get(name, UNKNOWN)
    found = inspect.getattr_static(owner, name, UNKNOWN)
    if isinstance(found, types.MemberDescriptorType):  # __slots__
        return found.__get__(owner)
    runs = hasattr(type(found), "__get__") and not isinstance(found, np.ndarray)
    return UNKNOWN if runs else found


def _arrays_of(frame: types.FrameType) -> str:
    """The arrays among a frame's names, where no more is known."""
    arrays = {k: v for k, v in frame.f_locals.items() if type(v) is np.ndarray}
    if not arrays:
        return ""
    rows = [f"  {name}  {a.shape} {a.dtype}" for name, a in list(arrays.items())[:20]]
    return "\n".join([f"In line {frame.f_lineno}, whose source is not at hand, with", *rows])
