"""Augmentation: in training, show every image a little differently each time.

A shifted, turned or enlarged digit is still the same digit. Showing such variants tells a network
so, without new data. In inference these layers pass everything on as it is.

Shift, rotation and zoom are one computation. Each output pixel, at p = (i, j) from the centre of
the image, looks up the input at a place q of its own::

    shift by t      q = p − t
    rotation by θ   q = R p      R = [[cos θ, sin θ], [−sin θ, cos θ]]
    zoom by z       q = (1 + z) p

(in R, rows count downwards, so that θ > 0 turns the picture counter-clockwise; z > 0 shows more
than the image, and so makes it smaller). q lies between four pixels. With its whole parts u, v and
fractions f, g::

    y = (1−f)(1−g) x_uv + (1−f) g x_u,v+1 + f (1−g) x_u+1,v + f g x_u+1,v+1

which is linear in x: the gradient goes back through the same weights to the same four pixels, and
pixels that were looked at several times get the sum. Beyond the edge there is a constant, which has
no gradient, or the nearest pixel of the image, which gets it.

Every image has draws of its own, made from the same uniform float64 numbers for every float type.
They are keyed by seed, node and step, so a step that is repeated sees the same variants.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import pi
from typing import Any, ClassVar

import numpy as np

from pellucid.description import number, one_of
from pellucid.errors import OptionError, ShapeError
from pellucid.layers.base import Array, Cache, Spec, Views
from pellucid.layers.windows import Lengths, Spatial, check_lengths, pair
from pellucid.random import Stream

Factor = float | tuple[float, float]


@dataclass(frozen=True, repr=False)
class _Augmentation(Spatial):
    """What all augmentations share: images stay as large as they are."""

    def output_spec(self, *inputs: Spec) -> Spec:
        self.image_shape(inputs)
        return Spec(inputs[0].shape)


@dataclass(frozen=True, repr=False)
class _Warp(_Augmentation):
    """What RandomShift, RandomRotation and RandomZoom share: each output pixel looks elsewhere."""

    fill_mode: str = field(default="constant", kw_only=True)
    fill_value: float = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        one_of(self, "fill_mode", ("constant", "nearest"))
        number(self, "fill_value")

    @abstractmethod
    def _maps(self, stream: Stream, size: tuple[int, int], batch: int) -> Array:
        """For each image the map [A | t] of p to q = A p + t: (B, 2, 3) in float64."""

    def forward(self, x: Array, p: Views, cache: Cache) -> Array:
        x = self.images(x)
        cache.maps = None
        if not cache.training:
            return x
        b, h, w, c = x.shape
        cache.maps = maps = self._maps(cache.random(), (h, w), b)
        y = np.empty((c, b, h, w), x.dtype)
        for some in _few(b, h * w):
            index, f, g = self._places(maps[some], (h, w))
            f, g = f.astype(x.dtype), g.astype(x.dtype)
            around = np.full((c, len(index), h + 3, w + 3), self.fill_value, x.dtype)
            around[:, :, 1 : h + 1, 1 : w + 1] = np.moveaxis(x[some], 3, 0)
            for pixels, out in zip(around.reshape(c, -1), y[:, some], strict=True):
                left, right, low, last = (pixels[k:].take(index) for k in (0, 1, w + 3, w + 4))
                left += g * (right - left)
                low += g * (last - low)
                np.add(left, f * (low - left), out=out)
        return np.moveaxis(y, 0, 3)

    def backward(self, dy: Array, p: Views, dp: Views, cache: Cache) -> Array | None:
        if cache.maps is None:
            return dy
        if not cache.needs_dx:
            return None
        b, h, w, c = dy.shape
        dx = np.empty((c, b, h, w), dy.dtype)
        for some in _few(b, h * w):
            index, f, g = self._places(cache.maps[some], (h, w))
            size = len(index) * (h + 3) * (w + 3)
            weights = ((1 - f) * (1 - g), (1 - f) * g, f * (1 - g), f * g)
            places = [(index + k).ravel() for k in (0, 1, w + 3, w + 4)]
            for channel in range(c):
                total = np.zeros(size)
                for place, weight in zip(places, weights, strict=True):
                    total += np.bincount(place, (dy[some, ..., channel] * weight).ravel(), size)
                around = total.reshape(len(index), h + 3, w + 3)
                dx[channel, some] = around[:, 1 : h + 1, 1 : w + 1]
        return np.moveaxis(dx, 0, 3)

    def _places(self, maps: Array, size: tuple[int, int]) -> tuple[Array, Array, Array]:
        """Where each output pixel looks: the pixel u, v before q, and q's fractions f and g.

        The pixel is an index among those of all images, (B, H, W), each of which has one row and
        column more before it and two behind it that hold the constant. A q beyond those is taken
        back to them; or to the edge, where the neighbour then has no weight.
        """
        first, last = (0, 1) if self.fill_mode == "constant" else (1, 0)
        centre = [(n - 1) / 2 for n in size]
        i, j = (np.arange(n) - m for n, m in zip(size, centre, strict=True))
        p = (i[:, None], j[None, :])
        whole, part = [], []
        for axis, n in enumerate(size):
            A = maps[:, axis, :, None, None]
            q = A[:, axis] * p[axis] + (A[:, 2] + centre[axis] + 1)  # from the first row of all
            if A[:, 1 - axis].any():  # turned
                q = q + A[:, 1 - axis] * p[1 - axis]
            np.clip(q, first, n + last, out=q)
            whole.append(q.astype(np.intp))
            part.append(np.subtract(q, whole[-1], out=q))
        height, width = size[0] + 3, size[1] + 3
        start = (np.arange(len(maps)) * (height * width))[:, None, None]
        return (start + whole[0] * width) + whole[1], part[0], part[1]


def _few(images: int, pixels: int) -> Iterator[slice]:
    """Pieces of a batch that stay in the cache."""
    step = max(16384 // pixels, 1)
    for start in range(0, images, step):
        yield slice(start, start + step)


@dataclass(frozen=True, repr=False)
class RandomShift(_Warp):
    """Moves each image up or down and left or right, in training: (B, H, W, C) → (B, H, W, C).

    Parameters
    ----------
    height_factor : float or (float, float)
        How far down, as a share of the height: uniform between the two, or between −factor and
        factor.
    width_factor : float or (float, float), optional
        How far to the right, as a share of the width; by default the range of the height.
    fill_mode : "constant" or "nearest", default "constant"
        What there is beyond the edge: `fill_value`, or the nearest pixel.
    fill_value : float, default 0

    >>> x, down = np.arange(1.0, 4).reshape(1, 3, 1, 1), RandomShift((1 / 3, 1 / 3), (0, 0))
    >>> down(x).ravel(), down.forward(x, Views({}), Cache(training=True)).ravel()
    (array([1., 2., 3.]), array([0., 1., 2.]))
    """

    height_factor: Factor
    width_factor: Factor | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_factor(self, "height_factor")
        if self.width_factor is not None:
            _check_factor(self, "width_factor")

    def _maps(self, stream: Stream, size: tuple[int, int], batch: int) -> Array:
        width = self.height_factor if self.width_factor is None else self.width_factor
        u = stream.uniform((batch, 2))
        maps = np.zeros((batch, 2, 3))
        maps[:, 0, 0] = maps[:, 1, 1] = 1
        maps[:, 0, 2] = -size[0] * _between(u[:, 0], self.height_factor)
        maps[:, 1, 2] = -size[1] * _between(u[:, 1], width)
        return maps


@dataclass(frozen=True, repr=False)
class RandomRotation(_Warp):
    """Turns each image about its centre, in training: (B, H, W, C) → (B, H, W, C).

    Parameters
    ----------
    factor : float or (float, float)
        How far counter-clockwise, as a share of a full turn: uniform between the two, or between
        −factor and factor. 0.05 is up to 18 degrees either way.
    fill_mode : "constant" or "nearest", default "constant"
        What there is beyond the edge: `fill_value`, or the nearest pixel.
    fill_value : float, default 0

    >>> x, quarter = np.arange(1.0, 5).reshape(1, 2, 2, 1), RandomRotation((0.25, 0.25))
    >>> quarter.forward(x, Views({}), Cache(training=True)).reshape(2, 2).round(6)
    array([[2., 4.],
           [1., 3.]])
    """

    factor: Factor

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_factor(self, "factor")

    def _maps(self, stream: Stream, size: tuple[int, int], batch: int) -> Array:
        angle = 2 * pi * _between(stream.uniform((batch,)), self.factor)
        maps = np.zeros((batch, 2, 3))
        maps[:, 0, 0] = maps[:, 1, 1] = np.cos(angle)
        maps[:, 0, 1] = np.sin(angle)
        maps[:, 1, 0] = -maps[:, 0, 1]
        return maps


@dataclass(frozen=True, repr=False)
class RandomZoom(_Warp):
    """Makes each image smaller or larger, in training: (B, H, W, C) → (B, H, W, C).

    Parameters
    ----------
    height_factor : float or (float, float)
        z: as much as 1 + z times the height is shown, so what is seen gets larger for z < 0.
        Uniform between the two, or between −factor and factor.
    width_factor : float or (float, float), optional
        The same for the width; by default the very z of the height, so that shapes are kept.
    fill_mode : "constant" or "nearest", default "constant"
        What there is beyond the edge: `fill_value`, or the nearest pixel.
    fill_value : float, default 0

    >>> x, half = np.arange(1.0, 5).reshape(1, 4, 1, 1), RandomZoom((1.0, 1.0))
    >>> half.forward(x, Views({}), Cache(training=True)).ravel()
    array([0. , 1.5, 3.5, 0. ])
    """

    height_factor: Factor
    width_factor: Factor | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for option in ("height_factor", "width_factor"):
            if getattr(self, option) is not None:
                _check_factor(self, option, most=100.0)

    def _maps(self, stream: Stream, size: tuple[int, int], batch: int) -> Array:
        u = stream.uniform((batch, 2))
        maps = np.zeros((batch, 2, 3))
        maps[:, 0, 0] = maps[:, 1, 1] = 1 + _between(u[:, 0], self.height_factor)
        if self.width_factor is not None:
            maps[:, 1, 1] = 1 + _between(u[:, 1], self.width_factor)
        return maps


@dataclass(frozen=True, repr=False)
class RandomFlip(_Augmentation):
    """Mirrors every second image by chance, in training: (B, H, W, C) → (B, H, W, C).

    Parameters
    ----------
    mode : "horizontal", "vertical" or "horizontal_and_vertical", default the last, as in Keras
        Whether left and right, top and bottom, or each by itself may change places, with
        probability ½. What a mirror turns into something else, such as a digit, should not be
        flipped.

    The gradient of a mirrored image is the mirrored gradient.

    >>> x = np.tile(np.arange(3.0), 4).reshape(4, 1, 3, 1)
    >>> RandomFlip("horizontal").forward(x, Views({}), Cache(training=True)).reshape(4, 3)
    array([[0., 1., 2.],
           [2., 1., 0.],
           [2., 1., 0.],
           [0., 1., 2.]])
    """

    mode: str = "horizontal_and_vertical"

    def __post_init__(self) -> None:
        one_of(self, "mode", ("horizontal", "vertical", "horizontal_and_vertical"))

    def forward(self, x: Array, p: Views, cache: Cache) -> Array:
        x = self.images(x)
        cache.flips = cache.random().keep((len(x), 2), 0.5) if cache.training else None
        return x if cache.flips is None else self._flipped(x, cache.flips)

    def backward(self, dy: Array, p: Views, dp: Views, cache: Cache) -> Array:
        return dy if cache.flips is None else self._flipped(dy, cache.flips)

    def _flipped(self, x: Array, flips: Array) -> Array:
        """`flips` (B, 2) says which images to mirror along the height and along the width."""
        for axis, word in enumerate(("vertical", "horizontal")):
            if word in self.mode:
                x = np.where(flips[:, axis, None, None, None], np.flip(x, axis + 1), x)
        return x


@dataclass(frozen=True, repr=False)
class Cutout(_Augmentation):
    """Covers a square of each image, in training: (B, H, W, C) → (B, H, W, C).

    The square's centre is a pixel taken at random, so near the edge a part of it is covered
    (DeVries and Taylor 2017). What is covered has no gradient.

    Parameters
    ----------
    size : int or (int, int)
        Height and width of what is covered, in pixels.
    fill_value : float, default 0

    >>> Cutout(2).forward(np.ones((1, 3, 4, 1)), Views({}), Cache(training=True)).reshape(3, 4)
    array([[1., 1., 0., 0.],
           [1., 1., 0., 0.],
           [1., 1., 1., 1.]])
    """

    size: Lengths
    fill_value: float = 0.0

    aliases: ClassVar[dict[str, str]] = {"length": "size", "value": "fill_value"}

    def __post_init__(self) -> None:
        check_lengths(self, "size")
        number(self, "fill_value")

    def output_spec(self, *inputs: Spec) -> Spec:
        y = super().output_spec(*inputs)
        lengths = zip(y.shape, pair(self, self.size), strict=False)
        if all(n is not None and cut >= n for n, cut in lengths):
            raise ShapeError(f"{self!r} could cover all of {inputs[0]}: a smaller size leaves some")
        return y

    def forward(self, x: Array, p: Views, cache: Cache) -> Array:
        x = self.images(x)
        cache.covered = None
        if not cache.training:
            return x
        u = cache.random().uniform((len(x), 2))
        covered: Any = True
        for axis, (n, cut) in enumerate(zip(x.shape[1:3], pair(self, self.size), strict=True)):
            start = np.floor(u[:, axis] * n) - cut // 2  # (B,)
            place = np.arange(n) - start[:, None]
            inside = (place >= 0) & (place < cut)  # (B, n)
            covered = covered & (inside[:, None, :] if axis else inside[:, :, None])
        cache.covered = covered[..., None]  # (B, H, W, 1)
        return np.where(cache.covered, x.dtype.type(self.fill_value), x)

    def backward(self, dy: Array, p: Views, dp: Views, cache: Cache) -> Array:
        return dy if cache.covered is None else dy * ~cache.covered


def _check_factor(layer: Spatial, option: str, most: float = 1.0) -> None:
    """Checks a range of random numbers: one number of 0 to 1, or two of −1 to `most`, in order."""
    value: Any = getattr(layer, option)
    two = isinstance(value, list | tuple)
    ends = [n.item() if hasattr(n, "item") else n for n in (value if two else (value,))]
    fine = len(ends) == (2 if two else 1)
    fine = fine and all(isinstance(n, int | float) and not isinstance(n, bool) for n in ends)
    if not (fine and (-1 <= ends[0] <= ends[-1] <= most if two else 0 <= ends[0] <= 1)):
        raise OptionError(
            f"{type(layer).__name__}: {option} is a number from 0 to 1, or two from -1 to "
            f"{most:g}, the smaller first, not {value!r}"
        )
    object.__setattr__(layer, option, tuple(map(float, ends)) if two else float(ends[0]))


def _between(u: Array, factor: Factor) -> Array:
    """Uniform numbers of [0, 1) as such of the range that a factor stands for."""
    low, high = factor if isinstance(factor, tuple) else (-factor, factor)
    return low + (high - low) * u
