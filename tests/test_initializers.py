"""Initialisers: their statistics, their fans, and the same numbers whenever they are asked."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest

from pellucid.description import Description
from pellucid.errors import DataError, NotBuiltError, OptionError, ShapeError
from pellucid.initializers import (
    Auto,
    Constant,
    Exact,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LeCunNormal,
    LeCunUniform,
    Normal,
    Ones,
    Uniform,
    Zeros,
    as_initializer,
)
from pellucid.random import Stream

SHAPE, FANS = (300, 200), (300, 200)

# initialiser, variance by fans (I, O), whether it is uniform
SCALED = {
    "glorot_uniform": (GlorotUniform(), lambda i, o: 2 / (i + o), True),
    "glorot_normal": (GlorotNormal(), lambda i, o: 2 / (i + o), False),
    "he_uniform": (HeUniform(), lambda i, o: 2 / i, True),
    "he_normal": (HeNormal(), lambda i, o: 2 / i, False),
    "lecun_uniform": (LeCunUniform(), lambda i, o: 1 / i, True),
    "lecun_normal": (LeCunNormal(), lambda i, o: 1 / i, False),
}
OTHERS = [Normal(1.0, 0.5), Uniform(-1, 3), Zeros(), Ones(), Constant(0.1)]
every = [case[0] for case in SCALED.values()] + OTHERS


def stream(seed=0, node="dense_1"):
    return Stream(seed, "initial", node)


@pytest.mark.parametrize(("initializer", "variance", "uniform"), SCALED.values(), ids=SCALED)
@pytest.mark.parametrize("fans", [(300, 200), (50, 1000), (9 * 16, 9 * 32)])
def test_variance_follows_the_fans(initializer, variance, uniform, fans):
    w = initializer(SHAPE, fans, stream())
    v, n = variance(*fans), w.size
    assert abs(w.mean()) < 5 * sqrt(v / n)
    assert w.var() == pytest.approx(v, rel=5 * sqrt(2 / n))
    if uniform:
        limit = sqrt(3 * v)
        assert limit * 0.999 < abs(w).max() <= limit
        quarters = np.histogram(w, 4, (-limit, limit))[0] / n
        np.testing.assert_allclose(quarters, 0.25, atol=0.01)
    else:
        assert np.mean(abs(w) < sqrt(v)) == pytest.approx(0.6827, abs=0.01)
        assert np.mean(abs(w) < 3 * sqrt(v)) == pytest.approx(0.9973, abs=0.001)  # not truncated


def test_the_scale_is_that_of_fans_and_not_of_the_shape():
    # a convolution (H, W, C, O) sees its whole window
    w = HeNormal()((3, 3, 8, 64), (72, 576), stream())
    assert w.var() == pytest.approx(2 / 72, rel=0.1)
    assert GlorotNormal()((3, 3, 8, 64), (72, 576), stream()).var() == pytest.approx(
        2 / 648, rel=0.1
    )


def test_he_keeps_the_size_of_the_signal_through_relus():
    x = np.random.default_rng(0).normal(size=(64, 256))
    for layer in range(20):
        x = np.maximum(x @ HeNormal()((256, 256), (256, 256), stream(node=f"dense_{layer}")), 0)
    assert 0.3 < (x**2).mean() < 3


def test_normal_uniform_and_constants():
    w = Normal(1.0, 0.5)(SHAPE, None, stream())
    assert w.mean() == pytest.approx(1, abs=0.01)
    assert w.std() == pytest.approx(0.5, rel=0.02)
    w = Uniform(-1, 3)(SHAPE, None, stream())
    assert w.min() >= -1
    assert w.max() < 3
    assert w.mean() == pytest.approx(1, abs=0.03)
    assert not Zeros()(SHAPE, None, stream()).any()
    assert (Ones()(SHAPE, None, stream()) == 1).all()
    assert (Constant(0.1)(SHAPE, None, stream()) == 0.1).all()
    assert (Normal(2, 0)((3,), None, stream()) == 2).all()


@pytest.mark.parametrize("initializer", every, ids=repr)
def test_the_same_place_gives_the_same_numbers_as_float64(initializer):
    w = initializer(SHAPE, FANS, stream())
    assert w.dtype == np.float64
    assert w.shape == SHAPE
    np.testing.assert_array_equal(w, initializer(SHAPE, FANS, stream()))
    if np.ptp(w) > 0:
        assert (w != initializer(SHAPE, FANS, stream(seed=1))).any()
        assert (w != initializer(SHAPE, FANS, stream(node="dense_2"))).any()


@pytest.mark.parametrize("initializer", every, ids=repr)
def test_every_shape(initializer):
    for shape in [(), (0,), (1,), (3,), (2, 0), (1, 1), (3, 3, 2, 5)]:
        assert initializer(shape, (4, 5), stream()).shape == shape
    assert np.isfinite(initializer((0, 3), (0, 3), stream())).all()


@pytest.mark.parametrize("initializer", every, ids=repr)
def test_numpys_global_generator_is_not_touched(initializer):
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    initializer(SHAPE, FANS, stream())
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@pytest.mark.parametrize(("initializer", "variance", "uniform"), SCALED.values(), ids=SCALED)
def test_no_fans_is_an_error_where_they_are_needed(initializer, variance, uniform):
    with pytest.raises(OptionError, match="scales with fans"):
        initializer((3,), None, stream())


# --------------------------------------------------------------------------------------- exact


@pytest.mark.parametrize(
    "values",
    [
        [[1, 2, 3], [4, 5, 6]],
        np.arange(6, dtype=np.float32).reshape(2, 3) / 7,
        np.arange(6).reshape(3, 2).T,
        ((0.1, 0.2, 0.3), (1e-300, 1e300, -0.0)),
        np.ones((2, 3), dtype=bool),
    ],
)
def test_exact_values_come_back_bit_for_bit(values):
    initializer = Exact(values)
    w = initializer((2, 3), None, stream())
    np.testing.assert_array_equal(w, np.asarray(values, dtype=np.float64))
    w += 1  # a copy of one's own
    np.testing.assert_array_equal(
        initializer((2, 3), None, stream()), np.asarray(values, dtype=np.float64)
    )
    assert isinstance(hash(initializer), int)
    assert Description.from_config(initializer.to_config()) == initializer


def test_exact_does_not_follow_the_array_it_was_given():
    values = np.ones(3)
    initializer = Exact(values)
    values[:] = 7
    assert initializer == Exact([1, 1, 1])


def test_exact_of_another_shape_names_both():
    with pytest.raises(ShapeError, match=r"\(2, 3\).*\(3, 2\)"):
        Exact(np.ones((2, 3)))((3, 2), None, stream())
    with pytest.raises(ShapeError, match=r"\(6,\).*\(2, 3\)"):
        Exact(np.ones(6))((2, 3), None, stream())
    assert Exact(3)((), None, stream()) == 3


@pytest.mark.parametrize("values", [[[1, 2], [3]], "abc", None, [1j], [None], {"a": 1}])
def test_exact_needs_numbers(values):
    with pytest.raises(ShapeError, match="numbers in rows of equal length"):
        Exact(values)


def test_exact_needs_finite_numbers():
    with pytest.raises(DataError, match=r"value at \(1, 0\) is nan"):
        Exact([[1, 2], [np.nan, 3]])


def test_exact_prints_few_values_and_counts_many():
    assert repr(Exact([1, 2])) == "Exact((1.0, 2.0))"
    assert repr(Exact(np.ones((100, 100)))) == "Exact(<(100, 100) values>)"


# --------------------------------------------------------------------------------------- names


def test_auto_is_resolved_by_the_family_of_the_activation():
    assert Auto().resolve("he") == HeNormal()
    assert Auto().resolve("lecun") == LeCunNormal()
    assert Auto().resolve("glorot") == Auto().resolve(None) == Auto().resolve() == GlorotUniform()
    with pytest.raises(OptionError, match="Did you mean 'lecun'"):
        Auto().resolve("lecon")
    with pytest.raises(NotBuiltError, match="resolved while a network is built"):
        Auto()((2, 2), (2, 2), stream())


@pytest.mark.parametrize("name", SCALED)
def test_names(name):
    assert as_initializer(name) == SCALED[name][0]
    assert as_initializer(SCALED[name][0]) is SCALED[name][0]


def test_other_names():
    assert as_initializer("auto") == Auto()
    assert as_initializer("zeros") == Zeros()
    assert as_initializer("ones") == Ones()
    assert as_initializer("normal") == Normal()
    assert as_initializer("uniform") == Uniform()
    with pytest.raises(OptionError, match="Did you mean 'he_normal'"):
        as_initializer("henormal")
    with pytest.raises(OptionError, match=r"Exact\(values\)"):
        as_initializer(np.ones(3))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Normal(std=-1),
        lambda: Normal(np.nan),
        lambda: Normal("0"),
        lambda: Uniform(1, 0),
        lambda: Uniform(0, np.inf),
        lambda: Constant("1"),
        lambda: Constant(np.nan),
        lambda: HeNormal(1),
        lambda: Normal(sdt=1),
    ],
)
def test_options_are_checked(make):
    with pytest.raises(OptionError):
        make()


@pytest.mark.parametrize("initializer", [*every, Auto()], ids=repr)
def test_config_there_and_back(initializer):
    assert Description.from_config(initializer.to_config()) == initializer
