"""Every activation against mpmath in high precision, at its limits, and in a network.

One row a kind: its value and derivative in high precision, and where both go far to the left and to
the right. Gradients, PyTorch, layouts and saving are `table.py`'s.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from mpmath import mp, mpf

import pellucid
from pellucid import (
    ELU,
    GELU,
    SELU,
    Activation,
    Adam,
    CrossEntropy,
    Dense,
    HardSigmoid,
    HardSwish,
    Identity,
    LeakyReLU,
    LogSoftmax,
    Mish,
    Network,
    PReLU,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Softsign,
    Tanh,
    mlp,
)
from pellucid.errors import OptionError, ShapeError
from pellucid.layers import Cache, Spec, Views
from pellucid.notation import parse_layers
from pellucid.penalties import L2
from pellucid.random import Stream

FLOATS = [np.float32, np.float64]
INF = np.inf
LAMBDA = mpf("1.0507009873554804934193349852946")
ALPHA = mpf("1.6732632423543772848170429916717")


class Row(NamedTuple):
    layer: Activation
    value: Callable[[mpf], mpf]
    slope: Callable[[mpf], mpf]
    left: tuple[float, float]  # limits of value and derivative at −∞
    right: tuple[float, float]  # and at ∞
    family: str | None


def saturated(f: Callable[[mpf], mpf], right: Callable[[mpf], Any]) -> Callable[[mpf], mpf]:
    """f where it can be computed; far from 0, what no float can tell from it: 0, and `right`."""
    return lambda t: f(t) if abs(t) < 2000 else mpf(right(t) if t > 0 else 0)


def s(t: mpf) -> mpf:
    return 1 / (1 + mp.exp(-t)) if abs(t) < 2000 else mpf(t > 0)


def tanh_of_gelu(t: mpf) -> mpf:
    u = mp.sqrt(2 / mp.pi) * (t + mpf("0.044715") * t**3)
    return t * (1 + mp.tanh(u)) / 2


def tanh_of_gelu_slope(t: mpf) -> mpf:
    u = mp.sqrt(2 / mp.pi) * (t + mpf("0.044715") * t**3)
    du = mp.sqrt(2 / mp.pi) * (1 + 3 * mpf("0.044715") * t**2)
    return (1 + mp.tanh(u)) / 2 + t * mp.sech(u) ** 2 * du / 2


def mish_slope(t: mpf) -> mpf:
    omega = mp.tanh(mp.log1p(mp.exp(t)))
    return omega + t * mp.sech(mp.log1p(mp.exp(t))) ** 2 * s(t)


def elu(a: mpf, scale: Any = 1) -> tuple[Callable[[mpf], mpf], Callable[[mpf], mpf]]:
    return (
        lambda t: scale * (t if t > 0 else a * mp.expm1(t)),
        lambda t: scale * (1 if t > 0 else a * mp.exp(t)),
    )


ROWS = {
    "Identity": Row(Identity(), lambda t: t, lambda t: mpf(1), (-INF, 1), (INF, 1), None),
    "ReLU": Row(ReLU(), lambda t: max(t, 0), lambda t: mpf(t > 0), (0, 0), (INF, 1), "he"),
    "LeakyReLU": Row(
        LeakyReLU(0.25), lambda t: t if t > 0 else t / 4, lambda t: mpf(1 if t > 0 else 0.25),
        (-INF, 0.25), (INF, 1), "he",
    ),
    "ELU": Row(ELU(), *elu(mpf(1)), (-1, 0), (INF, 1), "he"),
    "ELU 0.5": Row(ELU(0.5), *elu(mpf(0.5)), (-0.5, 0), (INF, 1), "he"),
    "SELU": Row(
        SELU(), *elu(ALPHA, LAMBDA), (-float(ALPHA * LAMBDA), 0), (INF, float(LAMBDA)), "lecun"
    ),
    "GELU": Row(
        GELU(), saturated(lambda t: t * mp.ncdf(t), lambda t: t),
        saturated(lambda t: mp.ncdf(t) + t * mp.npdf(t), lambda t: 1), (0, 0), (INF, 1), "he",
    ),
    "GELU tanh": Row(
        GELU(approximate="tanh"), saturated(tanh_of_gelu, lambda t: t),
        saturated(tanh_of_gelu_slope, lambda t: 1), (0, 0), (INF, 1), "he",
    ),
    "SiLU": Row(
        SiLU(), lambda t: t * s(t), lambda t: s(t) * (1 + t * (1 - s(t))), (0, 0), (INF, 1), "he"
    ),
    "Mish": Row(
        Mish(), saturated(lambda t: t * mp.tanh(mp.log1p(mp.exp(t))), lambda t: t),
        saturated(mish_slope, lambda t: 1), (0, 0), (INF, 1), "he",
    ),
    "Softplus": Row(
        Softplus(), saturated(lambda t: mp.log1p(mp.exp(t)), lambda t: t), s, (0, 0), (INF, 1),
        "glorot",
    ),
    "Softplus 0.3": Row(
        Softplus(0.3), saturated(lambda t: mp.log1p(mp.exp(mpf(0.3) * t)) / mpf(0.3), lambda t: t),
        lambda t: s(mpf(0.3) * t), (0, 0), (INF, 1), "glorot",
    ),
    "HardSigmoid": Row(
        HardSigmoid(), lambda t: min(max(t + 3, 0), 6) / mpf(6),
        lambda t: mpf(-3 < t < 3) / 6, (0, 0), (1, 0), "glorot",
    ),
    "HardSwish": Row(
        HardSwish(), lambda t: t * min(max(t + 3, 0), 6) / mpf(6),
        lambda t: (t / 3 + mpf(0.5)) if -3 < t < 3 else mpf(t >= 3), (0, 0), (INF, 1), "he",
    ),
    "Sigmoid": Row(Sigmoid(), s, lambda t: s(t) * s(-t), (0, 0), (1, 0), "glorot"),
    "Tanh": Row(
        Tanh(), lambda t: mp.tanh(t) if abs(t) < 2000 else mpf(mp.sign(t)),
        saturated(lambda t: mp.sech(t) ** 2, lambda t: 0), (-1, 0), (1, 0), "glorot",
    ),
    "Softsign": Row(
        Softsign(), lambda t: t / (1 + abs(t)), lambda t: 1 / (1 + abs(t)) ** 2, (-1, 0), (1, 0),
        "glorot",
    ),
}  # fmt: skip
each_row = pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
each_float = pytest.mark.parametrize("dtype", FLOATS)


def grid(dtype: Any) -> np.ndarray:
    """Dense where the functions bend, and numbers of every size, to both ends of the type."""
    rng = np.random.default_rng(0)
    info, end = np.finfo(dtype), 104.0 if dtype == np.float32 else 746.0
    tiny = 10.0 ** rng.uniform(np.log10(float(info.smallest_subnormal)), 0, 150)
    huge = 10.0 ** rng.uniform(2, np.log10(float(info.max)) - 1, 60)
    parts = [
        rng.uniform(-end, end, 200), rng.normal(size=300), np.linspace(-12, 12, 481),
        np.linspace(-40, -12, 113), tiny, -tiny, huge, -huge, np.linspace(-end, -0.8 * end, 50),
        [0.0, 3.0, -3.0, 1.0, 0.9 * float(info.max), -0.9 * float(info.max)],
    ]  # fmt: skip
    return np.concatenate(parts).astype(dtype)


def errors(found: np.ndarray, z: np.ndarray, truth: Callable[[mpf], mpf]) -> np.ndarray:
    """|found − truth|, exactly."""
    with mp.workprec(200):
        pairs = zip(found.tolist(), z.tolist(), strict=True)
        return np.array([float(abs(mpf(a) - truth(mpf(t)))) for a, t in pairs])


@each_row
@each_float
def test_values_are_within_4_eps_of_the_truth(row: Row, dtype: Any) -> None:
    z = grid(dtype)
    found = row.layer(z)
    assert found.dtype == dtype
    error = errors(found, z, row.value) / np.maximum(1, np.abs(z))
    assert error.max() <= 4 * np.finfo(dtype).eps, z[error.argmax()]


@each_row
@each_float
def test_derivatives_are_within_4_eps_of_the_truth(row: Row, dtype: Any) -> None:
    z = grid(dtype)
    found = row.layer.derivative(z)
    assert found.dtype == dtype
    error = errors(found, z, row.slope) / np.maximum(1, np.abs(z))
    assert error.max() <= 4 * np.finfo(dtype).eps, z[error.argmax()]


@each_row
@each_float
def test_extremes_give_limits_without_a_warning(row: Row, dtype: Any) -> None:
    big, small = np.finfo(dtype).max, np.finfo(dtype).smallest_subnormal
    z = np.array([[-INF, INF], [-big, big], [-small, small], [-0.0, 0.0], [np.nan, np.nan]], dtype)
    kept = z.copy()
    a, d = row.layer(z), row.layer.derivative(z)
    np.testing.assert_array_equal(z, kept)
    np.testing.assert_allclose(a[0], [row.left[0], row.right[0]], rtol=np.finfo(dtype).eps)
    np.testing.assert_allclose(d[0], [row.left[1], row.right[1]], rtol=np.finfo(dtype).eps)
    np.testing.assert_allclose(d[1], d[0], rtol=0, atol=1e-30)
    assert np.isnan(a[4]).all()
    assert not np.isnan(a[:4]).any()
    assert not np.isnan(d[:4]).any()
    assert a.dtype == d.dtype == dtype
    cache = Cache()
    np.testing.assert_array_equal(row.layer.forward(z, Views({}), cache), a)
    np.testing.assert_array_equal(
        row.layer.backward(np.ones_like(z), Views({}), Views({}), cache), d
    )


@each_row
def test_shapes_numbers_and_integers(row: Row) -> None:
    wanted = row.layer(np.array([-2.0, 0.0, 3.0]))
    np.testing.assert_array_equal(row.layer([-2, 0, 3]), wanted)
    np.testing.assert_array_equal(row.layer(np.array([-2, 0, 3], np.int8)), wanted)
    assert row.layer(np.array(3)) == wanted[2]
    assert row.layer.derivative(3) == row.layer.derivative([3.0])[0]
    for shape in ((), (0,), (2, 0, 3), (2, 3, 1, 2)):
        assert np.shape(row.layer(np.ones(shape))) == shape
        assert row.layer.derivative(np.ones(shape)).shape == shape


# ----------------------------------------------------------------------------------- single kinds


def test_every_elementwise_activation_has_a_row() -> None:
    kinds = {
        kind for kind in vars(pellucid.layers).values()
        if isinstance(kind, type) and issubclass(kind, Activation) and not inspect.isabstract(kind)
    }  # fmt: skip
    assert kinds == {type(row.layer) for row in ROWS.values()}


@each_row
def test_what_auto_becomes_before_it(row: Row) -> None:
    assert type(row.layer).initialization == row.family
    net = Network([Dense(400), row.layer, Dense(1)], inputs=300)
    std = net.parameters["dense_1/W"].std()
    expected = {"he": 2 / 300, "lecun": 1 / 300, None: 2 / 700, "glorot": 2 / 700}[row.family]
    assert std == pytest.approx(np.sqrt(expected), rel=0.02)


def test_families_are_those_that_keep_the_mean_square() -> None:
    z = Stream(0, "families").normal((200_000,))
    for row in ROWS.values():
        square = float((row.layer(z) ** 2).mean())
        if row.family == "he":
            assert square < 0.7  # 2/I, not 1/I, is the nearer
    assert float((SELU()(z) ** 2).mean()) == pytest.approx(1, abs=0.01)
    assert float(SELU()(z).mean()) == pytest.approx(0, abs=0.01)


def test_thirty_selu_layers_keep_mean_0_and_variance_1() -> None:
    net = Network([layer for _ in range(30) for layer in (Dense(256), SELU())], inputs=64, seed=3)
    x = Stream(1, "selu").normal((512, 64)).astype(np.float32)
    for name, a in net.activations(x, *[f"selu_{i}" for i in range(1, 31)]).items():
        assert abs(a.mean()) < 0.15, name
        assert 0.7 < a.var() < 1.4, name


def test_the_two_forms_of_gelu_differ_by_less_than_a_thousandth() -> None:
    z = np.linspace(-6, 6, 10_001)
    difference = np.abs(GELU()(z) - GELU(approximate="tanh")(z))
    assert 4e-4 < difference.max() < 5e-4


@pytest.mark.parametrize("dtype", FLOATS)
def test_softplus_is_within_8_ulp_everywhere(dtype: Any) -> None:
    z = grid(dtype)
    z = z[np.abs(z) < 1e30]
    found = Softplus()(z)
    with mp.workprec(200):
        exact = [mp.log1p(mp.exp(mpf(t))) for t in z.tolist()]
        units = np.spacing(np.array([float(e) for e in exact], dtype))
        pairs = zip(found.tolist(), exact, units.tolist(), strict=True)
        assert max(abs(mpf(a) - e) / mpf(u) for a, e, u in pairs) < 8


def test_corners_have_pytorchs_slopes() -> None:
    np.testing.assert_array_equal(HardSigmoid().derivative([-3, 3]), [0, 0])
    np.testing.assert_array_equal(HardSwish().derivative([-3, 3]), [0, 1])
    np.testing.assert_array_equal(ELU(2).derivative([-0.0, 0]), [2, 2])


def test_trap_an_elu_slope_of_the_wrong_sign() -> None:
    np.testing.assert_allclose(ELU(2).derivative([-1, 1]), [2 * np.exp(-1), 1], rtol=1e-15)
    np.testing.assert_allclose(SELU().derivative([-1])[0], 1.7580993408473766 / np.e, rtol=1e-15)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: ELU(0), "alpha"), (lambda: ELU(-1), "alpha"), (lambda: ELU(np.nan), "alpha"),
        (lambda: Softplus(0), "beta"), (lambda: Softplus(1e9), "beta"),
        (lambda: GELU("tan"), "tanh"), (lambda: GELU(True), "approximate"),
        (lambda: ELU(slope=1), "alpha"), (lambda: LogSoftmax(0), "batch"),
        (lambda: PReLU(per_channel=2), "per_channel"),
    ],
)  # fmt: skip
def test_options_that_make_no_sense_are_refused(make: Any, says: str) -> None:
    with pytest.raises(OptionError, match=says):
        make()


def test_words_for_activations() -> None:
    assert pellucid.Swish is SiLU
    assert parse_layers("elu 0.5, softplus 2, swish, prelu, log_softmax") == [
        ELU(0.5), Softplus(2), SiLU(), PReLU(), LogSoftmax(),
    ]  # fmt: skip
    net = mlp([3, 4, 5, 2], "gelu")
    assert [node.name for node in net.graph.nodes[1:]] == [
        "dense_1", "gelu_1", "dense_2", "gelu_2", "dense_3",
    ]  # fmt: skip
    names = [node.name for node in mlp([2, 2, 2], SiLU()).graph.nodes]
    assert names == ["input", "dense_1", "silu_1", "dense_2"]
    with pytest.raises(OptionError, match="Did you mean 'gelu'"):
        mlp([3, 4, 2], "gelo")


# --------------------------------------------------------------------------- what learns its slope


def test_prelu_starts_at_a_quarter_and_neither_decays_nor_is_penalised() -> None:
    net = Network([Dense(3), PReLU(), Dense(1)], inputs=2, penalty=L2(0.1))
    np.testing.assert_array_equal(net.parameters["prelu_1/alpha"], np.float32([0.25] * 3))
    start, stop = net.parameters.stretch("prelu_1/alpha")
    assert not any(a < stop and start < b for a, b, decay in net.stretches() if decay)
    assert Network([PReLU(per_channel=False)], inputs=(4, 4, 3)).parameters.vector.size == 1
    assert Network([PReLU()], inputs=(4, 4, 3)).parameters["prelu_1/alpha"].shape == (3,)
    assert Network([PReLU(alpha_initializer="zeros")], inputs=2).parameters.vector.tolist() == [
        0,
        0,
    ]


def test_prelu_learns_the_slope_of_the_data() -> None:
    x = np.linspace(-1, 1, 64)[:, None]
    y = np.where(x > 0, x, -0.7 * x)  # |slopes| 1 and 0.7
    net = Network([PReLU()], loss="mse", optimizer=Adam(0.05), dtype="float64")
    net.fit(x, y, epochs=60, progress=False)
    assert net.parameters["prelu_1/alpha"][0] == pytest.approx(-0.7, abs=1e-2)


def test_prelu_needs_a_known_channel_each() -> None:
    with pytest.raises(ShapeError, match="channels"):
        PReLU().output_spec(Spec((3, None)))
    assert PReLU(per_channel=False).output_spec(Spec((3, None))).shape == (3, None)
    with pytest.raises(ShapeError, match="channels"):
        PReLU().output_spec(Spec(()))


# ------------------------------------------------------------------------------------- log softmax


@each_float
def test_log_softmax_is_exact_where_a_logarithm_of_softmax_is_not(dtype: Any) -> None:
    z = np.array([[0, -200, -1e4], [3, 3, 3], [1e4, 0, -1e4]], dtype)
    a = LogSoftmax()(z)
    exact = [[0, -200, -1e4], [-np.log(3)] * 3, [0, -1e4, -2e4]]
    np.testing.assert_allclose(a, exact, rtol=2 * np.finfo(dtype).eps)
    assert a.dtype == dtype
    np.testing.assert_array_equal(
        LogSoftmax()(np.array([[INF, 0.0], [INF, INF], [-INF, -INF]])),
        [[0, -INF], [-np.log(2)] * 2, [-np.log(2)] * 2],
    )
    assert np.isnan(LogSoftmax()(np.full((1, 2), np.nan))).all()


@pytest.mark.parametrize("axis", [-1, 1])
def test_the_jacobian_of_log_softmax_is_its_derivative(axis: int) -> None:
    z, layer = np.random.default_rng(0).normal(size=(2, 3, 4)), LogSoftmax(axis)
    layer.forward(z, Views({}), cache := Cache())
    dz = layer.backward(np.cos(z), Views({}), Views({}), cache)
    dy = np.moveaxis(np.cos(z), axis, -1)
    expected = (dy[..., :, None] * layer.derivative(z)).sum(-2)
    np.testing.assert_allclose(np.moveaxis(dz, axis, -1), expected, atol=1e-15)


def test_softmax_is_the_exponential_of_log_softmax() -> None:
    z = np.random.default_rng(0).normal(size=(5, 4))
    np.testing.assert_allclose(np.exp(LogSoftmax()(z)), Softmax()(z), rtol=1e-14)


# --------------------------------------------------------------------------------------- training


@pytest.mark.parametrize("layer", [*(row.layer for row in ROWS.values()), PReLU()], ids=repr)
def test_a_network_learns_through_it(layer: Any) -> None:
    stream = Stream(5, "ring")
    x = 2 * stream.normal((200, 2))
    y = (np.hypot(x[:, 0], x[:, 1]) > 2.4).astype(int)
    net = Network([Dense(16), layer, Dense(2)], loss=CrossEntropy(), optimizer=Adam(0.05), seed=1)
    net.fit(x, y, epochs=60, progress=False)
    right = net.evaluate(x, y)["accuracy"]
    assert (right < 0.7) if layer == Identity() else (right > 0.9)  # a ring is not linear
    assert net.gradcheck(x[:20], y[:20]).passed
