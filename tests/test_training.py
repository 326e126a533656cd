"""Training: every row once an epoch, what events promise, what the record says, how runs end."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from typing import Any

import numpy as np
import pytest

from pellucid import (
    MSE,
    SGD,
    Adam,
    BatchNorm,
    BinaryCrossEntropy,
    CrossEntropy,
    Dense,
    Dropout,
    EarlyStopping,
    Loss,
    Network,
    Observer,
    ReLU,
    Standardize,
    WarmUp,
    mlp,
)
from pellucid.data import Dataset, digits_8x8
from pellucid.errors import DataError, DivergenceError, NotBuiltError, OptionError, ShapeError
from pellucid.events import EpochEnd, PhaseEnd, RunEnd, RunStart, StepEnd
from pellucid.training.batches import ArrayBatches, shuffled
from pellucid.training.checked import as_data

RNG = np.random.default_rng(3)
X = RNG.normal(size=(50, 6)).astype(np.float32)
Y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)


def classifier(**options: Any) -> Network:
    net = Network(
        [Dense(8), ReLU(), Dense(3)], loss=CrossEntropy(), optimizer=Adam(0.01), **options
    )
    net.build(6)
    return net


class Seen(Observer):
    """Remembers every event as (kind, number)."""

    def __init__(self, every: int | None = None, phases: bool = False) -> None:
        self.every, self.phases = every, phases
        self.log: list[tuple[str, Any]] = []

    def on_run_start(self, event: RunStart) -> None:
        self.log.append(("start", event.steps_per_epoch))

    def on_step(self, event: StepEnd) -> None:
        self.log.append(("step", event.step))

    def on_phase(self, event: PhaseEnd) -> None:
        self.log.append((event.phase, event.step))

    def on_epoch(self, event: EpochEnd) -> None:
        self.log.append(("epoch", event.epoch))

    def on_run_end(self, event: RunEnd) -> None:
        self.log.append(("end", event.reason))


# ---- which rows, in which order ------------------------------------------------------------------


@pytest.mark.parametrize(("rows", "size", "accumulate"), [(50, 7, 1), (50, 50, 1), (50, 64, 1),
                                                          (50, 7, 3), (6, 1, 1), (6400, 64, 1)])  # fmt: skip
def test_every_row_is_visited_once_an_epoch(rows: int, size: int, accumulate: int) -> None:
    net = Network([Dense(1)], inputs=1, loss=MSE())
    numbers = np.arange(rows, dtype=np.float32)[:, None]
    data = as_data(net, numbers, numbers)
    orders = []
    for epoch in range(2):
        batches = ArrayBatches(net, data, shuffled(net, rows, epoch), size, accumulate=accumulate)
        seen, sizes, index = [], [], 0
        while (parts := batches.get(index)) is not None:
            for batch in parts:
                (values,) = batch.inputs.values()
                assert np.array_equal(values, *batch.targets.values())
                seen += values[:, 0].tolist()
                sizes.append(len(values))
            assert parts[0].total == sum(len(next(iter(p.inputs.values()))) for p in parts)
            index += 1
        assert index == batches.count
        assert Counter(seen) == Counter(numbers[:, 0].tolist())
        assert all(n == size for n in sizes[:-1])
        orders.append(seen)
    assert rows < 3 or size >= rows or orders[0] != orders[1]


def test_a_remainder_of_one_joins_under_batch_normalisation() -> None:
    net = Network([Dense(4), BatchNorm(), Dense(1)], loss=MSE(), optimizer=SGD(0.1))
    net.fit(X[:33], X[:33, :1], epochs=1, batch_size=16, progress=False)
    assert net.updates == 2
    plain = Network([Dense(1)], loss=MSE(), optimizer=SGD(0.1))
    plain.fit(X[:33], X[:33, :1], epochs=1, batch_size=16, progress=False)
    assert plain.updates == 3


def test_epochs_differ_and_depend_on_seed_and_number_alone() -> None:
    net = classifier()
    assert not np.array_equal(shuffled(net, 50, 0), shuffled(net, 50, 1))
    assert np.array_equal(shuffled(net, 50, 3), shuffled(classifier(), 50, 3))
    assert not np.array_equal(shuffled(net, 50, 0), shuffled(classifier(seed=1), 50, 0))


# ---- events -------------------------------------------------------------------------------------


def test_events_come_when_they_are_due() -> None:
    seen = Seen(every=4)
    classifier().fit(X, Y, epochs=2, batch_size=10, callbacks=[seen], progress=False)
    assert seen.log == [
        ("start", 5), ("step", 4), ("epoch", 1), ("step", 8), ("epoch", 2), ("end", "completed"),
    ]  # fmt: skip


def test_phases_come_in_order_when_asked_for() -> None:
    seen = Seen(phases=True)
    classifier().fit(X, Y, epochs=1, batch_size=25, callbacks=[seen], progress=False)
    phases = [kind for kind, _ in seen.log if kind in ("forward", "loss", "backward", "update")]
    assert phases == ["forward", "loss", "backward", "update"] * 2


def test_an_observer_can_stop_a_run() -> None:
    class Stop(Observer):
        every = 3

        def on_step(self, event: StepEnd) -> None:
            event.run.stop("seen enough")

    net = classifier()
    record = net.fit(X, Y, epochs=5, batch_size=10, callbacks=[Stop()], progress=False)
    assert net.updates == 3
    assert record.stopped == "seen enough"


def test_watching_changes_no_bits() -> None:
    class Watch(Observer):
        every, phases, tensors = 1, True, "all"

        def on_step(self, event: StepEnd) -> None:
            names = set(event.tensors)
            assert {"input", "dense_1", "d/dense_1", "dense_1/W", "d/dense_1/W", "relu_1"} <= names
            for array in event.tensors.values():
                array[...] = 0  # copies: writing does no harm

    nets = [classifier(), classifier()]
    for net, callbacks in zip(nets, ([], [Watch()]), strict=True):
        net.fit(X, Y, epochs=2, batch_size=8, callbacks=callbacks, progress=False)
    assert np.array_equal(nets[0].parameters.vector, nets[1].parameters.vector)


def test_callbacks_must_be_observers() -> None:
    with pytest.raises(OptionError, match="Observers"):
        classifier().fit(X, Y, callbacks=[print], progress=False)  # type: ignore[list-item]


# ---- what fit computes ---------------------------------------------------------------------------


def test_a_loop_of_steps_equals_fit_bit_for_bit() -> None:
    nets = [Network([Dense(8), Dropout(0.4), BatchNorm(), ReLU(), Dense(3)], loss=CrossEntropy(),
                    optimizer=Adam(WarmUp(0.01, 5)), inputs=6) for _ in range(2)]  # fmt: skip
    weight = RNG.uniform(0.5, 2, 50)
    nets[0].fit(X, Y, epochs=3, batch_size=16, sample_weight=weight, progress=False)
    for epoch in range(3):
        order = shuffled(nets[1], 50, epoch)
        for start in range(0, 50, 16):
            pick = order[start : start + 16]
            step = nets[1].step(X[pick], Y[pick], weight[pick])
            step.forward(), step.loss(), step.backward(), step.update()
    assert np.array_equal(nets[0].parameters.vector, nets[1].parameters.vector)
    assert np.array_equal(nets[0].state.vector, nets[1].state.vector)


def test_weights_of_one_change_no_bits() -> None:
    nets = [classifier(), classifier()]
    nets[0].fit(X, Y, epochs=2, progress=False)
    nets[1].fit(X, Y, epochs=2, sample_weight=np.ones(50), progress=False)
    assert np.array_equal(nets[0].parameters.vector, nets[1].parameters.vector)


def test_integer_weights_count_as_repetitions() -> None:
    counts = RNG.integers(1, 4, 50)
    nets = [classifier(dtype="float64"), classifier(dtype="float64")]
    nets[0].fit(X, Y, epochs=5, batch_size=50, sample_weight=counts, progress=False)
    nets[1].fit(np.repeat(X, counts, axis=0), np.repeat(Y, counts), epochs=5, batch_size=500,
                progress=False)  # fmt: skip
    assert np.allclose(nets[0].parameters.vector, nets[1].parameters.vector, atol=1e-9)


def test_class_weights() -> None:
    share = np.bincount(Y) / len(Y)
    balanced = (1 / (3 * share))[Y]
    for given in ("balanced", {c: 1 / (3 * share[c]) for c in range(3)}, list(1 / (3 * share))):
        nets = [classifier(), classifier()]
        nets[0].fit(X, Y, epochs=2, class_weight=given, progress=False)
        nets[1].fit(X, Y, epochs=2, sample_weight=balanced, progress=False)
        assert np.array_equal(nets[0].parameters.vector, nets[1].parameters.vector)
    with pytest.raises(DataError, match="class 2"):
        classifier().fit(X, Y, class_weight={0: 1, 1: 1}, progress=False)


def test_evaluate_is_what_numpy_says() -> None:
    net = classifier()
    p = net.predict(X)
    expected = -np.log(p[np.arange(50), Y]).mean()
    for batch_size in (1, 7, 50, 1024):
        scores = net.evaluate(X, Y, batch_size=batch_size, metrics=["accuracy", "f1"])
        assert scores["loss"] == pytest.approx(expected, rel=1e-5)
        assert scores["accuracy"] == pytest.approx((p.argmax(axis=1) == Y).mean())
    assert set(scores) == {"loss", "accuracy", "f1"}


def test_training_metrics_are_those_of_the_batches() -> None:
    record = classifier().fit(X, Y, epochs=1, batch_size=50, shuffle=False, progress=False)
    fresh = classifier().evaluate(X, Y)
    assert record[0]["accuracy"] == fresh["accuracy"]
    assert record[0]["loss"] == pytest.approx(fresh["loss"], rel=1e-6)


def test_dropout_is_off_in_inference_and_follows_the_step() -> None:
    net = Network([Dropout(0.5)], inputs=6, loss=MSE(), optimizer=SGD(0.1))
    assert np.array_equal(net(X), X)
    masks = [net.step(X, X).forward() == 0 for _ in range(2)]
    assert np.array_equal(*masks)
    assert 0.3 < masks[0].mean() < 0.7
    net.updates = 1
    assert not np.array_equal(net.step(X, X).forward() == 0, masks[0])


def test_standardize_adapts_before_the_first_step() -> None:
    net = Network([Standardize(), Dense(1)], loss=MSE(), optimizer=SGD(0.01))
    wide = X.astype(np.float64) * 100 + 500
    net.fit(wide, X[:, :1], epochs=1, progress=False)
    z = net.activations(wide, "standardize_1")["standardize_1"]
    assert np.allclose(z.mean(axis=0), 0, atol=1e-4)
    assert np.allclose(z.std(axis=0), 1, atol=1e-4)
    net.adapt(X)
    assert np.allclose(
        net.activations(X, "standardize_1")["standardize_1"].mean(axis=0), 0, atol=1e-5
    )


def test_nothing_changes_without_an_update() -> None:
    net = Network([Dense(4), BatchNorm(), Dropout(0.5), Dense(3)], inputs=6, loss=CrossEntropy(),
                  optimizer=Adam(0.01))  # fmt: skip
    net.fit(X, Y, epochs=1, progress=False)
    before = [net.parameters.vector.copy(), net.state.vector.copy(), net.slots["m"].copy()]
    step = net.step(X, Y)
    step.forward(), step.loss(), step.backward()
    net.gradcheck(X[:8], Y[:8])
    net.trace(X[:2], Y[:2])
    net.diagnose(X, Y)
    net.evaluate(X, Y)
    net.activations(X)
    after = [net.parameters.vector, net.state.vector, net.slots["m"]]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    assert net.updates == 2
    step = net.step(X, Y)
    step.forward(), step.loss(), step.backward(), step.update()
    assert not np.array_equal(net.state.vector, before[1])


def test_a_second_fit_goes_on() -> None:
    nets = [classifier(), classifier()]
    nets[0].fit(X, Y, epochs=4, progress=False)
    nets[1].fit(X, Y, epochs=1, progress=False)
    record = nets[1].fit(X, Y, epochs=3, progress=False)
    assert np.array_equal(nets[0].parameters.vector, nets[1].parameters.vector)
    assert record["epoch"] == [2, 3, 4]
    assert nets[1].updates == 8


def test_a_new_kind_of_optimizer_starts_afresh_a_new_rate_does_not() -> None:
    net = classifier()
    net.fit(X, Y, epochs=1, progress=False)
    m = net.slots["m"].copy()
    net.optimizer = Adam(1e-5)
    assert np.array_equal(net.slots["m"], m)
    net.optimizer = SGD(0.1, momentum=0.9)
    assert list(net.slots) == ["velocity"]
    assert not net.slots["velocity"].any()


# ---- where data comes from ------------------------------------------------------------------------


def test_generators_of_batches() -> None:
    def batches() -> Any:
        for start in range(0, 50, 10):
            yield X[start : start + 10], Y[start : start + 10]

    nets = [classifier(), classifier(), classifier()]
    nets[0].fit(X, Y, epochs=3, batch_size=10, shuffle=False, progress=False)
    nets[1].fit(batches, epochs=3, progress=False)
    nets[2].fit(Dataset(X, Y), epochs=3, batch_size=10, shuffle=False, progress=False)
    assert np.array_equal(nets[0].parameters.vector, nets[1].parameters.vector)
    assert np.array_equal(nets[0].parameters.vector, nets[2].parameters.vector)
    with pytest.raises(DataError, match="used up"):
        classifier().fit(batches(), epochs=2, progress=False)
    endless = iter(lambda: (X[:10], Y[:10]), None)
    net = classifier()
    net.fit(endless, epochs=2, steps_per_epoch=4, progress=False)
    assert net.updates == 8


@pytest.mark.parametrize("how", ["random", "last"])
def test_validation_by_fraction(how: str) -> None:
    net = classifier()
    record = net.fit(
        X, Y, epochs=2, batch_size=8, validation=0.2, validation_rows=how, progress=False
    )
    assert {"validation_loss", "validation_accuracy"} <= set(record.columns)
    assert net.updates == 10
    if how == "last":
        other = classifier()
        other.fit(
            X[:40], Y[:40], epochs=2, batch_size=8, validation=(X[40:], Y[40:]), progress=False
        )
        assert np.array_equal(net.parameters.vector, other.parameters.vector)


def test_early_stopping_brings_the_best_back() -> None:
    stopping = EarlyStopping(patience=2)
    net = Network([Dense(64), ReLU(), Dense(3)], loss=CrossEntropy(), optimizer=Adam(0.05), seed=1)
    record = net.fit(X[:30], RNG.integers(0, 3, 30), epochs=60, validation=(X[30:], Y[30:]),
                     callbacks=[stopping], progress=False)  # fmt: skip
    assert len(record) < 60
    assert "validation_loss" in record.stopped
    assert stopping.best == min(record["validation_loss"])
    assert net.evaluate(X[30:], Y[30:])["loss"] == pytest.approx(stopping.best, rel=1e-6)


def test_early_stopping_names_the_columns() -> None:
    with pytest.raises(OptionError, match="Did you mean 'validation_loss'"):
        classifier().fit(
            X, Y, validation=0.2, callbacks=[EarlyStopping("validation_los")], progress=False
        )


@pytest.mark.parametrize(
    ("how", "good"), [("loss", min), ("accuracy", max), ("validation_accuracy", max)]
)
def test_early_stopping_knows_which_way_is_better(how: str, good: Any) -> None:
    stopping = EarlyStopping(how, patience=100)
    record = classifier().fit(X, Y, epochs=5, validation=0.2, callbacks=[stopping], progress=False)
    assert stopping.best == good(record[how])


# ---- how runs end ----------------------------------------------------------------------------------


def test_divergence_is_named_and_the_update_not_made() -> None:
    net = Network([Dense(8), ReLU(), Dense(1)], loss=MSE(), optimizer=SGD(1e6), inputs=6)
    with pytest.raises(DivergenceError, match=r"at update \d+ \(epoch 1, batch \d+\)"):
        net.fit(X, 100 * X[:, :1], epochs=5, batch_size=5, progress=False)
    assert np.isfinite(net.parameters.vector).all()


class MeanLoss(Loss):
    """A loss that takes the mean itself."""

    def forward(self, y_true: Any, y_pred: Any, cache: Any) -> Any:
        cache.error = y_pred - y_true
        return (cache.error**2).mean()

    def backward(self, cache: Any) -> Any:
        return 2 * cache.error / cache.error.size


def test_a_loss_that_takes_the_mean_itself_is_refused() -> None:
    net = Network([Dense(1)], loss=MeanLoss(), optimizer=SGD(0.1))
    with pytest.raises(ShapeError, match=r"\(32,\), not their mean"):
        net.fit(X, X[:, :1], progress=False)


def test_missing_pieces_are_named() -> None:
    with pytest.raises(NotBuiltError, match="no loss"):
        Network([Dense(1)], optimizer=SGD(0.1)).fit(X, X[:, :1], progress=False)
    with pytest.raises(NotBuiltError, match="no optimizer"):
        Network([Dense(1)], loss=MSE()).fit(X, X[:, :1], progress=False)
    with pytest.raises(DataError, match="targets are missing"):
        classifier().fit(X, progress=False)


def test_off_a_terminal_progress_is_one_line_an_epoch() -> None:
    code = (
        "import numpy as np; from pellucid import *; "
        "mlp([4, 3, 1], loss=MSE(), optimizer=SGD(0.1)).fit(np.ones((9, 4)), np.ones((9, 1)), epochs=3)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 3
    assert lines[2].startswith("epoch 3/3 ")
    assert "loss " in lines[2]


def test_it_learns() -> None:
    data = digits_8x8()
    train, test = Dataset(data.x.reshape(-1, 64) / 16.0, data.y).split(0.2)
    net = mlp([64, 15, 10], loss=CrossEntropy(), optimizer=Adam(0.01))
    record = net.fit(train, epochs=30, batch_size=15, validation=test, progress=False)
    assert record["loss"][-1] < 0.05
    assert net.evaluate(test)["accuracy"] > 0.94
    labels = (train.y[:, None] == np.arange(3)).astype(int)
    multi = mlp([64, 8, 3], loss=BinaryCrossEntropy(), optimizer=Adam(0.01))
    multi.fit(train.x, labels, epochs=10, progress=False)
    assert multi.evaluate(train.x, labels)["binary_accuracy"] > 0.97
