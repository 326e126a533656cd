"""Looking inside: gradient checks that name what is wrong, traces, and a diagnosis a fault."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from pellucid import (
    MSE,
    SGD,
    Adam,
    Add,
    AvgPool2D,
    BatchNorm,
    BinaryCrossEntropy,
    Conv2D,
    CrossEntropy,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Hinge,
    Input,
    LeakyReLU,
    Loss,
    MaxPool2D,
    Network,
    ReLU,
    Rescale,
    Sigmoid,
    Softmax,
    Standardize,
    Tanh,
    gradcheck,
    mlp,
)
from pellucid.errors import (
    DivergenceError,
    GradientError,
    NotBuiltError,
    OptionError,
    ShapeError,
    StepError,
)
from pellucid.insight.diagnosis import RULES
from pellucid.layers import Activation, Layer

RNG = np.random.default_rng(5)
X = RNG.normal(size=(40, 6))
Y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)


# ---- gradcheck -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "x"),
    [
        (Dense(3), X), (Conv2D(2, 3), RNG.normal(size=(2, 5, 5, 2))), (BatchNorm(), X),
        (Dropout(0.5), X), (Tanh(), X), (Add(), (X, X[::-1])),
        (Embedding(5, 2), np.array([[0, 1], [4, 4]])),
    ],
)  # fmt: skip
def test_right_layers_pass(layer: Any, x: Any) -> None:
    report = gradcheck(layer, x)
    assert report.passed
    assert report.worst.error < 1e-7


@pytest.mark.parametrize("loss", [MSE(), BinaryCrossEntropy(), CrossEntropy()])
def test_right_losses_pass(loss: Loss) -> None:
    target = Y if isinstance(loss, CrossEntropy) else RNG.integers(0, 2, (40, 3))
    assert gradcheck(loss, target, RNG.normal(size=(40, 3))).passed


class BackwardsLeaky(LeakyReLU):
    """A slope of the wrong sign."""

    def slope(self, z: Any, a: Any) -> Any:
        return np.where(z > 0, 1.0, -self.negative_slope)


class ForgetfulDense(Dense):
    """A bias gradient averaged where it should be summed."""

    def backward(self, dy: Any, p: Any, dp: Any, cache: Any) -> Any:
        dp.W += cache.x.T @ dy
        dp.b += dy.mean(axis=0)
        return dy @ p.W.T


class LosingDense(Dense):
    """A gradient assigned where it should be added."""

    def backward(self, dy: Any, p: Any, dp: Any, cache: Any) -> Any:
        dp.W = cache.x.T @ dy
        return dy @ p.W.T


def test_a_wrong_slope_is_named_with_both_numbers() -> None:
    with pytest.raises(GradientError) as caught:
        gradcheck(BackwardsLeaky(0.3), X)
    text = str(caught.value)
    assert "x0" in text
    assert "WRONG" in text
    assert "central difference" in text


def test_the_failing_parameter_is_named() -> None:
    net = Network([Dense(4), ReLU(), ForgetfulDense(3)], loss=CrossEntropy())
    with pytest.raises(GradientError, match=r"the gradient of forgetful_dense_1/b does not agree"):
        net.gradcheck(X, Y)


def test_a_lost_gradient_cannot_happen_silently() -> None:
    net = Network([LosingDense(3)], loss=CrossEntropy())
    with pytest.raises(Exception, match="cannot be replaced"):
        net.gradcheck(X, Y)


def test_gradcheck_sees_large_networks_with_few_passes() -> None:
    net = mlp([200, 300, 10], loss=CrossEntropy())
    assert net.gradcheck(RNG.normal(size=(4, 200)), np.arange(4)).passed


# Blank borders: every window there is a tie, and with biases of 0 every z is exactly 0.
BLANK = np.zeros((6, 10, 10, 1))
BLANK[:, 3:7, 4:8] = RNG.uniform(size=(6, 4, 4, 1))
CLASSES = np.arange(6) % 3


class UnevenPool(MaxPool2D):
    """A gradient that is a little too large."""

    def backward(self, dy: Any, p: Any, dp: Any, cache: Any) -> Any:
        return 1.01 * super().backward(dy, p, dp, cache)


def on_blank(conv: Any, pool: Any, activation: Any, norm: bool) -> Network:
    first = [conv, *([BatchNorm()] if norm else []), *activation, *pool]
    layers = [*first, Conv2D(4, 2), ReLU(), Flatten(), Dense(3)]
    return Network(layers, inputs=(10, 10, 1), loss=CrossEntropy(), optimizer=Adam(0.01), seed=2)


@pytest.mark.parametrize("epochs", [0, 3])
@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("activation", [[ReLU()], []], ids=["relu", "linear"])
@pytest.mark.parametrize("pool", [[MaxPool2D(2)], [AvgPool2D(2)], []], ids=["max", "mean", "none"])
def test_gradients_at_kinks_are_not_called_wrong(
    pool: Any, activation: Any, norm: bool, epochs: int
) -> None:
    net = on_blank(Conv2D(3, 3), pool, activation, norm)
    if epochs:
        net.fit(BLANK, CLASSES, epochs=epochs, progress=False)
    before = net.parameters.vector.copy()
    report = net.gradcheck(BLANK, CLASSES)
    assert report.passed
    assert np.array_equal(net.parameters.vector, before)
    assert str(report) == str(net.gradcheck(BLANK, CLASSES))
    if pool == [MaxPool2D(2)]:
        assert "ok; at a kink: checked beside it" in str(report)


@pytest.mark.parametrize("seed", range(5))
def test_a_slip_is_found_among_kinks(seed: int) -> None:
    slips: list[tuple[Network, str]] = [
        (on_blank(Conv2D(3, 3), [UnevenPool(2)], [ReLU()], False), "conv2d_1/W"),
        (on_blank(Conv2D(3, 3), [MaxPool2D(2)], [BackwardsLeaky(0.3)], False), "conv2d_1/W"),
    ]
    layers = [Conv2D(3, 3), ReLU(), MaxPool2D(2), Flatten(), ForgetfulDense(3)]
    net = Network(layers, inputs=(10, 10, 1), loss=CrossEntropy())
    slips.append((net, "forgetful_dense_1/b"))
    for slip, name in slips:
        with pytest.raises(GradientError, match=name):
            slip.gradcheck(BLANK, CLASSES, seed=seed)


def test_a_layer_and_a_loss_at_a_kink() -> None:
    assert "at a kink" in str(gradcheck(MaxPool2D(2), BLANK))
    assert "at a kink" in str(gradcheck(ReLU(), np.zeros((4, 3))))
    assert "at a kink" in str(gradcheck(Hinge(), np.ones((4, 1)), np.ones((4, 1))))
    with pytest.raises(GradientError, match=r"WRONG, .*; at a kink: checked beside it"):
        gradcheck(UnevenPool(2), BLANK)


def test_gradcheck_refuses_what_has_no_gradient() -> None:
    with pytest.raises(OptionError, match="network, a layer or a loss"):
        gradcheck(SGD(0.1), X)  # type: ignore[arg-type]


# ---- trace ---------------------------------------------------------------------------------------


def test_the_regression_by_hand_every_number() -> None:
    net = Network(
        [Dense(2), ReLU(), Dense(1)], inputs=1, loss=MSE(), optimizer=SGD(0.01), dtype="float64"
    )
    net.parameters["dense_1/W"], net.parameters["dense_1/b"] = [[0.73, 0.2]], [4, 2]
    net.parameters["dense_2/W"], net.parameters["dense_2/b"] = [[0.4], [0.1]], [4]
    x, y = np.array([[10.0, 20, -20, -40, -3]]).T, np.array([[9.0, 13, 5, -2, -1]]).T
    trace = net.trace(x, y)
    near = {"rtol": 0, "atol": 1e-9}
    assert np.allclose(trace.values["dense_2"].ravel(), [8.92, 12.04, 4, 4, 4.864], **near)
    assert trace.loss == pytest.approx(np.mean([0.0064, 0.9216, 1, 36, 34.386496]), abs=1e-9)
    expected = {"dense_2/W": [-3.258464, 0.85184], "dense_2/b": [3.9296],
                "dense_1/W": [-6.01472, -1.50368], "dense_1/b": [0.77184, 0.19296]}  # fmt: skip
    for name, value in expected.items():
        assert np.allclose(trace.gradients[name].ravel(), value, **near), name
        assert np.allclose(trace.changes[name].ravel(), -0.01 * np.array(value), **near)
    text = str(trace)
    for part in ("forward", "loss", "backward", "update", "(5, 2) float64", "8.92", "-6.0147"):
        assert part in text


def test_a_trace_of_a_graph_with_two_outputs() -> None:
    x = Input(6)
    h = Dense(4, name="body")(x)
    net = Network(inputs=x, outputs={"a": Dense(3)(h), "b": Dense(1)(h)},
                  loss={"a": CrossEntropy(), "b": MSE()})  # fmt: skip
    before = net.parameters.vector.copy()
    text = str(net.trace(X, {"a": Y, "b": X[:, :1]}))
    assert "d/body" in text
    assert "CrossEntropy() + MSE()" in text
    assert np.array_equal(net.parameters.vector, before)


@dataclass(frozen=True, repr=False)
class RowSum(Layer):
    """Forgets to say that it changes the shape."""

    def forward(self, x: Any, p: Any, cache: Any) -> Any:
        return x.sum(axis=1, keepdims=True)

    def backward(self, dy: Any, p: Any, dp: Any, cache: Any) -> Any:
        return np.repeat(dy, 6, axis=1)


@dataclass(frozen=True, repr=False)
class MeanOverRows(Loss):
    """Takes the mean itself, which fit would do again."""

    def forward(self, y_true: Any, y_pred: Any, cache: Any) -> Any:
        cache.error = y_pred - y_true
        return (cache.error**2).mean()

    def backward(self, cache: Any) -> Any:
        return 2 * cache.error / cache.error.size


def test_pieces_that_break_their_contract() -> None:
    with pytest.raises(ShapeError, match=r"forward gives \(40, 1\), but output_spec says \(B, 6\)"):
        gradcheck(RowSum(), X)
    with pytest.raises(ShapeError, match=r"each row's own value, \(40,\)"):
        gradcheck(MeanOverRows(), np.zeros((40, 6)), X)


def test_trace_without_targets() -> None:
    with pytest.raises(StepError, match=r"trace\(x, y\)"):
        mlp([6, 3], loss=CrossEntropy()).trace(X)


# ---- diagnose --------------------------------------------------------------------------------------


def trained(layers: list[Any], x: Any, y: Any) -> Network:
    net = Network(layers, loss=CrossEntropy(), optimizer=Adam(0.01))
    net.fit(x, y, epochs=20, progress=False)
    return net


def rules(net: Network, *data: Any) -> list[str]:
    return [finding.rule for finding in net.diagnose(*data)]


def test_a_healthy_network_is_left_in_peace() -> None:
    net = trained([Dense(16), ReLU(), Dense(3)], X, Y)
    assert not net.diagnose(X, Y)
    assert "nothing found" in str(net.diagnose(X, Y))
    assert not Network([Dense(3)], inputs=6).diagnose()


def test_what_was_not_looked_at_is_not_said_to_be_fine() -> None:
    net = Network([Dense(3)], loss=CrossEntropy())
    with pytest.raises(NotBuiltError, match="not built yet"):
        net.diagnose()
    found = net.build(6).diagnose()
    needs = {
        need: tuple(n for n, r in RULES.items() if r.needs == need) for need in ("", "targets")
    }
    assert found.rules == needs[""]
    assert {"not finite", "squashed outputs"} <= set(found.rules)
    assert "with x and y also: unscaled inputs" in str(found)
    assert net.diagnose(X).wanting == needs["targets"]
    assert "no better than chance" in needs["targets"]
    assert net.diagnose(X, Y).wanting == ()


def test_statistics_of_other_data() -> None:
    net = Network([Standardize(), Dense(3)], loss=CrossEntropy(), optimizer=SGD(0.1))
    assert rules(net, 1000 * X, Y) == []  # fit will adapt it to them
    assert net.state["standardize_1/count"] == 0
    net.fit(X, Y, epochs=1, progress=False)
    (finding,) = [f for f in net.diagnose(1000 * X, Y) if f.rule == "unscaled inputs"]
    assert "standardize_1 learnt its statistics from other data" in finding.reason
    assert "Standardize()" not in finding.remedy


def test_nan_in_the_data_is_placed() -> None:
    x = X.copy()
    x[3, 2] = x[5, 0] = np.nan
    for layers in ([Dense(3)], [Standardize(), Dense(3)]):
        (finding,) = Network(layers, loss=CrossEntropy()).diagnose(x, Y)
        assert finding.place == "input"
        assert finding.evidence == f"nan at row 3, column 2; 2 of {len(x)} rows have any"


def test_targets_far_from_one() -> None:
    net = Network([Dense(1)], loss=MSE(), optimizer=SGD(1e-6))
    y = 1e5 * X[:, :1]
    net.fit(X, y, epochs=1, progress=False)
    (finding,) = net.diagnose(X, y)
    assert "(y - y.mean()) / y.std()" in finding.remedy


def test_unscaled_inputs() -> None:
    pixels = RNG.integers(0, 256, (40, 6)).astype(np.uint8)
    net = Network([Flatten(), Dense(3)], loss=CrossEntropy())
    (finding,) = net.diagnose(pixels, Y)
    assert finding.rule == "unscaled inputs"
    assert finding.place == "dense_1"
    assert "Rescale(1 / 255)" in finding.remedy
    assert rules(Network([Rescale(1 / 255), Dense(3)], loss=CrossEntropy()), pixels, Y) == []


def test_dead_units() -> None:
    net = Network([Dense(10), ReLU(), Dense(3)], inputs=6, loss=CrossEntropy())
    net.parameters["dense_1/b"][:4] = -100
    (finding,) = net.diagnose(X, Y)
    assert finding.rule == "dead units"
    assert finding.place == "relu_1"
    assert "4 of 10 units" in finding.evidence
    leaky = Network([Dense(10), LeakyReLU(), Dense(3)], inputs=6, loss=CrossEntropy())
    leaky.parameters["dense_1/b"][:4] = -100
    assert rules(leaky, X, Y) == []


@pytest.mark.parametrize(
    ("loss", "y"),
    [(CrossEntropy(), RNG.integers(0, 3, 40)), (MSE(), RNG.normal(size=(40, 3))),
     (BinaryCrossEntropy(), RNG.integers(0, 2, (40, 3)))],
)  # fmt: skip
def test_loss_no_better_than_chance(loss: Loss, y: Any) -> None:
    net = Network([Dense(3)], inputs=6, loss=loss, optimizer=SGD(1e-9))
    net.parameters.vector[...] = 0
    net.fit(X, y, epochs=1, progress=False)
    assert rules(net, X, y) == ["no better than chance"]


@dataclass(frozen=True, repr=False)
class Logarithm(Activation):
    """Not a number for half of all inputs."""

    def value(self, z: Any) -> Any:
        return np.log(z)

    def slope(self, z: Any, a: Any) -> Any:
        return 1 / z


def test_the_first_source_of_nan() -> None:
    net = Network([Dense(4), Logarithm(), Dense(3)], inputs=6, loss=CrossEntropy())
    (finding,) = net.diagnose(X, Y)
    assert finding.rule == "not finite"
    assert finding.place == "logarithm_1"
    assert "starts here" in finding.reason
    net.parameters["dense_2/W"][0] = np.inf
    assert next(iter(net.diagnose())).place == "dense_2/W"


def test_divergence_is_remembered() -> None:
    net = Network([Dense(8), ReLU(), Dense(1)], loss=MSE(), optimizer=SGD(1e6), inputs=6)
    with pytest.raises(DivergenceError):
        net.fit(X, 100 * X[:, :1], epochs=5, batch_size=5, progress=False)
    assert "not finite" in rules(net)


@pytest.mark.parametrize("layer", [Softmax(), Sigmoid()])
def test_squashed_outputs(layer: Any) -> None:
    with pytest.warns(UserWarning, match="already gives probabilities"):
        net = Network([Dense(10), layer], inputs=6, loss=CrossEntropy(allow_squashed=True))
    (finding,) = net.diagnose()
    assert finding.rule == "squashed outputs"
    assert "1.4612" in finding.evidence
    assert "remove" in finding.remedy
