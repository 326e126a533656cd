"""The special functions against mpmath in high precision, and where their coefficients come from."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest

from pellucid import special

FLOATS = [np.float32, np.float64]
TRUTH = {
    "sigmoid": lambda t: 1 / (1 + mpmath.exp(-t)),
    "softplus": lambda t: mpmath.log1p(mpmath.exp(t)),
    "log_sigmoid": lambda t: -mpmath.log1p(mpmath.exp(-t)),
    "erf": mpmath.erf,
    "erfc": mpmath.erfc,
    "normal_cdf": mpmath.ncdf,
}
LIMITS = {  # at −∞, 0 and ∞
    "sigmoid": (0, 0.5, 1),
    "softplus": (0, np.log(2), np.inf),
    "log_sigmoid": (-np.inf, -np.log(2), 0),
    "erf": (-1, 0, 1),
    "erfc": (2, 1, 0),
    "normal_cdf": (0, 0.5, 1),
}
each_function = pytest.mark.parametrize("name", TRUTH)
each_float = pytest.mark.parametrize("dtype", FLOATS)


def grid(name: str, dtype: Any) -> np.ndarray:
    """Numbers of every size, dense where formulas change, down to the smallest there are."""
    rng = np.random.default_rng(0)
    ends = {"erf": (10.3, 27.3), "erfc": (10.3, 27.3), "normal_cdf": (14.0, 38.0)}
    end = ends.get(name, (104.0, 746.0))[dtype == np.float64]
    tiny = 10.0 ** rng.uniform(-44 if dtype == np.float32 else -322, 0, 400)
    parts = [
        rng.uniform(-end, end, 1500), rng.normal(size=1000), rng.uniform(-1, 1, 800),
        np.linspace(0.45, 0.55, 300), np.linspace(-end, -0.8 * end, 300),
        np.linspace(0.8 * end, end, 300), tiny, -tiny, [0.0, 0.5, -0.5, np.nextafter(0.5, 0)],
    ]  # fmt: skip
    return np.concatenate(parts).astype(dtype)


def ulps(found: np.ndarray, exact: list[Any]) -> np.ndarray:
    """Errors in units in the last place of the exact values."""
    units = np.spacing(np.abs(np.array([float(e) for e in exact], found.dtype)))
    pairs = zip(found.tolist(), exact, units.tolist(), strict=True)
    return np.array([float(abs(mpmath.mpf(a) - e) / mpmath.mpf(u)) for a, e, u in pairs])


@each_function
@each_float
def test_values_are_within_8_ulp_everywhere(name: str, dtype: Any) -> None:
    x = grid(name, dtype)
    found = getattr(special, name)(x)
    assert found.dtype == dtype
    with mpmath.workprec(160):
        exact = [TRUTH[name](mpmath.mpf(number)) for number in x.tolist()]
        error = ulps(found, exact)
    if name == "normal_cdf":  # z/√2 is rounded, so Φ's digits go with z²
        size = np.maximum(1, np.square(x.astype(float)))
        assert (error / size).max() < 8
        with mpmath.workprec(200):
            wrong = [abs(mpmath.mpf(a) - e) for a, e in zip(found.tolist(), exact, strict=True)]
        assert float(max(wrong)) <= 4 * np.finfo(dtype).eps
    else:
        assert error.max() < (8 if name in ("sigmoid", "softplus", "log_sigmoid") else 5)


@each_function
@each_float
def test_extremes_give_limits_without_a_warning(name: str, dtype: Any) -> None:
    f = getattr(special, name)
    big, small = np.finfo(dtype).max, np.finfo(dtype).smallest_subnormal
    x = np.array([-np.inf, 0, np.inf, np.nan, -0.0, big, -big, small, -small], dtype)
    kept = x.copy()
    found = f(x)
    np.testing.assert_allclose(found[:3], LIMITS[name], rtol=np.finfo(dtype).eps)
    assert np.isnan(found[3])
    assert np.isfinite(found[4:]).all()
    np.testing.assert_array_equal(x, kept)
    for shape in ((), (0,), (2, 0, 3), (3, 3)):
        assert f(np.zeros(shape, dtype)).shape == shape
    np.testing.assert_array_equal(f(np.asfortranarray(x.reshape(3, 3))).ravel(), found)


def test_symmetries_are_exact() -> None:
    x = grid("erf", np.float64)
    np.testing.assert_array_equal(special.erf(-x), -special.erf(x))
    assert np.signbit(special.erf(np.array(-0.0)))
    np.testing.assert_allclose(special.sigmoid(x) + special.sigmoid(-x), 1, rtol=3e-16)


@pytest.mark.parametrize(
    ("name", "end"), [("P64", "28"), ("P32", "10.5"), ("Q64", ""), ("Q32", "")]
)
def test_the_coefficients_are_the_interpolants_that_the_text_says(name: str, end: str) -> None:
    listed = getattr(special, name)

    def scaled(t: Any) -> Any:
        x = 4 * (1 + t) / (1 - t)
        return (1 + 2 * x) * mpmath.exp(x * x) * mpmath.erfc(x)

    def odd(u: Any) -> Any:
        x = mpmath.sqrt(u)
        return mpmath.erf(x) / x if u > 1e-40 else 2 / mpmath.sqrt(mpmath.pi)

    with mpmath.workdps(50):
        if end:
            top = (mpmath.mpf(end) - 4) / (mpmath.mpf(end) + 4)
            made = mpmath.chebyfit(scaled, [-1, top], len(listed))
        else:
            made = mpmath.chebyfit(odd, [0, mpmath.mpf(1) / 4], len(listed))
        assert [float(c) for c in made] == list(listed)
