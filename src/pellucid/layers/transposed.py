"""Transposed convolution: a convolution run backwards, which makes images larger.

A convolution with W (K, O) writes the windows of its input into columns X and gives Y = Wᵀ X; its
gradient by the input is dX = W dY, added back to where the columns were copied from. A transposed
convolution takes that second map as its forward pass. Every pixel of its input, a row of C numbers
in the columns of X (C, N), becomes a window of kh × kw pixels of O channels, and where windows
overlap they add up::

    columns = W X        y = columns, each added to its place        W (K, C), K = kh·kw·O

What one direction copies the other adds, so its own gradients are those of a convolution with the
parts exchanged. With D the columns of dy, copied from dy by the same windows::

    dX = Wᵀ D        dW = D Xᵀ        db = Σ over all pixels of dy

(Zeiler et al., CVPR 2010; "deconvolution" is a misleading name for it, since it inverts nothing.)
An image of n pixels with windows that span k, stride s and padding b before and a after grows to

    (n − 1) s + k − b − a + output_padding

There are s sizes that shrink to the same n under the convolution the other way; `output_padding`
says which of them is meant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pellucid.description import number
from pellucid.errors import OptionError, ShapeError
from pellucid.initializers import Initializer, Zeros, as_initializer
from pellucid.layers.base import Array, Cache, ParameterSpec, Spec, Views
from pellucid.layers.windows import (
    UNKNOWN,
    Grid,
    Lengths,
    Padding,
    Spatial,
    batch_last,
    check_lengths,
    check_padding,
    known_channels,
    pair,
)


@dataclass(frozen=True, repr=False)
class _Transposed(Spatial):
    """What Conv2DTranspose and Conv1DTranspose share; `axes` tells them apart."""

    filters: int
    kernel_size: Lengths
    strides: Lengths = 1
    padding: Padding = "valid"
    output_padding: Lengths = 0
    dilation_rate: Lengths = 1
    groups: int = 1
    use_bias: bool = True
    kernel_initializer: Initializer | str = "auto"
    bias_initializer: Initializer | str = Zeros()

    aliases: ClassVar[dict[str, str]] = {
        "kernel": "kernel_size",
        "stride": "strides",
        "dilation": "dilation_rate",
        "bias": "use_bias",
        "initializer": "kernel_initializer",
    }
    initialization: ClassVar[str | None] = "glorot"
    unit_axis: ClassVar[int] = -2

    def __post_init__(self) -> None:
        number(self, "filters", at_least=1, integer=True)
        number(self, "groups", at_least=1, integer=True)
        for option in ("kernel_size", "strides", "dilation_rate"):
            check_lengths(self, option)
        check_lengths(self, "output_padding", least=0)
        check_padding(self, "valid", "same")
        name = type(self).__name__
        if self.filters % self.groups:
            raise OptionError(
                f"{name}: {self.filters} filters do not divide into {self.groups} groups"
            )
        rest = pair(self, self.output_padding, 0)
        if any(rest) and self.padding == "same":
            raise OptionError(f'{name}: padding="same" fixes the size: leave output_padding out')
        steps = zip(pair(self, self.strides), pair(self, self.dilation_rate), strict=True)
        if any(r >= max(s, d) for r, (s, d) in zip(rest, steps, strict=True)):
            raise OptionError(
                f"{name}: output_padding must be below strides or dilation_rate, "
                f"not {self.output_padding}"
            )

    def output_spec(self, *inputs: Spec) -> Spec:
        shape = self.image_shape(inputs)
        channels = known_channels(self, inputs)
        if channels % self.groups:
            raise ShapeError(
                f"{self!r}: the {channels} channels of {inputs[0]} do not divide into "
                f"{self.groups} groups"
            )
        size = self._grid(tuple(UNKNOWN if n is None else n for n in (1, *shape))).size
        lengths = tuple(None if n is None else m for n, m in zip(shape[:2], size, strict=True))
        return self.spec(lengths, self.filters)

    def parameter_specs(self, *inputs: Spec) -> dict[str, ParameterSpec]:
        channels = known_channels(self, inputs)
        (kh, kw), (sh, sw) = pair(self, self.kernel_size), pair(self, self.strides)
        shape = (*(kh, kw)[-self.axes :], self.filters // self.groups, channels)
        # an output pixel lies in kh·kw windows out of every sh·sw
        fans = (
            max(kh * kw * channels // self.groups // (sh * sw), 1),
            kh * kw * self.filters // self.groups,
        )
        specs = {"W": ParameterSpec(shape, as_initializer(self.kernel_initializer), fans=fans)}
        if self.use_bias:
            start = as_initializer(self.bias_initializer)
            specs["b"] = ParameterSpec((self.filters,), start, decay=False, fans=fans)
        return specs

    def forward(self, x: Array, p: Views, cache: Cache) -> Array:
        x = self.images(x)
        cache.grid = grid = self._grid(x.shape)
        b, h, w, c = x.shape
        cache.x = batch_last(x).reshape(self.groups, c // self.groups, h * w * b)  # (G, C/G, N)
        y: Array = grid.scattered(self._matrices(p.W) @ cache.x, b)  # (B, H', W', O)
        if self.use_bias:
            y += p.b
        return self.unfolded(y)

    def backward(self, dy: Array, p: Views, dp: Views, cache: Cache) -> Array | None:
        dy, grid = self.images(dy), cache.grid
        columns = grid.columns(dy, self.groups)  # (G, K, N)
        dW = columns @ cache.x.swapaxes(1, 2)  # (G, K, C/G)
        dp.W += dW.swapaxes(0, 1).reshape(dp.W.shape)
        if self.use_bias:
            dp.b += dy.sum(axis=(0, 1, 2))
        if not cache.needs_dx:
            return None
        dx: Array = self._matrices(p.W).swapaxes(1, 2) @ columns  # (G, C/G, N)
        dx = dx.reshape(p.W.shape[-1], *grid.number, dy.shape[0])  # (C, H, W, B)
        return self.unfolded(dx.swapaxes(0, 3))

    def _grid(self, shape: tuple[int, ...]) -> Grid:
        return Grid.under(
            self, shape, self.kernel_size, self.strides, self.padding, self.dilation_rate,
            self.output_padding,
        )  # fmt: skip

    def _matrices(self, W: Array) -> Array:
        """The weights (kh, kw, O/G, C) as one matrix a group: (G, K, C/G)."""
        channels = W.shape[-1]
        return W.reshape(-1, self.groups, channels // self.groups).swapaxes(0, 1)


@dataclass(frozen=True, repr=False)
class Conv2DTranspose(_Transposed):
    """A transposed convolution of images: (B, H, W, C) → (B, H', W', filters).

    It equals the gradient of a `Conv2D` with C filters, the same options and the same W by its
    input, plus a bias.

    Parameters
    ----------
    filters : int
        Channels that come out, O.
    kernel_size : int or (int, int)
        Height and width of the window that a pixel becomes. Alias: kernel.
    strides : int or (int, int), default 1
        How far apart the windows of neighbours lie. Alias: stride.
    padding : "valid", "same", int, (int, int) or ((int, int), (int, int)), default "valid"
        What is cut off at the edges: nothing; so much that H becomes H·stride; or so many rows and
        columns, as in `Conv2D`.
    output_padding : int or (int, int), default 0
        Rows and columns more at the bottom and right, below the stride or dilation.
    dilation_rate : int or (int, int), default 1
        Distance between neighbours in the window. Alias: dilation.
    groups : int, default 1
        Pieces the channels are cut into, each with its own filters; C and `filters` divide by it.
    use_bias : bool, default True
    kernel_initializer, bias_initializer : Initializer or str
        "auto" looks at the first activation downstream, as in `Dense`.

    Parameters in the network: ``W`` (kh, kw, O/groups, C), which weight decay applies to, and
    ``b`` (O,). Sizes are PyTorch's; Keras's differ for "valid" windows smaller than the stride.

    >>> from pellucid import Network
    >>> net = Network([Conv2DTranspose(8, 3, strides=2, padding="same")], inputs=(7, 7, 16))
    >>> net.graph.output_specs["conv2d_transpose_1"].shape
    (14, 14, 8)
    """


@dataclass(frozen=True, repr=False)
class Conv1DTranspose(_Transposed):
    """A transposed convolution of sequences: (B, T, C) → (B, T', filters).

    It equals a `Conv2DTranspose` with windows of 1 × kernel_size on images (B, 1, T, C), whose
    options it has as single numbers, the padding also as (before, after).

    Parameters in the network: ``W`` (k, O/groups, C), which weight decay applies to, and ``b``
    (O,).

    >>> from pellucid import Network
    >>> net = Network([Conv1DTranspose(8, 4, strides=2, padding=1)], inputs=(50, 3))
    >>> net.graph.output_specs["conv1d_transpose_1"].shape
    (100, 8)
    """

    axes: ClassVar[int] = 1
