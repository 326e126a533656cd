"""fit_together: many networks in one pass, each with the bits it would have alone."""

from __future__ import annotations

import doctest
import importlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pellucid import (
    EMA,
    L2,
    LBFGS,
    MSE,
    SGD,
    Adam,
    AveragedWeights,
    BatchNorm,
    Checkpoint,
    CrossEntropy,
    Dense,
    Dropout,
    EarlyStopping,
    Flatten,
    Input,
    LeakyReLU,
    Network,
    Observer,
    ReLU,
    Rescale,
    Sigmoid,
    Standardize,
    Tanh,
    fit_together,
)
from pellucid.data import Dataset, digits
from pellucid.errors import (
    DataError,
    DivergenceError,
    DivergenceWarning,
    Interrupted,
    OptionError,
    ShapeError,
)
from pellucid.training import feeds

RNG = np.random.default_rng(3)
X = RNG.normal(size=(61, 5)).astype(np.float32)
Y = (np.arange(61) % 3).astype(np.int64)
W = RNG.uniform(0.2, 2, 61)
ENGINES = ["numpy", "native"]


def family(engine: str, **options: Any) -> list[Network]:
    """Networks that differ in all that they may."""
    tail = [Dense(3)]
    kinds: list[Network] = [
        Network([Dense(8), ReLU(), *tail], loss=CrossEntropy(), optimizer=SGD(0.05), seed=0),
        Network([Dense(8), ReLU(), *tail], loss=CrossEntropy(), optimizer=Adam(0.01), seed=0),
        Network([Dense(6), Dropout(0.3), Tanh(), *tail], loss="cross_entropy", seed=5,
                optimizer=Adam(0.01), dtype="float64"),
        Network([Standardize(), Dense(6), BatchNorm(), ReLU(), *tail], loss=CrossEntropy(),
                optimizer=Adam(0.01), seed=2, penalty=L2(1e-3)),
        Network([Dense(4), Sigmoid(), *tail], loss=CrossEntropy(scale=2.0), seed=1,
                optimizer=SGD(0.1, momentum=0.9)),
    ]  # fmt: skip
    for net in kinds:
        net.engine = engine
    return kinds


def same(net: Network, other: Network) -> bool:
    slots = all(np.array_equal(net.slots[k], other.slots[k]) for k in other.slots)
    return slots and all(
        np.array_equal(getattr(net, k).vector, getattr(other, k).vector) for k in ("parameters", "state")
    )  # fmt: skip


def without_time(record: Any) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in record]


OPTIONS: list[dict[str, Any]] = [
    {"batch_size": 7},
    {"batch_size": 12, "validation": 0.2},  # of 49 rows one is left over: BatchNorm lets it join
    {"batch_size": 10, "validation": (X[:9], Y[:9]), "sample_weight": W},
    {"batch_size": 5, "accumulate": 3, "shuffle": False},
    {"batch_size": 8, "class_weight": "balanced", "metrics": ["accuracy"], "accumulate": 2},
    {"batch_size": 64},
    {"batch_size": 15, "accumulate": 2},  # 61 rows: a batch of one
    {"batch_size": 9, "validation": 0.25, "validation_rows": "last"},
]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("bytes_", [1, 1000, 2**20])
@pytest.mark.parametrize("options", OPTIONS, ids=range(len(OPTIONS)))
def test_the_bits_are_those_of_each_alone(
    options: dict[str, Any], bytes_: int, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "_BYTES", bytes_)
    nets = family(engine)
    records = fit_together(nets, X, Y, epochs=3, progress=False, shuffle_seed=11, **options)
    for net, alone, record in zip(nets, family(engine), records, strict=True):
        other = alone.fit(X, Y, epochs=3, progress=False, shuffle_seed=11, **options)
        assert same(net, alone)
        assert without_time(record) == without_time(other)
        assert record.stopped == ""


@pytest.mark.parametrize("engine", ENGINES)
def test_the_order_is_that_of_the_first_network(engine: str) -> None:
    nets, (first, *_) = family(engine)[:2], family(engine)
    fit_together(nets, X, Y, epochs=2, batch_size=8, progress=False)
    first.fit(X, Y, epochs=2, batch_size=8, progress=False)
    assert same(nets[0], first)


@pytest.mark.parametrize("engine", ENGINES)
def test_bytes_on_disk_one_row_at_a_time(engine: str, tmp_path: Path) -> None:
    images = RNG.integers(0, 256, (50, 4, 4)).astype(np.uint8)
    np.save(tmp_path / "x.npy", images)
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    y = np.eye(2)[np.arange(50) % 2]

    def made() -> list[Network]:
        layers = [Rescale(1 / 255), Flatten(), Dense(2), LeakyReLU(0.1)]
        return [
            Network(layers, loss=MSE(), optimizer=SGD(rate), seed=0, engine=engine)
            for rate in (0.001, 0.01, 0.1)
        ]

    nets = made()
    fit_together(nets, x, y, epochs=2, batch_size=1, progress=False)
    for net, alone in zip(nets, made(), strict=True):
        alone.fit(images, y, epochs=2, batch_size=1, progress=False)
        assert same(net, alone)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_generator_is_asked_once(engine: str, accumulate: int) -> None:
    asked = []

    def batches() -> Iterator[tuple[Any, Any]]:
        for start in range(0, 61, 9):
            asked.append(start)
            yield X[start : start + 9], Y[start : start + 9]

    options = {"epochs": 2, "accumulate": accumulate, "validation": (X, Y), "progress": False}
    nets = family(engine)
    for net in nets:
        net.build(5)
    nets[3].adapt(X)
    fit_together(nets, batches, **options)
    assert len(asked) == 14
    others = family(engine)
    others[3].adapt(X)
    for net, alone in zip(nets, others, strict=True):
        alone.build(5).fit(batches, **options)
        assert same(net, alone)


def students(count: int = 3, engine: str = "auto", **options: Any) -> list[Network]:
    return [
        Network([Dense(3), LeakyReLU(0.1)], loss=MSE(), optimizer=SGD(0.01 * 3**k), seed=k,
                engine=engine, **options)
        for k in range(count)
    ]  # fmt: skip


@pytest.mark.parametrize("engine", ENGINES)
def test_a_teacher_is_asked_once_for_all(engine: str) -> None:
    asked: list[int] = []

    def teacher(x: Any) -> Any:
        asked.append(len(x))
        return np.stack([x[:, 0], np.abs(x[:, 1]), x[:, 2] * 2], axis=1)  # row by row: exact

    nets, others = students(engine=engine), students(engine=engine)
    options = {"epochs": 2, "batch_size": 8, "shuffle_seed": 0, "progress": False}
    records = fit_together(nets, Dataset(X, Y), teacher, validation=0.2, **options)
    assert sum(asked) == 61 + 49  # each epoch's rows and the held-out ones, for all students
    for net, alone, record in zip(nets, others, records, strict=True):
        other = alone.fit(X, teacher(X), validation=0.2, **options)
        assert same(net, alone)
        assert without_time(record) == without_time(other)


def test_a_network_teaches_its_raw_outputs() -> None:
    teacher = Network([Dense(8), ReLU(), Dense(3)], loss=CrossEntropy(), optimizer=Adam(0.02))
    teacher.fit(X, Y, epochs=20, progress=False)
    nets = students(2)
    records = fit_together(nets, X, teacher, epochs=30, batch_size=4, progress=False,
                           validation=(X, teacher))  # fmt: skip
    assert all(r["loss"][-1] < r["loss"][0] for r in records)
    expected = float(np.mean((nets[0](X) - teacher(X)) ** 2))
    assert records[0]["validation_loss"][-1] == pytest.approx(expected, rel=1e-4)

    softer = [Network([Dense(3)], loss=CrossEntropy(), optimizer=Adam(0.02))]
    (record,) = fit_together(softer, X, teacher.predict, epochs=20, progress=False)
    p = teacher.predict(X)
    assert record["loss"][-1] < record["loss"][0]
    assert record["loss"][-1] > -(p * np.log(p)).sum(1).mean()  # the teacher's entropy is the floor


def test_a_teacher_for_a_generator() -> None:
    teacher = Network([Dense(3)], inputs=5, loss=MSE(), optimizer=SGD(0.1))

    def only_x() -> Iterator[Any]:
        yield from (X[start : start + 10] for start in range(0, 60, 10))

    def with_y() -> Iterator[Any]:
        yield from ((x, None) for x in only_x())

    nets, others = students(), students()
    fit_together(nets, only_x, teacher, epochs=2, progress=False)
    fit_together(others, with_y, teacher, epochs=2, progress=False)
    assert all(same(*pair) for pair in zip(nets, others, strict=True))
    (alone, *_) = students()
    alone.fit(lambda: ((x, teacher(x)) for x in only_x()), epochs=2, progress=False)
    assert same(nets[0], alone)


def test_rows_are_gathered_once() -> None:
    nets = family("numpy")[:2]
    feed = feeds.RowFeed(nets, X, Y, None, None, lambda net: None)
    feed.open(None, "random", 8, True, 1, 0)
    for _, (one, other) in feed.blocks(0, 0):
        assert one.whole.inputs["input"] is other.whole.inputs["input"]
        assert one.whole.targets["dense_2"] is other.whole.targets["dense_2"]
        assert not np.shares_memory(one.whole.inputs["input"], X)


def test_two_inputs_and_two_outputs() -> None:
    def made(rate: float) -> Network:
        a, b = Input(3, name="a"), Input(2, name="b")
        h = Dense(4)(a)
        return Network(inputs=[a, b], outputs={"u": Dense(1)(h), "v": Dense(2)(b)},
                       loss={"u": MSE(), "v": MSE()}, optimizer=SGD(rate))  # fmt: skip

    x = {"a": X[:, :3], "b": X[:, 3:]}
    y = {"u": X[:, :1], "v": X[:, 1:3]}
    nets, others = [made(0.01), made(0.1)], [made(0.01), made(0.1)]
    fit_together(nets, x, y, epochs=2, progress=False)
    fit_together(others, x, lambda x: {"u": x["a"][:, :1], "v": x["a"][:, 1:]}, epochs=2,
                 progress=False)  # fmt: skip
    for net, other, rate in zip(nets, others, (0.01, 0.1), strict=True):
        alone = made(rate)
        alone.fit(x, y, epochs=2, progress=False)
        assert same(net, alone)
        assert same(other, alone)


def test_the_example_runs() -> None:
    found = doctest.testmod(importlib.import_module("pellucid.training.together"))
    assert found.attempted
    assert not found.failed


# ---- how runs end ---------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
def test_one_that_diverges_stops_and_the_others_go_on(engine: str) -> None:
    def made() -> list[Network]:
        return [
            Network([Dense(1)], loss=MSE(), optimizer=SGD(rate), seed=0, engine=engine)
            for rate in (0.01, 1e4, 0.02)
        ]

    nets, others = made(), made()
    target = X @ np.ones((5, 1), np.float32)
    with pytest.warns(DivergenceWarning, match=r"networks\[1\]: the .* NaN or infinite") as caught:
        records = fit_together(nets, X, target, epochs=6, batch_size=8, progress=False)
    assert caught[0].filename == __file__
    assert [r.stopped for r in records] == ["", "diverged", ""]
    for k in (0, 2):
        others[k].fit(X, target, epochs=6, batch_size=8, progress=False)
        assert same(nets[k], others[k])
    with pytest.raises(DivergenceError):
        others[1].fit(X, target, epochs=6, batch_size=8, progress=False)
    assert nets[1].updates == others[1].updates
    assert np.array_equal(nets[1].parameters.vector, others[1].parameters.vector, equal_nan=True)


def test_all_that_diverge_raise() -> None:
    nets = [Network([Dense(1)], loss=MSE(), optimizer=SGD(rate)) for rate in (1e6, 1e5)]
    with (
        pytest.warns(DivergenceWarning, match=r"networks\[0\]"),
        pytest.raises(DivergenceError, match=r"networks\[1\], the last of them"),
    ):
        fit_together(nets, X, X[:, :1], epochs=60, progress=False)
    with pytest.raises(DivergenceError, match=r"^the "):
        fit_together([nets[0].reset()], X, X[:, :1], epochs=60, progress=False)


def test_each_has_observers_of_its_own(tmp_path: Path) -> None:
    def observers() -> list[list[Observer]]:
        return [
            [EarlyStopping(patience=1)],
            [],
            [Checkpoint(tmp_path / "c"), EarlyStopping(patience=2)],
        ]

    def made() -> list[Network]:
        return family("auto")[:3]

    options = {
        "epochs": 40,
        "batch_size": 6,
        "validation": 0.3,
        "shuffle_seed": 0,
        "progress": False,
    }
    nets = made()
    records = fit_together(nets, X, Y, callbacks=observers(), **options)
    assert records[0].stopped.startswith("no better")
    assert len(records[1]) == 40
    for net, alone, watch, record in zip(nets, made(), observers(), records, strict=True):
        other = alone.fit(X, Y, callbacks=watch, **options)
        assert same(net, alone)
        assert record.stopped == other.stopped
    assert Network.load(tmp_path / "c").updates > 0


def test_observers_of_steps_phases_and_averages() -> None:
    class Watch(Observer):
        every = 3
        phases = True
        tensors = ("dense_1/W",)

        def __init__(self) -> None:
            self.seen: list[Any] = []

        def on_phase(self, event: Any) -> None:
            self.seen.append(event.phase)

        def on_step(self, event: Any) -> None:
            self.seen.append((event.step, event.loss, event.tensors["dense_1/W"].sum()))

    def made() -> list[Network]:
        two = family("auto")[:2]
        for net in two:
            net.optimizer = net.optimizer.replace(average=EMA(0.9))
        return two

    nets, watches = made(), [Watch(), Watch()]
    options = {"epochs": 2, "batch_size": 10, "validation": 0.2, "progress": False}
    fit_together(nets, X, Y, callbacks=[[watches[0]], [watches[1], AveragedWeights()]], **options)
    for k, alone in enumerate(made()):
        watch = Watch()
        alone.fit(X, Y, callbacks=[watch, *([AveragedWeights()] if k else [])], **options)
        assert watch.seen == watches[k].seen
        assert same(nets[k], alone)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("stop", [1, 4, 9, 14])
def test_ctrl_c_leaves_all_whole_and_resume_goes_on(engine: str, stop: int) -> None:
    class Stop(Observer):
        every = stop

        def on_step(self, event: Any) -> None:
            if event.step == stop:
                os.kill(os.getpid(), signal.SIGINT)

    options = {"epochs": 4, "batch_size": 16, "progress": False}
    nets, whole = family(engine), family(engine)
    with pytest.raises(Interrupted, match="all networks are whole"):
        fit_together(nets, X, Y, callbacks=[[], [], [Stop()], [], []], **options)
    assert nets[2].updates == stop
    assert all(np.isfinite(net.parameters.vector).all() for net in nets)
    fit_together(nets, X, Y, resume=True, callbacks=[[], [], [Stop()], [], []], **options)
    fit_together(whole, X, Y, **options)
    assert all(same(*pair) for pair in zip(nets, whole, strict=True))
    # one of them alone could have gone on, too
    again = family(engine)
    with pytest.raises(Interrupted):
        fit_together(again, X, Y, callbacks=[[], [], [Stop()], [], []], **options)
    again[4].fit(X, Y, resume=True, shuffle_seed=0, **options)
    assert same(again[4], whole[4])


def test_a_generator_resumes() -> None:
    class Fail(Observer):
        every = 5

        def on_step(self, event: Any) -> None:
            if event.step == 5:
                raise KeyError("stop")

    def batches() -> Iterator[Any]:
        yield from ((X[s : s + 8], Y[s : s + 8]) for s in range(0, 61, 8))

    nets, whole = family("auto")[:2], family("auto")[:2]
    with pytest.raises(KeyError):
        fit_together(nets, batches, epochs=2, progress=False, callbacks=[[], [Fail()]])
    assert [net.training.stopped for net in nets] == ["failed", "failed"]
    fit_together(nets, batches, epochs=2, progress=False, resume=True)
    fit_together(whole, batches, epochs=2, progress=False)
    assert all(same(*pair) for pair in zip(nets, whole, strict=True))


def test_a_second_run_goes_on_and_epochs_may_differ() -> None:
    nets, others = family("auto")[:2], family("auto")[:2]
    options = {"batch_size": 8, "progress": False, "shuffle_seed": 4}
    nets[1].fit(X, Y, epochs=2, **options)
    records = fit_together(nets, X, Y, epochs=3, **options)
    assert [r["epoch"] for r in records] == [[1, 2, 3], [3, 4, 5]]
    others[0].fit(X, Y, epochs=3, **options)
    others[1].fit(X, Y, epochs=5, **options)
    assert all(same(*pair) for pair in zip(nets, others, strict=True))
    assert [len(r) for r in fit_together(nets, X, Y, epochs=0, **options)] == [0, 0]


# ---- what is refused ------------------------------------------------------------------------


def test_what_cannot_be_is_named() -> None:
    one, two, *_ = family("auto")
    teacher = Network([Dense(3)], inputs=5)
    cases: list[tuple[Any, Any, str]] = [
        (OptionError, lambda: fit_together([], X, Y), "at least one Network"),
        (OptionError, lambda: fit_together(one, X, Y), "list of at least one"),
        (OptionError, lambda: fit_together([one, Dense(3)], X, Y), r"networks\[1\] is no Network"),
        (OptionError, lambda: fit_together([one, two, one], X, Y), r"networks\[0\] and networks\[2\]"),
        (ShapeError, lambda: fit_together([one, Network([Dense(3)], 4, loss="mse", optimizer="sgd")], X, Y),
         r"networks\[1\]: .*\(B, 4\)"),
        (ShapeError, lambda: fit_together([Network([Dense(3)], (None, 5), loss="mse", optimizer="sgd"),
                                           Network([Dense(3)], (2, 4), loss="mse", optimizer="sgd")],
                                          np.zeros((3, 2, 5)), np.zeros((3, 2, 3))), r"networks\[1\]"),
        (DataError, lambda: fit_together([one, two], X, Y + 2), r"networks\[0\]: .*label"),
        (OptionError, lambda: fit_together([one, two], X, Y, callbacks=[EarlyStopping()]), "for _ in networks"),
        (OptionError, lambda: fit_together([one, two], X, Y, callbacks=[[]]), "1 lists for 2"),
        (OptionError, lambda: fit_together([one], X, Y, callbacks=[[EarlyStopping]]), "call it"),
        (OptionError, lambda: fit_together([one, two], X, one), r"networks\[0\] is its own teacher"),
        (OptionError, lambda: fit_together([one, two], X, two.predict), r"networks\[1\] is its own"),
        (OptionError, lambda: fit_together([one], X, teacher, sample_weight=W), "with a function of x"),
        (DataError, lambda: fit_together([one], X, lambda x: x.sum()), r"shape \(\) for"),
        (OptionError, lambda: fit_together([one], X, Y, target=teacher), "target"),
        (OptionError, lambda: fit_together([one], X, Y, steps_per_epoch=3), "for generators"),
        (OptionError, lambda: fit_together([one], iter([(X, Y)]), Y), "leave y out"),
        (OptionError, lambda: fit_together([one], X, Y, epochs=-1), "epochs"),
        (OptionError, lambda: fit_together([one], X, Y, shuffle_seed=-1), "seed"),
        (OptionError, lambda: fit_together([one, Network([Dense(3)], loss="mse", optimizer=LBFGS())], X, Y),
         r"networks\[1\] has LBFGS"),
    ]  # fmt: skip
    for kind, call, words in cases:
        with pytest.raises(kind, match=words):
            call()
    assert not two.built
    assert two.training is None


def test_what_is_refused_leaves_no_trace() -> None:
    nets = [Network([Dense(3)], loss=CrossEntropy(), optimizer="sgd"),
            Network([Dense(2)], loss=CrossEntropy(), optimizer="sgd")]  # fmt: skip
    with pytest.raises(DataError, match=r"networks\[1\]"):
        fit_together(nets, X, Y, progress=False)
    assert not any(net.built for net in nets)


# ---- what is shown --------------------------------------------------------------------------


def test_one_line_an_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    fit_together(family("auto")[:3], X, Y, epochs=2, validation=0.2, shuffle_seed=0,
                 callbacks=[[], [], [EarlyStopping(patience=0, min_delta=9)]])  # fmt: skip
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("epoch 1/2")
    assert len(lines[0].split("loss ")[1].split("  ")[0].split()) == 3
    assert "validation: loss" in lines[0]
    assert len(lines) == 2 or "networks[2] stopped" in lines[-1]


def test_many_are_told_as_a_range(capsys: pytest.CaptureFixture[str]) -> None:
    fit_together(students(8), X, X[:, :3], epochs=1)
    assert " … " in capsys.readouterr().err


def test_a_bar_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(feeds, "_BYTES", 1)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    fit_together(students(2), X, X[:, :3], epochs=2, batch_size=4)
    shown = capsys.readouterr().err
    assert "2 networks" in shown
    assert "epoch 2/2" in shown


@pytest.mark.long
def test_six_students_learn_digits_side_by_side() -> None:
    """The teacher's raw scores teach six small networks, one row at a time, in one pass."""
    train, test = digits()
    teacher = Network([Rescale(1 / 255), Flatten(), Dense(16), LeakyReLU(0.1), Dense(16), LeakyReLU(0.1),
                       Dense(10)], loss=CrossEntropy(), optimizer=SGD(0.03))  # fmt: skip
    teacher.fit(train, epochs=4, batch_size=1, progress=False)
    rates = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
    nets = [
        Network(
            [Rescale(1 / 255), Flatten(), Dense(10), LeakyReLU(0.1)], loss=MSE(), optimizer=SGD(r)
        )
        for r in rates
    ]
    fit_together(nets, train, teacher, epochs=4, batch_size=1, progress=False)
    right = [float((net(test.x).argmax(1) == test.y).mean()) for net in [teacher, *nets]]
    assert min(right[1:5]) > 0.7  # measured: teacher 0.903; 0.775 0.796 0.774 0.741 0.544 0.357
    assert right[5] < 0.65
    assert right[6] < 0.45
