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
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from math import prod
from typing import Any, ClassVar, Self, final

import numpy as np

from pellucid.description import Description, number
from pellucid.errors import DataError, OptionError, ShapeError, did_you_mean
from pellucid.layers.base import Array, Cache, as_float
from pellucid.targets import (
    RowShape,
    as_targets,
    class_indices,
    finite_floats,
    first_of,
    place_text,
    probability_rows,
    row_shares,
    rows_text,
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

    def link(self, y_pred: Array) -> Array:
        """What an output means, as `predict` returns it. By default: what it is."""
        return y_pred

    def linked(self, y_pred: Array, cache: Cache) -> Array:
        """The same as `link`, after `forward` on `cache`, which may have it already."""
        return self.link(y_pred)

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
        y_true = self.prepare(y_true, y_pred.shape[1:])
        if len(y_true) != len(y_pred):
            raise ShapeError(f"y_true has {len(y_true)} rows, y_pred has {len(y_pred)}")
        return y_true, y_pred, self.scale * row_shares(sample_weight, len(y_pred))


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
        return _row_mean(error * error)

    def backward(self, cache: Cache) -> Array:
        error: Array = cache.error
        return error * (2 / max(prod(error.shape[1:]), 1))


@dataclass(frozen=True, repr=False)
class CrossEntropy(Loss):
    """Cross-entropy of K classes, from logits.

    With z the logits of a row and p = softmax(z), the loss is the surprise −log p_y at the true
    class y. With m = max z, so that no exponential overflows and the sum is at least 1::

        s = Σ_k e^(z_k − m)        p_k = e^(z_k − m) / s
        ℓ = −log p_y = log s − (z_y − m)

    Since ∂ log s / ∂z_k = p_k, the gradient is the probabilities, less 1 at the true class::

        ∂ℓ/∂z_k = p_k − [k = y]

    For a target row t of probabilities, one-hot or smoothed, ℓ = −Σ_k t_k log p_k and the gradient
    is (Σt) p − t. Outputs (B, T, K) are T classifications a row; the row's value is their mean.

    Parameters
    ----------
    allow_squashed : bool, default False
        Lets a Softmax or Sigmoid layer stand before this loss with a warning, to show what goes
        wrong then; else it is an error.

    Targets are class indices, (B,) or (B, T), of any integer dtype, or rows of probabilities in
    the shape of the outputs.

    >>> round(CrossEntropy()([0], [[2.0, 1.0, 0.0]]), 4)
    0.4076
    """

    allow_squashed: bool = False

    takes_logits: ClassVar[bool] = True
    default_metrics: ClassVar[tuple[str, ...]] = ("accuracy",)

    def prepare(self, y_true: Any, output: RowShape) -> Array:
        if not output or output[-1] is None or output[-1] < 2:
            raise ShapeError(
                f"CrossEntropy needs an output for each of 2 or more classes, not rows of shape "
                f"{rows_text(output)}; for a single yes or no: BinaryCrossEntropy()"
            )
        y = as_targets(y_true)
        if y.ndim > len(output) and y.shape[-1] != 1:  # (B, ..., K)
            return probability_rows(finite_floats(same_shape(y, output, self)))
        return class_indices(same_shape(y, output[:-1], self, output), output[-1])

    def forward(self, y_true: Array, y_pred: Array, cache: Cache) -> Array:
        # z, logits (..., K), with their row maximum taken off
        z = y_pred - np.maximum.reduce(y_pred, axis=-1, keepdims=True)
        indexed = y_true.ndim < z.ndim
        if indexed:
            target = np.arange(0, z.size, z.shape[-1]) + y_true.reshape(-1)  # of z_y in the flat z
            at_target = z.reshape(-1)[target]
        else:
            target = y_true.astype(z.dtype, copy=False)
            at_target = np.add.reduce(target * z, axis=-1).reshape(-1)
        p = np.exp(z, out=z)
        total = np.add.reduce(p, axis=-1, keepdims=True)
        p /= total
        values: Array = np.log(total).reshape(-1)
        if not indexed:
            cache.mass = np.add.reduce(target, axis=-1, keepdims=True)  # Σt, 1 up to rounding
            values *= cache.mass.reshape(-1)
        values -= at_target
        cache.p, cache.target = p, target
        return values if z.ndim == 2 else _row_mean(values.reshape(z.shape[:-1]))

    def backward(self, cache: Cache) -> Array:
        p, target = cache.p, cache.target
        if target.ndim < p.ndim:
            dz: Array = p.copy()
            dz.reshape(-1)[target] -= 1
        else:
            dz = cache.mass * p - target
        if p.ndim > 2:
            dz *= 1 / max(prod(p.shape[1:-1]), 1)
        return dz

    def link(self, y_pred: Array) -> Array:
        p: Array = np.exp(y_pred - y_pred.max(axis=-1, keepdims=True))
        p /= p.sum(axis=-1, keepdims=True)
        return p

    def linked(self, y_pred: Array, cache: Cache) -> Array:
        p: Array = cache.p
        return p


@dataclass(frozen=True, repr=False)
class BinaryCrossEntropy(Loss):
    """Cross-entropy of yes-or-no answers, each from a logit of its own.

    With σ(z) = 1/(1 + e^−z) and log(1 + e^z) = max(z, 0) + log(1 + e^−|z|), which never overflows::

        ℓ = −y log σ(z) − (1 − y) log(1 − σ(z)) = max(z, 0) − z·y + log(1 + e^−|z|)
        ∂ℓ/∂z = σ(z) − y

    A weight c on the positive answers multiplies the first term. With q = 1 + (c − 1) y::

        ℓ = (1 − y) z + q (max(−z, 0) + log(1 + e^−|z|))
        ∂ℓ/∂z = q σ(z) − c y

    A row's value is the mean over its k outputs.

    Parameters
    ----------
    positive_weight : float or tuple of floats, optional
        c, one for all outputs or one for each; above 1 it makes up for rare positives.
    allow_squashed : bool, default False
        Lets a Sigmoid or Softmax layer stand before this loss with a warning, to show what goes
        wrong then; else it is an error.

    Targets have the shape of the outputs, (B, k): 0 and 1, or probabilities between.

    >>> round(BinaryCrossEntropy()([[1.0]], [[0.0]]), 4)
    0.6931
    """

    positive_weight: float | tuple[float, ...] | None = None
    allow_squashed: bool = False

    takes_logits: ClassVar[bool] = True
    default_metrics: ClassVar[tuple[str, ...]] = ("binary_accuracy",)
    aliases: ClassVar[dict[str, str]] = {"pos_weight": "positive_weight"}

    def __post_init__(self) -> None:
        super().__post_init__()
        weight: Any = self.positive_weight
        if weight is None:
            return
        weight = weight.tolist() if isinstance(weight, np.ndarray | np.generic) else weight
        weight = tuple(weight) if isinstance(weight, list | tuple) else weight
        object.__setattr__(self, "positive_weight", weight)
        try:
            c = np.asarray(weight, dtype=np.float64)
            fine = c.ndim < 2 and c.size > 0 and bool((c > 0).all() and (c < np.inf).all())
        except (TypeError, ValueError):
            fine = False
        if not fine or isinstance(weight, str | bool):
            raise OptionError(
                "BinaryCrossEntropy: positive_weight must be a finite number above 0, or one for "
                f"each output, not {weight!r}"
            )

    def prepare(self, y_true: Any, output: RowShape) -> Array:
        weight = self.positive_weight
        if isinstance(weight, tuple) and (not output or output[-1] != len(weight)):
            raise ShapeError(
                f"BinaryCrossEntropy: {len(weight)} positive weights do not fit rows of shape "
                f"{rows_text(output)}"
            )
        y = finite_floats(same_shape(as_targets(y_true), output, self))
        bad = (y < 0) | (y > 1)
        if bad.any():
            where = first_of(bad)
            raise DataError(
                f"{place_text(where)}: target {y[where]:g} is not between 0 and 1; for classes "
                "0, 1, 2, …: CrossEntropy()"
            )
        return y

    def forward(self, y_true: Array, y_pred: Array, cache: Cache) -> Array:
        z, y = y_pred, y_true.astype(y_pred.dtype, copy=False)  # (B, ...)
        e = np.abs(z)
        np.exp(np.negative(e, out=e), out=e)  # e^−|z|, in (0, 1]
        cache.z, cache.y, cache.e = z, y, e
        if self.positive_weight is None:
            value = np.maximum(z, 0) - z * y + np.log1p(e)
        else:
            c = np.asarray(self.positive_weight, dtype=z.dtype)
            cache.c, cache.q = c, 1 + (c - 1) * y
            value = (1 - y) * z + cache.q * (np.maximum(-z, 0) + np.log1p(e))
        return _row_mean(value)

    def backward(self, cache: Cache) -> Array:
        z, y, e = cache.z, cache.y, cache.e
        p = _sigmoid(z, e)
        dz: Array = p - y if self.positive_weight is None else cache.q * p - cache.c * y
        dz *= 1 / max(prod(z.shape[1:]), 1)
        return dz

    def link(self, y_pred: Array) -> Array:
        return _sigmoid(y_pred, np.exp(-np.abs(y_pred)))


_NAMES: dict[str, type[MSE] | type[CrossEntropy] | type[BinaryCrossEntropy]] = {
    "mse": MSE,
    "mean_squared_error": MSE,
    "cross_entropy": CrossEntropy,
    "binary_cross_entropy": BinaryCrossEntropy,
}


def as_loss(x: Loss | str) -> Loss:
    """The loss of this name, or the loss itself.

    >>> as_loss("cross_entropy")
    CrossEntropy()
    """
    if isinstance(x, Loss):
        return x
    if isinstance(x, str):
        if x in _NAMES:
            return _NAMES[x]()
        raise OptionError(f"no loss {x!r}. {did_you_mean(x, _NAMES)}")
    raise OptionError(f"a loss or its name is needed, not {x!r}")


# --------------------------------------------------------------------------------------- numerics


def _row_mean(values: Array) -> Array:
    """The mean of each row, (B, ...) → (B,), in the same dtype."""
    n = prod(values.shape[1:])
    total: Array = np.add.reduce(values.reshape(len(values), n), axis=1)
    return total if n <= 1 else total / n


def _sigmoid(z: Array, e: Array) -> Array:
    """σ(z) from e = e^−|z|: 1/(1 + e) where z ≥ 0, else e/(1 + e); both are exact to rounding."""
    p: Array = np.where(z >= 0, 1, e)
    p /= 1 + e
    return p
