"""Special functions that NumPy lacks, or has in a form that overflows.

Each takes and returns float32 or float64 arrays of any shape, computes in their own type, and goes
through ±∞, NaN and the smallest numbers without a warning.

**The logistic function and its logarithms.** With e = e^(−|z|), in (0, 1], nothing overflows::

    σ(z) = 1/(1 + e) where z ≥ 0, else e/(1 + e)
    log(1 + e^z) = max(z, 0) + log(1 + e)              log σ(z) = −log(1 + e^−z)

**The error function** erf(x) = (2/√π) ∫₀ˣ e^(−t²) dt rises from −1 to 1; erfc(x) = 1 − erf(x).
For x ≥ 0, (1 + 2x) e^(x²) erfc(x) varies only between 1 and 1.3, and is smooth to infinity as a
function of t = (x − 4)/(x + 4) in [−1, 1): one polynomial P does for all of it (M. M. Shepherd and
J. G. Laframboise, Mathematics of Computation 36, 1981)::

    erfc(x) = e^(−x²) P(t) / (1 + 2x)        erfc(−x) = 2 − erfc(x)

e^(−x²) would lose as many digits as x² has before its point. With h = x rounded to 1/16, h² is
exact and the rest is small (W. J. Cody, Mathematics of Computation 23, 1969)::

    e^(−x²) = e^(−h²) e^((h − x)(h + x))

Where |x| < ½ it is 1 − erfc(x) that would lose digits; there erf(x) = x Q(x²), Q a polynomial too.
P and Q are Chebyshev interpolants of those two functions, P on 0 ≤ x ≤ 28 for float64 and 10.5 for
float32, beyond which erfc(x) is 0. Errors stay below 5 units in the last place.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# The highest power first. `tests/test_special.py` makes them anew.
P64 = (
    -1.8206098680308682e-09, -1.3670989863347383e-08, -7.71541861441783e-09,
    1.1534943745754157e-07, 6.270727157198311e-08, -8.351619688696847e-07,
    3.0135049944875397e-07, 5.7178872846321855e-06, -1.1224789135154701e-05,
    -2.4403169244974074e-05, 0.000150622243948303, -0.00019925550755614952,
    -0.00075777334141333, 0.005031969755895426, -0.016197734059115006,
    0.03716751556249286, -0.06633036581152939, 0.09373283499679412,
    -0.10103906603635213, 0.06809705425473732, 0.01537965210262074,
    -0.1396211168405629, 1.2329951186255526,
)  # fmt: skip
P32 = (
    -0.0006437728425240374, -0.0011386667239085865, 0.005049267497611673,
    -0.01601292981706137, 0.037226408654272694, -0.06635710169974308,
    0.09371953400624503, -0.10103775016849999, 0.06809800463094816,
    0.01537963641911414, -0.1396211348130777, 1.2329951186481043,
)  # fmt: skip
Q64 = (
    1.4725865480556744e-06, -1.4845849259707869e-05, 0.00012053335124353741,
    -0.0008548297753674966, 0.00522397737302147, -0.026866170632887928,
    0.11283791670925353, -0.37612638903183476, 1.1283791670955126,
)  # fmt: skip
Q32 = (
    0.004719082567218814, -0.026757732735015517, 0.11282831428465862,
    -0.37612609007469805, 1.1283791656017914,
)  # fmt: skip
_BEYOND = 30.0  # erfc is 0 from here on, in both types


def sigmoid(z: Array) -> Array:
    """The logistic function σ(z) = 1/(1 + e^−z), to 8 units in the last place.

    >>> sigmoid(np.array([-1e4, 0.0, 1e4]))
    array([0. , 0.5, 1. ])
    """
    e = np.exp(-np.abs(z))
    a: Array = np.maximum(z >= 0, e)  # the numerator, 1 or e; NaN stays NaN
    a /= 1 + e
    return a


def softplus(z: Array) -> Array:
    """The logarithm log(1 + e^z), to 8 units in the last place.

    >>> softplus(np.array([-1e4, 0.0, 1e4])).round(4)
    array([0.000e+00, 6.931e-01, 1.000e+04])
    """
    a: Array = np.log1p(np.exp(-np.abs(z)))
    a += np.maximum(z, 0)
    return a


def log_sigmoid(z: Array) -> Array:
    """The logarithm log σ(z), to 8 units in the last place.

    >>> log_sigmoid(np.array([-1e4, 0.0, 1e4])).round(4)
    array([-1.000e+04, -6.931e-01, -0.000e+00])
    """
    return -softplus(-z)


def erfc(x: Array) -> Array:
    """The complementary error function 1 − erf(x), from 2 to 0.

    >>> erfc(np.array([-np.inf, 0.0, 1.0, np.inf])).round(4)
    array([2.    , 1.    , 0.1573, 0.    ])
    """
    y = _erfc_of_size(np.abs(x))
    return np.where(x < 0, 2 - y, y)


def erf(x: Array) -> Array:
    """The error function, from −1 to 1.

    >>> erf(np.array([-np.inf, 0.0, 1.0, np.inf])).round(4)
    array([-1.    ,  0.    ,  0.8427,  1.    ])
    """
    size, near = np.abs(x), np.clip(x, -0.5, 0.5)
    small = near * polynomial(Q64 if x.dtype == np.float64 else Q32, near * near)
    large = np.copysign(1 - _erfc_of_size(size), x)
    return np.where(size < 0.5, small, large)


def normal_cdf(z: Array) -> Array:
    """Φ(z), the share of a standard normal distribution that lies below z: ½ erfc(−z/√2).

    >>> normal_cdf(np.array([-np.inf, 0.0, 1.0])).round(4)
    array([0.    , 0.5   , 0.8413])
    """
    y = erfc(z * -sqrt(0.5))
    y *= 0.5
    return y


def polynomial(coefficients: Sequence[float], t: Array) -> Array:
    """A polynomial by Horner's rule, its highest power first, in t's own type.

    >>> polynomial((1.0, 0.0, 2.0), np.array([3.0]))
    array([11.])
    """
    y = np.full_like(t, coefficients[0])
    for c in coefficients[1:]:
        y *= t
        y += t.dtype.type(c)
    return y


def _erfc_of_size(x: Array) -> Array:
    """The complement erfc(x) where x ≥ 0."""
    x = np.minimum(x, _BEYOND)
    y = polynomial(P64 if x.dtype == np.float64 else P32, (x - 4) / (x + 4))
    y /= 1 + 2 * x
    h = np.rint(x * 16) / 16
    y *= np.exp((h - x) * (h + x))
    y *= np.exp(-h * h)
    return y
