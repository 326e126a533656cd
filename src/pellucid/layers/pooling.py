"""Pooling: one number for each window of an image or a sequence, channel by channel.

The greatest number of a window (MaxPool2D) moves only with the place it stands at, so that place
gets the whole gradient and the others none; of equals, the first has it::

    y = x_k, k the first with x_k = max_j x_j        dx_k = dy

The mean of n numbers (AvgPool2D) moves with each of them alike::

    y = Σ_j x_j / n        dx_j = dy / n

Windows that overlap add up what they send back to a pixel they share. Both work on one place of
the window at a time, for all windows at once. A sequence is an image of height 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pellucid.errors import OptionError
from pellucid.layers.base import Array, Cache, Spec, Views
from pellucid.layers.windows import (
    Grid,
    Lengths,
    Padding,
    Spatial,
    batch_last,
    check_lengths,
    check_padding,
    pair,
    sides,
    window_spec,
)


@dataclass(frozen=True, repr=False)
class _Pool(Spatial):
    """What all pools share: windows that keep the channels."""

    pool_size: Lengths = 2
    strides: Lengths | None = None
    padding: Padding = "valid"

    aliases: ClassVar[dict[str, str]] = {
        "kernel_size": "pool_size",
        "pool": "pool_size",
        "stride": "strides",
    }

    def __post_init__(self) -> None:
        check_lengths(self, "pool_size")
        if self.strides is not None:
            check_lengths(self, "strides")
        check_padding(self, "valid", "same")
        around = zip(sides(self, self.padding), pair(self, self.pool_size), strict=True)
        if any(max(padding) >= window for padding, window in around):
            raise OptionError(
                f"{type(self).__name__}: padding of {self.padding} would put whole windows of "
                f"{self.pool_size} outside the {'image' if self.axes == 2 else 'sequence'}"
            )

    def output_spec(self, *inputs: Spec) -> Spec:
        return window_spec(self, inputs, None, self.pool_size, self._strides, self.padding)

    @property
    def _strides(self) -> Lengths:
        return self.pool_size if self.strides is None else self.strides

    def _grid(self, x: Array) -> Grid:
        return Grid.of(self, x.shape, self.pool_size, self._strides, self.padding)


@dataclass(frozen=True, repr=False)
class _MaxPool(_Pool):
    """What MaxPool2D and MaxPool1D share; `axes` tells them apart."""

    def forward(self, x: Array, p: Views, cache: Cache) -> Array:
        x = self.images(x)
        cache.grid = grid = self._grid(x)
        cache.x = x = grid.padded(x, -np.inf)
        first, *others = grid.taps()
        y = x[:, *first].copy()
        for tap in others:
            np.maximum(y, x[:, *tap], out=y)  # NaN stays NaN
        cache.y = y
        return self.unfolded(y.swapaxes(0, 3))

    def backward(self, dy: Array, p: Views, dp: Views, cache: Cache) -> Array:
        grid: Grid = cache.grid
        x, y = cache.x, cache.y
        dy, dx = batch_last(self.images(dy)), np.zeros_like(x)
        free = np.ones(y.shape, bool)  # windows whose gradient no place has taken yet
        for tap in grid.taps():
            hit = x[:, *tap] == y
            hit &= free
            free ^= hit
            dx[:, *tap] += dy * hit
        return self.unfolded(grid.cropped(dx))


@dataclass(frozen=True, repr=False)
class MaxPool2D(_MaxPool):
    """The greatest value of each window: (B, H, W, C) → (B, H', W', C).

    Parameters
    ----------
    pool_size : int or (int, int), default 2
        Height and width of the window.
    strides : int or (int, int), optional
        From one window to the next; by default the window's own size.
    padding : as in `Conv2D`, default "valid"
        What is added around the image counts as −∞, and is never a window's greatest.

    >>> MaxPool2D()(np.arange(16.0).reshape(1, 4, 4, 1)).reshape(2, 2)
    array([[ 5.,  7.],
           [13., 15.]])
    """


@dataclass(frozen=True, repr=False)
class MaxPool1D(_MaxPool):
    """The greatest value of each window: (B, T, C) → (B, T', C).

    It equals a `MaxPool2D` with windows of 1 × pool_size on images (B, 1, T, C), whose options it
    has as single numbers, the padding also as (before, after).

    >>> MaxPool1D()(np.arange(6.0).reshape(1, 6, 1)).reshape(3)
    array([1., 3., 5.])
    """

    axes: ClassVar[int] = 1


@dataclass(frozen=True, repr=False)
class _AvgPool(_Pool):
    """What AvgPool2D and AvgPool1D share; `axes` tells them apart."""

    count_include_pad: bool = True

    def forward(self, x: Array, p: Views, cache: Cache) -> Array:
        x = self.images(x)
        cache.grid = grid = self._grid(x)
        cache.share = self._share(grid, x.dtype)
        x = grid.padded(x)
        first, *others = grid.taps()
        y = x[:, *first].copy()
        for tap in others:
            y += x[:, *tap]
        y *= cache.share
        return self.unfolded(y.swapaxes(0, 3))

    def backward(self, dy: Array, p: Views, dp: Views, cache: Cache) -> Array:
        grid: Grid = cache.grid
        dy = batch_last(self.images(dy)) * cache.share
        dx = np.zeros((dy.shape[0], *grid.room, dy.shape[3]), dy.dtype)
        for tap in grid.taps():
            dx[:, *tap] += dy
        return self.unfolded(grid.cropped(dx))

    def _share(self, grid: Grid, dtype: np.dtype[Any]) -> Array:
        """1/n, n the values in a window: () or (H', W', 1), as (C, H', W', B) takes it."""
        if self.count_include_pad:
            return np.asarray(1 / (grid.kernel[0] * grid.kernel[1]), dtype)
        inside = []
        for n, b, k, s, count in zip(
            grid.size, grid.before, grid.kernel, grid.strides, grid.number, strict=True
        ):
            start = np.arange(count) * s - b
            inside.append(np.minimum(start + k, n) - np.maximum(start, 0))
        share: Array = (1 / np.outer(*inside))[:, :, None].astype(dtype)
        return share


@dataclass(frozen=True, repr=False)
class AvgPool2D(_AvgPool):
    """The mean of each window: (B, H, W, C) → (B, H', W', C).

    Parameters
    ----------
    pool_size : int or (int, int), default 2
        Height and width of the window.
    strides : int or (int, int), optional
        From one window to the next; by default the window's own size.
    padding : as in `Conv2D`, default "valid"
    count_include_pad : bool, default True
        Whether the zeros added around the image count as values, as in PyTorch; Keras leaves them
        out.

    >>> AvgPool2D()(np.arange(16.0).reshape(1, 4, 4, 1)).reshape(2, 2)
    array([[ 2.5,  4.5],
           [10.5, 12.5]])
    """


@dataclass(frozen=True, repr=False)
class AvgPool1D(_AvgPool):
    """The mean of each window: (B, T, C) → (B, T', C).

    It equals an `AvgPool2D` with windows of 1 × pool_size on images (B, 1, T, C), whose options it
    has as single numbers, the padding also as (before, after).

    >>> AvgPool1D()(np.arange(6.0).reshape(1, 6, 1)).reshape(3)
    array([0.5, 2.5, 4.5])
    """

    axes: ClassVar[int] = 1
