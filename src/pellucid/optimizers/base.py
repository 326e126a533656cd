"""Optimizers: what to do with a gradient.

An optimizer sees no layer. It is given the network's flat parameter vector θ, a gradient vector g
of the same length, state vectors of its own (the *slots*: Adam's m and v), and the *runs*, the
stretches of those vectors that may be changed. `update` is the paper's few lines on one stretch;
everything else is done once, in `apply`: clip the gradient, ask the schedule for the rate, walk
the runs, keep the weights short, average them.

It walks them in blocks of 16,384 entries. One block of θ, g, m, v and the temporaries stays in
the second-level cache while the dozen lines of Adam pass over it, where whole vectors would go to
main memory and back a dozen times. Since `update` works element by element, cutting changes no
bit of the result.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import isfinite
from types import SimpleNamespace
from typing import Any, ClassVar, final

import numpy as np

from pellucid.description import Description, number
from pellucid.errors import OptionError
from pellucid.optimizers.averages import SLOTS, Average
from pellucid.optimizers.norms import norm, shorten
from pellucid.optimizers.runs import Run, Runs, blocks
from pellucid.random import Array
from pellucid.schedules import Schedule, plain_numbers


@dataclass(frozen=True, repr=False)
class Optimizer(Description, ABC):
    """Base of all optimizers. A new one needs `update`, and `own_slots` if it keeps state.

    Parameters
    ----------
    learning_rate : float or Schedule
        The step size, or a function of the step.
    clip_norm : float, optional
        The gradient is scaled down to this Euclidean norm, taken over all trainable entries, where
        it is longer: ``g ← g · min(1, clip_norm / (‖g‖ + 1e-6))``, which is PyTorch's formula.
    clip_value : float, optional
        Every entry of the gradient is cut to ±clip_value, before its norm is taken.
    weight_decay : float, default 0
        λ, the pull of weights towards 0; biases and normalisation are left out. How it enters is
        the optimizer's own affair.
    max_norm : float, optional
        After each update, weights that lead into one unit (the columns of a dense layer's W, the
        filters of a convolution, the rows of an embedding) are scaled down to this Euclidean norm
        where they are longer. Srivastava et al., "Dropout", 2014, section 5.1.
    average : EMA or SWA, optional
        Keeps an average of the weights beside them; `pellucid.training.averaged` uses it.
    """

    learning_rate: float | Schedule
    clip_norm: float | None = field(default=None, kw_only=True)
    clip_value: float | None = field(default=None, kw_only=True)
    weight_decay: float = field(default=0.0, kw_only=True)
    max_norm: float | None = field(default=None, kw_only=True)
    average: Average | None = field(default=None, kw_only=True)

    aliases: ClassVar[dict[str, str]] = {"lr": "learning_rate", "global_clipnorm": "clip_norm"}
    remedies: ClassVar[dict[str, str]] = {
        "params": "It sees every trainable parameter of the network it is given to",
        "betas": "Write beta_1= and beta_2=",
        "use_ema": "Write average=EMA(0.999)",
    }

    def __post_init__(self) -> None:
        plain_numbers(self)
        if not isinstance(self.learning_rate, Schedule):
            number(self, "learning_rate", above=0)
        for option in ("clip_norm", "clip_value", "max_norm"):
            if getattr(self, option) is not None:
                number(self, option, above=0)
        number(self, "weight_decay", at_least=0)
        if self.average is not None and not isinstance(self.average, Average):
            raise OptionError(
                f"{type(self).__name__}: average must be EMA(decay) or SWA(), not {self.average!r}"
            )

    def own_slots(self) -> tuple[str, ...]:
        """The names of the state vectors that `update` needs; they are zero before the first."""
        return ()

    @final
    def slot_names(self) -> tuple[str, ...]:
        """The names of all state vectors, each as long as θ."""
        return self.own_slots() + (SLOTS if self.average is not None else ())

    def numbers(self, rate: float, t: int) -> tuple[float, ...]:
        """What `update` needs that depends on the rate and on t alone; it asks for it here.

        An engine that has compiled `update` asks too, for many updates at once. So an `update` that
        uses `t` itself works, but is not compiled. Default: nothing.
        """
        return ()

    @abstractmethod
    def update(self, theta: Array, g: Array, slots: Any, rate: float, t: int, decay: float) -> None:
        """Changes one stretch of θ and of the slots in place, element by element.

        Parameters
        ----------
        theta, g : arrays (N,)
            Parameters, and their gradient, which is not to be written.
        slots : namespace of arrays (N,)
            ``slots.m`` is the slot named "m".
        rate : float
            The learning rate of this step.
        t : int
            The number of this update, counted from 1.
        decay : float
            The weight decay of this stretch: `weight_decay`, or 0.0 for biases and their like.
        """

    @final
    def apply(
        self, theta: Array, g: Array, slots: dict[str, Array], t: int, runs: Iterable[Run]
    ) -> None:
        """Update number `t` (from 1) of the whole network, in place.

        What lies outside the runs is neither read nor written. Clipping scales `g` itself, so that
        afterwards it holds the gradient that was followed. For `max_norm` the runs must be `Runs`.
        """
        runs = runs if isinstance(runs, Runs) else tuple(runs)
        rate = self.rate(t - 1)
        # Overflow is left to infinities: the run is stopped by name where a loss diverges.
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            if self.clip_norm is not None or self.clip_value is not None:
                self.clip(g, runs)
            vectors = SimpleNamespace()
            for block, decays in blocks(runs, self.weight_decay > 0):
                for name, slot in slots.items():
                    setattr(vectors, name, slot[block])
                decay = self.weight_decay if decays else 0.0
                self.update(theta[block], g[block], vectors, rate, t, decay)
        self.finish(theta, slots, t, runs)

    @final
    def finish(self, theta: Array, slots: dict[str, Array], t: int, runs: tuple[Run, ...]) -> None:
        """What comes after the step: weights that are too long are shortened, then averaged."""
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            if self.max_norm is not None:
                self.keep_short(theta, runs)
            if self.average is not None and self.average.due(t):
                for block, _ in blocks(runs, False):
                    self.average.add(theta[block], *(slots[name][block] for name in SLOTS))

    @final
    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        if not isinstance(self.learning_rate, Schedule):
            return float(self.learning_rate)
        rate = float(self.learning_rate(step))
        if not (rate >= 0 and isfinite(rate)):
            raise OptionError(
                f"{self.learning_rate!r} gives a learning rate of {rate} at step {step}; it must "
                "be finite and not negative"
            )
        return rate

    @final
    def rates(self, step: int, count: int) -> Array:
        """The learning rates of `count` steps from `step` on."""
        if not isinstance(self.learning_rate, Schedule):
            return np.full(count, float(self.learning_rate))
        return np.array([self.rate(step + k) for k in range(count)])

    @final
    def clip(self, g: Array, runs: Iterable[Run]) -> None:
        """Clips the runs of a gradient vector in place, by value and then by norm."""
        stretches = [g[start:stop] for start, stop, _ in runs]  # views
        if self.clip_value is not None:
            for stretch in stretches:
                np.clip(stretch, -self.clip_value, self.clip_value, out=stretch)
        if self.clip_norm is not None:
            shrink = self.clip_norm / (norm(stretches) + 1e-6)
            if shrink < 1:
                for stretch in stretches:
                    stretch *= shrink

    @final
    def keep_short(self, theta: Array, runs: Iterable[Run]) -> None:
        """Scales each unit's incoming weights w down to max_norm: w ← w · min(1, max_norm/‖w‖)."""
        if self.max_norm is None or not isinstance(runs, Runs):
            raise OptionError("max_norm needs to know which weights lead into which unit: Runs")
        for start, stop, shape in runs.incoming:
            shorten(theta[start:stop].reshape(shape), self.max_norm)
