"""Initialisers: the numbers that parameters start with. `base` says how large they should be."""

from pellucid.initializers.base import Fans, Initializer
from pellucid.initializers.names import Auto, as_initializer, preset
from pellucid.initializers.plain import (
    Constant,
    Exact,
    Normal,
    Ones,
    TruncatedNormal,
    Uniform,
    Zeros,
)
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

__all__ = [
    "Auto", "Constant", "Exact", "FanInUniform", "Fans", "GlorotNormal", "GlorotUniform",
    "HeNormal", "HeUniform", "Initializer", "InverseSizeNormal", "LeCunNormal", "LeCunUniform",
    "Normal", "Ones", "Orthogonal", "TruncatedNormal", "Uniform", "Zeros", "as_initializer",
    "preset",
]  # fmt: skip
