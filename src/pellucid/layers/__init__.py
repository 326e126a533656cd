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
    Tanh,
)
from pellucid.layers.augmentation import (
    Cutout,
    RandomFlip,
    RandomRotation,
    RandomShift,
    RandomZoom,
)
from pellucid.layers.base import Cache, Layer, ParameterSpec, Spec, StateSpec, Views
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
from pellucid.layers.merge import Add, Concatenate
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

OTHER_NAMES = {  # what Keras calls them, also to be had from here
    "MaxPooling1D": "MaxPool1D",
    "MaxPooling2D": "MaxPool2D",
    "AveragePooling1D": "AvgPool1D",
    "AveragePooling2D": "AvgPool2D",
    "GlobalMaxPooling1D": "GlobalMaxPool1D",
    "GlobalMaxPooling2D": "GlobalMaxPool2D",
    "GlobalAveragePooling1D": "GlobalAvgPool1D",
    "GlobalAveragePooling2D": "GlobalAvgPool2D",
    "AdaptiveMaxPooling2D": "AdaptiveMaxPool2D",
    "AdaptiveAveragePooling2D": "AdaptiveAvgPool2D",
    "BatchNormalization": "BatchNorm",
    "LayerNormalization": "LayerNorm",
    "GroupNormalization": "GroupNorm",
    "RMSNormalization": "RMSNorm",
    "RandomTranslation": "RandomShift",
    "Rescaling": "Rescale",
    "Swish": "SiLU",
}


def __getattr__(name: str) -> type[Layer]:
    if name in OTHER_NAMES:
        found: type[Layer] = globals()[OTHER_NAMES[name]]
        return found
    raise AttributeError(f"module 'pellucid.layers' has no attribute {name!r}")


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
    "Conv1D",
    "DepthwiseConv2D",
    "SeparableConv2D",
    "Conv2DTranspose",
    "Conv1DTranspose",
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
    "LayerNorm",
    "GroupNorm",
    "RMSNorm",
    "Standardize",
    "Rescale",
    "Dropout",
    "GaussianNoise",
    # images and sequences
    "MaxPool2D",
    "MaxPool1D",
    "AvgPool2D",
    "AvgPool1D",
    "GlobalMaxPool2D",
    "GlobalMaxPool1D",
    "GlobalAvgPool2D",
    "GlobalAvgPool1D",
    "AdaptiveMaxPool2D",
    "AdaptiveAvgPool2D",
    "UpSampling2D",
    "UpSampling1D",
    "ZeroPadding2D",
    "ZeroPadding1D",
    "Cropping2D",
    "Cropping1D",
    # augmentation
    "RandomShift",
    "RandomRotation",
    "RandomZoom",
    "RandomFlip",
    "Cutout",
    # shape and branches
    "Flatten",
    "Reshape",
    "Add",
    "Concatenate",
]
