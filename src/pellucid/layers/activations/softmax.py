"""Softmax and its logarithm: the activations that are not elementwise.

Each value of a row depends on all of them. With s = Σⱼ eᶻʲ::

    Softmax       aᵢ = eᶻᵢ / s            ∂aⱼ/∂zᵢ = aⱼ (δᵢⱼ − aᵢ)
    LogSoftmax    aᵢ = zᵢ − log s         ∂aⱼ/∂zᵢ = δᵢⱼ − eᵃⁱ

and so, for a gradient da by the output::

    Softmax       dzᵢ = Σⱼ daⱼ aⱼ (δᵢⱼ − aᵢ) = aᵢ (daᵢ − Σⱼ daⱼ aⱼ)
    LogSoftmax    dzᵢ = Σⱼ daⱼ (δᵢⱼ − eᵃⁱ) = daᵢ − eᵃⁱ Σⱼ daⱼ

The greatest score of a row is subtracted from all of it first, which changes nothing but that e^z
cannot overflow. An infinite score takes all, and several share; a row of −∞ is uniform, as all
equal scores are.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np

from pellucid.description import number
from pellucid.errors import OptionError, ShapeError
from pellucid.layers.base import Array, Cache, Layer, Spec, Views, as_float, shape_text, single


@dataclass(frozen=True, repr=False)
class OverClasses(Layer):
    """Base of the activations of a row of scores.

    Parameters
    ----------
    axis : int, default -1
        The axis of the classes. Axis 0, the batch, is refused.
    """

    axis: int = -1

    aliases: ClassVar[dict[str, str]] = {"dim": "axis"}
    initialization: ClassVar[str | None] = "glorot"

    def __post_init__(self) -> None:
        number(self, "axis", integer=True)
        if self.axis == 0:
            raise OptionError(
                f"{type(self).__name__}: axis 0 is the batch; the classes are usually axis -1"
            )

    def output_spec(self, *inputs: Spec) -> Spec:
        shape = single(inputs, self).shape
        if abs(self.axis) > len(shape):
            raise ShapeError(f"{self!r} has no axis {self.axis} in {shape_text(shape)}")
        if shape[self.axis % (len(shape) + 1) - 1] == 0:
            raise ShapeError(f"{self!r} needs one class or more, not {shape_text(shape)}")
        return Spec(shape)

    @abstractmethod
    def jacobian(self, a: Array) -> Array:
        """All ∂aᵢ/∂zⱼ from the outputs a (..., K): (..., K, K)."""

    @final
    def derivative(self, z: Any) -> Array:
        """All ∂aᵢ/∂zⱼ, the axis of the classes last: (..., K) → (..., K, K).

        >>> Softmax().derivative([0, 0])
        array([[ 0.25, -0.25],
               [-0.25,  0.25]])
        """
        a = np.moveaxis(self.forward(as_float(z), Views({}), Cache()), self.axis, -1)
        return self.jacobian(a)

    def _below_top(self, x: Array) -> Array:
        """The scores less the greatest score of its row."""
        top = x.max(axis=self.axis, keepdims=True)
        if not np.isfinite(top).all():
            # ∞ − ∞ is not a number; the limit of ever greater scores is
            x = np.where(np.isinf(top), np.where(x == top, 0, -np.inf), x).astype(x.dtype)
            top = np.where(np.isinf(top), 0, top).astype(x.dtype)
        z: Array = x - top
        return z


@dataclass(frozen=True, repr=False)
class Softmax(OverClasses):
    """Scores to probabilities: positive, and 1 in sum along an axis.

    Parameters
    ----------
    axis : int, default -1
        The axis of the classes. Axis 0, the batch, is refused.

    >>> Softmax()(np.array([[0.0, 0.0], [1e4, -1e4]]))
    array([[0.5, 0.5],
           [1. , 0. ]])
    """

    squashes: ClassVar[str | None] = "probabilities"

    def forward(self, x: Array, p: Views, cache: Cache) -> Array:
        a: Array = np.exp(self._below_top(x))
        a /= a.sum(axis=self.axis, keepdims=True)
        cache.a = a
        return a

    def backward(self, dy: Array, p: Views, dp: Views, cache: Cache) -> Array:
        a: Array = cache.a
        dz: Array = a * (dy - (dy * a).sum(axis=self.axis, keepdims=True))
        return dz

    def jacobian(self, a: Array) -> Array:
        jacobian: Array = a[..., :, None] * (np.eye(a.shape[-1], dtype=a.dtype) - a[..., None, :])
        return jacobian


@dataclass(frozen=True, repr=False)
class LogSoftmax(OverClasses):
    """Scores to logarithms of probabilities, as `NLL` and `KLDivergence` take them.

    A class that is all but impossible keeps its digits here, where the logarithm of a softmax would
    be −∞. `CrossEntropy` needs neither: it takes the scores themselves.

    Parameters
    ----------
    axis : int, default -1
        The axis of the classes. Axis 0, the batch, is refused.

    >>> LogSoftmax()(np.array([[0.0, 0.0], [1e4, -1e4]])).round(4)
    array([[-6.931e-01, -6.931e-01],
           [ 0.000e+00, -2.000e+04]])
    """

    def forward(self, x: Array, p: Views, cache: Cache) -> Array:
        z = self._below_top(x)
        a: Array = z - np.log(np.exp(z).sum(axis=self.axis, keepdims=True))
        cache.a = a
        return a

    def backward(self, dy: Array, p: Views, dp: Views, cache: Cache) -> Array:
        dz: Array = dy - np.exp(cache.a) * dy.sum(axis=self.axis, keepdims=True)
        return dz

    def jacobian(self, a: Array) -> Array:
        jacobian: Array = np.eye(a.shape[-1], dtype=a.dtype) - np.exp(a)[..., None, :]
        return jacobian
