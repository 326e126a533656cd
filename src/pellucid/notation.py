"""Networks as a line of text: ``conv 16 3, relu, pool 2, flatten, dropout 0.2, dense 10``.

Layers are separated by commas. Each is a word, then numbers for its first options in their order;
options left out keep their defaults. A number may be a fraction, ``rescale 1/255``. Words are the
nodes' names without their numbers; ``conv`` and ``pool`` are short for the most frequent ones.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from pellucid.errors import OptionError, did_you_mean
from pellucid.layers.activations import (
    ELU,
    GELU,
    SELU,
    HardSigmoid,
    HardSwish,
    Identity,
    LeakyReLU,
    LogSoftmax,
    Mish,
    PReLU,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Softsign,
    Tanh,
)
from pellucid.layers.augmentation import (
    Cutout,
    RandomFlip,
    RandomRotation,
    RandomShift,
    RandomZoom,
)
from pellucid.layers.base import Layer
from pellucid.layers.convolution import Conv1D, Conv2D, DepthwiseConv2D, SeparableConv2D
from pellucid.layers.dense import Dense
from pellucid.layers.embedding import Embedding
from pellucid.layers.global_pooling import (
    AdaptiveAvgPool2D,
    AdaptiveMaxPool2D,
    GlobalAvgPool1D,
    GlobalAvgPool2D,
    GlobalMaxPool1D,
    GlobalMaxPool2D,
)
from pellucid.layers.layer_norm import GroupNorm, LayerNorm, RMSNorm
from pellucid.layers.noise import Dropout, GaussianNoise
from pellucid.layers.normalization import BatchNorm
from pellucid.layers.pooling import AvgPool1D, AvgPool2D, MaxPool1D, MaxPool2D
from pellucid.layers.resizing import (
    Cropping1D,
    Cropping2D,
    UpSampling1D,
    UpSampling2D,
    ZeroPadding1D,
    ZeroPadding2D,
)
from pellucid.layers.shape import Flatten, Rescale, Reshape, Standardize
from pellucid.layers.transposed import Conv1DTranspose, Conv2DTranspose


class Word(NamedTuple):
    """The layer that a word stands for, and the options that its numbers are, in their order.

    A single option that ends in ``...`` takes all the numbers.
    """

    layer: type[Layer]
    text: str = ""

    @property
    def options(self) -> dict[str, Any]:
        """The options with their defaults, MISSING where a number is needed."""
        defaults = {f.name: f.default for f in dataclasses.fields(self.layer)}
        return {name: defaults.get(name, dataclasses.MISSING) for name in self.text.split()}


WORDS = {
    "dense": Word(Dense, "units"),
    "conv2d": Word(Conv2D, "filters kernel_size strides"),
    "conv1d": Word(Conv1D, "filters kernel_size strides"),
    "depthwise_conv2d": Word(DepthwiseConv2D, "kernel_size strides"),
    "separable_conv2d": Word(SeparableConv2D, "filters kernel_size strides"),
    "conv2d_transpose": Word(Conv2DTranspose, "filters kernel_size strides"),
    "conv1d_transpose": Word(Conv1DTranspose, "filters kernel_size strides"),
    "embedding": Word(Embedding, "input_dim output_dim"),
    "relu": Word(ReLU),
    "leaky_relu": Word(LeakyReLU, "negative_slope"),
    "prelu": Word(PReLU),
    "elu": Word(ELU, "alpha"),
    "selu": Word(SELU),
    "gelu": Word(GELU),
    "silu": Word(SiLU),
    "mish": Word(Mish),
    "softplus": Word(Softplus, "beta"),
    "hard_sigmoid": Word(HardSigmoid),
    "hard_swish": Word(HardSwish),
    "sigmoid": Word(Sigmoid),
    "tanh": Word(Tanh),
    "softsign": Word(Softsign),
    "softmax": Word(Softmax),
    "log_softmax": Word(LogSoftmax),
    "identity": Word(Identity),
    "max_pool2d": Word(MaxPool2D, "pool_size strides"),
    "avg_pool2d": Word(AvgPool2D, "pool_size strides"),
    "max_pool1d": Word(MaxPool1D, "pool_size strides"),
    "avg_pool1d": Word(AvgPool1D, "pool_size strides"),
    "global_max_pool2d": Word(GlobalMaxPool2D),
    "global_avg_pool2d": Word(GlobalAvgPool2D),
    "global_max_pool1d": Word(GlobalMaxPool1D),
    "global_avg_pool1d": Word(GlobalAvgPool1D),
    "adaptive_max_pool2d": Word(AdaptiveMaxPool2D, "output_size"),
    "adaptive_avg_pool2d": Word(AdaptiveAvgPool2D, "output_size"),
    "up_sampling2d": Word(UpSampling2D, "size"),
    "up_sampling1d": Word(UpSampling1D, "size"),
    "zero_padding2d": Word(ZeroPadding2D, "padding"),
    "zero_padding1d": Word(ZeroPadding1D, "padding"),
    "cropping2d": Word(Cropping2D, "cropping"),
    "cropping1d": Word(Cropping1D, "cropping"),
    "random_shift": Word(RandomShift, "height_factor width_factor"),
    "random_rotation": Word(RandomRotation, "factor"),
    "random_zoom": Word(RandomZoom, "height_factor width_factor"),
    "random_flip": Word(RandomFlip),
    "cutout": Word(Cutout, "size fill_value"),
    "batch_norm": Word(BatchNorm, "momentum epsilon"),
    "layer_norm": Word(LayerNorm, "axis epsilon"),
    "group_norm": Word(GroupNorm, "groups epsilon"),
    "rms_norm": Word(RMSNorm, "axis epsilon"),
    "dropout": Word(Dropout, "rate"),
    "gaussian_noise": Word(GaussianNoise, "stddev"),
    "flatten": Word(Flatten),
    "reshape": Word(Reshape, "shape..."),
    "rescale": Word(Rescale, "scale offset"),
    "standardize": Word(Standardize),
}
SYNONYMS = {"conv": "conv2d", "pool": "max_pool2d", "swish": "silu"}


def parse_layers(text: str) -> list[Layer]:
    """The layers that a line of text describes.

    Raises
    ------
        OptionError: naming the layer that cannot be read, and what was expected there.

    >>> parse_layers("conv 16 3, relu, pool 2, flatten, dense 10")
    [Conv2D(16, 3), ReLU(), MaxPool2D(), Flatten(), Dense(10)]
    """
    if not isinstance(text, str) or not text.strip():
        raise OptionError("layers are a line such as 'dense 128, relu, dense 10'")
    parts = [part.strip() for part in text.split(",")]
    return [_layer(part, f"layer {i} of {len(parts)}") for i, part in enumerate(parts, 1)]


def format_layers(layers: Sequence[Layer]) -> str:
    """Layers as a line of text for people, as far as the words and their numbers can tell.

    >>> format_layers([Dense(128), ReLU(), Dense(10)])
    'dense 128, relu, dense 10'
    """
    return ", ".join(_text(layer) for layer in layers)


def describe_words() -> str:
    """A line for each word: itself, and the options that its numbers are.

    >>> print(describe_words().splitlines()[1])
    conv2d filters kernel_size [strides]
    """
    lines = []
    for name, word in WORDS.items():
        shown = [o if d is dataclasses.MISSING else f"[{o}]" for o, d in word.options.items()]
        lines.append(" ".join([name, *shown]))
    return "\n".join(lines)


def _layer(part: str, place: str) -> Layer:
    name, *numbers = part.split() or [""]
    name = SYNONYMS.get(name, name)
    if not name:
        raise OptionError(f"{place} is missing: there is nothing between two commas or at the end")
    if name not in WORDS:
        known = [*WORDS, *SYNONYMS]
        raise OptionError(f"{place}, {part!r}: no layer {name!r}. {did_you_mean(name, known)}")
    make: Any = WORDS[name].layer
    options = WORDS[name].options
    values = [_number(number, f"{place}, {part!r}") for number in numbers]
    try:
        if "shape..." in options and values:
            return make(tuple(values))  # type: ignore[no-any-return]
        needed = [option for option, default in options.items() if default is dataclasses.MISSING]
        if not len(needed) <= len(values) <= len(options):
            takes = describe_words().splitlines()[list(WORDS).index(name)]
            raise OptionError(f"{name} is written as: {takes}")
        return make(**dict(zip(options, values, strict=False)))  # type: ignore[no-any-return]
    except OptionError as error:
        raise OptionError(f"{place}, {part!r}: {error}") from None


def _number(text: str, place: str) -> int | float:
    """A whole number where there is no point and no fraction, so that `2` may count things."""
    try:
        if len(text) > 30:
            raise ValueError
        if "/" in text:
            return float(Fraction(text))
        return int(text) if text.lstrip("+-").isdecimal() else float(text)
    except (ValueError, ZeroDivisionError):
        raise OptionError(f"{place}: {text!r} is no number") from None


def _text(layer: Layer) -> str:
    names = [name for name, word in WORDS.items() if type(layer) is word.layer]
    if not names:
        return repr(layer)
    if isinstance(layer, Reshape):
        return " ".join([names[0], *map(str, layer.shape)])
    options = WORDS[names[0]].options
    values = {option: getattr(layer, option) for option in options}
    while values and values[(last := list(values)[-1])] == options[last]:
        del values[last]
    return " ".join(
        [names[0], *(f"{v:.6g}" if isinstance(v, float) else str(v) for v in values.values())]
    )
