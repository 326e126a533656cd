"""What single layers promise beyond the table: precision, corners, errors, and known traps.

The traps are mistakes that hand-written libraries have made; each has a test here that such a
layer would fail.
"""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest
import torch

from pellucid.errors import DataError, GraphError, OptionError, ShapeError
from pellucid.layers import (
    Activation,
    Add,
    AvgPool2D,
    BatchNorm,
    Cache,
    Concatenate,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Identity,
    Layer,
    LeakyReLU,
    MaxPool2D,
    ReLU,
    Rescale,
    Reshape,
    Sigmoid,
    Softmax,
    Spec,
    Standardize,
    Tanh,
    Views,
)
from table import Case, backward, dense, forward

FLOATS = [np.float32, np.float64]
ELEMENTWISE = [Identity(), ReLU(), LeakyReLU(), LeakyReLU(1), Sigmoid(), Tanh()]


def passes(
    layer: Layer, x: Any, p: dict[str, np.ndarray] | None = None, dy: Any = None, *,
    state: dict[str, np.ndarray] | None = None, training: bool = True,
) -> tuple[np.ndarray, Any, dict[str, np.ndarray], Cache]:  # fmt: skip
    """Forward and backward of a layer without a row in the table."""
    case = Case("", layer, (), dense)
    xs = [x] if layer.arity == 1 else list(x)
    y, cache = forward(case, xs, p or {}, state, training=training)
    dx, dp = backward(case, np.ones_like(y) if dy is None else dy, p or {}, cache)
    return y, dx[0] if layer.arity == 1 else dx, dp, cache


# ------------------------------------------------------------------------------------ activations


def wide(dtype: Any) -> np.ndarray:
    """Numbers of every size at which the functions below change."""
    rng = np.random.default_rng(0)
    end = 104.0 if dtype == np.float32 else 746.0
    tiny = 10.0 ** rng.uniform(-44 if dtype == np.float32 else -320, 2, 400)
    parts = [rng.uniform(-end, end, 500), rng.normal(size=500), tiny, -tiny, [-1e4, 1e4, 0.0]]
    return np.concatenate([*parts, np.linspace(-end, -0.8 * end, 300)]).astype(dtype)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    ("layer", "truth"),
    [(Sigmoid(), lambda t: 1 / (1 + mpmath.exp(-t))), (Tanh(), mpmath.tanh)],
    ids=["Sigmoid", "Tanh"],
)
def test_sigmoid_and_tanh_are_within_8_ulp_everywhere(layer: Any, truth: Any, dtype: Any) -> None:
    z = wide(dtype)
    a = layer(z)
    assert a.dtype == dtype
    with mpmath.workprec(1200):
        exact = [truth(mpmath.mpf(float(number))) for number in z]
        error = [
            float(abs(mpmath.mpf(float(found)) - wanted) / float(np.spacing(abs(dtype(wanted)))))
            for found, wanted in zip(a, exact, strict=True)
        ]
    assert max(error) < 8


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("layer", ELEMENTWISE, ids=repr)
def test_derivatives_are_within_4_eps_of_pytorchs(layer: Any, dtype: Any) -> None:
    z = wide(np.float32)  # what both types can hold
    t = torch.tensor(z.astype(np.float64), requires_grad=True)
    {
        Identity: lambda t: 1 * t, ReLU: torch.relu, Sigmoid: torch.sigmoid, Tanh: torch.tanh,
        LeakyReLU: lambda t: torch.nn.functional.leaky_relu(t, layer.__dict__["negative_slope"]),
    }[type(layer)](t).sum().backward()  # fmt: skip
    found = layer.derivative(z.astype(dtype))
    assert found.dtype == dtype
    np.testing.assert_allclose(found, t.grad.numpy(), rtol=0, atol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("layer", [*ELEMENTWISE, Softmax()], ids=repr)
def test_extremes_make_no_warning_and_nan_stays_nan(layer: Any, dtype: Any) -> None:
    z = np.array([[1e4, -1e4, 0.0], [np.inf, -np.inf, 1.0], [np.nan, np.nan, np.nan]], dtype)
    a = layer(z)
    assert a.dtype == dtype
    assert not np.isnan(a[:2]).any()
    assert np.isnan(a[2]).all()
    assert np.isfinite(layer.derivative(z[0])).all()


@pytest.mark.parametrize("layer", [*ELEMENTWISE, Softmax()], ids=repr)
def test_activations_take_numbers_lists_and_integers(layer: Any) -> None:
    wanted = layer(np.array([[-2.0, 0.0, 3.0]]))
    np.testing.assert_array_equal(layer(np.array([[-2, 0, 3]])), wanted)
    assert layer(np.array([[-2, 0, 3]], np.int8)).dtype == np.float64
    np.testing.assert_allclose(layer(np.array([[-2, 0, 3]], ">f4")), wanted, rtol=1e-6)
    if isinstance(layer, Activation):
        assert layer(np.array(-2)) == layer(np.array([-2.0]))[0]
        assert layer.derivative(3) == layer.derivative([3.0])[0]


def test_the_corner_of_relu_has_slope_0() -> None:
    np.testing.assert_array_equal(ReLU().derivative([-1, -0.0, 0, 1e-300]), [0, 0, 0, 1])
    np.testing.assert_array_equal(LeakyReLU(0.1).derivative([-1, 0, 1e-300]), [0.1, 0.1, 1])


def test_trap_a_leaky_slope_of_the_wrong_sign() -> None:
    y, dx, _, _ = passes(LeakyReLU(0.1), np.array([[-3.0, 2.0]]))
    np.testing.assert_array_equal(y, [[-3.0 * 0.1, 2]])
    np.testing.assert_array_equal(dx, [[0.1, 1]])


def test_trap_a_slope_taken_at_a_where_z_is_meant() -> None:
    sigmoid = 1 / (1 + np.exp(-2.0))
    np.testing.assert_allclose(Sigmoid().derivative(2.0), sigmoid * (1 - sigmoid), rtol=1e-15)
    np.testing.assert_allclose(Tanh().derivative(2.0), 1 / np.cosh(2.0) ** 2, rtol=1e-14)


def test_trap_a_relu_that_overwrites_its_input() -> None:
    x = np.array([[-1.0, 1.0]])
    passes(ReLU(), x)
    np.testing.assert_array_equal(x, [[-1, 1]])


def test_trap_a_softmax_over_the_whole_batch() -> None:
    a = Softmax()(np.random.default_rng(0).normal(size=(4, 3)))
    np.testing.assert_allclose(a.sum(axis=1), 1, rtol=1e-15)


def test_trap_an_exp_without_its_maximum_subtracted() -> None:
    z = np.array([[1.0, 2.0, 3.0]])
    np.testing.assert_allclose(Softmax()(z + 1e4), Softmax()(z), rtol=1e-12)
    np.testing.assert_array_equal(Softmax()([[1e4, -1e4, 0]]), [[1, 0, 0]])
    np.testing.assert_array_equal(Softmax()([[np.inf, np.inf, 0]]), [[0.5, 0.5, 0]])
    np.testing.assert_array_equal(Softmax()([[-np.inf, -np.inf]]), [[0.5, 0.5]])


def test_the_jacobian_of_softmax_is_its_derivative() -> None:
    z = np.random.default_rng(0).normal(size=(2, 3, 4))
    for layer in (Softmax(), Softmax(axis=1)):
        _, dx, _, _ = passes(layer, z, dy=np.cos(z))
        jacobian = layer.derivative(z)
        dy = np.moveaxis(np.cos(z), layer.axis, -1)
        np.testing.assert_allclose(
            np.moveaxis(dx, layer.axis, -1), (dy[..., :, None] * jacobian).sum(-2), atol=1e-15
        )


def test_what_comes_before_a_logits_loss_and_what_decides_the_start() -> None:
    assert [type(a).__name__ for a in [*ELEMENTWISE, Softmax()] if a.squashes] == [
        "Sigmoid", "Softmax",
    ]  # fmt: skip
    assert Sigmoid.squashes == Softmax.squashes == "probabilities"
    assert ReLU.initialization == LeakyReLU.initialization == "he"
    assert Sigmoid.initialization == Tanh.initialization == Softmax.initialization == "glorot"
    for transparent in (Identity, BatchNorm, Dropout, Flatten, MaxPool2D, Add, Standardize):
        assert transparent.initialization is None


@pytest.mark.parametrize("slope", [0, -0.1, 1.5, np.nan, np.inf, "0.1", None, True])
def test_leaky_slopes_that_make_no_sense_are_refused(slope: Any) -> None:
    with pytest.raises(OptionError, match="negative_slope"):
        LeakyReLU(slope)


def test_axes_that_are_not_there_are_refused() -> None:
    for make in (Softmax, Concatenate):
        with pytest.raises(OptionError, match="batch"):
            make(0)
        for axis in (3, -3):
            specs = [Spec((2, 4))] * (1 if make is Softmax else 2)
            with pytest.raises(ShapeError, match=f"axis {axis}"):
                make(axis).output_spec(*specs)
    with pytest.raises(ShapeError, match="axis -2"):
        Concatenate(-2)(np.ones((1, 2)), np.ones((1, 2)))


# ---------------------------------------------------------------------------- numbers of any kind


@pytest.mark.parametrize("x", [np.ones(2, complex), np.array(["a"]), np.array([None])], ids=str)
def test_what_is_not_a_real_number_is_refused_by_name(x: Any) -> None:
    with pytest.raises(OptionError, match="dtype"):
        ReLU()(x)


@pytest.mark.parametrize("dtype", [np.float16, np.int8, np.uint8, np.bool_, np.longdouble])
def test_other_real_types_become_float64(dtype: Any) -> None:
    assert Rescale(0.5)(np.array([[1, 0]], dtype)).dtype == np.float64


@pytest.mark.parametrize("scale", [0.0, 1e-200, 1e200])
@pytest.mark.parametrize(
    "layer",
    [*ELEMENTWISE, Softmax(), MaxPool2D(), AvgPool2D(), BatchNorm(), Dropout(0.5), Rescale(2)],
    ids=repr,
)
def test_tiny_and_huge_gradients_stay_finite(layer: Any, scale: float) -> None:
    x = np.random.default_rng(0).normal(size=(3, 4, 4, 2))
    p = {"gamma": np.ones(2), "beta": np.zeros(2)} if layer == BatchNorm() else {}
    y = passes(layer, x, p, state={"mean": np.zeros(2), "variance": np.ones(2)})[0]
    dy = np.where(np.arange(y.shape[-1]) == 0, scale, -scale) * np.ones_like(y)
    _, dx, dp, _ = passes(layer, x, p, dy, state={"mean": np.zeros(2), "variance": np.ones(2)})
    assert np.isfinite(dx).all()
    assert all(np.isfinite(d).all() for d in dp.values())
    assert scale or not dx.any()


def test_options_given_as_numpy_numbers_do_not_change_the_dtype() -> None:
    x = np.random.default_rng(0).normal(size=(2, 4)).astype(np.float32)
    half = np.float64(0.5)
    for layer in (Rescale(half, half), LeakyReLU(half), Dropout(half)):
        assert passes(layer, x)[0].dtype == np.float32
    p = {"gamma": np.ones(4, np.float32), "beta": np.ones(4, np.float32)}
    state = {"mean": np.zeros(4, np.float32), "variance": np.ones(4, np.float32)}
    layer = BatchNorm(half, epsilon=half)
    assert passes(layer, x, p, state=state)[0].dtype == np.float32
    assert Conv2D(4, np.int64(3), (np.int32(1), 2)) == Conv2D(4, 3, (1, 2))
    assert Conv2D(4, [3, 3], padding=[[0, 1], [1, 0]]).padding == ((0, 1), (1, 0))


def test_a_gradient_cannot_be_lost_by_rebinding() -> None:
    class Forgetful(Dense):
        def backward(self, dy: Any, p: Views, dp: Views, cache: Cache) -> Any:
            dp.W = cache.x.T @ dy

    with pytest.raises(GraphError, match="cannot be replaced"):
        passes(Forgetful(2), np.ones((3, 2)), {"W": np.ones((2, 2)), "b": np.zeros(2)})


# ---------------------------------------------------------------------------- dropout


@pytest.mark.parametrize("rate", [1.0, 1, 1.5, -0.1, np.nan, "half", None])
def test_rates_that_make_no_sense_are_refused(rate: Any) -> None:
    with pytest.raises(OptionError, match="rate"):
        Dropout(rate)


def test_dropout_keeps_the_mean_and_drops_its_share() -> None:
    x = np.ones((200, 500), np.float32)
    y, dx, _, _ = passes(Dropout(p=0.3), x)
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.7)}
    assert abs((y == 0).mean() - 0.3) < 0.005
    assert abs(y.mean() - 1) < 0.01
    np.testing.assert_array_equal(dx, y)  # the same mask on the way back


def test_dropout_draws_anew_each_step_and_the_same_when_a_step_is_redone() -> None:
    x, layer = np.ones((8, 8)), Dropout(0.5)

    def mask(step: int, node: str = "dropout_1", dtype: Any = np.float64) -> np.ndarray:
        cache = Cache(training=True, moment=(7, node, step, 0))
        return layer.forward(x.astype(dtype), Views({}), cache) > 0

    np.testing.assert_array_equal(mask(3), mask(3))
    np.testing.assert_array_equal(mask(3), mask(3, dtype=np.float32))
    assert (mask(3) != mask(4)).any()
    assert (mask(3) != mask(3, "dropout_2")).any()


# -------------------------------------------------------------------------------- shape and scale


@pytest.mark.parametrize(
    ("shape", "row", "said"),
    [
        ((5, -1), (12,), "multiple of 5"),
        ((3, 5), (12,), "15"),
        ((0, -1), (12,), "0"),
        ((), (2,), "1"),
    ],
)
def test_reshapes_that_do_not_fit_are_refused(shape: Any, row: Any, said: str) -> None:
    with pytest.raises(ShapeError, match=said):
        Reshape(shape).output_spec(Spec(row))
    with pytest.raises(ShapeError, match=said):
        Reshape(shape)(np.ones((2, *row)))


@pytest.mark.parametrize("shape", [(-1, -1), (-2, 3), (2.5,), "ab", (True, 2), None])
def test_shapes_that_make_no_sense_are_refused(shape: Any) -> None:
    with pytest.raises(OptionError, match="Reshape"):
        Reshape(shape)


def test_reshape_takes_lists_and_single_lengths_and_unknown_rows() -> None:
    assert Reshape([2, 3]) == Reshape((2, 3))
    assert Reshape(6).shape == (6,)
    assert Reshape((-1, 2)).output_spec(Spec((None, 4))).shape == (None, 2)
    assert Flatten().output_spec(Spec((None, 4))).shape == (None,)
    assert Reshape(())(np.ones((5, 1))).shape == (5,)


def test_rescaling_makes_pixels_between_0_and_1() -> None:
    pixels = np.array([[0, 128, 255]], np.uint8)
    np.testing.assert_allclose(Rescale(1 / 255)(pixels), [[0, 128 / 255, 1]])
    assert pixels.dtype == np.uint8
    with pytest.raises(OptionError, match="scale"):
        Rescale(np.inf)


@pytest.mark.parametrize("cuts", [[], [1], [0, 3, 3, 50], list(range(1, 100))])
def test_standardize_measures_blocks_as_if_they_were_one(cuts: list[int]) -> None:
    x = np.random.default_rng(0).normal([1e8, -3, 1e-12], [1, 10, 1e-13], size=(100, 3))
    found = Standardize().adapt(np.split(x, cuts))
    exact = x.astype(np.longdouble)
    np.testing.assert_allclose(found["mean"], exact.mean(axis=0).astype(float), rtol=1e-15)
    np.testing.assert_allclose(found["variance"], exact.var(axis=0).astype(float), rtol=1e-12)
    assert found["count"] == 100
    y = passes(Standardize(), x, state=found)[0]
    np.testing.assert_allclose(y.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(y.var(axis=0), 1, rtol=1e-6)


def test_standardize_before_it_is_adapted_changes_nothing() -> None:
    specs = Standardize().state_specs(Spec((3,)))
    state = {name: np.full(spec.shape, spec.value) for name, spec in specs.items()}
    x = np.random.default_rng(0).normal(size=(5, 3))
    y, dx, _, _ = passes(Standardize(), x, dy=x, state=state)
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(dx, x)
    assert Standardize.adapts
    assert not Dense.adapts


@pytest.mark.parametrize("dtype", FLOATS)
def test_constant_features_stay_finite(dtype: Any) -> None:
    x = np.tile(np.array([0.1, 0.0, 1e9, -7.3], dtype), (1000, 1))
    state = Standardize().adapt([x[:300], x[300:]])
    y = passes(Standardize(), x, state={k: v.astype(dtype) for k, v in state.items()})[0]
    assert np.isfinite(y).all()
    assert np.abs(y).max() < 1e-3
    y = passes(
        BatchNorm(), x, {"gamma": np.ones(4, dtype), "beta": np.zeros(4, dtype)},
        state={"mean": np.zeros(4, dtype), "variance": np.ones(4, dtype)},
    )[0]  # fmt: skip
    assert np.isfinite(y).all()


@pytest.mark.parametrize("dtype", FLOATS)
def test_features_that_are_constant_but_for_rounding_are_not_blown_up(dtype: Any) -> None:
    up = np.nextafter(dtype(0.1), dtype(1))
    x = np.array([[0.1], [up]] * 50, dtype)
    state = {k: v.astype(dtype) for k, v in Standardize().adapt([x]).items()}
    assert np.abs(passes(Standardize(), x, state=state)[0]).max() < 1e-7


def test_standardize_may_be_fed_from_one_buffer_that_is_filled_again() -> None:
    x = np.random.default_rng(0).normal(size=(6, 2))
    buffer = np.empty((3, 2))

    def blocks() -> Any:
        for part in (x[:3], x[3:]):
            buffer[...] = part
            yield buffer

    np.testing.assert_allclose(Standardize().adapt(blocks())["mean"], x.mean(axis=0), rtol=1e-13)


def test_standardize_names_what_it_cannot_measure() -> None:
    with pytest.raises(DataError, match="at least one row"):
        Standardize().adapt([np.ones((0, 3))])
    for bad in (np.nan, np.inf, 1e300):
        with pytest.raises(DataError, match="feature 1"):
            Standardize().adapt([np.array([[1.0, 2.0], [1.0, bad]])])
    with pytest.raises(ShapeError, match="2 features, and now 3"):
        Standardize().adapt([np.ones((4, 2)), np.ones((4, 3))])


# --------------------------------------------------------------------------------------- branches


def test_add_never_broadcasts() -> None:
    with pytest.raises(ShapeError, match=r"\(4, 3\) and \(4, 1\)"):
        Add()(np.ones((4, 3)), np.ones((4, 1)))
    with pytest.raises(ShapeError, match=r"\(4, 3\) and \(1, 3\)"):
        Add()(np.ones((4, 3)), np.ones((1, 3)))
    with pytest.raises(ShapeError, match=r"\(B, 3\) and \(B, 1\)"):
        Add().output_spec(Spec((3,)), Spec((1,)))
    assert Add().output_spec(Spec((None, 3)), Spec((2, None))).shape == (2, 3)


def test_concatenate_says_which_shapes_do_not_fit() -> None:
    with pytest.raises(ShapeError, match=r"\(B, 2, 3\) and \(B, 4, 3\)"):
        Concatenate().output_spec(Spec((2, 3)), Spec((4, 3)))
    with pytest.raises(ShapeError, match=r"\(1, 2, 3\) and \(1, 4, 3\)"):
        Concatenate()(np.ones((1, 2, 3)), np.ones((1, 4, 3)))
    assert Concatenate(1).output_spec(Spec((None, 3)), Spec((4, 3))).shape == (None, 3)


@pytest.mark.parametrize("layer", [Add(), Concatenate()], ids=repr)
def test_one_array_cannot_be_merged(layer: Layer) -> None:
    with pytest.raises(ShapeError, match="two inputs or more"):
        layer.output_spec(Spec((2,)))
    with pytest.raises(ShapeError, match="two inputs or more"):
        layer(np.ones((2, 3)))


# -------------------------------------------------------------------------------------- embedding


@pytest.mark.parametrize("bad", [-1, 4, 10**12])
def test_indices_out_of_range_are_named_with_their_place(bad: int) -> None:
    x = np.zeros((3, 2), np.int64)
    x[2, 1] = bad
    with pytest.raises(DataError, match=rf"index {bad} at position \(2, 1\) is not in 0 … 3"):
        passes(Embedding(4, 2), x, {"W": np.ones((4, 2))})


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint64, ">i4"])
def test_indices_of_every_whole_type_look_up_the_same(dtype: Any) -> None:
    W = np.arange(6.0).reshape(3, 2)
    y, _, dp, _ = passes(Embedding(3, 2), np.array([[2, 0, 2]], dtype), {"W": W})
    np.testing.assert_array_equal(y, W[[[2, 0, 2]]])
    np.testing.assert_array_equal(dp["W"], [[1, 1], [0, 0], [2, 2]])  # used twice, counted twice


@pytest.mark.parametrize("x", [np.array([1.0]), np.array([True]), np.array(["a"])], ids=str)
def test_indices_are_whole_numbers(x: Any) -> None:
    with pytest.raises(DataError, match="whole numbers"):
        passes(Embedding(3, 2), x, {"W": np.ones((3, 2))})


def test_embedding_knows_its_other_names() -> None:
    assert Embedding(num_embeddings=3, embedding_dim=2) == Embedding(3, 2)
    with pytest.raises(OptionError, match="input_dim"):
        Embedding(0, 2)


# ---------------------------------------------------------------------------- batch normalisation


def batch_normed(x: np.ndarray, **options: Any) -> tuple[np.ndarray, Any, Any, Cache]:
    c = x.shape[-1]
    return passes(
        BatchNorm(**options), x, {"gamma": np.ones(c), "beta": np.zeros(c)},
        state={"mean": np.zeros(c), "variance": np.ones(c)},
    )  # fmt: skip


def test_trap_a_batch_norm_that_is_instance_norm() -> None:
    x = np.random.default_rng(0).normal(size=(4, 5, 5, 3)) + np.arange(4).reshape(4, 1, 1, 1)
    y = batch_normed(x)[0]
    np.testing.assert_allclose(y.mean(axis=(0, 1, 2)), 0, atol=1e-12)
    np.testing.assert_allclose(y.var(axis=(0, 1, 2)), 1, rtol=1e-4)
    assert (np.abs(y.mean(axis=(1, 2))) > 0.1).any()  # one image by itself keeps its brightness


def test_trap_a_batch_norm_without_running_statistics() -> None:
    x = np.random.default_rng(0).normal(3, 2, size=(50, 1))
    state = batch_normed(x)[3].new_state
    np.testing.assert_allclose(state.mean, 0.1 * x.mean(), rtol=1e-12)
    np.testing.assert_allclose(state.variance, 0.9 + 0.1 * x.var(ddof=1), rtol=1e-12)
    one = passes(
        BatchNorm(), x[:1], {"gamma": np.ones(1), "beta": np.zeros(1)}, training=False,
        state={"mean": x.mean(axis=0), "variance": x.var(axis=0)},
    )[0]  # fmt: skip
    np.testing.assert_allclose(one, (x[:1] - x.mean()) / np.sqrt(x.var() + 1e-5), rtol=1e-12)


def test_batch_norm_used_twice_in_a_step_moves_its_statistics_twice() -> None:
    x = np.full((4, 1), 10.0)
    new = Views({"mean": np.zeros(1), "variance": np.ones(1)})
    p = Views({"gamma": np.ones(1), "beta": np.zeros(1)})
    for _ in range(2):
        BatchNorm().forward(x, p, Cache(training=True, new_state=new))
    np.testing.assert_allclose(new.mean, [1.9])


def test_a_training_batch_with_one_value_a_channel_has_no_variance() -> None:
    with pytest.raises(DataError, match=r"\(1, 3\) has 1 value"):
        batch_normed(np.ones((1, 3)))
    assert np.isfinite(batch_normed(np.ones((1, 2, 1, 3)))[0]).all()  # two pixels are enough


@pytest.mark.parametrize(
    "options", [{"momentum": 1.0}, {"momentum": -0.1}, {"epsilon": 0}, {"eps": "x"}]
)
def test_batch_norm_options_that_make_no_sense_are_refused(options: Any) -> None:
    with pytest.raises(OptionError, match=r"BatchNorm: (momentum|epsilon)"):
        BatchNorm(**options)


def test_a_large_offset_does_not_drown_the_variance() -> None:
    x = (1e4 + np.random.default_rng(0).normal(size=(4096, 8))).astype(np.float32)
    one, zero = np.ones(8, np.float32), np.zeros(8, np.float32)
    y = passes(
        BatchNorm(),
        x,
        {"gamma": one, "beta": zero},
        state={"mean": zero.copy(), "variance": one.copy()},
    )[0]
    np.testing.assert_allclose(y.var(axis=0, dtype=np.float64), 1, rtol=1e-3)


# ----------------------------------------------------------------------------- images and windows


def test_trap_a_pool_that_gives_every_tie_the_full_gradient() -> None:
    _, dx, _, _ = passes(MaxPool2D(2), np.zeros((2, 4, 4, 3)))
    assert dx.sum() == 2 * 2 * 2 * 3
    np.testing.assert_array_equal(dx[0, :, :, 0], [[1, 0, 1, 0], [0] * 4] * 2)
    _, dx, _, _ = passes(MaxPool2D(2, 1), np.zeros((1, 3, 3, 1)))
    np.testing.assert_array_equal(dx[0, :, :, 0], [[1, 1, 0], [1, 1, 0], [0, 0, 0]])


def test_padding_is_never_the_greatest_of_a_window() -> None:
    y = MaxPool2D(3, 2, 1)(np.full((1, 4, 4, 1), -5.0))
    np.testing.assert_array_equal(y, np.full((1, 2, 2, 1), -5.0))


def test_max_pool_passes_nan_on() -> None:
    x = np.zeros((1, 2, 4, 1))
    x[0, 1, 1] = np.nan
    np.testing.assert_array_equal(np.isnan(MaxPool2D()(x)).ravel(), [True, False])


def test_trap_a_convolution_whose_backward_is_empty_at_padding_0() -> None:
    p = {"W": np.ones((3, 3, 1, 1)), "b": np.zeros(1)}
    _, dx, dp, _ = passes(Conv2D(1, 3), np.ones((1, 3, 3, 1)), p)
    np.testing.assert_array_equal(dx, np.ones((1, 3, 3, 1)))
    np.testing.assert_array_equal(dp["W"], np.ones((3, 3, 1, 1)))
    assert dp["b"] == 1


def test_a_convolution_by_hand() -> None:
    x = np.arange(9.0).reshape(1, 3, 3, 1)
    p = {"W": np.array([[1.0, 2.0], [3.0, 4.0]]).reshape(2, 2, 1, 1), "b": np.array([0.5])}
    y, _, _, _ = passes(Conv2D(1, 2), x, p)
    np.testing.assert_array_equal(y.reshape(2, 2), [[27.5, 37.5], [57.5, 67.5]])


def test_same_padding_puts_the_odd_one_last() -> None:
    x, p = np.arange(1.0, 5).reshape(1, 1, 4, 1), {"W": np.ones((1, 2, 1, 1)), "b": np.zeros(1)}
    y = passes(Conv2D(1, (1, 2), padding="same"), x, p)[0]
    np.testing.assert_array_equal(y.ravel(), [3, 5, 7, 4])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"kernel_size": 0}, "kernel_size"),
        ({"kernel_size": (3, 3, 3)}, "kernel_size"),
        ({"kernel_size": 2.5}, "kernel_size"),
        ({"strides": 0}, "strides must be a whole number of 1 or more"),
        ({"strides": (1, 0)}, "strides"),
        ({"strides": True}, "strides"),
        ({"dilation": 0}, "dilation_rate"),
        ({"padding": "full"}, 'padding is "valid", "same"'),
        ({"padding": "smae"}, "Did you mean 'same'"),
        ({"padding": -1}, "padding"),
        ({"padding": (1, (1, 2))}, "padding"),
        ({"groups": 0}, "groups"),
        ({"groups": 3}, "4 filters do not divide into 3 groups"),
        ({"filters": 0}, "filters"),
        ({"stride": 1, "strides": 2}, "one option"),
        ({"stirdes": 1}, "Did you mean 'strides'"),
    ],
)
def test_convolution_options_that_make_no_sense_are_refused(options: Any, said: str) -> None:
    with pytest.raises(OptionError, match=said):
        Conv2D(**{"filters": 4, "kernel_size": 3, **options})


@pytest.mark.parametrize("make", [lambda **o: Conv2D(2, 5, **o), lambda **o: MaxPool2D(5, **o)])
def test_windows_larger_than_the_image_are_refused(make: Any) -> None:
    with pytest.raises(
        ShapeError, match="5×5 do not fit in 4×8: a smaller window or padding would"
    ):
        make().output_spec(Spec((4, 8, 1)))
    make(padding=1).output_spec(Spec((4, 8, 1)))
    with pytest.raises(ShapeError, match=r"9×9 do not fit in 6×10, which is 4×8 padded: .* more"):
        MaxPool2D(9, padding=1).output_spec(Spec((4, 8, 1)))
    with pytest.raises(ShapeError, match="do not fit"):
        MaxPool2D(5)(np.ones((1, 4, 8, 1)))


@pytest.mark.parametrize("layer", [Conv2D(2, 3), MaxPool2D(), AvgPool2D()], ids=repr)
def test_a_missing_channel_axis_is_named_with_its_remedy(layer: Layer) -> None:
    with pytest.raises(ShapeError, match=r"Reshape\(\(28, 28, 1\)\)"):
        layer.output_spec(Spec((28, 28)))
    with pytest.raises(ShapeError, match="height, a width and channels"):
        layer.output_spec(Spec((784,)))


def test_channels_that_do_not_divide_or_are_not_known_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"3 channels of .* 2 groups"):
        Conv2D(4, 3, groups=2).output_spec(Spec((8, 8, 3)))
    with pytest.raises(ShapeError, match="number of channels"):
        Conv2D(4, 3).output_spec(Spec((8, 8, None)))


def test_padding_wider_than_a_pooling_window_is_refused() -> None:
    with pytest.raises(OptionError, match="outside the image"):
        MaxPool2D(2, padding=2)
    with pytest.raises(OptionError, match="outside the image"):
        AvgPool2D((3, 1), padding=(2, 1))
    MaxPool2D((3, 1), padding=(2, 0))


def test_layers_that_need_features_say_so() -> None:
    for layer in (Standardize(), BatchNorm(), Dense(2)):
        with pytest.raises(ShapeError, match="known number of"):
            layer.output_spec(Spec(()))
        with pytest.raises(ShapeError, match="known number of"):
            layer.output_spec(Spec((3, None)))
