"""Using averaged weights: in a copy, in validation, and at the end of a run.

An optimizer with ``average=EMA(...)`` or ``SWA(...)`` keeps the average beside the weights, and
training goes on with the weights themselves. Here the average takes their place. Running
statistics belong to the weights they were measured with, so under batch normalisation they are
measured anew.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.description import checked_options
from pellucid.engine.base import Arrays, Batch
from pellucid.engine.numpy import NumpyProgram
from pellucid.errors import DataError, OptionError
from pellucid.events import Observer, RunEnd, RunStart
from pellucid.network.graph import Graph
from pellucid.network.network import Network
from pellucid.training.loop import Run

Array = NDArray[Any]


@checked_options("averaged")
def averaged(net: Network, x: Any = None, *, batch_size: int = 32) -> Network:
    """A copy of the network whose weights are their averages, to predict, evaluate and save.

    Parameters
    ----------
    net : Network
        Trained by an optimizer with ``average=``. It is not changed.
    x : array or dict of arrays, optional
        Rows on which layers such as BatchNorm measure their statistics anew (`measure`). Without
        them the copy has the statistics of the last weights, which suits an EMA and not an SWA.
    batch_size : int
        Rows of one batch in that.

    Where nothing has been averaged yet (a later `start`, a layer that is not trained), the weight
    itself stays.

    >>> from pellucid import Adam, Dense, EMA, MSE, Network
    >>> net = Network([Dense(1)], loss=MSE(), optimizer=Adam(0.1, average=EMA(0.9)))
    >>> record = net.fit(np.ones((8, 2)), np.ones((8, 1)), epochs=3, progress=False)
    >>> averaged(net).evaluate(np.ones((8, 2)), np.ones((8, 1)))["loss"] > 0
    True
    """
    _check_average(net)
    twin = net.copy()
    twin.parameters.vector[...] = _averages(net)
    return twin if x is None else measure(twin, x, batch_size=batch_size)


@checked_options("measure")
def measure(net: Network, x: Any, *, batch_size: int = 32) -> Network:
    """Measures the running statistics of BatchNorm and its like anew, on all rows of `x`.

    Every batch goes forward as in training; the statistics become the mean over the batches, each
    by its rows. That is what a running mean forgets; weights that were not trained step by step
    (averaged, or set by hand) need it.
    """
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise OptionError(f"batch_size is a whole number of 1 or more, not {batch_size!r}")
    arrays = net.inputs_for(x)
    rows = len(next(iter(arrays.values())))
    if not rows:
        raise DataError("x has no rows: there is nothing to measure")
    cuts = [*range(0, rows, batch_size), rows]
    if len(cuts) > 2 and cuts[-1] - cuts[-2] == 1:  # a single row has no variance
        cuts.pop(-2)
    parts = ({k: a[i:j] for k, a in arrays.items()} for i, j in pairwise(cuts))
    net.state.vector[...] = _statistics(net, (net.converted(part) for part in parts))
    return net


class AveragedWeights(Observer):
    """Lets a run look at its optimizer's averages: validation, early stopping, and the end.

    The validation columns of the record (and the penalty) are those of the averaged weights,
    `EarlyStopping` keeps the best of these, and when the run is over they are the network's.
    Training itself goes on with the weights as they are, and so does ``fit(..., resume=True)``;
    what a `Checkpoint` holds as its network are the weights, and `averaged` finds the averages
    there.

    Parameters
    ----------
    x : array or dict of arrays, optional
        Rows on which layers such as BatchNorm measure their statistics anew, before each
        validation and at the end; by default the batches of the epoch.

    >>> net.fit(train, validation=test, optimizer=Adam(1e-3, average=EMA(0.999)),
    ...         callbacks=[AveragedWeights()])                    # doctest: +SKIP
    """

    @checked_options("AveragedWeights")
    def __init__(self, x: Any = None) -> None:
        self._x = x
        self.vectors: dict[str, Array] = {}  # parameters and state, as validated last
        self._moment = -1  # the update they belong to

    def on_run_start(self, event: RunStart) -> None:
        run = event.run
        _check_average(run.net)
        stream = not hasattr(run.batches_of(run.state.epoch), "whole")
        if stream and self._x is None and _measuring(run.net):
            raise OptionError(
                "AveragedWeights measures batch statistics anew, and batches from a generator "
                "may pass only once: AveragedWeights(x=some rows)"
            )
        self.vectors, self._moment = {}, -1
        inner = run.finish_row

        def finish_row() -> dict[str, float]:
            with self._in_place(run):
                return inner()

        run.finish_row = finish_row

    def on_run_end(self, event: RunEnd) -> None:
        run = event.run
        if event.reason == "diverged" or any(getattr(o, "restores", False) for o in run.observers):
            return
        self._find(run)
        run.net.parameters.vector[...] = self.vectors["parameters"]
        run.net.state.vector[...] = self.vectors["state"]

    @contextmanager
    def _in_place(self, run: Run) -> Iterator[None]:
        """The averages as the network's weights, for a while."""
        net = run.net
        before = net.parameters.vector.copy(), net.state.vector.copy()
        self._find(run)
        net.parameters.vector[...] = self.vectors["parameters"]
        net.state.vector[...] = self.vectors["state"]
        try:
            yield
        finally:
            net.parameters.vector[...], net.state.vector[...] = before

    def _find(self, run: Run) -> None:
        """The averages after the latest update, and statistics measured with them."""
        net = run.net
        if self._moment == net.updates:
            return
        kept = net.parameters.vector.copy()
        net.parameters.vector[...] = _averages(net)
        state = net.state.vector.copy()
        try:
            if net.slots["samples"].any() and _measuring(net):
                if self._x is not None:
                    measure(net, self._x)
                    state, net.state.vector[...] = net.state.vector.copy(), state
                else:
                    state = _statistics(net, _inputs(run))
            self.vectors = {"parameters": net.parameters.vector.copy(), "state": state}
            self._moment = net.updates
        finally:
            net.parameters.vector[...] = kept


def _check_average(net: Network) -> None:
    if net.optimizer is None or net.optimizer.average is None:
        raise OptionError(
            f"no average of the weights is kept: {net.optimizer!r} has none. Give the optimizer "
            "one: Adam(1e-3, average=EMA(0.999))"
        )


def _averages(net: Network) -> Array:
    """The averaged weights; the weights themselves where nothing has been averaged."""
    slots = net.slots
    return np.where(slots["samples"] > 0, slots["average"], net.parameters.vector)


def _inputs(run: Run) -> Iterator[Arrays]:
    """The inputs of every batch of the epoch under way."""
    batches, index = run.batches_of(run.state.epoch), 0
    while (parts := batches.get(index)) is not None:
        yield from (batch.inputs for batch in parts)
        index += 1


def _measuring(net: Network) -> list[str]:
    """The owners of statistics that are running means over batches."""
    return [
        owner
        for owner, node in net.graph.owners().items()
        if node.layer is not None
        and node.layer.batch_statistics
        and any(field.name == "momentum" for field in dataclasses.fields(node.layer))
    ]


def _statistics(net: Network, batches: Iterable[Arrays]) -> Array:
    """The state with running statistics that are means over these batches.

    In a twin whose momentum is 0, what a batch leaves behind is its own statistics.
    """
    owners = _measuring(net)
    if not owners:
        return net.state.vector.copy()
    nodes = tuple(
        dataclasses.replace(node, layer=node.layer.replace(momentum=0.0))
        if node.owner in owners and node.layer is not None
        else node
        for node in net.graph.nodes
    )
    twin = Network(Graph(nodes, net.graph.outputs), seed=net.seed, dtype=net.dtype.name)
    twin.parameters.vector[...] = net.parameters.vector
    twin.state.vector[...], twin.updates = net.state.vector, net.updates
    program = NumpyProgram(twin)
    found = [name for name in twin.state if name.rpartition("/")[0] in owners]
    sums = {name: np.zeros(twin.state[name].shape) for name in found}
    total = 0
    for part, inputs in enumerate(batches):
        rows = len(next(iter(inputs.values())))
        program.begin()
        for name in found:
            program.pending[name][...] = 0
        with np.errstate(all="ignore"):
            program.forward(Batch(inputs, {}, None, rows, float(rows), float(rows)), part)
        for name in found:
            sums[name] += rows * program.pending[name].astype(np.float64)
        total += rows
    for name in found:
        twin.state[name] = sums[name] / max(total, 1)
    return twin.state.vector
