"""Where the batches of networks that train together come from: each gathered once, for all.

A feed has a source for every network (what it alone would train on: rows, validation, steps an
epoch), and gives an epoch as blocks: the batches of some updates, for each network its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pellucid.engine.base import Batch, Batches
from pellucid.errors import DataError, OptionError, PellucidError, ShapeError
from pellucid.layers.base import shape_text
from pellucid.network.arrays import as_array
from pellucid.network.network import Network
from pellucid.training.batches import StreamBatches
from pellucid.training.checked import Data, as_data
from pellucid.training.sources import (
    ArraySource,
    Source,
    StreamSource,
    build_from_stream,
    unpacked,
)

Array = NDArray[Any]
Block = tuple[int, Sequence[Batches]]  # the number of its first update; each network's batches
_BYTES = 2**20  # of gathered rows, so that they are still in the cache for the last network
_UPDATES = 1024  # of each network before the next has its turn


class Feed(Protocol):
    """What networks that train together are fed with."""

    @property
    def sources(self) -> Sequence[Source]:
        """What each network alone would train on."""

    def blocks(self, epoch: int, start: int) -> Iterator[Block]:
        """An epoch, from the block on in which update `start` falls."""


class RowFeed:
    """Rows of arrays; targets too, or a function that gives them."""

    def __init__(
        self, nets: Sequence[Network], x: Any, y: Any, weight: Any, class_weight: Any,
        ready: Callable[[Network], object],
    ) -> None:  # fmt: skip
        self._nets, self._teacher = nets, y if callable(y) else None
        if self._teacher is not None and (weight is not None or class_weight is not None):
            raise OptionError(
                "sample_weight and class_weight go with targets that are arrays, not with a "
                "function of x"
            )
        taught = self._teacher is not None
        x, y, weight = unpacked(x, None if taught else y, weight)
        if not isinstance(x, Mapping | list | tuple):
            x = as_array(x, "x")  # once: all look at the same array
        prepare(nets, lambda net: net.inputs_for(x), ready)
        self._data: list[Data] = []
        for i, (net, like) in enumerate(zip(nets, _alike(nets), strict=True)):
            with naming(i):
                if like != i:
                    data = self._data[like]
                elif taught:
                    data = Data(net.inputs_for(x), {}, None)
                else:
                    data = as_data(net, x, y, weight, class_weight)
            self._data.append(data)

    def open(
        self, validation: Any, how: str, size: int, shuffle: bool, accumulate: int, seed: int
    ) -> None:
        """Makes every network's source: the same rows in the same order."""
        self.sources: list[ArraySource] = []
        self._step = size * accumulate
        given = _validation(validation)
        for i, (net, data) in enumerate(zip(self._nets, self._data, strict=True)):
            like = next((s for s in self.sources if s.data is data), None)
            like = like or (self.sources[0] if i else None)
            with naming(i):
                source = ArraySource(net, data, given, how, size, shuffle, accumulate, seed, like)
            self.sources.append(source)
        held = self.sources[0].held
        if self._teacher is not None and held is not None:
            gathered: dict[int, Array] = {}
            parts = [_part(data, held, gathered) for data in self._data]
            for source, part in zip(self.sources, self._with_targets(parts), strict=True):
                source.validation = part

    def blocks(self, epoch: int, start: int) -> Iterator[Block]:
        """The rows of some updates at a time."""
        source = self.sources[0]
        order, rows = source.order(epoch), source.rows or 0
        updates = min(max(_BYTES // (self._row() * self._step), 1), _UPDATES)
        edges = [*range(0, rows, updates * self._step), rows]
        if len(edges) > 2 and edges[-1] - edges[-2] == 1:
            del edges[-2]  # a remainder of one may have to join the batch before it
        for k in range(len(edges) - 1):
            if (k + 1) * updates <= start and k < len(edges) - 2:
                continue
            pick: Any = slice(edges[k], edges[k + 1])
            pick = pick if order is None else order[pick]
            gathered: dict[int, Array] = {}
            parts = [_part(data, pick, gathered) for data in self._data]
            if self._teacher is not None:
                parts = self._with_targets(parts)
            pairs = zip(self.sources, parts, strict=True)
            yield k * updates, [source.cut(part) for source, part in pairs]

    def _row(self) -> int:
        """Bytes of a row of every array that some network reads."""
        arrays = {id(a): a for data in self._data for a in data.arrays()}
        return max(sum(a[:1].nbytes for a in arrays.values()), 1)

    def _with_targets(self, parts: Sequence[Data]) -> list[Data]:
        """The same rows with the teacher's targets, asked once."""
        y, made = None, []
        for i, (net, part) in enumerate(zip(self._nets, parts, strict=True)):
            x = next(iter(part.inputs.values())) if len(part.inputs) == 1 else part.inputs
            y = taught(self._teacher, x, part.rows) if y is None else y
            with naming(i):
                made.append(as_data(net, x, y))
        return made


class ItemFeed:
    """Batches from an iterable that begins anew each epoch, or a function giving an iterator."""

    def __init__(
        self, nets: Sequence[Network], x: Any, y: Any, weight: Any, class_weight: Any,
        ready: Callable[[Network], object],
    ) -> None:  # fmt: skip
        if weight is not None or class_weight is not None:
            raise OptionError("weights come with each batch: (x, y, sample_weight)")
        if y is not None and not callable(y):
            raise OptionError("a generator's batches bring their targets: leave y out")
        self._nets, self._x, self._teacher = nets, x, y
        prepare(nets, lambda net: build_from_stream(net, self._bare if y is not None else x), ready)

    def _bare(self) -> Iterator[Any]:
        """The batches as (x, nothing)."""
        made = self._x() if callable(self._x) else self._x
        return ((_inputs_of(item), None) for item in made)

    def open(self, validation: Any, steps: int | None, accumulate: int) -> None:
        """Makes every network's source; only the first one's iterator is used, for all."""
        self._steps, self._accumulate = steps, accumulate
        given = _validation(validation)
        self._like = _alike(self._nets)
        self.sources: list[StreamSource] = []
        for i, net in enumerate(self._nets):
            with naming(i):
                x = () if i else self._x
                self.sources.append(StreamSource(net, x, given, steps, accumulate))

    def blocks(self, epoch: int, start: int) -> Iterator[Block]:
        """The batches of one update at a time."""
        items, update = self.sources[0].items(epoch), 0
        while self._steps is None or update < self._steps:
            some = list(islice(items, self._accumulate))
            if not some and update:
                return
            if update >= start:
                given = some if self._teacher is None else [self._taught(item) for item in some]
                made: dict[int, Batches] = {}
                for place, net in enumerate(self._nets):
                    if place == self._like[place]:
                        with naming(place):
                            made[place] = _Once(net, given)
                yield update, [made[place] for place in self._like]
            update += 1

    def _taught(self, item: Any) -> Any:
        x = _inputs_of(item)
        rows = len(next(iter(x.values()))) if isinstance(x, Mapping) else len(x)
        return x, taught(self._teacher, x, rows)


def prepare(
    nets: Sequence[Network], build: Callable[[Network], object], ready: Callable[[Network], object]
) -> None:
    """Builds every network, sees that all take the same rows, and makes each ready to train."""
    for i, net in enumerate(nets):
        with naming(i):
            build(net)
    _check_inputs(nets)
    for i, net in enumerate(nets):
        with naming(i):
            ready(net)


@contextmanager
def naming(number: int) -> Iterator[None]:
    """Puts the number of the network in front of what an error says."""
    try:
        yield
    except PellucidError as error:
        raise type(error)(f"networks[{number}]: {error}") from error


def taught(teacher: Any, x: Any, rows: int) -> Any:
    """A teacher's targets for some rows."""
    y = teacher(x)
    if not isinstance(y, Mapping | list | tuple) and np.shape(y)[:1] != (rows,):
        raise DataError(
            f"y gave targets of shape {np.shape(y)} for {rows} rows: it is a function of the "
            "inputs of some rows, and gives the targets of each"
        )
    return y


def _validation(validation: Any) -> Any:
    """Data to validate on, its targets from the teacher where ``(x, teacher)`` asks for it."""
    if isinstance(validation, tuple) and len(validation) == 2 and callable(validation[1]):
        return validation[0], validation[1](validation[0])
    return validation


def _inputs_of(item: Any) -> Any:
    """The inputs of a batch that is x, (x, y) or a Dataset."""
    if hasattr(item, "x") and hasattr(item, "y") and not hasattr(item, "__array__"):
        return item.x
    return item[0] if isinstance(item, tuple) else item


def _check_inputs(nets: Sequence[Network]) -> None:
    """All are fed the same rows, so all take rows of one shape."""
    first = nets[0].graph.inputs
    for i, net in enumerate(nets):
        mine = net.graph.inputs
        if len(mine) != len(first) or (len(first) > 1 and list(mine) != list(first)):
            raise ShapeError(
                f"networks[{i}] has the inputs {list(mine)}, networks[0] {list(first)}: networks "
                "that learn together are fed the same arrays"
            )
        for (name, one), other in zip(mine.items(), first.values(), strict=True):
            sizes = one.shape, other.shape
            fits = one.dtype == other.dtype and len(one.shape) == len(other.shape)
            if not fits or any(
                None not in pair and pair[0] != pair[1] for pair in zip(*sizes, strict=True)
            ):
                raise ShapeError(
                    f"networks[{i}] takes {name!r} as {shape_text(one.shape)} ({one.dtype}), "
                    f"networks[0] as {shape_text(other.shape)} ({other.dtype}): networks that "
                    "learn together are fed the same rows"
                )


class _Once:
    """The batches of one update, made ready once for every network that needs them alike."""

    def __init__(self, net: Network, items: Sequence[Any]) -> None:
        self._parts = StreamBatches(net, iter(items), 1, len(items) or 1).get(0)

    def get(self, index: int) -> list[Batch] | None:
        """The parts of the update, and then no more."""
        return self._parts if index == 0 else None


def _alike(nets: Sequence[Network]) -> list[int]:
    """For each network the first one whose data, once checked, will do for it too."""
    return [
        next(j for j, other in enumerate(nets) if j == i or _same_needs(net, other))
        for i, net in enumerate(nets)
    ]


def _same_needs(net: Network, other: Network) -> bool:
    """Whether data checked for one network is checked for another."""
    return (
        net.dtype == other.dtype
        and net.graph.inputs == other.graph.inputs
        and net.losses == other.losses
        and net.graph.output_specs == other.graph.output_specs
    )


def _part(data: Data, pick: Any, gathered: dict[int, Array]) -> Data:
    """Some rows of the data, each array's gathered once for all networks."""

    def rows_of(array: Array) -> Array:
        if id(array) not in gathered:
            plain = array.flags.c_contiguous and array.dtype.isnative
            sliced = isinstance(pick, slice) or not plain
            gathered[id(array)] = np.asarray(array[pick] if sliced else array.take(pick, axis=0))
        return gathered[id(array)]

    inputs = {name: rows_of(array) for name, array in data.inputs.items()}
    targets = {name: rows_of(array) for name, array in data.targets.items()}
    return Data(inputs, targets, None if data.weight is None else rows_of(data.weight))
