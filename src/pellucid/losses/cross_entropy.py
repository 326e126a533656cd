"""Cross-entropy: how surprised a classifier is by the truth.

The losses of K classes share `ClassLoss`, which knows their targets; `CrossEntropy` and
`BinaryCrossEntropy` are here, those taken less often in `classification`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any, ClassVar

import numpy as np

from pellucid.description import number
from pellucid.errors import OptionError, ShapeError
from pellucid.layers.base import Array, Cache
from pellucid.losses.base import Loss, row_mean
from pellucid.targets import (
    IGNORED,
    RowShape,
    as_targets,
    binary_targets,
    class_indices,
    finite_floats,
    one_hot_indices,
    probability_rows,
    rows_text,
    same_shape,
)


@dataclass(frozen=True, repr=False)
class ClassLoss(Loss):
    """Base of the losses of K classes, whose outputs are (B, K), or (B, ..., K) for several places.

    (B, T, K) are T classifications a row, (B, H, W, K) one for each pixel; a row's value is their
    mean. Targets are class indices, (B,) or (B, ...), of any integer dtype, or rows in the shape of
    the outputs, one-hot or (if `takes_probabilities`) of any probabilities.

    Parameters
    ----------
    ignore_index : int, optional
        A label that says there is no target: such places count for nothing, neither in the loss nor
        in metrics, and the mean is over the others. PyTorch's is −100 unless told; here every label
        is a class unless told.
    """

    ignore_index: int | None = field(default=None, kw_only=True)

    takes_probabilities: ClassVar[bool] = True
    default_metrics: ClassVar[tuple[str, ...]] = ("accuracy",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ignore_index is not None:
            number(self, "ignore_index", integer=True)

    def prepare(self, y_true: Any, output: RowShape) -> Array:
        if not output or output[-1] is None or output[-1] < 2:
            raise ShapeError(
                f"{type(self).__name__} needs an output for each of 2 or more classes, not rows of "
                f"shape {rows_text(output)}; for a single yes or no: BinaryCrossEntropy()"
            )
        y = as_targets(y_true)
        if self._in_rows(y, output):
            y = probability_rows(finite_floats(same_shape(y, output, self)))
            return y if self.takes_probabilities else one_hot_indices(y)
        y = same_shape(y, output[:-1], self, output)
        if self.ignore_index is None:
            return class_indices(y, output[-1])
        ignored = y == self.ignore_index
        indices = class_indices(np.where(ignored, 0, y), output[-1])
        # a row that is ignored whole weighs nothing, whatever its class
        return np.where(ignored, IGNORED, indices) if y.ndim > 1 else indices

    def counted(self, y_true: Any, output: RowShape) -> Array | None:
        if self.ignore_index is None or self._in_rows(y := as_targets(y_true), output):
            return None
        kept = y != self.ignore_index
        return None if kept.all() else row_mean(kept.astype(np.float64))

    def _in_rows(self, y: Array, output: RowShape) -> bool:
        """Whether targets are rows (B, ..., K) and not indices."""
        return y.ndim > len(output) and y.shape[-1] != 1

    def _places(self, y_true: Array, z: Array, cache: Cache) -> Array:
        """Where the true classes stand in the flat z (N,); `cache.share`: what each place counts.

        A place counts 1/n in its row's mean over n, or 0 where there is no target.
        """
        cache.share = 1 / max(prod(z.shape[1:-1]), 1)
        if self.ignore_index is not None and y_true.ndim > 1:
            kept = y_true != IGNORED  # (B, ...)
            count = kept.sum(axis=tuple(range(1, kept.ndim)), keepdims=True)
            cache.share = (kept / np.maximum(count, 1)).astype(z.dtype)
            y_true = np.where(kept, y_true, 0)
        places: Array = np.arange(0, z.size, z.shape[-1]) + y_true.reshape(-1)
        return places

    def _means(self, values: Array, shape: tuple[int, ...], cache: Cache) -> Array:
        """The rows' means of values at N places, (N,) → (B,); `shape` is (B, ...)."""
        if len(shape) == 1:
            return values
        if isinstance(cache.share, float):
            return row_mean(values.reshape(shape))
        shared: Array = values.reshape(shape) * cache.share
        means: Array = shared.sum(axis=tuple(range(1, len(shape))))
        return means

    def _shared(self, dz: Array, cache: Cache) -> Array:
        """Gradients at N places times what each counts; changes dz (B, ..., K)."""
        if dz.ndim > 2:
            dz *= cache.share if isinstance(cache.share, float) else cache.share[..., None]
        return dz


@dataclass(frozen=True, repr=False)
class CrossEntropy(ClassLoss):
    """Cross-entropy of K classes, from logits.

    With z the logits of a row and p = softmax(z), the loss is the surprise −log p_y at the true
    class y. With m = max z, so that no exponential overflows and the sum is at least 1::

        s = Σ_k e^(z_k − m)        p_k = e^(z_k − m) / s
        ℓ = −log p_y = log s − (z_y − m)

    Since ∂ log s / ∂z_k = p_k, the gradient is the probabilities, less 1 at the true class::

        ∂ℓ/∂z_k = p_k − [k = y]

    For a target row t of probabilities, one-hot or smoothed, ℓ = −Σ_k t_k log p_k and the gradient
    is (Σt) p − t. Label smoothing by ε takes a share ε of each target and deals it out evenly, so
    that t_k = (1 − ε) [k = y] + ε/K, and no logit gains from growing for ever.

    Parameters
    ----------
    label_smoothing : float, default 0
        ε, in [0, 1).
    ignore_index : int, optional
        A label that says there is no target: such places count for nothing, neither in the loss nor
        in metrics, and the mean is over the others.
    allow_squashed : bool, default False
        Lets a Softmax or Sigmoid layer stand before this loss with a warning, to show what goes
        wrong then; else it is an error.

    Targets are class indices, (B,) for outputs (B, K), (B, T) for (B, T, K), (B, H, W) for
    (B, H, W, K), of any integer dtype, or rows of probabilities in the shape of the outputs.

    >>> round(CrossEntropy()([0], [[2.0, 1.0, 0.0]]), 4)
    0.4076
    >>> round(CrossEntropy(ignore_index=-1)([0, -1], [[2.0, 1.0, 0.0], [5.0, 0.0, 0.0]]), 4)
    0.4076
    """

    allow_squashed: bool = False
    label_smoothing: float = field(default=0.0, kw_only=True)

    takes_logits: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        number(self, "label_smoothing", at_least=0, below=1)

    def forward(self, y_true: Array, y_pred: Array, cache: Cache) -> Array:
        # z, logits (..., K), with their row maximum taken off
        z = y_pred - np.maximum.reduce(y_pred, axis=-1, keepdims=True)
        smoothing = self.label_smoothing
        indexed = y_true.ndim < z.ndim
        if indexed:
            target = self._places(y_true, z, cache)
            at_target = z.reshape(-1)[target]
            if smoothing:
                at_target = (1 - smoothing) * at_target + smoothing * z.mean(axis=-1).reshape(-1)
        else:
            cache.share = 1 / max(prod(z.shape[1:-1]), 1)
            target = y_true.astype(z.dtype, copy=False)
            if smoothing:
                target = (1 - smoothing) * target + smoothing / z.shape[-1]
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
        return self._means(values, z.shape[:-1], cache)

    def backward(self, cache: Cache) -> Array:
        p, target = cache.p, cache.target
        if target.ndim < p.ndim:
            dz: Array = p.copy()
            dz.reshape(-1)[target] -= 1 - self.label_smoothing
            if self.label_smoothing:
                dz -= self.label_smoothing / p.shape[-1]
        else:
            dz = cache.mass * p - target
        return self._shared(dz, cache)

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
    label_smoothing : float, default 0
        ε in [0, 1): targets become (1 − ε) y + ε/2.

    Targets have the shape of the outputs, (B, k): 0 and 1, or probabilities between.

    >>> round(BinaryCrossEntropy()([[1.0]], [[0.0]]), 4)
    0.6931
    """

    positive_weight: float | tuple[float, ...] | None = None
    allow_squashed: bool = False
    label_smoothing: float = field(default=0.0, kw_only=True)

    takes_logits: ClassVar[bool] = True
    default_metrics: ClassVar[tuple[str, ...]] = ("binary_accuracy",)
    aliases: ClassVar[dict[str, str]] = {"pos_weight": "positive_weight"}

    def __post_init__(self) -> None:
        super().__post_init__()
        number(self, "label_smoothing", at_least=0, below=1)
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
        y = binary_targets(y_true, output, self)
        if self.label_smoothing:
            y = (1 - self.label_smoothing) * y.astype(np.float64) + self.label_smoothing / 2
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
        return row_mean(value)

    def backward(self, cache: Cache) -> Array:
        z, y, e = cache.z, cache.y, cache.e
        p = _sigmoid(z, e)
        dz: Array = p - y if self.positive_weight is None else cache.q * p - cache.c * y
        dz *= 1 / max(prod(z.shape[1:]), 1)
        return dz

    def link(self, y_pred: Array) -> Array:
        return _sigmoid(y_pred, np.exp(-np.abs(y_pred)))


def _sigmoid(z: Array, e: Array) -> Array:
    """σ(z) from e = e^−|z|: 1/(1 + e) where z ≥ 0, else e/(1 + e); both are exact to rounding."""
    p: Array = np.where(z >= 0, 1, e)
    p /= 1 + e
    return p
