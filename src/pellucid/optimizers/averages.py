"""Averages of the weights along a run, which generalise better than the last weights alone.

Near the end of training the weights wander around a minimum; their mean lies nearer to it than
any of them. An average is a field of an optimizer, ``Adam(1e-3, average=EMA(0.999))``, and two
slots: `average`, and `samples`, how many weights went into each entry. With a count of its own an
entry's average starts right wherever it starts: in a later run, or when a layer is released.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar, final

import numpy as np

from pellucid.description import Description, number
from pellucid.random import Array

SLOTS = ("average", "samples")


@dataclass(frozen=True, repr=False)
class Average(Description, ABC):
    """Base of the averages: each update that is due, ``a ← a + w · (θ − a)``.

    The first sample has w = 1, so it becomes the average. `start` and `every` say which updates
    are due: number t, counted from 1 since the network was made, where t > start and t − start is
    a multiple of `every`.
    """

    start: int = field(default=0, kw_only=True)
    every: int = field(default=1, kw_only=True)

    def __post_init__(self) -> None:
        number(self, "start", at_least=0, integer=True)
        number(self, "every", at_least=1, integer=True)

    @final
    def due(self, t: int) -> bool:
        """Whether update `t` is one to average."""
        return t > self.start and (t - self.start) % self.every == 0

    @abstractmethod
    def weight(self, samples: Array) -> Array:
        """The share w of sample number `samples` (from 1), entry by entry."""

    @final
    def add(self, theta: Array, average: Array, samples: Array) -> None:
        """Takes one stretch of the weights into the average, in place."""
        samples += 1
        average += self.weight(samples) * (theta - average)


@final
@dataclass(frozen=True, repr=False)
class EMA(Average):
    """Exponential moving average: the last 1/(1 − decay) updates or so, the latest most.

    ::

        a ← θ                            the first time
        a ← a + (1 − decay) · (θ − a)    from then on

    Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", 1992; with
    exponential weights as in PyTorch's `AveragedModel`.

    Parameters
    ----------
    decay : float, default 0.999
        What stays of the old average, from 0 to below 1. Alias: momentum.
    start, every : int, default 0 and 1
        Average after this many updates, each so many updates.

    >>> from pellucid import Adam, EMA
    >>> Adam(1e-3, average=EMA(0.99)).slot_names()
    ('m', 'v', 'average', 'samples')
    """

    decay: float = 0.999

    aliases: ClassVar[dict[str, str]] = {"momentum": "decay", "ema_momentum": "decay"}

    def __post_init__(self) -> None:
        number(self, "decay", at_least=0, below=1)
        super().__post_init__()

    def weight(self, samples: Array) -> Array:
        share: Array = np.maximum(samples == 1, samples.dtype.type(1 - self.decay))
        return share


@final
@dataclass(frozen=True, repr=False)
class SWA(Average):
    """Stochastic weight averaging: the plain mean of the weights at chosen updates.

    ::

        n ← n + 1;  a ← a + (θ − a) / n

    Izmailov et al., "Averaging weights leads to wider optima and better generalization", 2018:
    with a high constant (or cyclic) rate, over the last quarter of a run, one sample an epoch.

    Parameters
    ----------
    start, every : int, default 0 and 1
        Average after this many updates, each so many updates.

    >>> theta, average, samples = np.zeros(1), np.zeros(1), np.zeros(1)
    >>> for theta[0] in (1.0, 2.0, 6.0):
    ...     SWA().add(theta, average, samples)
    >>> average, samples
    (array([3.]), array([3.]))
    """

    def weight(self, samples: Array) -> Array:
        return 1 / samples
