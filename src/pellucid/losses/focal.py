"""Focal losses: cross-entropy that spends itself on the rows that are still wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any, ClassVar

import numpy as np

from pellucid.description import number
from pellucid.errors import OptionError, ShapeError
from pellucid.layers.base import Array, Cache
from pellucid.losses.base import Loss, row_mean
from pellucid.losses.cross_entropy import ClassLoss
from pellucid.special import log_sigmoid, sigmoid
from pellucid.targets import RowShape, binary_targets, rows_text


@dataclass(frozen=True, repr=False)
class Focal(ClassLoss):
    """Cross-entropy that turns from what is already right to what is not (Lin et al., ICCV 2017).

    With p the probability of the true class y, and q = 1 − p::

        ℓ = −α_y q^γ log p

    An easy row, q = 0.1, counts a hundredth with γ = 2. With r_k = p_k/q the shares of the others
    among themselves, ∂p/∂z_k = p ([k = y] − p_k), and p_k = q r_k for k ≠ y::

        ∂ℓ/∂p = α_y (γ q^(γ−1) log p − q^γ / p)

        ∂ℓ/∂z_y = g,    ∂ℓ/∂z_k = −g r_k,    g = α_y q^γ (γ p log p − q)

    which is the cross-entropy's gradient −q and q r_k for γ = 0. q and r are sums over the other
    classes, never 1 − p, which would have no digits left where p is near 1.

    Parameters
    ----------
    gamma : float, default 2
        γ, 0 or more.
    alpha : tuple of floats, optional
        A weight above 0 for each class.
    ignore_index : int, optional
        A label that says there is no target; see `CrossEntropy`.
    allow_squashed : bool, default False
        As in `CrossEntropy`.

    Targets are class indices or one-hot rows, as for `CrossEntropy`; outputs are logits.

    >>> round(Focal()([0], [[2.0, 1.0, 0.0]]), 4)
    0.0457
    """

    gamma: float = 2.0
    alpha: tuple[float, ...] | None = None
    allow_squashed: bool = field(default=False, kw_only=True)

    takes_logits: ClassVar[bool] = True
    takes_probabilities: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        number(self, "gamma", at_least=0)
        if self.alpha is None:
            return
        try:
            alpha = np.asarray(self.alpha, dtype=np.float64)
            fine = alpha.ndim == 1 and bool((alpha > 0).all() and (alpha < np.inf).all())
        except (TypeError, ValueError):
            fine = False
        if not fine:
            raise OptionError(
                f"Focal: alpha must be a weight above 0 for each class, not {self.alpha!r}; for "
                "yes or no: BinaryFocal(alpha=0.25)"
            )
        object.__setattr__(self, "alpha", tuple(alpha.tolist()))

    def prepare(self, y_true: Any, output: RowShape) -> Array:
        y = super().prepare(y_true, output)
        if self.alpha is not None and len(self.alpha) != output[-1]:
            raise ShapeError(
                f"Focal: {len(self.alpha)} weights alpha do not fit rows of shape "
                f"{rows_text(output)}"
            )
        return y

    def forward(self, y_true: Array, y_pred: Array, cache: Cache) -> Array:
        classes = y_pred.shape[-1]
        z = (y_pred - y_pred.max(axis=-1, keepdims=True)).reshape(-1, classes)  # (N, K)
        places = self._places(y_true, y_pred, cache)
        at_target = z.reshape(-1)[places]
        others = np.exp(z, order="C")
        e = others.reshape(-1)[places]
        others.reshape(-1)[places] = 0
        rest = others.sum(axis=-1)
        total = rest + e
        p, q = e / total, rest / total
        log_p = np.where(e == 1, -np.log1p(rest), at_target - np.log(total))
        weight = q**self.gamma
        if self.alpha is not None:
            weight *= np.asarray(self.alpha, z.dtype)[places % classes]
        cache.g = weight * (self.gamma * p * log_p - q)
        cache.dz = others  # becomes −g r
        cache.dz *= (-cache.g / np.where(rest > 0, rest, 1))[:, None]
        cache.dz.reshape(-1)[places] = cache.g
        cache.shape = y_pred.shape
        return self._means(-weight * log_p, y_pred.shape[:-1], cache)

    def backward(self, cache: Cache) -> Array:
        return self._shared(cache.dz.reshape(cache.shape).copy(), cache)

    def link(self, y_pred: Array) -> Array:
        p: Array = np.exp(y_pred - y_pred.max(axis=-1, keepdims=True))
        p /= p.sum(axis=-1, keepdims=True)
        return p


@dataclass(frozen=True, repr=False)
class BinaryFocal(Loss):
    """Binary cross-entropy that turns from what is already right to what is not.

    With p = σ(z) and q = 1 − p = σ(−z) (Lin et al., ICCV 2017)::

        ℓ = −α y q^γ log p − (1 − α) (1 − y) p^γ log q

        ∂ℓ/∂z = α y q^γ (γ p log p − q) − (1 − α) (1 − y) p^γ (γ q log q − p)

    for ∂p/∂z = p q. A row's value is the mean over its k outputs.

    Parameters
    ----------
    gamma : float, default 2
        γ, 0 or more.
    alpha : float, optional
        The weight of the positive answers, in (0, 1); the others weigh 1 − α. The paper has 0.25.
        None: both weigh 1.
    allow_squashed : bool, default False
        As in `BinaryCrossEntropy`.

    Targets have the shape of the outputs: 0 and 1, or probabilities between.

    >>> round(BinaryFocal()([[1.0]], [[0.0]]), 4)
    0.1733
    """

    gamma: float = 2.0
    alpha: float | None = None
    allow_squashed: bool = field(default=False, kw_only=True)

    takes_logits: ClassVar[bool] = True
    default_metrics: ClassVar[tuple[str, ...]] = ("binary_accuracy",)

    def __post_init__(self) -> None:
        super().__post_init__()
        number(self, "gamma", at_least=0)
        if self.alpha is not None:
            number(self, "alpha", above=0, below=1)

    def prepare(self, y_true: Any, output: RowShape) -> Array:
        return binary_targets(y_true, output, self)

    def forward(self, y_true: Array, y_pred: Array, cache: Cache) -> Array:
        z, y = y_pred, y_true.astype(y_pred.dtype, copy=False)
        gamma = self.gamma
        yes, no = (1.0, 1.0) if self.alpha is None else (self.alpha, 1 - self.alpha)
        p, q = sigmoid(z), sigmoid(-z)
        log_p, log_q = log_sigmoid(z), log_sigmoid(-z)
        up, down = yes * y * q**gamma, no * (1 - y) * p**gamma
        cache.slope = up * (gamma * p * log_p - q) - down * (gamma * q * log_q - p)
        return row_mean(-(up * log_p + down * log_q))

    def backward(self, cache: Cache) -> Array:
        slope: Array = cache.slope
        dz: Array = slope * slope.dtype.type(1 / max(prod(slope.shape[1:]), 1))
        return dz

    def link(self, y_pred: Array) -> Array:
        return sigmoid(y_pred)
