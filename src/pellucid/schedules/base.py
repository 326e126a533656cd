"""Schedules: the learning rate as a function of the step.

A schedule is asked for the rate of step 0, 1, 2, …, one step an update, and remembers nothing: a
run that resumes at step 1,000 asks for step 1,000. Write your own as a frozen dataclass with a
`__call__`. A rate that follows the validation loss is not a function of the step; that is a
callback, `ReduceLROnPlateau`. `find_learning_rate` looks for a good peak.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields

import numpy as np

from pellucid.description import Description, number
from pellucid.errors import OptionError


@dataclass(frozen=True, repr=False)
class Schedule(Description, ABC):
    """Base of all schedules: step → learning rate."""

    @abstractmethod
    def __call__(self, step: int) -> float:
        """The learning rate of this step, counted from 0."""


@dataclass(frozen=True, repr=False)
class ConstantRate(Schedule):
    """The same rate for ever: ``rate(step) = value``.

    Parameters
    ----------
    value : float
        The rate, above 0.
    """

    value: float

    def __post_init__(self) -> None:
        plain_numbers(self)
        number(self, "value", above=0)

    def __call__(self, step: int) -> float:
        return float(self.value)


@dataclass(frozen=True, repr=False)
class WarmUp(Schedule):
    """Up to another schedule's first rate in equal steps, then that schedule from its own step 0.

    ::

        rate(step) = schedule(0) · (step + 1) / steps      for step < steps
        rate(step) = schedule(step − steps)                from then on

    So the first step has a rate of ``schedule(0) / steps``, not of 0, which would waste it.

    Parameters
    ----------
    schedule : float or Schedule
        What to warm up to; a number stands for a constant rate.
    steps : int
        Steps on the way up, 1 or more.

    >>> [round(WarmUp(0.1, steps=4)(step), 4) for step in range(6)]
    [0.025, 0.05, 0.075, 0.1, 0.1, 0.1]
    """

    schedule: float | Schedule
    steps: int

    def __post_init__(self) -> None:
        plain_numbers(self)
        if not isinstance(self.schedule, Schedule):
            number(self, "schedule", above=0)
        number(self, "steps", at_least=1, integer=True)

    def __call__(self, step: int) -> float:
        schedule = as_schedule(self.schedule)
        if step < self.steps:
            return schedule(0) * (step + 1) / self.steps
        return schedule(step - self.steps)


def as_schedule(x: float | Schedule) -> Schedule:
    """The schedule itself, or the constant one of this rate.

    >>> as_schedule(0.1)
    ConstantRate(0.1)
    """
    if isinstance(x, Schedule):
        return x
    if isinstance(x, str):
        raise OptionError(f"a learning rate or a schedule is needed, not {x!r}")
    return ConstantRate(x)


def plain_numbers(description: Description) -> None:
    """Turns NumPy scalars among the options into Python's numbers.

    Arithmetic with a float32 scalar would round in float32, and an array of float32 times a
    float64 scalar would be one of float64; Python's numbers take the array's type.
    """
    for item in fields(description):  # type: ignore[arg-type]
        value = getattr(description, item.name)
        if isinstance(value, np.generic):
            object.__setattr__(description, item.name, value.item())
