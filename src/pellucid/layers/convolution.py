"""Convolution: one small dense layer, applied at every place of an image or a sequence.

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

A sequence is an image of height 1, and Conv1D a Conv2D whose windows are 1 × k. Where every channel
is a group by itself, the convolution is *depthwise*: it looks across space but never across
channels. A 1×1 convolution does the opposite, and one after the other (SeparableConv2D) costs
kh·kw·C + C·O products a pixel where a full convolution costs kh·kw·C·O (Chollet, CVPR 2017).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import ClassVar

from pellucid.description import number
from pellucid.errors import OptionError, ShapeError
from pellucid.initializers import Initializer, Zeros, as_initializer
from pellucid.layers.base import Array, Cache, ParameterSpec, Spec, Views
from pellucid.layers.windows import (
    Grid,
    Lengths,
    Padding,
    Spatial,
    batch_last,
    check_lengths,
    check_padding,
    known_channels,
    pair,
    window_spec,
)

_ALIASES = {
    "kernel": "kernel_size",
    "stride": "strides",
    "dilation": "dilation_rate",
    "bias": "use_bias",
    "initializer": "kernel_initializer",
}


@dataclass(frozen=True, repr=False)
class _Convolution(Spatial):
    """What Conv2D and Conv1D share; `axes` tells them apart."""

    filters: int
    kernel_size: Lengths
    strides: Lengths = 1
    padding: Padding = "valid"
    dilation_rate: Lengths = 1
    groups: int = 1
    use_bias: bool = True
    kernel_initializer: Initializer | str = "auto"
    bias_initializer: Initializer | str = Zeros()

    aliases: ClassVar[dict[str, str]] = _ALIASES
    initialization: ClassVar[str | None] = "glorot"
    paddings: ClassVar[tuple[str, ...]] = ("valid", "same")

    def __post_init__(self) -> None:
        number(self, "filters", at_least=1, integer=True)
        number(self, "groups", at_least=1, integer=True)
        for option in ("kernel_size", "strides", "dilation_rate"):
            check_lengths(self, option)
        check_padding(self, *self.paddings)
        if self.filters % self.groups:
            raise OptionError(
                f"{type(self).__name__}: {self.filters} filters do not divide into "
                f"{self.groups} groups"
            )

    def output_spec(self, *inputs: Spec) -> Spec:
        y = window_spec(
            self, inputs, self.filters, self.kernel_size, self.strides, self._padding,
            self.dilation_rate,
        )  # fmt: skip
        channels = known_channels(self, inputs)
        if channels % self.groups:
            raise ShapeError(
                f"{self!r}: the {channels} channels of {inputs[0]} do not divide into "
                f"{self.groups} groups"
            )
        return y

    def parameter_specs(self, *inputs: Spec) -> dict[str, ParameterSpec]:
        channels = known_channels(self, inputs) // self.groups
        kh, kw = pair(self, self.kernel_size)
        shape = (*(kh, kw)[-self.axes :], channels, self.filters)
        fans = (kh * kw * channels, kh * kw * self.filters // self.groups)
        specs = {"W": ParameterSpec(shape, as_initializer(self.kernel_initializer), fans=fans)}
        if self.use_bias:
            start = as_initializer(self.bias_initializer)
            specs["b"] = ParameterSpec((self.filters,), start, decay=False, fans=fans)
        return specs

    def forward(self, x: Array, p: Views, cache: Cache) -> Array:
        x = self.images(x)
        cache.grid = grid = Grid.of(
            self, x.shape, self.kernel_size, self.strides, self._padding, self.dilation_rate
        )
        cache.columns = grid.columns(x, self.groups)  # (G, K, N)
        y: Array = self._matrices(p.W).swapaxes(1, 2) @ cache.columns  # (G, O/G, N)
        y = y.reshape(self.filters, *grid.number, x.shape[0])  # (O, H', W', B)
        if self.use_bias:
            y += p.b[:, None, None, None]
        return self.unfolded(y.swapaxes(0, 3))

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
        return self.unfolded(dx)

    @property
    def _padding(self) -> Padding:
        """The padding with "causal", which only Conv1D takes, spelt out."""
        if self.padding != "causal":
            return self.padding
        kernel, dilation = pair(self, self.kernel_size)[1], pair(self, self.dilation_rate)[1]
        return ((kernel - 1) * dilation, 0)

    def _matrices(self, W: Array) -> Array:
        """The weights (kh, kw, C/G, O) as one matrix a group: (G, K, O/G)."""
        return W.reshape(-1, self.groups, self.filters // self.groups).swapaxes(0, 1)


@dataclass(frozen=True, repr=False)
class Conv2D(_Convolution):
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


@dataclass(frozen=True, repr=False)
class Conv1D(_Convolution):
    """A convolution of sequences along time: (B, T, C) → (B, T', filters).

    It equals a `Conv2D` with windows of 1 × kernel_size on images (B, 1, T, C).

    Parameters
    ----------
    filters : int
        Channels that come out, O.
    kernel_size : int
        Steps in the window. Alias: kernel.
    strides : int, default 1
        Alias: stride.
    padding : "valid", "same", "causal", int or (int, int), default "valid"
        Zeros around the sequence: none; as many as make ⌈T / stride⌉ windows, an odd one at the
        end; (kernel_size − 1)·dilation before it, so that no step sees a later one (van den Oord
        et al. 2016); or so many (on each side; before and after).
    dilation_rate : int, default 1
        Distance between neighbours in the window. Alias: dilation.
    groups, use_bias, kernel_initializer, bias_initializer
        As in `Conv2D`.

    Parameters in the network: ``W`` (k, C/groups, O), which weight decay applies to, and ``b``
    (O,).

    >>> from pellucid import Network
    >>> net = Network([Conv1D(8, 3, padding="causal")], inputs=(100, 2))
    >>> net.parameters["conv1d_1/W"].shape, net.graph.output_specs["conv1d_1"].shape
    ((3, 2, 8), (100, 8))
    """

    axes: ClassVar[int] = 1
    paddings: ClassVar[tuple[str, ...]] = ("valid", "same", "causal")


@dataclass(frozen=True, repr=False)
class DepthwiseConv2D(Spatial):
    """A convolution of every channel by itself: (B, H, W, C) → (B, H', W', C·depth_multiplier).

    It equals ``Conv2D(C * depth_multiplier, ..., groups=C)``, which is what computes it: channel
    c gives the output channels c·depth_multiplier and those behind it.

    Parameters
    ----------
    kernel_size : int or (int, int)
        Height and width of the window. Alias: kernel.
    strides, padding, dilation_rate
        As in `Conv2D`.
    depth_multiplier : int, default 1
        Filters for each channel.
    use_bias : bool, default True
    kernel_initializer, bias_initializer : Initializer or str
        As in `Conv2D`. Alias: depthwise_initializer.

    Parameters in the network: ``W`` (kh, kw, 1, C·depth_multiplier), which weight decay applies
    to, and ``b`` (C·depth_multiplier,).

    >>> from pellucid import Network
    >>> Network([DepthwiseConv2D(3)], inputs=(28, 28, 6)).parameters["depthwise_conv2d_1/W"].shape
    (3, 3, 1, 6)
    """

    kernel_size: Lengths
    strides: Lengths = 1
    padding: Padding = "valid"
    dilation_rate: Lengths = 1
    depth_multiplier: int = 1
    use_bias: bool = True
    kernel_initializer: Initializer | str = "auto"
    bias_initializer: Initializer | str = Zeros()

    aliases: ClassVar[dict[str, str]] = {**_ALIASES, "depthwise_initializer": "kernel_initializer"}
    initialization: ClassVar[str | None] = "glorot"

    def __post_init__(self) -> None:
        number(self, "depth_multiplier", at_least=1, integer=True)
        for option in ("kernel_size", "strides", "dilation_rate"):
            check_lengths(self, option)
        check_padding(self, "valid", "same")

    def output_spec(self, *inputs: Spec) -> Spec:
        self.image_shape(inputs)
        channels = known_channels(self, inputs) * self.depth_multiplier
        return window_spec(
            self, inputs, channels, self.kernel_size, self.strides, self.padding,
            self.dilation_rate,
        )  # fmt: skip

    def parameter_specs(self, *inputs: Spec) -> dict[str, ParameterSpec]:
        return self.as_conv2d(known_channels(self, inputs)).parameter_specs(*inputs)

    def forward(self, x: Array, p: Views, cache: Cache) -> Array:
        return self.as_conv2d(x.shape[-1]).forward(x, p, cache)

    def backward(self, dy: Array, p: Views, dp: Views, cache: Cache) -> Array | None:
        return self.as_conv2d(dy.shape[-1] // self.depth_multiplier).backward(dy, p, dp, cache)

    def as_conv2d(self, channels: int) -> Conv2D:
        """The convolution that it is for this number of channels."""
        return _grouped(self, channels)


@lru_cache(maxsize=256)
def _grouped(layer: DepthwiseConv2D, channels: int) -> Conv2D:
    return Conv2D(
        channels * layer.depth_multiplier, layer.kernel_size, layer.strides, layer.padding,
        layer.dilation_rate, channels, layer.use_bias, layer.kernel_initializer,
        layer.bias_initializer,
    )  # fmt: skip


@dataclass(frozen=True, repr=False)
class SeparableConv2D(Spatial):
    """A depthwise convolution, then a 1×1 one: (B, H, W, C) → (B, H', W', filters).

    It equals ``DepthwiseConv2D(kernel_size, ..., use_bias=False)`` followed by
    ``Conv2D(filters, 1)``, which are what computes it.

    Parameters
    ----------
    filters : int
        Channels that come out, O.
    kernel_size : int or (int, int)
        Height and width of the depthwise window. Alias: kernel.
    strides, padding, dilation_rate
        Of the depthwise convolution, as in `Conv2D`.
    depth_multiplier : int, default 1
        Filters for each channel in the depthwise convolution, m.
    use_bias : bool, default True
    depthwise_initializer, pointwise_initializer, bias_initializer : Initializer or str
        As in `Conv2D`.

    Parameters in the network: ``W_depth`` (kh, kw, 1, C·m) and ``W_point`` (1, 1, C·m, O), which
    weight decay applies to, and ``b`` (O,).

    >>> from pellucid import Network
    >>> net = Network([SeparableConv2D(32, 3)], inputs=(28, 28, 16))
    >>> net.parameters.vector.size, Network([Conv2D(32, 3)], (28, 28, 16)).parameters.vector.size
    (688, 4640)
    """

    filters: int
    kernel_size: Lengths
    strides: Lengths = 1
    padding: Padding = "valid"
    dilation_rate: Lengths = 1
    depth_multiplier: int = 1
    use_bias: bool = True
    depthwise_initializer: Initializer | str = "auto"
    pointwise_initializer: Initializer | str = "auto"
    bias_initializer: Initializer | str = Zeros()

    aliases: ClassVar[dict[str, str]] = {
        word: name for word, name in _ALIASES.items() if word != "initializer"
    }
    initialization: ClassVar[str | None] = "glorot"

    def __post_init__(self) -> None:
        number(self, "filters", at_least=1, integer=True)
        number(self, "depth_multiplier", at_least=1, integer=True)
        for option in ("kernel_size", "strides", "dilation_rate"):
            check_lengths(self, option)
        check_padding(self, "valid", "same")

    def output_spec(self, *inputs: Spec) -> Spec:
        self.image_shape(inputs)
        known_channels(self, inputs)
        return window_spec(
            self, inputs, self.filters, self.kernel_size, self.strides, self.padding,
            self.dilation_rate,
        )  # fmt: skip

    def parameter_specs(self, *inputs: Spec) -> dict[str, ParameterSpec]:
        depth, point = self.parts
        between = depth.output_spec(*inputs)
        own, last = depth.parameter_specs(*inputs), point.parameter_specs(between)
        return {"W_depth": own["W"], "W_point": last.pop("W"), **last}

    def forward(self, x: Array, p: Views, cache: Cache) -> Array:
        depth, point = self.parts
        cache.depth, cache.point = Cache(needs_dx=cache.needs_dx), Cache()
        between = depth.forward(x, _part(p, W="W_depth"), cache.depth)
        return point.forward(between, _part(p, W="W_point", b="b"), cache.point)

    def backward(self, dy: Array, p: Views, dp: Views, cache: Cache) -> Array | None:
        depth, point = self.parts
        names = {"W": "W_point", "b": "b"}
        between = point.backward(dy, _part(p, **names), _part(dp, **names), cache.point)
        assert between is not None, "needs_dx is True there"
        return depth.backward(between, _part(p, W="W_depth"), _part(dp, W="W_depth"), cache.depth)

    @cached_property
    def parts(self) -> tuple[DepthwiseConv2D, Conv2D]:
        """The two convolutions that it is."""
        depth = DepthwiseConv2D(
            self.kernel_size, self.strides, self.padding, self.dilation_rate,
            self.depth_multiplier, use_bias=False, kernel_initializer=self.depthwise_initializer,
        )  # fmt: skip
        point = Conv2D(
            self.filters, 1, use_bias=self.use_bias, kernel_initializer=self.pointwise_initializer,
            bias_initializer=self.bias_initializer,
        )  # fmt: skip
        return depth, point


def _part(views: Views, **names: str) -> Views:
    """Some of the views under the names that a part of the layer has for them."""
    return Views({new: vars(views)[old] for new, old in names.items() if old in vars(views)})
