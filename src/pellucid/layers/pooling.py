"""Pooling: one number for each window of an image, channel by channel.

The greatest number of a window (MaxPool2D) moves only with the place it stands at, so that place
gets the whole gradient and the others none; of equals, the first has it::

    y = x_k, k the first with x_k = max_j x_j        dx_k = dy

The mean of n numbers (AvgPool2D) moves with each of them alike::

    y = Σ_j x_j / n        dx_j = dy / n

Windows that overlap add up what they send back to a pixel they share. Both work on one place of
the window at a time, for all windows at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pellucid.errors import OptionError
from pellucid.layers.base import Array, Cache, Layer, Spec, Views
from pellucid.layers.windows import (
    Grid,
    Padding,
    Pair,
    batch_last,
    check_padding,
    check_pair,
    image_spec,
)

_ALIASES = {"kernel_size": "pool_size", "pool": "pool_size", "stride": "strides"}


@dataclass(frozen=True, repr=False)
class MaxPool2D(Layer):
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

    pool_size: Pair = 2
    strides: Pair | None = None
    padding: Padding = "valid"

    aliases: ClassVar[dict[str, str]] = _ALIASES

    def __post_init__(self) -> None:
        _check(self)

    def output_spec(self, *inputs: Spec) -> Spec:
        strides = self.pool_size if self.strides is None else self.strides
        return image_spec(self, inputs, None, self.pool_size, strides, self.padding)

    def forward(self, x: Array, p: Views, cache: Cache) -> Array:
        strides = self.pool_size if self.strides is None else self.strides
        cache.grid = grid = Grid.of(self, x.shape, self.pool_size, strides, self.padding)
        cache.x = x = grid.padded(x, -np.inf)
        first, *others = grid.taps()
        y = x[:, *first].copy()
        for tap in others:
            np.maximum(y, x[:, *tap], out=y)  # NaN stays NaN
        cache.y = y
        return y.swapaxes(0, 3)

    def backward(self, dy: Array, p: Views, dp: Views, cache: Cache) -> Array:
        grid: Grid = cache.grid
        x, y = cache.x, cache.y
        dy, dx = batch_last(dy), np.zeros_like(x)
        free = np.ones(y.shape, bool)  # windows whose gradient no place has taken yet
        for tap in grid.taps():
            hit = x[:, *tap] == y
            hit &= free
            free ^= hit
            dx[:, *tap] += dy * hit
        return grid.cropped(dx)


@dataclass(frozen=True, repr=False)
class AvgPool2D(Layer):
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

    pool_size: Pair = 2
    strides: Pair | None = None
    padding: Padding = "valid"
    count_include_pad: bool = True

    aliases: ClassVar[dict[str, str]] = _ALIASES

    def __post_init__(self) -> None:
        _check(self)

    def output_spec(self, *inputs: Spec) -> Spec:
        strides = self.pool_size if self.strides is None else self.strides
        return image_spec(self, inputs, None, self.pool_size, strides, self.padding)

    def forward(self, x: Array, p: Views, cache: Cache) -> Array:
        strides = self.pool_size if self.strides is None else self.strides
        cache.grid = grid = Grid.of(self, x.shape, self.pool_size, strides, self.padding)
        cache.share = self._share(grid, x.dtype)
        x = grid.padded(x)
        first, *others = grid.taps()
        y = x[:, *first].copy()
        for tap in others:
            y += x[:, *tap]
        y *= cache.share
        return y.swapaxes(0, 3)

    def backward(self, dy: Array, p: Views, dp: Views, cache: Cache) -> Array:
        grid: Grid = cache.grid
        dy = batch_last(dy) * cache.share
        height, width = (
            b + n + a for b, n, a in zip(grid.before, grid.size, grid.after, strict=True)
        )
        dx = np.zeros((dy.shape[0], height, width, dy.shape[3]), dy.dtype)
        for tap in grid.taps():
            dx[:, *tap] += dy
        return grid.cropped(dx)

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


def _check(layer: MaxPool2D | AvgPool2D) -> None:
    check_pair(layer, "pool_size")
    if layer.strides is not None:
        check_pair(layer, "strides")
    check_padding(layer)
    if not isinstance(layer.padding, str):
        grid = Grid.of(layer, (1, 10**9, 10**9, 1), layer.pool_size, 1, layer.padding)
        if any(
            max(b, a) >= k for b, a, k in zip(grid.before, grid.after, grid.kernel, strict=True)
        ):
            raise OptionError(
                f"{type(layer).__name__}: padding of {layer.padding} would put whole windows of "
                f"{layer.pool_size} outside the image"
            )
