"""Windows that slide over images: where they lie, for convolution and pooling alike.

Along an axis of n values with b values of padding before and a after, windows of k values that
stand d apart (the dilation) span s = (k − 1) d + 1; one starts every `stride` values, so

    count = ⌊(n + b + a − s) / stride⌋ + 1

fit. "valid" has no padding; "same" has as many windows as strides begun, ⌈n / stride⌉, with the
padding that takes, an odd one more after than before (what ONNX calls SAME_UPPER).

Images are (B, H, W, C) by name. In memory these layers lay them out as (C, H, W, B): the rows of a
batch side by side innermost, so that whichever pixel of the window is looked at, NumPy walks long
stretches of neighbours: measured twice as fast as (B, H, W, C) or more, in every step but the
first, which has to transpose what comes in. `batch_last` gives that layout; its inverse is a view.

A sequence (B, T, C) is an image (B, 1, T, C) of height 1, and a window of k steps on it one of
1 × k pixels: whatever is done to images serves sequences too, by way of a view.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from pellucid.errors import OptionError, ShapeError, did_you_mean
from pellucid.layers.base import Array, Layer, Shape, Spec, shape_text, single

Lengths = int | tuple[int, int]  # for height and width, or for one axis
Padding = str | int | tuple[int, int] | tuple[tuple[int, int], tuple[int, int]]


def batch_last(x: Array) -> Array:
    """(B, ..., C) as a contiguous (C, ..., B): a copy, unless it lies so already."""
    return np.ascontiguousarray(x.swapaxes(0, -1))


@dataclass(frozen=True, repr=False)
class Spatial(Layer):
    """Base of the layers on images (B, H, W, C) or, where `axes` is 1, on sequences (B, T, C)."""

    axes: ClassVar[int] = 2

    def images(self, x: Array) -> Array:
        """What comes in as images: a sequence (B, T, C) is one of height 1, (B, 1, T, C)."""
        if x.ndim != self.axes + 2:
            raise _misfit(self, x.shape[1:])
        return x[:, None] if self.axes == 1 else x

    def unfolded(self, y: Array) -> Array:
        """The inverse of `images`: a view."""
        return y[:, 0] if self.axes == 1 else y

    def image_shape(self, inputs: tuple[Spec, ...]) -> Shape:
        """(H, W, C) of what comes in, H being 1 for a sequence; a ShapeError for anything else."""
        shape = single(inputs, self).shape
        if len(shape) != self.axes + 1:
            raise _misfit(self, shape)
        return (1, *shape) if self.axes == 1 else shape

    def spec(self, lengths: Shape, channels: int | None) -> Spec:
        """What comes out: the last `axes` of (H', W'), and channels."""
        return Spec((*lengths[-self.axes :], channels))


class Grid(NamedTuple):
    """The windows on images of one size; lengths are (height, width)."""

    size: tuple[int, int]  # of the image, H and W
    before: tuple[int, int]  # padding
    after: tuple[int, int]
    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilation: tuple[int, int]
    number: tuple[int, int]  # of windows: pixels of the output

    @classmethod
    def of(
        cls, layer: Spatial, shape: tuple[int, ...], kernel: Lengths, strides: Lengths,
        padding: Padding, dilation: Lengths = 1,
    ) -> Grid:  # fmt: skip
        """The windows on images (B, H, W, C); a ShapeError where none fits."""
        size = (shape[1], shape[2])
        kernel, strides = pair(layer, kernel), pair(layer, strides)
        dilation, around = pair(layer, dilation), sides(layer, padding)
        fits = [
            _along(n, k, s, d, b, a)
            for n, k, s, d, (b, a) in zip(size, kernel, strides, dilation, around, strict=True)
        ]
        if fits[0][0] < 1 or fits[1][0] < 1:
            spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
            room = [n + b + a for n, (_, b, a) in zip(size, fits, strict=True)]
            window, space, image = (_by(n[-layer.axes :]) for n in (spans, room, size))
            padded = f", which is {image} padded" if space != image else ""
            raise ShapeError(
                f"{layer!r}: windows of {window} do not fit in {space}{padded}: a smaller window "
                f"or {'more ' if padded else ''}padding would"
            )
        (rows, top, bottom), (columns, left, right) = fits
        number = (rows, columns)
        return cls(size, (top, left), (bottom, right), kernel, strides, dilation, number)

    @classmethod
    def under(
        cls, layer: Spatial, shape: tuple[int, ...], kernel: Lengths, strides: Lengths,
        padding: Padding, dilation: Lengths, rest: Lengths,
    ) -> Grid:  # fmt: skip
        """The windows that are as many as images (B, H, W, C) have pixels, on larger images.

        Those are (n − 1)·stride + s + rest − b − a long; "same" makes them n·stride.
        """
        number = (shape[1], shape[2])
        kernel, strides, dilation = pair(layer, kernel), pair(layer, strides), pair(layer, dilation)
        fits = []
        for n, k, s, d, (b, a), r in zip(
            number,
            kernel,
            strides,
            dilation,
            sides(layer, padding),
            pair(layer, rest, 0),
            strict=True,
        ):
            span = (k - 1) * d + 1
            if b < 0:
                missing = max(span - s, 0)
                fits.append((n * s, missing // 2, missing - missing // 2))
            else:
                fits.append(((n - 1) * s + span + r - b - a, b, a))
        (height, top, bottom), (width, left, right) = fits
        if height < 1 or width < 1:
            raise ShapeError(
                f"{layer!r}: nothing is left of {_by(number[-layer.axes :])} when the padding is "
                "cut off: less padding or a larger kernel would leave something"
            )
        size = (height, width)
        return cls(size, (top, left), (bottom, right), kernel, strides, dilation, number)

    @property
    def room(self) -> tuple[int, int]:
        """Height and width of the image with its padding."""
        height, width = (
            b + n + a for b, n, a in zip(self.before, self.size, self.after, strict=True)
        )
        return height, width

    def padded(self, x: Array, value: float = 0.0) -> Array:
        """Images (B, H, W, C) as (C, H', W', B), with `value` all around."""
        (h, w), (top, left) = self.size, self.before
        if not (top or left or any(self.after)):
            return batch_last(x)
        y = np.full((x.shape[3], *self.room, x.shape[0]), value, x.dtype)
        y[:, top : top + h, left : left + w] = x.swapaxes(0, 3)
        return y

    def cropped(self, x: Array) -> Array:
        """The inverse of `padded`: a view (B, H, W, C) without the padding."""
        (h, w), (top, left) = self.size, self.before
        return x[:, top : top + h, left : left + w].swapaxes(0, 3)

    def taps(self) -> Iterator[tuple[slice, slice]]:
        """For each place in the window, row by row, the pixels it sees as the window moves."""
        (dh, dw), (sh, sw), (rows, columns) = self.dilation, self.strides, self.number
        for u in range(0, self.kernel[0] * dh, dh):
            for v in range(0, self.kernel[1] * dw, dw):
                yield slice(u, u + rows * sh - sh + 1, sh), slice(v, v + columns * sw - sw + 1, sw)

    def columns(self, x: Array, groups: int) -> Array:
        """Every window as a column: (B, H, W, C) → (groups, kh·kw·C/groups, rows·cols·B)."""
        (kh, kw), (dh, dw) = self.kernel, self.dilation
        x = self.padded(x)
        c, b = x.shape[0], x.shape[3]
        rows, cols = (slice(0, n * s, s) for n, s in zip(self.number, self.strides, strict=True))
        spans = ((kh - 1) * dh + 1, (kw - 1) * dw + 1)
        view = sliding_window_view(x, spans, axis=(1, 2))[:, rows, cols, :, ::dh, ::dw]
        view = view.reshape(groups, c // groups, *self.number, b, kh, kw)
        view = view.transpose(0, 5, 6, 1, 2, 3, 4)  # (groups, kh, kw, C/groups, rows, cols, B)
        return view.reshape(groups, kh * kw * (c // groups), self.number[0] * self.number[1] * b)

    def scattered(self, columns: Array, batch: int) -> Array:
        """The transpose of `columns`: each value added to the pixel it came from; (B, H, W, C)."""
        groups, taps = columns.shape[0], self.kernel[0] * self.kernel[1]
        channels = columns.shape[1] // taps
        columns = columns.reshape(groups, taps, channels, *self.number, batch)
        x = np.zeros((groups, channels, *self.room, batch), columns.dtype)
        for tap, (i, j) in enumerate(self.taps()):
            x[:, :, i, j] += columns[:, tap]
        return self.cropped(x.reshape(groups * channels, *self.room, batch))


UNKNOWN = 10**9  # stands for a length that is not known, where any that fits will do


def window_spec(
    layer: Spatial, inputs: tuple[Spec, ...], channels: int | None, kernel: Lengths,
    strides: Lengths, padding: Padding, dilation: Lengths = 1,
) -> Spec:  # fmt: skip
    """A pixel for each window, with `channels` or as many as before; H, W and T may be None."""
    shape = layer.image_shape(inputs)
    known = tuple(UNKNOWN if n is None else n for n in (1, *shape))
    number = Grid.of(layer, known, kernel, strides, padding, dilation).number
    lengths = tuple(None if n is None else m for n, m in zip(shape[:2], number, strict=True))
    return layer.spec(lengths, shape[2] if channels is None else channels)


def known_channels(layer: Layer, inputs: tuple[Spec, ...]) -> int:
    """The channels (last axis) of what comes in; a ShapeError where they are not known."""
    channels = inputs[0].shape[-1]
    if channels is None:
        raise ShapeError(f"{layer!r} needs a known number of channels, not {inputs[0]}")
    return channels


def check_lengths(owner: Spatial, option: str, least: int = 1) -> None:
    """Checks that an option is a whole number, or for images two of them for height and width."""
    value: Any = getattr(owner, option)
    plain = _plain(value)
    two = owner.axes == 2 and _two(plain) and all(_whole(n, least) for n in plain)
    if not (_whole(plain, least) or two):
        raise OptionError(
            f"{type(owner).__name__}: {option} must be a whole number of {least} or more"
            + (", or two of them for height and width" if owner.axes == 2 else "")
            + f", not {value!r}"
        )
    object.__setattr__(owner, option, plain)


def check_padding(owner: Spatial, *words: str, option: str = "padding") -> None:
    """Checks an option: one of `words`, or how much at each side, in all ways of saying it."""
    value: Any = getattr(owner, option)
    plain = _plain(value)
    numbers = _whole(plain, 0) or (_two(plain) and all(_whole(n, 0) for n in plain))
    pairs = _two(plain) and all(_two(n) and all(_whole(m, 0) for m in n) for n in plain)
    if not (plain in words or numbers or (pairs and owner.axes == 2)):
        hint = did_you_mean(plain, words) if words and isinstance(plain, str) else ""
        names = "".join(f'"{word}", ' for word in words)
        ways = "(height, width) or ((top, bottom), (left, right))"
        ways = f", {ways}" if owner.axes == 2 else " or (before, after)"
        raise OptionError(
            f"{type(owner).__name__}: {option} is {names}a whole number of 0 or more{ways}, "
            f"not {value!r}. {hint}".rstrip(". ")
        )
    object.__setattr__(owner, option, plain)


def _by(lengths: Sequence[int]) -> str:
    """Lengths as 3×5."""
    return "×".join("?" if n >= UNKNOWN else str(n) for n in lengths)


def _along(n: int, kernel: int, stride: int, dilation: int, b: int, a: int) -> tuple[int, int, int]:
    """How many windows fit along an axis, and the padding before and after; -1 asks for "same"."""
    span = (kernel - 1) * dilation + 1
    if b < 0:
        count = -(-n // stride)
        missing = max((count - 1) * stride + span - n, 0)
        return count, missing // 2, missing - missing // 2
    return (n + b + a - span) // stride + 1, b, a


def pair(layer: Spatial, value: Lengths, height: int = 1) -> tuple[int, int]:
    """A length as (height, width); for a sequence, an image of height 1, the `height` is given."""
    if isinstance(value, int):
        return (value, value) if layer.axes == 2 else (height, value)
    return value


def sides(layer: Spatial, padding: Padding) -> tuple[tuple[int, int], tuple[int, int]]:
    """Padding as ((top, bottom), (left, right)); −1 stands for as much as "same" takes."""
    if isinstance(padding, str):
        each = 0 if padding == "valid" else -1
        return (each, each), (each, each)
    if layer.axes == 1:
        return (0, 0), (padding, padding) if isinstance(padding, int) else padding  # type: ignore[return-value]
    if isinstance(padding, int):
        return (padding, padding), (padding, padding)
    h, w = padding
    return (h, h) if isinstance(h, int) else h, (w, w) if isinstance(w, int) else w


def _plain(value: Any) -> Any:
    """Lists as tuples and NumPy's whole numbers as Python's."""
    if isinstance(value, list | tuple):
        return tuple(_plain(item) for item in value)
    return int(value) if isinstance(value, np.integer) else value


def _whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _two(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2


def _misfit(layer: Spatial, shape: Shape) -> ShapeError:
    if layer.axes == 2:
        needs, remedy = "images (B, H, W, C)", "images have a height, a width and channels last"
    else:
        needs, remedy = "sequences (B, T, C)", "sequences have a length and channels last"
    if len(shape) == layer.axes:
        lengths = ", ".join("?" if n is None else str(n) for n in shape)
        remedy = f"for one channel put Reshape(({lengths}, 1)) before it"
    return ShapeError(f"{layer!r} needs {needs}, not {shape_text(shape)}: {remedy}")
