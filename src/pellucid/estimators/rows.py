"""Rows of data as batches of a network: dense, or made dense a batch at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.engine.base import Batch, Batches
from pellucid.network.network import Network
from pellucid.training.batches import ArrayBatches
from pellucid.training.checked import Data

Array = NDArray[Any]
_BLOCK = 2**22  # values of a sparse matrix that are dense at one time


class Rows:
    """Inputs (N, I), targets (N, K) and weights (N,) for a network, in its types.

    `x` may be a sparse matrix, `y` class indices (N,); `weight` is None where every row counts 1.
    """

    def __init__(self, net: Network, x: Any, y: Array, weight: Array | None) -> None:
        self.net, dtype = net, net.dtype
        (self.input,), (self.output,) = net.graph.inputs, net.graph.outputs
        self.x = x if is_sparse(x) else np.ascontiguousarray(x, dtype)
        if y.ndim == 1:
            (classes,) = net.graph.output_specs[self.output].shape
            assert classes is not None
            y = y[:, None] == np.arange(classes)
        self.y: Array = np.ascontiguousarray(y, dtype)
        self._arrays = {self.input: self.x}, {self.output: self.y}  # engines know these by identity
        self.weight = None if weight is None else weight.astype(np.float64, copy=False)
        self.count = len(self.y)

    def epoch(self, order: Array | None, size: int, weight: Array | None) -> Batches:
        """Batches of so many rows, in an order (None: as they lie), with these weights."""
        if is_sparse(self.x):
            return SparseBatches(self, order, size, weight)
        return ArrayBatches(self.net, Data(*self._arrays, weight), order, size)

    def batch(self, pick: Array | slice, weight: Array | None, total: float | None = None) -> Batch:
        """Some rows, as a batch or as a part of one whose Σw is `total`."""
        y = self.y[pick]
        chosen = None if weight is None else weight[pick]
        share = float(len(y)) if chosen is None else float(chosen.sum())
        return Batch(
            {self.input: dense(self.x, pick, self.net.dtype)}, {self.output: y},
            None if chosen is None else chosen.astype(self.net.dtype, copy=False),
            len(y), share, share if total is None else total,
        )  # fmt: skip

    def whole(self) -> list[Batch]:
        """All rows as one batch, in parts where all of them at once would be too many."""
        size = block_rows(self.x) or max(self.count, 1)
        total = float(self.count) if self.weight is None else float(self.weight.sum())
        return [
            self.batch(slice(start, min(start + size, self.count)), self.weight, total)
            for start in range(0, self.count, size)
        ]


class SparseBatches:
    """An epoch over the rows of a sparse matrix, made dense a batch at a time."""

    def __init__(self, rows: Rows, order: Array | None, size: int, weight: Array | None) -> None:
        self._rows, self._order, self._size, self._weight = rows, order, size, weight
        self._count = rows.count if order is None else len(order)

    def get(self, index: int) -> list[Batch] | None:
        """Update `index` of the epoch; None at the end."""
        start = index * self._size
        if start >= self._count:
            return None
        span = slice(start, min(start + self._size, self._count))
        return [self._rows.batch(span if self._order is None else self._order[span], self._weight)]


def is_sparse(x: Any) -> bool:
    """Whether it is a sparse matrix and not an array."""
    return hasattr(x, "toarray")


def dense(x: Any, pick: Array | slice, dtype: Any) -> Array:
    """Some rows of an array or a sparse matrix, as an array of numbers of this type."""
    found = x[pick]
    return np.ascontiguousarray(found.toarray() if is_sparse(found) else found, dtype)


def block_rows(x: Any) -> int | None:
    """How many rows of a sparse matrix are made dense together; None for arrays."""
    return max(_BLOCK // max(x.shape[1], 1), 1) if is_sparse(x) else None
