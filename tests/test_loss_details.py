"""What single losses promise beyond the table: traps, extremes, words, and what they settle on."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from torch.nn import functional as F

from pellucid import (
    MAE,
    MSE,
    NLL,
    SGD,
    Adam,
    BinaryCrossEntropy,
    BinaryFocal,
    CategoricalHinge,
    CosineDistance,
    CrossEntropy,
    Dense,
    Focal,
    Hinge,
    Huber,
    KLDivergence,
    LogCosh,
    LogSoftmax,
    Loss,
    Network,
    Poisson,
    Quantile,
    Reshape,
    Softmax,
    SquaredHinge,
)
from pellucid.errors import DataError, GradientError, GraphError, OptionError, ShapeError
from pellucid.layers import Cache

FLOATS = [np.float32, np.float64]


def each(loss: Loss, y: Any, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each row's value and gradient."""
    cache = Cache()
    values = loss.forward(loss.prepare(y, p.shape[1:]), p, cache)
    return values, loss.backward(cache)


# ------------------------------------------------------------------------------------------ traps


@pytest.mark.parametrize("loss", [MSE(), MAE(), Huber(), LogCosh(), Quantile(0.3)], ids=repr)
def test_trap_a_gradient_of_the_wrong_sign(loss: Loss) -> None:
    y = np.zeros((1, 2))
    for size in (0.1, 0.9, 1.1, 5.0):  # on both sides of every corner
        gradient = loss.gradient(y, np.array([[size, -size]]))
        assert gradient[0, 0] > 0 > gradient[0, 1]
        down = np.array([[size, -size]]) - 1e-3 * gradient
        assert loss(y, down) < loss(y, [[size, -size]])


@pytest.mark.parametrize(
    "loss",
    [
        CrossEntropy(), CrossEntropy(label_smoothing=0.1), NLL(), Focal(), Focal(0.3),
        CategoricalHinge(), CategoricalHinge(squared=True),
    ],
    ids=repr,
)  # fmt: skip
def test_trap_a_classifier_that_is_drawn_from_the_truth(loss: Loss) -> None:
    z = np.log([[0.3, 0.5, 0.2]])
    gradient = loss.gradient([0], z)
    assert gradient[0, 0] < 0
    assert (gradient[0, 1:] >= 0).all()
    assert loss([0], z - 1e-3 * gradient) < loss([0], z)


@pytest.mark.parametrize(
    "loss", [BinaryCrossEntropy(), BinaryFocal(), Hinge(), SquaredHinge()], ids=repr
)
def test_trap_an_answer_that_is_drawn_the_wrong_way(loss: Loss) -> None:
    no = -1 if isinstance(loss, Hinge | SquaredHinge) else 0
    gradient = loss.gradient([[1, no]], [[0.2, 0.2]])
    assert gradient[0, 0] < 0 < gradient[0, 1]


def test_trap_a_value_averaged_over_rows_and_a_gradient_that_is_not() -> None:
    y, p = np.array([[0.0], [1.0]]), np.array([[2.0], [-1.0]])
    for loss in (MAE(), Huber(), LogCosh(), Quantile(0.2), Poisson(), SquaredHinge()):
        targets = 2 * y - 1 if isinstance(loss, SquaredHinge) else y
        twice = (
            loss.gradient(np.repeat(targets, 2, 0), np.repeat(p, 2, 0)).reshape(2, 2).sum(axis=1)
        )
        np.testing.assert_allclose(twice, loss.gradient(targets, p)[:, 0], rtol=1e-15)


def test_corners_have_the_slope_that_the_text_says() -> None:
    at = np.zeros((1, 2))
    assert not MAE().gradient(at, at).any()
    assert not Quantile(0.9).gradient(at, at).any()
    np.testing.assert_array_equal(Huber(1.5).gradient(at, [[1.5, -1.5]]), [[0.75, -0.75]])
    np.testing.assert_array_equal(Hinge().gradient([[1, -1]], [[1.0, -1.0]]), [[0, 0]])
    np.testing.assert_array_equal(CategoricalHinge().gradient([0], [[1.0, 0.0, 0.0]]), [[0, 0, 0]])
    tied = CategoricalHinge().gradient([0], [[0.0, 0.5, 0.5]])
    np.testing.assert_array_equal(tied, [[-1, 1, 0]])  # one rival, not all the gradient to each


# -------------------------------------------------------------------------------------- extremes


@pytest.mark.parametrize("dtype", FLOATS)
def test_huge_errors_are_exact_and_make_no_warning(dtype: Any) -> None:
    p, y = np.array([[1e4], [-1e4], [1e30], [0.0]], dtype), np.zeros((4, 1))
    for loss, expected in (
        (MAE(), [1e4, 1e4, 1e30, 0]),
        (Huber(0.5), [0.5 * (1e4 - 0.25)] * 2 + [0.5e30, 0]),
        (LogCosh(), [1e4 - np.log(2)] * 2 + [1e30, 0]),
        (Quantile(0.25), [0.75e4, 0.25e4, 0.75e30, 0]),
    ):
        values, gradient = each(loss, y, p)
        np.testing.assert_allclose(values, np.array(expected, dtype), rtol=4 * np.finfo(dtype).eps)
        np.testing.assert_array_equal(np.sign(gradient[:, 0]), [1, -1, 1, 0])
        assert np.abs(gradient).max() <= 1


@pytest.mark.parametrize("dtype", FLOATS)
def test_huge_scores_are_exact_and_make_no_warning(dtype: Any) -> None:
    z = np.array([[1e4, -1e4, 0], [1e4, -1e4, 0], [-1e4, -1e4, -1e4]], dtype)
    values, gradient = each(Focal(), [0, 1, 2], z)
    np.testing.assert_allclose(values, [0, 2e4, (2 / 3) ** 2 * np.log(3)], rtol=1e-6)
    p, q = 1 / 3, 2 / 3
    g = q**2 * (2 * p * np.log(p) - q)
    np.testing.assert_allclose(gradient, [[0, 0, 0], [1, -1, 0], [-g / 2, -g / 2, g]], atol=1e-6)
    values, gradient = each(Focal(0.5), [0, 1, 2], z)
    assert np.isfinite(values).all()
    assert np.isfinite(gradient).all()
    values, gradient = each(CategoricalHinge(), [0, 1, 2], z)
    np.testing.assert_array_equal(values, [0, 20_001, 1])
    smoothed, slopes = each(CrossEntropy(label_smoothing=0.3), [0, 1, 2], z)
    np.testing.assert_allclose(smoothed, [3e3, 0.7 * 2e4 + 3e3, np.log(3)], rtol=1e-5)
    np.testing.assert_allclose(slopes[0], [1 - 0.8, -0.1, -0.1], atol=1e-6)


@pytest.mark.parametrize("dtype", FLOATS)
def test_huge_answers_are_exact_and_make_no_warning(dtype: Any) -> None:
    z, y = np.array([[1e4], [1e4], [-1e4], [-1e4]], dtype), np.array([[1], [0], [1], [0]])
    values, gradient = each(BinaryFocal(), y, z)
    np.testing.assert_array_equal(values, [0, 1e4, 1e4, 0])
    np.testing.assert_array_equal(gradient, [[0], [1], [-1], [0]])
    values, gradient = each(BinaryFocal(0.5, 0.25), y, z)
    np.testing.assert_array_equal(values, [0, 0.75e4, 0.25e4, 0])
    values, gradient = each(BinaryCrossEntropy(label_smoothing=0.1), y, z)
    np.testing.assert_allclose(values, [500, 9500, 9500, 500], rtol=1e-4)
    values, gradient = each(SquaredHinge(), 2 * y - 1, z)
    np.testing.assert_allclose(values, [0, (1e4 + 1) ** 2, (1e4 + 1) ** 2, 0], rtol=1e-6)


def test_rates_beyond_all_floats_are_infinite_without_a_warning() -> None:
    values, gradient = each(Poisson(), [[2.0], [2.0]], np.array([[1e4], [-1e4]]))
    np.testing.assert_array_equal(values, [np.inf, 2e4])
    np.testing.assert_array_equal(gradient, [[np.inf], [-2]])
    np.testing.assert_array_equal(Poisson().link(np.array([1e4, 0, -1e4])), [np.inf, 1, 0])
    assert Poisson(log_input=False)([[3.0]], [[0.0]]) == pytest.approx(-3 * np.log(1e-8))


def test_a_class_that_is_impossible_and_not_asked_for_costs_nothing() -> None:
    z = np.array([[0.0, -np.inf]])
    for loss in (NLL(), KLDivergence()):
        assert loss([[1.0, 0.0]], z) == 0
        np.testing.assert_array_equal(loss.gradient([[1.0, 0.0]], z), [[-1, 0]])
    assert NLL()([1], z) == np.inf


@pytest.mark.parametrize("dtype", FLOATS)
def test_cosines_of_huge_tiny_and_no_vectors(dtype: Any) -> None:
    big, small = np.finfo(dtype).max / 4, 1e-6
    p = np.array([[big, big], [small, small], [0, 0], [1, -1]], dtype)
    values, gradient = each(CosineDistance(1e-12), np.ones((4, 2)), p)
    np.testing.assert_allclose(values, [0, 0, 1, 1], atol=4 * np.finfo(dtype).eps)
    assert np.isfinite(gradient).all()
    values, gradient = each(CosineDistance(), np.zeros((4, 2)), p)
    np.testing.assert_array_equal(values, 1)
    assert not gradient.any()


def test_log_cosh_keeps_the_digits_of_small_errors() -> None:
    errors = np.concatenate([10.0 ** np.arange(-150, 3, 2.5), np.linspace(0.5, 1.5, 101)])
    found, _ = each(LogCosh(), np.zeros((len(errors), 1)), errors[:, None])
    with mpmath.workdps(400):
        exact = [mpmath.log(mpmath.cosh(mpmath.mpf(e))) for e in errors.tolist()]
        wrong = [abs(mpmath.mpf(a) / b - 1) for a, b in zip(found.tolist(), exact, strict=True)]
    assert float(max(wrong)) < 8 * np.finfo(float).eps


def test_focal_losses_keep_the_digits_of_confident_answers() -> None:
    for margin in (0.0, 3.0, 12.0, 50.0, 300.0):
        z = np.array([[margin, 0.0, -1.0]])
        found, slopes = each(Focal(1.5), [0], z)
        with mpmath.workdps(300):
            rest = mpmath.exp(-margin) + mpmath.exp(-margin - 1)
            p, q = 1 / (1 + rest), rest / (1 + rest)
            value = -(q**1.5) * mpmath.log(p)
            slope = q**1.5 * (1.5 * p * mpmath.log(p) - q)
        assert found[0] == pytest.approx(float(value), rel=1e-14)
        assert slopes[0, 0] == pytest.approx(float(slope), rel=1e-14)
        assert slopes[0].sum() == pytest.approx(0, abs=1e-15 * abs(float(slope)))


# ---------------------------------------------------------------------- what they settle on, and say


def settled(loss: Loss, y: np.ndarray, outputs: int = 1) -> np.ndarray:
    """What a network without inputs to speak of comes to predict."""
    net = Network([Dense(outputs)], loss=loss, optimizer=Adam(0.05), dtype="float64")
    x = np.zeros((len(y), 1))
    net.fit(x, y, epochs=400, batch_size=len(y), progress=False)
    net.fit(x, y, epochs=400, batch_size=len(y), progress=False, optimizer=Adam(0.002))
    found: np.ndarray = net.predict(x[:1])[0]
    return found


def test_what_a_constant_settles_on() -> None:
    y = np.random.default_rng(0).gamma(2.0, size=(400, 1))
    assert settled(MSE(), y) == pytest.approx(y.mean(), abs=1e-3)
    assert settled(MAE(), y) == pytest.approx(np.median(y), abs=0.02)
    assert settled(Poisson(), y.round()) == pytest.approx(y.round().mean(), rel=1e-3)
    tau = (0.1, 0.5, 0.9)
    np.testing.assert_allclose(settled(Quantile(tau), y[:, 0], 3), np.quantile(y, tau), atol=0.03)
    balance = np.clip(settled(Huber(0.5), y) - y, -0.5, 0.5)
    assert balance.mean() == pytest.approx(0, abs=1e-3)


def test_pinball_and_hinge_are_scikit_learns() -> None:
    rng = np.random.default_rng(1)
    y, p, w = rng.normal(size=30), rng.normal(size=30), rng.uniform(0.5, 2, 30)
    for q in (0.1, 0.5, 0.8):
        assert Quantile(q)(y, p, w) == pytest.approx(
            sk.mean_pinball_loss(y, p, alpha=q, sample_weight=w)
        )
    signs = np.sign(y)
    assert Hinge()(signs, p, w) == pytest.approx(sk.hinge_loss(signs, p, sample_weight=w))
    scores, classes = rng.normal(size=(30, 4)), rng.integers(0, 4, 30)
    expected = sk.hinge_loss(classes, scores, labels=range(4), sample_weight=w)
    assert CategoricalHinge()(classes, scores, w) == pytest.approx(expected)


def test_half_a_quantile_loss_is_half_the_absolute_error() -> None:
    y, p = np.random.default_rng(2).normal(size=(2, 5, 3))
    assert Quantile()(y, p) == pytest.approx(MAE()(y, p) / 2, rel=1e-15)


def test_only_directions_matter_to_the_cosine() -> None:
    y, p = np.random.default_rng(3).normal(size=(2, 5, 3))
    assert CosineDistance()(3 * y, 0.1 * p) == pytest.approx(CosineDistance()(y, p), rel=1e-14)
    slopes = CosineDistance().gradient(y, p)
    np.testing.assert_allclose((slopes * p).sum(axis=1), 0, atol=1e-15)  # none along p itself
    assert CosineDistance()(y, -y) == pytest.approx(2)


def test_nll_of_log_softmax_is_cross_entropy() -> None:
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(20, 3)), rng.integers(0, 4, 20)
    nets = [
        Network([Dense(4)], loss=CrossEntropy(), optimizer=SGD(0.5), dtype="float64"),
        Network([Dense(4), LogSoftmax()], loss=NLL(), optimizer=SGD(0.5), dtype="float64"),
    ]
    for net in nets:
        net.fit(x, y, epochs=5, progress=False)
    np.testing.assert_allclose(nets[1].parameters.vector, nets[0].parameters.vector, rtol=1e-12)
    np.testing.assert_allclose(nets[1].predict(x), nets[0].predict(x), rtol=1e-12)
    assert nets[0].evaluate(x, y) == pytest.approx(nets[1].evaluate(x, y))


def test_kl_divergence_is_cross_entropy_less_the_targets_entropy() -> None:
    rng = np.random.default_rng(5)
    t, z = rng.dirichlet(np.ones(4), 6), rng.normal(size=(6, 4))
    entropy = -(t * np.log(t)).sum(axis=1).mean()
    log_p = LogSoftmax()(z)
    assert KLDivergence()(t, log_p) == pytest.approx(CrossEntropy()(t, z) - entropy, rel=1e-13)
    assert KLDivergence()(t, np.log(t)) == pytest.approx(0, abs=1e-15)


def test_what_predict_returns() -> None:
    z = np.array([[-2.0, 0.0, 3.0]])
    np.testing.assert_array_equal(Hinge().link(z), [[-1, -1, 1]])
    np.testing.assert_array_equal(SquaredHinge().link(z.astype("f4")), np.float32([[-1, -1, 1]]))
    np.testing.assert_allclose(Poisson().link(z), np.exp(z))
    np.testing.assert_array_equal(Poisson(log_input=False).link(z), z)
    np.testing.assert_allclose(Focal().link(z), CrossEntropy().link(z), rtol=1e-15)
    np.testing.assert_allclose(BinaryFocal().link(z), BinaryCrossEntropy().link(z), rtol=1e-15)
    np.testing.assert_allclose(NLL().link(LogSoftmax()(z)), CrossEntropy().link(z), rtol=1e-15)
    for loss in (MAE(), Huber(), LogCosh(), Quantile(), CosineDistance(), CategoricalHinge()):
        assert loss.link(z) is z


def test_hinges_count_right_answers() -> None:
    rng = np.random.default_rng(6)
    x = rng.normal(size=(60, 2))
    y = np.sign(x[:, :1] + x[:, 1:])
    for loss in (Hinge(), SquaredHinge()):
        net = Network([Dense(1)], loss=loss, optimizer=Adam(0.1))
        net.fit(x, y, epochs=60, progress=False)
        assert net.evaluate(x, y)["binary_accuracy"] > 0.95
        assert set(np.unique(net.predict(x))) == {-1, 1}
    net = Network([Dense(2)], loss=CategoricalHinge(), optimizer=Adam(0.1))
    net.fit(x, (y[:, 0] > 0).astype(int), epochs=60, progress=False)
    assert net.evaluate(x, (y[:, 0] > 0).astype(int))["accuracy"] > 0.95


# ------------------------------------------------------------------------------ refusals, in words


@pytest.mark.parametrize(
    ("loss", "y", "output", "says"),
    [
        (MAE(), [[1.0], [np.nan]], (1,), r"row 1, column 0: target nan is not a finite"),
        (Huber(), [1.0], (1,), r"write y\[:, None\]"),
        (Poisson(), [[1.0], [-2.0]], (1,), r"row 1, column 0: target -2 is negative; a count"),
        (Quantile((0.1, 0.9)), [1.0, 2.0], (3,), r"2 outputs, one for each quantile.*Dense\(2\)"),
        (Quantile((0.1, 0.9)), [[1.0], [2.0]], (2,), r"write y\[:, 0\]"),
        (CosineDistance(), [1.0], (), r"single numbers: MSE"),
        (NLL(), [0, 3], (3,), r"row 1: label 3 is not one of the 3 classes"),
        (NLL(), [0], (1,), r"NLL needs an output for each of 2 or more classes"),
        (KLDivergence(), [0, 1], (2,), r"KLDivergence: targets of shape \(2,\)"),
        (KLDivergence(), [[0.5, 0.4]], (2,), r"row 0: target probabilities sum to 0.9"),
        (KLDivergence(), [1.0], (), "none"),
        (Hinge(), [[1], [0]], (1,), r"row 1, column 0: target 0 is not −1 or \+1: write 2 \* y - 1"),
        (SquaredHinge(), [[1], [0]], (1,), r"target 0 is not −1"),
        (SquaredHinge(), [1], (1,), r"SquaredHinge: targets of shape"),
        (CategoricalHinge(), [-1], (3,), r"row 0: label -1 is not one of"),
        (CategoricalHinge(), [[0.5, 0.5]], (2,), r"row 0: targets are probabilities of several"),
        (Focal(), [[1, 0], [0.9, 0.1]], (2,), r"row 1: targets are probabilities of several"),
        (Focal(alpha=(1, 2)), [0], (3,), r"2 weights alpha do not fit"),
        (BinaryFocal(), [[2]], (1,), r"target 2 is not between 0 and 1"),
    ],
    ids=str,
)  # fmt: skip
def test_targets_that_do_not_fit_are_refused(loss: Loss, y: Any, output: Any, says: str) -> None:
    with pytest.raises((DataError, ShapeError), match=says):
        loss.prepare(y, output)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Huber(0), "delta"), (lambda: Huber(np.inf), "delta"), (lambda: Quantile(0), "quantiles"),
        (lambda: Quantile(1.0), "quantiles"), (lambda: Quantile(()), "quantiles"),
        (lambda: Quantile((0.5, "a")), "quantiles"), (lambda: Poisson(epsilon=0), "epsilon"),
        (lambda: Poisson(log_input=1), "log_input"), (lambda: Focal(-1), "gamma"),
        (lambda: Focal(alpha=0.25), "BinaryFocal"), (lambda: Focal(alpha=(1, 0)), "alpha"),
        (lambda: BinaryFocal(alpha=1), "alpha"), (lambda: CrossEntropy(label_smoothing=1), "label_smoothing"),
        (lambda: BinaryCrossEntropy(label_smoothing=-0.1), "label_smoothing"),
        (lambda: CrossEntropy(ignore_index=1.5), "ignore_index"), (lambda: NLL(label_smoothing=0.1), "NLL"),
        (lambda: CosineDistance(epsilon=-1), "epsilon"),
    ],
)  # fmt: skip
def test_options_that_make_no_sense_are_refused(make: Any, says: str) -> None:
    with pytest.raises(OptionError, match=says):
        make()


def test_options_as_arrays_lists_and_aliases() -> None:
    assert Quantile(np.array([0.1, 0.9])) == Quantile([0.1, 0.9]) == Quantile(q=(0.1, 0.9))
    assert Quantile(tau=np.float32(0.5)) == Quantile(0.5)
    assert Focal(alpha=np.array([1, 2])) == Focal(alpha=[1.0, 2.0])
    assert Poisson(eps=1e-6) == Poisson(epsilon=1e-6)


def test_outputs_that_are_no_log_probabilities_or_rates_are_refused() -> None:
    x, y = np.random.default_rng(0).normal(size=(8, 3)), np.arange(8) % 2
    for loss, targets in ((NLL(), y), (KLDivergence(), np.eye(2)[y])):
        for last in (Dense(2), Softmax()):
            net = Network([Dense(2), last], loss=loss, optimizer=SGD(0.1))
            with pytest.raises(DataError, match=r"no log-probability.*LogSoftmax\(\)"):
                net.fit(x, targets, progress=False)
    net = Network([Dense(1)], loss=Poisson(log_input=False), optimizer=SGD(0.1))
    with pytest.raises(DataError, match=r"no rate.*Softplus\(\)"):
        net.fit(x, y[:, None], progress=False)


def test_focal_losses_take_logits() -> None:
    for loss in (Focal(), BinaryFocal()):
        with pytest.raises(GraphError, match="raw scores"):
            Network([Dense(2), Softmax()], inputs=2, loss=loss)
        with pytest.warns(UserWarning, match="raw scores"):
            Network([Dense(2), Softmax()], inputs=2, loss=loss.replace(allow_squashed=True))


# -------------------------------------------------------------------------------- label smoothing


def test_smoothed_labels_are_smoothed_rows() -> None:
    rng = np.random.default_rng(7)
    y, z, epsilon = rng.integers(0, 4, 9), rng.normal(size=(9, 4)), 0.2
    rows = (1 - epsilon) * np.eye(4)[y] + epsilon / 4
    loss = CrossEntropy(label_smoothing=epsilon)
    assert loss(y, z) == pytest.approx(CrossEntropy()(rows, z), rel=1e-14)
    assert loss(np.eye(4)[y], z) == pytest.approx(CrossEntropy()(rows, z), rel=1e-14)
    np.testing.assert_allclose(loss.gradient(y, z), CrossEntropy().gradient(rows, z), atol=1e-15)
    best = np.log(rows)  # the logits that smoothed labels ask for are finite
    np.testing.assert_allclose(loss.gradient(y, best), 0, atol=1e-15)


# ------------------------------------------------------------------------------------ ignore_index


def ignoring(rng: np.random.Generator, shape: tuple[int, ...], index: int) -> tuple[Any, Any]:
    """Logits of this shape, and labels of which about a third are to be ignored."""
    y = rng.integers(0, shape[-1], shape[:-1])
    y[rng.uniform(size=y.shape) < 0.35] = index
    return y, rng.normal(size=shape)


def pytorchs(y: np.ndarray, z: np.ndarray, **options: Any) -> tuple[float, np.ndarray]:
    tensor = torch.tensor(z, requires_grad=True)
    outputs = tensor if z.ndim == 2 else tensor.movedim(-1, 1)
    value = F.cross_entropy(outputs, torch.tensor(y), **options)
    value.backward()
    assert tensor.grad is not None
    return value.item(), tensor.grad.numpy()


@pytest.mark.parametrize("shape", [(12, 4), (5, 6, 3), (4, 3, 5, 3), (3, 1, 1, 2)], ids=str)
@pytest.mark.parametrize("index", [-100, -1, 0, 255])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_what_is_ignored_is_left_out_of_pytorchs_mean(
    shape: Any, index: int, smoothing: float
) -> None:
    y, z = ignoring(np.random.default_rng(8), shape, index)
    y.flat[0], y.flat[-1] = index, 1
    value, gradient = pytorchs(y, z, ignore_index=index, label_smoothing=smoothing)
    loss = CrossEntropy(ignore_index=index, label_smoothing=smoothing)
    for labels in (y, y.astype(float), y.astype("i2")):
        assert loss(labels, z) == pytest.approx(value, rel=1e-13)
        np.testing.assert_allclose(loss.gradient(labels, z), gradient, rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize("loss", [CrossEntropy(), NLL(), Focal(), CategoricalHinge()], ids=repr)
def test_with_weights_the_mean_is_over_the_weights_of_what_is_kept(loss: Any) -> None:
    rng = np.random.default_rng(9)
    y, z = ignoring(rng, (6, 5, 3), -1)
    z = LogSoftmax()(z)
    w, kept = rng.uniform(0.2, 3, 6), y >= 0
    one = loss.forward(y[kept], z[kept], Cache())
    weight = np.repeat(w, 5).reshape(6, 5)[kept]
    found = loss.replace(ignore_index=-1)(y, z, w)
    assert found == pytest.approx((weight * one).sum() / weight.sum(), rel=1e-13)
    flat = loss.replace(ignore_index=-1)(y.reshape(-1), z.reshape(-1, 3), np.repeat(w, 5))
    assert found == pytest.approx(flat, rel=1e-13)


def test_nothing_kept_is_worth_nothing() -> None:
    for shape in ((3, 4), (3, 2, 4)):
        y, z = np.full(shape[:-1], -1), np.random.default_rng(0).normal(size=shape)
        assert CrossEntropy(ignore_index=-1)(y, z) == 0
        assert not CrossEntropy(ignore_index=-1).gradient(y, z).any()


def test_labels_that_are_not_the_ignored_one_are_still_checked() -> None:
    with pytest.raises(DataError, match="row 1: label -2"):
        CrossEntropy(ignore_index=-1).prepare([-1, -2], (3,))
    with pytest.raises(DataError, match="row 0: label -1"):
        CrossEntropy().prepare([-1, 0], (3,))
    with pytest.raises(DataError, match="row 0, column 1: label 7"):
        CrossEntropy(ignore_index=-1).prepare([[-1, 7]], (2, 3))


def segmentation(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, Network]:
    x = rng.normal(size=(18, 4, 3, 2))
    y = (x[..., 0] > 0).astype(int) + (x[..., 1] > 0)
    y[rng.uniform(size=y.shape) < 0.3] = 255
    y[4], y[9] = 255, 0  # a picture without any label, and one with all
    net = Network(
        [Dense(3)], loss=CrossEntropy(ignore_index=255), optimizer=SGD(0.5), dtype="float64"
    )
    return x, y, net


@pytest.mark.parametrize("engine", ["numpy", "auto"])
@pytest.mark.parametrize("weighted", [False, True])
def test_pixels_are_ignored_in_training_as_in_pytorch(engine: str, weighted: bool) -> None:
    rng = np.random.default_rng(10)
    x, y, net = segmentation(rng)
    w = rng.uniform(0.5, 2, 18) if weighted else None
    net.engine = engine
    net.inputs_for(x)
    W, b = (torch.tensor(net.parameters[f"dense_1/{k}"], requires_grad=True) for k in "Wb")
    optimizer = torch.optim.SGD([W, b], 0.5)
    for _ in range(4):
        for start in range(0, 18, 6):
            rows = slice(start, start + 6)
            z = torch.tensor(x[rows]) @ W + b
            each_pixel = F.cross_entropy(
                z.movedim(-1, 1), torch.tensor(y[rows]), ignore_index=255, reduction="none"
            )
            kept = torch.tensor(y[rows] != 255).double()
            if w is not None:
                kept = kept * torch.tensor(w[rows])[:, None, None]
            optimizer.zero_grad()
            ((each_pixel * kept).sum() / kept.sum()).backward()
            optimizer.step()
    twin = net.copy()
    net.fit(x, y, epochs=4, batch_size=6, shuffle=False, progress=False, sample_weight=w)
    np.testing.assert_allclose(net.parameters["dense_1/W"], W.detach().numpy(), rtol=1e-10)
    # an update made of three parts is the update of the whole
    twin.fit(
        x, y, epochs=4, batch_size=2, accumulate=3, shuffle=False, progress=False, sample_weight=w
    )
    np.testing.assert_allclose(twin.parameters["dense_1/W"], W.detach().numpy(), rtol=1e-10)


@pytest.mark.parametrize("engine", ["numpy", "auto"])
def test_measures_leave_out_what_is_ignored(engine: str) -> None:
    x, y, net = segmentation(np.random.default_rng(11))
    net.engine = engine
    record = net.fit(
        x, y, epochs=2, validation=(x[:7], y[:7]), progress=False,
        metrics=["accuracy", "top_2_accuracy", "f1"],
    )  # fmt: skip
    found = net.evaluate(x, y, batch_size=5, metrics=["accuracy", "top_2_accuracy", "f1"])
    p, kept = net.predict(x)[y != 255], y[y != 255]
    assert found["accuracy"] == pytest.approx((p.argmax(axis=1) == kept).mean())
    assert found["top_2_accuracy"] == pytest.approx(sk.top_k_accuracy_score(kept, p, k=2))
    assert found["f1"] == pytest.approx(sk.f1_score(kept, p.argmax(axis=1), average="macro"))
    assert found["loss"] == pytest.approx(-np.log(p[np.arange(len(kept)), kept]).mean())
    first = y[:7] != 255
    z = net(x[:7])[first]
    assert record[-1]["validation_loss"] == pytest.approx(CrossEntropy()(y[:7][first], z))
    assert record[-1]["validation_accuracy"] == pytest.approx(
        (z.argmax(axis=1) == y[:7][first]).mean()
    )


def test_diagnose_and_trace_look_at_what_is_kept() -> None:
    x, y, net = segmentation(np.random.default_rng(16))
    net.fit(x, y, epochs=1, progress=False)
    assert not net.diagnose(x, y)
    assert "loss" in str(net.trace(x, y))
    assert net.gradcheck(x, y).passed


@pytest.mark.parametrize("engine", ["numpy", "auto"])
def test_rows_ignored_are_rows_left_out(engine: str) -> None:
    rng = np.random.default_rng(12)
    x, y = rng.normal(size=(40, 3)), rng.integers(0, 3, 40)
    y[::4] = -1
    kept = y >= 0

    def trained(x: Any, y: Any, loss: Loss, **options: Any) -> Network:
        net = Network([Dense(3)], loss=loss, optimizer=SGD(0.3), dtype="float64", engine=engine)
        net.fit(x, y, epochs=5, batch_size=len(y), shuffle=False, progress=False, **options)
        return net

    for options in ({}, {"class_weight": "balanced"}, {"class_weight": [1, 2, 3]}):
        ours = trained(x, y, CrossEntropy(ignore_index=-1), **options)
        plain = trained(x[kept], y[kept], CrossEntropy(), **options)
        np.testing.assert_allclose(ours.parameters.vector, plain.parameters.vector, rtol=1e-12)
        assert ours.evaluate(x, y) == pytest.approx(plain.evaluate(x[kept], y[kept]))
    step = ours.step(x, y)
    step.forward()
    assert step.loss() == pytest.approx(CrossEntropy()(y[kept], ours(x)[kept]))


def test_a_batch_from_a_generator_may_be_ignored_whole() -> None:
    rng = np.random.default_rng(13)
    x, y = rng.normal(size=(12, 3)), rng.integers(0, 2, 12)
    y[4:8] = -1
    net = Network([Dense(2)], inputs=3, loss=CrossEntropy(ignore_index=-1), optimizer=SGD(0.3))
    record = net.fit(
        lambda: ((x[i : i + 4], y[i : i + 4]) for i in (0, 4, 8)), epochs=2, progress=False
    )
    assert np.isfinite(record[-1]["loss"])
    assert net.updates == 6


def test_outputs_that_ignore_different_rows_are_refused_in_words() -> None:
    from pellucid import Input

    x = Input(2)
    net = Network(
        inputs=x, outputs={"a": Dense(2, name="a")(x), "b": Dense(2, name="b")(x)},
        optimizer=SGD(0.1),
    )  # fmt: skip
    names = list(net.graph.outputs)
    net.loss = dict.fromkeys(names, CrossEntropy(ignore_index=-1))
    data, same, other = np.ones((3, 2)), np.array([0, -1, 1]), np.array([-1, 0, 1])
    net.fit(data, dict.fromkeys(names, same), epochs=1, progress=False)
    with pytest.raises(DataError, match="different rows"):
        net.fit(data, dict(zip(names, (same, other), strict=True)), epochs=1, progress=False)


# --------------------------------------------------------------------------------------- Loss.of


def quartic(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    total: np.ndarray = ((p - y) ** 4).sum(axis=1)
    return total


def quartic_gradient(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    slope: np.ndarray = 4 * (p - y) ** 3
    return slope


def data(rows: int = 30) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(14).normal(size=(rows, 3))
    return x, x @ np.array([[1.0, 0.5], [-1, 0], [0.3, 0.3]])


@pytest.mark.parametrize("engine", ["numpy", "auto"])
def test_a_loss_of_two_functions_trains_a_network(engine: str) -> None:
    x, y = data()
    loss = Loss.of(quartic, quartic_gradient)
    net = Network([Dense(2)], loss=loss, optimizer=Adam(0.05), engine=engine)
    record = net.fit(x, y, epochs=20, progress=False)
    assert record[-1]["loss"] < 0.2 * record[0]["loss"]
    assert repr(loss) == "quartic()"
    assert repr(0.5 * loss) == "quartic(scale=0.5)"
    assert net.gradcheck(x, y).passed
    assert loss == Loss.of(quartic, quartic_gradient)
    assert net.copy().loss == loss


def test_a_wrong_gradient_is_found_at_first_use_and_both_numbers_shown() -> None:
    x, y = data()
    for wrong in (
        lambda y, p: -4 * (p - y) ** 3,  # the sign
        lambda y, p: 4 * (p - y) ** 3 / len(p),  # the mean over rows taken twice
        lambda y, p: 3 * (p - y) ** 3,
        lambda y, p: 4 * (p - y) ** 3 + 1e-3,
    ):
        net = Network([Dense(2)], loss=Loss.of(quartic, wrong), optimizer=SGD(0.01))
        with pytest.raises(GradientError, match=r"gradient says -?[\d.e+-]+, central differences"):
            net.fit(x, y, progress=False)
        assert net.updates == 0
    with pytest.raises(GradientError, match=r"row 0, column 0 gradient says 64, .* 32"):
        Loss.of(quartic, lambda y, p: 8 * (p - y) ** 3).gradient([[1.0]], [[3.0]])


def test_corners_and_large_values_do_not_look_wrong() -> None:
    def absolute(y: np.ndarray, p: np.ndarray) -> np.ndarray:
        total: np.ndarray = np.abs(p - y).sum(axis=1)
        return total

    at = np.zeros((4, 3))
    for slope in (-1, 0, 0.5, 1):
        Loss.of(absolute, lambda y, p, s=slope: np.where(p == y, s, np.sign(p - y))).gradient(
            at, at
        )
    with pytest.raises(GradientError):
        Loss.of(absolute, lambda y, p: np.where(p == y, 1.1, np.sign(p - y))).gradient(at, at)
    shifted = Loss.of(
        lambda y, p: 1e9 + ((p - y) ** 2).sum(axis=1), lambda y, p: 2 * (p - y), link=np.tanh
    )
    shifted.gradient(at, at + 0.3)
    np.testing.assert_array_equal(shifted.link(at), at)


def test_functions_of_the_wrong_shape_are_refused_in_words() -> None:
    p = np.ones((4, 2))
    with pytest.raises(ShapeError, match=r"value gives shape \(\) for 4 rows.*leave the mean"):
        Loss.of(lambda y, p: ((p - y) ** 2).mean(), quartic_gradient)(p, p)
    with pytest.raises(
        ShapeError, match=r"gradient gives shape \(4,\) for outputs of shape \(4, 2\)"
    ):
        Loss.of(quartic, lambda y, p: p[:, 0]).gradient(p, p)
    for arguments in ((1, quartic_gradient), (quartic, None)):
        with pytest.raises(OptionError, match="must be a function"):
            Loss.of(*arguments)
    with pytest.raises(OptionError, match="name"):
        Loss.of(quartic, quartic_gradient, name="")


def test_a_named_one_is_saved_and_loaded_and_pickled(tmp_path: Any) -> None:
    import pickle

    x, y = data()
    loss = Loss.of(quartic, quartic_gradient, name="tests.quartic")
    net = Network([Dense(2)], loss=loss * 2, optimizer=SGD(0.01))
    net.fit(x, y, epochs=2, progress=False)
    net.save(tmp_path / "net.safetensors")
    loaded = Network.load(tmp_path / "net.safetensors")
    assert loaded.loss == loss * 2
    assert loaded.evaluate(x, y) == net.evaluate(x, y)
    assert pickle.loads(pickle.dumps(loss * 2)) == loss * 2
    again = Loss.of(lambda y, p: 1 * quartic(y, p), quartic_gradient, name="tests.quartic")
    assert again != loss  # the newest of a name is what files get
    nameless = Network([Dense(2)], inputs=3, loss=Loss.of(quartic, quartic_gradient))
    with pytest.raises(Exception, match="cannot name yet"):
        nameless.save(tmp_path / "other.safetensors")


def test_sequences_and_reshaped_outputs() -> None:
    rng = np.random.default_rng(15)
    x, y = rng.normal(size=(10, 3)), rng.normal(size=(10, 2))
    net = Network([Dense(6), Reshape((2, 3))], loss=Quantile((0.1, 0.5, 0.9)), optimizer=Adam(0.05))
    net.fit(x, y, epochs=3, progress=False)
    assert net.predict(x).shape == (10, 2, 3)
