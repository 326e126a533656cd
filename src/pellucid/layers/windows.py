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
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from pellucid.errors import OptionError, ShapeError, did_you_mean
from pellucid.layers.base import Array, Layer, Shape, Spec, shape_text, single

Pair = int | tuple[int, int]
Padding = str | int | tuple[int, int] | tuple[tuple[int, int], tuple[int, int]]


def batch_last(x: Array) -> Array:
    """(B, ..., C) as a contiguous (C, ..., B): a copy, unless it lies so already."""
    return np.ascontiguousarray(x.swapaxes(0, -1))


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
        cls, layer: Layer, shape: tuple[int, ...], kernel: Pair, strides: Pair, padding: Padding,
        dilation: Pair = 1,
    ) -> Grid:  # fmt: skip
        """The windows on images (B, H, W, C); a ShapeError where none fits."""
        if len(shape) != 4:
            raise _not_an_image(layer, shape[1:])
        size = (shape[1], shape[2])
        kernel, strides, dilation = _pair(kernel), _pair(strides), _pair(dilation)
        fits = [
            _along(n, k, s, d, b, a)
            for n, k, s, d, (b, a) in zip(
                size, kernel, strides, dilation, _padding(padding), strict=True
            )
        ]
        if fits[0][0] < 1 or fits[1][0] < 1:
            spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
            room = [n + b + a for n, (_, b, a) in zip(size, fits, strict=True)]
            raise ShapeError(
                f"{layer!r}: windows of {spans[0]}×{spans[1]} do not fit in {room[0]}×{room[1]}, "
                f"which is {shape_text(shape[1:])} padded: a smaller window or more padding would"
            )
        (rows, top, bottom), (columns, left, right) = fits
        number = (rows, columns)
        return cls(size, (top, left), (bottom, right), kernel, strides, dilation, number)

    def padded(self, x: Array, value: float = 0.0) -> Array:
        """Images (B, H, W, C) as (C, H', W', B), with `value` all around."""
        (h, w), (top, left), (bottom, right) = self.size, self.before, self.after
        if not (top or left or bottom or right):
            return batch_last(x)
        y = np.full((x.shape[3], top + h + bottom, left + w + right, x.shape[0]), value, x.dtype)
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
        (kh, kw), (dh, dw), (sh, sw) = self.kernel, self.dilation, self.strides
        x = self.padded(x)
        c, b = x.shape[0], x.shape[3]
        spans = ((kh - 1) * dh + 1, (kw - 1) * dw + 1)
        view = sliding_window_view(x, spans, axis=(1, 2))[:, ::sh, ::sw, :, ::dh, ::dw]
        view = view.reshape(groups, c // groups, *self.number, b, kh, kw)
        view = view.transpose(0, 5, 6, 1, 2, 3, 4)  # (groups, kh, kw, C/groups, rows, cols, B)
        return view.reshape(groups, kh * kw * (c // groups), self.number[0] * self.number[1] * b)

    def scattered(self, columns: Array, batch: int) -> Array:
        """The transpose of `columns`: each value added to the pixel it came from; (B, H, W, C)."""
        groups, taps = columns.shape[0], self.kernel[0] * self.kernel[1]
        channels = columns.shape[1] // taps
        columns = columns.reshape(groups, taps, channels, *self.number, batch)
        height, width = (
            b + n + a for b, n, a in zip(self.before, self.size, self.after, strict=True)
        )
        x = np.zeros((groups, channels, height, width, batch), columns.dtype)
        for tap, (i, j) in enumerate(self.taps()):
            x[:, :, i, j] += columns[:, tap]
        return self.cropped(x.reshape(groups * channels, height, width, batch))


def image_spec(
    layer: Layer, inputs: tuple[Spec, ...], filters: int | None, kernel: Pair, strides: Pair,
    padding: Padding, dilation: Pair = 1,
) -> Spec:  # fmt: skip
    """The images that come out, with `filters` channels or as many as before; H, W may be None."""
    shape = single(inputs, layer).shape
    if len(shape) != 3:
        raise _not_an_image(layer, shape)
    # an unknown length is taken as one that fits
    known = tuple(10**9 if n is None else n for n in shape)
    count = Grid.of(layer, (1, *known), kernel, strides, padding, dilation).number
    height, width = (
        None if n is None else m for n, m in zip(shape[:2], count, strict=True)
    )  # fmt: skip
    return Spec((height, width, shape[2] if filters is None else filters))


def check_pair(owner: object, option: str) -> None:
    """Checks that an option is a whole number of 1 or more, or two of them for height and width."""
    value: Any = getattr(owner, option)
    plain = _plain(value)
    if not (_whole(plain, 1) or (_two(plain) and all(_whole(n, 1) for n in plain))):
        raise OptionError(
            f"{type(owner).__name__}: {option} must be a whole number of 1 or more, or two of them "
            f"for height and width, not {value!r}"
        )
    object.__setattr__(owner, option, plain)


def check_padding(owner: object) -> None:
    """Checks the option `padding`: "valid", "same", or how much, in three ways of saying it."""
    value: Any = owner.padding  # type: ignore[attr-defined]
    plain = _plain(value)
    pairs = _two(plain) and all(_two(n) and all(_whole(m, 0) for m in n) for n in plain)
    numbers = _whole(plain, 0) or (_two(plain) and all(_whole(n, 0) for n in plain))
    if not (pairs or numbers or plain in ("valid", "same")):
        hint = did_you_mean(plain, ("valid", "same")) if isinstance(plain, str) else ""
        raise OptionError(
            f'{type(owner).__name__}: padding is "valid", "same", a whole number of 0 or more, '
            f"(height, width) or ((top, bottom), (left, right)), not {value!r}. {hint}".rstrip(". ")
        )
    object.__setattr__(owner, "padding", plain)


def _along(n: int, kernel: int, stride: int, dilation: int, b: int, a: int) -> tuple[int, int, int]:
    """How many windows fit along an axis, and the padding before and after; -1 asks for "same"."""
    span = (kernel - 1) * dilation + 1
    if b < 0:
        count = -(-n // stride)
        missing = max((count - 1) * stride + span - n, 0)
        return count, missing // 2, missing - missing // 2
    return (n + b + a - span) // stride + 1, b, a


def _padding(padding: Padding) -> tuple[tuple[int, int], tuple[int, int]]:
    if isinstance(padding, str):
        return ((0, 0), (0, 0)) if padding == "valid" else ((-1, -1), (-1, -1))
    if isinstance(padding, int):
        return (padding, padding), (padding, padding)
    h, w = padding
    return (h, h) if isinstance(h, int) else h, (w, w) if isinstance(w, int) else w


def _pair(value: Pair) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def _plain(value: Any) -> Any:
    """Lists as tuples and NumPy's whole numbers as Python's."""
    if isinstance(value, list | tuple):
        return tuple(_plain(item) for item in value)
    return int(value) if isinstance(value, np.integer) else value


def _whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _two(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2


def _not_an_image(layer: Layer, shape: Shape) -> ShapeError:
    remedy = "images have a height, a width and channels last"
    if len(shape) == 2:
        lengths = ", ".join("?" if n is None else str(n) for n in shape)
        remedy = f"for one channel put Reshape(({lengths}, 1)) before it"
    return ShapeError(f"{layer!r} needs images (B, H, W, C), not {shape_text(shape)}: {remedy}")
