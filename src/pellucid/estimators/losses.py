"""The losses of scikit-learn's networks: gradient p − y by the last layer's sums, in four forms.

Their values are not quite those of `pellucid.losses`. Probabilities are kept within [ε, 1 − ε], ε
the spacing of floats at 1, so that a row costs no more than −log ε; the gradient knows nothing of
this. The square is half the mean over outputs, though its gradient is that of half their sum.
Poisson's loss has the terms y log y − y that no prediction changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log, log1p
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from pellucid.layers.base import Cache
from pellucid.losses import Loss
from pellucid.special import sigmoid

Array = NDArray[Any]


@dataclass(frozen=True, repr=False)
class Responding(Loss):
    """Base of the four: what outputs mean is asked of them, and no business of the program."""

    def response(self, y_pred: Array) -> Array:
        """Probabilities, rates or values, from outputs (B, K)."""
        return y_pred


@dataclass(frozen=True, repr=False)
class Clipped(Responding):
    """A loss of probabilities within [ε, 1 − ε].

    Parameters
    ----------
    epsilon : float
        ε, of the type that the network computes in.
    """

    epsilon: float = 2.0**-52

    def within(self, values: Array) -> Array:
        """−log p, for p within the bounds."""
        low, high = -log1p(-self.epsilon), -log(self.epsilon)
        return np.minimum(np.maximum(values, low), high)


@final
@dataclass(frozen=True, repr=False)
class LogLoss(Clipped):
    """Cross-entropy of K classes: ℓ = −log p_y with p = softmax(z); targets are one-hot (B, K)."""

    def forward(self, y_true: Array, y_pred: Array, cache: Cache) -> Array:
        z = y_pred - y_pred.max(axis=-1, keepdims=True)
        e = np.exp(z)
        total = e.sum(axis=-1, keepdims=True)
        cache.p, cache.y = e / total, y_true
        values: Array = np.log(total) - (y_true * z).sum(axis=-1, keepdims=True)  # (B, 1)
        clipped: Array = self.within(values).sum(axis=-1)
        return clipped

    def backward(self, cache: Cache) -> Array:
        dz: Array = cache.p - cache.y
        return dz

    def response(self, y_pred: Array) -> Array:
        e = np.exp(y_pred - y_pred.max(axis=-1, keepdims=True))
        p: Array = e / e.sum(axis=-1, keepdims=True)
        return p


@final
@dataclass(frozen=True, repr=False)
class BinaryLogLoss(Clipped):
    """Σ_i −log of the probability of each answer, p_i = σ(z_i); targets are 0 and 1, (B, k)."""

    def forward(self, y_true: Array, y_pred: Array, cache: Cache) -> Array:
        e = np.exp(-np.abs(y_pred))
        cache.p, cache.y = np.where(y_pred >= 0, 1.0, e) / (1 + e), y_true
        values = np.maximum(y_pred, 0) - y_pred * y_true + np.log1p(e)
        clipped: Array = self.within(values).sum(axis=-1)
        return clipped

    def backward(self, cache: Cache) -> Array:
        dz: Array = cache.p - cache.y
        return dz

    def response(self, y_pred: Array) -> Array:
        return sigmoid(y_pred)


@final
@dataclass(frozen=True, repr=False)
class HalfSquare(Responding):
    """½ the mean of (p_i − y_i)² over a row's outputs, with gradient p − y."""

    def forward(self, y_true: Array, y_pred: Array, cache: Cache) -> Array:
        cache.error = error = y_pred - y_true
        values: Array = 0.5 * (error * error).mean(axis=-1)
        return values

    def backward(self, cache: Cache) -> Array:
        error: Array = cache.error
        return error


@final
@dataclass(frozen=True, repr=False)
class PoissonLoss(Responding):
    """Σ_i y_i log(y_i / p_i) − y_i + p_i, half of Poisson's deviance, with p = eᶻ."""

    def forward(self, y_true: Array, y_pred: Array, cache: Cache) -> Array:
        p, y = np.exp(y_pred), y_true
        cache.error = p - y
        surprise = np.where(y == 0, 0.0, y * (np.log(y) - y_pred))
        values: Array = (surprise - y + p).sum(axis=-1)
        return values

    def backward(self, cache: Cache) -> Array:
        error: Array = cache.error
        return error

    def response(self, y_pred: Array) -> Array:
        p: Array = np.exp(y_pred)
        return p


def loss_for(out_activation: str, dtype: Any) -> Responding:
    """The loss that goes with an output activation, for a network of this type."""
    epsilon = float(np.finfo(dtype).eps)
    if out_activation == "softmax":
        return LogLoss(epsilon)
    if out_activation == "logistic":
        return BinaryLogLoss(epsilon)
    return PoissonLoss() if out_activation == "exp" else HalfSquare()
