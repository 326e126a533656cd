"""Initialisers by name, the one that is decided by what follows, and other libraries' defaults."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from math import sqrt
from typing import Any

from pellucid.description import Description
from pellucid.errors import NotBuiltError, OptionError, did_you_mean
from pellucid.initializers.base import Fans, Initializer
from pellucid.initializers.plain import Normal, Ones, TruncatedNormal, Uniform, Zeros
from pellucid.initializers.scaled import (
    FanInUniform,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    InverseSizeNormal,
    LeCunNormal,
    LeCunUniform,
    Orthogonal,
)
from pellucid.random import Array, Stream


@dataclass(frozen=True, repr=False)
class Auto(Initializer):
    """Decided when the network is built, by the first activation after the layer."""

    def resolve(self, family: str | None = None) -> Initializer:
        """The initialiser for a family of activations: "he", "lecun", or "glorot" and None.

        >>> Auto().resolve("he")
        HeNormal()
        """
        if family is not None and family not in _FAMILIES:
            raise OptionError(
                f"no initialiser family {family!r}. {did_you_mean(family, _FAMILIES)}"
            )
        return _FAMILIES[family or "glorot"]

    def __call__(self, shape: tuple[int, ...], fans: Fans | None, stream: Stream) -> Array:
        raise NotBuiltError(
            'Auto() is resolved while a network is built; alone, name one: "he_normal", or '
            'Auto().resolve("he")'
        )


_FAMILIES: dict[str, Initializer] = {
    "he": HeNormal(),
    "lecun": LeCunNormal(),
    "glorot": GlorotUniform(),
}


_NAMES: dict[str, Initializer] = {
    "auto": Auto(),
    "glorot_uniform": GlorotUniform(),
    "glorot_normal": GlorotNormal(),
    "he_uniform": HeUniform(),
    "he_normal": HeNormal(),
    "lecun_uniform": LeCunUniform(),
    "lecun_normal": LeCunNormal(),
    "fan_in_uniform": FanInUniform(),
    "inverse_size_normal": InverseSizeNormal(),
    "orthogonal": Orthogonal(),
    "normal": Normal(),
    "truncated_normal": TruncatedNormal(),
    "uniform": Uniform(),
    "zeros": Zeros(),
    "ones": Ones(),
}


def as_initializer(x: Initializer | str) -> Initializer:
    """The initialiser of this name, or the initialiser itself.

    >>> as_initializer("he_normal")
    HeNormal()
    """
    if isinstance(x, Initializer):
        return x
    if isinstance(x, str):
        if x in _NAMES:
            return _NAMES[x]
        raise OptionError(f"no initialiser {x!r}. {did_you_mean(x, _NAMES)}")
    raise OptionError(
        f"an initialiser or its name is needed, not {type(x).__name__}; given values: Exact(values)"
    )


def _preset(kernel: Initializer, bias: Initializer) -> dict[str, Initializer]:
    kernels = ("kernel_initializer", "depthwise_initializer", "pointwise_initializer")
    return {**dict.fromkeys(kernels, kernel), "bias_initializer": bias}


_HALF = GlorotUniform(gain=sqrt(1 / 3))
_PRESETS: dict[str, dict[str, Initializer]] = {
    "keras": {
        **_preset(GlorotUniform(), Zeros()),
        "embeddings_initializer": Uniform(-0.05, 0.05),
    },
    "pytorch": {**_preset(FanInUniform(), FanInUniform()), "embeddings_initializer": Normal()},
    "sklearn": _preset(GlorotUniform(), GlorotUniform()),
    "sklearn_logistic": _preset(_HALF, _HALF),
}


def preset(name: str, layers: Any) -> Any:
    """Layers that start as another library's do by default.

    ================  =========================  ======================  ============
    name              weights                    biases                  embeddings
    ================  =========================  ======================  ============
    keras             Glorot uniform             zero                    U(±0.05)
    pytorch           U(±1/√I)                   U(±1/√I)                N(0, 1)
    sklearn           Glorot uniform             U(±√(6 / (I + O)))
    sklearn_logistic  U(±√(2 / (I + O)))         U(±√(2 / (I + O)))
    ================  =========================  ======================  ============

    Parameters
    ----------
    name : str
        From the table; scikit-learn's MLP has another one with ``activation="logistic"``.
    layers : layer, or list of them
        Each comes back with the initialisers replaced that were left at their defaults.

    >>> from pellucid import Dense, ReLU
    >>> preset("pytorch", [Dense(8), ReLU()])
    [Dense(8, kernel_initializer=FanInUniform(), bias_initializer=FanInUniform()), ReLU()]
    """
    if name not in _PRESETS:
        raise OptionError(f"no preset {name!r}. {did_you_mean(str(name), _PRESETS)}")
    if isinstance(layers, list | tuple):
        return [preset(name, layer) for layer in layers]
    if not isinstance(layers, Description):
        raise OptionError(f"a preset is for layers, not for {layers!r}")
    changes: dict[str, Any] = {}
    for item in dataclasses.fields(layers):  # type: ignore[arg-type]
        value = getattr(layers, item.name)
        if item.name in _PRESETS[name]:
            if value == item.default:
                changes[item.name] = _PRESETS[name][item.name]
        elif isinstance(value, Description):  # a layer in a layer
            changes[item.name] = preset(name, value)
    return layers.replace(**changes) if changes else layers
