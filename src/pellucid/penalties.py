"""Penalties on the size of the weights, added to the objective and shown apart from the loss.

They apply to the parameters tagged for decay (weights; not biases, nor normalisation) that an
optimizer may change. A penalty's value does not depend on the batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.description import Description, number

Array = NDArray[Any]


class Penalty(Description, ABC):
    """A function of the weights; `weights` is one stretch of the flat vector."""

    @abstractmethod
    def value(self, weights: Array) -> float:
        """The penalty of these weights; stretches add up."""

    @abstractmethod
    def gradient(self, weights: Array) -> Array:
        """Its derivative by each weight."""


@dataclass(frozen=True, repr=False)
class L2(Penalty):
    """½·rate·Σw², with gradient rate·w: ridge, or Gaussian prior.

    >>> L2(0.1).value(np.array([3.0, 4.0]))
    1.25
    """

    rate: float

    def __post_init__(self) -> None:
        number(self, "rate", at_least=0)

    def value(self, weights: Array) -> float:
        return 0.5 * self.rate * float(weights @ weights)

    def gradient(self, weights: Array) -> Array:
        return self.rate * weights


@dataclass(frozen=True, repr=False)
class L1(Penalty):
    """rate·Σ|w|, with gradient rate·sign(w) (0 at w = 0): lasso, which drives weights to zero.

    >>> L1(0.1).value(np.array([3.0, -4.0])).__round__(3)
    0.7
    """

    rate: float

    def __post_init__(self) -> None:
        number(self, "rate", at_least=0)

    def value(self, weights: Array) -> float:
        return self.rate * float(np.abs(weights).sum())

    def gradient(self, weights: Array) -> Array:
        return self.rate * np.sign(weights)
