"""Losses from two plain functions: `Loss.of(value, gradient)`."""

from __future__ import annotations

import keyword
import types
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

import numpy as np

from pellucid.description import register
from pellucid.errors import GradientError, OptionError, ShapeError
from pellucid.layers.base import Array, Cache
from pellucid.losses.base import Loss
from pellucid.random import Stream
from pellucid.targets import place_text

Function = Callable[..., Any]
_ROWS, _ENTRIES = 8, 24  # how much of the first batch is checked
_TOLERANCE = 1e-5


@dataclass(frozen=True, repr=False)
class FunctionLoss(Loss):
    """Base of the losses that `loss_of` makes; each has its functions on its class."""

    functions: ClassVar[tuple[Function, Function, Function | None]]
    label: ClassVar[str | None]  # the name it was given, under which files name it
    checked: ClassVar[bool] = False

    def forward(self, y_true: Array, y_pred: Array, cache: Cache) -> Array:
        cache.y_true, cache.y_pred = y_true, y_pred
        return _values(type(self), y_true, y_pred)

    def backward(self, cache: Cache) -> Array:
        self.check(cache.y_true, cache.y_pred)
        return _gradient(type(self), cache.y_true, cache.y_pred)

    def check(self, y_true: Array, y_pred: Array) -> None:
        """Compares the gradient with differences of the value, on the first rows that ever come."""
        cls = type(self)
        if not cls.checked and len(y_pred):
            _check(cls, y_true, y_pred)
            cls.checked = True

    def link(self, y_pred: Array) -> Array:
        function = type(self).functions[2]
        if function is None:
            return y_pred
        linked: Array = np.asarray(function(y_pred))
        return linked

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (*type(self).functions, self.label, self.scale)


def loss_of(
    value: Function, gradient: Function, *, name: str | None = None, link: Function | None = None
) -> Loss:
    """What `Loss.of` returns; the arguments stand there."""
    for function, what in ((value, "value"), (gradient, "gradient"), (link, "link")):
        if not callable(function) and not (what == "link" and function is None):
            raise OptionError(f"Loss.of: {what} must be a function, not {function!r}")
    if name is not None and (not isinstance(name, str) or not name):
        raise OptionError(f"Loss.of: name must be a word such as 'mine.quartic', not {name!r}")
    return _class_of(value, gradient, link, name)()


@lru_cache(maxsize=256)
def _class_of(
    value: Function, gradient: Function, link: Function | None, name: str | None
) -> type[FunctionLoss]:
    """One class for the same functions and name, so that what is made of them is equal."""
    word = str(name or getattr(value, "__name__", "")).rpartition(".")[2]
    word = word if word.isidentifier() and not keyword.iskeyword(word) else "OwnLoss"
    place = {"__module__": getattr(value, "__module__", None) or "own", "__doc__": value.__doc__}
    made: Any = types.new_class(word, (FunctionLoss,), {}, lambda body: body.update(place))
    made.__qualname__ = f"Loss.of({name or word})"
    made.functions, made.label = (value, gradient, link), name
    known: type[FunctionLoss] = made if name is None else register(name)(made)
    return known


def _again(
    value: Function, gradient: Function, link: Function | None, name: str | None, scale: float
) -> Loss:
    """The loss that was pickled."""
    return _class_of(value, gradient, link, name)(scale=scale)


def _values(cls: type[FunctionLoss], y: Array, p: Array) -> Array:
    values = np.asarray(cls.functions[0](y, p))
    if values.shape != (len(p),):
        raise ShapeError(
            f"{cls.__name__}: value gives shape {values.shape} for {len(p)} rows; it must give "
            f"each row's own value, ({len(p)},), and leave the mean over rows to others: sum or "
            "average over the other axes alone, as in (...).mean(axis=1)"
        )
    return values.astype(p.dtype, copy=False)


def _gradient(cls: type[FunctionLoss], y: Array, p: Array) -> Array:
    slope = np.asarray(cls.functions[1](y, p))
    if slope.shape != p.shape:
        raise ShapeError(
            f"{cls.__name__}: gradient gives shape {slope.shape} for outputs of shape {p.shape}; "
            "it must have theirs"
        )
    return slope.astype(p.dtype, copy=False)


def _check(cls: type[FunctionLoss], y: Array, p: Array) -> None:
    """Compares the gradient with central differences on the first rows that come.

    At some entries of the outputs, chosen at random, (ℓ(p + h) − ℓ(p − h)) / 2h must be what the
    gradient says, in float64 and for one of three widths h: a corner inside one is missed by
    another. In a corner itself any slope between those on its two sides will do.
    """
    y, p = y[:_ROWS], np.array(p[:_ROWS], np.float64)
    slopes = _gradient(cls, y, p)
    floor = max(1e-3 * float(np.abs(slopes).max(initial=0)), 1e-8)
    for flat in Stream(0, "check", cls.__name__).permutation(p.size)[:_ENTRIES]:
        where = tuple(int(i) for i in np.unravel_index(int(flat), p.shape))
        said, found = float(slopes[where]), _differences(cls, y, p, where)
        if not any(d.agrees(said, floor) for d in found):
            best = min(found, key=lambda d: abs(d.central - said))
            raise GradientError(
                f"the gradient of {cls.__name__} does not agree with its value: at "
                f"{place_text(where)} gradient says {said:.9g}, central differences of value "
                f"{best.central:.9g}. gradient(y_true, y_pred) is the derivative of each row's own "
                "value by that row's outputs"
            )


class _Difference(NamedTuple):
    """The slope of a value between p − h and p + h, on the left of p, and on its right."""

    central: float
    left: float
    right: float
    noise: float  # what rounding of the value alone may add

    def agrees(self, said: float, floor: float) -> bool:
        slack = _TOLERANCE * max(abs(said), abs(self.central), floor) + self.noise
        if abs(said - self.central) <= slack:
            return True
        low, high = sorted((self.left, self.right))
        return low - slack <= said <= high + slack


def _differences(
    cls: type[FunctionLoss], y: Array, p: Array, where: tuple[int, ...]
) -> list[_Difference]:
    """The slope at one entry, over three widths."""
    row = slice(where[0], where[0] + 1)

    def at(step: float) -> float:
        moved = p[row].copy()
        moved[(0, *where[1:])] += step
        return float(_values(cls, y[row], moved)[0])

    here, found = at(0.0), []
    for h in (1e-5, 1e-6, 1e-4):
        up, down = at(h), at(-h)
        noise = 4 * np.finfo(np.float64).eps * abs(here) / h
        found.append(_Difference((up - down) / (2 * h), (here - down) / h, (up - here) / h, noise))
    return found
