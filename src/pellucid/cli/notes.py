"""What `train` says of a network that has learnt nothing, or that does not suit its targets.

A network is measured beside the best that could be said without looking at x: for squares the mean
of y, for absolute errors its median, for classes the commonest one. What does no better than that,
on the very rows it learnt from, has learnt nothing.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.data.dataset import Dataset
from pellucid.errors import OptionError
from pellucid.layers.base import Layer
from pellucid.layers.dense import Dense
from pellucid.layers.shape import Rescale
from pellucid.losses import (
    MAE,
    MSE,
    BinaryCrossEntropy,
    BinaryFocal,
    ClassLoss,
    CosineDistance,
    CrossEntropy,
    Huber,
    LogCosh,
    Loss,
    Poisson,
    Quantile,
)
from pellucid.network.network import Network
from pellucid.training.record import Record

Array = NDArray[Any]
SCALED = (MSE, MAE, Huber, LogCosh, Quantile)  # of quantities that may have any unit
_QUANTITIES = (*SCALED, Poisson, CosineDistance)
_ROWS = 2000  # so many tell enough
_SLOWER = "a smaller --learning-rate or --clip-norm 1"


# ---- before training ----------------------------------------------------------------------------


def check_words(data: Dataset, loss: Loss, where: str) -> None:
    """Refuses to take the numbers of classes that have names for quantities."""
    names = data.names
    if names is None or not isinstance(loss, _QUANTITIES):
        return
    if names != tuple(map(str, range(len(names)))):
        told = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
        raise OptionError(
            f"what is to be predicted from {where} are classes ({told}), and {loss!r} is for "
            "quantities: leave --loss out, or write --loss cross_entropy"
        )


def spare_outputs(net: Network, data: Dataset) -> str | None:
    """A note where a classifier has more outputs than there are classes."""
    (spec, *_), (loss, *_) = net.graph.output_specs.values(), net.losses.values()
    y: Array = data.y
    if not isinstance(loss, ClassLoss) or y.dtype.kind not in "iu" or y.size == 0:
        return None
    classes = int(y.max()) + 1 if data.names is None else len(data.names)
    if spec.shape[-1] is None or spec.shape[-1] <= max(classes, 2):
        return None
    told = "" if data.names is None else f" ({', '.join(data.names[:10])})"
    return (
        f"the last layer has {spec.shape[-1]} outputs, and there are {classes} classes{told}: "
        f"{max(classes, 2)} are enough"
    )


def scaling_for(y: Array, loss: Loss) -> tuple[Layer, Array, Array]:
    """The layer from numbers of mean 0 and variance 1 to the units of the targets.

    With it come the standard deviation and the mean of each column. One column needs a Rescale;
    several a Dense that is not trained, its kernel a diagonal of the deviations.
    """
    if not isinstance(loss, SCALED):
        raise OptionError(
            f"--scale-target is for quantities (mse, mae, huber, log_cosh, quantile), not {loss!r}"
        )
    columns = y.reshape(len(y), -1).astype(np.float64)
    mean, deviation = columns.mean(axis=0), columns.std(axis=0)
    fine = np.isfinite(mean) & np.isfinite(deviation)  # else `fit` says which number is not
    mean, deviation = np.where(fine, mean, 0), np.where(fine & (deviation > 0), deviation, 1)
    if len(mean) == 1:
        return Rescale(deviation[0], mean[0]), deviation, mean
    return Dense(len(mean), trainable=False), deviation, mean


def put_scaling(net: Network, deviation: Array, mean: Array) -> None:
    """The numbers of the last layer, where it is a Dense that scales."""
    last = net.graph.nodes[-1]
    if isinstance(last.layer, Dense):
        net.parameters[f"{last.name}/W"][...] = np.diag(deviation)
        net.parameters[f"{last.name}/b"][...] = mean


# ---- after it -----------------------------------------------------------------------------------


def notes_on(
    net: Network, data: Dataset, record: Record, *, scaled: bool, weighted: bool
) -> list[str]:
    """What is to be said of a network that was trained, in sentences; mostly nothing.

    `scaled` says that its targets are; `weighted`, that classes were: then the commonest one is no
    measure.
    """
    rows = [row["loss"] for row in record.rows]
    if not rows or data.y is None or len(net.losses) != 1:
        return []
    few = data[:: max(1, len(data) // _ROWS)]
    loss = next(iter(net.losses.values()))
    found = [_diverged(loss, rows, net)]
    if not weighted:
        found.append(_nothing_learnt(net, loss, few, scaled=scaled))
    return [note for note in found if note]


def _diverged(loss: Loss, rows: list[float], net: Network) -> str | None:
    first, last = rows[0], rows[-1]
    if last > 2 * first > 0:
        return f"the loss grew from {first:.4g} to {last:.4g}: the run diverged. Try {_SLOWER}"
    outputs = next(iter(net.graph.output_specs.values())).shape[-1] or 2
    guessing = math.log(max(outputs, 2))
    if isinstance(loss, CrossEntropy) and last > 10 * guessing:
        return (
            f"the loss is {last:.4g}, where guessing has {guessing:.2f}: the run diverged. "
            f"Try {_SLOWER}"
        )
    return None


def _nothing_learnt(net: Network, loss: Loss, data: Dataset, *, scaled: bool) -> str | None:
    """A note where the answers are no better than the same answer to every row."""
    y: Array = data.y
    answers: Array = net.predict(data.x)
    if isinstance(loss, ClassLoss):
        if y.ndim == answers.ndim:
            y = y.argmax(axis=-1)
        known = np.full(y.shape, True) if loss.ignore_index is None else y != loss.ignore_index
        y, said = y[known], answers.argmax(axis=-1)[known]
        counts = np.unique(y, return_counts=True)[1]
        return _no_better(y == said, counts.max() / y.size) if y.size else None
    if y.shape != answers.shape:
        return None
    if isinstance(loss, BinaryCrossEntropy | BinaryFocal):
        share = (y > 0.5).mean(axis=0)
        return _no_better((y > 0.5) == (answers > 0.5), np.maximum(share, 1 - share).mean())
    return _far_off(loss, answers.astype(np.float64), y.astype(np.float64), scaled=scaled)


def _no_better(right: Array, commonest: float) -> str | None:
    if commonest == 1 or right.mean() > commonest:
        return None
    return (
        f"{right.mean():.1%} of what it learnt from are right, and always saying the commonest "
        f"class would be right in {commonest:.1%}: it has learnt nothing yet. Try more --epochs, "
        "another --learning-rate or other --layers"
    )


def _far_off(loss: Loss, answers: Array, y: Array, *, scaled: bool) -> str | None:
    """A note where quantities are as far from the answers as from their mean or median."""
    if isinstance(loss, MSE | Poisson):
        what, kind = "mean", "squared"
        error, plain = np.square(y - answers).mean(), y.var(axis=0).mean()
    elif isinstance(loss, MAE | Huber | LogCosh):
        what, kind = "median", "absolute"
        error, plain = np.abs(y - answers).mean(), np.abs(y - np.median(y, axis=0)).mean()
    else:
        return None
    if plain == 0 or error < plain:
        return None
    remedy = "more --epochs or another --learning-rate"
    if isinstance(loss, SCALED) and not scaled:
        remedy = f"--scale-target, which lets it learn them in units of their spread, {remedy}"
    return (
        f"the predictions are no better than the {what} of what it learnt from (mean {kind} error "
        f"{error:.4g}, and {plain:.4g} with the {what}): it has learnt nothing yet. Try {remedy}"
    )
