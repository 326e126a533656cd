"""Rates along half cosines: one down, many in a row, or one up and one down."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi
from typing import ClassVar

from pellucid.description import number, one_of
from pellucid.schedules.base import Schedule, plain_numbers


@dataclass(frozen=True, repr=False)
class Cosine(Schedule):
    """From `peak` down to `floor` along half a cosine, then `floor` for ever.

    ::

        rate(step) = floor + (peak − floor) · ½ (1 + cos(π · step / steps))    for step < steps
        rate(step) = floor                                                     from then on

    Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017, without
    the restarts.

    Parameters
    ----------
    peak : float
        The rate of step 0, above 0.
    steps : int
        The step that has reached `floor`.
    floor : float, default 0
        The last rate, from 0 to `peak`.

    >>> [round(Cosine(0.1, steps=4)(step), 4) for step in range(6)]
    [0.1, 0.0854, 0.05, 0.0146, 0.0, 0.0]
    """

    peak: float
    steps: int
    floor: float = 0.0

    aliases: ClassVar[dict[str, str]] = {
        "initial_learning_rate": "peak", "decay_steps": "steps", "T_max": "steps",
        "eta_min": "floor",
    }  # fmt: skip

    def __post_init__(self) -> None:
        plain_numbers(self)
        number(self, "peak", above=0)
        number(self, "steps", at_least=1, integer=True)
        number(self, "floor", at_least=0, at_most=float(self.peak))

    def __call__(self, step: int) -> float:
        if step >= self.steps:
            return float(self.floor)
        share = 0.5 * (1.0 + cos(pi * step / self.steps))  # 1 … 0
        return float(self.floor + (self.peak - self.floor) * share)


@dataclass(frozen=True, repr=False)
class CosineRestarts(Schedule):
    """Half cosines one after another: each falls from its peak to `floor`, then starts anew.

    ::

        rate(step) = floor + (top − floor) · ½ (1 + cos(π · k / length))

    k steps into a cycle of `length`. The first has ``length = steps`` and ``top = peak``; each is
    `growth` times as long as the one before, and its height over `floor` is `shrink` times as much.
    Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017.

    Parameters
    ----------
    peak : float
        The rate of step 0, above 0.
    steps : int
        Steps of the first cycle.
    growth : int, default 1
        1 or more. Aliases: T_mult, t_mul.
    shrink : float, default 1
        From above 0 to 1. Alias: m_mul.
    floor : float, default 0
        The lowest rate, from 0 to `peak`.

    >>> [round(CosineRestarts(0.1, steps=2, growth=2)(step), 4) for step in range(7)]
    [0.1, 0.05, 0.1, 0.0854, 0.05, 0.0146, 0.1]
    """

    peak: float
    steps: int
    growth: int = 1
    shrink: float = 1.0
    floor: float = 0.0

    aliases: ClassVar[dict[str, str]] = {
        "initial_learning_rate": "peak", "T_0": "steps", "first_decay_steps": "steps",
        "T_mult": "growth", "t_mul": "growth", "m_mul": "shrink", "eta_min": "floor",
    }  # fmt: skip

    def __post_init__(self) -> None:
        plain_numbers(self)
        number(self, "peak", above=0)
        number(self, "steps", at_least=1, integer=True)
        number(self, "growth", at_least=1, integer=True)
        number(self, "shrink", above=0, at_most=1)
        number(self, "floor", at_least=0, at_most=float(self.peak))

    def __call__(self, step: int) -> float:
        length, cycle = self.steps, 0
        if self.growth == 1:
            cycle, step = divmod(step, length)
        while step >= length:
            step, length, cycle = step - length, length * self.growth, cycle + 1
        top = (self.peak - self.floor) * self.shrink**cycle
        return float(self.floor + top * 0.5 * (1.0 + cos(pi * step / length)))


@dataclass(frozen=True, repr=False)
class OneCycle(Schedule):
    """Up to a high rate and down to a tiny one, once: fast training with one large rate.

    From ``peak / start_divisor`` up to `peak` over the first share of the steps, then down to
    ``peak / start_divisor / end_divisor``, where it stays. With `three_phase` it comes down as
    slowly as it went up, and spends what is left on the way from there to the end. Each way is half
    a cosine, or a line. Smith and Topin, "Super-convergence: very fast training of neural networks
    using large learning rates", 2018; numerically PyTorch's, without its cycle of the momentum.

    Parameters
    ----------
    peak : float
        The highest rate, above 0. Alias: max_lr.
    steps : int
        Steps altogether, 2 or more. Alias: total_steps.
    rising : float, default 0.3
        The share of the steps on the way up, between 0 and 1 (with three phases, at most 0.5).
        Alias: pct_start.
    start_divisor, end_divisor : float, default 25 and 10,000
        Aliases: div_factor, final_div_factor.
    shape : {"cosine", "linear"}
        Alias: anneal_strategy.
    three_phase : bool, default False

    >>> [round(OneCycle(1.0, steps=8, rising=0.5)(step), 4) for step in (0, 1, 3, 5, 7, 8)]
    [0.04, 0.28, 1.0, 0.5, 0.0, 0.0]
    """

    peak: float
    steps: int
    rising: float = 0.3
    start_divisor: float = 25.0
    end_divisor: float = 1e4
    shape: str = "cosine"
    three_phase: bool = False

    aliases: ClassVar[dict[str, str]] = {
        "max_lr": "peak", "total_steps": "steps", "pct_start": "rising",
        "div_factor": "start_divisor", "final_div_factor": "end_divisor",
        "anneal_strategy": "shape",
    }  # fmt: skip

    def __post_init__(self) -> None:
        plain_numbers(self)
        number(self, "peak", above=0)
        number(self, "steps", at_least=2, integer=True)
        number(self, "rising", above=0, below=0.5 + 1e-12 if self.three_phase else 1)
        number(self, "start_divisor", at_least=1)
        number(self, "end_divisor", at_least=1)
        if self.shape == "cos":
            object.__setattr__(self, "shape", "cosine")
        one_of(self, "shape", ("cosine", "linear"))

    def __call__(self, step: int) -> float:
        first = self.peak / self.start_divisor
        up = self.rising * self.steps - 1  # a moment between two steps, mostly
        ways = [(up, first, self.peak), (self.steps - 1, self.peak, first / self.end_divisor)]
        if self.three_phase:
            down = 2 * self.rising * self.steps - 2
            ways[1:] = [(down, self.peak, first), (self.steps - 1, first, first / self.end_divisor)]
        begin = 0.0
        for end, high, low in ways:
            if step <= end:
                share = (step - begin) / (end - begin) if end > begin else 1.0
                if self.shape == "cosine":
                    share = 0.5 * (1.0 - cos(pi * share))
                return float(high + (low - high) * share)
            begin = end
        return float(first / self.end_divisor)
