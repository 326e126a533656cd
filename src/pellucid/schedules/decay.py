"""Rates that only fall: in stairs, along a power, exponentially, like an inverse."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from pellucid.description import number
from pellucid.errors import OptionError
from pellucid.schedules.base import Schedule, plain_numbers


@dataclass(frozen=True, repr=False)
class StepDecay(Schedule):
    """Multiplied by `factor` each `every` steps: ``peak · factor^⌊step / every⌋``.

    Parameters
    ----------
    peak : float
        The rate of step 0, above 0.
    every : int
        Steps between two reductions; those of an epoch are rows / batch_size.
    factor : float, default 0.1
        From above 0 to 1.

    >>> [round(StepDecay(0.1, every=2)(step), 4) for step in range(6)]
    [0.1, 0.1, 0.01, 0.01, 0.001, 0.001]
    """

    peak: float
    every: int
    factor: float = 0.1

    aliases: ClassVar[dict[str, str]] = {
        "initial_learning_rate": "peak", "step_size": "every", "gamma": "factor"
    }  # fmt: skip

    def __post_init__(self) -> None:
        plain_numbers(self)
        number(self, "peak", above=0)
        number(self, "every", at_least=1, integer=True)
        number(self, "factor", above=0, at_most=1)

    def __call__(self, step: int) -> float:
        return float(self.peak * self.factor ** (step // self.every))


@dataclass(frozen=True, repr=False)
class MultiStep(Schedule):
    """Multiplied by `factor` at each of some steps: ``peak · factor^(how many are ≤ step)``.

    Parameters
    ----------
    peak : float
        The rate of step 0, above 0.
    steps : tuple of int
        The steps from which on it is lower, rising. Alias: milestones.
    factor : float, default 0.1
        From above 0 to 1.

    >>> [round(MultiStep(0.1, [2, 3])(step), 4) for step in range(5)]
    [0.1, 0.1, 0.01, 0.001, 0.001]
    """

    peak: float
    steps: Any
    factor: float = 0.1

    aliases: ClassVar[dict[str, str]] = {
        "initial_learning_rate": "peak", "milestones": "steps", "gamma": "factor"
    }  # fmt: skip

    def __post_init__(self) -> None:
        plain_numbers(self)
        number(self, "peak", above=0)
        number(self, "factor", above=0, at_most=1)
        steps = self.steps if isinstance(self.steps, list | tuple | np.ndarray) else [self.steps]
        whole = all(isinstance(n, int | np.integer) and not isinstance(n, bool) for n in steps)
        if not whole or not all(a < b for a, b in pairwise([-1, *steps])):
            raise OptionError(
                f"MultiStep: steps must be whole numbers of 0 or more that rise, not {self.steps!r}"
            )
        object.__setattr__(self, "steps", tuple(int(n) for n in steps))

    def __call__(self, step: int) -> float:
        return float(self.peak * self.factor ** bisect_right(self.steps, step))


@dataclass(frozen=True, repr=False)
class ExponentialDecay(Schedule):
    """Multiplied by `factor` in `every` steps, evenly: ``peak · factor^(step / every)``.

    Parameters
    ----------
    peak : float
        The rate of step 0, above 0.
    factor : float
        From above 0 to 1.
    every : int, default 1
        Steps in which it is multiplied by `factor` once.

    >>> [round(ExponentialDecay(0.1, 0.5, every=2)(step), 4) for step in range(5)]
    [0.1, 0.0707, 0.05, 0.0354, 0.025]
    """

    peak: float
    factor: float
    every: int = 1

    aliases: ClassVar[dict[str, str]] = {
        "initial_learning_rate": "peak", "gamma": "factor", "decay_rate": "factor",
        "decay_steps": "every",
    }  # fmt: skip

    def __post_init__(self) -> None:
        plain_numbers(self)
        number(self, "peak", above=0)
        number(self, "factor", above=0, at_most=1)
        number(self, "every", at_least=1, integer=True)

    def __call__(self, step: int) -> float:
        return float(self.peak * self.factor ** (step / self.every))


@dataclass(frozen=True, repr=False)
class PolynomialDecay(Schedule):
    """From `peak` down to `floor` along a power, then `floor` for ever; with power 1, a line.

    ::

        rate(step) = floor + (peak − floor) · (1 − step / steps)^power     for step < steps
        rate(step) = floor                                                 from then on

    Parameters
    ----------
    peak : float
        The rate of step 0, above 0.
    steps : int
        The step that has reached `floor`.
    power : float, default 1
        Above 0.
    floor : float, default 0
        The last rate, from 0 to `peak`.

    >>> [round(PolynomialDecay(0.1, steps=4)(step), 4) for step in range(6)]
    [0.1, 0.075, 0.05, 0.025, 0.0, 0.0]
    """

    peak: float
    steps: int
    power: float = 1.0
    floor: float = 0.0

    aliases: ClassVar[dict[str, str]] = {
        "initial_learning_rate": "peak", "decay_steps": "steps", "total_iters": "steps",
        "end_learning_rate": "floor",
    }  # fmt: skip

    def __post_init__(self) -> None:
        plain_numbers(self)
        number(self, "peak", above=0)
        number(self, "steps", at_least=1, integer=True)
        number(self, "power", above=0)
        number(self, "floor", at_least=0, at_most=float(self.peak))

    def __call__(self, step: int) -> float:
        left = max(1 - step / self.steps, 0.0)
        return float(self.floor + (self.peak - self.floor) * left**self.power)


@dataclass(frozen=True, repr=False)
class InverseScaling(Schedule):
    """Falls for ever, ever more slowly: ``peak / (1 + scale · step)^power``.

    With `every`, in stairs: `step` is rounded down to a multiple of it. scikit-learn's
    ``learning_rate="invscaling"`` counts rows and changes once an epoch, so it is ``scale=`` the
    rows of a batch and ``every=`` the batches of an epoch, where they are of one size.

    Parameters
    ----------
    peak : float
        The rate of step 0, above 0.
    power : float, default 0.5
        0 or more. With 0.5 the rates sum to infinity, their squares grow like a logarithm; 1 is
        the inverse time decay of Keras, and `lr_decay` of PyTorch's Adagrad.
    scale : float, default 1
        How much one step counts, above 0.
    every : int, default 1

    >>> [round(InverseScaling(0.1)(step), 4) for step in (0, 3, 8, 99)]
    [0.1, 0.05, 0.0333, 0.01]
    """

    peak: float
    power: float = 0.5
    scale: float = 1.0
    every: int = 1

    aliases: ClassVar[dict[str, str]] = {"initial_learning_rate": "peak", "power_t": "power"}

    def __post_init__(self) -> None:
        plain_numbers(self)
        number(self, "peak", above=0)
        number(self, "power", at_least=0)
        number(self, "scale", above=0)
        number(self, "every", at_least=1, integer=True)

    def __call__(self, step: int) -> float:
        return float(self.peak / (1 + self.scale * (step - step % self.every)) ** self.power)
