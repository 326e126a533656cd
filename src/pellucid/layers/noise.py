"""Noise in training: layers that make a network work with less, or with less exact, numbers.

**Dropout** trains many thinned networks at once, so that no unit leans on one other. In training
each value is kept with probability q = 1 − rate and then divided by q::

    y = x · m / q        m = 1 with probability q, else 0

so that E[y] = x · q / q = x: the next layer sees the same mean as in inference, where nothing is
dropped and nothing needs scaling ("inverted" dropout; Srivastava et al., JMLR 2014). Given the
mask, y is linear in x::

    dx = dy · m / q

**GaussianNoise** moves every value a little, so that no answer hangs on the last digits of its
input: y = x + n with normal n of mean 0, and dx = dy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pellucid.description import number
from pellucid.layers.base import Array, Cache, Layer, Spec, Views, single


@dataclass(frozen=True, repr=False)
class Dropout(Layer):
    """Sets each value to 0 with probability `rate` in training; does nothing in inference.

    Parameters
    ----------
    rate : float
        The share that is dropped, in [0, 1). Alias: p.

    >>> Dropout(0.5)([[1.0, 2.0]])
    array([[1., 2.]])
    """

    rate: float

    aliases: ClassVar[dict[str, str]] = {"p": "rate"}

    def __post_init__(self) -> None:
        number(self, "rate", at_least=0, below=1)

    def output_spec(self, *inputs: Spec) -> Spec:
        return Spec(single(inputs, self).shape)

    def forward(self, x: Array, p: Views, cache: Cache) -> Array:
        cache.mask = None
        if not cache.training or self.rate == 0:
            return x
        kept = cache.random().keep(x.shape, self.rate)
        cache.mask = kept * x.dtype.type(1 / (1 - self.rate))  # 0 or 1/q
        y: Array = x * cache.mask
        return y

    def backward(self, dy: Array, p: Views, dp: Views, cache: Cache) -> Array:
        mask: Array | None = cache.mask
        return dy if mask is None else dy * mask


@dataclass(frozen=True, repr=False)
class GaussianNoise(Layer):
    """Adds normal noise of mean 0 in training; does nothing in inference.

    Parameters
    ----------
    stddev : float
        Its standard deviation, 0 or more. Aliases: std, sigma.

    >>> GaussianNoise(0.1)([[1.0, 2.0]])
    array([[1., 2.]])
    """

    stddev: float

    aliases: ClassVar[dict[str, str]] = {"std": "stddev", "sigma": "stddev"}

    def __post_init__(self) -> None:
        number(self, "stddev", at_least=0)

    def output_spec(self, *inputs: Spec) -> Spec:
        return Spec(single(inputs, self).shape)

    def forward(self, x: Array, p: Views, cache: Cache) -> Array:
        if not cache.training or self.stddev == 0:
            return x
        noise = cache.random().normal(x.shape, std=self.stddev).astype(x.dtype, copy=False)
        y: Array = x + noise
        return y

    def backward(self, dy: Array, p: Views, dp: Views, cache: Cache) -> Array:
        return dy
