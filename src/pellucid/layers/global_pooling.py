"""Pooling whole images: to one number a channel, or to as many as are asked for.

A global pool is a pool whose window is the whole image or sequence, so that what follows no longer
depends on its size. Mean and greatest value have the gradients that `pooling.py` derives.

An adaptive pool is told how many windows o there should be along an axis of n values, and window i
then begins at ⌊i n / o⌋ and ends before ⌈(i + 1) n / o⌉ (as in PyTorch): where o divides n, an
ordinary pool of n / o; otherwise windows of two lengths that may share a value. The mean over a
window of rows and columns is the mean over its rows of the means over its columns, so the adaptive
mean is two matrix products, with A (o, n) holding 1 / length where a window is, and 0 elsewhere::

    Y = A_h X A_wᵀ        dX = A_hᵀ dY A_w
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pellucid.layers.base import Array, Cache, Spec, Views
from pellucid.layers.windows import Lengths, Spatial, batch_last, check_lengths, pair

# ------------------------------------------------------------------------------------- global


@dataclass(frozen=True, repr=False)
class _Global(Spatial):
    """What the global pools share."""

    keepdims: bool = False

    aliases: ClassVar[dict[str, str]] = {"keepdim": "keepdims"}

    def output_spec(self, *inputs: Spec) -> Spec:
        channels = self.image_shape(inputs)[2]
        return self.spec((1, 1), channels) if self.keepdims else Spec((channels,))

    def _shaped(self, y: Array) -> Array:
        """(C, B) as what comes out: (B, C), with lengths of 1 between if they are kept."""
        y = y.swapaxes(0, 1)
        return y.reshape(y.shape[0], *(1,) * self.axes, y.shape[1]) if self.keepdims else y


@dataclass(frozen=True, repr=False)
class _GlobalAvg(_Global):
    """What GlobalAvgPool2D and GlobalAvgPool1D share."""

    def forward(self, x: Array, p: Views, cache: Cache) -> Array:
        cache.shape = x.shape
        x = batch_last(self.images(x))
        y: Array = x.sum(axis=(1, 2))  # (C, B)
        y /= x.shape[1] * x.shape[2]
        return self._shaped(y)

    def backward(self, dy: Array, p: Views, dp: Views, cache: Cache) -> Array:
        b, *lengths, c = cache.shape
        dy = dy.reshape(b, *(1,) * self.axes, c) / dy.dtype.type(np.prod(lengths))
        return np.broadcast_to(dy, cache.shape)


@dataclass(frozen=True, repr=False)
class _GlobalMax(_Global):
    """What GlobalMaxPool2D and GlobalMaxPool1D share."""

    def forward(self, x: Array, p: Views, cache: Cache) -> Array:
        cache.shape = x.shape
        x = batch_last(self.images(x))
        x = x.reshape(x.shape[0], x.shape[1] * x.shape[2], x.shape[3])  # (C, H·W, B)
        cache.best = x.argmax(axis=1)[:, None]  # the first of equals, and NaN before all
        return self._shaped(np.take_along_axis(x, cache.best, axis=1)[:, 0])

    def backward(self, dy: Array, p: Views, dp: Views, cache: Cache) -> Array:
        b, *lengths, c = cache.shape
        height, width = (1, *lengths)[-2:]
        dx = np.zeros((c, height * width, b), dy.dtype)
        np.put_along_axis(dx, cache.best, dy.reshape(b, c).T[:, None], axis=1)
        return self.unfolded(dx.reshape(c, height, width, b).swapaxes(0, 3))


@dataclass(frozen=True, repr=False)
class GlobalAvgPool2D(_GlobalAvg):
    """The mean of each channel over the whole image: (B, H, W, C) → (B, C).

    Parameters
    ----------
    keepdims : bool, default False
        Whether (B, 1, 1, C) comes out instead.

    >>> GlobalAvgPool2D()(np.arange(16.0).reshape(1, 4, 4, 1))
    array([[7.5]])
    """


@dataclass(frozen=True, repr=False)
class GlobalMaxPool2D(_GlobalMax):
    """The greatest value of each channel in the whole image: (B, H, W, C) → (B, C).

    Parameters
    ----------
    keepdims : bool, default False
        Whether (B, 1, 1, C) comes out instead.

    >>> GlobalMaxPool2D()(np.arange(16.0).reshape(1, 4, 4, 1))
    array([[15.]])
    """


@dataclass(frozen=True, repr=False)
class GlobalAvgPool1D(_GlobalAvg):
    """The mean of each channel over the whole sequence: (B, T, C) → (B, C).

    It equals a `GlobalAvgPool2D` on images (B, 1, T, C).

    Parameters
    ----------
    keepdims : bool, default False
        Whether (B, 1, C) comes out instead.

    >>> GlobalAvgPool1D()(np.arange(4.0).reshape(1, 4, 1))
    array([[1.5]])
    """

    axes: ClassVar[int] = 1


@dataclass(frozen=True, repr=False)
class GlobalMaxPool1D(_GlobalMax):
    """The greatest value of each channel in the whole sequence: (B, T, C) → (B, C).

    It equals a `GlobalMaxPool2D` on images (B, 1, T, C).

    Parameters
    ----------
    keepdims : bool, default False
        Whether (B, 1, C) comes out instead.

    >>> GlobalMaxPool1D()(np.arange(4.0).reshape(1, 4, 1))
    array([[3.]])
    """

    axes: ClassVar[int] = 1


# ------------------------------------------------------------------------------------- adaptive


@dataclass(frozen=True, repr=False)
class _Adaptive(Spatial):
    """What the adaptive pools share."""

    output_size: Lengths

    def __post_init__(self) -> None:
        check_lengths(self, "output_size")

    def output_spec(self, *inputs: Spec) -> Spec:
        return self.spec(pair(self, self.output_size), self.image_shape(inputs)[2])


@dataclass(frozen=True, repr=False)
class AdaptiveAvgPool2D(_Adaptive):
    """The means of so many windows as are asked for: (B, H, W, C) → (B, H', W', C).

    Where the size divides H and W it equals an `AvgPool2D` of their ratio; there may also be more
    windows than pixels.

    Parameters
    ----------
    output_size : int or (int, int)
        H' and W', the height and width of what comes out.

    >>> AdaptiveAvgPool2D(2)(np.arange(9.0).reshape(1, 3, 3, 1)).reshape(2, 2)
    array([[2., 3.],
           [5., 6.]])
    """

    def forward(self, x: Array, p: Views, cache: Cache) -> Array:
        x = self.images(x)
        size = pair(self, self.output_size)
        cache.means = [_means(n, o, x.dtype) for n, o in zip(x.shape[1:3], size, strict=True)]
        return self.unfolded(_both_ways(x, *cache.means))

    def backward(self, dy: Array, p: Views, dp: Views, cache: Cache) -> Array:
        height, width = cache.means
        return self.unfolded(_both_ways(self.images(dy), height.T, width.T))


@dataclass(frozen=True, repr=False)
class AdaptiveMaxPool2D(_Adaptive):
    """The greatest values of so many windows as are asked for: (B, H, W, C) → (B, H', W', C).

    Where the size divides H and W it equals a `MaxPool2D` of their ratio.

    Parameters
    ----------
    output_size : int or (int, int)
        H' and W', the height and width of what comes out.

    >>> AdaptiveMaxPool2D(2)(np.arange(9.0).reshape(1, 3, 3, 1)).reshape(2, 2)
    array([[4., 5.],
           [7., 8.]])
    """

    def forward(self, x: Array, p: Views, cache: Cache) -> Array:
        x = self.images(x)
        cache.shape = x.shape
        y = np.empty((x.shape[3], *pair(self, self.output_size), x.shape[0]), x.dtype)
        x = batch_last(x)  # (C, H, W, B)
        cache.best = []
        for i, j, rows, columns in self._windows(x.shape):
            window = x[:, rows, columns]
            window = window.reshape(len(x), window.shape[1] * window.shape[2], x.shape[3])
            best = window.argmax(axis=1)[:, None]  # the first of equals, and NaN before all
            y[:, i, j] = np.take_along_axis(window, best, axis=1)[:, 0]
            cache.best.append(best)
        return self.unfolded(y.swapaxes(0, 3))

    def backward(self, dy: Array, p: Views, dp: Views, cache: Cache) -> Array:
        dy = batch_last(self.images(dy))
        b, height, width, c = cache.shape
        dx = np.zeros((c, height, width, b), dy.dtype)
        windows = self._windows(dx.shape)
        for (i, j, rows, columns), best in zip(windows, cache.best, strict=True):
            window = dx[:, rows, columns]
            own = np.zeros((c, window.shape[1] * window.shape[2], b), dy.dtype)
            np.put_along_axis(own, best, dy[:, i, j][:, None], axis=1)
            window += own.reshape(window.shape)
        return self.unfolded(dx.swapaxes(0, 3))

    def _windows(self, shape: tuple[int, ...]) -> Iterator[tuple[int, int, slice, slice]]:
        """Every window's place in the output, and its rows and columns in (C, H, W, B)."""
        height, width = pair(self, self.output_size)
        for i, rows in enumerate(_cuts(shape[1], height)):
            for j, columns in enumerate(_cuts(shape[2], width)):
                yield i, j, rows, columns


def _cuts(length: int, count: int) -> list[slice]:
    """`count` windows over `length` values."""
    return [slice(i * length // count, -(-(i + 1) * length // count)) for i in range(count)]


def _means(length: int, count: int, dtype: np.dtype[Any]) -> Array:
    """The matrix (count, length) that takes the mean of every window."""
    A = np.zeros((count, length), dtype)
    for i, cut in enumerate(_cuts(length, count)):
        A[i, cut] = 1 / (cut.stop - cut.start)
    return A


def _both_ways(x: Array, height: Array, width: Array) -> Array:
    """A_h X A_wᵀ for every channel of images (B, H, W, C)."""
    x = batch_last(x)  # (C, H, W, B)
    c, h, w, b = x.shape
    x = height @ x.reshape(c, h, w * b)  # (C, H', W·B)
    x = width @ x.reshape(c * len(height), w, b)  # (C·H', W', B)
    return x.reshape(c, len(height), len(width), b).swapaxes(0, 3)
