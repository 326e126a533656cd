"""Every optimizer with every kind of schedule in a run: resumed, saved, frozen, on both engines."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pellucid
from pellucid import (
    EMA,
    L1,
    L2,
    MSE,
    SGD,
    SWA,
    Adadelta,
    Adagrad,
    Adam,
    AdamW,
    Checkpoint,
    Conv2D,
    Conv2DTranspose,
    Cosine,
    CosineRestarts,
    CrossEntropy,
    Dense,
    Dropout,
    Embedding,
    ExponentialDecay,
    Flatten,
    InverseScaling,
    Lion,
    MultiStep,
    NAdam,
    Network,
    Observer,
    OneCycle,
    PolynomialDecay,
    RAdam,
    ReduceLROnPlateau,
    ReLU,
    RMSProp,
    StepDecay,
    Tanh,
    WarmUp,
)
from pellucid.errors import ResumeError
from pellucid.formats import load_state

# Each optimizer with a schedule and fields of its own, so that every name of a state occurs.
TABLE = {
    "sgd": SGD(StepDecay(0.1, 5, 0.5), weight_decay=0.01),
    "momentum": SGD(OneCycle(0.2, 24), momentum=0.9, average=SWA(start=3, every=2)),
    "nesterov": SGD(MultiStep(0.1, (4, 9), 0.3), 0.9, True, clip_norm=0.5),
    "adam": Adam(PolynomialDecay(0.05, 20, 2), average=EMA(0.8)),
    "amsgrad": Adam(CosineRestarts(0.05, 5), amsgrad=True, max_norm=1.0),
    "adamw": AdamW(WarmUp(ExponentialDecay(0.05, 0.9), 4), clip_value=0.1),
    "amsgrad-w": AdamW(0.05, amsgrad=True, beta_2=0.9),
    "nadam": NAdam(InverseScaling(0.05), weight_decay=0.01),
    "radam": RAdam(0.05, 0.8, 0.9, decoupled_weight_decay=True, weight_decay=0.1),
    "adagrad": Adagrad(InverseScaling(0.3, power=1, scale=0.1)),
    "rmsprop": RMSProp(WarmUp(0.01, 6), average=EMA(0.7, every=2)),
    "rmsprop-all": RMSProp(0.01, 0.9, 0.8, 1e-4, True, weight_decay=0.01, clip_norm=1.0),
    "adadelta": Adadelta(1.0, weight_decay=0.01),
    "lion": Lion(OneCycle(0.02, 24, three_phase=True), weight_decay=0.1, max_norm=2.0),
}
table = pytest.mark.parametrize("optimizer", TABLE.values(), ids=TABLE)


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(11)
    x = rng.normal(size=(40, 6))
    return x, (x[:, 0] > 0).astype(int) + (rng.random(40) < 0.3)


def network(optimizer: Any, **options: Any) -> Network:
    layers = [Dense(12), Tanh(), Dropout(0.3), Dense(5, trainable=False), ReLU(), Dense(3)]
    settings = {"loss": CrossEntropy(), "penalty": L2(1e-3), "seed": 4}
    return Network(layers, inputs=6, optimizer=optimizer, **{**settings, **options})


def fit(net: Network, *observers: Observer, **options: Any) -> Any:
    settings: dict[str, Any] = {"epochs": 4, "batch_size": 8, "accumulate": 1, "progress": False}
    return net.fit(*data(), callbacks=list(observers), **settings | options)


def bits(net: Network, record: Any) -> dict[str, Any]:
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in record.rows]
    vectors = {name: vector.tobytes() for name, vector in net.slots.items()}
    return {"parameters": net.parameters.vector.tobytes(), **vectors, "updates": net.updates,
            "rows": repr(rows)}  # fmt: skip


class Stop(Observer):
    every = 1
    last = True

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step(self, event):
        if event.step == self.step:
            event.run.stop("enough")


@table
@pytest.mark.parametrize("engine", ["auto", "numpy"])
def test_stopped_anywhere_and_gone_on_with_it_has_the_same_bits(optimizer, engine, tmp_path):
    whole = network(optimizer, engine=engine)
    expected = bits(whole, fit(whole))
    assert whole.updates == 20
    assert np.isfinite(whole.parameters.vector).all()
    for step in (1, 7, 10):
        path = tmp_path / f"{step}.safetensors"
        net = network(optimizer, engine=engine)
        fit(net, Checkpoint(path), Stop(step))
        assert net.updates == step
        again = network(optimizer, engine=engine)
        assert bits(again, fit(again, resume=path)) == expected
        assert bits(net, fit(net, resume=True)) == expected


SCHEDULES = {
    "constant": 0.02,
    "step": StepDecay(0.05, 2, 0.5),
    "steps": MultiStep(0.05, (1, 3)),
    "exponential": ExponentialDecay(0.05, 0.8),
    "polynomial": PolynomialDecay(0.05, 5, 2),
    "inverse": InverseScaling(0.05),
    "cosine": Cosine(0.05, 5),
    "restarts": CosineRestarts(0.05, 2),
    "cycle": OneCycle(0.05, 6),
    "warm": WarmUp(Cosine(0.05, 3), 2),
}


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
@table
def test_every_optimizer_resumes_with_every_schedule(optimizer, schedule):
    optimizer = optimizer.replace(learning_rate=schedule)
    whole = network(optimizer)
    expected = bits(whole, fit(whole, epochs=2))
    net = network(optimizer)
    fit(net, Stop(3), epochs=2)
    assert bits(net, fit(net, resume=True, epochs=2)) == expected


@table
def test_a_file_has_every_state_by_name(optimizer, tmp_path: Path):
    net = network(optimizer)
    fit(net)
    net.save(tmp_path / "net")
    twin = Network.load(tmp_path / "net")
    assert twin.optimizer == optimizer
    assert tuple(twin.slots) == optimizer.slot_names()
    for name, slot in net.slots.items():
        np.testing.assert_array_equal(twin.slots[name], slot)
        assert slot.any(), name
    fit(net, epochs=1)
    fit(twin, epochs=1)
    np.testing.assert_array_equal(twin.parameters.vector, net.parameters.vector)
    assert load_state(tmp_path / "net").slots.keys() == net.slots.keys()


@table
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_is_not_trainable_stays_and_types_stay(optimizer, dtype):
    net = network(optimizer, dtype=dtype)
    before = net.parameters.vector.copy()
    fit(net)
    for name in net.parameters:
        start, stop = net.parameters.stretch(name)
        same = np.array_equal(net.parameters.vector[start:stop], before[start:stop])
        assert same == name.startswith("dense_2"), name
        if same:
            assert not any(slot[start:stop].any() for slot in net.slots.values())
    assert {net.parameters.vector.dtype, *(s.dtype for s in net.slots.values())} == {
        np.dtype(dtype)
    }


@table
def test_both_engines_take_the_same_path(optimizer):
    nets = [
        network(optimizer, dtype="float64", engine=e, penalty=L1(1e-3)) for e in ("auto", "numpy")
    ]
    for net in nets:
        fit(net)
    np.testing.assert_allclose(nets[0].parameters.vector, nets[1].parameters.vector, atol=1e-9)
    for name, slot in nets[0].slots.items():
        np.testing.assert_allclose(slot, nets[1].slots[name], atol=1e-9, err_msg=name)


@table
def test_steps_by_hand_are_those_of_fit(optimizer):
    nets = [network(optimizer) for _ in "ab"]
    x, y = data()
    fit(nets[0], shuffle=False, epochs=2)
    for _ in range(2):
        for start in range(0, 40, 8):
            step = nets[1].step(x[start : start + 8], y[start : start + 8])
            step.forward()
            step.loss()
            step.backward()
            step.update()
    np.testing.assert_array_equal(nets[0].parameters.vector, nets[1].parameters.vector)
    for name, slot in nets[0].slots.items():
        np.testing.assert_array_equal(slot, nets[1].slots[name])


def test_every_optimizer_learns() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(256, 4))
    y = np.sin(x[:, :1]) + 0.5 * x[:, 1:2]
    rates = {
        "adadelta": Adadelta(5.0),
        "lion": Lion(3e-3),
        "sgd": SGD(0.1),
        "adagrad": Adagrad(0.1),
    }
    for name, listed in TABLE.items():
        optimizer = rates.get(name, listed.replace(learning_rate=0.01))
        net = Network([Dense(16), Tanh(), Dense(1)], inputs=4, loss=MSE(),
                      optimizer=optimizer.replace(max_norm=None, weight_decay=0.0))  # fmt: skip
        record = net.fit(x, y, epochs=60, batch_size=32, progress=False)
        assert record["loss"][-1] < 0.15 * np.mean(y**2), name


def test_weights_into_each_unit_are_kept_short() -> None:
    rng = np.random.default_rng(0)
    words = Network([Embedding(7, 3), Flatten(), Dense(2)], inputs=(4,), loss=CrossEntropy(),
                    optimizer=Adam(0.5, max_norm=0.4))  # fmt: skip
    words.fit(rng.integers(0, 7, (30, 4)), rng.integers(0, 2, 30), epochs=5, progress=False)
    pictures = Network([Conv2D(4, 3), ReLU(), Flatten(), Dense(2, trainable=False)], inputs=(6, 6, 2),
                       loss=CrossEntropy(), optimizer=SGD(0.5, max_norm=0.4))  # fmt: skip
    frozen = pictures.parameters["dense_1/W"].copy()
    pictures.fit(rng.normal(size=(30, 6, 6, 2)), rng.integers(0, 2, 30), epochs=5, progress=False)
    upwards = Network([Conv2DTranspose(3, 2), Flatten(), Dense(2)], inputs=(4, 4, 5),
                      loss=CrossEntropy(), optimizer=SGD(0.5, max_norm=0.4))  # fmt: skip
    upwards.fit(rng.normal(size=(30, 4, 4, 5)), rng.integers(0, 2, 30), epochs=5, progress=False)
    upward = upwards.parameters["conv2d_transpose_1/W"]
    norms = {
        "upwards": np.sqrt(np.square(upward).sum(axis=(0, 1, 3))),
        "rows": np.linalg.norm(words.parameters["embedding_1/W"], axis=1),
        "columns": np.linalg.norm(words.parameters["dense_1/W"], axis=0),
        "filters": np.linalg.norm(pictures.parameters["conv2d_1/W"].reshape(-1, 4), axis=0),
    }
    for what, found in norms.items():
        assert (found <= 0.4 * (1 + 1e-6)).all(), what
        assert (found > 0.399).any(), what
    np.testing.assert_array_equal(pictures.parameters["dense_1/W"], frozen)
    assert np.linalg.norm(frozen, axis=0).max() > 0.4


def test_another_field_is_another_run(tmp_path: Path) -> None:
    fit(network(Adam(0.05)), Checkpoint(tmp_path / "run"), epochs=1)
    for other in (Adam(0.05, amsgrad=True), Adam(0.05, max_norm=1.0), Adam(0.05, average=EMA())):
        with pytest.raises(ResumeError, match="optimizer"):
            fit(network(other), resume=tmp_path / "run")


def test_a_field_more_keeps_what_an_optimizer_remembers() -> None:
    net = network(Adam(0.05))
    fit(net)
    m = net.slots["m"].copy()
    net.optimizer = Adam(0.05, amsgrad=True, average=SWA())
    np.testing.assert_array_equal(net.slots["m"], m)
    assert not net.slots["v_max"].any()
    fit(net, epochs=1)
    start, stop = net.parameters.stretch("dense_2/W")
    assert (net.slots["samples"][:start] == 5).all()
    assert (net.slots["samples"][start:stop] == 0).all()
    net.optimizer = RMSProp()
    assert not net.slots["v"].any()


def test_the_rate_may_be_lowered_meanwhile() -> None:
    for optimizer in TABLE.values():
        net = network(optimizer)
        record = fit(net, ReduceLROnPlateau("loss", patience=0, min_delta=10.0, factor=0.5))
        assert net.optimizer == optimizer
        assert record["learning_rate"][-1] == pytest.approx(optimizer.rate(19) / 4)


@pytest.mark.parametrize(
    "name",
    [
        *(f"optimizers.{n}" for n in ("sgd", "adam", "nadam", "adagrad", "averages", "lbfgs")),
        *(f"schedules.{n}" for n in ("base", "decay", "cosine")),
        *(f"initializers.{n}" for n in ("base", "plain", "scaled", "names")),
        *(f"training.{n}" for n in ("averaging", "rates", "plateau")),
    ],
)
def test_the_examples_in_the_docstrings_run(name: str) -> None:
    found = doctest.testmod(importlib.import_module(f"pellucid.{name}"))
    assert found.failed == 0
    assert found.attempted > 0


def test_keras_names_are_understood() -> None:
    assert pellucid.RMSprop is RMSProp
    assert pellucid.CosineDecayRestarts is CosineRestarts
    assert pellucid.RandomNormal is pellucid.Normal
