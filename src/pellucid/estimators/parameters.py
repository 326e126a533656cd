"""What the parameters of an estimator may be, said in scikit-learn's words where one is refused."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf, isnan
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np

from pellucid.engine.base import check_engine
from pellucid.errors import OptionError


class Number(NamedTuple):
    """A number within bounds, `ends` saying as in "[)" which of them belong to it."""

    least: float
    most: float = inf
    ends: str = "[)"
    whole: bool = False
    also: float | None = None  # one more that is allowed

    def allows(self, value: Any) -> bool:
        """Whether a value is such a number."""
        if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
            return False
        whole, value = isinstance(value, Integral), float(value)
        if self.also is not None and value == self.also:
            return True
        if isnan(value) or (self.whole and not whole):
            return False
        at_ends = (self.least,) * (self.ends[0] == "[") + (self.most,) * (self.ends[1] == "]")
        return bool(self.least < value < self.most or value in at_ends)

    def __str__(self) -> str:
        kind, least, most = ("an int", int, int) if self.whole else ("a float", float, float)
        top = "inf" if self.most == inf else f"{most(self.most)}"
        text = f"{kind} in the range {self.ends[0]}{least(self.least)}, {top}{self.ends[1]}"
        return text if self.also is None else f"{text} or {self.also}"


class Word(NamedTuple):
    """One of some words, or a number instead."""

    words: tuple[str, ...]
    number: Number | None = None

    def allows(self, value: Any) -> bool:
        """Whether a value is one of them."""
        if isinstance(value, str):
            return value in self.words
        return self.number is not None and self.number.allows(value)

    def __str__(self) -> str:
        listed = ", ".join(map(repr, sorted(self.words)))
        text = f"a str among {{{listed}}}"
        return text if self.number is None else f"{text} or {self.number}"


class Flag(NamedTuple):
    """True or False, or a number instead."""

    number: Number | None = None

    def allows(self, value: Any) -> bool:
        """Whether a value is one of the two."""
        if isinstance(value, bool | np.bool_):
            return True
        return self.number is not None and self.number.allows(value)

    def __str__(self) -> str:
        text = "an instance of 'bool'"
        return text if self.number is None else f"{text} or {self.number}"


_FROM_0, _FROM_1 = Number(0), Number(1, whole=True)
ALLOWED: Mapping[str, Number | Word | Flag] = {
    "activation": Word(("identity", "logistic", "tanh", "relu")),
    "solver": Word(("lbfgs", "sgd", "adam")),
    "loss": Word(("squared_error", "poisson")),
    "alpha": _FROM_0,
    "batch_size": Word(("auto",), _FROM_1),
    "learning_rate": Word(("constant", "invscaling", "adaptive")),
    "learning_rate_init": Number(0, ends="()"),
    "power_t": _FROM_0,
    "max_iter": _FROM_1,
    "shuffle": Flag(),
    "tol": _FROM_0,
    "verbose": Flag(Number(0, whole=True)),
    "warm_start": Flag(),
    "momentum": Number(0, 1, "[]"),
    "nesterovs_momentum": Flag(),
    "early_stopping": Flag(),
    "validation_fraction": Number(0, 1),
    "beta_1": Number(0, 1),
    "beta_2": Number(0, 1),
    "epsilon": Number(0, ends="()"),
    "n_iter_no_change": Number(1, whole=True, also=inf),
    "max_fun": _FROM_1,
}


def check_parameters(estimator: Any) -> None:
    """Refuses a parameter of another type or out of its range: an OptionError with both."""
    for name, value in estimator.get_params(deep=False).items():
        allowed = ALLOWED.get(name)
        if allowed is not None and not allowed.allows(value):
            raise _refused(estimator, name, str(allowed), value)
    check_engine(estimator.engine)
    random_of(estimator)
    hidden_sizes(estimator)


def hidden_sizes(estimator: Any) -> list[int]:
    """`hidden_layer_sizes` as a list."""
    given: Any = estimator.hidden_layer_sizes
    try:
        sizes: list[Any] = [given] if np.ndim(given) == 0 else list(given)
    except TypeError:
        sizes = ["?"]
    if isinstance(given, str) or not all(isinstance(n, Integral) for n in sizes):
        text = "an array-like of ints or an int in the range [1, inf)"
        raise _refused(estimator, "hidden_layer_sizes", text, given)
    if any(n <= 0 for n in sizes):
        raise OptionError(f"hidden_layer_sizes must be > 0, got {sizes}.")
    return [int(n) for n in sizes]


def random_of(estimator: Any) -> np.random.RandomState:
    """The random numbers of an estimator: its own, new ones from a seed, or from the system.

    With None they come from the system and never from NumPy's global generator, which other code
    may use or seed meanwhile.
    """
    seed: Any = estimator.random_state
    if isinstance(seed, np.random.RandomState):
        return seed
    if seed is None or Number(0, 2**32, whole=True).allows(seed):
        return np.random.RandomState(seed)
    text = "an int in the range [0, 4294967295], an instance of 'numpy.random.RandomState' or None"
    raise _refused(estimator, "random_state", text, seed)


def _refused(estimator: Any, name: str, allowed: str, value: Any) -> OptionError:
    kind = type(estimator).__name__
    return OptionError(
        f"The {name!r} parameter of {kind} must be {allowed}. Got {value!r} instead."
    )


def keep(estimator: Any, given: Mapping[str, Any]) -> None:
    """Sets what a constructor was given as attributes of the same names."""
    for name, value in given.items():
        if name not in ("self", "__class__"):
            setattr(estimator, name, value)
