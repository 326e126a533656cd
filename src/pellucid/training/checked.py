"""Data, checked once: inputs, targets as the losses want them, and weights that belong together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.errors import DataError
from pellucid.losses import Loss
from pellucid.network.arrays import as_array, check_finite, named
from pellucid.network.network import Network
from pellucid.targets import counted_weight

Array = NDArray[Any]


class Data:
    """Inputs, targets (as the losses want them) and weights that belong together, by name."""

    def __init__(
        self, inputs: dict[str, Array], targets: dict[str, Array], weight: Array | None
    ) -> None:
        self.inputs, self.targets, self.weight = inputs, targets, weight
        self.rows = len(next(iter(inputs.values())))

    def arrays(self) -> list[Array]:
        """Every array of it."""
        weight = [] if self.weight is None else [self.weight]
        return [*self.inputs.values(), *self.targets.values(), *weight]

    def part(self, pick: Array | slice) -> Data:
        """Some of the rows."""
        inputs, targets = (
            {name: array[pick] for name, array in arrays.items()}
            for arrays in (self.inputs, self.targets)
        )
        return Data(inputs, targets, None if self.weight is None else self.weight[pick])


def as_data(
    net: Network, x: Any, y: Any, sample_weight: Any = None, class_weight: Any = None
) -> Data:
    """Checks everything once: shapes, lengths, labels, NaN, weights. Copies nothing large."""
    inputs = net.inputs_for(x)
    for name, array in inputs.items():
        check_finite(array, "x" if len(inputs) == 1 else f"x[{name!r}]", net.dtype)
    rows = len(next(iter(inputs.values())))
    losses = net.losses
    if y is None:
        raise DataError("targets are missing: fit(x, y), or a Dataset with both")
    targets: dict[str, Array] = {}
    for name, value in named(y, list(losses), "y").items():
        targets[name] = prepared(losses[name], value, net, name, rows)
    weight = as_weight(sample_weight, rows)
    counted = _counted(net, y)
    if class_weight is not None:
        weight = class_weights(class_weight, next(iter(targets.values())), weight, counted)
    weight = counted_weight(weight, counted, rows)
    if weight is not None:
        check_spread(weight, net.dtype)
    return Data(inputs, targets, weight)


def _counted(net: Network, y: Any) -> Array | None:
    """The share of each row's targets that counts; None where all do.

    There is one weight a row, so several outputs have to leave out the same.
    """
    losses, specs = net.losses, net.graph.output_specs
    shares = {
        name: losses[name].counted(value, specs[name].shape)
        for name, value in named(y, list(losses), "y").items()
    }
    (output, first), *others = shares.items()
    for name, other in others:
        same = first is other if first is None or other is None else np.array_equal(first, other)
        if not same:
            raise DataError(
                f"the targets of {output!r} and {name!r} leave out different rows (ignore_index), "
                "and a row has one weight for all outputs: leave out the same rows of each, or "
                "train them apart"
            )
    return first


def prepared(loss: Loss, y: Any, net: Network, name: str, rows: int) -> Array:
    """Targets as the loss wants them, of the right length."""
    array = as_array(y, "y" if len(net.losses) == 1 else f"y[{name!r}]")
    if array.ndim == 0 or len(array) != rows:
        length = "no axis" if array.ndim == 0 else f"{len(array)} rows"
        raise DataError(f"x has {rows} rows but y has {length}: every row needs its target")
    targets = loss.prepare(array, net.graph.output_specs[name].shape)
    check_finite(targets, "y" if len(net.losses) == 1 else f"y[{name!r}]", net.dtype)
    return targets


def as_weight(weight: Any, rows: int) -> Array | None:
    """Sample weights as float64 (B,): finite, none negative, not all zero."""
    if weight is None:
        return None
    array = as_array(weight, "sample_weight").astype(np.float64)
    if array.shape != (rows,):
        raise DataError(f"sample_weight has shape {array.shape}; {rows} rows need ({rows},)")
    check_finite(array, "sample_weight")
    if (array < 0).any():
        raise DataError(f"sample_weight is negative at row {int(np.argmax(array < 0))}")
    if rows and not array.any():
        raise DataError("sample_weight is zero everywhere: nothing would be learnt")
    return array


def check_spread(weight: Array, dtype: Any) -> None:
    """Refuses weights that would become infinite, or zero without being so, in the network."""
    limits = np.finfo(dtype)
    wrong = (weight > limits.max) | ((weight > 0) & (weight < limits.tiny))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(
            f"sample_weight is {weight[row]} at row {row}, outside what {np.dtype(dtype)} holds; "
            "only ratios matter: divide all by their mean"
        )


def class_weights(
    class_weight: Any, targets: Array, weight: Array | None, counted: Array | None = None
) -> Array:
    """Row weights from class weights: a dict or sequence by class index, or "balanced".

    "balanced" gives class c the weight n / (K·n_c), so every class counts the same in total. Rows
    of which nothing is `counted` have no class.
    """
    if counted is not None and counted.ndim == targets.ndim:
        by_row = np.zeros(len(targets))
        by_row[counted > 0] = class_weights(class_weight, targets[counted > 0], None)
        return by_row if weight is None else by_row * weight
    if targets.ndim != 1 or targets.dtype.kind not in "iu":
        raise DataError("class_weight needs one class index a row; use sample_weight instead")
    classes, counts = np.unique(targets, return_counts=True)
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise DataError(f"class_weight is 'balanced', a dict or a list, not {class_weight!r}")
        table = dict(zip(classes.tolist(), len(targets) / (len(classes) * counts), strict=True))
    else:
        try:
            given = (
                class_weight if isinstance(class_weight, Mapping) else dict(enumerate(class_weight))
            )
            table = {int(k): float(v) for k, v in given.items()}
        except (TypeError, ValueError):
            raise DataError(
                f"class_weight is 'balanced', a dict or a list of numbers by class index, not "
                f"{class_weight!r}"
            ) from None
    missing = [int(c) for c in classes if int(c) not in table]
    if missing:
        raise DataError(f"class_weight says nothing of class {missing[0]}, which y contains")
    by_row = np.array([table[int(c)] for c in classes])[np.searchsorted(classes, targets)]
    combined: Array = by_row if weight is None else by_row * weight
    as_weight(combined, len(targets))
    return combined
