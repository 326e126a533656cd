"""Batches: which rows make which update, gathered when they are needed.

Data stays where it is, on disk too; an epoch is an order of row numbers, cut into pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.engine.base import Batch
from pellucid.errors import DataError
from pellucid.layers.base import Spec
from pellucid.losses import Loss
from pellucid.network.arrays import as_array, as_inputs, check_finite, named
from pellucid.network.network import Network
from pellucid.random import Stream

Array = NDArray[Any]


class ArrayBatches:
    """One epoch over arrays.

    Parameters
    ----------
    order : int64 array, optional
        The rows in the order of this epoch; None walks from first to last without copying.
    size : int
        Rows of one batch; the last one is as short as it comes out.
    accumulate : int
        Batches that make one update together.
    join_single : bool
        A remainder of one row joins the batch before it (batch normalisation needs two).
    """

    def __init__(
        self, net: Network, data: Data, order: Array | None, size: int, *, accumulate: int = 1,
        join_single: bool = False,
    ) -> None:  # fmt: skip
        self._inputs = _gathers(data.inputs, net.graph.inputs, net.dtype)
        floats = {name: Spec(()) for name in data.targets}
        kept = {
            k: Spec((), "int") if a.dtype.kind in "iu" else floats[k]
            for k, a in data.targets.items()
        }
        self._targets = _gathers(data.targets, kept, net.dtype)
        self._weight = data.weight
        self._dtype = net.dtype
        self._order = order
        rows = data.rows if order is None else len(order)
        cuts = list(range(0, rows, size))
        if join_single and len(cuts) > 1 and rows - cuts[-1] == 1:
            cuts.pop()
        self._cuts = [*cuts, rows]
        self._accumulate = accumulate
        self.count = -(-(len(self._cuts) - 1) // accumulate)

    def get(self, index: int) -> list[Batch] | None:
        """Update `index` of the epoch, as its parts; None at the end."""
        if index >= self.count:
            return None
        first = index * self._accumulate
        cuts = self._cuts[first : first + self._accumulate + 1]
        picks = [self._pick(a, b) for a, b in pairwise(cuts)]
        total = float(cuts[-1] - cuts[0])
        if self._weight is not None:
            total = float(self._weight[self._pick(cuts[0], cuts[-1])].sum())
        return [self._gather(pick, total) for pick in picks]

    def _pick(self, start: int, stop: int) -> Any:
        return slice(start, stop) if self._order is None else self._order[start:stop]

    def _gather(self, pick: Any, total: float) -> Batch:
        weight = None if self._weight is None else self._weight[pick].astype(self._dtype)
        rows = pick.stop - pick.start if isinstance(pick, slice) else len(pick)
        inputs = {name: gather(pick) for name, gather in self._inputs}
        targets = {name: gather(pick) for name, gather in self._targets}
        return Batch(inputs, targets, weight, rows, total)


def _gathers(
    arrays: Mapping[str, Array], specs: Mapping[str, Spec], dtype: Any
) -> list[tuple[str, Callable[[Any], Array]]]:
    """For each array, a function from row numbers to those rows in the network's type."""

    def make(array: Array, spec: Spec) -> Callable[[Any], Array]:
        array = np.asarray(array)
        wanted = np.dtype(np.int64) if spec.dtype == "int" else np.dtype(dtype)
        # `take` is the fastest gather, but first copies the whole of an array that is not plain
        plain = array.flags.c_contiguous and array.dtype.isnative
        ready = array.dtype == wanted

        def gather(pick: Any) -> Array:
            rows: Array = (
                array[pick] if isinstance(pick, slice) or not plain else array.take(pick, axis=0)
            )
            return rows if ready else rows.astype(wanted)

        return gather

    return [(name, make(array, specs[name])) for name, array in arrays.items()]


class StreamBatches:
    """One epoch over an iterator of batches, each (x, y) or (x, y, sample_weight)."""

    def __init__(
        self, net: Network, source: Iterator[Any], steps: int | None, accumulate: int
    ) -> None:
        self._net = net
        self._source = source
        self._steps = steps
        self._accumulate = accumulate
        self._next = 0
        self.count: int | None = steps

    def get(self, index: int) -> list[Batch] | None:
        """The next update; earlier ones are skipped when a run goes on mid-epoch."""
        while self._next < index:
            self._take()
        if self._steps is not None and index >= self._steps:
            return None
        return self._take()

    def _take(self) -> list[Batch] | None:
        self._next += 1
        parts: list[Data] = []
        for item in self._source:
            parts.append(as_data(self._net, *_unpacked(item)))
            if parts[-1].rows == 0:
                raise DataError(f"batch {self._next} from the source of batches has no rows")
            if len(parts) == self._accumulate:
                break
        if not parts:
            if self._next == 1:
                raise DataError(
                    "the source of batches gave none: it is empty or used up. Give a function that "
                    "returns a new iterator for each epoch"
                )
            return None
        total = sum(d.rows if d.weight is None else float(d.weight.sum()) for d in parts)
        made = [ArrayBatches(self._net, d, None, d.rows).get(0) for d in parts]
        return [part[0]._replace(total=float(total)) for part in made if part]


def _unpacked(item: Any) -> tuple[Any, Any, Any]:
    if hasattr(item, "x") and hasattr(item, "y"):
        return item.x, item.y, getattr(item, "sample_weight", None)
    if not isinstance(item, tuple | list) or len(item) not in (2, 3):
        raise DataError("a batch from a generator is (x, y) or (x, y, sample_weight)")
    return item[0], item[1], item[2] if len(item) == 3 else None


class Data:
    """Inputs, targets (as the losses want them) and weights that belong together, by name."""

    def __init__(
        self, inputs: dict[str, Array], targets: dict[str, Array], weight: Array | None
    ) -> None:
        self.inputs, self.targets, self.weight = inputs, targets, weight
        self.rows = len(next(iter(inputs.values())))


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
    if class_weight is not None:
        weight = class_weights(class_weight, next(iter(targets.values())), weight)
    if weight is not None:
        check_spread(weight, net.dtype)
    return Data(inputs, targets, weight)


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


def class_weights(class_weight: Any, targets: Array, weight: Array | None) -> Array:
    """Row weights from class weights: a dict or sequence by class index, or "balanced".

    "balanced" gives class c the weight n / (K·n_c), so every class counts the same in total.
    """
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


def shuffled(net: Network, rows: Array | int, epoch: int) -> Array:
    """The order of an epoch: it depends on the seed and the epoch, on nothing that came before."""
    base = np.arange(rows) if isinstance(rows, int) else rows
    return base[Stream(net.seed, "shuffle", step=epoch).permutation(len(base))]


def stream_of(source: Any) -> Iterable[Any]:
    """A source of batches as an iterable that begins anew with each epoch."""
    made: Iterable[Any] = source() if callable(source) else source
    return made


__all__ = ["ArrayBatches", "Data", "StreamBatches", "as_data", "as_inputs", "shuffled"]
