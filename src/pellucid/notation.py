"""Networks as a line of text: ``conv 16 3, relu, pool 2, flatten, dropout 0.2, dense 10``.

Layers are separated by commas. Each is a word, then values for its first options in their order,
then any option by its name: ``conv 16 3 padding=same use_bias=false``. What is left out keeps its
default. A value is a number or a fraction (``rescale 1/255``), a size (``pool 2x3``), a word, or
true, false and none. A residual block has its layers in brackets: ``residual [dense 8, relu, dense
8]``. Words are the nodes' names without their numbers; ``conv`` and ``pool`` are short for the most
frequent ones. `describe` reads losses, optimizers and their like in the same way.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, NamedTuple, TypeVar

from pellucid.description import Description
from pellucid.errors import OptionError, PellucidError, did_you_mean
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
from pellucid.layers.blocks import Residual
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

D = TypeVar("D", bound=Description)


class Word(NamedTuple):
    """The layer that a word stands for, and the options that its values are, in their order.

    A single option that ends in ``...`` takes all the values.
    """

    layer: type[Layer]
    text: str = ""

    @property
    def options(self) -> dict[str, Any]:
        """The options with their defaults, MISSING where a value is needed."""
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
    >>> parse_layers("residual [dense 8, relu, dense 8 use_bias=false]")
    [Residual((Dense(8), ReLU(), Dense(8, use_bias=False)))]
    """
    if not isinstance(text, str) or not text.strip():
        raise OptionError("layers are a line such as 'dense 128, relu, dense 10'")
    parts = _parts(text)
    return [_layer(part, f"layer {i} of {len(parts)}") for i, part in enumerate(parts, 1)]


def format_layers(layers: Sequence[Layer]) -> str:
    """Layers as a line of text for people, as far as words and their values can tell.

    >>> format_layers([Dense(128), ReLU(), Dense(10, use_bias=False)])
    'dense 128, relu, dense 10 use_bias=false'
    """
    return ", ".join(_text(layer) for layer in layers)


def describe_words() -> str:
    """A line for each word: itself, and the options that its values are.

    >>> print(describe_words().splitlines()[1])
    conv2d filters kernel_size [strides]
    """
    lines = []
    for name, word in WORDS.items():
        shown = [o if d is dataclasses.MISSING else f"[{o}]" for o, d in word.options.items()]
        lines.append(" ".join([name, *shown]))
    return "\n".join(lines)


def describe(text: str, named: Callable[[str], D | type[D]]) -> D:
    """A description from its name, values for its options in their order, and options by name.

    `named` gives the description of that name with its defaults, or the class where there are none
    for all options, or raises an OptionError.

    >>> from pellucid.optimizers import as_optimizer
    >>> describe("sgd 0.1 momentum=0.9 nesterov=true", as_optimizer)
    SGD(learning_rate=0.1, momentum=0.9, nesterov=True)
    """
    name, *words = text.split() or [""]
    plain: Any = named(name)
    fields = [f.name for f in dataclasses.fields(plain) if not f.kw_only]
    values, options = _values(words, repr(text))
    options = {plain.aliases.get(option, option): value for option, value in options.items()}
    given = dict(zip(fields, values, strict=False))
    if len(values) > len(fields) or given.keys() & options.keys():
        raise OptionError(f"{text!r}: {name} has the options {', '.join(fields)}, each once")
    make = plain if isinstance(plain, type) else plain.replace
    try:
        return make(**given, **options)  # type: ignore[no-any-return]
    except TypeError as error:
        raise OptionError(f"{text!r}: {error}") from None


# ---- reading ------------------------------------------------------------------------------------


def _parts(text: str) -> list[str]:
    """A line cut at its commas, those in brackets left alone."""
    parts, depth = [""], 0
    for sign in text:
        depth += (sign == "[") - (sign == "]")
        if depth < 0:
            break
        if sign == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += sign
    if depth:
        raise OptionError(f"{text!r}: each [ needs its ]")
    return [part.strip() for part in parts]


def _layer(part: str, place: str) -> Layer:
    block = re.fullmatch(r"residual\s*\[(.*)\](.*)", part, re.DOTALL)
    if block:
        inside = [_layer(p, f"{place}, inside it") for p in _parts(block[1])]
        values, options = _values(block[2].split(), f"{place}, {part!r}")
        if values:
            raise OptionError(f"{place}, {part!r}: residual [layers] [shortcut=project]")
        return _made(lambda: Residual(tuple(inside), **options), place, part)
    name, *words = part.split() or [""]
    name = SYNONYMS.get(name, name)
    if not name:
        raise OptionError(f"{place} is missing: there is nothing between two commas or at the end")
    if name == "residual":
        raise OptionError(f"{place}, {part!r}: a block is written as residual [dense 8, relu]")
    if name not in WORDS:
        known = [*WORDS, *SYNONYMS, "residual"]
        raise OptionError(f"{place}, {part!r}: no layer {name!r}. {did_you_mean(name, known)}")
    values, options = _values(words, f"{place}, {part!r}")
    return _made(lambda: _of_word(name, values, options), place, part)


def _of_word(name: str, values: list[Any], options: dict[str, Any]) -> Layer:
    """The layer of a word with values for its first options and others by name."""
    make: Any = WORDS[name].layer
    known = WORDS[name].options
    if "shape..." in known and values:
        return make(tuple(values), **options)  # type: ignore[no-any-return]
    first = dict(zip(known, values, strict=False))
    given = first | options
    needed = [option for option, default in known.items() if default is dataclasses.MISSING]
    if len(values) > len(known) or first.keys() & options.keys() or not {*needed} <= given.keys():
        takes = describe_words().splitlines()[list(WORDS).index(name)]
        raise OptionError(f"{name} is written as: {takes}")
    return make(**given)  # type: ignore[no-any-return]


def _made(make: Callable[[], Layer], place: str, part: str) -> Layer:
    try:
        return make()
    except (PellucidError, TypeError) as error:
        raise OptionError(f"{place}, {part!r}: {error}") from None


def _values(words: Sequence[str], place: str) -> tuple[list[Any], dict[str, Any]]:
    """Values, and the options by name that stand behind them."""
    values: list[Any] = []
    options: dict[str, Any] = {}
    for word in words:
        name, sign, value = word.partition("=")
        if word in WORDS or word in SYNONYMS or word == "residual":
            raise OptionError(f"{place}: a comma is missing before {word!r}")
        if not sign:
            if options:
                raise OptionError(
                    f"{place}: {word!r} stands behind an option by name; put it first"
                )
            values.append(_value(word, place, words=False))
        elif not name.isidentifier() or name in options:
            raise OptionError(f"{place}: {word!r} is no option, or a second time the same")
        else:
            options[name] = _value(value, place)
    return values, options


def _value(text: str, place: str, *, words: bool = True) -> Any:
    """A whole number where there is no point and no fraction, so that `2` may count things."""
    named = {"true": True, "false": False, "none": None}
    if words and text.lower() in named:
        return named[text.lower()]
    if re.fullmatch(r"\d{1,9}(x\d{1,9})+", text):
        return tuple(map(int, text.split("x")))
    if words and re.fullmatch(r"[A-Za-z][\w.-]*", text) and text.lower() not in ("inf", "nan"):
        return text
    try:
        if len(text) > 30:
            raise ValueError
        if "/" in text:
            return float(Fraction(text))
        return int(text) if text.lstrip("+-").isdecimal() else float(text)
    except (ValueError, ZeroDivisionError):
        raise OptionError(f"{place}: {text!r} is no number") from None


# ---- writing ------------------------------------------------------------------------------------


def _text(layer: Layer) -> str:
    if isinstance(layer, Residual):
        return " ".join([f"residual [{format_layers(layer.layers)}]", *_named(layer, ["layers"])])
    names = [name for name, word in WORDS.items() if type(layer) is word.layer]
    if not names:
        return repr(layer)
    if isinstance(layer, Reshape):
        return " ".join([names[0], *map(str, layer.shape)])
    options = WORDS[names[0]].options
    values = {option: getattr(layer, option) for option in options}
    while values and values[(last := list(values)[-1])] == options[last]:
        del values[last]
    if any(_written(value) is None for value in values.values()):
        return repr(layer)
    shown = [str(_written(value)) for value in values.values()]
    return " ".join([names[0], *shown, *_named(layer, list(values))])


def _named(layer: Layer, apart: Sequence[str]) -> list[str]:
    """The other options that are not at their defaults, by name, where they can be written."""
    shown = []
    for field in dataclasses.fields(layer):
        value = getattr(layer, field.name)
        if field.name not in apart and value != field.default and _written(value) is not None:
            shown.append(f"{field.name}={_written(value)}")
    return shown


def _written(value: Any) -> str | None:
    """A value as a line has it, or None where it has no form for it."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, tuple) and value and all(type(n) is int and n >= 0 for n in value):
        return "x".join(map(str, value)) if len(value) > 1 else None
    plain = isinstance(value, int) or (isinstance(value, str) and value.isidentifier())
    return str(value) if plain else None
