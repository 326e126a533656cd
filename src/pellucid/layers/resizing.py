"""Making images and sequences larger and smaller: up-sampling, padding and cropping.

Up-sampling by s puts s pixels where one was. Nearest repeats it, so that each pixel gets back the
sum of what its copies got::

    y_{i·s+r} = x_i        dx_i = Σ_r dy_{i·s+r}        r = 0 … s − 1

Linear interpolation takes pixels for squares of width 1 whose centres lie at i + ½ (PyTorch's
``align_corners=False``, and what Keras does). The centre of output pixel i·s + r lies at
(i·s + r + ½)/s of the input, which is t = (r + ½)/s − ½ to the right of the centre of pixel i,
between −½ and ½. With o = ⌊t⌋, which is −1 or 0, and f = t − o::

    y_{i·s+r} = (1 − f) x_{i+o} + f x_{i+o+1}

where x_{−1} is x_0 and x_n is x_{n−1}: beyond the edge the image goes on as it ends. The gradient
adds dy·(1 − f) and dy·f to the pixels that were read, and what the repeated edge got to the edge.
For images this is done along the height and then along the width ("bilinear").

Padding puts zeros around, and cropping takes rows and columns away: each is the other's gradient.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import floor
from typing import ClassVar

import numpy as np

from pellucid.description import one_of
from pellucid.errors import ShapeError
from pellucid.layers.base import Array, Cache, Shape, Spec, Views
from pellucid.layers.windows import (
    Lengths,
    Padding,
    Spatial,
    batch_last,
    check_lengths,
    check_padding,
    pair,
    sides,
)


@dataclass(frozen=True, repr=False)
class _UpSampling(Spatial):
    """What UpSampling2D and UpSampling1D share."""

    size: Lengths = 2
    interpolation: str = "nearest"

    aliases: ClassVar[dict[str, str]] = {"scale_factor": "size", "mode": "interpolation"}
    ways: ClassVar[tuple[str, str]] = ("nearest", "bilinear")

    def __post_init__(self) -> None:
        check_lengths(self, "size")
        one_of(self, "interpolation", self.ways)

    def output_spec(self, *inputs: Spec) -> Spec:
        height, width, channels = self.image_shape(inputs)
        lengths = zip((height, width), pair(self, self.size), strict=True)
        return self.spec(tuple(None if n is None else n * s for n, s in lengths), channels)

    def forward(self, x: Array, p: Views, cache: Cache) -> Array:
        x = batch_last(self.images(x))  # (C, H, W, B)
        for axis, factor in enumerate(pair(self, self.size), 1):
            if factor > 1:
                x = _enlarged(x, axis, factor, self.interpolation)
        return self.unfolded(x.swapaxes(0, 3))

    def backward(self, dy: Array, p: Views, dp: Views, cache: Cache) -> Array:
        dy = batch_last(self.images(dy))
        for axis, factor in reversed(list(enumerate(pair(self, self.size), 1))):
            if factor > 1:
                dy = _gathered(dy, axis, factor, self.interpolation)
        return self.unfolded(dy.swapaxes(0, 3))


@dataclass(frozen=True, repr=False)
class UpSampling2D(_UpSampling):
    """Images made larger by whole factors: (B, H, W, C) → (B, H·size, W·size, C).

    Parameters
    ----------
    size : int or (int, int), default 2
        The factors for height and width. Alias: scale_factor.
    interpolation : "nearest" or "bilinear", default "nearest"
        Alias: mode.

    >>> UpSampling2D(2)(np.array([[1.0, 2.0]]).reshape(1, 1, 2, 1)).reshape(2, 4)
    array([[1., 1., 2., 2.],
           [1., 1., 2., 2.]])
    """


@dataclass(frozen=True, repr=False)
class UpSampling1D(_UpSampling):
    """Sequences made longer by a whole factor: (B, T, C) → (B, T·size, C).

    It equals an `UpSampling2D` by (1, size) on images (B, 1, T, C).

    Parameters
    ----------
    size : int, default 2
        Alias: scale_factor.
    interpolation : "nearest" or "linear", default "nearest"
        Alias: mode.

    >>> UpSampling1D(2, "linear")(np.array([0.0, 4.0]).reshape(1, 2, 1)).reshape(4)
    array([0., 1., 3., 4.])
    """

    axes: ClassVar[int] = 1
    ways: ClassVar[tuple[str, str]] = ("nearest", "linear")


def _enlarged(x: Array, axis: int, factor: int, interpolation: str) -> Array:
    """`x` (C, H, W, B) with an axis made longer."""
    if interpolation == "nearest":
        return np.repeat(x, factor, axis=axis)
    x = np.moveaxis(x, axis, 0)
    n = len(x)
    x = np.concatenate([x[:1], x, x[-1:]])  # x_i stands at i + 1
    y = np.empty((n, factor, *x.shape[1:]), x.dtype)
    for r, o, f in _phases(factor):
        y[:, r] = (1 - f) * x[o + 1 : o + 1 + n]
        y[:, r] += f * x[o + 2 : o + 2 + n]
    return np.moveaxis(y.reshape(n * factor, *x.shape[1:]), 0, axis)


def _gathered(dy: Array, axis: int, factor: int, interpolation: str) -> Array:
    """The transpose of `_enlarged`: the gradient by what was made longer."""
    dy = np.moveaxis(dy, axis, 0)
    n, rest = len(dy) // factor, dy.shape[1:]
    dy = dy.reshape(n, factor, *rest)
    if interpolation == "nearest":
        return np.moveaxis(dy.sum(axis=1), 0, axis)
    dx = np.zeros((n + 2, *rest), dy.dtype)
    for r, o, f in _phases(factor):
        dx[o + 1 : o + 1 + n] += (1 - f) * dy[:, r]
        dx[o + 2 : o + 2 + n] += f * dy[:, r]
    dx[1] += dx[0]
    dx[n] += dx[n + 1]
    return np.moveaxis(dx[1 : n + 1], 0, axis)


def _phases(factor: int) -> Iterator[tuple[int, int, float]]:
    """For r = 0 … factor − 1, the offset o and the share f of the derivation above."""
    for r in range(factor):
        t = (r + 0.5) / factor - 0.5
        yield r, floor(t), t - floor(t)


# ---------------------------------------------------------------------------- padding, cropping


@dataclass(frozen=True, repr=False)
class _ZeroPadding(Spatial):
    """What ZeroPadding2D and ZeroPadding1D share."""

    padding: Padding = 1

    def __post_init__(self) -> None:
        check_padding(self)

    def output_spec(self, *inputs: Spec) -> Spec:
        height, width, channels = self.image_shape(inputs)
        around = zip((height, width), sides(self, self.padding), strict=True)
        return self.spec(tuple(None if n is None else b + n + a for n, (b, a) in around), channels)

    def forward(self, x: Array, p: Views, cache: Cache) -> Array:
        return self.unfolded(_wider(self.images(x), sides(self, self.padding)))

    def backward(self, dy: Array, p: Views, dp: Views, cache: Cache) -> Array:
        return self.unfolded(_narrower(self.images(dy), sides(self, self.padding)))


@dataclass(frozen=True, repr=False)
class ZeroPadding2D(_ZeroPadding):
    """Zeros around images: (B, H, W, C) → (B, top + H + bottom, left + W + right, C).

    Parameters
    ----------
    padding : int, (int, int) or ((int, int), (int, int)), default 1
        On each side; for height and width; or for top and bottom, left and right.

    >>> ZeroPadding2D(((0, 1), (1, 0)))(np.ones((1, 1, 2, 1))).reshape(2, 3)
    array([[0., 1., 1.],
           [0., 0., 0.]])
    """


@dataclass(frozen=True, repr=False)
class ZeroPadding1D(_ZeroPadding):
    """Zeros around sequences: (B, T, C) → (B, before + T + after, C).

    It equals a `ZeroPadding2D` of ((0, 0), (before, after)) on images (B, 1, T, C).

    Parameters
    ----------
    padding : int or (int, int), default 1
        On each side; or before and after.

    >>> ZeroPadding1D((2, 0))(np.ones((1, 2, 1))).reshape(4)
    array([0., 0., 1., 1.])
    """

    axes: ClassVar[int] = 1


@dataclass(frozen=True, repr=False)
class _Cropping(Spatial):
    """What Cropping2D and Cropping1D share."""

    cropping: Padding = 1

    def __post_init__(self) -> None:
        check_padding(self, option="cropping")

    def output_spec(self, *inputs: Spec) -> Spec:
        height, width, channels = self.image_shape(inputs)
        around = list(zip((height, width), sides(self, self.cropping), strict=True))
        left: Shape = tuple(None if n is None else n - b - a for n, (b, a) in around)
        if any(n is not None and n < 1 for n in left):
            raise ShapeError(f"{self!r} leaves nothing of {inputs[0]}: crop less")
        return self.spec(left, channels)

    def forward(self, x: Array, p: Views, cache: Cache) -> Array:
        self.output_spec(Spec(x.shape[1:]))  # a slice that is too short would be empty, or wrong
        return self.unfolded(_narrower(self.images(x), sides(self, self.cropping)))

    def backward(self, dy: Array, p: Views, dp: Views, cache: Cache) -> Array:
        return self.unfolded(_wider(self.images(dy), sides(self, self.cropping)))


@dataclass(frozen=True, repr=False)
class Cropping2D(_Cropping):
    """Images without their edges: (B, H, W, C) → (B, H − top − bottom, W − left − right, C).

    Parameters
    ----------
    cropping : int, (int, int) or ((int, int), (int, int)), default 1
        From each side; from height and width; or from top and bottom, left and right.

    >>> Cropping2D((0, 1))(np.arange(6.0).reshape(1, 2, 3, 1)).reshape(2)
    array([1., 4.])
    """


@dataclass(frozen=True, repr=False)
class Cropping1D(_Cropping):
    """Sequences without their ends: (B, T, C) → (B, T − before − after, C).

    It equals a `Cropping2D` of ((0, 0), (before, after)) on images (B, 1, T, C).

    Parameters
    ----------
    cropping : int or (int, int), default 1
        From each side; or before and after.

    >>> Cropping1D((0, 2))(np.arange(4.0).reshape(1, 4, 1)).reshape(2)
    array([0., 1.])
    """

    axes: ClassVar[int] = 1


Sides = tuple[tuple[int, int], tuple[int, int]]


def _wider(x: Array, around: Sides) -> Array:
    """Images (B, H, W, C) with zeros around; memory stays in the order it had."""
    (top, bottom), (left, right) = around
    b, h, w, c = x.shape
    h_, w_ = top + h + bottom, left + w + right
    if x.strides[0] < x.strides[3]:  # batch last, as windows.py explains
        y = np.zeros((c, h_, w_, b), x.dtype).swapaxes(0, 3)
    else:
        y = np.zeros((b, h_, w_, c), x.dtype)
    y[:, top : top + h, left : left + w] = x
    return y


def _narrower(x: Array, around: Sides) -> Array:
    """The inverse of `_wider`: a view."""
    (top, bottom), (left, right) = around
    return x[:, top : x.shape[1] - bottom, left : x.shape[2] - right]
