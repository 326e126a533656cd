"""diagnose: every rule names the fault that is planted, and is silent where nothing is wrong."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pellucid import (
    L2,
    LBFGS,
    MSE,
    SGD,
    Adam,
    Add,
    BatchNorm,
    BinaryCrossEntropy,
    Conv2D,
    CrossEntropy,
    Dense,
    Dropout,
    EarlyStopping,
    Embedding,
    Flatten,
    GlobalAvgPool2D,
    Input,
    LeakyReLU,
    MaxPool2D,
    Network,
    Normal,
    ReLU,
    Rescale,
    Residual,
    Sigmoid,
    Softmax,
    Standardize,
    Tanh,
    WarmUp,
    Zeros,
)
from pellucid.data import Dataset, digits, digits_8x8
from pellucid.insight.diagnosis import RULES
from pellucid.training import TrainingState

RNG = np.random.default_rng(17)
X = RNG.normal(size=(200, 6)).astype(np.float32)
Y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)
T = X[:, :2] + X[:, 1:3] ** 2


def told(net: Network, *data: Any) -> list[str]:
    return [finding.rule for finding in net.diagnose(*data)]


def classes(*layers: Any, **options: Any) -> Network:
    settings: dict[str, Any] = {"loss": CrossEntropy(), "optimizer": SGD(0.1), "inputs": 6}
    return Network([*layers], **settings | options)


def values(*layers: Any, **options: Any) -> Network:
    return classes(*layers, **{"loss": MSE(), **options})


def fitted(net: Network, x: Any = X, y: Any = Y, **options: Any) -> Network:
    net.fit(x, y, **{"epochs": 3, "progress": False, **options})
    return net


def curves(**columns: list[float]) -> Network:
    """A network whose last run has this record."""
    net = classes(Dense(3))
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    net.training = TrainingState(rows=[{"epoch": i + 1, **row} for i, row in enumerate(rows)])
    return net


def wide(x: Any, value: float) -> Any:
    return np.concatenate([x, np.full((len(x), 1), value, np.float32)], axis=1)


def frozen() -> Network:
    return classes(Dense(8, trainable=False), ReLU(), Dense(3, trainable=False))


def dead() -> Network:
    net = classes(Dense(10), ReLU(), Dense(3))
    net.parameters["dense_1/b"][:4] = -100
    return net


def constant(value: float) -> Network:
    net = classes(Dense(10), ReLU(), Dense(3))
    net.parameters.vector[...] = value
    return net


def unreached() -> Network:
    """A branch whose outputs are multiplied by zeros."""
    x = Input(6)
    aside = Dense(4, kernel_initializer=Zeros(), name="last")(Tanh()(Dense(4)(x)))
    return classes_of(x, Add()(Dense(4)(x), aside))


def classes_of(x: Any, y: Any) -> Network:
    return Network(inputs=x, outputs=y, loss=CrossEntropy(), optimizer=SGD(0.1))


def deep(activation: Any, start: Any = "auto", depth: int = 8) -> Network:
    layers = [Dense(24, kernel_initializer=start), activation] * depth
    return classes(*layers, Dense(3))


def rare() -> tuple[Any, Any]:
    y = np.zeros(200, int)
    y[:20] = 1
    return RNG.permutation(X), y


def squashed(layer: Any) -> Network:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return classes(Dense(3), layer, loss=CrossEntropy(allow_squashed=True))


# Each fault: the rule that names it, the network, its data, words of the finding.
FAULTS: list[tuple[str, Callable[[], Network], tuple[Any, ...], str]] = [
    ("not finite", lambda: classes(Dense(3)), (np.where(X > 2, np.nan, X), Y), "input: nan at row"),
    ("nothing to train", frozen, (), "none of its 83 parameters is trainable"),
    ("nothing to train", lambda: values(Tanh()), (), "none of its layers has parameters"),
    ("squashed outputs", lambda: squashed(Softmax()), (), "remove softmax_1"),
    ("squashed outputs", lambda: squashed(Sigmoid()), (), "cannot fall below 0.5514"),
    ("softmax of one", lambda: values(Dense(1), Softmax()), (), "loss=BinaryCrossEntropy()"),
    ("linear stack", lambda: classes(Dense(8), Dense(3)), (), "put ReLU() after dense_1"),
    ("linear stack", lambda: classes(Conv2D(4, 3), Flatten(), Dropout(0.2), Dense(3), inputs=(8, 8, 1)),
     (), "conv2d_1 feeds dense_1"),
    ("misplaced dropout", lambda: classes(Dense(8), ReLU(), Dense(3), Dropout(0.5)), (),
     "in front of the last dense layer"),
    ("misplaced dropout", lambda: classes(Dense(8), ReLU(), Dropout(0.9), Dense(3)), (), "drops 90%"),
    ("tiny batches", lambda: fitted(classes(Dense(8), BatchNorm(), ReLU(), Dense(3)), batch_size=2), (),
     "2 rows a batch"),
    ("unscaled inputs", lambda: classes(Dense(8), ReLU(), Dense(3)), (100 * X, Y), "Standardize()"),
    ("constant inputs", lambda: classes(Dense(3)), (np.repeat(X[:1], 200, 0), Y), "all 200 rows"),
    ("constant inputs", lambda: classes(Dense(3), inputs=7), (wide(X, 4.0), Y), "column 6 is 4 in all"),
    ("unreachable targets", lambda: values(Dense(8), ReLU(), Dense(2), ReLU()), (X, T), "are not 0 or more"),
    ("unreachable targets", lambda: values(Dense(8), ReLU(), Dense(2), Sigmoid()), (X, T), "scale y to be in 0 … 1"),
    ("unreachable targets", lambda: values(Dense(8), ReLU(), Dense(2), Tanh()), (X, T), "in -1 … 1"),
    ("unreachable targets", lambda: classes(Dense(8), ReLU(), Dense(3), ReLU()), (), "scores of both signs"),
    ("sorted rows", lambda: fitted(classes(Dense(3)), X, np.sort(Y), shuffle=False), (X, np.sort(Y)),
     "change their class 2 times"),
    ("dead units", dead, (X,), "4 of 10 units"),
    ("symmetric units", lambda: classes(Dense(8, kernel_initializer="ones"), Tanh(),
                                        Dense(3, kernel_initializer="ones")), (X, Y), "its 8 units"),
    ("symmetric units", lambda: classes(Dense(8, kernel_initializer="zeros"), Tanh(),
                                        Dense(3, kernel_initializer="zeros")), (X, Y), "its 8 units"),
    ("symmetric units", lambda: constant(0.0), (X, Y), "the same weights (all of them 0)"),
    ("symmetric units", lambda: constant(0.0), (X,), "the same weights (all of them 0)"),
    ("symmetric units", lambda: fitted(constant(0.0)), (X, Y), "the same weights (all of them 0)"),
    ("symmetric units", lambda: constant(0.5), (X, Y), "the same weights (all of them 0.5)"),
    ("saturated units", lambda: classes(Dense(8, kernel_initializer=Normal(std=20)), Sigmoid(), Dense(3)), (X,),
     "of the 0.25 that it can be"),
    ("saturated units", lambda: classes(Dense(8, kernel_initializer=Normal(std=20)), Tanh(), Dense(3)), (X,),
     "of the 1 that it can be"),
    ("no gradient", unreached, (X, Y), "exactly 0 in all 24 places"),
    ("vanishing gradients", lambda: deep(Sigmoid()), (X, Y), "8 layers later"),
    ("exploding gradients", lambda: deep(LeakyReLU(0.5), Normal(std=1.5)), (X, Y), "8 layers later"),
    ("large first loss", lambda: classes(Dense(3, kernel_initializer=Normal(std=10))), (X, Y), "before the first update"),
    ("large first loss", lambda: values(Dense(2)), (X, T + 50), "(y - y.mean()) / y.std()"),
    ("heavy penalty", lambda: classes(Dense(8), ReLU(), Dense(3), penalty=L2(5.0)), (X, Y), "L2(5.0)"),
    ("steps too large", lambda: classes(Dense(8), ReLU(), Dense(3), optimizer=SGD(100)), (X, Y),
     "ten times smaller than 100"),
    ("steps too large", lambda: values(Dense(8), ReLU(), Dense(2), optimizer=Adam(2.0)), (X, T),
     "the loss of the same rows from"),
    ("steps too large", lambda: fitted(classes(Dense(32), ReLU(), Dense(3), optimizer=Adam(5.0)), epochs=1), (X, Y),
     "ten to a hundred times smaller than 5"),
    ("steps too large", lambda: fitted(classes(Dense(32), Tanh(), Dense(3), optimizer=Adam(5.0)), X[:64], Y[:64], epochs=1),
     (X, Y), "2 updates have taken the loss of the same rows from"),
    ("steps too small", lambda: classes(Dense(8), ReLU(), Dense(3), optimizer=SGD(1e-7)), (X, Y),
     "a hundred times larger than 1e-07"),
    ("steps too small", lambda: values(Dense(8), ReLU(), Dense(2), optimizer=Adam(1e-7)), (X, T), "every other layer"),
    ("majority only", lambda: fitted(classes(Dense(2)), *rare(), epochs=20), rare(), 'class_weight="balanced"'),
    ("overfitting", lambda: curves(loss=[1.0, 0.7, 0.5, 0.3, 0.2, 0.1],
                                   validation_loss=[1.0, 0.8, 0.7, 0.8, 0.9, 1.0]), (), "since epoch 3"),
    ("unsteady loss", lambda: curves(loss=[1.0, 2.0, 0.6, 1.1, 0.5, 0.9, 0.4]), (), "rose 3 times"),
    ("no better than chance", lambda: fitted(classes(Dense(3)), X, RNG.permutation(Y), epochs=1),
     (X, RNG.permutation(Y)), "always answering with the average"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "make", "data", "words"), FAULTS, ids=[f[0] for f in FAULTS])
def test_the_fault_is_named(
    rule: str, make: Callable[[], Network], data: tuple[Any, ...], words: str
) -> None:
    net = make()
    before = net.parameters.vector.copy(), net.state.vector.copy(), net.updates
    found = net.diagnose(*data)
    assert [f.rule for f in found] == [rule], str(found)
    (finding,) = found
    assert words in str(finding)
    assert finding.place
    assert finding.reason
    assert finding.remedy
    assert np.array_equal(net.parameters.vector, before[0])
    assert np.array_equal(net.state.vector, before[1])
    assert net.updates == before[2]


def test_every_rule_has_its_fault() -> None:
    assert {fault[0] for fault in FAULTS} == set(RULES)
    assert len(RULES) >= 15
    assert {name for rule in RULES.values() for name in rule.explained_by} <= set(RULES)


def test_the_remedies_work() -> None:
    """What is advised makes the finding go away."""
    assert told(classes(Rescale(0.01), Dense(8), ReLU(), Dense(3)), 100 * X, Y) == []
    assert told(classes(Dense(8), ReLU(), Dense(3), Dropout(0.5)), X, Y) == ["misplaced dropout"]
    assert told(classes(Dense(8), ReLU(), Dropout(0.5), Dense(3)), X, Y) == []
    assert told(deep(ReLU()), X, Y) == []
    z = (T + 50 - (T + 50).mean()) / T.std()
    assert told(values(Dense(2)), X, z) == []
    x, y = rare()
    assert told(fitted(classes(Dense(2)), x, y, class_weight="balanced"), x, y) != ["majority only"]


def cnn() -> Network:
    layers = [Rescale(1 / 16), Conv2D(8, 3), BatchNorm(), ReLU(), MaxPool2D(2), Conv2D(16, 2), ReLU(),
              GlobalAvgPool2D(), Dropout(0.2), Dense(10)]  # fmt: skip
    return Network(layers, inputs=(8, 8, 1), loss=CrossEntropy(), optimizer=Adam(3e-3))


HEALTHY: list[tuple[str, Callable[[], Network]]] = [
    ("relu", lambda: classes(Dense(16), ReLU(), Dense(3), optimizer=Adam(0.01))),
    ("sigmoids", lambda: classes(Dense(16), Sigmoid(), Dense(16), Sigmoid(), Dense(3), optimizer=Adam(0.01))),
    ("tanh", lambda: classes(Dense(16), Tanh(), Dense(3), optimizer=SGD(0.1, momentum=0.9))),
    ("linear", lambda: classes(Dense(3, kernel_initializer="zeros"))),
    ("warm-up", lambda: classes(Dense(16), ReLU(), Dense(3), optimizer=Adam(WarmUp(0.01, 50)))),
    ("batch norm", lambda: classes(Dense(16), BatchNorm(), ReLU(), Dropout(0.3), Dense(3), optimizer=Adam(0.01))),
    ("bottleneck", lambda: classes(Dense(4), Dense(16), ReLU(), Dense(3), optimizer=Adam(0.01))),
    ("penalty", lambda: classes(Dense(16), ReLU(), Dense(3), penalty=L2(1e-3))),
    ("residual", lambda: classes(Dense(16), ReLU(), Residual([Dense(16), ReLU(), Dense(16)]), ReLU(), Dense(3),
                                 optimizer=Adam(0.01))),
    ("lbfgs", lambda: classes(Dense(8), Tanh(), Dense(3), optimizer=LBFGS(max_iter=30))),
]  # fmt: skip


@pytest.mark.parametrize("make", [h[1] for h in HEALTHY], ids=[h[0] for h in HEALTHY])
def test_nothing_is_said_of_what_is_well(make: Callable[[], Network]) -> None:
    net = make()
    assert told(net, X, Y) == []
    assert told(fitted(net, epochs=10, validation=0.2), X, Y) == []
    assert told(fitted(net, epochs=20), X, Y) == []


def test_nothing_is_said_of_values_that_are_learnt() -> None:
    for layers in ([Dense(16), ReLU(), Dense(2)], [Dense(16), Tanh(), Dense(2)], [Dense(2)]):
        net = values(*layers, optimizer=Adam(0.01))
        assert told(net, X, T) == []
        assert told(fitted(net, X, T, epochs=30), X, T) == []
    net = values(Dense(8), ReLU(), Dense(2), Sigmoid(), optimizer=Adam(0.02))
    y = 1 / (1 + np.exp(-3 * T))
    assert told(fitted(net, X, y, epochs=40), X, y) == []
    yes = classes(Dense(8), ReLU(), Dense(1), loss=BinaryCrossEntropy(), optimizer=Adam(0.01))
    y = (Y > 0).astype(int)[:, None]
    assert told(fitted(yes, X, y, epochs=20), X, y) == []


def test_nothing_is_said_of_a_cnn_on_digits() -> None:
    x, y = digits_8x8()
    train, test = Dataset(x[:1400, ..., None], y[:1400]), Dataset(x[1400:, ..., None], y[1400:])
    net = cnn()
    assert told(net, train) == []
    net.fit(train, epochs=5, validation=test, progress=False)
    assert told(net, test) == []


@pytest.mark.parametrize("optimizer", [Adam(1e-3), Adam(3e-3), SGD(0.1), SGD(0.02, momentum=0.9)])
def test_nothing_is_said_of_the_handwritten_digits(optimizer: Any) -> None:
    train, test = digits()
    net = Network([Rescale(1 / 255), Flatten(), Dense(64), ReLU(), Dense(10)], loss=CrossEntropy(),
                  optimizer=optimizer)  # fmt: skip
    assert told(net, train) == []
    net.fit(train, epochs=3, batch_size=64, validation=test, progress=False)
    assert told(net, train) == []
    assert told(net, test) == []


def test_nothing_is_said_of_words() -> None:
    tokens = RNG.integers(0, 20, (100, 5))
    net = Network(
        [Embedding(20, 8), Flatten(), Dense(3)], loss=CrossEntropy(), optimizer=Adam(0.01)
    )
    y = tokens[:, 0] % 3
    assert told(net, tokens, y) == []
    assert told(fitted(net, tokens, y, epochs=20), tokens, y) == []


def test_one_cause_one_finding() -> None:
    """Raw pixels make the first loss large and the steps long; only they are told of."""
    train, _ = digits()
    net = Network(
        [Flatten(), Dense(16), Sigmoid(), Dense(10)], loss=CrossEntropy(), optimizer=SGD(1.0)
    )
    assert told(net, train) == ["unscaled inputs"]


def test_a_run_that_is_not_at_its_end_hears_of_its_rate_first() -> None:
    def made(rate: float) -> Network:
        net = classes(Dense(8), ReLU(), Dense(3), optimizer=SGD(rate), seed=3)
        return fitted(net, X[:64], Y[:64], epochs=1)

    (slow,) = made(1e-4).diagnose(X, Y)
    assert slow.rule == "no better than chance"
    assert slow.remedy.startswith("a learning rate ten times larger than 0.0001 (a step changes")
    (usual,) = made(5e-3).diagnose(X, Y)
    assert usual.remedy.startswith("train longer (each step changes")


def test_a_network_that_learnt_other_rows_by_heart_has_no_steps_too_large() -> None:
    x, y = RNG.normal(size=(40, 6)).astype(np.float32), RNG.integers(0, 3, 40)
    net = fitted(classes(Dense(64), ReLU(), Dense(3), optimizer=Adam(0.02)), x, y, epochs=200)
    assert net.evaluate(X, Y)["loss"] > 3 * np.log(3)
    assert "steps too large" not in told(net, X, Y)


def test_early_stopping_answers_overfitting() -> None:
    x, y = RNG.normal(size=(40, 6)).astype(np.float32), RNG.integers(0, 2, 40)
    options = {"epochs": 150, "batch_size": 8, "validation": (X, (Y > 1).astype(int))}

    def made() -> Network:
        return classes(Dense(64), ReLU(), Dense(2), optimizer=Adam(0.01))

    assert "overfitting" in told(fitted(made(), x, y, **options), x, y)
    stopped = fitted(made(), x, y, callbacks=[EarlyStopping(patience=5)], **options)
    assert "overfitting" not in told(stopped, x, y)


def test_a_second_run_after_a_bad_one_is_judged_by_itself() -> None:
    net = fitted(
        classes(Dense(8), BatchNorm(), ReLU(), Dense(3), optimizer=Adam(0.01)), batch_size=2
    )
    assert told(net) == ["tiny batches"]
    fitted(net, batch_size=32)
    assert told(net) == []


def test_a_step_that_cannot_be_tried_is_left_out() -> None:
    net = classes(Dense(8), BatchNorm(), ReLU(), Dense(3))
    assert told(net, X[:1], Y[:1]) == []  # one row has no batch statistics
    assert told(classes(Dense(3)), X[:0], Y[:0]) == []
    assert told(classes(Dense(3), optimizer=None), X, Y) == []
    x = Input(6)
    both = Network(inputs=x, outputs={"a": Dense(3)(x), "b": Dense(2)(x)}, optimizer=Adam(0.01),
                   loss={"a": CrossEntropy(), "b": MSE()})  # fmt: skip
    assert told(both, X, {"a": Y, "b": T}) == []
    assert Standardize().adapts
    assert (
        told(
            Network([Standardize(), Dense(3)], loss=CrossEntropy(), optimizer=SGD(0.1)),
            50 * X + 9,
            Y,
        )
        == []
    )
