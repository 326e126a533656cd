"""Batches: which rows make which update, gathered when they are needed.

Data stays where it is, on disk too; an epoch is an order of row numbers, cut into pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.engine.base import Batch, RowBatches, weight_of
from pellucid.errors import DataError
from pellucid.layers.base import Spec
from pellucid.network.network import Network
from pellucid.random import Stream
from pellucid.training.checked import Data, as_data

Array = NDArray[Any]


def shuffled(net: Network, rows: Array | int, epoch: int, seed: int | None = None) -> Array:
    """The order of an epoch: it depends on the seed and the epoch, on nothing that came before."""
    base = np.arange(rows) if isinstance(rows, int) else rows
    seed = net.seed if seed is None else seed
    return base[Stream(seed, "shuffle", step=epoch).permutation(len(base))]


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
        self._data = data
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
        cuts = np.arange(0, max(rows, 1), size)
        if join_single and len(cuts) > 1 and rows - cuts[-1] == 1:
            cuts = cuts[:-1]
        self._cuts: Array = np.append(cuts if rows else cuts[:0], rows)
        self._accumulate = accumulate
        self.count = -(-(len(self._cuts) - 1) // accumulate)

    @property
    def whole(self) -> RowBatches:
        """The whole epoch as plain data, for engines that gather rows themselves."""
        data = self._data
        together = min(self._accumulate, max(len(self._cuts) - 1, 1))
        return RowBatches(data.inputs, data.targets, data.weight, self._order, self._cuts, together)

    def get(self, index: int) -> list[Batch] | None:
        """Update `index` of the epoch, as its parts; None at the end."""
        if index >= self.count:
            return None
        first = index * self._accumulate
        cuts = self._cuts[first : first + self._accumulate + 1].tolist()
        spans = list(pairwise(cuts))
        shares = [weight_of(self._weight, self._order, a, b) for a, b in spans]
        total = sum(shares)
        return [self._gather(self._pick(*s), w, total) for s, w in zip(spans, shares, strict=True)]

    def _pick(self, start: int, stop: int) -> Any:
        return slice(start, stop) if self._order is None else self._order[start:stop]

    def _gather(self, pick: Any, share: float, total: float) -> Batch:
        weight = None if self._weight is None else self._weight[pick].astype(self._dtype)
        rows = pick.stop - pick.start if isinstance(pick, slice) else len(pick)
        inputs = {name: gather(pick) for name, gather in self._inputs}
        targets = {name: gather(pick) for name, gather in self._targets}
        return Batch(inputs, targets, weight, rows, share, total)


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
        made = [ArrayBatches(self._net, d, None, d.rows).get(0) for d in parts]
        batches = [part[0] for part in made if part]
        total = sum(batch.share for batch in batches)
        return [batch._replace(total=total) for batch in batches]


def _unpacked(item: Any) -> tuple[Any, Any, Any]:
    if hasattr(item, "x") and hasattr(item, "y"):
        return item.x, item.y, getattr(item, "sample_weight", None)
    if not isinstance(item, tuple | list) or len(item) not in (2, 3):
        raise DataError("a batch from a generator is (x, y) or (x, y, sample_weight)")
    return item[0], item[1], item[2] if len(item) == 3 else None
