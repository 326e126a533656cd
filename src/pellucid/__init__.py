"""Pellucid: neural networks in NumPy that you can read, look into, and use.

The public names, and nothing else. Optional parts are imported when first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pellucid.description import register
from pellucid.errors import PellucidError
from pellucid.events import Observer
from pellucid.initializers import (
    Constant,
    Exact,
    FanInUniform,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    Initializer,
    InverseSizeNormal,
    LeCunNormal,
    LeCunUniform,
    Normal,
    Ones,
    Orthogonal,
    TruncatedNormal,
    Uniform,
    Zeros,
    preset,
)
from pellucid.layers import (
    ELU,
    GELU,
    OTHER_NAMES,
    SELU,
    Activation,
    AdaptiveAvgPool2D,
    AdaptiveMaxPool2D,
    Add,
    AvgPool1D,
    AvgPool2D,
    BatchNorm,
    Concatenate,
    Conv1D,
    Conv1DTranspose,
    Conv2D,
    Conv2DTranspose,
    Cropping1D,
    Cropping2D,
    Cutout,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Embedding,
    Flatten,
    GaussianNoise,
    GlobalAvgPool1D,
    GlobalAvgPool2D,
    GlobalMaxPool1D,
    GlobalMaxPool2D,
    GroupNorm,
    HardSigmoid,
    HardSwish,
    Identity,
    Layer,
    LayerNorm,
    LeakyReLU,
    LogSoftmax,
    MaxPool1D,
    MaxPool2D,
    Mish,
    PReLU,
    RandomFlip,
    RandomRotation,
    RandomShift,
    RandomZoom,
    ReLU,
    Rescale,
    Reshape,
    RMSNorm,
    SeparableConv2D,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Softsign,
    Standardize,
    Tanh,
    UpSampling1D,
    UpSampling2D,
    ZeroPadding1D,
    ZeroPadding2D,
)
from pellucid.layers.blocks import Residual, residual
from pellucid.losses import (
    MAE,
    MSE,
    NLL,
    BinaryCrossEntropy,
    BinaryFocal,
    CategoricalHinge,
    CosineDistance,
    CrossEntropy,
    Focal,
    Hinge,
    Huber,
    KLDivergence,
    LogCosh,
    Loss,
    Poisson,
    Quantile,
    SquaredHinge,
)
from pellucid.network.network import Network
from pellucid.network.scopes import scope
from pellucid.network.symbols import Input, shared
from pellucid.optimizers import (
    EMA,
    LBFGS,
    SGD,
    SWA,
    Adadelta,
    Adagrad,
    Adam,
    AdamW,
    Lion,
    NAdam,
    Optimizer,
    RAdam,
    RMSProp,
)
from pellucid.penalties import L1, L2, Penalty
from pellucid.schedules import (
    Cosine,
    CosineRestarts,
    ExponentialDecay,
    InverseScaling,
    MultiStep,
    OneCycle,
    PolynomialDecay,
    Schedule,
    StepDecay,
    WarmUp,
)

if TYPE_CHECKING:
    from pellucid.engine.threads import set_threads
    from pellucid.insight.gradcheck import gradcheck as gradcheck
    from pellucid.training import (
        AveragedWeights,
        Checkpoint,
        EarlyStopping,
        ReduceLROnPlateau,
        averaged,
        find_learning_rate,
        fit_together,
    )

__version__ = "0.1.0"

_LAZY = {
    "AveragedWeights": "pellucid.training",
    "Checkpoint": "pellucid.training",
    "EarlyStopping": "pellucid.training",
    "ReduceLROnPlateau": "pellucid.training",
    "averaged": "pellucid.training",
    "find_learning_rate": "pellucid.training",
    "fit_together": "pellucid.training",
    "gradcheck": "pellucid.insight",
    "set_threads": "pellucid.engine.threads",
}

_OTHER_NAMES = OTHER_NAMES | {  # as Keras calls them
    "CosineDecay": "Cosine",
    "CosineDecayRestarts": "CosineRestarts",
    "MeanAbsoluteError": "MAE",
    "MeanSquaredError": "MSE",
    "Nadam": "NAdam",
    "RMSprop": "RMSProp",
    "RandomNormal": "Normal",
    "RandomUniform": "Uniform",
}

_PARTS = (
    "data", "engine", "errors", "events", "formats", "insight", "layers", "metrics", "training"
)  # fmt: skip

__all__ = [
    "ELU", "EMA", "GELU", "L1", "L2", "LBFGS", "MAE", "MSE", "NLL", "SELU", "SGD", "SWA",
    "Activation", "Adadelta", "Adagrad", "Adam", "AdamW", "AdaptiveAvgPool2D",
    "AdaptiveMaxPool2D", "Add", "AveragedWeights", "AvgPool1D", "AvgPool2D", "BatchNorm",
    "BinaryCrossEntropy", "BinaryFocal", "CategoricalHinge", "Checkpoint", "Concatenate",
    "Constant", "Conv1D", "Conv1DTranspose", "Conv2D", "Conv2DTranspose", "Cosine",
    "CosineDistance", "CosineRestarts", "Cropping1D", "Cropping2D", "CrossEntropy", "Cutout",
    "Dense", "DepthwiseConv2D", "Dropout", "EarlyStopping", "Embedding", "Exact",
    "ExponentialDecay", "FanInUniform", "Flatten", "Focal", "GaussianNoise", "GlobalAvgPool1D",
    "GlobalAvgPool2D", "GlobalMaxPool1D", "GlobalMaxPool2D", "GlorotNormal", "GlorotUniform",
    "GroupNorm", "HardSigmoid", "HardSwish", "HeNormal", "HeUniform", "Hinge", "Huber",
    "Identity", "Initializer", "Input", "InverseScaling", "InverseSizeNormal", "KLDivergence",
    "Layer", "LayerNorm", "LeCunNormal", "LeCunUniform", "LeakyReLU", "Lion", "LogCosh",
    "LogSoftmax", "Loss", "MaxPool1D", "MaxPool2D", "Mish", "MultiStep", "NAdam", "Network",
    "Normal", "Observer", "OneCycle", "Ones", "Optimizer", "Orthogonal", "PReLU", "PellucidError",
    "Penalty", "Poisson", "PolynomialDecay", "Quantile", "RAdam", "RMSNorm", "RMSProp",
    "RandomFlip", "RandomRotation", "RandomShift", "RandomZoom", "ReLU", "ReduceLROnPlateau",
    "Rescale", "Reshape", "Residual", "Schedule", "SeparableConv2D", "SiLU", "Sigmoid", "Softmax",
    "Softplus", "Softsign", "SquaredHinge", "Standardize", "StepDecay", "Tanh",
    "TruncatedNormal", "Uniform", "UpSampling1D", "UpSampling2D", "WarmUp", "ZeroPadding1D",
    "ZeroPadding2D", "Zeros", "averaged", "find_learning_rate", "fit_together", "gradcheck", "mlp",
    "preset", "register", "residual", "scope", "set_threads", "shared",
]  # fmt: skip


def mlp(sizes: list[int], activation: Layer | str | None = None, **options: Any) -> Network:
    """A plain network of dense layers in one line; its activation is ReLU unless told.

    >>> mlp([64, 15, 10]).parameters["dense_1/W"].shape
    (64, 15)
    >>> mlp([64, 15, 10], "leaky_relu 0.2")
    <Network input → dense_1 → leaky_relu_1 → dense_2: 1,135 parameters>
    """
    if isinstance(activation, str):
        from pellucid.notation import parse_layers

        (activation,) = parse_layers(activation)
    layers: list[Layer] = []
    for units in sizes[1:-1]:
        layers += [Dense(units), activation if activation is not None else ReLU()]
    return Network([*layers, Dense(sizes[-1])], inputs=sizes[0], **options)


def __getattr__(name: str) -> Any:
    import importlib

    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    if name in _PARTS:
        return importlib.import_module(f"pellucid.{name}")
    if name in _OTHER_NAMES:
        return globals()[_OTHER_NAMES[name]]
    raise AttributeError(f"module 'pellucid' has no attribute {name!r}")


def __dir__() -> list[str]:
    """What is public, also where it is not imported yet."""
    return [*__all__, *_PARTS, "__doc__", "__file__", "__name__", "__path__", "__version__"]


def _follow_environment() -> None:
    import os

    if "PELLUCID_NUM_THREADS" in os.environ:
        from pellucid.engine.threads import from_environment

        from_environment()


_follow_environment()
