"""Initialisers: the numbers that parameters start with.

A layer's output should neither grow nor shrink on its way through a deep network, and neither
should the gradient on its way back. For y_o = Σ_i x_i W_io with I independent inputs of mean
square q and weights of mean 0 and variance v, the variance of y is I·v·q. So

* v = 1/I keeps it (LeCun et al. 1998); SELU is made for this one;
* v = 2/I keeps it where a ReLU before the sum has halved q (He et al. 2015);
* v = 2/(I + O) is half-way between 1/I, right for the way there, and 1/O, right for the way back
  (Glorot and Bengio 2010).

A uniform distribution on [−a, a] has the variance a²/3, hence the limits a = √(3v) below. I and O
are the *fans*: the inputs one unit sees and the outputs one input reaches; a convolution counts
its window in both. The normal ones are not truncated, which is PyTorch's choice, not Keras's.

Numbers come as float64 from the stream that is handed in; a float32 network rounds the same ones.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import sqrt
from typing import Any, ClassVar

import numpy as np

from pellucid.description import Description, number
from pellucid.errors import DataError, NotBuiltError, OptionError, ShapeError, did_you_mean
from pellucid.random import Array, Stream

Fans = tuple[int, int]  # inputs a unit sees, outputs an input reaches


@dataclass(frozen=True, repr=False)
class Initializer(Description, ABC):
    """Base of all initialisers: a function of shape, fans and random numbers."""

    @abstractmethod
    def __call__(self, shape: tuple[int, ...], fans: Fans | None, stream: Stream) -> Array:
        """Float64 values of this shape; `fans` may be None where the layer names none.

        >>> HeNormal()((2, 2), (2, 2), Stream(0, "example")).shape
        (2, 2)
        """


@dataclass(frozen=True, repr=False)
class GlorotUniform(Initializer):
    """Uniform in ±√(6 / (I + O)): Glorot and Bengio (2010), also called Xavier uniform."""

    def __call__(self, shape: tuple[int, ...], fans: Fans | None, stream: Stream) -> Array:
        limit = sqrt(6 / sum(_known(fans, self)))
        return stream.uniform(shape, -limit, limit)


@dataclass(frozen=True, repr=False)
class GlorotNormal(Initializer):
    """Normal with standard deviation √(2 / (I + O)): Glorot and Bengio (2010)."""

    def __call__(self, shape: tuple[int, ...], fans: Fans | None, stream: Stream) -> Array:
        return stream.normal(shape, std=sqrt(2 / sum(_known(fans, self))))


@dataclass(frozen=True, repr=False)
class HeUniform(Initializer):
    """Uniform in ±√(6 / I): He et al. (2015), also called Kaiming uniform."""

    def __call__(self, shape: tuple[int, ...], fans: Fans | None, stream: Stream) -> Array:
        limit = sqrt(6 / _known(fans, self)[0])
        return stream.uniform(shape, -limit, limit)


@dataclass(frozen=True, repr=False)
class HeNormal(Initializer):
    """Normal with standard deviation √(2 / I): He et al. (2015), for the ReLU family."""

    def __call__(self, shape: tuple[int, ...], fans: Fans | None, stream: Stream) -> Array:
        return stream.normal(shape, std=sqrt(2 / _known(fans, self)[0]))


@dataclass(frozen=True, repr=False)
class LeCunUniform(Initializer):
    """Uniform in ±√(3 / I): LeCun et al. (1998)."""

    def __call__(self, shape: tuple[int, ...], fans: Fans | None, stream: Stream) -> Array:
        limit = sqrt(3 / _known(fans, self)[0])
        return stream.uniform(shape, -limit, limit)


@dataclass(frozen=True, repr=False)
class LeCunNormal(Initializer):
    """Normal with standard deviation √(1 / I): LeCun et al. (1998), for SELU."""

    def __call__(self, shape: tuple[int, ...], fans: Fans | None, stream: Stream) -> Array:
        return stream.normal(shape, std=sqrt(1 / _known(fans, self)[0]))


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


@dataclass(frozen=True, repr=False)
class Auto(Initializer):
    """Decided when the network is built, by the first activation after the layer."""

    def resolve(self, family: str | None = None) -> Initializer:
        """The initialiser for a family of activations: "he", "lecun", or "glorot" and None.

        >>> Auto().resolve("he")
        HeNormal()
        """
        if family is not None and family not in _FAMILIES:
            raise OptionError(
                f"no initialiser family {family!r}. {did_you_mean(family, _FAMILIES)}"
            )
        return _FAMILIES[family or "glorot"]

    def __call__(self, shape: tuple[int, ...], fans: Fans | None, stream: Stream) -> Array:
        raise NotBuiltError(
            'Auto() is resolved while a network is built; alone, name one: "he_normal", or '
            'Auto().resolve("he")'
        )


_FAMILIES: dict[str, Initializer] = {
    "he": HeNormal(),
    "lecun": LeCunNormal(),
    "glorot": GlorotUniform(),
}

_NAMES: dict[str, Initializer] = {
    "auto": Auto(),
    "glorot_uniform": GlorotUniform(),
    "glorot_normal": GlorotNormal(),
    "he_uniform": HeUniform(),
    "he_normal": HeNormal(),
    "lecun_uniform": LeCunUniform(),
    "lecun_normal": LeCunNormal(),
    "normal": Normal(),
    "uniform": Uniform(),
    "zeros": Zeros(),
    "ones": Ones(),
}


def as_initializer(x: Initializer | str) -> Initializer:
    """The initialiser of this name, or the initialiser itself.

    >>> as_initializer("he_normal")
    HeNormal()
    """
    if isinstance(x, Initializer):
        return x
    if isinstance(x, str):
        if x in _NAMES:
            return _NAMES[x]
        raise OptionError(f"no initialiser {x!r}. {did_you_mean(x, _NAMES)}")
    raise OptionError(
        f"an initialiser or its name is needed, not {type(x).__name__}; given values: Exact(values)"
    )


def _known(fans: Fans | None, initializer: Initializer) -> Fans:
    """Fans of at least 1, or the error that says who needs them."""
    if fans is None:
        raise OptionError(
            f"{initializer!r} scales with fans, and this parameter has none: use Normal, Uniform, "
            "Constant, Zeros or Ones"
        )
    return max(fans[0], 1), max(fans[1], 1)


def _as_tuples(values: Any) -> Any:
    return tuple(_as_tuples(item) for item in values) if isinstance(values, list) else values
