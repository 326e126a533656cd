"""explain: an expression drawn with the shape, type and numbers of everything in it.

``expressions.py`` takes the text apart and evaluates it, ``shapes.py`` knows what broadcasting does
and why shapes do not fit, ``drawing.py`` where everything stands. This file puts them together.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from pellucid.errors import (
    ExpressionError,
    OptionError,
    PellucidError,
    ShapeError,
    UnknownNameError,
    did_you_mean,
)
from pellucid.insight.drawing import as_svg, as_text, layout
from pellucid.insight.expressions import Failed, Reader, Term
from pellucid.insight.shapes import broadcast_notes, mismatch
from pellucid.network.arrays import as_array


@dataclass(frozen=True, repr=False)
class Explanation:
    """A drawing of an expression: `print` shows it, a notebook draws it, `save` writes it.

    Attributes
    ----------
    value : array or number
        What the expression came to.
    values : dict
        What each operand and operation came to, by its source: ``values["x @ W"]``.
    notes : list of str
        Which axes were stretched by broadcasting.
    """

    term: Term
    few: int
    notes: list[str]

    @property
    def value(self) -> Any:
        """What the expression came to."""
        return self.term.value

    @property
    def values(self) -> dict[str, Any]:
        """What every part came to, by its source."""
        return {t.source: t.value for t in self.term.walk()}

    def __str__(self) -> str:
        return "\n".join([as_text(layout(self.term, self.few)), *_after(self.notes)])

    __repr__ = __str__

    def svg(self) -> str:
        """The drawing as an SVG document with a background of its own."""
        return as_svg(layout(self.term, self.few), self.notes, alone=True)

    def save(self, path: Any) -> None:
        """Writes the drawing: ``.svg``, ``.html`` or ``.txt``."""
        path = Path(path)
        forms = {".svg": self.svg, ".html": self._page, ".txt": self.__str__}
        if path.suffix not in forms:
            raise OptionError(f"{path.name}: an explanation is saved as .svg, .html or .txt")
        path.write_text(forms[path.suffix]() + "\n", encoding="utf-8")

    def _page(self) -> str:
        title = escape(self.term.source)
        return (
            f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
            f"</head><body>{self.svg()}</body></html>"
        )

    def _repr_html_(self) -> str:
        drawn = as_svg(layout(self.term, self.few), self.notes, alone=False)
        return f'<div style="overflow-x:auto">{drawn}</div>'


def explain(expression: str, /, *, few: int = 12, **values: Any) -> Explanation:
    """Draws an expression with each operand and intermediate result: shape, type, numbers if few.

    Parameters
    ----------
    expression : str
        Arithmetic on arrays: names, numbers, operators, indices and slices, attributes such as
        ``.T``, methods such as ``.sum(axis=0)``, and functions of NumPy, ``np.exp(x)``. Nothing
        else is evaluated, and nothing is written. ``z = x @ W`` is read as ``x @ W``.
    few : int, default 12
        Arrays of at most as many numbers show them.
    **values : arrays and numbers
        What the names stand for.

    Raises
    ------
    ShapeError
        Where shapes do not fit; the message says which, why, and the likely fix, with the drawing
        up to there.
    ExpressionError
        Where something else is written than arithmetic.

    >>> x, W, b = np.ones((5, 4)), np.ones((4, 3)), np.zeros(3)
    >>> print(explain("x @ W + b", few=0, x=x, W=W, b=b))
       x   @    W   +    b
     (5, 4)   (4, 3)    (3,)
    float64  float64  float64
       └───┬────┘        │
         (5, 3)          │
        float64          │
           └────────┬────┘
                  (5, 3)
                 float64
    <BLANKLINE>
    + stretches b (3,) along axis 0 to (5, 3)
    """
    words = " ".join(expression.split())
    known = {name: _given(value, name) for name, value in values.items()} | {"np": np, "numpy": np}

    def named(name: str) -> Any:
        if name not in known:
            hint = did_you_mean(name, values)
            raise UnknownNameError(
                f"{name!r} has no value: give one, explain(..., {name}=...). {hint}"
            )
        return known[name]

    node = _parsed(words)
    try:
        return explained(Reader(words, named).read(node), few)
    except Failed as failed:
        raise _failure(failed.term, words, few) from failed.term.failure
    except RecursionError:
        raise ExpressionError("this expression has too many levels to be drawn") from None


def explained(term: Term, few: int) -> Explanation:
    """The explanation of a term that was read."""
    notes = dict.fromkeys(note for part in term.walk() for note in broadcast_notes(part))
    return Explanation(term, few, list(notes))


def _parsed(words: str) -> ast.expr:
    try:
        body = ast.parse(words).body
    except (RecursionError, MemoryError):
        raise ExpressionError("this expression has too many levels to be drawn") from None
    except (SyntaxError, ValueError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise ExpressionError(f"{words!r} is no expression: {reason}") from None
    statement = body[0] if len(body) == 1 else None
    if isinstance(statement, ast.Expr | ast.Assign):
        return statement.value
    raise ExpressionError(f"{words!r} is no expression: one such as 'x @ W + b' is explained")


def _given(value: Any, name: str) -> Any:
    """A number as it is, everything else as an array."""
    if type(value) in (bool, int, float) or isinstance(value, np.generic):
        return value
    return as_array(value, name)


def _failure(term: Term, words: str, few: int) -> PellucidError:
    """The error for an operation that could not be done, drawn with what it is made of."""
    error = term.failure
    why = mismatch(term) or f"{type(error).__name__}: {error}"
    place = "" if term.source in (words, f"({words})") else f"in {words}\n"
    kind = ShapeError if isinstance(error, ValueError | IndexError) else ExpressionError
    return kind(f"{place}{term.source}: {why}\n\n{as_text(layout(term, few))}")


def _after(notes: list[str]) -> list[str]:
    return ["", *notes] if notes else []
