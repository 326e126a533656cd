"""Averaged weights in use: copies, validation, the end of a run, and statistics measured anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.optim.swa_utils import AveragedModel, update_bn

from pellucid import (
    EMA,
    L2,
    MSE,
    SGD,
    SWA,
    Adam,
    AveragedWeights,
    BatchNorm,
    Checkpoint,
    Conv2D,
    CrossEntropy,
    Dense,
    Dropout,
    EarlyStopping,
    Flatten,
    Network,
    Observer,
    ReLU,
    Tanh,
    averaged,
)
from pellucid.data import digits_8x8
from pellucid.errors import DataError, OptionError
from pellucid.training import measure


def data(rows: int = 48) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    x = rng.normal(1, 2, size=(rows, 6))
    return x, (x[:, 0] > 1).astype(int) + (rng.random(rows) < 0.3)


def network(average: Any = EMA(0.8), *, norm: bool = True, **options: Any) -> Network:  # noqa: B008
    layers = [Dense(8), *([BatchNorm()] if norm else []), ReLU(), Dropout(0.2), Dense(3)]
    settings = {"loss": CrossEntropy(), "optimizer": Adam(0.03, average=average), "seed": 3,
                "penalty": L2(1e-3)}  # fmt: skip
    return Network(layers, inputs=6, **{**settings, **options})


def fit(net: Network, *observers: Observer, **options: Any) -> Any:
    settings: dict[str, Any] = {"epochs": 5, "batch_size": 8, "validation": 0.25, "progress": False}
    return net.fit(*data(), callbacks=list(observers), **settings | options)


def bits(net: Network, record: Any) -> dict[str, Any]:
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in record.rows]
    return {"parameters": net.parameters.vector.tobytes(), "state": net.state.vector.tobytes(),
            **{k: v.tobytes() for k, v in net.slots.items()}, "rows": repr(rows),
            "stopped": record.stopped}  # fmt: skip


def test_a_copy_has_the_averages_and_the_network_its_weights() -> None:
    net = network()
    fit(net)
    before = net.parameters.vector.copy(), net.state.vector.copy()
    smooth = averaged(net)
    np.testing.assert_array_equal(smooth.parameters.vector, net.slots["average"])
    np.testing.assert_array_equal(smooth.state.vector, net.state.vector)
    np.testing.assert_array_equal(net.parameters.vector, before[0])
    again = averaged(net, data()[0])
    np.testing.assert_array_equal(again.parameters.vector, net.slots["average"])
    assert (again.state.vector != net.state.vector).all()
    np.testing.assert_array_equal(net.state.vector, before[1])
    assert np.isfinite(again.predict(data()[0])).all()


def test_averages_come_back_from_a_file(tmp_path: Path) -> None:
    net = network()
    fit(net, Checkpoint(tmp_path / "run"))
    net.save(tmp_path / "net")
    averaged(net).save(tmp_path / "smooth")
    x = data()[0]
    expected = averaged(net).predict(x)
    for path in ("net", "run"):
        np.testing.assert_array_equal(averaged(Network.load(tmp_path / path)).predict(x), expected)
    np.testing.assert_array_equal(Network.load(tmp_path / "smooth").predict(x), expected)


def test_what_has_no_average_keeps_its_weights() -> None:
    layers = [Dense(8, trainable=False), Tanh(), Dense(3)]
    net = Network(layers, inputs=6, loss=CrossEntropy(), optimizer=SGD(0.1, average=SWA(start=4)))
    net.fit(*data(), epochs=1, batch_size=16, progress=False)  # three updates
    np.testing.assert_array_equal(averaged(net).parameters.vector, net.parameters.vector)
    net.fit(*data(), epochs=1, batch_size=16, progress=False)
    smooth = averaged(net).parameters
    np.testing.assert_array_equal(smooth["dense_1/W"], net.parameters["dense_1/W"])
    assert (smooth["dense_2/W"] != net.parameters["dense_2/W"]).all()
    for wrong in (Network([Dense(3)], inputs=6), network(None)):
        with pytest.raises(OptionError, match=r"average=EMA\(0.999\)"):
            averaged(wrong)


# ---- statistics measured anew ---------------------------------------------------------------------


@pytest.mark.parametrize("rows", [64, 60])
def test_swa_and_its_statistics_are_pytorchs(rows: int) -> None:
    """A small convolutional network, six steps, their mean, and update_bn."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    x, y = rng.normal(2, 3, size=(rows, 6, 6, 2)), rng.normal(size=(rows, 3))
    net = Network([Conv2D(4, 3), BatchNorm(), ReLU(), Flatten(), Dense(5), BatchNorm(), Dense(3)],
                  inputs=(6, 6, 2), loss=MSE(), optimizer=SGD(0.05, average=SWA(start=2)),
                  dtype="float64")  # fmt: skip
    model = torch.nn.Sequential(
        torch.nn.Conv2d(2, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), torch.nn.Flatten(),
        torch.nn.Linear(64, 5), torch.nn.BatchNorm1d(5), torch.nn.Linear(5, 3),
    ).double()  # fmt: skip
    with torch.no_grad():
        p = net.parameters
        model[0].weight[...] = torch.tensor(p["conv2d_1/W"].transpose(3, 2, 0, 1).copy())
        W = p["dense_1/W"].reshape(4, 4, 4, 5).transpose(2, 0, 1, 3).reshape(64, 5)
        model[4].weight[...] = torch.tensor(W.T.copy())
        model[6].weight[...] = torch.tensor(p["dense_2/W"].T.copy())
        for i in (0, 4, 6):
            model[i].bias.zero_()
    peer, optimizer = AveragedModel(model), torch.optim.SGD(model.parameters(), 0.05)
    X, Y = torch.tensor(x.transpose(0, 3, 1, 2).copy()), torch.tensor(y)
    for step in range(6):
        optimizer.zero_grad()
        ((model(X) - Y) ** 2).mean().backward()
        optimizer.step()
        if step >= 2:
            peer.update_parameters(model)
        net.fit(x, y, epochs=1, batch_size=rows, shuffle=False, progress=False)
    batch = 16 if rows == 64 else rows  # PyTorch counts batches, here they count by their rows
    update_bn([X[i : i + batch] for i in range(0, rows, batch)], peer)
    smooth = averaged(net, x, batch_size=batch)
    found = peer.eval()(X).detach().numpy()
    np.testing.assert_allclose(smooth(x), found, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(
        smooth.state["batch_norm_1/mean"], peer.module[1].running_mean, rtol=1e-10
    )
    np.testing.assert_allclose(
        smooth.state["batch_norm_2/variance"], peer.module[5].running_var, rtol=1e-10
    )


def test_statistics_are_the_mean_over_all_rows() -> None:
    x = data(50)[0]
    net = Network([BatchNorm(momentum=0.99)], inputs=6, dtype="float64")
    assert measure(net, x, batch_size=7) is net  # the remainder of one joins the batch before
    np.testing.assert_allclose(net.state["batch_norm_1/mean"], x.mean(axis=0), rtol=1e-13)
    cuts = [x[i : i + 7] for i in range(0, 42, 7)] + [x[42:]]
    expected = sum(len(part) * part.var(axis=0, ddof=1) for part in cuts) / 50
    np.testing.assert_allclose(net.state["batch_norm_1/variance"], expected, rtol=1e-12)
    plain = Network([Dense(3)], inputs=6)
    measure(plain, x)  # nothing to measure
    with pytest.raises(DataError, match="no rows"):
        measure(net, x[:0])
    with pytest.raises(OptionError, match="batch_size"):
        measure(net, x, batch_size=0)
    with pytest.raises(DataError, match="a variance needs two"):
        measure(net, x[:1])


# ---- in a run -------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", [True, False])
def test_validation_and_the_end_are_those_of_the_averages(norm: bool) -> None:
    plain, net = network(norm=norm), network(norm=norm)
    first, second = fit(plain), fit(net, AveragedWeights())
    for column in ("loss", "accuracy", "learning_rate"):
        assert first[column] == second[column]  # training is the same
    assert first["validation_loss"] != second["validation_loss"]
    for name, slot in plain.slots.items():
        np.testing.assert_array_equal(slot, net.slots[name])
    np.testing.assert_array_equal(net.parameters.vector, net.slots["average"])
    if not norm:
        np.testing.assert_array_equal(net.state.vector, plain.state.vector)
        assert averaged(plain).evaluate(*data()) == net.evaluate(*data())


@pytest.mark.parametrize("average", [EMA(0.8), SWA(start=10, every=3)], ids=repr)
@pytest.mark.parametrize("patience", [50, 0])
def test_gone_on_with_from_anywhere_it_has_the_same_bits(average: Any, patience: int) -> None:
    class Snapshots(Observer):
        every = 1
        last = True

        def __init__(self) -> None:
            self.states: list[Any] = []

        def on_step(self, event):
            self.states.append(event.run.snapshot())

        def on_epoch(self, event):
            self.states.append(event.run.snapshot())

    def watchers() -> list[Observer]:
        return [EarlyStopping(patience=patience), AveragedWeights()]

    net, seen = network(average), Snapshots()
    expected = bits(net, fit(net, *watchers(), seen))
    for number, state in enumerate(seen.states):
        fresh = network(average)
        assert bits(fresh, fit(fresh, *watchers(), resume=state)) == expected, number


@pytest.mark.parametrize("order", [1, -1])
def test_early_stopping_brings_back_the_averages_it_saw(order: int) -> None:
    net, early, seen = network(), EarlyStopping(patience=2), {}

    class Keep(Observer):
        def on_epoch(self, event):
            weights = next(o for o in event.run.observers if isinstance(o, AveragedWeights))
            seen[event.epoch] = {k: v.copy() for k, v in weights.vectors.items()}

    record = fit(net, *[early, AveragedWeights()][::order], Keep(), epochs=30)
    best = seen[early.best_epoch]
    np.testing.assert_array_equal(net.parameters.vector, best["parameters"])
    np.testing.assert_array_equal(net.state.vector, best["state"])
    assert early.best == min(record["validation_loss"])
    assert early.best_epoch < len(record)


def test_stopped_in_the_middle_it_ends_with_the_averages_of_then() -> None:
    net = network()

    class Stop(Observer):
        every = 7

        def on_step(self, event):
            event.run.stop("enough")

    fit(net, AveragedWeights(), Stop())
    assert net.updates == 7
    np.testing.assert_array_equal(net.parameters.vector, net.slots["average"])
    fit(net, AveragedWeights(), resume=True)
    whole = network()
    fit(whole, AveragedWeights())
    np.testing.assert_array_equal(net.parameters.vector, whole.parameters.vector)


def test_batches_from_a_function_need_rows_to_measure_on() -> None:
    x, y = data()

    def batches() -> Any:
        return iter([(x[i : i + 8], y[i : i + 8]) for i in range(0, 48, 8)])

    net = network()
    with pytest.raises(OptionError, match=r"AveragedWeights\(x=some rows\)"):
        net.fit(batches, epochs=1, progress=False, callbacks=[AveragedWeights()])
    net = network()
    net.fit(batches, epochs=2, progress=False, callbacks=[AveragedWeights(x)])
    expected = network()
    expected.fit(batches, epochs=2, progress=False)
    np.testing.assert_array_equal(net.state.vector, averaged(expected, x).state.vector)
    plain = network(norm=False)
    plain.fit(batches, epochs=2, progress=False, callbacks=[AveragedWeights()])


def test_it_needs_an_average() -> None:
    with pytest.raises(OptionError, match=r"average=EMA\(0.999\)"):
        fit(network(None), AveragedWeights())
    with pytest.raises(OptionError, match="AveragedWeights has no option 'decay'"):
        AveragedWeights(decay=0.9)


def test_averages_of_a_restless_run_are_better() -> None:
    """At a rate too high to settle, the mean of the weights is where they should have settled."""
    digits = digits_8x8()
    x, y = digits.x.reshape(len(digits.x), -1) / 16, digits.y
    net = Network([Dense(24), ReLU(), Dense(10)], inputs=64, loss=CrossEntropy(), seed=1,
                  optimizer=SGD(0.8, average=SWA(start=400)))  # fmt: skip
    net.fit(x[:1400], y[:1400], epochs=12, batch_size=16, progress=False)
    last, mean = net.evaluate(x[1400:], y[1400:]), averaged(net).evaluate(x[1400:], y[1400:])
    assert mean["loss"] < last["loss"]
    assert mean["accuracy"] >= last["accuracy"]
