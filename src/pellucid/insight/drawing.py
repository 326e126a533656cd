"""Where everything stands in the drawing of an expression, and its two forms: text and SVG.

The expression stands on one line. Under each operand are its shape, type and, where they are few,
its numbers; lines lead from the operands to the place under the operator where the result
stands. Everything lies on a grid of characters, so that both forms have the same places.
"""

from __future__ import annotations

import ast
import textwrap
from dataclasses import dataclass, field
from html import escape
from math import ceil, floor
from typing import Any, NamedTuple

import numpy as np

from pellucid.insight.expressions import UNKNOWN, Term

_WIDE, _HIGH = 8.0, 18.0  # a character's place in the SVG, in pixels
_UP, _DOWN, _LEFT, _RIGHT = 1, 2, 4, 8
_CORNERS = {
    _UP | _DOWN: "│", _LEFT | _RIGHT: "─", _UP | _RIGHT: "└", _UP | _LEFT: "┘",
    _DOWN | _RIGHT: "┌", _DOWN | _LEFT: "┐", _UP | _LEFT | _RIGHT: "┴",
    _DOWN | _LEFT | _RIGHT: "┬", _UP | _DOWN | _RIGHT: "├", _UP | _DOWN | _LEFT: "┤",
    _UP | _DOWN | _LEFT | _RIGHT: "┼",
}  # fmt: skip


class Words(NamedTuple):
    """A text at a place: its kind is code, shape, dtype, number, bad or note."""

    row: int
    column: int
    text: str
    kind: str


class Line(NamedTuple):
    """A straight line between places of the grid; half a row is a cell's upper or lower edge."""

    row: float
    column: int
    to_row: float
    to_column: int


@dataclass
class Block:
    """A drawn part: what stands in it, its size, and the column in which its result stands."""

    words: list[Words] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    width: int = 0
    height: int = 1
    anchor: int = 0
    start: int = 0  # where its source begins and ends on the first line
    stop: int = 0

    def take(self, other: Block, right: int) -> None:
        """Puts another block into this one, moved to the right."""
        self.words += [w._replace(column=w.column + right) for w in other.words]
        self.lines += [
            k._replace(column=k.column + right, to_column=k.to_column + right) for k in other.lines
        ]
        self.width = max(self.width, other.width + right)
        self.height = max(self.height, other.height)

    def moved(self, right: int) -> Block:
        """The same further to the right."""
        block = Block(anchor=self.anchor + right, start=self.start + right, stop=self.stop + right)
        block.take(self, right)
        return block


def layout(term: Term, few: int) -> Block:
    """The block of a term; arrays of at most `few` numbers show them."""
    if not term.operands:
        return _leaf(term, few)
    block, kids = Block(), list[Block]()
    for i, operand in enumerate(term.operands):
        left, sign, right = _gap(term, i)
        room = len(left) + len(right) + (len(sign) + 2 if sign else 0)
        kid = layout(operand, few)
        aside = block.width + 2 if kids else 0  # the labels of neighbours keep apart
        kid = kid.moved(max(aside, block.stop + room - kid.start))
        _write(term, i, block, (block.stop, kid.start))
        block.take(kid, 0)
        block.stop = kid.stop
        kids.append(kid)
    last = len(kids)
    room = sum(map(len, _gap(term, last)))
    _write(term, last, block, (block.stop, block.stop + room))
    block.start = min(w.column for w in block.words if w.row == 0)
    block.stop += room
    block.width = max(block.width, block.stop)
    return _with_result(term, block, kids, few)


def _gap(term: Term, i: int) -> tuple[str, str, str]:
    """The words of a gap: those that keep to the left, the operator between, those to the right."""
    words = term.gaps[i]
    if i == term.mark and 0 < i < len(term.operands) and _is_binary(term):
        before, sign, after = words.partition(term.sign)
        return before.strip(), sign, after.strip()
    return ("", "", words) if i == 0 else (words, "", "")


def _is_binary(term: Term) -> bool:
    return isinstance(term.node, ast.BinOp | ast.Compare | ast.AugAssign | ast.Assign)


def _write(term: Term, i: int, block: Block, between: tuple[int, int]) -> None:
    """Writes a gap on the first line; where its sign stands, the result will stand below."""
    left, sign, right = _gap(term, i)
    start, stop = between
    middle = start + len(left) + (stop - len(right) - start - len(left) - len(sign)) // 2
    for text, column in ((left, start), (sign, middle), (right, stop - len(right))):
        if not text:
            continue
        block.words.append(Words(0, column, text, "code"))
        if i == term.mark and (text == sign or not sign):
            bare = text.rstrip("( ,")
            block.anchor = column + (len(bare) - 1) // 2


def _leaf(term: Term, few: int) -> Block:
    labels = [] if isinstance(term.node, ast.Constant | ast.UnaryOp) else label(term, few)
    width = max(len(text) for text, _ in [(term.source, ""), *labels])
    middle = (width - 1) // 2
    start = middle - (len(term.source) - 1) // 2
    block = Block([Words(0, start, term.source, "code")], width=width, anchor=middle,
                  start=start, stop=start + len(term.source))  # fmt: skip
    _put_labels(block, labels, 1)
    return block


def label(term: Term, few: int) -> list[tuple[str, str]]:
    """What stands under a term: (text, kind), line by line."""
    value = term.value
    if term.failure is not None:
        return [("✗ does not fit" if isinstance(term.failure, ValueError) else "✗", "bad")]
    if value is UNKNOWN:
        return [("?", "dtype")]
    if not isinstance(value, np.ndarray | np.generic | int | float):
        words = getattr(value, "__name__", None) or repr(value)
        return [(words if len(words) < 30 else type(value).__name__, "dtype")]
    kind = value.dtype.name if isinstance(value, np.ndarray | np.generic) else type(value).__name__
    lines = [(str(np.shape(value)), "shape"), (kind, "dtype")]
    if 0 < np.size(value) <= few:
        lines += [(row, "number") for row in number_rows(value)]
    return lines


def number_rows(value: Any) -> list[str]:
    """An array's numbers, a row a line, up to six decimals."""
    if np.ndim(value) == 0:
        return [f"{value:.6g}" if isinstance(value, float | np.floating) else str(value)]
    finite = np.abs(value[np.isfinite(value)])
    tiny = bool(finite.size and 0 < finite.max() < 1e-3)  # all of them: then none is written as 0
    return np.array2string(
        value, precision=6, suppress_small=not tiny, separator=", ", max_line_width=200
    ).splitlines()


def _put_labels(block: Block, labels: list[tuple[str, str]], row: int) -> None:
    """Centres labels under the block's anchor; the rows of a matrix stay under each other."""
    numbers = max((len(text) for text, kind in labels if kind == "number"), default=0)
    for i, (text, kind) in enumerate(labels):
        width = numbers if kind == "number" else len(text)
        block.words.append(Words(row + i, block.anchor - (width - 1) // 2, text, kind))
    block.height = max(block.height, row + len(labels))


def _with_result(term: Term, block: Block, kids: list[Block], few: int) -> Block:
    """Lines from the operands to the operator's column, and the result under it."""
    labels = label(term, few)
    widest = max(len(text) for text, _ in labels)
    short = (widest - 1) // 2 - block.anchor
    if short > 0:  # the result reaches further to the left than what is above it
        block = block.moved(short)
        kids = [kid.moved(short) for kid in kids]
    drawn = [kid for kid in kids if kid.height > 1]
    row = max((kid.height for kid in drawn), default=1)
    ends = [kid.anchor for kid in drawn]
    block.lines += [Line(kid.height - 0.5, kid.anchor, row, kid.anchor) for kid in drawn]
    if ends:
        low, high = min([*ends, block.anchor]), max([*ends, block.anchor])
        block.lines.append(Line(row, low, row, high))
        block.lines.append(Line(row, block.anchor, row + 0.5, block.anchor))
        row += 1
    _put_labels(block, labels, row)
    block.width = max(block.width, block.anchor - (widest - 1) // 2 + widest)
    return block


# ---- text ----------------------------------------------------------------------------------------


def as_text(block: Block) -> str:
    """The drawing in characters, line by line."""
    joints: dict[tuple[int, int], int] = {}
    for row, column, to_row, to_column in block.lines:
        for r in range(ceil(row), floor(to_row) + 1):
            for c in range(column, to_column + 1):
                across = _LEFT * (c > column) | _RIGHT * (c < to_column)
                joints[r, c] = (
                    joints.get((r, c), 0) | across | _UP * (r > row) | _DOWN * (r < to_row)
                )
    canvas = [[" "] * block.width for _ in range(block.height)]
    for (row, column), sides in joints.items():
        canvas[row][column] = _CORNERS[sides]
    for word in block.words:
        canvas[word.row][word.column : word.column + len(word.text)] = word.text
    return "\n".join("".join(row).rstrip() for row in canvas)


# ---- SVG -----------------------------------------------------------------------------------------

_STYLES = {
    "code": 'font-weight="bold"', "shape": "", "dtype": 'opacity="0.65"', "number": "",
    "bad": 'fill="#d55e00" font-weight="bold"', "note": 'opacity="0.8"',
}  # fmt: skip


def as_svg(block: Block, notes: list[str], *, alone: bool) -> str:
    """The drawing as SVG; `alone` gives it paper and ink of its own, as a file needs."""
    words = list(block.words)
    rows = [line for note in notes for line in textwrap.wrap(note, max(block.width, 64))]
    words += [Words(block.height + 1 + i, 0, line, "note") for i, line in enumerate(rows)]
    columns = max([block.width, *map(len, rows)])
    height = (block.height + (len(rows) + 1 if rows else 0)) * _HIGH + 12
    width = columns * _WIDE + 16
    ink = 'style="background:#ffffff;color:#1a1a1a" ' if alone else ""
    fonts = "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
        f'viewBox="-8 -2 {width:g} {height:g}" {ink}font-family="{fonts}" font-size="13" '
        'fill="currentColor" role="img">'
    )
    parts = [opening]
    if alone:
        parts.append(f'<rect x="-8" y="-2" width="{width:g}" height="{height:g}" fill="#ffffff"/>')
    path = "".join(
        f"M{_x(k.column)} {_y(k.row)}L{_x(k.to_column)} {_y(k.to_row)}" for k in block.lines
    )
    if path:
        parts.append(f'<path d="{path}" stroke="currentColor" stroke-opacity="0.5" fill="none"/>')
    parts += [
        f'<text x="{w.column * _WIDE:g}" y="{w.row * _HIGH + 14:g}" xml:space="preserve" '
        f'textLength="{len(w.text) * _WIDE:g}" {_STYLES[w.kind]}>{escape(w.text)}</text>'
        for w in words
    ]
    return "\n".join([*parts, "</svg>"])


def _x(column: int) -> str:
    return f"{(column + 0.5) * _WIDE:g}"


def _y(row: float) -> str:
    return f"{(row + 0.5) * _HIGH:g}"
