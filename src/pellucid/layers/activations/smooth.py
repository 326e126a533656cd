"""Smooth activations: rectifiers without a corner, and two that saturate slowly.

With σ the logistic function, Φ the distribution function of the standard normal distribution, φ its
density, and e = e^(−|z|), which is in (0, 1] and never overflows:

=============  ==================================  =========================================
layer          a = f(z)                            f′(z)
=============  ==================================  =========================================
ELU            z where z > 0, else α (eᶻ − 1)      1 where z > 0, else a + α
SELU           λ z where z > 0, else λα (eᶻ − 1)   λ where z > 0, else a + λα
Softplus       log(1 + e^βz) / β                   σ(βz)
Softsign       z / (1 + |z|)                       1 / (1 + |z|)²
SiLU           z σ(z)                              σ(z) (1 + z (1 − σ(z)))
GELU           z Φ(z)                              Φ(z) + z φ(z)
GELU, "tanh"   z σ(2u)                             σ(2u) (1 + z σ(−2u) 2u′)
Mish           z t, t = tanh(log(1 + eᶻ))          t + z (1 − t²) σ(z)
=============  ==================================  =========================================

The tanh form of GELU has u = √(2/π) (z + 0.044715 z³), and ½ (1 + tanh u) = σ(2u).

**Mish in exponentials.** tanh(log y) = (y² − 1)/(y² + 1), and y = 1 + eᶻ. For z ≥ 0, multiplied by
e^(−2z) above and below the line, and for z < 0 as it is::

    z ≥ 0:  t = (1 + 2e) / (1 + 2e + 2e²)        z < 0:  t = e (e + 2) / (e (e + 2) + 2)

These are one formula in w = 1, v = e for z ≥ 0 and w = e, v = 1 for z < 0, where always w v = e::

    n = w (w + 2v)    d = n + 2v²    t = n/d
    1 − t² = (d − n)(d + n)/d² = 4v² (w + v)²/d²    σ(z) = w/(w + v)
    (1 − t²) σ(z) = 4 v e (1 + e)/d²

**Far from 0** a factor z would meet a factor 0: ∞ · 0 is not a number, though the limit is. So z is
limited where the other factor has long been 0 or 1 in every float type.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi, sqrt
from typing import ClassVar

import numpy as np

from pellucid.description import number, one_of
from pellucid.layers.activations.basic import Activation
from pellucid.layers.base import Array
from pellucid.special import normal_cdf, sigmoid

_FAR = 1000.0  # e^−1000 is 0 in float64
_SELU_ALPHA = 1.6732632423543772848
_SELU_SCALE = 1.0507009873554804934


@dataclass(frozen=True, repr=False)
class ELU(Activation):
    """The exponential linear unit: z where z > 0, else ``alpha * (exp(z) - 1)``.

    Its mean output is nearer to 0 than a ReLU's (Clevert, Unterthiner and Hochreiter, ICLR 2016).

    Parameters
    ----------
    alpha : float, default 1
        Above 0; −α is the value far to the left. Only with 1 is there no corner at 0; the slope
        there is α.

    >>> ELU()(np.array([-1e4, 0.0, 2.0]))
    array([-1.,  0.,  2.])
    """

    alpha: float = 1.0

    initialization: ClassVar[str | None] = "he"

    def __post_init__(self) -> None:
        number(self, "alpha", above=0)
        object.__setattr__(self, "alpha", float(self.alpha))

    def value(self, z: Array) -> Array:
        a: Array = np.expm1(np.minimum(z, 0))
        a *= self.alpha
        a += np.maximum(z, 0)
        return a

    def slope(self, z: Array, a: Array) -> Array:
        return _elu_slope(z, a, 1.0, self.alpha)


@dataclass(frozen=True, repr=False)
class SELU(Activation):
    """The scaled ELU, whose two constants draw a deep network's mean to 0 and variance to 1.

    λ = 1.05070… and α = 1.67326… solve E[f(z)] = 0 and E[f(z)²] = 1 for a standard normal z
    (Klambauer et al., "Self-normalizing neural networks", NeurIPS 2017). It wants inputs of mean
    0 and variance 1 and LeCun's normal initial weights, which "auto" takes.

    >>> SELU()(np.array([-1e4, 0.0, 1.0])).round(4)
    array([-1.7581,  0.    ,  1.0507])
    """

    initialization: ClassVar[str | None] = "lecun"

    def value(self, z: Array) -> Array:
        a: Array = np.expm1(np.minimum(z, 0))
        a *= _SELU_SCALE * _SELU_ALPHA
        with np.errstate(over="ignore"):  # λ times the greatest float is ∞
            a += _SELU_SCALE * np.maximum(z, 0)
        return a

    def slope(self, z: Array, a: Array) -> Array:
        return _elu_slope(z, a, _SELU_SCALE, _SELU_SCALE * _SELU_ALPHA)


def _elu_slope(z: Array, a: Array, right: float, left: float) -> Array:
    """The slope `right` where z > 0, else a + left; where takes five times as long."""
    slope: Array = np.minimum(a, 0)
    slope += left
    slope += (z > 0) * z.dtype.type(right - left)
    return slope


@dataclass(frozen=True, repr=False)
class Softplus(Activation):
    """A smooth ReLU, ``log(1 + exp(beta * z)) / beta``, always positive: for rates and variances.

    Written as max(z, 0) + log(1 + e^(−β|z|))/β it neither overflows nor needs a threshold beyond
    which to be the identity.

    Parameters
    ----------
    beta : float, default 1
        In [1e-6, 1e6]; the larger, the closer to a ReLU.

    >>> Softplus()(np.array([-1e4, 0.0, 1e4])).round(4)
    array([0.000e+00, 6.931e-01, 1.000e+04])
    """

    beta: float = 1.0

    initialization: ClassVar[str | None] = "glorot"

    def __post_init__(self) -> None:
        number(self, "beta", at_least=1e-6, at_most=1e6)
        object.__setattr__(self, "beta", float(self.beta))

    def value(self, z: Array) -> Array:
        a: Array = np.log1p(self._decay(z))
        a /= self.beta
        a += np.maximum(z, 0)
        return a

    def slope(self, z: Array, a: Array) -> Array:
        e = self._decay(z)
        slope: Array = np.maximum(z >= 0, e)
        slope /= 1 + e
        return slope

    def _decay(self, z: Array) -> Array:
        """e^(−β|z|)."""
        e: Array = np.minimum(np.abs(z), _FAR / self.beta)
        e *= -self.beta
        return np.exp(e)


@dataclass(frozen=True, repr=False)
class Softsign(Activation):
    """``z / (1 + |z|)``, between −1 and 1: a tanh that approaches its ends slowly.

    (Bergstra et al., 2009.)

    >>> Softsign()(np.array([-np.inf, 0.0, 1.0]))
    array([-1. ,  0. ,  0.5])
    """

    initialization: ClassVar[str | None] = "glorot"

    def value(self, z: Array) -> Array:
        end = np.finfo(z.dtype).max
        a: Array = np.clip(z, -end, end)  # ∞/∞ is not a number
        a /= 1 + np.abs(a)
        return a

    def slope(self, z: Array, a: Array) -> Array:
        slope: Array = 1 / (1 + np.abs(z))
        slope *= slope
        return slope


@dataclass(frozen=True, repr=False)
class SiLU(Activation):
    """The sigmoid linear unit ``z * sigmoid(z)``, also called Swish.

    (Elfwing, Uchibe and Doya, 2017; Ramachandran, Zoph and Le, 2017.)

    >>> SiLU()(np.array([-np.inf, 0.0, 1.0])).round(4)
    array([-0.    ,  0.    ,  0.7311])
    """

    initialization: ClassVar[str | None] = "he"

    def value(self, z: Array) -> Array:
        a = sigmoid(z)
        a *= np.maximum(z, -_FAR)
        return a

    def slope(self, z: Array, a: Array) -> Array:
        s = sigmoid(z)
        slope: Array = 1 - s
        slope *= np.clip(z, -_FAR, _FAR)
        slope += 1
        slope *= s
        return slope


@dataclass(frozen=True, repr=False)
class GELU(Activation):
    """The Gaussian error linear unit ``z * Φ(z)``: z, weighted by how rarely a larger one comes.

    (Hendrycks and Gimpel, 2016.)

    Parameters
    ----------
    approximate : {"none", "tanh"}, default "none"
        "tanh" takes the authors' approximation of Φ, which differs by up to 5e-4 and is what some
        published weights were trained with.

    >>> GELU()(np.array([-np.inf, 0.0, 1.0])).round(4)
    array([-0.    ,  0.    ,  0.8413])
    """

    approximate: str = "none"

    initialization: ClassVar[str | None] = "he"

    def __post_init__(self) -> None:
        one_of(self, "approximate", ("none", "tanh"))

    def value(self, z: Array) -> Array:
        if self.approximate == "tanh":
            a = sigmoid(_twice_u(np.clip(z, -25, 25)))
            a *= np.maximum(z, -25)
        else:
            a = normal_cdf(z)
            a *= np.maximum(z, -40)
        return a

    def slope(self, z: Array, a: Array) -> Array:
        if self.approximate == "tanh":
            z = np.clip(z, -25, 25)
            u = _twice_u(z)
            s = sigmoid(u)
            slope: Array = z * sigmoid(-u)  # 1 − s has no digits left where u is large
            slope *= sqrt(8 / pi) * (1 + 3 * 0.044715 * z * z)
            slope += 1
            slope *= s
        else:
            z = np.clip(z, -40, 40)
            slope = normal_cdf(z) + z * np.exp(z * z * -0.5) * sqrt(0.5 / pi)
        return slope


def _twice_u(z: Array) -> Array:
    """2u = √(8/π) (z + 0.044715 z³)."""
    u: Array = z * z
    u *= 0.044715
    u += 1
    u *= z
    u *= sqrt(8 / pi)
    return u


@dataclass(frozen=True, repr=False)
class Mish(Activation):
    """``z * tanh(log(1 + exp(z)))`` (Misra, BMVC 2020).

    >>> Mish()(np.array([-np.inf, 0.0, 1.0])).round(4)
    array([-0.    ,  0.    ,  0.8651])
    """

    initialization: ClassVar[str | None] = "he"

    def value(self, z: Array) -> Array:
        _, _, n, d = _mish_parts(z)
        a: Array = n / d
        a *= np.maximum(z, -_FAR)
        return a

    def slope(self, z: Array, a: Array) -> Array:
        e, v, n, d = _mish_parts(z)
        slope: Array = np.clip(z, -_FAR, _FAR) * (4 * v * e * (1 + e))
        slope /= d * d
        slope += n / d
        return slope


def _mish_parts(z: Array) -> tuple[Array, Array, Array, Array]:
    """e, v, n and d of the formulas above."""
    e = np.exp(-np.abs(z))
    w, v = np.maximum(z >= 0, e), np.maximum(z < 0, e)
    n = w * (w + 2 * v)
    return e, v, n, n + 2 * v * v
