"""More losses of classes: from log-probabilities, between distributions, and by margins."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

import numpy as np

from pellucid.errors import DataError, ShapeError
from pellucid.layers.base import Array, Cache
from pellucid.losses.base import Loss, row_mean
from pellucid.losses.cross_entropy import ClassLoss
from pellucid.targets import (
    RowShape,
    as_targets,
    finite_floats,
    first_of,
    place_text,
    probability_rows,
    same_shape,
)

# ------------------------------------------------------------------------------ log-probabilities


@dataclass(frozen=True, repr=False)
class NLL(ClassLoss):
    """Negative log-likelihood of K classes, from log-probabilities such as `LogSoftmax` gives.

    With z_k = log p_k, one target class y, or a row t of probabilities::

        ℓ = −z_y = −Σ_k t_k z_k             ∂ℓ/∂z_k = −[k = y] = −t_k

    With a `LogSoftmax` before it this is `CrossEntropy`, which needs none.

    Parameters
    ----------
    ignore_index : int, optional
        A label that says there is no target; see `CrossEntropy`.

    Targets are as for `CrossEntropy`. Outputs above 0 are refused: they are no log-probabilities.

    >>> round(NLL()([0], [[-0.5, -0.9]]), 4)
    0.5
    """

    def forward(self, y_true: Array, y_pred: Array, cache: Cache) -> Array:
        _check_log_probabilities(y_pred, self)
        if y_true.ndim < y_pred.ndim:
            cache.target = np.zeros(y_pred.shape, y_pred.dtype)
            places = self._places(y_true, y_pred, cache)
            cache.target.reshape(-1)[places] = 1
            values = -y_pred.reshape(-1)[places]
        else:
            cache.share = 1 / max(prod(y_pred.shape[1:-1]), 1)
            cache.target = t = y_true.astype(y_pred.dtype, copy=False)
            values = -(t * _where_positive(t, y_pred)).sum(axis=-1).reshape(-1)
        return self._means(values, y_pred.shape[:-1], cache)

    def backward(self, cache: Cache) -> Array:
        return self._shared(-cache.target, cache)

    def link(self, y_pred: Array) -> Array:
        p: Array = np.exp(y_pred)
        return p


@dataclass(frozen=True, repr=False)
class KLDivergence(Loss):
    """The Kullback-Leibler divergence of a distribution from the target's, from log-probabilities.

    With z_k = log p_k, such as `LogSoftmax` gives, and targets t that sum to 1::

        ℓ = Σ_k t_k log(t_k / p_k) = Σ_k t_k (log t_k − z_k)        ∂ℓ/∂z_k = −t_k

    where 0 log 0 = 0. It is 0 if the two agree; the gradient is that of `NLL`, since log t_k does
    not change. For outputs (B, T, K) the row's value is the mean over T; PyTorch's ``kl_div`` has
    this for (B, K) with ``reduction="batchmean"``.

    Targets are rows of probabilities in the shape of the outputs. Outputs above 0 are refused: they
    are no log-probabilities.

    >>> round(KLDivergence()([[0.5, 0.5]], np.log([[0.5, 0.5]])), 4)
    0.0
    """

    def prepare(self, y_true: Any, output: RowShape) -> Array:
        if not output:
            raise ShapeError(
                "KLDivergence compares distributions over classes; outputs of shape (B,) have none"
            )
        return probability_rows(finite_floats(same_shape(as_targets(y_true), output, self)))

    def forward(self, y_true: Array, y_pred: Array, cache: Cache) -> Array:
        _check_log_probabilities(y_pred, self)
        cache.target = t = y_true.astype(y_pred.dtype, copy=False)
        surprise = np.log(np.where(t > 0, t, 1)) - _where_positive(t, y_pred)
        return row_mean((t * surprise).sum(axis=-1))

    def backward(self, cache: Cache) -> Array:
        t: Array = cache.target
        dz: Array = t * t.dtype.type(-1 / max(prod(t.shape[1:-1]), 1))
        return dz

    def link(self, y_pred: Array) -> Array:
        p: Array = np.exp(y_pred)
        return p


def _check_log_probabilities(z: Array, loss: Loss) -> None:
    """Refuses raw scores and probabilities, both of which have values above 0."""
    if (z > 1e-3).any():
        where = first_of(z > 1e-3)
        raise DataError(
            f"{place_text(where)}: output {z[where]:.4g} is no log-probability, which is 0 or "
            f"less: {type(loss).__name__} needs LogSoftmax() at the end of the network; "
            "CrossEntropy() takes raw scores"
        )


def _where_positive(t: Array, z: Array) -> Array:
    """z, but 0 where t is: 0 times −∞ is not a number, though nothing is asked of that class."""
    return np.where(t > 0, z, 0)


# ---------------------------------------------------------------------------------------- margins


@dataclass(frozen=True, repr=False)
class MarginLoss(Loss):
    """Base of the losses of yes-or-no answers by their margin.

    Targets y are −1 and +1, in the shape of the scores z; 2·y − 1 makes them of 0 and 1. What an
    answer costs depends on its shortfall m = max(1 − y z, 0). `predict` returns the decisions, −1
    and +1; the network itself gives the scores.
    """

    default_metrics: ClassVar[tuple[str, ...]] = ("binary_accuracy",)

    @abstractmethod
    def cost(self, m: Array) -> Array:
        """What shortfalls cost."""

    @abstractmethod
    def slope(self, m: Array) -> Array:
        """The derivative of the cost by m; 0 where m is."""

    def prepare(self, y_true: Any, output: RowShape) -> Array:
        y = finite_floats(same_shape(as_targets(y_true), output, self))
        if (np.abs(y) != 1).any():
            where = first_of(np.abs(y) != 1)
            raise DataError(
                f"{place_text(where)}: target {y[where]:g} is not −1 or +1: write 2 * y - 1 for "
                "targets of 0 and 1; for classes 0, 1, 2, …: CategoricalHinge()"
            )
        return y

    def forward(self, y_true: Array, y_pred: Array, cache: Cache) -> Array:
        cache.y = y = y_true.astype(y_pred.dtype, copy=False)
        cache.m = m = np.maximum(1 - y * y_pred, 0)
        return row_mean(self.cost(m))

    def backward(self, cache: Cache) -> Array:
        y: Array = cache.y
        dz: Array = y * self.slope(cache.m) * y.dtype.type(-1 / max(prod(y.shape[1:]), 1))
        return dz

    def link(self, y_pred: Array) -> Array:
        return np.where(y_pred > 0, 1, -1).astype(y_pred.dtype)


@dataclass(frozen=True, repr=False)
class Hinge(MarginLoss):
    """Hinge loss of yes-or-no answers: right is not enough, it has to be right by 1.

    With targets y of −1 or +1, scores z of any size, and the shortfall m = max(1 − y z, 0) of each
    of a row's N answers::

        ℓ = (1/N) Σ_i m_i                   ∂ℓ/∂z_i = −y_i/N where m_i > 0, else 0

    This is a linear support vector machine's loss (scikit-learn's ``hinge_loss``, Keras's `Hinge`).
    `predict` returns the decisions, −1 and +1; the network itself gives the scores. For one of K
    classes: `CategoricalHinge`.

    Targets are −1 and +1, in the shape of the outputs; 2·y − 1 makes them of 0 and 1.

    >>> Hinge()([[1.0, -1.0]], [[0.5, -2.0]]), Hinge().gradient([[1.0, -1.0]], [[0.5, -2.0]])
    (0.25, array([[-0.5,  0. ]]))
    """

    def cost(self, m: Array) -> Array:
        return m

    def slope(self, m: Array) -> Array:
        return m > 0


@dataclass(frozen=True, repr=False)
class SquaredHinge(MarginLoss):
    """The hinge loss squared, which has no corner and punishes gross errors more.

    With m = max(1 − y z, 0), for targets y of −1 or +1 and scores z::

        ℓ = (1/N) Σ_i m_i²                  ∂ℓ/∂z_i = −2 y_i m_i / N

    Targets, `predict` and metrics are as for `Hinge`.

    >>> SquaredHinge()([[1.0]], [[0.5]]), SquaredHinge().gradient([[1.0]], [[0.5]])
    (0.25, array([[-1.]]))
    """

    def cost(self, m: Array) -> Array:
        return m * m

    def slope(self, m: Array) -> Array:
        return 2 * m


@dataclass(frozen=True, repr=False)
class CategoricalHinge(ClassLoss):
    """Hinge loss of K classes: the true score has to lead the next best by 1.

    With r the best of the other classes, the shortfall m = 1 + z_r − z_y counts where it is above
    0 (Crammer and Singer, 2001; scikit-learn's ``hinge_loss`` and Keras's `CategoricalHinge`)::

        ℓ = max(m, 0)                       ∂ℓ/∂z_r = 1, ∂ℓ/∂z_y = −1 where m > 0

    and 0 for all other classes; of equal rivals the first is r.

    Parameters
    ----------
    squared : bool, default False
        Takes m², whose gradient is ±2m.
    ignore_index : int, optional
        A label that says there is no target; see `CrossEntropy`.

    Targets are class indices or one-hot rows, as for `CrossEntropy`. `predict` returns the scores.

    >>> CategoricalHinge()([0], [[2.0, 1.5, 0.0]])
    0.5
    """

    squared: bool = False

    takes_probabilities: ClassVar[bool] = False

    def forward(self, y_true: Array, y_pred: Array, cache: Cache) -> Array:
        classes = y_pred.shape[-1]
        places = self._places(y_true, y_pred, cache)
        others = y_pred.reshape(-1, classes).copy()  # (N, K)
        others.reshape(-1)[places] = -np.inf
        rival = np.arange(0, others.size, classes) + others.argmax(axis=-1)
        m = np.maximum(1 + others.reshape(-1)[rival] - y_pred.reshape(-1)[places], 0)
        cache.places, cache.rival, cache.shape = places, rival, y_pred.shape
        cache.slope = 2 * m if self.squared else (m > 0).astype(m.dtype)
        return self._means(m * m if self.squared else m, y_pred.shape[:-1], cache)

    def backward(self, cache: Cache) -> Array:
        dz = np.zeros(cache.shape, cache.slope.dtype)
        dz.reshape(-1)[cache.rival] = cache.slope
        dz.reshape(-1)[cache.places] = -cache.slope
        return self._shared(dz, cache)
