"""Losses: one number for each row that says how wrong the network's output is, and its gradient."""

from __future__ import annotations

from pellucid.errors import OptionError, did_you_mean
from pellucid.losses.base import MSE, Loss
from pellucid.losses.classification import NLL, CategoricalHinge, Hinge, KLDivergence, SquaredHinge
from pellucid.losses.cross_entropy import BinaryCrossEntropy, ClassLoss, CrossEntropy
from pellucid.losses.focal import BinaryFocal, Focal
from pellucid.losses.regression import MAE, CosineDistance, Huber, LogCosh, Poisson, Quantile
from pellucid.targets import row_shares

__all__ = [
    # what a loss is
    "Loss",
    "ClassLoss",
    "as_loss",
    "row_shares",
    # numbers
    "MSE",
    "MAE",
    "Huber",
    "LogCosh",
    "Quantile",
    "Poisson",
    "CosineDistance",
    # classes
    "CrossEntropy",
    "BinaryCrossEntropy",
    "NLL",
    "KLDivergence",
    "Hinge",
    "SquaredHinge",
    "CategoricalHinge",
    "Focal",
    "BinaryFocal",
]

_NAMES: dict[str, type[Loss]] = {
    "mse": MSE,
    "mean_squared_error": MSE,
    "mae": MAE,
    "mean_absolute_error": MAE,
    "huber": Huber,
    "log_cosh": LogCosh,
    "quantile": Quantile,
    "poisson": Poisson,
    "cosine_distance": CosineDistance,
    "cross_entropy": CrossEntropy,
    "binary_cross_entropy": BinaryCrossEntropy,
    "nll": NLL,
    "kl_divergence": KLDivergence,
    "hinge": Hinge,
    "squared_hinge": SquaredHinge,
    "categorical_hinge": CategoricalHinge,
    "focal": Focal,
    "binary_focal": BinaryFocal,
}


def as_loss(x: Loss | str) -> Loss:
    """The loss of this name, or the loss itself.

    >>> as_loss("cross_entropy")
    CrossEntropy()
    """
    if isinstance(x, Loss):
        return x
    if isinstance(x, str):
        if x in _NAMES:
            return _NAMES[x]()
        raise OptionError(f"no loss {x!r}. {did_you_mean(x, _NAMES)}")
    raise OptionError(f"a loss or its name is needed, not {x!r}")
