"""Losses: one number for each row that says how wrong the network's output is, and its gradient.

A loss sees the targets y and the network's raw outputs, both with the batch axis first. `forward`
gives each row's own value ℓ_b, `backward` the gradient of each row's own value by that row's
outputs. Neither divides by the number of rows. What is minimised is the weighted mean

    L = scale · Σ_b w_b ℓ_b / Σ_b w_b,        so        ∂L/∂output_b = scale · (w_b / Σw) · ∂ℓ_b

and whoever knows all of Σw — the engine, over every part of a batch — multiplies by scale·w_b/Σw.
In this way value and gradient cannot fall apart: the mean is taken in one place for both.

Classifiers hand over *logits*, raw scores, and not probabilities: softmax and logarithm, or
sigmoid and logarithm, are one well-behaved function together, and two bad ones apart. `link` is
what makes probabilities of logits for `predict`.

Targets are checked once for a whole data set, by `prepare`. Nothing is broadcast silently: targets
(n,) against outputs (n, 1) are an error, where NumPy would make an (n, n) matrix of them.

This file has the base and the simplest of losses; `cross_entropy` goes on with classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from typing import Any, ClassVar, Self, final

import numpy as np

from pellucid.description import Description, number
from pellucid.errors import ShapeError
from pellucid.layers.base import Array, Cache, as_float
from pellucid.targets import (
    RowShape,
    as_targets,
    counted_weight,
    finite_floats,
    row_shares,
    same_shape,
)


@dataclass(frozen=True, repr=False)
class Loss(Description, ABC):
    """Base of all losses. A new one needs `forward` and `backward`.

    Parameters
    ----------
    scale : float, default 1
        The weight of this loss among several; ``0.5 * MSE()`` is ``MSE(scale=0.5)``.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True, repr=False)
    ... class Quartic(Loss):
    ...     def forward(self, y_true, y_pred, cache):
    ...         cache.error = y_pred - y_true  # (B, N)
    ...         return (cache.error**4).sum(axis=1)  # (B,)
    ...
    ...     def backward(self, cache):
    ...         return 4 * cache.error**3  # (B, N)
    >>> Quartic()([[1.0]], [[3.0]]), Quartic().gradient([[1.0]], [[3.0]])
    (16.0, array([[32.]]))
    """

    scale: float = field(default=1.0, kw_only=True)

    takes_logits: ClassVar[bool] = False  # a Softmax or Sigmoid before it would be a mistake
    default_metrics: ClassVar[tuple[str, ...]] = ()  # shown where none are asked for

    def __post_init__(self) -> None:
        number(self, "scale", at_least=0)

    @abstractmethod
    def forward(self, y_true: Array, y_pred: Array, cache: Cache) -> Array:
        """The value of every row, (B,), in y_pred's dtype.

        `y_true` comes from `prepare`. What backward needs is kept on `cache`; neither array is
        written.
        """

    @abstractmethod
    def backward(self, cache: Cache) -> Array:
        """The gradient of each row's own value by that row's outputs: shape and dtype of y_pred."""

    def prepare(self, y_true: Any, output: RowShape) -> Array:
        """Targets for outputs of this row shape, checked, in the form that forward wants.

        By default: finite numbers, one for each output. A ShapeError names both shapes, a
        DataError the row and the value.
        """
        return finite_floats(same_shape(as_targets(y_true), output, self))

    def counted(self, y_true: Any, output: RowShape) -> Array | None:
        """The share of each row's targets that counts, (B,) in [0, 1]; None where all of them do.

        `y_true` is as `prepare` takes it. A row weighs its sample weight times this share, in Σw
        too; its value is the mean over what counts. So whatever is left out is left out of the
        mean over a batch, of the whole of an accumulated one, and of metrics alike.
        """
        return None

    def link(self, y_pred: Array) -> Array:
        """What an output means, as `predict` returns it. By default: what it is."""
        return y_pred

    def linked(self, y_pred: Array, cache: Cache) -> Array:
        """The same as `link`, after `forward` on `cache`, which may have it already."""
        return self.link(y_pred)

    @staticmethod
    def of(
        value: Callable[..., Any], gradient: Callable[..., Any], *, name: str | None = None,
        link: Callable[..., Any] | None = None,
    ) -> Loss:  # fmt: skip
        """A loss from two plain functions of the targets and the outputs, rows first.

        Parameters
        ----------
        value : function (y_true, y_pred) → (B,)
            Each row's own value.
        gradient : function (y_true, y_pred) → y_pred's shape
            The gradient of each row's own value by that row's outputs. On its first batch it is
            compared with central differences of `value`; a GradientError shows both numbers.
        name : str, optional
            What files call it, ``"mine.quartic"``; without one its networks cannot be saved. A
            program that loads such a file makes the loss first.
        link : function (y_pred), optional
            What outputs mean, for `predict`.

        >>> quartic = Loss.of(
        ...     lambda y, p: ((p - y) ** 4).sum(axis=1), lambda y, p: 4 * (p - y) ** 3
        ... )
        >>> quartic([[1.0]], [[3.0]]), quartic.gradient([[1.0]], [[3.0]])
        (16.0, array([[32.]]))
        """
        from pellucid.losses.functions import loss_of

        return loss_of(value, gradient, name=name, link=link)

    @final
    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> float:
        """The value L: scale times the weighted mean over the rows, 0 if all weights are 0."""
        y_true, y_pred, share = self._rows(y_true, y_pred, sample_weight)
        values = self.forward(y_true, y_pred, Cache())
        return float((values * share).sum())

    @final
    def gradient(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Array:
        """The gradient of exactly that number by y_pred, in y_pred's shape and dtype."""
        y_true, y_pred, share = self._rows(y_true, y_pred, sample_weight)
        cache = Cache()
        self.forward(y_true, y_pred, cache)
        share = share.astype(y_pred.dtype).reshape(-1, *[1] * (y_pred.ndim - 1))  # (B, 1, ...)
        return self.backward(cache) * share

    @final
    def __mul__(self, factor: Any) -> Self:
        if isinstance(factor, bool) or not isinstance(factor, int | float | np.number):
            return NotImplemented
        return self.replace(scale=self.scale * float(factor))

    __rmul__ = __mul__

    def _rows(self, y_true: Any, y_pred: Any, sample_weight: Any) -> tuple[Array, Array, Array]:
        """Checked targets, outputs, and each row's share of the whole, scale · w_b / Σw (B,)."""
        y_pred = as_float(y_pred)
        if y_pred.ndim == 0:
            raise ShapeError("y_pred needs an axis of rows: shape (B, ...), not ()")
        prepared = self.prepare(y_true, y_pred.shape[1:])
        if len(prepared) != len(y_pred):
            raise ShapeError(f"y_true has {len(prepared)} rows, y_pred has {len(y_pred)}")
        counted = self.counted(y_true, y_pred.shape[1:])
        weight = counted_weight(sample_weight, counted, len(y_pred))
        return prepared, y_pred, self.scale * row_shares(weight, len(y_pred))


@dataclass(frozen=True, repr=False)
class MSE(Loss):
    """Mean squared error of a row's N outputs, without a ½.

    ::

        ℓ = (1/N) Σ_i (p_i − y_i)²           ∂ℓ/∂p_i = (2/N) (p_i − y_i)

    Targets have the shape of the outputs.

    >>> MSE()([[1.0, 2.0]], [[1.0, 4.0]]), MSE().gradient([[1.0, 2.0]], [[1.0, 4.0]])
    (2.0, array([[0., 2.]]))
    """

    def forward(self, y_true: Array, y_pred: Array, cache: Cache) -> Array:
        error = np.subtract(y_pred, y_true, dtype=y_pred.dtype)  # (B, ...)
        cache.error = error
        return row_mean(error * error)

    def backward(self, cache: Cache) -> Array:
        error: Array = cache.error
        return error * (2 / max(prod(error.shape[1:]), 1))


def row_mean(values: Array) -> Array:
    """The mean of each row, (B, ...) → (B,), in the same dtype."""
    n = prod(values.shape[1:])
    total: Array = np.add.reduce(values.reshape(len(values), n), axis=1)
    return total if n <= 1 else total / n
