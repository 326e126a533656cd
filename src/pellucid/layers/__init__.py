"""Layers: differentiable functions, each with its mathematics, its value and its gradient."""

from __future__ import annotations

from pellucid.layers.activations import (
    Activation,
    Identity,
    LeakyReLU,
    ReLU,
    Sigmoid,
    Softmax,
    Tanh,
)
from pellucid.layers.base import Cache, Layer, ParameterSpec, Spec, StateSpec, Views
from pellucid.layers.convolution import Conv2D
from pellucid.layers.dense import Dense
from pellucid.layers.dropout import Dropout
from pellucid.layers.embedding import Embedding
from pellucid.layers.merge import Add, Concatenate
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
    "Sigmoid",
    "Tanh",
    "Softmax",
    # normalisation and noise
    "BatchNorm",
    "Standardize",
    "Rescale",
    "Dropout",
    # images
    "MaxPool2D",
    "AvgPool2D",
    # shape and branches
    "Flatten",
    "Reshape",
    "Add",
    "Concatenate",
]
