"""ReduceLROnPlateau counts as PyTorch's does, and leaves nothing behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pellucid import (
    MSE,
    SGD,
    Adam,
    Checkpoint,
    Cosine,
    CrossEntropy,
    Dense,
    EarlyStopping,
    Network,
    Observer,
    ReduceLROnPlateau,
    ReLU,
    StepDecay,
)
from pellucid.errors import OptionError
from pellucid.training.plateau import Reduced


class Row:
    """An event as the callback sees it, for a network that is not trained."""

    def __init__(self, net: Network, epoch: int, value: float) -> None:
        self.epoch, self.row, self.run = epoch, {"loss": value, "accuracy": value}, self
        self.net = net


CURVES = {
    "falling": 1 / np.arange(1, 40),
    "flat": np.ones(40),
    "stairs": np.repeat([3.0, 2.0, 1.9999, 1.9998, 1.0], 8),
    "noise": np.random.default_rng(0).random(60),
    "slow": 1 - np.arange(60) * 4e-5,
    "nan": np.array([1.0, np.nan, np.nan, 0.5, np.nan, np.nan, np.nan, 0.7, 0.6, 0.5]),
    "rising": np.arange(30.0),
}


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize(
    "options",
    [
        {"patience": 2},
        {"patience": 0, "factor": 0.5},
        {"patience": 3, "cooldown": 4, "factor": 0.3},
        {"patience": 1, "min_rate": 0.02, "factor": 0.5},
        {"patience": 2, "min_delta": 0.1},
        {"patience": 2, "mode": "max", "monitor": "accuracy"},
        {"patience": 2, "monitor": "accuracy"},
    ],
    ids=str,
)
def test_rates_are_pytorchs(curve: str, options: dict[str, Any]) -> None:
    net = Network([Dense(1)], inputs=1, loss=MSE(), optimizer=SGD(0.1))
    ours = ReduceLROnPlateau(**{"monitor": "loss", **options})
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    peer = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, mode="max" if options.get("monitor") == "accuracy" else "min",
        factor=options.get("factor", 0.1), patience=options["patience"],
        threshold=options.get("min_delta", 1e-4), threshold_mode="abs",
        cooldown=options.get("cooldown", 0), min_lr=options.get("min_rate", 0), eps=0,
    )  # fmt: skip
    for epoch, value in enumerate(CURVES[curve], start=1):
        ours.on_epoch(Row(net, epoch, float(value)))  # type: ignore[arg-type]
        peer.step(float(value))
        rate = optimizer.param_groups[0]["lr"]
        assert net.optimizer is not None
        assert net.optimizer.rate(epoch) == pytest.approx(rate, rel=1e-12), epoch


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(11)
    x = rng.normal(size=(61, 6))
    return x, (x[:, 0] > 0).astype(int) + (rng.random(61) < 0.3)


def network(rate: Any = 0.05, engine: str = "auto") -> Network:
    return Network([Dense(12), ReLU(), Dense(3)], inputs=6, loss=CrossEntropy(), seed=4,
                   optimizer=Adam(rate), engine=engine)  # fmt: skip


def fit(net: Network, *observers: Observer, **options: Any) -> Any:
    settings: dict[str, Any] = {
        "epochs": 12,
        "batch_size": 8,
        "validation": 0.25,
        "progress": False,
    }
    return net.fit(*data(), callbacks=list(observers), **settings | options)


def bits(net: Network, record: Any, *watched: Observer) -> dict[str, Any]:
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in record.rows]
    return {"parameters": net.parameters.vector.tobytes(), "rows": repr(rows),
            "observers": repr([{k: v for k, v in o.state().items() if not isinstance(v, np.ndarray)}
                               for o in watched])}  # fmt: skip


@pytest.mark.parametrize("rate", [0.05, Cosine(0.05, 72), StepDecay(0.05, 20, 0.5)], ids=repr)
def test_a_schedule_is_multiplied_for_the_time_of_a_run(rate: Any) -> None:
    net, plateau = network(rate), ReduceLROnPlateau(patience=0, factor=0.5)
    record = fit(net, plateau)
    assert net.optimizer == Adam(rate)
    assert plateau.scale <= 0.25
    scales = [
        r / Adam(rate).rate(s - 1)
        for r, s in zip(record["learning_rate"], record["step"], strict=True)
    ]
    assert scales[0] == 1
    assert scales == pytest.approx([0.5 ** round(-np.log2(s)) for s in scales])
    assert scales == sorted(scales, reverse=True)
    once, again = bits(net, record, plateau), network(rate)
    assert bits(again, fit(again, plateau), plateau) == once  # a new run: it starts anew


@pytest.mark.parametrize("engine", ["auto", "numpy"])
def test_gone_on_with_from_anywhere_it_has_the_same_bits(engine: str, tmp_path: Path) -> None:
    class Stop(Observer):
        every = 1
        last = True

        def __init__(self, step: int) -> None:
            self.step = step

        def on_step(self, event):
            if event.step == self.step:
                event.run.stop("enough")

    def watchers() -> list[Observer]:
        return [ReduceLROnPlateau(patience=0, factor=0.5, cooldown=1), EarlyStopping(patience=9)]

    whole, watched = network(engine=engine), watchers()
    expected = bits(whole, fit(whole, *watched), *watched)
    assert watched[0].scale < 0.5  # type: ignore[attr-defined]
    for step in (6, 17, 24, 33, 48, 70):
        path = tmp_path / f"{step}"
        net = network(engine=engine)
        fit(net, *watchers(), Checkpoint(path, every=1), Stop(step))
        assert net.optimizer == Adam(0.05)
        loaded = Network.load(path)
        assert loaded.optimizer == Adam(0.05)
        for other in (loaded, network(engine=engine)):
            watched = watchers()
            assert bits(other, fit(other, *watched, resume=path), *watched) == expected, step
        watched = watchers()
        assert bits(net, fit(net, *watched, resume=True), *watched) == expected


def test_a_file_written_meanwhile_has_the_optimizer_as_it_was_described(tmp_path: Path) -> None:
    schedule = Cosine(0.05, 100)
    assert Reduced(schedule, 0.5).to_config() == schedule.to_config()
    assert Reduced(0.1, 0.5).to_config() == 0.1

    class Save(Observer):
        last = True

        def on_epoch(self, event):
            if event.run.net.optimizer.learning_rate != schedule:
                event.run.net.save(tmp_path / "meanwhile")

    fit(network(schedule), ReduceLROnPlateau(patience=0), Save())
    assert Network.load(tmp_path / "meanwhile").optimizer == Adam(schedule)


def test_a_run_that_never_began_leaves_no_trace() -> None:
    class Refuse(Observer):
        def on_run_start(self, event):
            raise MemoryError

    net, plateau = network(), ReduceLROnPlateau(patience=0)
    fit(net, plateau, epochs=6)
    expected = bits(net, fit(net, plateau, resume=True), plateau)
    net, plateau = network(), ReduceLROnPlateau(patience=0)
    fit(net, plateau, epochs=6)
    with pytest.raises(MemoryError):
        fit(net, plateau, Refuse(), resume=True)
    assert bits(net, fit(net, plateau, resume=True), plateau) == expected


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"factor": 1.0}, "factor is a number between 0 and 1"),
        ({"factor": "x"}, "factor"),
        ({"patience": -1}, "patience is a number of epochs"),
        ({"cooldown": 1.5}, "cooldown is a number of epochs"),
        ({"min_rate": -1}, "min_rate"),
        ({"min_delta": -1}, "min_delta"),
        ({"mode": "least"}, "mode is 'auto'"),
        ({"min_lr": 0.1}, "Write min_rate="),
        ({"threshold": 0.1}, "Write min_delta="),
        ({"patienc": 3}, "Did you mean 'patience'"),
    ],
)
def test_options_are_checked(options: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        ReduceLROnPlateau(**options)


def test_what_it_watches_must_be_there_and_it_alone() -> None:
    with pytest.raises(OptionError, match="ReduceLROnPlateau: the record has no 'validation_los'"):
        fit(network(), ReduceLROnPlateau("validation_los"))
    net = network()
    with pytest.raises(OptionError, match="one ReduceLROnPlateau a run"):
        fit(net, ReduceLROnPlateau("loss"), ReduceLROnPlateau())
