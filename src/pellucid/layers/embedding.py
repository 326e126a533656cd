"""Embedding: a table with one learnt row for every word, user or category.

Looking up row i is a product with the one-hot row eᵢ, written without the zeros::

    y = eᵢ W = W[i]

so the gradient of the table has the rows of dy, each at its own index, and what is used several
times gets the sum of what comes back from each::

    dW[i] = Σ over all places with index i of dy at that place

The indices are integers and have no gradient.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pellucid.description import number
from pellucid.errors import DataError
from pellucid.initializers import Initializer, Uniform, as_initializer
from pellucid.layers.base import (
    Array,
    Cache,
    Layer,
    ParameterSpec,
    Spec,
    Views,
    rows,
    single,
)


@dataclass(frozen=True, repr=False)
class Embedding(Layer):
    """Integer indices to rows of a table: (B, ...) → (B, ..., output_dim).

    Parameters
    ----------
    input_dim : int
        Rows of the table; indices go from 0 to input_dim − 1. Alias: num_embeddings.
    output_dim : int
        Length of a row. Alias: embedding_dim.
    embeddings_initializer : Initializer or str
        By default uniform in ±0.05, as in Keras.

    Parameters in the network: ``W`` (input_dim, output_dim). An index out of range, negative ones
    included, is a DataError that says where it stands.
    """

    input_dim: int
    output_dim: int
    embeddings_initializer: Initializer | str = Uniform(-0.05, 0.05)

    aliases: ClassVar[dict[str, str]] = {
        "num_embeddings": "input_dim",
        "embedding_dim": "output_dim",
        "initializer": "embeddings_initializer",
    }
    takes_integers: ClassVar[bool] = True
    initialization: ClassVar[str | None] = "glorot"
    unit_axis: ClassVar[int] = 0

    def __post_init__(self) -> None:
        number(self, "input_dim", at_least=1, integer=True)
        number(self, "output_dim", at_least=1, integer=True)

    def output_spec(self, *inputs: Spec) -> Spec:
        return Spec((*single(inputs, self).shape, self.output_dim))

    def parameter_specs(self, *inputs: Spec) -> dict[str, ParameterSpec]:
        shape = (self.input_dim, self.output_dim)
        start = as_initializer(self.embeddings_initializer)
        return {"W": ParameterSpec(shape, start, fans=shape)}

    def forward(self, x: Array, p: Views, cache: Cache) -> Array:
        if x.dtype.kind not in "iu":
            raise DataError(f"{self!r} looks up whole numbers, not {x.dtype}")
        if x.size and (x.min() < 0 or x.max() >= self.input_dim):
            where = tuple(int(i) for i in np.argwhere((x < 0) | (x >= self.input_dim))[0])
            raise DataError(
                f"{self!r}: index {x[where]} at position {where} is not in 0 … {self.input_dim - 1}"
            )
        cache.x = x
        y: Array = p.W[x]
        return y

    def backward(self, dy: Array, p: Views, dp: Views, cache: Cache) -> None:
        # `dp.W[x] += dy` would keep only the last of several equal indices: sort, then sum the runs
        index = cache.x.ravel()
        if not index.size:
            return
        order = np.argsort(index, kind="stable")
        index = index[order]
        first = np.flatnonzero(np.concatenate([[True], index[1:] != index[:-1]]))
        dp.W[index[first]] += np.add.reduceat(rows(dy)[order], first, axis=0)
