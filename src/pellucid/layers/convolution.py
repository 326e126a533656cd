"""Convolution: one small dense layer, applied at every place of an image.

At each output pixel (i, j) the window of the input that it sees, kh × kw pixels of C channels, is
a row of kh·kw·C numbers, and the filters are the columns of a dense layer's weights::

    y_bijo = Σ_u Σ_v Σ_c x_b,i·s+u·d,j·s+v·d,c W_uvco + b_o        s the stride, d the dilation

(what mathematics calls a cross-correlation; the name is older than the habit). So all windows are
written into a matrix, one a column, and the rest is what Dense does. With X (K, N) the windows,
K = kh·kw·C and N all output pixels of all images, W (K, O) and Y (O, N)::

    Y = Wᵀ X + b        dW = X dYᵀ        db = Σ over the columns of dY        dX = W dY

A pixel of the input stands in as many columns as windows see it. Its gradient is their sum: dX is
added back, tap by tap, to where it was copied from.

With groups, C and O are cut into as many pieces, each piece of filters sees its own piece of
channels, and there are as many such products. The windows take kh·kw times the memory of the image
until the backward pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pellucid.description import number
from pellucid.errors import OptionError, ShapeError
from pellucid.initializers import Initializer, Zeros, as_initializer
from pellucid.layers.base import Array, Cache, Layer, ParameterSpec, Spec, Views
from pellucid.layers.windows import (
    Grid,
    Padding,
    Pair,
    batch_last,
    check_padding,
    check_pair,
    image_spec,
)


@dataclass(frozen=True, repr=False)
class Conv2D(Layer):
    """A two-dimensional convolution of images: (B, H, W, C) → (B, H', W', filters).

    Parameters
    ----------
    filters : int
        Channels that come out, O.
    kernel_size : int or (int, int)
        Height and width of the window. Alias: kernel.
    strides : int or (int, int), default 1
        Alias: stride.
    padding : "valid", "same", int, (int, int) or ((int, int), (int, int)), default "valid"
        Zeros around the image: none; as many as make ⌈H / stride⌉ windows, an odd one at the
        bottom and right; or so many (on each side; for height and width; for top and bottom, left
        and right).
    dilation_rate : int or (int, int), default 1
        Distance between neighbours in the window. Alias: dilation.
    groups : int, default 1
        Pieces the channels are cut into, each with its own filters; C and `filters` divide by it.
    use_bias : bool, default True
    kernel_initializer, bias_initializer : Initializer or str
        "auto" looks at the first activation downstream, as in `Dense`.

    Parameters in the network: ``W`` (kh, kw, C/groups, O), which weight decay applies to, and
    ``b`` (O,).

    >>> from pellucid import Network
    >>> Network([Conv2D(8, 3)], inputs=(28, 28, 1)).parameters["conv2d_1/W"].shape
    (3, 3, 1, 8)
    """

    filters: int
    kernel_size: Pair
    strides: Pair = 1
    padding: Padding = "valid"
    dilation_rate: Pair = 1
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

    def __post_init__(self) -> None:
        number(self, "filters", at_least=1, integer=True)
        number(self, "groups", at_least=1, integer=True)
        for option in ("kernel_size", "strides", "dilation_rate"):
            check_pair(self, option)
        check_padding(self)
        if self.filters % self.groups:
            raise OptionError(
                f"Conv2D: {self.filters} filters do not divide into {self.groups} groups"
            )

    def output_spec(self, *inputs: Spec) -> Spec:
        y = image_spec(
            self, inputs, self.filters, self.kernel_size, self.strides, self.padding,
            self.dilation_rate,
        )  # fmt: skip
        channels = inputs[0].shape[2]
        if channels is None:
            raise ShapeError(f"{self!r} needs a known number of channels, not {inputs[0]}")
        if channels % self.groups:
            raise ShapeError(
                f"{self!r}: the {channels} channels of {inputs[0]} do not divide into "
                f"{self.groups} groups"
            )
        return y

    def parameter_specs(self, *inputs: Spec) -> dict[str, ParameterSpec]:
        channels: int = inputs[0].shape[2]  # type: ignore[assignment]
        kh, kw = self._kernel
        shape = (kh, kw, channels // self.groups, self.filters)
        fans = (kh * kw * channels // self.groups, kh * kw * self.filters // self.groups)
        specs = {"W": ParameterSpec(shape, as_initializer(self.kernel_initializer), fans=fans)}
        if self.use_bias:
            start = as_initializer(self.bias_initializer)
            specs["b"] = ParameterSpec((self.filters,), start, decay=False, fans=fans)
        return specs

    def forward(self, x: Array, p: Views, cache: Cache) -> Array:
        grid = Grid.of(
            self, x.shape, self.kernel_size, self.strides, self.padding, self.dilation_rate
        )
        cache.grid = grid
        cache.columns = grid.columns(x, self.groups)  # (G, K, N)
        y: Array = self._matrices(p.W).swapaxes(1, 2) @ cache.columns  # (G, O/G, N)
        y = y.reshape(self.filters, *grid.number, x.shape[0])  # (O, H', W', B)
        if self.use_bias:
            y += p.b[:, None, None, None]
        return y.swapaxes(0, 3)

    def backward(self, dy: Array, p: Views, dp: Views, cache: Cache) -> Array | None:
        batch = dy.shape[0]
        dy = batch_last(dy).reshape(self.groups, self.filters // self.groups, -1)  # (G, O/G, N)
        dW = cache.columns @ dy.swapaxes(1, 2)  # (G, K, O/G)
        dp.W += dW.swapaxes(0, 1).reshape(dp.W.shape)
        if self.use_bias:
            dp.b += dy.sum(axis=2).reshape(-1)
        if not cache.needs_dx:
            return None
        dx: Array = cache.grid.scattered(self._matrices(p.W) @ dy, batch)
        return dx

    @property
    def _kernel(self) -> tuple[int, int]:
        size = self.kernel_size
        return (size, size) if isinstance(size, int) else size

    def _matrices(self, W: Array) -> Array:
        """The weights (kh, kw, C/G, O) as one matrix a group: (G, K, O/G)."""
        return W.reshape(-1, self.groups, self.filters // self.groups).swapaxes(0, 1)
