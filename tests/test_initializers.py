"""Initialisers: their statistics, their fans, and the same numbers whenever they are asked."""

from __future__ import annotations

from math import prod, sqrt

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.neural_network import MLPRegressor

from pellucid import Conv2D, Dense, Embedding, Network, ReLU, shared
from pellucid.description import Description
from pellucid.errors import DataError, NotBuiltError, OptionError, ShapeError
from pellucid.initializers import (
    Auto,
    Constant,
    Exact,
    FanInUniform,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    InverseSizeNormal,
    LeCunNormal,
    LeCunUniform,
    Normal,
    Ones,
    Orthogonal,
    TruncatedNormal,
    Uniform,
    Zeros,
    as_initializer,
    preset,
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
    "fan_in_uniform": (FanInUniform(), lambda i, o: 1 / (3 * i), True),
}
OTHERS = [
    Normal(1.0, 0.5), TruncatedNormal(1.0, 0.5), TruncatedNormal(cut=0.1), Uniform(-1, 3), Zeros(),
    Ones(), Constant(0.1), InverseSizeNormal(), GlorotUniform(2.0), GlorotNormal(0.5),
]  # fmt: skip
MATRICES = [Orthogonal(), Orthogonal(sqrt(2))]
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


# SciPy's distribution function of each, for arrays of SHAPE and FANS
DISTRIBUTIONS = [
    (GlorotUniform(), stats.uniform(-sqrt(6 / 500), 2 * sqrt(6 / 500))),
    (GlorotUniform(0.5), stats.uniform(-sqrt(1.5 / 500), 2 * sqrt(1.5 / 500))),
    (GlorotNormal(), stats.norm(0, sqrt(2 / 500))),
    (GlorotNormal(2.0), stats.norm(0, 2 * sqrt(2 / 500))),
    (HeUniform(), stats.uniform(-sqrt(6 / 300), 2 * sqrt(6 / 300))),
    (HeNormal(), stats.norm(0, sqrt(2 / 300))),
    (LeCunUniform(), stats.uniform(-0.1, 0.2)),
    (LeCunNormal(), stats.norm(0, sqrt(1 / 300))),
    (FanInUniform(), stats.uniform(-sqrt(1 / 300), 2 * sqrt(1 / 300))),
    (InverseSizeNormal(), stats.norm(0, 1 / 60_000)),
    (Normal(), stats.norm()),
    (Normal(1.0, 0.5), stats.norm(1, 0.5)),
    (TruncatedNormal(), stats.truncnorm(-2, 2)),
    (TruncatedNormal(1.0, 0.5, 1.5), stats.truncnorm(-1.5, 1.5, 1, 0.5)),
    (Uniform(-1, 3), stats.uniform(-1, 4)),
]


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(("initializer", "distribution"), DISTRIBUTIONS, ids=lambda x: repr(x)[:40])
def test_distributions_are_scipys(initializer, distribution, seed):
    w = initializer(SHAPE, FANS, stream(seed)).ravel()
    assert stats.kstest(w, distribution.cdf).pvalue > 1e-3
    low, high = distribution.support()
    assert low <= w.min()
    assert w.max() <= high
    # and no entry has to do with the next
    assert abs(np.corrcoef(w[:-1], w[1:])[0, 1]) < 5 / sqrt(w.size)


def test_the_tutorials_weights_starve_the_signal():
    x = np.random.default_rng(0).random((256, 784))
    outputs = {}
    for initializer in (InverseSizeNormal(), HeNormal()):
        h = x
        for i, (a, b) in enumerate([(784, 16), (16, 16), (16, 10)]):
            h = np.maximum(h @ initializer((a, b), (a, b), stream(node=f"dense_{i}")), 0)
        outputs[repr(initializer)] = h.std()
    assert outputs["InverseSizeNormal()"] < 1e-5
    assert outputs["HeNormal()"] > 0.05


@pytest.mark.parametrize("gain", [1.0, sqrt(2)])
@pytest.mark.parametrize(
    "shape", [(40, 30), (30, 40), (7, 7), (1, 5), (5, 1), (3, 3, 8, 64), (3, 3, 16, 64)]
)
def test_orthogonal_keeps_norms(shape, gain):
    w = Orthogonal(gain)(shape, None, stream()).reshape(-1, shape[-1])
    small = w.T @ w if w.shape[0] >= w.shape[1] else w @ w.T
    np.testing.assert_allclose(small, gain**2 * np.eye(len(small)), atol=1e-13)
    x = np.random.default_rng(0).normal(size=w.shape[0])
    if 0 < w.shape[0] <= w.shape[1]:
        assert np.linalg.norm(x @ w) == pytest.approx(gain * np.linalg.norm(x))


def test_orthogonal_matrices_are_spread_evenly():
    # each entry of a random rotation of n axes has variance 1/n and mean 0, whatever its place
    found = np.array([Orthogonal()((4, 4), None, stream(seed)) for seed in range(4000)])
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=5 * 0.5 / sqrt(4000))
    np.testing.assert_allclose((found**2).mean(axis=0), 0.25, atol=0.02)
    assert np.mean(np.linalg.det(found) > 0) == pytest.approx(0.5, abs=0.04)


@pytest.mark.parametrize("shape", [(2, 0), (0, 3), (1, 1)])
def test_orthogonal_of_nothing_and_of_one(shape):
    w = Orthogonal()(shape, None, stream())
    assert w.shape == shape
    assert (np.abs(w) == 1).all()


@pytest.mark.parametrize("shape", [(), (0,), (3,)])
def test_orthogonal_is_for_matrices(shape):
    with pytest.raises(ShapeError, match="Orthogonal makes matrices"):
        Orthogonal()(shape, None, stream())


@pytest.mark.parametrize("initializer", [*every, *MATRICES], ids=repr)
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


@pytest.mark.parametrize("initializer", [*every, *MATRICES], ids=repr)
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
    assert as_initializer("truncated_normal") == TruncatedNormal(stddev=1.0, mean=0, cut=2)
    assert as_initializer("orthogonal") == Orthogonal()
    assert as_initializer("inverse_size_normal") == InverseSizeNormal()
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
        lambda: TruncatedNormal(std=-1),
        lambda: TruncatedNormal(cut=0),
        lambda: TruncatedNormal(cut=1e-9),
        lambda: Orthogonal(0),
        lambda: Orthogonal(np.inf),
        lambda: GlorotUniform(-1),
        lambda: GlorotNormal("2"),
        lambda: preset("tensorflow", []),
        lambda: preset("keras", "dense"),
        lambda: preset(None, Dense(3)),
    ],
)
def test_options_are_checked(make):
    with pytest.raises(OptionError):
        make()


@pytest.mark.parametrize("initializer", [*every, *MATRICES, Auto()], ids=repr)
def test_config_there_and_back(initializer):
    assert Description.from_config(initializer.to_config()) == initializer


# ------------------------------------------------------------------------------------- presets


def built(layers, inputs, seed=0):
    return Network(layers, inputs=inputs, seed=seed, dtype="float64").parameters


def same_distribution(ours, theirs):
    assert stats.ks_2samp(np.ravel(ours), np.ravel(theirs)).pvalue > 1e-3
    assert np.abs(ours).max() == pytest.approx(np.abs(theirs).max(), rel=0.02)


def test_pytorchs_defaults():
    torch.manual_seed(0)
    ours = built(preset("pytorch", [Dense(500)]), 80)
    theirs = torch.nn.Linear(80, 500)
    same_distribution(ours["dense_1/W"], theirs.weight.detach().numpy())
    same_distribution(ours["dense_1/b"], theirs.bias.detach().numpy())
    ours = built(preset("pytorch", [Conv2D(300, 3, groups=2)]), (5, 5, 8))
    theirs = torch.nn.Conv2d(8, 300, 3, groups=2)
    same_distribution(ours["conv2d_1/W"], theirs.weight.detach().numpy())
    same_distribution(ours["conv2d_1/b"], theirs.bias.detach().numpy())


@pytest.mark.parametrize("activation", ["relu", "logistic"])
def test_scikit_learns_defaults(activation):
    name = "sklearn" if activation == "relu" else "sklearn_logistic"
    ours = built(preset(name, [Dense(500)]), 80)
    peer = MLPRegressor(
        hidden_layer_sizes=500, activation=activation, max_iter=1, learning_rate_init=1e-30,
        random_state=0,
    )  # fmt: skip
    with pytest.warns(UserWarning, match="Maximum iterations"):
        peer.fit(np.ones((4, 80)), np.ones(4))  # a step that leaves the weights where they began
    same_distribution(ours["dense_1/W"], peer.coefs_[0])
    same_distribution(ours["dense_1/b"], peer.intercepts_[0])


def test_keras_defaults():
    assert preset("keras", Dense(3)) == Dense(3, kernel_initializer=GlorotUniform())
    assert preset("keras", Embedding(5, 2)) == Embedding(5, 2)


def test_a_preset_leaves_alone_what_was_chosen():
    layers = preset("pytorch", [Dense(3, kernel_initializer="he_normal"), ReLU(), Embedding(5, 2),
                                shared(Dense(4), name="tower")])  # fmt: skip
    assert layers[0] == Dense(3, kernel_initializer="he_normal", bias_initializer=FanInUniform())
    assert layers[1] == ReLU()
    assert layers[2] == Embedding(5, 2, embeddings_initializer=Normal())
    assert layers[3].name == "tower"
    assert layers[3].layer == preset("pytorch", Dense(4))
    with pytest.raises(OptionError, match="Did you mean 'pytorch'"):
        preset("pytorhc", Dense(3))


def test_what_starts_a_network_comes_with_it():
    layers = [Dense(6, kernel_initializer=Orthogonal(2.0)),
              Dense(4, kernel_initializer="truncated_normal", bias_initializer="fan_in_uniform")]  # fmt: skip
    net = Network(layers, inputs=6)
    twin = Network.from_config(net.to_config())
    np.testing.assert_array_equal(net.parameters.vector, twin.parameters.vector)
    assert prod(net.parameters["dense_2/b"].shape) == 4
    assert (np.abs(net.parameters["dense_2/b"]) <= 1 / sqrt(6)).all()
