"""Losses against central differences, PyTorch and their own promises, one table for all of them."""

from __future__ import annotations

import json
import pickle
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from loss_table import CASES as TABLE
from loss_table import Case, cross_entropy, mean, values
from pellucid import Adam, Dense, Network, Reshape, losses
from pellucid.description import Description
from pellucid.errors import DataError, OptionError, ShapeError
from pellucid.layers.base import Cache
from pellucid.losses import MSE, BinaryCrossEntropy, CrossEntropy, Loss, as_loss, row_shares


@dataclass(frozen=True, repr=False)
class OwnHuber(Loss):
    """A loss as users write it, with the defaults of `prepare` and `link`."""

    delta: float = 1.0

    def forward(self, y_true, y_pred, cache):
        cache.error = y_pred - y_true.astype(y_pred.dtype)
        size = np.abs(cache.error)
        near = size <= self.delta
        value = np.where(near, 0.5 * size**2, self.delta * (size - 0.5 * self.delta))
        return value.mean(axis=1)

    def backward(self, cache):
        error = cache.error
        return np.clip(error, -self.delta, self.delta) / error.shape[1]


def own_peer(p, y):
    return mean(functional.huber_loss(p, y, reduction="none", delta=0.5))


CASES = TABLE | {"own": Case(OwnHuber(0.5), (5, 3), values, own_peer)}

table = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def make(case: Case, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = case.target(rng, case.shape)
    return y, case.outputs(rng, case.shape), rng.uniform(0.1, 3, case.shape[0])


@table
@pytest.mark.parametrize("weighted", [False, True])
def test_value_and_gradient_are_pytorchs(case, weighted):
    y, p, w = make(case)
    w = w if weighted else None
    tensor = torch.tensor(p, requires_grad=True)
    each = case.peer(tensor, torch.tensor(y))
    total = each.mean() if w is None else (each * torch.tensor(w)).sum() / w.sum()
    total.backward()
    assert case.loss(y, p, w) == pytest.approx(total.item(), rel=1e-12, abs=1e-14)
    np.testing.assert_allclose(case.loss.gradient(y, p, w), tensor.grad, rtol=1e-12, atol=1e-15)


@table
@pytest.mark.parametrize("weighted", [False, True])
def test_gradient_is_that_of_the_value_by_central_differences(case, weighted):
    y, p, w = make(case, seed=1)
    w = w if weighted else None
    numeric = np.empty_like(p)
    h = 1e-5
    for i in np.ndindex(p.shape):
        up, down = p.copy(), p.copy()
        up[i] += h
        down[i] -= h
        numeric[i] = (case.loss(y, up, w) - case.loss(y, down, w)) / (2 * h)
    np.testing.assert_allclose(case.loss.gradient(y, p, w), numeric, rtol=1e-6, atol=1e-9)


@table
def test_rows_are_independent_and_not_divided_by_their_number(case):
    y, p, _ = make(case)
    y = case.loss.prepare(y, case.shape[1:])
    cache = Cache()
    each, dp = case.loss.forward(y, p, cache), case.loss.backward(cache)
    assert each.shape == (len(p),)
    assert dp.shape == p.shape
    np.testing.assert_array_equal(dp, case.loss.backward(cache))  # backward may be repeated
    for b in range(len(p)):
        cache = Cache()
        alone = case.loss.forward(y[b : b + 1], p[b : b + 1], cache)
        np.testing.assert_allclose(alone, each[b : b + 1], rtol=1e-14)
        np.testing.assert_allclose(case.loss.backward(cache), dp[b : b + 1], rtol=1e-13, atol=1e-16)


@table
def test_float32_stays_float32_and_is_close(case):
    y, p, w = make(case)
    single = p.astype(np.float32)
    y32 = case.loss.prepare(y, case.shape[1:])  # float64 targets must not widen the outputs
    cache = Cache()
    assert case.loss.forward(y32, single, cache).dtype == np.float32
    assert case.loss.backward(cache).dtype == np.float32
    assert case.loss.link(single).dtype == np.float32
    gradient = case.loss.gradient(y, single, w)
    assert gradient.dtype == np.float32
    assert case.loss(y, single, w) == pytest.approx(case.loss(y, p, w), rel=1e-5)
    np.testing.assert_allclose(gradient, case.loss.gradient(y, p, w), rtol=2e-5, atol=2e-6)


@table
def test_weights_of_one_are_no_weights_bit_for_bit(case):
    for seed in range(5):
        y, p, _ = make(case, seed)
        for outputs in (p, p.astype(np.float32)):
            ones = np.ones(len(p), dtype=int)
            assert case.loss(y, outputs) == case.loss(y, outputs, ones)
            np.testing.assert_array_equal(
                case.loss.gradient(y, outputs), case.loss.gradient(y, outputs, ones)
            )


@table
def test_a_weight_of_zero_is_a_row_removed_and_all_zero_is_zero(case):
    y, p, w = make(case)
    if len(p) > 1:
        w[1] = 0
        kept = np.arange(len(p)) != 1
        assert case.loss(y, p, w) == pytest.approx(case.loss(y[kept], p[kept], w[kept]), rel=1e-14)
        np.testing.assert_allclose(
            case.loss.gradient(y, p, w)[kept], case.loss.gradient(y[kept], p[kept], w[kept]),
            rtol=1e-13, atol=1e-16,
        )  # fmt: skip
    assert case.loss(y, p, np.zeros(len(p))) == 0
    assert not case.loss.gradient(y, p, np.zeros(len(p))).any()


@table
def test_no_rows_are_worth_nothing(case):
    y, p, _ = make(case)
    assert case.loss(y[:0], p[:0]) == 0
    assert case.loss.gradient(y[:0], p[:0]).shape == (0, *case.shape[1:])


@table
def test_inputs_of_any_layout_give_the_same_and_stay_as_they_were(case):
    y, p, w = make(case)
    value, gradient = case.loss(y, p, w), case.loss.gradient(y, p, w)

    def same(y2, p2, w2=w):
        before = y2.copy(), p2.copy()
        assert case.loss(y2, p2, w2) == pytest.approx(value, rel=1e-14)
        np.testing.assert_allclose(case.loss.gradient(y2, p2, w2), gradient, rtol=1e-12, atol=1e-16)
        np.testing.assert_array_equal(y2, before[0])
        np.testing.assert_array_equal(p2, before[1])

    same(np.asfortranarray(y), np.asfortranarray(p))
    same(np.repeat(y, 2, axis=0)[::2], np.repeat(p, 2, axis=-1)[..., ::2] if p.ndim > 1 else p)
    same(y[::-1].copy()[::-1], p[::-1].copy()[::-1], w[::-1].copy()[::-1])
    same(y.astype(y.dtype.newbyteorder()), p.astype(p.dtype.newbyteorder()))
    for array in (y, p, w):
        array.setflags(write=False)
    same(y, p)
    y, p, _ = make(case)
    inner = case.loss.prepare(y, case.shape[1:]), p
    kept = inner[0].copy(), inner[1].copy()
    cache = Cache()
    first = case.loss.forward(*inner, cache)
    second = case.loss.backward(cache)
    assert not np.shares_memory(first, p)
    assert not np.shares_memory(second, p)
    np.testing.assert_array_equal(inner[0], kept[0])
    np.testing.assert_array_equal(inner[1], kept[1])


@table
def test_a_description_survives_json_pickle_and_its_own_repr(case):
    loss = case.loss.replace(scale=2.5)
    assert pickle.loads(pickle.dumps(loss)) == loss
    assert hash(loss) == hash(loss.replace())
    if not isinstance(loss, OwnHuber):
        assert Description.from_config(json.loads(json.dumps(loss.to_config()))) == loss
        assert eval(repr(loss), vars(losses)) == loss


def test_every_loss_has_a_row_and_a_name():
    public = {kind for name, kind in vars(losses).items() if name in losses.__all__}
    kinds = {k for k in public if isinstance(k, type) and issubclass(k, Loss)}
    kinds -= {Loss, losses.ClassLoss}
    assert kinds == {type(case.loss) for case in TABLE.values()}
    assert kinds == {type(as_loss(name)) for name in losses._NAMES}


@table
def test_scale(case):
    y, p, w = make(case)
    half = np.float64(0.5) * case.loss
    assert half == case.loss * 0.5 == 0.5 * case.loss
    assert half(y, p, w) == 0.5 * case.loss(y, p, w)
    np.testing.assert_array_equal(half.gradient(y, p, w), 0.5 * case.loss.gradient(y, p, w))


# ---------------------------------------------------------------------------------- in networks


def network(case: Case, engine: str = "numpy", dtype: str = "float64") -> Network:
    layers = [Dense(int(np.prod(case.shape[1:]))), Reshape(case.shape[1:]), *case.head]
    optimizer = Adam(0.02)
    return Network(layers, loss=case.loss, optimizer=optimizer, engine=engine, dtype=dtype, seed=2)


def batch(case: Case, rows: int = 12) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    y = case.target(rng, (rows, *case.shape[1:]))
    return rng.normal(size=(rows, 4)), y, rng.uniform(0.5, 2, rows)


@table
def test_a_network_is_trained_by_it_and_its_gradients_are_right(case):
    x, y, w = batch(case)
    net = network(case)
    before = net.evaluate(x, y)
    record = net.fit(x, y, epochs=40, batch_size=6, progress=False)
    after = net.evaluate(x, y)
    assert after["loss"] < before["loss"]
    assert set(after) == {"loss", *case.loss.default_metrics}
    assert record[-1]["loss"] < record[0]["loss"]
    assert net.gradcheck(x, y, sample_weight=w).passed
    p = net.predict(x)
    assert p.shape == (len(x), *case.shape[1:])
    assert np.isfinite(p).all()


@table
@pytest.mark.parametrize("weighted", [False, True])
def test_both_engines_accumulated_or_not_agree(case, weighted):
    x, y, w = batch(case)
    found = []
    for engine, size in (("numpy", 6), ("auto", 6), ("numpy", 3), ("auto", 3)):
        net = network(case, engine)
        record = net.fit(
            x, y, epochs=4, batch_size=size, accumulate=6 // size, progress=False, shuffle=False,
            sample_weight=w if weighted else None, validation=(x[:5], y[:5]),
        )  # fmt: skip
        rows = [[v for k, v in row.items() if k != "seconds"] for row in record]
        found.append((net.parameters.vector, np.array(rows, float)))
    for vector, rows in found[1:]:
        np.testing.assert_allclose(vector, found[0][0], rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(rows, found[0][1], rtol=1e-9, atol=1e-11)


# ----------------------------------------------------------------------------------- extremes


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_cross_entropy_of_huge_logits_is_exact(dtype):
    z = np.array([[1e4, -1e4, 0], [1e4, -1e4, 0], [-1e4, -1e4, -1e4], [1e4, 1e4, 1e4]], dtype)
    y = np.array([0, 1, 2, 0])
    third = np.log(3)
    assert CrossEntropy()(y, z) == pytest.approx((0 + 2e4 + third + third) / 4, rel=1e-6)
    expected = [[0, 0, 0], [1, -1, 0], [1 / 3, 1 / 3, -2 / 3], [-2 / 3, 1 / 3, 1 / 3]]
    np.testing.assert_allclose(4 * CrossEntropy().gradient(y, z), expected, atol=1e-7)
    np.testing.assert_allclose(4 * CrossEntropy().gradient(np.eye(3)[y], z), expected, atol=1e-7)
    assert np.isfinite(CrossEntropy().link(z)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("c", [None, 3.0])
def test_binary_cross_entropy_of_huge_logits_is_exact(dtype, c):
    z = np.array([[1e4], [1e4], [-1e4], [-1e4]], dtype)
    y = np.array([[1], [0], [1], [0]])
    loss = BinaryCrossEntropy(c)
    k = c or 1.0
    each = loss.forward(loss.prepare(y, (1,)), z, Cache())
    np.testing.assert_array_equal(each, [0, 1e4, k * 1e4, 0])
    np.testing.assert_array_equal(4 * loss.gradient(y, z), [[0], [1], [-k], [0]])
    np.testing.assert_array_equal(loss.link(z), [[1], [1], [0], [0]])


def test_tiny_binary_losses_keep_their_digits():
    assert BinaryCrossEntropy()([[0]], [[-40.0]]) == pytest.approx(np.exp(-40), rel=1e-14)
    assert BinaryCrossEntropy(3.0)([[1]], [[40.0]]) == pytest.approx(3 * np.exp(-40), rel=1e-14)
    assert BinaryCrossEntropy().gradient([[0]], [[-40.0]]) == pytest.approx(np.exp(-40), rel=1e-14)


def test_target_rows_that_almost_sum_to_one_are_taken_as_they_are():
    y, z = np.array([[0.5004, 0.5, 0]]), np.array([[0.3, -1.0, 2.0]])
    tensor = torch.tensor(z, requires_grad=True)
    value = cross_entropy(tensor, torch.tensor(y)).mean()
    value.backward()
    assert CrossEntropy()(y, z) == pytest.approx(value.item(), rel=1e-12)
    np.testing.assert_allclose(CrossEntropy().gradient(y, z), tensor.grad, rtol=1e-10)


@given(st.lists(st.floats(-60, 60), min_size=2, max_size=6), st.integers(0, 5))
@settings(max_examples=200, deadline=None)
def test_cross_entropy_is_within_4_ulp_of_long_doubles(logits, target):
    target %= len(logits)
    z = np.array([logits])
    wide = z[0].astype(np.longdouble)
    true = float(np.log(np.exp(wide).sum()) - wide[target])
    p = (np.exp(wide) / np.exp(wide).sum()).astype(float)
    eps = 4 * np.finfo(float).eps
    scale = max(1, abs(z).max())
    assert abs(CrossEntropy()([target], z) - true) <= eps * scale
    np.testing.assert_allclose(CrossEntropy().link(z)[0], p, atol=eps, rtol=eps * scale)


@given(st.floats(-700, 700), st.floats(0, 1))
@settings(max_examples=200, deadline=None)
def test_binary_cross_entropy_is_within_4_ulp_of_long_doubles(logit, y):
    wide = np.longdouble(logit)
    true = float(np.logaddexp(np.longdouble(0), wide) - wide * np.longdouble(y))
    eps = 4 * np.finfo(float).eps
    assert abs(BinaryCrossEntropy()([y], [logit]) - true) <= eps * max(1, abs(logit))
    p = float(1 / (1 + np.exp(-wide)))
    assert BinaryCrossEntropy().link(np.array([logit]))[0] == pytest.approx(p, rel=8 * eps)


@given(st.integers(0, 4), st.integers(0, 3), st.integers(2, 5), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_index_and_one_hot_targets_agree_at_every_shape(rows, times, classes, seed):
    rng = np.random.default_rng(seed)
    for shape in ((rows, classes), (rows, times, classes)):
        y, z = rng.integers(0, classes, shape[:-1]), rng.normal(size=shape)
        rows_of = np.eye(classes)[y]
        assert CrossEntropy()(y, z) == pytest.approx(CrossEntropy()(rows_of, z), rel=1e-13)
        np.testing.assert_allclose(
            CrossEntropy().gradient(y, z), CrossEntropy().gradient(rows_of, z), atol=1e-15
        )


# ------------------------------------------------------------- traps other libraries fell into


def test_duplicating_every_row_changes_neither_value_nor_gradient_sum():
    # a value that is averaged and a gradient that is not would disagree here
    y, z = np.array([0, 2]), np.array([[1.0, 0, 2], [0, 1, 0]])
    twice_y, twice_z = np.repeat(y, 2), np.repeat(z, 2, axis=0)
    assert CrossEntropy()(twice_y, twice_z) == pytest.approx(CrossEntropy()(y, z), rel=1e-15)
    summed = CrossEntropy().gradient(twice_y, twice_z).reshape(2, 2, 3).sum(axis=1)
    np.testing.assert_allclose(summed, CrossEntropy().gradient(y, z), rtol=1e-14)


def test_softmax_is_over_classes_not_the_batch():
    np.testing.assert_allclose(CrossEntropy().link(np.ones((4, 2))).sum(axis=1), 1)
    np.testing.assert_allclose(CrossEntropy().link(np.ones((4, 3, 2))).sum(axis=2), 1)


def test_adding_a_constant_to_the_logits_of_a_row_changes_nothing():
    z = np.random.default_rng(0).normal(size=(3, 4))
    assert CrossEntropy()([0, 1, 2], z + np.array([[1e3], [-1e3], [7.0]])) == pytest.approx(
        CrossEntropy()([0, 1, 2], z), rel=1e-12
    )


def test_mse_has_no_half_and_a_gradient_of_two_over_n():
    assert MSE()([[0.0, 0.0]], [[3.0, 1.0]]) == 5.0
    np.testing.assert_array_equal(MSE().gradient([[0.0, 0.0]], [[3.0, 1.0]]), [[3.0, 1.0]])


def test_gradients_pull_towards_the_target():
    for loss, y, p in [(MSE(), [[1.0]], [[3.0]]), (OwnHuber(), [[1.0]], [[3.0]])]:
        assert loss.gradient(y, p)[0, 0] > 0
    assert CrossEntropy().gradient([1], [[0.0, 0.0]])[0, 1] < 0
    assert BinaryCrossEntropy().gradient([[1]], [[0.0]])[0, 0] < 0


def test_softmax_layer_before_the_loss_can_be_told_from_the_description():
    assert CrossEntropy.takes_logits
    assert BinaryCrossEntropy.takes_logits
    assert not MSE.takes_logits
    assert CrossEntropy(allow_squashed=True).allow_squashed


# -------------------------------------------------------------------------------------- labels


@pytest.mark.parametrize(
    "dtype", ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", ">i4", "<i4", "f2", "f4", "f8"]
)
def test_labels_of_every_whole_dtype(dtype):
    y = np.array([0, 2, 1], dtype)
    prepared = CrossEntropy().prepare(y, (3,))
    assert prepared.dtype == np.int64
    np.testing.assert_array_equal(prepared, [0, 2, 1])
    z = np.random.default_rng(0).normal(size=(3, 3))
    assert CrossEntropy()(y, z) == CrossEntropy()([0, 2, 1], z)


def test_bool_labels():
    assert CrossEntropy().prepare([True, False], (2,)).tolist() == [1, 0]
    assert BinaryCrossEntropy().prepare([[True], [False]], (1,)).tolist() == [[1.0], [0.0]]
    assert BinaryCrossEntropy().prepare(np.array([[1], [0]], "u1"), (1,)).dtype == np.float64


@pytest.mark.parametrize("bad", [-1, 3, 2**62, 0.5, np.nan, np.inf, -0.5])
def test_a_label_out_of_range_is_named(bad):
    y = np.array([0, 1, bad])
    with pytest.raises(DataError, match=r"row 2: label \S+ is not one of the 3 classes 0 … 2"):
        CrossEntropy().prepare(y, (3,))
    y = np.array([[0, 1], [2, bad]])
    with pytest.raises(DataError, match=r"row 1, column 1: label"):
        CrossEntropy().prepare(y, (2, 3))


def test_huge_unsigned_labels_do_not_wrap_around():
    with pytest.raises(DataError, match="label 18446744073709551615"):
        CrossEntropy().prepare(np.array([2**64 - 1], np.uint64), (3,))


@pytest.mark.parametrize("bad", [["a", "b"], [None, 1], [1j, 0], [b"x", b"y"]])
def test_labels_that_are_not_numbers(bad):
    for loss, output in [(CrossEntropy(), (3,)), (MSE(), ()), (BinaryCrossEntropy(), ())]:
        with pytest.raises(DataError, match="must be"):
            loss.prepare(bad, output)


def test_rows_of_different_lengths():
    for loss, output in [(CrossEntropy(), (3,)), (MSE(), (2,))]:
        with pytest.raises(DataError, match="no array"):
            loss.prepare([[1, 2], [3]], output)


def test_wrong_probabilities_are_named():
    with pytest.raises(DataError, match=r"row 1: target probabilities sum to 2, not 1"):
        CrossEntropy().prepare([[1, 0], [1, 1]], (2,))
    with pytest.raises(DataError, match=r"row 0, column 1: target -1 is negative"):
        CrossEntropy().prepare([[2, -1], [1, 1]], (2,))
    with pytest.raises(DataError, match=r"row 1, column 0: target 2 is not between 0 and 1"):
        BinaryCrossEntropy().prepare([[1], [2]], (1,))
    with pytest.raises(DataError, match=r"row 1, column 0: target nan is not a finite number"):
        BinaryCrossEntropy().prepare([[1], [np.nan]], (1,))
    with pytest.raises(DataError, match=r"row 0, column 1, 0: target inf"):
        MSE().prepare([[[1.0], [np.inf]]], (2, 1))


@pytest.mark.parametrize("loss", [MSE(), BinaryCrossEntropy(), OwnHuber()])
def test_nothing_is_broadcast_silently(loss):
    with pytest.raises(ShapeError, match=r"\(5,\).*\(5, 1\): write y\[:, None\]"):
        loss(np.ones(5), np.ones((5, 1)))
    with pytest.raises(ShapeError, match=r"\(5, 1\).*\(5,\): write y\[:, 0\]"):
        loss(np.ones((5, 1)), np.ones(5))
    with pytest.raises(ShapeError, match=r"\(5, 2\).*\(5, 3\)"):
        loss(np.ones((5, 2)), np.ones((5, 3)))
    with pytest.raises(ShapeError, match=r"\(1, 3\)|1 rows"):
        loss(np.ones((1, 3)), np.ones((5, 3)))
    with pytest.raises(ShapeError, match=r"\(\)"):
        loss(1.0, np.ones((5, 3)))
    with pytest.raises(ShapeError, match="axis of rows"):
        loss(1.0, 1.0)


def test_shape_errors_say_what_would_fit():
    with pytest.raises(ShapeError, match=r"\(4, 1\).*\(4, 3\): write y\[:, 0\]"):
        CrossEntropy()(np.zeros((4, 1), int), np.ones((4, 3)))
    with pytest.raises(ShapeError, match=r"CrossEntropy\(\)"):
        MSE()(np.zeros(4, int), np.ones((4, 3)))
    with pytest.raises(ShapeError, match=r"BinaryCrossEntropy\(\)"):
        CrossEntropy()(np.zeros(4, int), np.ones((4, 1)))
    with pytest.raises(ShapeError, match=r"4 rows.*5"):
        CrossEntropy()(np.zeros(4, int), np.ones((5, 3)))
    with pytest.raises(ShapeError, match=r"\(4, 2\).*\(4, 3\)"):
        CrossEntropy()(np.zeros((4, 2)), np.ones((4, 3)))
    with pytest.raises(ShapeError, match="3 positive weights"):
        BinaryCrossEntropy((1.0, 2.0, 3.0))(np.zeros((4, 2)), np.ones((4, 2)))


def test_lengths_that_are_not_known_beforehand_fit_any():
    assert CrossEntropy().prepare(np.zeros((2, 7), int), (None, 3)).shape == (2, 7)
    assert MSE().prepare(np.zeros((2, 7, 3)), (None, 3)).shape == (2, 7, 3)
    with pytest.raises(ShapeError, match=r"\(2, \?, 3\)"):
        MSE().prepare(np.zeros((2, 7, 4)), (None, 3))


def test_sample_weights_are_checked():
    y, p = np.zeros((3, 1)), np.ones((3, 1))
    with pytest.raises(ShapeError, match=r"\(2,\); 3 rows need \(3,\)"):
        MSE()(y, p, [1, 2])
    with pytest.raises(ShapeError, match=r"\(3, 1\)"):
        MSE()(y, p, np.ones((3, 1)))
    with pytest.raises(DataError, match="row 1: sample weight -2 is negative"):
        MSE()(y, p, [1, -2, 3])
    with pytest.raises(DataError, match="row 2: sample weight nan"):
        MSE()(y, p, [1, 2, np.nan])
    np.testing.assert_array_equal(row_shares(None, 4), [0.25] * 4)
    np.testing.assert_array_equal(row_shares([1, 3], 2), [0.25, 0.75])


# ------------------------------------------------------------------------------- descriptions


def test_names_and_options():
    assert as_loss("mse") == as_loss("mean_squared_error") == MSE()
    assert as_loss("cross_entropy") == CrossEntropy()
    assert as_loss("binary_cross_entropy") == BinaryCrossEntropy()
    loss = OwnHuber(0.5)
    assert as_loss(loss) is loss
    with pytest.raises(OptionError, match="Did you mean 'cross_entropy'"):
        as_loss("crossentropy")
    with pytest.raises(OptionError, match="a loss or its name"):
        as_loss(3)  # type: ignore[arg-type]
    assert BinaryCrossEntropy(pos_weight=[1, 2]) == BinaryCrossEntropy((1, 2))
    assert BinaryCrossEntropy(np.array([1.0, 2.0])).positive_weight == (1.0, 2.0)
    config = BinaryCrossEntropy((1.0, 2.0)).to_config()
    assert Description.from_config(config) == BinaryCrossEntropy((1.0, 2.0))


@pytest.mark.parametrize("scale", [-1, np.nan, np.inf, "2", True, None])
def test_scale_must_be_a_finite_number(scale):
    with pytest.raises(OptionError, match="scale"):
        MSE(scale=scale)


@pytest.mark.parametrize("weight", [0, -1, np.nan, np.inf, "2", (), (1, 0), ((1, 2),), True])
def test_positive_weight_must_be_above_zero(weight: Any):
    with pytest.raises(OptionError, match="positive_weight"):
        BinaryCrossEntropy(weight)


def test_only_a_number_scales_a_loss():
    for factor in ("2", None, True, [2]):
        with pytest.raises(TypeError):
            factor * MSE()
