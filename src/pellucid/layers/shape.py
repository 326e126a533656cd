"""Reshaping and rescaling: layers that learn nothing by gradient, and what they do to it.

Flatten and Reshape move no number, so the gradient takes the way back: dx is dy in x's shape.
Rescale and Standardize are y = (x − m) · s with constants m and s, hence dx = dy · s.

Standardize takes its constants from data, once, before training. Blocks of rows come one after
the other, so mean and variance are merged block by block. With n rows of mean m and sum of squared
deviations q so far, and n′, m′, q′ of a new block, let d = m′ − m; then for all of them together::

    N = n + n′        mean = m + d n′/N        sum of squares = q + q′ + d² n n′/N

(Chan, Golub and LeVeque 1983): exact up to rounding, where Σx² − (Σx)²/N would cancel.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

import numpy as np

from pellucid.description import number
from pellucid.errors import DataError, OptionError, ShapeError
from pellucid.layers.base import (
    Array,
    Cache,
    Layer,
    Shape,
    Spec,
    StateSpec,
    Views,
    as_float,
    shape_text,
    single,
)


@dataclass(frozen=True, repr=False)
class Flatten(Layer):
    """Each row's values in one line: (B, ...) → (B, n).

    >>> Flatten()(np.zeros((5, 2, 3))).shape
    (5, 6)
    """

    def output_spec(self, *inputs: Spec) -> Spec:
        x = single(inputs, self)
        return Spec((None if None in x.shape else x.size,))

    def forward(self, x: Array, p: Views, cache: Cache) -> Array:
        cache.shape = x.shape
        return x.reshape(x.shape[0], prod(x.shape[1:]))

    def backward(self, dy: Array, p: Views, dp: Views, cache: Cache) -> Array:
        return dy.reshape(cache.shape)


@dataclass(frozen=True, repr=False)
class Reshape(Layer):
    """The same values in another shape; the batch axis stays.

    Parameters
    ----------
    shape : tuple of int
        A row's new shape, without the batch axis. One length may be -1: what is left over.

    >>> Reshape((2, -1))(np.zeros((5, 6))).shape
    (5, 2, 3)
    """

    shape: tuple[int, ...]

    aliases: ClassVar[dict[str, str]] = {"target_shape": "shape"}

    def __post_init__(self) -> None:
        lengths: Any = self.shape
        lengths = tuple(lengths) if isinstance(lengths, tuple | list) else (lengths,)
        fine = all(
            isinstance(n, int | np.integer) and not isinstance(n, bool) and n >= -1 for n in lengths
        )
        if not fine or lengths.count(-1) > 1:
            raise OptionError(
                "Reshape: shape must be whole numbers, without the batch, of which one may be -1, "
                f"not {self.shape!r}"
            )
        object.__setattr__(self, "shape", tuple(int(n) for n in lengths))

    def output_spec(self, *inputs: Spec) -> Spec:
        x = single(inputs, self)
        if None in x.shape:
            return Spec(tuple(None if n == -1 else n for n in self.shape))
        return Spec(self._fitted(x.shape))

    def forward(self, x: Array, p: Views, cache: Cache) -> Array:
        cache.shape = x.shape
        return x.reshape(x.shape[0], *self._fitted(x.shape[1:]))

    def backward(self, dy: Array, p: Views, dp: Views, cache: Cache) -> Array:
        return dy.reshape(cache.shape)

    def _fitted(self, row: Shape) -> tuple[int, ...]:
        """The shape with its -1 worked out."""
        size = Spec(row).size
        rest = prod(n for n in self.shape if n != -1)
        if size != rest and not (-1 in self.shape and rest and size % rest == 0):
            raise ShapeError(
                f"{self!r} cannot hold the {size} values of {shape_text(row)}: "
                f"it takes {f'a multiple of {rest}' if -1 in self.shape else rest}"
            )
        return tuple(size // max(rest, 1) if n == -1 else n for n in self.shape)


@dataclass(frozen=True, repr=False)
class Rescale(Layer):
    """``x * scale + offset``: pixels of 0 to 255 into 0 to 1 with ``Rescale(1 / 255)``.

    Parameters
    ----------
    scale : float
    offset : float, default 0

    >>> Rescale(1 / 255)(np.array([0, 51, 255], dtype=np.uint8))
    array([0. , 0.2, 1. ])
    """

    scale: float
    offset: float = 0.0

    def __post_init__(self) -> None:
        number(self, "scale")
        number(self, "offset")
        # a NumPy float64 would turn float32 arrays into float64 ones
        object.__setattr__(self, "scale", float(self.scale))
        object.__setattr__(self, "offset", float(self.offset))

    def output_spec(self, *inputs: Spec) -> Spec:
        return Spec(single(inputs, self).shape)

    def forward(self, x: Array, p: Views, cache: Cache) -> Array:
        y = x * self.scale
        return y + self.offset if self.offset else y

    def backward(self, dy: Array, p: Views, dp: Views, cache: Cache) -> Array:
        return dy * self.scale


@dataclass(frozen=True, repr=False)
class Standardize(Layer):
    """Each feature (last axis) with mean 0 and variance 1, by statistics of the training data.

    ``net.adapt(x)`` or the first ``fit`` measures them; until then the layer passes everything on
    as it is. They are state, not parameters: no gradient changes them. A feature that is constant
    but for rounding becomes 0, not NaN.

    State in the network: ``mean`` and ``variance`` (C,), ``count`` () of rows seen.
    """

    adapts: ClassVar[bool] = True

    def output_spec(self, *inputs: Spec) -> Spec:
        x = single(inputs, self)
        if not x.shape or x.shape[-1] is None:
            raise ShapeError(f"{self!r} needs a known number of features, not {x}")
        return Spec(x.shape)

    def state_specs(self, *inputs: Spec) -> dict[str, StateSpec]:
        features: int = inputs[0].shape[-1]  # type: ignore[assignment]
        return {
            "mean": StateSpec((features,), 0.0),
            "variance": StateSpec((features,), 1.0),
            "count": StateSpec((), 0.0),
        }

    def forward(self, x: Array, p: Views, cache: Cache) -> Array:
        mean, variance = cache.state.mean, cache.state.variance
        deviation = np.sqrt(variance)
        noise = 8 * np.finfo(deviation.dtype).eps * np.abs(mean)  # what rounding alone makes of it
        cache.scale = 1 / np.where(deviation > noise, deviation, 1)
        y: Array = x - mean
        y *= cache.scale
        return y

    def backward(self, dy: Array, p: Views, dp: Views, cache: Cache) -> Array:
        dx: Array = dy * cache.scale
        return dx

    def adapt(self, batches: Iterable[Array]) -> dict[str, Array]:
        """The state that standardises these arrays (B, ..., C), all of them together.

        >>> Standardize().adapt([np.array([[1.0]]), np.array([[2.0], [3.0]])])
        {'mean': array([2.]), 'variance': array([0.66666667]), 'count': array(3.)}
        """
        count, start, mean, squares = 0, np.zeros(0), np.zeros(0), np.zeros(0)
        for batch in batches:
            x = as_float(batch)
            x = x.reshape(-1, x.shape[-1]).astype(np.float64, copy=False)  # (N, C)
            if not len(x):
                continue
            if not count:
                start, mean, squares = x[0].copy(), np.zeros(x.shape[1]), np.zeros(x.shape[1])
            if x.shape[1:] != start.shape:
                raise ShapeError(f"{self!r} saw {start.size} features, and now {x.shape[1]}")
            with np.errstate(over="ignore", invalid="ignore"):  # found and named below
                x = x - start  # what is constant is now 0, with no rounding
                new = x.mean(axis=0)
                delta, total = new - mean, count + len(x)
                squares += np.square(x - new).sum(axis=0)
                squares += np.square(delta) * (count * len(x) / total)
                mean += delta * (len(x) / total)
            count = total
        mean = start + mean
        if not count:
            raise DataError(f"{self!r} needs at least one row to adapt to")
        bad = np.flatnonzero(~np.isfinite(squares))
        if bad.size:
            raise DataError(
                f"{self!r}: feature {bad[0]} has NaN, infinite or too large values: "
                f"mean {mean[bad[0]]}, variance {squares[bad[0]] / count}"
            )
        return {"mean": mean, "variance": squares / count, "count": np.asarray(float(count))}
