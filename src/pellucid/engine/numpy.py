"""The NumPy engine: calls each layer's own forward and backward, in order. The specification.

Read `NumpyProgram.run` first: it is a training step. Every array of a step sits in one list, a
place for each output of each node; `forward` fills the list from the front, `backward` walks it
from the back and adds up the gradients that reach each place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pellucid.engine.base import Arrays, Batch, Batches, Program, RunResult, Tally
from pellucid.errors import NotBuiltError, ShapeError, UnknownNameError
from pellucid.events import Phase
from pellucid.layers.base import Cache, Layer, Views

if TYPE_CHECKING:
    from pellucid.metrics import Metric
    from pellucid.network.network import Network

Array = NDArray[Any]


@dataclass
class _Operation:
    """One node, bound to its places in the list of arrays and to its parameters."""

    name: str
    layer: Layer
    sources: tuple[int, ...]
    targets: tuple[int, ...]
    p: Views
    dp: Views
    owner: str
    cache: Cache
    last_use: tuple[int, ...] = ()  # places that nothing after this node reads
    wanted: bool = True  # whether backward has to visit it


class NumpyProgram(Program):
    """A network bound to its vectors, with one gradient vector and one cache a node."""

    reason = ""  # why it is not the compiled engine that runs the network

    def __init__(
        self, net: Network, metrics: Sequence[tuple[str, Metric]] = (), *,
        input_gradients: bool = False, taps: bool = False,
    ) -> None:  # fmt: skip
        self.net = net
        self.metrics = list(metrics)
        self.gradients = net.parameters.like()
        self.pending = net.state.like()
        self._taps = taps
        self._bind(net)
        self._want(input_gradients)
        self._runs = net.stretches()
        self._penalized = [(a, b) for a, b, decay in self._runs if decay]
        self._values: list[Any] = []
        self._slopes: list[Any] = []
        self._losses: list[tuple[str, Cache]] = []
        self._batch: Batch | None = None

    def _bind(self, net: Network) -> None:
        graph, place = net.graph, 0
        self._places: dict[tuple[int, int], int] = {}
        for i, node in enumerate(graph.nodes):
            for output in range(len(node.outputs)):
                self._places[i, output] = place
                place += 1
        self._width = place
        self._inputs = {
            n.name: self._places[i, 0] for i, n in enumerate(graph.nodes) if not n.layer
        }
        self._outputs = {name: self._places[s] for name, s in graph.outputs.items()}
        self._operations = []
        for i, node in enumerate(graph.nodes):
            if node.layer is None:
                continue
            cache = Cache(state=net.state.of(node.owner), new_state=self.pending.of(node.owner))
            self._operations.append(
                _Operation(
                    node.name, node.layer, tuple(self._places[s] for s in node.inputs),
                    tuple(self._places[i, k] for k in range(len(node.outputs))),
                    net.parameters.of(node.owner), self.gradients.of(node.owner), node.owner, cache,
                )
            )  # fmt: skip
        seen = set(self._outputs.values())
        for op in reversed(self._operations):
            op.last_use = tuple(p for p in dict.fromkeys(op.sources) if p not in seen)
            seen.update(op.sources)

    def _want(self, input_gradients: bool) -> None:
        """Backward visits a node when it, or anything that feeds it, has gradients to give."""
        wanted = [False] * self._width
        for place in self._inputs.values():
            wanted[place] = input_gradients
        for op in self._operations:
            feeds = any(wanted[place] for place in op.sources)
            # with every gradient asked for, parameters that are not trainable have one too
            own = bool(vars(op.p)) and (op.layer.trainable or input_gradients)
            op.wanted = feeds or own
            op.cache.needs_dx = feeds
            for place in op.targets:
                wanted[place] = op.wanted

    # ---- inference -------------------------------------------------------------------------

    def infer(self, inputs: Arrays, keep: Sequence[str] | None = None) -> Arrays:
        values: list[Any] = [None] * self._width
        for name, place in self._inputs.items():
            values[place] = inputs[name]
        kept = {name: inputs[name] for name in keep or () if name in self._inputs}
        for op in self._operations:
            x = (
                values[op.sources[0]]
                if op.layer.arity == 1
                else tuple(values[s] for s in op.sources)
            )
            y = op.layer.forward(x, op.p, Cache(state=self.net.state.of(op.owner)))
            _put(values, op.targets, y)
            if keep is not None and op.name in keep:
                kept[op.name] = y
            for place in op.last_use:
                values[place] = None
        if keep is not None:
            return kept
        return {name: values[place] for name, place in self._outputs.items()}

    def predict(self, inputs: Arrays) -> Arrays:
        losses = {} if self.net.loss is None else self.net.losses
        outputs = self.infer(inputs)
        return {n: losses[n].link(y) if n in losses else y for n, y in outputs.items()}

    def evaluate(self, batches: Batches, tally: Tally) -> None:
        index = 0
        while (parts := batches.get(index)) is not None:
            for batch in parts:
                outputs, caches = self.infer(batch.inputs), {}
                losses = {}
                for name, loss in self.net.losses.items():
                    caches[name] = Cache()
                    values = loss.forward(batch.targets[name], outputs[name], caches[name])
                    losses[name] = loss.scale * _weighted_sum(values, batch.weight)
                tally.add(batch.share, losses, self._measure(batch, outputs, caches))
            index += 1

    def _measure(self, batch: Batch, outputs: Arrays, caches: dict[str, Cache]) -> list[Array]:
        """The metrics' totals over a batch whose losses have gone forward on `caches`."""
        linked: Arrays = {}
        totals = []
        for name, metric in self.metrics:
            if name not in linked:
                linked[name] = self.net.losses[name].linked(outputs[name], caches[name])
            totals.append(metric.totals(batch.targets[name], linked[name], batch.weight))
        return totals

    # ---- the four phases -------------------------------------------------------------------

    def begin(self) -> None:
        self.gradients.vector.fill(0)
        if self.pending.vector.size:
            self.pending.vector[...] = self.net.state.vector

    def forward(self, batch: Batch, part: int = 0, *, training: bool = True) -> Arrays:
        values: list[Any] = [None] * self._width
        for name, place in self._inputs.items():
            values[place] = batch.inputs[name]
        seed, step = self.net.seed, self.net.updates
        for op in self._operations:
            cache = op.cache
            cache.restart(training, (seed, op.name, step, part))
            x = (
                values[op.sources[0]]
                if op.layer.arity == 1
                else tuple(values[s] for s in op.sources)
            )
            _put(values, op.targets, op.layer.forward(x, op.p, cache))
        self._values, self._batch, self._slopes = values, batch, []
        return {name: values[place] for name, place in self._outputs.items()}

    def loss(self) -> float:
        """Σ over outputs of scale·Σwℓ/Σw, the sums of Σwℓ kept for the tally."""
        batch = self._current()
        total, self._losses, self._sums = 0.0, [], {}
        for name, loss in self.net.losses.items():
            cache = Cache(training=True)
            values = loss.forward(batch.targets[name], self._values[self._outputs[name]], cache)
            if np.shape(values) != (batch.rows,):
                raise ShapeError(
                    f"{loss!r} gave values of shape {np.shape(values)} for {batch.rows} rows: its "
                    f"forward returns each row's own value, ({batch.rows},), not their mean"
                )
            self._losses.append((name, cache))
            self._sums[name] = loss.scale * _weighted_sum(values, batch.weight)
            total += self._sums[name]
        return total / batch.total if batch.total else 0.0

    def backward(self) -> Arrays:
        batch = self._current()
        slopes: list[Any] = [None] * self._width
        for name, cache in self._losses:
            loss, place = self.net.losses[name], self._outputs[name]
            dy: Any = loss.backward(cache)
            _add(slopes, place, dy * _share(dy, batch, loss.scale))
        for op in reversed(self._operations):
            if not op.wanted:
                continue
            dy = slopes[op.targets[0]]
            if len(op.targets) > 1:
                dy = tuple(self._slope(slopes, place) for place in op.targets)
            elif dy is None:
                continue
            dx = op.layer.backward(dy, op.p, op.dp, op.cache)
            for place, d in zip(op.sources, (dx,) if op.layer.arity == 1 else dx, strict=True):
                if d is not None:
                    _add(slopes, place, d)
        self._slopes = slopes
        return {n: slopes[p] for n, p in self._inputs.items() if slopes[p] is not None}

    def _slope(self, slopes: list[Any], place: int) -> Array:
        """The gradient at a place; zeros where an output is not used."""
        slope: Array = slopes[place]
        return np.zeros_like(self._values[place]) if slope is None else slope

    def update(self) -> None:
        net, theta, g = self.net, self.net.parameters.vector, self.gradients.vector
        if net.optimizer is None:
            raise NotBuiltError("an update needs an optimizer: Network(..., optimizer=Adam())")
        if net.penalty is not None:
            for start, stop in self._penalized:
                g[start:stop] += net.penalty.gradient(theta[start:stop])
        net.optimizer.apply(theta, g, net.slots, net.updates + 1, self._runs)
        if self.pending.vector.size:
            net.state.vector[...] = self.pending.vector
        net.updates += 1

    # ---- many steps ------------------------------------------------------------------------

    def run(
        self, batches: Batches, start: int, count: int, tally: Tally, stop: Array,
        on_phase: Callable[[Phase], None] | None = None,
    ) -> RunResult:  # fmt: skip
        done, value = 0, 0.0
        with np.errstate(all="ignore"):  # what overflows is found below, and said in words
            while done < count and not stop[0]:
                parts = batches.get(start + done)
                if parts is None:
                    return RunResult(done, value, ended=True)
                self.begin()
                value, sums = 0.0, []
                for part, batch in enumerate(parts):
                    outputs = self.forward(batch, part)
                    _tell(on_phase, "forward")
                    value += self.loss()
                    _tell(on_phase, "loss")
                    if not isfinite(value):
                        return RunResult(done, value, diverged="loss")
                    self.backward()
                    _tell(on_phase, "backward")
                    metrics = self._measured(outputs)
                    sums.append((batch, self._sums, metrics))
                if not _finite(self.gradients.vector):
                    return RunResult(done, value, diverged="gradient")
                self.update()
                for batch, losses, metrics in sums:
                    tally.add(batch.share, losses, metrics)
                done += 1
                _tell(on_phase, "update")
        return RunResult(done, value)

    def _measured(self, outputs: Arrays) -> list[Array]:
        """The metrics' totals of the part that has just gone forward and backward."""
        return self._measure(self._current(), outputs, dict(self._losses))

    # ---- looking inside --------------------------------------------------------------------

    def tensors(self, names: Sequence[str] | None) -> Arrays:
        found: dict[str, Any] = {}
        places = list(self._inputs.items())
        for name, place in places + [(op.name, op.targets[0]) for op in self._operations]:
            found[name] = self._values[place]
            found[f"d/{name}"] = self._slopes[place] if self._slopes else None
        return self._chosen(found, names)

    def _chosen(self, found: dict[str, Any], names: Sequence[str] | None) -> Arrays:
        """Copies of a step's arrays, the parameters and the state among them, by name."""
        found |= dict(self.net.parameters)
        found |= {f"d/{name}": g for name, g in self.gradients.items()}
        found |= dict(self.net.state)
        for name in names or ():
            if name not in found:
                raise UnknownNameError.of(name, found)
        chosen = found if names is None else names
        return {name: found[name].copy() for name in chosen if found[name] is not None}

    def explain(self) -> list[tuple[str, str, str]]:
        why = self.reason or "asked for"
        return [(op.name, "numpy", why) for op in self._operations]

    def _current(self) -> Batch:
        if self._batch is None:
            raise NotBuiltError("call forward first: the loss needs outputs")
        return self._batch


def _put(values: list[Any], targets: tuple[int, ...], y: Any) -> None:
    if len(targets) == 1:
        values[targets[0]] = y
    else:
        for place, array in zip(targets, y, strict=True):
            values[place] = array


def _add(slopes: list[Any], place: int, d: Array) -> None:
    """Adds up what reaches a place; a layer's own arrays are never written."""
    slopes[place] = d if slopes[place] is None else slopes[place] + d


def _tell(on_phase: Callable[[Phase], None] | None, phase: Phase) -> None:
    if on_phase is not None:
        on_phase(phase)


def _weighted_sum(values: Array, weight: Array | None) -> float:
    return float((values if weight is None else values * weight).sum(dtype=np.float64))


def _share(dy: Array, batch: Batch, scale: float) -> Any:
    """What each row's gradient is multiplied by: scale·w/Σw, one number without weights."""
    share = dy.dtype.type(scale / batch.total if batch.total else 0.0)
    if batch.weight is None:
        return share
    return (batch.weight.astype(dy.dtype) * share).reshape(-1, *[1] * (dy.ndim - 1))


def _finite(g: Array) -> bool:
    """Whether all of g is finite: one product, and only when that overflows a real look."""
    return isfinite(g @ g) or bool(np.isfinite(g).all())
