"""Initialisers that look at nothing but the shape: distributions, constants, given values."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

import numpy as np

from pellucid.description import number
from pellucid.errors import DataError, ShapeError
from pellucid.initializers.base import Fans, Initializer
from pellucid.random import Array, Stream


@dataclass(frozen=True, repr=False)
class Normal(Initializer):
    """Normal with this mean and standard deviation, whatever the fans.

    Parameters
    ----------
    mean : float, default 0
        The middle.
    std : float, default 1
        The standard deviation, 0 or more.
    """

    mean: float = 0.0
    std: float = 1.0

    aliases: ClassVar[dict[str, str]] = {"stddev": "std"}

    def __post_init__(self) -> None:
        number(self, "mean")
        number(self, "std", at_least=0)

    def __call__(self, shape: tuple[int, ...], fans: Fans | None, stream: Stream) -> Array:
        return stream.normal(shape, self.mean, self.std)


@dataclass(frozen=True, repr=False)
class TruncatedNormal(Initializer):
    """Normal, without the values further from the middle than `cut` standard deviations.

    Those are drawn again, so `std` is that of the whole bell: what is left of it at a cut of 2 has
    0.88 of it. As in Keras; PyTorch's `trunc_normal_` has its limits in units of 1.

    Parameters
    ----------
    mean : float, default 0
        The middle.
    std : float, default 1
        The standard deviation before the cut, 0 or more. Alias: stddev.
    cut : float, default 2
        0.1 or more.
    """

    mean: float = 0.0
    std: float = 1.0
    cut: float = 2.0

    aliases: ClassVar[dict[str, str]] = {"stddev": "std"}

    def __post_init__(self) -> None:
        number(self, "mean")
        number(self, "std", at_least=0)
        number(self, "cut", at_least=0.1)

    def __call__(self, shape: tuple[int, ...], fans: Fans | None, stream: Stream) -> Array:
        count = prod(shape)
        z = np.zeros(0)
        while len(z) < count:
            more = stream.normal((count - len(z) + 16,))
            z = np.concatenate([z, more[np.abs(more) <= self.cut]])
        return (self.mean + self.std * z[:count]).reshape(shape)


@dataclass(frozen=True, repr=False)
class Uniform(Initializer):
    """Uniform in [low, high), whatever the fans.

    Parameters
    ----------
    low : float, default -0.05
        The lower limit.
    high : float, default 0.05
        The upper limit, not below the lower one.
    """

    low: float = -0.05
    high: float = 0.05

    aliases: ClassVar[dict[str, str]] = {"minval": "low", "maxval": "high"}

    def __post_init__(self) -> None:
        number(self, "low")
        number(self, "high", at_least=self.low)

    def __call__(self, shape: tuple[int, ...], fans: Fans | None, stream: Stream) -> Array:
        return stream.uniform(shape, self.low, self.high)


@dataclass(frozen=True, repr=False)
class Zeros(Initializer):
    """Zeros, as biases usually start."""

    def __call__(self, shape: tuple[int, ...], fans: Fans | None, stream: Stream) -> Array:
        return np.zeros(shape)


@dataclass(frozen=True, repr=False)
class Ones(Initializer):
    """Ones, as the scale of a normalisation starts."""

    def __call__(self, shape: tuple[int, ...], fans: Fans | None, stream: Stream) -> Array:
        return np.ones(shape)


@dataclass(frozen=True, repr=False)
class Constant(Initializer):
    """The same value everywhere.

    Parameters
    ----------
    value : float, default 0
        That value.
    """

    value: float = 0.0

    def __post_init__(self) -> None:
        number(self, "value")

    def __call__(self, shape: tuple[int, ...], fans: Fans | None, stream: Stream) -> Array:
        return np.full(shape, float(self.value))


@dataclass(frozen=True, repr=False)
class Exact(Initializer):
    """Exactly these values, for a worked example or weights from elsewhere.

    Parameters
    ----------
    values : array or nested sequence of numbers
        An array or nested sequence of finite numbers in the parameter's own shape; kept
        as nested tuples.

    >>> Exact([[1, 2], [3, 4]])((2, 2), None, Stream(0, "unused"))
    array([[1., 2.],
           [3., 4.]])
    """

    values: Any

    def __post_init__(self) -> None:
        try:
            values = np.asarray(self.values)
            if values.dtype.kind not in "fiub":
                raise TypeError
            values = values.astype(np.float64)
        except (TypeError, ValueError):
            raise ShapeError(
                "Exact needs numbers in rows of equal length: an array or nested lists"
            ) from None
        if not np.isfinite(values).all():
            where = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
            raise DataError(f"Exact: the value at {where} is {values[where]}, not a finite number")
        object.__setattr__(self, "values", _as_tuples(values.tolist()))

    def __call__(self, shape: tuple[int, ...], fans: Fans | None, stream: Stream) -> Array:
        values = np.array(self.values, dtype=np.float64)
        if values.shape != tuple(shape):
            raise ShapeError(
                f"Exact has values of shape {values.shape}, the parameter has {tuple(shape)}"
            )
        return values

    def __repr__(self) -> str:
        values = np.array(self.values)
        return f"Exact({self.values!r})" if values.size <= 16 else f"Exact(<{values.shape} values>)"


def _as_tuples(values: Any) -> Any:
    return tuple(_as_tuples(item) for item in values) if isinstance(values, list) else values
