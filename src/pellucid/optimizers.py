"""Optimizers: what to do with a gradient.

An optimizer sees no layer. It is given the network's flat parameter vector θ, a gradient vector g
of the same length, state vectors of its own (the *slots*: Adam's m and v), and the *runs*, the
stretches of those vectors that may be changed. `update` is the paper's few lines on one stretch;
everything else is done once, in `apply`: clip the gradient, ask the schedule for the rate, walk
the runs.

It walks them in blocks of 16,384 entries. One block of θ, g, m, v and the temporaries stays in
the second-level cache while the dozen lines of Adam pass over it, where whole vectors would go to
main memory and back a dozen times. Since `update` works element by element, cutting changes no
bit of the result.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from math import isfinite, sqrt
from types import SimpleNamespace
from typing import Any, ClassVar, NamedTuple, final

import numpy as np

from pellucid.description import Description, number
from pellucid.errors import OptionError, did_you_mean
from pellucid.random import Array
from pellucid.schedules import Schedule, plain_numbers

BLOCK = 16_384  # entries; 64 KiB of float32 for each vector
PIECE = 8_192  # entries of one dot product in the norm


class Run(NamedTuple):
    """A trainable stretch of the flat vectors, and whether weight decay applies to it."""

    start: int
    stop: int
    decay: bool


@dataclass(frozen=True, repr=False)
class Optimizer(Description, ABC):
    """Base of all optimizers. A new one needs `update`, and `slot_names` if it keeps state.

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
    """

    learning_rate: float | Schedule
    clip_norm: float | None = field(default=None, kw_only=True)
    clip_value: float | None = field(default=None, kw_only=True)
    weight_decay: float = field(default=0.0, kw_only=True)

    aliases: ClassVar[dict[str, str]] = {"lr": "learning_rate", "global_clipnorm": "clip_norm"}

    def __post_init__(self) -> None:
        plain_numbers(self)
        if not isinstance(self.learning_rate, Schedule):
            number(self, "learning_rate", above=0)
        for option in ("clip_norm", "clip_value"):
            if getattr(self, option) is not None:
                number(self, option, above=0)
        number(self, "weight_decay", at_least=0)

    def slot_names(self) -> tuple[str, ...]:
        """The names of the state vectors, each as long as θ and zero before the first update."""
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
        afterwards it holds the gradient that was followed.
        """
        runs = tuple(runs)
        rate = self.rate(t - 1)
        # Overflow is left to infinities: the run is stopped by name where a loss diverges.
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            if self.clip_norm is not None or self.clip_value is not None:
                self.clip(g, runs)
            vectors = SimpleNamespace()
            for block, decays in _blocks(runs, self.weight_decay > 0):
                for name, slot in slots.items():
                    setattr(vectors, name, slot[block])
                decay = self.weight_decay if decays else 0.0
                self.update(theta[block], g[block], vectors, rate, t, decay)

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
    def clip(self, g: Array, runs: Iterable[Run]) -> None:
        """Clips the runs of a gradient vector in place, by value and then by norm."""
        stretches = [g[start:stop] for start, stop, _ in runs]  # views
        if self.clip_value is not None:
            for stretch in stretches:
                np.clip(stretch, -self.clip_value, self.clip_value, out=stretch)
        if self.clip_norm is not None:
            shrink = self.clip_norm / (_norm(stretches) + 1e-6)
            if shrink < 1:
                for stretch in stretches:
                    stretch *= shrink


@dataclass(frozen=True, repr=False)
class SGD(Optimizer):
    """Stochastic gradient descent, if wanted with momentum; PyTorch's formulas.

    ::

        g ← g + λθ                       weight decay
        u ← μu + g                       velocity, if μ > 0
        θ ← θ − rate · g                 plain
        θ ← θ − rate · u                 momentum
        θ ← θ − rate · (g + μu)          Nesterov's: the gradient seen from one step ahead

    The rate stands outside the velocity, so lowering it also slows what is already rolling.
    Sutskever et al., "On the importance of initialization and momentum in deep learning", 2013.

    Parameters
    ----------
    learning_rate : float or Schedule, default 0.01
    momentum : float, default 0
        μ, from 0 to below 1.
    nesterov : bool, default False
    """

    learning_rate: float | Schedule = 0.01
    momentum: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        number(self, "momentum", at_least=0, below=1)
        if not isinstance(self.nesterov, bool):
            raise OptionError(f"SGD: nesterov must be True or False, not {self.nesterov!r}")
        if self.nesterov and self.momentum == 0:
            raise OptionError("SGD: nesterov needs momentum: SGD(momentum=0.9, nesterov=True)")

    def slot_names(self) -> tuple[str, ...]:
        return ("velocity",) if self.momentum > 0 else ()

    def update(self, theta: Array, g: Array, slots: Any, rate: float, t: int, decay: float) -> None:
        if decay:
            g = g + decay * theta
        if self.momentum:
            velocity = slots.velocity
            velocity *= self.momentum
            velocity += g
            g = g + self.momentum * velocity if self.nesterov else velocity
        theta -= rate * g


@dataclass(frozen=True, repr=False)
class AdaptiveMoments(Optimizer):
    """What Adam and AdamW share: two running means of the gradient and of its square.

    ::

        m ← β₁m + (1 − β₁) g             mean of the gradient
        v ← β₂v + (1 − β₂) g²            mean of its square
        m̂ = m / (1 − β₁ᵗ)                both start at 0, and so are too small by these factors
        v̂ = v / (1 − β₂ᵗ)
        θ ← θ − rate · m̂ / (√v̂ + ε)

    With c = √(1 − β₂ᵗ), so that √v̂ = √v / c, the last three lines are one (the reordering at the
    end of section 2 of the paper), and two passes over the vectors are saved::

        θ ← θ − (rate · c / (1 − β₁ᵗ)) · m / (√v + c·ε)
    """

    learning_rate: float | Schedule = 1e-3
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8

    aliases: ClassVar[dict[str, str]] = {
        **Optimizer.aliases, "eps": "epsilon", "beta1": "beta_1", "beta2": "beta_2"
    }  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        number(self, "beta_1", at_least=0, below=1)
        number(self, "beta_2", at_least=0, below=1)
        number(self, "epsilon", above=0)

    def slot_names(self) -> tuple[str, ...]:
        return ("m", "v")

    @final
    def descend(self, theta: Array, g: Array, m: Array, v: Array, rate: float, t: int) -> None:
        """The five lines above, in place."""
        m *= self.beta_1
        m += (1 - self.beta_1) * g
        v *= self.beta_2
        v += (1 - self.beta_2) * g * g
        c = sqrt(1 - self.beta_2**t)
        theta -= (rate * c / (1 - self.beta_1**t)) * m / (np.sqrt(v) + c * self.epsilon)


@final
@dataclass(frozen=True, repr=False)
class Adam(AdaptiveMoments):
    """Adam: every entry has its own step size, from how large its gradients have been.

    Kingma and Ba, "Adam: a method for stochastic optimization", 2015; the formula stands in
    `AdaptiveMoments`. ε is added to the corrected √v̂, as in the paper and in PyTorch. Weight decay
    is added to the gradient, g ← g + λθ, and so is rescaled with it; `AdamW` keeps it apart.

    Parameters
    ----------
    learning_rate : float or Schedule, default 0.001
    beta_1, beta_2 : float, default 0.9 and 0.999
        How much of the old means is kept, from 0 to below 1.
    epsilon : float, default 1e-8
        Keeps the division finite, above 0.
    """

    def update(self, theta: Array, g: Array, slots: Any, rate: float, t: int, decay: float) -> None:
        if decay:
            g = g + decay * theta
        self.descend(theta, g, slots.m, slots.v, rate, t)


@final
@dataclass(frozen=True, repr=False)
class AdamW(AdaptiveMoments):
    """Adam with decoupled weight decay: θ ← θ − rate · λ · θ, then Adam on the gradient alone.

    Loshchilov and Hutter, "Decoupled weight decay regularization", 2019. Options as in `Adam`,
    but `weight_decay` is 0.01 unless said otherwise.
    """

    weight_decay: float = field(default=0.01, kw_only=True)

    def update(self, theta: Array, g: Array, slots: Any, rate: float, t: int, decay: float) -> None:
        if decay:
            theta *= 1 - rate * decay
        self.descend(theta, g, slots.m, slots.v, rate, t)


_NAMES: dict[str, type[SGD] | type[Adam] | type[AdamW]] = {"sgd": SGD, "adam": Adam, "adamw": AdamW}


def as_optimizer(x: Optimizer | str) -> Optimizer:
    """The optimizer of this name with its defaults, or the optimizer itself.

    >>> as_optimizer("adam")
    Adam()
    """
    if isinstance(x, Optimizer):
        return x
    if isinstance(x, str):
        if x in _NAMES:
            return _NAMES[x]()
        raise OptionError(f"no optimizer {x!r}. {did_you_mean(x, _NAMES)}")
    raise OptionError(f"an optimizer or its name is needed, not {x!r}")


def joined(runs: Iterable[Run], decaying: bool) -> list[Run]:
    """The runs with neighbours that decay alike made one; without decay the tags do not matter."""
    found: list[Run] = []
    for start, stop, decay in runs:
        decay = decay and decaying
        if found and found[-1].stop == start and found[-1].decay == decay:
            found[-1] = found[-1]._replace(stop=stop)
        else:
            found.append(Run(start, stop, decay))
    return found


@lru_cache(maxsize=256)
def _blocks(runs: tuple[Run, ...], decaying: bool) -> tuple[tuple[slice, bool], ...]:
    """The runs, joined and cut into blocks."""
    return tuple(
        (slice(start, min(start + BLOCK, stop)), decay)
        for first, stop, decay in joined(runs, decaying)
        for start in range(first, stop, BLOCK)
    )


def _norm(stretches: list[Array]) -> float:
    """The Euclidean norm of them all, also where squares overflow.

    The pieces are too short for BLAS to share out among threads: the bits do not depend on their
    number, and waking them costs more than the sum. The pieces' sums are added in float64.
    """
    pieces = [s[i : i + PIECE] for s in stretches for i in range(0, len(s), PIECE)]
    square = sum(float(np.dot(piece, piece)) for piece in pieces)
    if isfinite(square):
        return sqrt(square)
    largest = max(float(np.abs(stretch).max(initial=0.0)) for stretch in stretches)
    if not isfinite(largest):
        return largest
    return largest * sqrt(sum(float(np.square(s / largest).sum()) for s in stretches))
