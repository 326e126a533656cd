"""Stopped anywhere and gone on with, a run ends with the bits of one that was never stopped.

Everything that could get lost takes part: dropout, batch normalisation, standardisation, a
schedule, early stopping, accumulated batches, class weights and a validation split.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pellucid import (
    L2,
    MSE,
    SGD,
    Adam,
    AdamW,
    BatchNorm,
    Checkpoint,
    Cosine,
    CrossEntropy,
    Dense,
    Dropout,
    EarlyStopping,
    Network,
    Observer,
    ReLU,
    Standardize,
    WarmUp,
)
from pellucid.errors import DivergenceError, Interrupted, OptionError, ResumeError
from pellucid.events import EpochEnd, Event, PhaseEnd, RunEnd, StepEnd
from pellucid.formats import load_state, save_state
from pellucid.training.state import TrainingState

EPOCHS = 5
RATE = WarmUp(Cosine(0.05, steps=18), steps=4)
OPTIMIZERS = {
    "adam": Adam(RATE, clip_norm=1.0),
    "adamw": AdamW(RATE),
    "momentum": SGD(WarmUp(Cosine(0.5, steps=18), steps=2), momentum=0.9, nesterov=True),
}


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(11)
    x = rng.normal(3, 2, size=(61, 6))
    return x, (x[:, 0] > 3).astype(int) + (rng.random(61) < 0.3)  # noise: it will overfit


def network(optimizer: str = "adam", **options: Any) -> Network:
    layers = [Standardize(), Dense(12), BatchNorm(), ReLU(), Dropout(0.3), Dense(3)]
    settings = {"loss": CrossEntropy(), "optimizer": OPTIMIZERS[optimizer], "penalty": L2(1e-3)}
    return Network(layers, **{**settings, "seed": 4, **options})


def fit(net: Network, *observers: Observer, **options: Any) -> Any:
    x, y = data()
    settings: dict[str, Any] = {
        "epochs": EPOCHS, "batch_size": 6, "accumulate": 2, "class_weight": {0: 1, 1: 2.5, 2: 0.3},
        "validation": 0.25, "progress": False,
    }  # fmt: skip
    return net.fit(x, y, callbacks=list(observers), **settings | options)


def bits(net: Network, record: Any, early: EarlyStopping | None = None) -> dict[str, Any]:
    """All that has to be the same; seconds are not."""
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in record.rows]
    kept = early.state() if early is not None else {}
    return {
        "parameters": net.parameters.vector.tobytes().hex(),
        "state": net.state.vector.tobytes().hex(),
        **{f"slots/{name}": vector.tobytes().hex() for name, vector in net.slots.items()},
        "updates": net.updates,
        "rows": repr(rows),
        "stopped": record.stopped,
        **{f"early/{k}": v.tobytes().hex() if isinstance(v, np.ndarray) else repr(v)
           for k, v in kept.items()},
    }  # fmt: skip


def early(patience: int = 50) -> EarlyStopping:
    return EarlyStopping(patience=patience)


def uninterrupted(optimizer: str = "adam", patience: int = 50) -> dict[str, Any]:
    net, watch = network(optimizer), early(patience)
    return bits(net, fit(net, watch), watch)


class At(Observer):
    """Does something after some update, once."""

    every = 1

    def __init__(self, step: int, what: Callable[[Event], object]) -> None:
        self.step, self.what = step, what

    def on_step(self, event: StepEnd) -> None:
        if event.step == self.step:
            self.what(event)


class Snapshots(Observer):
    """A training state after every update and every epoch, as a checkpoint would hold it."""

    every = 1
    last = True

    def __init__(self) -> None:
        self.states: list[TrainingState] = []

    def on_step(self, event: StepEnd) -> None:
        self.states.append(event.run.snapshot())

    def on_epoch(self, event: EpochEnd) -> None:
        self.states.append(event.run.snapshot())


# ---- 10: the same bits ---------------------------------------------------------------------------


@pytest.mark.parametrize("patience", [50, 1])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_from_a_state_anywhere(optimizer: str, patience: int, tmp_path: Path) -> None:
    watch, net, seen = early(patience), network(optimizer), Snapshots()
    expected = bits(net, fit(net, watch, seen), watch)
    assert expected == uninterrupted(optimizer, patience)  # watching changes nothing
    if patience == 1:
        assert "no better validation_loss for 2 epochs" in expected["stopped"]
        assert watch.best_epoch < len(seen.states) // 5
    else:
        assert expected["stopped"] == ""
        assert net.updates == 4 * EPOCHS
    path = tmp_path / "run.safetensors"
    for number, state in enumerate(seen.states):
        fresh, again = network(optimizer), early(patience)
        if number % 3:
            fresh.build(6)
        if number % 2:
            save_state(net, path, state)
            state = load_state(path)
        found = bits(fresh, fit(fresh, again, resume=state), again)
        assert found == expected, (number, state.epoch, state.batch)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("step", [1, 2, 3, 4, 5, 11, 4 * EPOCHS - 1, 4 * EPOCHS])
def test_stopped_by_an_observer(optimizer: str, step: int) -> None:
    net, watch = network(optimizer), early()
    record = fit(net, watch, At(step, lambda event: event.run.stop("enough")))
    assert net.updates == step
    assert record.stopped == "enough"
    record = fit(net, watch, resume=True)
    assert bits(net, record, watch) == uninterrupted(optimizer)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("step", [1, 4, 6, 19])
def test_stopped_by_ctrl_c(optimizer: str, step: int) -> None:
    net, watch = network(optimizer), early()
    with pytest.raises(Interrupted, match=f"after update {step}, .*resume=True"):
        fit(net, watch, At(step, lambda event: signal.raise_signal(signal.SIGINT)))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert net.updates == step
    assert np.isfinite(net.predict(data()[0])).all()
    record = fit(net, watch, resume=True)
    assert bits(net, record, watch) == uninterrupted(optimizer)


def test_stopped_again_and_again(tmp_path: Path) -> None:
    net, path = network(), tmp_path / "run.safetensors"
    with pytest.raises(Interrupted):
        fit(net, early(), Checkpoint(path, every=1000),
            At(3, lambda event: signal.raise_signal(signal.SIGINT)))  # fmt: skip
    for step in range(5, 4 * EPOCHS, 3):
        net = network()  # as in another process
        stopped = fit(net, early(), Checkpoint(path), At(step, lambda e: e.run.stop("on")),
                      resume=path)  # fmt: skip
        assert stopped.stopped == "on"
        assert load_state(path).updates == net.updates == step
    net, watch = network(), early()
    record = fit(net, watch, resume=path)
    assert bits(net, record, watch) == uninterrupted()


@pytest.mark.parametrize("phase", ["forward", "loss", "backward", "update"])
def test_failed_in_the_middle_of_a_step(phase: str) -> None:
    class Fail(Observer):
        phases = True

        def on_phase(self, event: PhaseEnd) -> None:
            if event.phase == phase and event.run.net.updates == 6:
                raise MemoryError

    net, watch = network(), early()
    with pytest.raises(MemoryError):
        fit(net, watch, Fail())
    assert net.training is not None
    assert (net.training.epoch, net.training.batch, net.training.stopped) == (1, 2, "failed")
    record = fit(net, watch, resume=True)
    assert bits(net, record, watch) == uninterrupted()


CRASH = """
import os, sys
sys.path.insert(0, os.path.dirname(sys.argv[1]))
import test_resume as t

class Die(t.Observer):
    every, last = 1, True
    def __init__(self, step):
        self.step = step
    def on_step(self, event):
        if event.step == self.step:
            os._exit(7)

folder = sys.argv[2]
for optimizer in t.OPTIMIZERS:
    for step in map(int, sys.argv[3:]):
        pid = os.fork()
        if pid == 0:
            path = os.path.join(folder, f"{optimizer}-{step}")
            t.fit(t.network(optimizer), t.early(), t.Checkpoint(path, every=2), Die(step))
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
"""

RESUME = """
import os, sys
sys.path.insert(0, os.path.dirname(sys.argv[1]))
import test_resume as t

for optimizer in t.OPTIMIZERS:
    for step in map(int, sys.argv[3:]):
        path = os.path.join(sys.argv[2], f"{optimizer}-{step}")
        before = t.load_state(path).updates
        assert before == step - step % 2
        net, watch = t.network(optimizer), t.early()
        record = t.fit(net, watch, t.Checkpoint(path, every=2), resume=path)
        assert t.bits(net, record, watch) == t.uninterrupted(optimizer)
        print(optimizer, step, net.parameters.vector.tobytes().hex())
"""


@pytest.mark.skipif(os.name != "posix", reason="forks")
@pytest.mark.parametrize(
    "steps",
    [[2, 7, 12], pytest.param(list(range(2, 4 * EPOCHS)), marks=pytest.mark.long)],
    ids=["some", "all"],
)
def test_killed_and_gone_on_with_in_another_process(steps: list[int], tmp_path: Path) -> None:
    outputs = []
    for code in (CRASH, RESUME):
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code, __file__, str(tmp_path), *map(str, steps)],
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        outputs.append(done.stdout)
    lines = outputs[-1].splitlines()
    assert len(lines) == len(OPTIMIZERS) * len(steps)
    ends = {name: uninterrupted(name)["parameters"] for name in OPTIMIZERS}
    for line in lines:
        name, _, parameters = line.split()
        assert parameters == ends[name]


def test_batches_from_a_function() -> None:
    x, y = data()

    def batches() -> Iterator[Any]:
        for start in range(0, 60, 9):
            yield x[start : start + 9], y[start : start + 9], np.arange(1.0, 1 + len(x))[: min(
                9, len(x) - start)]  # fmt: skip

    def run(net: Network, *observers: Observer, **options: Any) -> Any:
        net.build(6)
        return net.fit(batches, epochs=3, accumulate=2, progress=False, callbacks=list(observers),
                       **options)  # fmt: skip

    whole = network()
    expected = bits(whole, run(whole))
    for step in (1, 4, 5, 12):
        net = network()
        run(net, At(step, lambda event: event.run.stop("")))
        assert net.updates == step
        assert bits(net, run(net, resume=True)) == expected


def test_observers_find_their_state_wherever_they_stand(tmp_path: Path) -> None:
    net, path = network(), tmp_path / "run"
    watches = [EarlyStopping("loss", patience=30), EarlyStopping(patience=40)]
    fit(net, *watches, Checkpoint(path), At(9, lambda event: event.run.stop("")))
    again = [EarlyStopping("loss", patience=30), EarlyStopping(patience=40)]
    twin = network()
    fit(twin, Checkpoint(tmp_path / "other"), again[0], Snapshots(), again[1], resume=path)
    fit(net, *watches, resume=True)
    assert repr(watches[0].state()) == repr(again[0].state())
    assert repr(watches[1].state()) == repr(again[1].state())
    assert bits(net, net.training) == bits(twin, twin.training)


# ---- going on, and starting anew -----------------------------------------------------------------


def test_a_second_fit_goes_on_with_the_counters() -> None:
    once, twice = network(), network()
    fit(once, validation=None)
    first = fit(twice, validation=None, epochs=2)
    second = fit(twice, validation=None, epochs=EPOCHS - 2)
    assert first["epoch"] == [1, 2]
    assert second["epoch"] == [3, 4, 5]
    assert second["step"] == [15, 20, 25]
    assert bits(twice, second) | {"rows": ""} == bits(once, second) | {"rows": ""}
    twice.reset()
    assert (twice.updates, twice.training) == (0, None)
    fit(twice, validation=None)
    np.testing.assert_array_equal(once.parameters.vector, twice.parameters.vector)


def test_more_epochs_may_be_asked_for_when_going_on() -> None:
    net, watch = network(), early()
    fit(net, watch, epochs=2)
    record = fit(net, watch, resume=True)
    assert bits(net, record, watch) == uninterrupted()
    same = fit(net, watch, resume=True)  # nothing is left to do
    assert bits(net, same, watch) == uninterrupted()


def test_early_stopping_does_not_start_again_when_resumed() -> None:
    net, watch = network(), early(1)
    record = fit(net, watch)
    before = bits(net, record, watch)
    assert before["stopped"].startswith("no better")
    assert bits(net, fit(net, watch, resume=True), watch) == before
    more = fit(net, EarlyStopping(patience=3), resume=True)  # more patience: it goes on
    assert len(more) > len(record)
    count = net.updates
    fit(net, watch)  # a new run: the observer starts anew, too
    assert net.updates > count


# ---- 11: what belongs to another run -------------------------------------------------------------

MISFITS: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("layers", {"layers": [Dense(9), Dense(3)]}, {}, "graph"),
    ("units", {"units": 13}, {}, r"graph.nodes\[2\].layer.units was 12 and is now 13"),
    ("rate", {"rate": 0.4}, {}, r"graph.nodes\[5\].layer.rate was 0.3 and is now 0.4"),
    ("optimizer", {"optimizer": SGD(0.1)}, {}, "optimizer.type was Adam and is now SGD"),
    ("learning rate", {"optimizer": Adam(0.3)}, {}, "optimizer.learning_rate"),
    ("optimizer in fit", {}, {"optimizer": AdamW(RATE)}, "optimizer.type was Adam and is now"),
    ("penalty", {"penalty": None}, {}, "penalty was"),
    ("loss", {"loss": CrossEntropy(scale=2)}, {}, "loss.dense_2.scale was 1.0 and is now 2"),
    ("seed", {"seed": 5}, {}, "seed was 4 and is now 5"),
    ("dtype", {"dtype": "float64"}, {}, "dtype was float32 and is now float64"),
    ("batch size", {}, {"batch_size": 7}, "batch_size was 6 and is now 7"),
    ("accumulate", {}, {"accumulate": 1}, "accumulate was 2 and is now 1"),
    ("rows", {}, {"validation": 0.5}, "rows was 46 and is now 30"),
    ("shuffle", {}, {"shuffle": False}, "shuffle was True and is now False"),
    ("metrics", {}, {"metrics": ["accuracy", "f1"]}, "metrics was"),
]


@pytest.mark.parametrize(("what", "other", "options", "words"), MISFITS,
                         ids=[misfit[0] for misfit in MISFITS])  # fmt: skip
def test_another_run_is_refused_by_what_differs(
    what: str, other: dict[str, Any], options: dict[str, Any], words: str, tmp_path: Path
) -> None:
    path = tmp_path / "run.safetensors"
    fit(network(), Checkpoint(path), epochs=1)
    settings = dict(other)
    units, rate = settings.pop("units", 12), settings.pop("rate", 0.3)
    layers = settings.pop("layers", [Standardize(), Dense(units), BatchNorm(), ReLU(),
                                     Dropout(rate), Dense(3)])  # fmt: skip
    base: dict[str, Any] = {"loss": CrossEntropy(), "optimizer": OPTIMIZERS["adam"]}
    base |= {"penalty": L2(1e-3), "seed": 4}
    net = Network(layers, inputs=6, **base | settings)
    before = [net.parameters.vector.copy(), net.state.vector.copy()]
    optimizer = net.optimizer
    with pytest.raises(ResumeError, match=words) as caught:
        fit(net, resume=path, **options)
    assert "leave out resume" in str(caught.value)
    np.testing.assert_array_equal(before[0], net.parameters.vector)
    np.testing.assert_array_equal(before[1], net.state.vector)
    assert (net.updates, net.training) == (0, None)
    assert net.optimizer is optimizer


@pytest.mark.parametrize("resume", [True, 3, "nothing"])
def test_nothing_to_resume(resume: Any) -> None:
    net = network()
    with pytest.raises((ResumeError, OSError), match=r"no run to resume|does not exist"):
        fit(net, resume=resume)
    assert not net.built


def test_vectors_of_another_network_are_refused() -> None:
    net = network()
    fit(net, epochs=1)
    state = net.training
    assert state is not None
    state.setting = {}
    other = Network([Dense(3)], inputs=6, loss=CrossEntropy(), optimizer=Adam())
    with pytest.raises(ResumeError, match=r"parameters: \d+ values of float32 were saved"):
        other.fit(*data(), progress=False, resume=state)
    other.optimizer = SGD(0.1)
    with pytest.raises(ResumeError, match=r"the optimizer keeps \[\], the training state has"):
        other.fit(*data(), progress=False, resume=state)
    with pytest.raises(ResumeError, match="holds no vectors"):
        other.fit(*data(), progress=False, resume=TrainingState())


# ---- the best weights ----------------------------------------------------------------------------


class Score(Observer):
    """Writes a column into the record, and remembers the vectors of every epoch."""

    def __init__(self, *values: float) -> None:
        self.values, self.vectors = values, {}  # type: ignore[var-annotated]

    def on_epoch(self, event: EpochEnd) -> None:
        event.row["score"] = self.values[event.epoch - 1]
        net = event.run.net
        self.vectors[event.epoch] = net.parameters.vector.copy(), net.state.vector.copy()


def explode(event: Event) -> None:
    event.run.net.parameters.vector[...] = 1e30


def fail(event: Event) -> None:
    raise RuntimeError("on purpose")


ENDS: dict[str, tuple[Any, type[BaseException] | None]] = {
    "completed": (lambda event: None, None),
    "a word": (lambda event: event.run.stop("a word"), None),
    "interrupted": (lambda event: signal.raise_signal(signal.SIGINT), Interrupted),
    "diverged": (explode, DivergenceError),
    "failed": (fail, RuntimeError),
}


@pytest.mark.parametrize("reason", ENDS)
def test_the_best_weights_come_back_however_a_run_ends(reason: str) -> None:
    what, error = ENDS[reason]
    net, watch = network(), EarlyStopping("score", patience=9)
    score, ends = Score(0.1, 0.7, 0.3, float("nan"), 0.6), []

    class End(Observer):
        def on_run_end(self, event: RunEnd) -> None:
            ends.append(event.reason)

    observers = (score, watch, At(18, what), End())
    if error is None:
        fit(net, *observers)
    else:
        with pytest.raises(error):
            fit(net, *observers)
    assert ends == [reason]
    assert (watch.best, watch.best_epoch) == (0.7, 2)
    np.testing.assert_array_equal(net.parameters.vector, score.vectors[2][0])
    np.testing.assert_array_equal(net.state.vector, score.vectors[2][1])
    assert np.isfinite(net.predict(data()[0])).all()


def test_without_restoring_the_last_weights_stay() -> None:
    net, score = network(), Score(0.9, 0.5, 0.3, 0.2, 0.1)
    record = fit(net, score, EarlyStopping("score", patience=2, restore_best=False))
    assert record.stopped == "no better score for 3 epochs"
    np.testing.assert_array_equal(net.parameters.vector, score.vectors[4][0])


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("column", "values", "best"),
    [
        ("score", [NAN, 0.5, NAN, 0.4, 0.5, 0.7, 0.6], [0, 2, 2, 2, 2, 6, 6]),
        ("my_loss", [NAN, 0.5, NAN, 0.4, 0.4, 0.7, 0.6], [0, 2, 2, 4, 4, 4, 4]),
        ("score", [0.5, INF, -INF, 0.6, NAN, 0.1, 0.1], [1, 1, 1, 4, 4, 4, 4]),
        ("my_loss", [0.5, -INF, INF, 0.6, NAN, 0.1, 0.1], [1, 1, 1, 1, 1, 6, 6]),
    ],
)
def test_the_best_checkpoint_is_never_overwritten_by_worse_or_nan(
    column: str, values: list[float], best: list[int], tmp_path: Path
) -> None:
    path, found = tmp_path / "best", []

    class Column(Observer):
        def on_epoch(self, event: EpochEnd) -> None:
            event.row[column] = values[event.epoch - 1]

    class Look(Observer):
        last = True

        def on_epoch(self, event: EpochEnd) -> None:
            found.append(load_state(path).epoch if path.exists() else 0)

    fit(network(), Column(), Checkpoint(path, best_of=column), Look(), epochs=len(values))
    assert found == best

    for step in (6, 16):  # stopped and gone on with, it still knows what the best was
        net, found[:] = network(), []
        path.unlink()
        fit(net, Column(), Checkpoint(path, best_of=column), Look(),
            At(step, lambda event: event.run.stop("")), epochs=len(values))  # fmt: skip
        fit(net, Column(), Checkpoint(path, best_of=column), Look(),
            epochs=len(values), resume=True)  # fmt: skip
        assert found == best


def test_a_checkpoint_stops_nothing_and_outlives_a_divergence(tmp_path: Path) -> None:
    path, plain = tmp_path / "best", tmp_path / "plain"
    net, score = network(), Score(0.9, *np.linspace(0.5, 0.1, 19))
    record = fit(net, score, Checkpoint(path, best_of="score"), Checkpoint(plain), epochs=20)
    assert len(record) == 20
    assert load_state(path).epoch == 1
    twin = network()
    observers = Checkpoint(path, best_of="score"), Checkpoint(plain)
    with pytest.raises(DivergenceError, match=r"update 11 \(epoch 3, batch 3\)"):
        fit(twin, Score(*np.linspace(0, 1, 20)), *observers, At(10, explode), epochs=20)
    for file in (path, plain):
        assert load_state(file).epoch == 2
        assert np.isfinite(Network.load(file).parameters.vector).all()


def test_a_checkpoint_of_every_few_updates_is_written_just_then(tmp_path: Path) -> None:
    path, seen = tmp_path / "run", []

    class Look(Observer):
        last = True
        every = 1

        def on_step(self, event: StepEnd) -> None:
            seen.append(load_state(path).updates if path.exists() else 0)

        def on_epoch(self, event: EpochEnd) -> None:
            assert load_state(path).updates == seen[-1]

    fit(network(), Checkpoint(path, every=3), Look(), epochs=2)
    assert seen == [0, 0, 3, 3, 3, 6, 6, 6]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Checkpoint("x", every=0), "every is a number of updates, not 0"),
        (lambda: Checkpoint("x", every=2.5), "every is a number of updates"),  # type: ignore[arg-type]
        (lambda: Checkpoint("x", every=5, best_of="loss"), "every or best_of: use two"),
        (lambda: EarlyStopping(patience=-1), "patience is a number of epochs, not -1"),
        (lambda: EarlyStopping(patience=True), "patience is a number of epochs, not True"),
        (lambda: EarlyStopping(min_delta=-1), "min_delta is a number of 0 or more"),
        (lambda: EarlyStopping(min_delta=NAN), "min_delta is a number of 0 or more"),
        (lambda: EarlyStopping(mode="best"), "'auto', 'min' or 'max'"),  # type: ignore[arg-type]
        (lambda: fit(network(), EarlyStopping("validation_los")), "Did you mean 'validation_loss'"),
        (lambda: fit(network(), EarlyStopping), "callbacks are Observers"),  # type: ignore[arg-type]
    ],
)
def test_options_of_observers_are_checked(call: Callable[[], object], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        call()


def test_a_loss_is_needed_again_in_another_process(tmp_path: Path) -> None:
    """A network without loss or optimizer of its own takes both from `fit`, when resumed too."""
    x, y = data()
    path = tmp_path / "run"
    settings: dict[str, Any] = {"loss": MSE(), "optimizer": Adam(0.01), "progress": False}
    target = y[:, None].astype(float)
    net, fresh = Network([Dense(1)]), Network([Dense(1)])
    net.fit(x, target, epochs=4, **settings)
    half = Network([Dense(1)])
    half.fit(x, target, epochs=4, callbacks=[Checkpoint(path), At(3, lambda e: e.run.stop(""))],
             **settings)  # fmt: skip
    fresh.fit(x, target, epochs=4, resume=path, **settings)
    np.testing.assert_array_equal(net.parameters.vector, fresh.parameters.vector)
