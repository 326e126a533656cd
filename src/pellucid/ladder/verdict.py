"""What the checker says of one function or class of the reader's, and how it comes to say it.

A result that is not the right one is compared with what well-known slips would give on the same
numbers. A slip is named only where it explains every result that there is.
"""

from __future__ import annotations

import re
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
BLANK = "not written yet"
_ERRORS = [  # an error and the line in which it arose, and what is likely behind them
    (r"truth value of an array",
     "an if asks one question of the whole array: ask every entry, with np.where or a comparison"),
    (r"only (length-1|0-dimensional) arrays|only size-1 arrays",
     "functions of math take one number: NumPy's (np.exp, np.log) take arrays"),
    (r"could not be broadcast.*/ *(np\.)?[^)]*sum\((?!.*keepdims)",
     "a sum loses its axis, so rows are divided by the wrong sums: keepdims=True keeps (B, 1)"),
    (r"'ReLU' object has no attribute '(W|b|dW|db)'",
     "a ReLU has no weights: change those layers that have them, hasattr(layer, 'W')"),
    (r"has no attribute '(x|z|scores|labels)'",
     "backward needs what forward saw: keep it, self.x = x"),
    (r"NameError: name '(W|b|dW|db)' is not defined", "a layer's arrays are its own: self.W, self.b"),
]  # fmt: skip


@dataclass
class Verdict:
    """What is right and wrong about one piece; right where there is nothing to say."""

    piece: str
    lines: list[str] = field(default_factory=list)
    slips: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # what is not wrong, and worth knowing
    shown: str = ""  # a gradient that is right, beside central differences

    @property
    def right(self) -> bool:
        """Whether nothing is wrong."""
        return not self.lines

    def say(self, line: str) -> None:
        """Adds a line that says what is wrong, once."""
        if line not in self.lines:
            self.lines.append(line)

    def slip(self, words: str) -> None:
        """Names a likely slip, once."""
        if words not in self.slips:
            self.slips.append(words)

    def note(self, line: str) -> None:
        """Adds what is worth knowing, once."""
        if line not in self.notes:
            self.notes.append(line)


@dataclass(frozen=True)
class Slip:
    """A mistake that many make: its words, and what a function that makes it gives."""

    words: str
    gives: Callable[..., Any]


class Caller:
    """Calls what the reader wrote and turns whatever happens into words."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines = path.read_text(encoding="utf-8", errors="replace").splitlines()

    def __call__(
        self, verdict: Verdict, what: str, function: Callable[..., Any], *args: Any
    ) -> Any:
        """The result; None where it failed, which is then in the verdict.

        Arrays among the arguments must come back as they were.
        """
        kept = [a.copy() if isinstance(a, np.ndarray) else a for a in args]
        try:
            with warnings.catch_warnings(record=True) as caught, np.errstate(all="warn"):
                warnings.simplefilter("always")
                result = function(*args)
        except NotImplementedError:
            verdict.say(BLANK)
            return None
        except Exception as error:
            if not any(line.startswith(f"{what} raises") for line in verdict.lines):
                verdict.say(f"{what} raises {self.told(error)}{shapes_of(args)}")
                for pattern, words in _ERRORS:
                    if re.search(pattern, self.told(error)):
                        verdict.slip(words)
            return None
        for warning in caught:
            verdict.note(f"{what}: NumPy warns of {str(warning.message).strip()}")
        for number, (before, after) in enumerate(zip(kept, args, strict=True)):
            if isinstance(before, np.ndarray) and not np.array_equal(before, after, equal_nan=True):
                verdict.say(
                    f"{what} changes its argument number {number + 1}, {place(before, after)}"
                )
                verdict.slip("the input is overwritten: make a new array, z * 2 instead of z *= 2")
        if any(result is a for a in args):
            result = np.array(result)  # as it was returned, before the argument is put right
        for before, after in zip(kept, args, strict=True):
            if isinstance(before, np.ndarray):
                after[...] = before
        if result is None:
            verdict.say(f"{what} gives None: is there a return?")
            verdict.slip("the return is missing")
        return result

    def told(self, error: BaseException) -> str:
        """An error in a line, with the line of the reader's file where it arose."""
        text = f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": ")
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame.lineno for frame in frames if Path(frame.filename) == self._path]
        if not own or own[-1] is None:
            return text
        return f"{text} (line {own[-1]}: {self._lines[own[-1] - 1].strip()})"


def shapes_of(args: Sequence[Any]) -> str:
    """The shapes of the arrays that a function was given."""
    found = [str(a.shape) for a in args if isinstance(a, np.ndarray)]
    return f"; it was given arrays of shape {', '.join(found)}" if found else ""


def place(right: Any, given: Any) -> str:
    """The first entry in which two arrays differ, with both numbers."""
    a, b = np.asarray(right), np.asarray(given)
    if a.shape != b.shape:
        return f"from shape {a.shape} to {b.shape}"
    where = tuple(int(i) for i in np.argwhere(~same_entries(a, b))[0])
    return f"at {list(where)} from {a[where]:.6g} to {b[where]:.6g}"


def same_entries(a: Array, b: Array) -> Array:
    """Where two arrays of one shape agree, to what sums in another order differ by."""
    with np.errstate(all="ignore"):
        return np.isclose(a, b, rtol=1e-6, atol=1e-9, equal_nan=True)


def same(given: Any, right: Any) -> bool:
    """Whether a result is the right one, in shape and values (or a tuple of such)."""
    if isinstance(right, tuple):
        if not isinstance(given, tuple | list) or len(given) != len(right):
            return False
        return all(same(g, r) for g, r in zip(given, right, strict=True))
    try:
        a = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        return False
    b = np.asarray(right, dtype=np.float64)
    return a.shape == b.shape and bool(same_entries(a, b).all())


def compare(verdict: Verdict, name: str, given: Any, right: Any, because: str = "") -> bool:
    """Says in which shape and entry a result is wrong; True where it is right."""
    b = np.asarray(right, dtype=np.float64)
    try:
        a = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        verdict.say(f"{name} is {type(given).__name__}, not an array of numbers")
        return False
    if a.shape != b.shape:
        kind = "a number" if not b.shape else f"of shape {b.shape}"
        was = "a number" if not a.shape else f"of shape {a.shape}"
        verdict.say(f"{name} is {was}, and should be {kind}{because}")
        return False
    wrong = ~same_entries(a, b)
    if not wrong.any():
        return True
    where = tuple(int(i) for i in np.argwhere(wrong)[0])
    spot = f" at {list(where)}" if where else ""
    many = f", and so are {int(wrong.sum()) - 1} more of {b.size}" if wrong.sum() > 1 else ""
    verdict.say(f"{name}{spot} is {a[where]:.6g}, and should be {b[where]:.6g}{because}{many}")
    return False


def name_slip(verdict: Verdict, results: Sequence[tuple[Any, Any]], slips: Sequence[Slip]) -> None:
    """Names the slip that gives every result; `results` are pairs of arguments and result."""
    for slip in slips:
        agree = []
        for args, given in results:
            with np.errstate(all="ignore"):
                try:
                    expected = slip.gives(*args)
                except ValueError:  # the shapes do not let this slip happen
                    continue
            agree.append(same(given, expected))
        if agree and all(agree):
            verdict.slip(slip.words)
            return


def central(function: Callable[[], float], array: Array, step: float = 1e-6) -> Array:
    """The gradient of a number by an array, by central differences in place.

    ``(f(v + h) − f(v − h)) / 2h`` for each entry v of the array, whose error is of order h².
    """
    found = np.zeros(array.shape)
    for where in np.ndindex(*array.shape):
        kept = array[where]
        array[where] = kept + step
        up = float(function())
        array[where] = kept - step
        down = float(function())
        array[where] = kept
        found[where] = (up - down) / (2 * step)
    return found
