"""Layers: differentiable functions, each with its mathematics, its value and its gradient."""

from __future__ import annotations

from pellucid.layers.activations import (
    ELU,
    GELU,
    SELU,
    Activation,
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
    Swish,
    Tanh,
)
from pellucid.layers.base import Cache, Layer, ParameterSpec, Spec, StateSpec, Views
from pellucid.layers.convolution import Conv2D
from pellucid.layers.dense import Dense
from pellucid.layers.embedding import Embedding
from pellucid.layers.merge import Add, Concatenate
from pellucid.layers.noise import Dropout, GaussianNoise
from pellucid.layers.normalization import BatchNorm
from pellucid.layers.pooling import AvgPool2D, MaxPool2D
from pellucid.layers.shape import Flatten, Rescale, Reshape, Standardize

__all__ = [
    # what a layer is
    "Layer",
    "Spec",
    "ParameterSpec",
    "StateSpec",
    "Cache",
    "Views",
    # weights
    "Dense",
    "Conv2D",
    "Embedding",
    # activations
    "Activation",
    "Identity",
    "ReLU",
    "LeakyReLU",
    "PReLU",
    "ELU",
    "SELU",
    "GELU",
    "SiLU",
    "Swish",
    "Mish",
    "Softplus",
    "HardSigmoid",
    "HardSwish",
    "Sigmoid",
    "Tanh",
    "Softsign",
    "Softmax",
    "LogSoftmax",
    # normalisation and noise
    "BatchNorm",
    "Standardize",
    "Rescale",
    "Dropout",
    "GaussianNoise",
    # images
    "MaxPool2D",
    "AvgPool2D",
    # shape and branches
    "Flatten",
    "Reshape",
    "Add",
    "Concatenate",
]
