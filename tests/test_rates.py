"""The search for a learning rate: a curve, a suggestion, and a network left as it was."""

from __future__ import annotations

import builtins
import pickle
from typing import Any

import numpy as np
import pytest

from pellucid import (
    LBFGS,
    MSE,
    SGD,
    Adam,
    AdamW,
    BatchNorm,
    CrossEntropy,
    Dense,
    Dropout,
    Network,
    ReLU,
    Rescale,
    Standardize,
    find_learning_rate,
)
from pellucid.data import digits_8x8
from pellucid.errors import DataError, MissingExtraError, OptionError
from pellucid.training import shuffled


def problem(**options: Any) -> tuple[Network, np.ndarray, np.ndarray]:
    digits = digits_8x8()
    layers = [Rescale(1 / 16), Dense(32), ReLU(), Dense(10)]
    net = Network(layers, **{"loss": CrossEntropy(), "optimizer": Adam(), "seed": 1} | options)
    return net, digits.x.reshape(len(digits.x), -1), digits.y


@pytest.mark.parametrize(
    ("optimizer", "low", "high"),
    [(SGD(momentum=0.9), 0.01, 0.3), (Adam(), 0.003, 0.05), (AdamW(), 0.003, 0.05)],
    ids=repr,
)
def test_the_suggestion_trains_well(optimizer: Any, low: float, high: float) -> None:
    net, x, y = problem(optimizer=optimizer)
    found = find_learning_rate(net, x, y)
    assert low < found.suggestion < high
    assert 20 < len(found.rates) == len(found.losses) == len(found.smooth) <= 100
    np.testing.assert_allclose(np.diff(np.log(found.rates)), np.log(1e8) / 99, rtol=1e-9)
    assert found.rates[0] == 1e-7
    assert found.smooth[0] == found.losses[0]
    net.optimizer = optimizer.replace(learning_rate=found.suggestion)
    assert net.fit(x, y, epochs=5, progress=False)["accuracy"][-1] > 0.97


def state_of(net: Network) -> bytes:
    return pickle.dumps({k: v for k, v in net.__getstate__().items() if k != "engine"})


@pytest.mark.parametrize("trained", [None, 0, 3])
def test_the_network_is_left_as_it_was(trained: int | None) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(3, 2, size=(40, 5)), rng.integers(0, 3, 40)
    net = Network([Standardize(), Dense(6), BatchNorm(), ReLU(), Dropout(0.2), Dense(3)],
                  loss=CrossEntropy(), optimizer=Adam(0.01))  # fmt: skip
    if trained is not None:
        net.build(5)
    if trained:
        net.fit(x, y, epochs=trained, progress=False)
    before, program = state_of(net), net._program
    first, second = find_learning_rate(net, x, y), find_learning_rate(net, x, y)
    assert state_of(net) == before
    assert net._program is program
    np.testing.assert_array_equal(first.losses, second.losses)
    assert net.built == (trained is not None)


def test_the_losses_are_those_of_a_run_with_these_rates() -> None:
    net, x, y = problem()
    found = find_learning_rate(net, x, y, steps=20, batch_size=50, high=0.1)
    net.build(64)
    net.optimizer = Adam()
    losses = []
    rows = shuffled(net, len(x), 0)  # as in fit
    for k, rate in enumerate(found.rates):
        net.optimizer = Adam(rate)
        step = net.step(x[rows[50 * k : 50 * k + 50]], y[rows[50 * k : 50 * k + 50]])
        step.forward()
        losses.append(step.loss())
        step.backward()
        step.update()
    np.testing.assert_allclose(found.losses, losses, rtol=1e-5)
    mean = 0.0
    for k, loss in enumerate(losses):
        mean = 0.9 * mean + 0.1 * loss
        assert found.smooth[k] == pytest.approx(mean / (1 - 0.9 ** (k + 1)), rel=1e-5)


def test_it_gives_up_where_there_is_nothing_more_to_see() -> None:
    net, x, y = problem(optimizer=SGD())
    found = find_learning_rate(net, x, y, high=1e12)
    assert len(found.rates) < 90
    assert np.isfinite(found.losses).all()
    explosive = Network([Dense(1)], loss=MSE(), optimizer=SGD())
    with pytest.warns(UserWarning, match=r"only grows, .* start lower, low="):
        values = find_learning_rate(explosive, 1e3 * x[:, :3], y[:, None], high=1e6)
    assert np.isfinite(values.losses).all()
    assert values.suggestion < 1e-5
    explosive.build(3).parameters.vector[...] = np.inf
    with pytest.raises(OptionError, match="start lower"):
        find_learning_rate(explosive, x[:, :3], y[:, None])


@pytest.mark.parametrize("optimizer", [Adam(0.01), SGD(0.1)], ids=repr)
@pytest.mark.parametrize("epochs", [10, 40])
def test_a_trained_network_is_told_of(optimizer: Any, epochs: int) -> None:
    """Its loss falls nowhere; a rate far below the first is no suggestion."""
    net, x, y = problem(optimizer=optimizer)
    net.fit(x, y, epochs=epochs, progress=False)
    with pytest.warns(UserWarning, match=r"only grows, .* trained already") as caught:
        found = find_learning_rate(net, x, y)
    assert caught[0].filename == __file__
    figure = pytest.importorskip("matplotlib.figure")
    top = found.plot(figure.Figure().add_subplot()).get_ylim()[1]
    assert (
        top > found.smooth[: len(found.smooth) // 2].max()
    )  # the curve does not leave the picture
    assert 1e-3 < found.suggestion < 0.1
    net.optimizer = optimizer.replace(learning_rate=found.suggestion)
    assert net.fit(x, y, epochs=3, progress=False)["accuracy"][-1] > 0.97  # and it does no harm


@pytest.mark.parametrize(("low", "high"), [(1e-9, 1e-7), (1e-3, 10), (1, 1e3), (1e-7, 1e-6)])
@pytest.mark.filterwarnings("ignore:the loss:UserWarning")
def test_no_suggestion_outside_the_search(low: float, high: float) -> None:
    for epochs in (0, 2, 10):
        net, x, y = problem(optimizer=SGD(0.1))
        net.fit(x, y, epochs=epochs, progress=False)
        assert low <= find_learning_rate(net, x, y, low=low, high=high).suggestion <= high


def test_rates_that_are_all_too_small_are_told_of() -> None:
    net, x, y = problem()
    with pytest.warns(UserWarning, match=r"hardly changes up to a rate of 1e-07: .* high="):
        find_learning_rate(net, x, y, low=1e-9, high=1e-7)


@pytest.mark.filterwarnings("ignore:.*steps are too few:UserWarning")
def test_options_of_fit() -> None:
    net, x, y = problem(loss=None, optimizer=None)
    found = find_learning_rate(net, x, y, loss=CrossEntropy(), optimizer="sgd", steps=12,
                               sample_weight=np.ones(len(x)), accumulate=2, batch_size=16)  # fmt: skip
    assert len(found.rates) == 12
    assert net.optimizer is None
    assert net.loss is None
    function = find_learning_rate(
        problem()[0].build(64), lambda: iter([(x[:50], y[:50]), (x[50:90], y[50:90])]), steps=10
    )
    assert len(function.rates) == 10


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"low": 0}, "low must be a finite number above 0"),
        ({"low": 1, "high": 0.1}, "high must be a finite number above 1"),
        ({"steps": 3}, "steps must be a whole number at least 10"),
        ({"smoothing": 1}, "smoothing"),
        ({"give_up": 1}, "give_up"),
        ({"min_lr": 1e-5}, "Write low="),
        ({"num_iter": 50}, "Write steps="),
        ({"stpes": 50}, "Did you mean 'steps'"),
        ({"optimizer": LBFGS()}, "needs an optimizer with a rate"),
    ],
)
def test_options_are_checked(options: dict[str, Any], words: str) -> None:
    net, x, y = problem()
    with pytest.raises(OptionError, match=words):
        find_learning_rate(net, x, y, **options)


def test_what_would_be_used_up_is_refused() -> None:
    net, x, y = problem()
    with pytest.raises(DataError, match="used up by the search"):
        find_learning_rate(net, iter([(x, y)]))
    with pytest.raises(OptionError, match="needs an optimizer with a rate"):
        find_learning_rate(problem(optimizer=None)[0], x, y)


# ---- drawn ----------------------------------------------------------------------------------------


def test_it_draws_its_curve() -> None:
    figure = pytest.importorskip("matplotlib.figure")
    net, x, y = problem()
    found = find_learning_rate(net, x, y)
    ax = figure.Figure().add_subplot()
    assert found.plot(ax) is ax
    raw, smooth, line = ax.get_lines()
    np.testing.assert_array_equal(raw.get_data(), [found.rates, found.losses])
    np.testing.assert_array_equal(smooth.get_data(), [found.rates, found.smooth])
    assert line.get_xdata()[0] == found.suggestion
    assert ax.get_xscale() == "log"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("learning rate", "loss")
    assert f"{found.suggestion:.2g}" in ax.get_legend().get_texts()[2].get_text()
    low, high = ax.get_ylim()
    assert low < found.smooth.min()
    assert high > found.smooth[0]
    own = found.plot()
    own.figure.canvas.draw()
    assert repr(found) == f"RateSearch(suggestion={found.suggestion})"


def test_without_matplotlib_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    net, x, y = problem()
    with pytest.warns(UserWarning, match="10 steps are too few to see the loss fall: steps=100"):
        found = find_learning_rate(net, x, y, steps=10)
    real = builtins.__import__

    def missing(name: str, *args: Any, **options: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(MissingExtraError, match=r'pip install "pellucid\[plot\]"'):
        found.plot()
