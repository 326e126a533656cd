"""Losses of numbers: how far a prediction p is from the truth y.

Each is the mean over a row's N outputs of a function of the error e = p − y (or of p and y, for
counts and quantiles), so its gradient has a 1/N. All gradients have the sign of the error: a
prediction that is too large is drawn down.

==================  =======================================  ==========================
loss                value                                    gradient
==================  =======================================  ==========================
MSE (in `base`)     e²                                       2 e
MAE                 |e|                                      sign e
Huber               ½ e² where |e| ≤ δ, else δ (|e| − ½ δ)   min(max(e, −δ), δ)
LogCosh             log cosh e                               tanh e
Quantile            −q e where e < 0, else (1 − q) e         −q, or 1 − q
Poisson             eᵖ − y p                                 eᵖ − y
==================  =======================================  ==========================
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log, prod
from typing import Any, ClassVar

import numpy as np

from pellucid.description import number
from pellucid.errors import DataError, OptionError, ShapeError
from pellucid.layers.base import Array, Cache
from pellucid.losses.base import Loss, row_mean
from pellucid.targets import (
    RowShape,
    as_targets,
    finite_floats,
    first_of,
    place_text,
    rows_text,
    same_shape,
)


@dataclass(frozen=True, repr=False)
class MAE(Loss):
    """Mean absolute error: its best answer is the median, which one wild row cannot drag away.

    ::

        ℓ = (1/N) Σ_i |p_i − y_i|           ∂ℓ/∂p_i = sign(p_i − y_i) / N

    The gradient where the two are equal is 0. Targets have the shape of the outputs.

    >>> MAE()([[1.0, 2.0]], [[1.0, 4.0]]), MAE().gradient([[1.0, 2.0]], [[1.0, 4.0]])
    (1.0, array([[0. , 0.5]]))
    """

    def forward(self, y_true: Array, y_pred: Array, cache: Cache) -> Array:
        cache.error = error = _error(y_true, y_pred)
        return row_mean(np.abs(error))

    def backward(self, cache: Cache) -> Array:
        return _averaged(np.sign(cache.error))


@dataclass(frozen=True, repr=False)
class Huber(Loss):
    """Squares for small errors, absolute values for large ones (Huber, 1964).

    With c the error e = p − y limited to ±δ, both cases are one formula::

        ℓ = (1/N) Σ_i c_i (e_i − c_i/2)          ∂ℓ/∂p_i = c_i / N

    for c (e − c/2) is ½ e² where |e| ≤ δ and δ (|e| − ½ δ) beyond. The ½ belongs to Huber's
    definition, and to PyTorch's and Keras's.

    Parameters
    ----------
    delta : float, default 1
        δ, above 0: where squares end.

    Targets have the shape of the outputs.

    >>> Huber()([[0.0, 0.0]], [[0.5, -3.0]]), Huber().gradient([[0.0, 0.0]], [[0.5, -3.0]])
    (1.3125, array([[ 0.25, -0.5 ]]))
    """

    delta: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        number(self, "delta", above=0)

    def forward(self, y_true: Array, y_pred: Array, cache: Cache) -> Array:
        error = _error(y_true, y_pred)
        cache.near = near = np.clip(error, -self.delta, self.delta)
        return row_mean(near * (error - 0.5 * near))

    def backward(self, cache: Cache) -> Array:
        return _averaged(cache.near)


@dataclass(frozen=True, repr=False)
class LogCosh(Loss):
    """log cosh of the error: ½ e² where it is small, |e| − log 2 where it is large, no corner.

    With a = |e|, neither overflowing nor losing the digits of small errors::

        log cosh e = log(1 + 2 sinh²(a/2))        where a ≤ 1
                   = a + log(1 + e^(−2a)) − log 2    beyond
        ∂ℓ/∂p_i = tanh(e_i) / N

    for cosh a = 1 + 2 sinh²(a/2). Targets have the shape of the outputs.

    >>> round(LogCosh()([[0.0]], [[1e4]]), 4), LogCosh().gradient([[0.0]], [[1e4]])
    (9999.3069, array([[1.]]))
    """

    def forward(self, y_true: Array, y_pred: Array, cache: Cache) -> Array:
        cache.error = error = _error(y_true, y_pred)
        a = np.abs(error)
        half = np.sinh(0.5 * np.minimum(a, 1))
        near = np.log1p(2 * half * half)
        far = a + (np.log1p(np.exp(-2 * np.minimum(a, 1000))) - log(2))
        return row_mean(np.where(a <= 1, near, far))

    def backward(self, cache: Cache) -> Array:
        return _averaged(np.tanh(cache.error))


@dataclass(frozen=True, repr=False)
class Quantile(Loss):
    """The pinball loss, whose best answer is a quantile (Koenker and Bassett, 1978).

    A prediction below the truth costs q for each unit, one above it 1 − q; so the total is least
    where a share q of the truths lies below::

        ℓ = (1/N) Σ_i max(q (y_i − p_i), (q − 1)(y_i − p_i))
        ∂ℓ/∂p_i = −q/N where p_i < y_i, (1 − q)/N where p_i > y_i, 0 where they are equal

    Parameters
    ----------
    quantiles : float or tuple of floats, default 0.5
        q, in (0, 1), for all outputs; ½ is half of `MAE`. Several: the last axis of the outputs
        has one for each quantile of the same number. Aliases: q, quantile, tau.

    Targets have the shape of the outputs; with several quantiles, without their last axis: (B,) for
    outputs (B, Q).

    >>> Quantile(0.9)([[1.0]], [[0.0]]), round(Quantile(0.9)([[1.0]], [[2.0]]), 4)
    (0.9, 0.1)
    >>> Quantile((0.1, 0.5, 0.9)).gradient([1.0], [[0.0, 0.5, 2.0]]).round(4)
    array([[-0.0333, -0.1667,  0.0333]])
    """

    quantiles: float | tuple[float, ...] = 0.5

    aliases: ClassVar[dict[str, str]] = dict.fromkeys(("q", "quantile", "tau"), "quantiles")

    def __post_init__(self) -> None:
        super().__post_init__()
        q: Any = self.quantiles
        q = q.tolist() if isinstance(q, np.ndarray | np.generic) else q
        q = tuple(q) if isinstance(q, list | tuple) else q
        object.__setattr__(self, "quantiles", q)
        each = q if isinstance(q, tuple) else (q,)
        if not each or not all(
            isinstance(v, int | float) and not isinstance(v, bool) and 0 < v < 1 for v in each
        ):
            raise OptionError(
                f"Quantile: quantiles must be a number between 0 and 1, or several, not {q!r}"
            )

    def prepare(self, y_true: Any, output: RowShape) -> Array:
        y, q = as_targets(y_true), self.quantiles
        if not isinstance(q, tuple):
            return finite_floats(same_shape(y, output, self))
        if not output or output[-1] != len(q):
            raise ShapeError(
                f"{self!r} needs {len(q)} outputs, one for each quantile, not rows of shape "
                f"{rows_text(output)}: Dense({len(q)}) at the end gives them"
            )
        return finite_floats(same_shape(y, output[:-1], self, output))

    def forward(self, y_true: Array, y_pred: Array, cache: Cache) -> Array:
        q = np.asarray(self.quantiles, dtype=y_pred.dtype)
        cache.q, cache.error = q, _error(y_true[..., None] if q.ndim else y_true, y_pred)
        return row_mean(np.maximum(-q * cache.error, (1 - q) * cache.error))

    def backward(self, cache: Cache) -> Array:
        error, q = cache.error, cache.q
        return _averaged((error > 0) * (1 - q) - (error < 0) * q)


@dataclass(frozen=True, repr=False)
class Poisson(Loss):
    """The negative log-likelihood of counts, less what the prediction does not change.

    A count y of rate λ has the probability λ^y e^(−λ) / y!, so −log of it is λ − y log λ + log y!;
    the last term is left out. Outputs are log rates, p = log λ, which any number can be::

        ℓ = (1/N) Σ_i (e^p_i − y_i p_i)            ∂ℓ/∂p_i = (e^p_i − y_i) / N

    or, with ``log_input=False``, the rates themselves, to which ε is added under the logarithm::

        ℓ = (1/N) Σ_i (p_i − y_i log(p_i + ε))      ∂ℓ/∂p_i = (1 − y_i / (p_i + ε)) / N

    Parameters
    ----------
    log_input : bool, default True
        Whether outputs are log rates; `predict` gives rates in both cases.
    epsilon : float, default 1e-8
        ε, above 0.

    Targets have the shape of the outputs and are 0 or more.

    >>> round(Poisson()([[2.0]], [[0.0]]), 4), Poisson().gradient([[2.0]], [[0.0]])
    (1.0, array([[-1.]]))
    """

    log_input: bool = True
    epsilon: float = 1e-8

    aliases: ClassVar[dict[str, str]] = {"eps": "epsilon"}

    def __post_init__(self) -> None:
        super().__post_init__()
        number(self, "epsilon", above=0)

    def prepare(self, y_true: Any, output: RowShape) -> Array:
        y = super().prepare(y_true, output)
        if (y < 0).any():
            where = first_of(y < 0)
            raise DataError(
                f"{place_text(where)}: target {y[where]:g} is negative; a count is 0 or more"
            )
        return y

    def forward(self, y_true: Array, y_pred: Array, cache: Cache) -> Array:
        p, y = y_pred, y_true.astype(y_pred.dtype, copy=False)
        if self.log_input:
            rate = self.link(p)
            cache.slope = rate - y
            return row_mean(rate - y * p)
        if (p < 0).any():
            where = first_of(p < 0)
            raise DataError(
                f"{place_text(where)}: output {p[where]:g} is no rate, which is 0 or more: end the "
                "network with Softplus(), or use Poisson(), which takes log rates"
            )
        u = p + p.dtype.type(self.epsilon)
        cache.slope = 1 - y / u
        return row_mean(p - y * np.log(u))

    def backward(self, cache: Cache) -> Array:
        return _averaged(cache.slope)

    def link(self, y_pred: Array) -> Array:
        if not self.log_input:
            return y_pred
        with np.errstate(over="ignore"):  # a rate beyond all floats is ∞
            rate: Array = np.exp(y_pred)
        return rate


@dataclass(frozen=True, repr=False)
class CosineDistance(Loss):
    """One minus the cosine of the angle between prediction and truth: only directions matter.

    With vectors p and y along the last axis, and p̂ = p/‖p‖, ŷ = y/‖y‖::

        ℓ = 1 − p̂·ŷ             ∂ℓ/∂p = −(ŷ − (p̂·ŷ) p̂) / ‖p‖

    for ∂p̂/∂p = (1 − p̂ p̂ᵀ)/‖p‖: growing along itself turns nothing. It is 0 for one direction, 1 at
    right angles, 2 for opposite ones; Keras's `CosineSimilarity` is less by 1. Outputs (B, T, N)
    are T vectors a row, whose mean is the row's value.

    Parameters
    ----------
    epsilon : float, default 1e-8
        The least ‖p‖ and ‖y‖ that are divided by; a vector of zeros is at right angles to all.

    Targets have the shape of the outputs.

    >>> CosineDistance()([[1.0, 0.0]], [[3.0, 0.0]]), CosineDistance()([[1.0, 0.0]], [[0.0, 2.0]])
    (0.0, 1.0)
    """

    epsilon: float = 1e-8

    aliases: ClassVar[dict[str, str]] = {"eps": "epsilon"}

    def __post_init__(self) -> None:
        super().__post_init__()
        number(self, "epsilon", above=0)

    def prepare(self, y_true: Any, output: RowShape) -> Array:
        if not output:
            raise ShapeError(
                "CosineDistance compares vectors; outputs of shape (B,) are single numbers: MSE()"
            )
        return super().prepare(y_true, output)

    def forward(self, y_true: Array, y_pred: Array, cache: Cache) -> Array:
        unit, cache.size = self._unit(y_pred)
        wanted, _ = self._unit(y_true.astype(y_pred.dtype, copy=False))
        cosine = (unit * wanted).sum(axis=-1, keepdims=True)
        free = cache.size > self.epsilon  # where ε stands for ‖p‖, it does not turn with p
        cache.slope = free * cosine * unit - wanted
        return row_mean(1 - cosine)

    def backward(self, cache: Cache) -> Array:
        slope: Array = cache.slope / cache.size
        slope *= 1 / max(prod(slope.shape[1:-1]), 1)
        return slope

    def _unit(self, v: Array) -> tuple[Array, Array]:
        """Vectors at length 1, and their lengths, ε at least; no square overflows."""
        top = np.abs(v).max(axis=-1, keepdims=True, initial=0)
        top = np.where(top > 0, top, 1)
        scaled = v / top
        size = top * np.sqrt((scaled * scaled).sum(axis=-1, keepdims=True))
        size = np.maximum(size, v.dtype.type(self.epsilon))
        return v / size, size


def _error(y_true: Array, y_pred: Array) -> Array:
    """The error p − y in p's dtype, (B, ...)."""
    error: Array = np.subtract(y_pred, y_true, dtype=y_pred.dtype)
    return error


def _averaged(slope: Array) -> Array:
    """The gradient of a mean over a row's N outputs."""
    averaged: Array = slope * slope.dtype.type(1 / max(prod(slope.shape[1:]), 1))
    return averaged
