"""Looking for a learning rate: train a copy with rates that grow, and see where the loss falls."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.description import checked_options, number
from pellucid.errors import DataError, DivergenceError, OptionError
from pellucid.events import Observer, StepEnd
from pellucid.network.network import Network
from pellucid.optimizers import LBFGS, as_optimizer
from pellucid.schedules import Schedule
from pellucid.training.fit import fit

Array = NDArray[Any]


@dataclass(frozen=True)
class RateSearch:
    """What a search for a learning rate found.

    Attributes
    ----------
    rates : (N,) array
        The rate of each step, growing by the same factor.
    losses : (N,) array
        The loss of each step's batch, before its update.
    smooth : (N,) array
        The same without most of the noise: an exponential mean, corrected for its start.
    suggestion : float
        A tenth of the rate at which the smoothed loss is lowest, where learning has just stopped
        to outweigh the harm; the mean also lags some steps behind. Where the loss falls nowhere, a
        tenth of the rate from which it grows. Never outside the rates of the search.
    """

    rates: Array = field(repr=False)
    losses: Array = field(repr=False)
    smooth: Array = field(repr=False)
    suggestion: float

    def plot(self, ax: Any = None) -> Any:
        """Draws the losses over the rates on Matplotlib's `Axes`, which are returned."""
        from pellucid.insight.plots import rate_search

        return rate_search(self, ax)


@checked_options(
    "find_learning_rate", epochs="Write steps=; it takes as many epochs as they need",
    min_lr="Write low=", max_lr="Write high=", num_iter="Write steps=",
)  # fmt: skip
def find_learning_rate(
    net: Network, x: Any, y: Any = None, *, low: float = 1e-7, high: float = 10.0,
    steps: int = 100, smoothing: float = 0.9, give_up: float = 4.0, batch_size: int = 32,
    loss: Any = None, optimizer: Any = None, sample_weight: Any = None, class_weight: Any = None,
    accumulate: int = 1,
) -> RateSearch:  # fmt: skip
    """Trains a copy with rates from `low` up to `high`, and says which was a good one.

    The network itself is left as it was, built or not. Too small a rate leaves the loss where it
    is, too large a one makes it grow; between them it falls, and a good rate to train with lies
    where it is still falling. Smith, "Cyclical learning rates for training neural networks", 2017.
    A warning says where it falls nowhere by more than batches differ: the network is trained
    already, or the search has to start lower.

    Parameters
    ----------
    net : Network
        With a loss and an optimizer, whose own rate does not matter here.
    x, y : data, as in `fit`
    low, high : float
        The first and the last rate.
    steps : int
        Updates, each with a rate larger by the same factor; 10 or more.
    smoothing : float
        What stays of the running mean of the losses, from 0 to below 1.
    give_up : float
        Stop where the smoothed loss is as many times its lowest, or not finite.
    batch_size, loss, optimizer, sample_weight, class_weight, accumulate
        As in `fit`: use those you will train with.

    >>> from pellucid import Dense, MSE, Network, SGD
    >>> net = Network([Dense(1)], loss=MSE(), optimizer=SGD())
    >>> x = np.linspace(-1, 1, 64)[:, None]
    >>> found = find_learning_rate(net, x, 3 * x)
    >>> 0.001 < found.suggestion < 1
    True
    """
    search = _Search(low, high, steps, smoothing, give_up)
    if hasattr(x, "__next__"):
        raise DataError(
            "a one-time iterator would be used up by the search: pass a function that returns one"
        )
    twin = net.copy()
    if optimizer is not None:
        twin.optimizer = as_optimizer(optimizer)
    if twin.optimizer is None or isinstance(twin.optimizer, LBFGS):
        raise OptionError(
            f"find_learning_rate needs an optimizer with a rate to look for, not {twin.optimizer!r}"
        )
    twin.optimizer = twin.optimizer.replace(
        learning_rate=_Ramp(low, high, steps, twin.updates if twin.built else 0)
    )
    with suppress(DivergenceError):  # which is the end of the curve
        fit(
            twin, x, y, epochs=steps, batch_size=batch_size, loss=loss, progress=False,
            sample_weight=sample_weight, class_weight=class_weight, accumulate=accumulate,
            callbacks=[search],
        )  # fmt: skip
    result, doubt = search.result()
    if doubt:
        warnings.warn(doubt, UserWarning, stacklevel=3)  # past the check of the options
    return result


@dataclass(frozen=True, repr=False)
class _Ramp(Schedule):
    """From `low` up to `high` in `steps` steps from step `first` on, by the same factor each."""

    low: float
    high: float
    steps: int
    first: int = 0

    def __call__(self, step: int) -> float:
        share = min((step - self.first) / (self.steps - 1), 1.0)
        return float(self.low * (self.high / self.low) ** share)


class _Search(Observer):
    """Takes down the loss of every step, and stops when there is nothing more to see."""

    every = 1

    def __init__(
        self, low: float, high: float, steps: int, smoothing: float, give_up: float
    ) -> None:
        self.low, self.high, self.steps = low, high, steps
        self.smoothing, self.give_up = smoothing, give_up
        number(self, "low", above=0)
        number(self, "high", above=float(low))
        number(self, "steps", at_least=10, integer=True)
        number(self, "smoothing", at_least=0, below=1)
        number(self, "give_up", above=1)
        self._ramp: Callable[[int], float] = _Ramp(low, high, steps)
        self._mean = 0.0
        self.losses: list[float] = []
        self.smooth: list[float] = []

    def on_step(self, event: StepEnd) -> None:
        self.losses.append(event.loss)
        count = len(self.losses)
        self._mean = self.smoothing * self._mean + (1 - self.smoothing) * event.loss
        self.smooth.append(self._mean / (1 - self.smoothing**count))
        lowest = min(self.smooth)
        hopeless = self.smooth[-1] > self.give_up * lowest > 0 or not isfinite(self._mean)
        if count == self.steps or hopeless:
            event.run.stop("the search is over")

    def result(self) -> tuple[RateSearch, str]:
        """The curve with the rate it suggests, and what speaks against it."""
        count = len(self.losses)
        if not count:
            raise OptionError(
                f"the loss is not finite at a rate of {self.low:g} already: start lower, low=..., "
                "or look at the data with net.diagnose(x, y)"
            )
        rates = np.array([self._ramp(step) for step in range(count)])
        losses, smooth = np.array(self.losses), np.array(self.smooth)
        best, doubt = self._best(losses, smooth)
        rate = float(rates[best])
        found = RateSearch(rates, losses, smooth, max(rate / 10, float(rates[0])))
        return found, doubt.format(rate)

    def _best(self, losses: Array, smooth: Array) -> tuple[int, str]:
        """The step of the rate to suggest a tenth of, and why it is a doubtful one.

        Batches differ: where their losses have a standard deviation σ, an exponential mean still
        has σ √((1 − s)/(1 + s)). Less of a fall than 2.5 times that is none. The first steps, in
        which the mean settles, are the level to compare with; of a short search nobody knows σ.
        """
        memory = round(2 / (1 - self.smoothing))
        settled = max(min(memory, len(losses) // 4), 1)
        level = float(losses[:settled].mean())
        best = settled + int(np.nanargmin(smooth[settled:])) if len(smooth) > settled else 0
        apart = np.diff(losses[: best + 2]).std() / 2**0.5
        noise = 2.5 * float(apart) * ((1 - self.smoothing) / (1 + self.smoothing)) ** 0.5
        short = self.steps < 2 * memory
        if smooth[best] < level - (0 if short else noise):
            return best, ""
        low = np.flatnonzero(smooth <= level + noise)
        last = int(low[-1]) if low.size else 0
        if short:
            return last, f"{self.steps} steps are too few to see the loss fall: steps={5 * memory}"
        if last == len(losses) - 1:
            return last, (
                "the loss hardly changes up to a rate of {:.2g}: a larger one, high=..., would "
                "show more, or net.diagnose(x, y) what is wrong"
            )
        return last, (
            "the loss falls nowhere and only grows, from a rate of {:.2g} on: the network is "
            "trained already, or the search has to start lower, low=...; the suggestion is a "
            "tenth of that rate, where it does not grow yet"
        )
