"""Activations, elementwise and not: the simple ones in `basic`, the others beside it."""

from __future__ import annotations

from pellucid.layers.activations.basic import (
    Activation,
    Identity,
    LeakyReLU,
    ReLU,
    Sigmoid,
    Tanh,
)
from pellucid.layers.activations.piecewise import HardSigmoid, HardSwish, PReLU
from pellucid.layers.activations.smooth import (
    ELU,
    GELU,
    SELU,
    Mish,
    SiLU,
    Softplus,
    Softsign,
)
from pellucid.layers.activations.softmax import LogSoftmax, Softmax

__all__ = [
    "Activation",
    "Identity",
    "ReLU",
    "LeakyReLU",
    "PReLU",
    "ELU",
    "SELU",
    "GELU",
    "SiLU",
    "Mish",
    "Softplus",
    "HardSigmoid",
    "HardSwish",
    "Sigmoid",
    "Tanh",
    "Softsign",
    "Softmax",
    "LogSoftmax",
]
