"""Where a run's batches come from: arrays, or an iterable that gives them.

A source knows how to make the batches of an epoch, how many rows and updates that is, and what to
validate on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pellucid.data.dataset import split_indices
from pellucid.engine.base import Batches
from pellucid.errors import DataError, OptionError, ShapeError
from pellucid.network.network import Network
from pellucid.training.batches import ArrayBatches, StreamBatches, shuffled
from pellucid.training.checked import Data, as_data

Array = NDArray[Any]


class Source(Protocol):
    """What a run trains on; `rows` and `steps_per_epoch` are None where nobody knows."""

    rows: int | None
    steps_per_epoch: int | None
    validation: Data | None

    def batches(self, epoch: int) -> Batches:
        """The batches of an epoch, counted from 0."""


class ArraySource:
    """Arrays, shuffled anew each epoch, with some rows held out if a fraction is asked for.

    The order and the rows held out come from `seed`. `like` is the source of another network that
    learns from the same rows beside this one.
    """

    def __init__(
        self, net: Network, data: Data, validation: Any, validation_rows: str, batch_size: int,
        shuffle: bool, accumulate: int, seed: int, like: ArraySource | None = None,
    ) -> None:  # fmt: skip
        if data.rows == 0:
            raise DataError("x has no rows: there is nothing to learn from")
        self._net, self.data, self._size = net, data, batch_size
        self._seed, self._shuffle, self._accumulate = seed, shuffle, accumulate
        self.kept: Array | None
        self.held: Array | slice | None
        self.validation: Data | None
        if like is not None:
            self.kept, self.held = like.kept, like.held
        else:
            self.kept, self.held = _split(data, validation, validation_rows, self._seed)
        if like is not None and like.data is data:
            self.validation = like.validation
        elif self.held is not None:
            self.validation = data.part(self.held)
        else:
            self.validation = _validation_data(net, validation)
        adapt_layers(net, data.inputs, self.kept)
        layers = [node.layer for node in net.graph.nodes if node.layer is not None]
        self._join_single = any(layer.batch_statistics for layer in layers)
        self.rows: int | None = data.rows if self.kept is None else len(self.kept)
        self.steps_per_epoch: int | None = self.cut(data, self.kept).count

    def order(self, epoch: int) -> Array | None:
        """The rows to train on in the order of this epoch; None: all, from first to last."""
        if not self._shuffle:
            return self.kept
        rows = self.data.rows if self.kept is None else self.kept
        return shuffled(self._net, rows, epoch, self._seed)

    def batches(self, epoch: int) -> ArrayBatches:
        """The rows in the order of this epoch."""
        return self.cut(self.data, self.order(epoch))

    def cut(self, data: Data, order: Array | None = None) -> ArrayBatches:
        """Some rows, in their order, as batches."""
        return ArrayBatches(
            self._net, data, order, self._size, accumulate=self._accumulate,
            join_single=self._join_single,
        )  # fmt: skip


class StreamSource:
    """Batches from an iterable that begins anew each epoch, or a function giving an iterator."""

    def __init__(
        self, net: Network, source: Any, validation: Any, steps: int | None, accumulate: int
    ) -> None:
        self._net, self._source, self._accumulate = net, source, accumulate
        self._once: Iterator[Any] | None = iter(source) if hasattr(source, "__next__") else None
        self._first_epoch: int | None = None
        self.rows: int | None = None
        self.steps_per_epoch = steps
        self.validation = _validation_data(net, validation)

    def batches(self, epoch: int) -> StreamBatches:
        """The batches of a new iterator, or of the only one where it can go on."""
        return StreamBatches(self._net, self.items(epoch), self.steps_per_epoch, self._accumulate)

    def items(self, epoch: int) -> Iterator[Any]:
        """The batches as the user gives them, from where `batches` would begin."""
        self._first_epoch = epoch if self._first_epoch is None else self._first_epoch
        if self._once is not None and self.steps_per_epoch is None and epoch > self._first_epoch:
            raise DataError(
                "a one-time iterator is used up after one epoch: pass a function that returns a "
                "new one, or steps_per_epoch"
            )
        return iter(_stream_of(self._source)) if self._once is None else self._once


def is_stream(x: Any, y: Any) -> bool:
    """Whether `x` gives batches rather than rows."""
    if y is not None or hasattr(x, "x") or isinstance(x, np.ndarray | Mapping | list | tuple):
        return False
    return callable(x) or (hasattr(x, "__iter__") and not hasattr(x, "__array__"))


def _stream_of(source: Any) -> Iterable[Any]:
    made: Iterable[Any] = source() if callable(source) else source
    return made


def build_from_stream(net: Network, source: Any) -> None:
    """Looks at the first batch of a source that can be asked again."""
    if net.built:
        return
    if hasattr(source, "__next__"):
        raise DataError(
            "a one-time iterator cannot tell the input shape without losing its first batch: "
            "Network(layers, inputs=shape), or pass a function that returns the iterator"
        )
    first = next(iter(_stream_of(source)), None)
    if first is None:
        raise DataError("the source of batches is empty")
    net.inputs_for(first.x if hasattr(first, "x") else first[0])


def unpacked(x: Any, y: Any, sample_weight: Any) -> tuple[Any, Any, Any]:
    """x, y and weights out of a Dataset (a table may have columns called x and y, too)."""
    if y is None and hasattr(x, "x") and hasattr(x, "y") and not hasattr(x, "__array__"):
        weight = getattr(x, "sample_weight", None)
        return x.x, x.y, weight if sample_weight is None else sample_weight
    return x, y, sample_weight


def adapt(net: Network, x: Any) -> Network:
    """Lets layers such as Standardize learn their statistics from `x`, anew."""
    arrays = net.inputs_for(x)
    for node in net.graph.nodes:
        if node.layer is not None and node.layer.adapts:
            net.state[f"{node.owner}/count"][...] = 0
    adapt_layers(net, arrays, None)
    return net


def adapt_layers(net: Network, inputs: Mapping[str, Array], order: Array | None) -> None:
    """Adapts every layer that wants to see the data first and has not, in blocks of rows."""
    rows = len(next(iter(inputs.values())))
    picks = range(rows) if order is None else order
    for node in net.graph.nodes:
        layer = node.layer
        if layer is None or not layer.adapts or net.state[f"{node.owner}/count"] > 0:
            continue
        source = net.graph.nodes[node.inputs[0].node].name

        def blocks(source: str = source) -> Iterator[Array]:
            for start in range(0, len(picks), 1024):
                pick = picks[start : start + 1024]
                chosen = slice(pick[0], pick[-1] + 1) if isinstance(pick, range) else pick
                batch = net.converted({name: a[chosen] for name, a in inputs.items()})
                yield net.program.infer(batch, [source])[source]

        for name, value in layer.adapt(blocks()).items():
            net.state[f"{node.owner}/{name}"] = value


def _validation_data(net: Network, validation: Any) -> Data | None:
    if validation is None:
        return None
    if isinstance(validation, bool):
        raise OptionError(f"validation is a Dataset, (x, y) or a fraction, not {validation}")
    if isinstance(validation, int | float):
        raise DataError("batches from a generator cannot be split: give validation=(x, y)")
    if isinstance(validation, tuple | list) and len(validation) in (2, 3):
        parts = tuple(validation)
    elif hasattr(validation, "x"):
        parts = unpacked(validation, None, None)
    else:
        raise OptionError(
            f"validation is a Dataset, (x, y) or a fraction, not {type(validation).__name__}"
        )
    try:
        data = as_data(net, *parts)
    except (DataError, ShapeError) as error:
        raise type(error)(f"validation: {error}") from None
    if data.rows == 0:
        raise DataError("the validation data has no rows")
    return data


def _split(
    data: Data, validation: Any, how: str, seed: int
) -> tuple[Array | None, Array | slice | None]:
    """The rows to train on (None: all) and those held out, where a fraction is asked for."""
    if isinstance(validation, bool) or not isinstance(validation, int | float):
        return None, None
    if how not in ("random", "last"):
        raise OptionError(f"validation_rows is 'random' or 'last', not {how!r}")
    target = next(iter(data.targets.values()), np.zeros(0))
    classes = len(data.targets) == 1 and target.ndim == 1 and target.dtype.kind in "iu"
    rows, held = split_indices(
        target if classes else data.rows, float(validation), stratify=classes and how != "last",
        seed=seed, last=how == "last",
    )  # fmt: skip
    return rows, slice(int(held[0]), int(held[-1]) + 1) if how == "last" else held
