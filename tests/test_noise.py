"""Normal numbers that are the same everywhere, and the noise made of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from mpmath import mp, mpf

from pellucid import Dense, GaussianNoise, Network, ReLU
from pellucid.errors import OptionError
from pellucid.layers import Cache, Views
from pellucid.random import Stream

# ---------------------------------------------------------------------------------------- normals


def horner(coefficients: list[float], t: float) -> float:
    y = coefficients[0]
    for c in coefficients[1:]:
        y = y * t
        y = y + c
    return y


def scalar_normal(u: float, v: float) -> tuple[float, float]:
    """A pair of normals in plain Python floats, each operation rounded by itself.

    Only +, −, ×, ÷, √, and taking numbers apart into mantissa and exponent: what IEEE 754 lays down
    to the last bit. No logarithm, sine or cosine of any library.
    """
    m, e = math.frexp(1.0 - u)
    if m < math.sqrt(0.5):
        m, e = m + m, e - 1
    s = (m - 1.0) / (m + 1.0)
    log = horner([1 / (2 * k + 1) for k in range(10, -1, -1)], s * s) * s * 2.0 + e * math.log(2.0)
    radius = math.sqrt(-2.0 * log)

    quarters = 4.0 * v
    q = math.floor(quarters + 0.5)
    angle = (quarters - q) * (math.pi / 2)
    square = angle * angle
    sine = horner([(-1) ** k / math.factorial(2 * k + 1) for k in range(8, -1, -1)], square) * angle
    cosine = horner([(-1) ** k / math.factorial(2 * k) for k in range(8, -1, -1)], square)
    for _ in range(q % 4):
        cosine, sine = -sine, cosine
    return cosine * radius, sine * radius


@pytest.mark.parametrize("count", [0, 1, 2, 5, 16_385, 40_000])
def test_normals_have_the_bits_of_basic_operations(count: int) -> None:
    z = Stream(3, "noise", "a", step=7).normal((count,))
    stream, half = Stream(3, "noise", "a", step=7), -(-count // 2)
    pairs = zip(stream.uniform((half,)).tolist(), stream.uniform((half,)).tolist(), strict=True)
    found = [scalar_normal(u, v) for u, v in pairs]
    expected = [first for first, _ in found] + [second for _, second in found]
    np.testing.assert_array_equal(z, expected[:count])


def test_normals_are_box_and_mullers() -> None:
    z, stream = Stream(0, "x").normal((4000,)), Stream(0, "x")
    u, v = stream.uniform((2000,)).tolist(), stream.uniform((2000,)).tolist()
    with mp.workprec(120):
        radius = [mp.sqrt(-2 * mp.log(1 - mpf(a))) for a in u]
        cosines = [r * mp.cospi(2 * mpf(a)) for r, a in zip(radius, v, strict=True)]
        sines = [r * mp.sinpi(2 * mpf(a)) for r, a in zip(radius, v, strict=True)]
        wrong = [abs(mpf(a) - b) for a, b in zip(z.tolist(), cosines + sines, strict=True)]
    assert float(max(wrong)) < 4e-15


def test_normals_are_normal() -> None:
    z = Stream(1, "x").normal((1_000_000,))
    assert z.mean() == pytest.approx(0, abs=4e-3)
    assert z.var() == pytest.approx(1, abs=6e-3)
    assert (z**4).mean() == pytest.approx(3, abs=0.04)
    for bound, share in ((0.5, 0.6914625), (1, 0.8413447), (2, 0.9772499), (3, 0.9986501)):
        assert (z < bound).mean() == pytest.approx(share, abs=2e-3)
        assert (z > -bound).mean() == pytest.approx(share, abs=2e-3)
    pairs = z.reshape(2, -1)
    assert abs((pairs[0] * pairs[1]).mean()) < 6e-3
    assert Stream(1, "x").normal((10,), 3, 0.5) == pytest.approx(3 + 0.5 * z_first(10))


def z_first(count: int) -> np.ndarray:
    return Stream(1, "x").normal((count,))


# ------------------------------------------------------------------------------------- as a layer


def noisy(
    stddev: float, x: np.ndarray, step: int = 0, node: str = "gaussian_noise_1"
) -> np.ndarray:
    cache = Cache(training=True, moment=(7, node, step, 0))
    y: np.ndarray = GaussianNoise(stddev).forward(x, Views({}), cache)
    return y


def test_noise_has_its_deviation_and_is_only_there_in_training() -> None:
    x = np.zeros((500, 200), np.float32)
    y = noisy(0.3, x)
    assert y.dtype == np.float32
    assert y.mean() == pytest.approx(0, abs=5e-3)
    assert y.std() == pytest.approx(0.3, rel=0.01)
    np.testing.assert_array_equal(GaussianNoise(0.3)(x), x)
    np.testing.assert_array_equal(noisy(0, x), x)


def test_noise_is_drawn_anew_each_step_and_the_same_when_a_step_is_redone() -> None:
    x = np.zeros((8, 8))
    np.testing.assert_array_equal(noisy(1, x, 3), noisy(1, x, 3))
    np.testing.assert_array_equal(noisy(1, x, 3).astype("f4"), noisy(1, x.astype("f4"), 3))
    assert (noisy(1, x, 3) != noisy(1, x, 4)).all()
    assert (noisy(1, x, 3) != noisy(1, x, 3, "gaussian_noise_2")).all()


@pytest.mark.parametrize("stddev", [-0.1, np.nan, np.inf, "0.1", None, True])
def test_deviations_that_make_no_sense_are_refused(stddev: Any) -> None:
    with pytest.raises(OptionError, match="stddev"):
        GaussianNoise(stddev)


def test_aliases() -> None:
    assert GaussianNoise(std=0.5) == GaussianNoise(sigma=0.5) == GaussianNoise(0.5)


@pytest.mark.parametrize("engine", ["numpy", "auto"])
def test_training_with_noise_is_the_same_run_after_run_and_in_parts(engine: str) -> None:
    x = Stream(2, "x").normal((64, 3))
    y = x @ np.array([[1.0], [-2], [0.5]])

    def weights(epochs: list[int]) -> np.ndarray:
        layers = [GaussianNoise(0.2), Dense(8), ReLU(), GaussianNoise(0.1), Dense(1)]
        net = Network(layers, loss="mse", optimizer="adam", engine=engine)
        for count in epochs:
            net.fit(x, y, epochs=count, batch_size=16, progress=False)
        found: np.ndarray = net.parameters.vector.copy()
        return found

    np.testing.assert_array_equal(weights([4]), weights([4]))
    np.testing.assert_array_equal(weights([4]), weights([1, 3]))
