"""Rows of data as batches of a network: dense, or made dense a batch at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.engine.base import Batch
from pellucid.network.network import Network

Array = NDArray[Any]
Pick = Array | slice
_BLOCK = 2**22  # values of a sparse matrix that are dense at one time


class Rows:
    """Inputs (N, I), targets and weights of a network, converted when they are gathered.

    `x` may be a sparse matrix. `weight` is None where every row counts 1.
    """

    def __init__(self, net: Network, x: Any, y: Array, weight: Array | None) -> None:
        self.net, self.x, self.weight = net, x, weight
        self.y = y if y.dtype.kind == "i" else y.astype(net.dtype, copy=False)
        (self._input,), (self._output,) = net.graph.inputs, net.graph.outputs
        self.count = int(x.shape[0])

    def batch(self, pick: Pick, total: float | None = None) -> Batch:
        """Some rows, as a batch or as a part of one whose Σw is `total`."""
        weight = None if self.weight is None else self.weight[pick]
        y = self.y[pick]
        share = float(len(y)) if weight is None else float(weight.sum())
        return Batch(
            {self._input: dense(self.x, pick, self.net.dtype)}, {self._output: y},
            None if weight is None else weight.astype(self.net.dtype, copy=False),
            len(y), share, share if total is None else total,
        )  # fmt: skip

    def whole(self) -> list[Batch]:
        """All rows as one batch, in parts where all of them at once would be too many."""
        size = block_rows(self.x) or max(self.count, 1)
        total = float(self.count) if self.weight is None else float(self.weight.sum())
        return [
            self.batch(slice(start, min(start + size, self.count)), total)
            for start in range(0, self.count, size)
        ]


def dense(x: Any, pick: Pick, dtype: Any) -> Array:
    """Some rows of an array or a sparse matrix, as an array of numbers of this type."""
    found = x[pick]
    array: Array = found.toarray() if hasattr(found, "toarray") else np.asarray(found)
    return array.astype(dtype, copy=False)


def block_rows(x: Any) -> int | None:
    """How many rows of a sparse matrix are made dense together; None for arrays."""
    return max(_BLOCK // max(x.shape[1], 1), 1) if hasattr(x, "toarray") else None
