"""Lowering: from the nodes of a network to the instructions of a program.

Each kind of layer has one function (`lowering/layers.py`). It emits the instructions of its forward
pass and leaves behind a function that emits those of its backward pass; these run in reverse order
after the losses have been lowered. A layer, loss or metric that has no function becomes a *call*:
one instruction at which the core stops and Python goes on with views of the same memory.

Buffers are only named here; `plan` gives them places in one arena.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pellucid.engine.base import NotLowered
from pellucid.engine.formulas import Formula, Read
from pellucid.engine.opcodes import Buffer, Instruction, Moment
from pellucid.layers.base import Layer, Spec
from pellucid.network.graph import Node, Source
from pellucid.network.parameters import FlatViews

if TYPE_CHECKING:
    from pellucid.metrics import Metric
    from pellucid.network.network import Network

Array = NDArray[Any]
View = Callable[[Buffer], Array]  # a buffer as an array of this step's rows
Call = Callable[[View, Moment], float]
Measured = tuple[int, int, int, Array]  # step, part, the metric's number, its totals


class Kind(NamedTuple):
    """What targets look like: the shape of a row, and whether they are whole numbers."""

    shape: tuple[int, ...]
    integer: bool


@dataclass
class Table:
    """A lowered network: the instructions of each phase and the buffers that matter outside."""

    forward: list[Instruction] = field(default_factory=list)
    loss: list[Instruction] = field(default_factory=list)
    backward: list[Instruction] = field(default_factory=list)
    metrics: list[Instruction] = field(default_factory=list)
    update: list[Instruction] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    called: list[str] = field(default_factory=list)  # what they are calls of, for people
    why: dict[str, str] = field(default_factory=dict)  # a node, or what is called: the reason
    formulas: list[Formula] = field(default_factory=list)
    guarded: bool = False  # a loss is NaN where its Python has an error to say
    reads: list[Read] = field(default_factory=list)  # by what was recorded of a user's
    measured: list[Measured] = field(default_factory=list)  # what called metrics have given
    inputs: dict[str, Buffer] = field(default_factory=dict)
    targets: dict[str, Buffer] = field(default_factory=dict)
    outputs: dict[str, Buffer] = field(default_factory=dict)
    weight: Buffer = field(default_factory=lambda: Buffer("weight", (), region="weight"))
    values: dict[str, Buffer] = field(default_factory=dict)  # every node's output that is kept
    slopes: dict[str, Buffer] = field(default_factory=dict)  # the gradients by them
    input_slopes: dict[str, Buffer] = field(default_factory=dict)
    unwritten: list[tuple[int, int]] = field(default_factory=list)  # gradients nothing sets
    needs: dict[str, tuple[int, Any, tuple[int, ...]]] = field(default_factory=dict)  # least rows
    looks_up: dict[str, tuple[int, Any]] = field(default_factory=dict)  # tables' lengths by input

    def code(self) -> list[Instruction]:
        """Every instruction, in the order of a step."""
        return [*self.forward, *self.loss, *self.backward, *self.metrics, *self.update]

    def batch_buffers(self) -> list[Buffer]:
        """The rows of a batch: a region each, what is read before what is written."""
        lists = (self.inputs, self.targets, {"": self.weight}, self.outputs)
        found = [buffer for buffers in lists for buffer in buffers.values()]
        return [buffer for buffer in found if buffer.region != "arena"]


@dataclass
class Purpose:
    """What a table is for.

    Training has every phase; inference stops after the losses (`losses`) or the outputs, which go
    through the losses' links where `linked`.
    """

    training: bool = True
    losses: bool = True
    linked: bool = False


class Lowering:
    """A network being lowered: what has been emitted, and where each array is."""

    def __init__(
        self, net: Network, *, shapes: Mapping[str, tuple[int, ...]], kinds: Mapping[str, Kind],
        purpose: Purpose, wanted: set[Source], fuse: bool, pending: FlatViews,
        gradients: FlatViews, metrics: Sequence[tuple[str, Metric]],
    ) -> None:  # fmt: skip
        """`shapes` and `kinds` are what inputs and targets look like, by name."""
        self.net, self.graph, self.purpose, self.fuse = net, net.graph, purpose, fuse
        self.wanted = wanted if purpose.training else set()
        self.kinds, self.metrics = kinds, metrics
        self.pending, self.gradients = pending, gradients
        self.table = Table()
        self.at: dict[Source, Buffer] = {}
        self.slopes: dict[Source, Buffer] = {}
        self.folded: set[int] = set()  # nodes computed together with the one before
        self.specs = self._specs(shapes)
        self._later: list[tuple[str, Callable[[], None]]] = []
        self._set: set[str] = set()  # gradients that an instruction sets
        self._code, self._node = self.table.forward, ""

    def _specs(self, shapes: Mapping[str, tuple[int, ...]]) -> dict[Source, Spec]:
        """The spec of every array, for inputs of these very shapes."""
        found: dict[Source, Spec] = {}
        for index, node in enumerate(self.graph.nodes):
            outputs = node.outputs
            if node.layer is None:
                outputs = (Spec(tuple(shapes.get(node.name, node.spec.shape)), node.spec.dtype),)
            elif any(None in spec.shape for spec in outputs):
                made = node.layer.output_spec(*[found[s] for s in node.inputs])
                outputs = made if isinstance(made[0], Spec) else (made,)
            for output, spec in enumerate(outputs):
                found[Source(index, output)] = spec
                if None in spec.shape:
                    raise NotLowered(f"{node.name} has a length that is not known beforehand")
        return found

    # ---- what the layers' functions use ---------------------------------------------------------

    def emit(self, op: str, buffers: dict[str, Buffer | None], **numbers: float) -> None:
        """Adds an instruction; where there is nothing to compute, none."""
        if any(b is not None and b.size == 0 for b in buffers.values()):
            return
        self._code.append(Instruction(op, buffers, numbers, self._node))

    def formula(
        self, formula: Formula, buffers: Mapping[str, Buffer | None], *, scale: float = 1.0,
        added: int = 0,
    ) -> None:  # fmt: skip
        """Adds an instruction that runs a formula, whose operands are among these buffers."""
        if formula not in self.table.formulas:
            self.table.formulas.append(formula)
        numbers: dict[str, float] = {
            "index": self.table.formulas.index(formula), "sums": formula.sums, "scale": scale,
            "added": added,
        }  # fmt: skip
        used = {name: buffers[name] for name in formula.names if name}
        self._code.append(Instruction("formula", used, numbers, self._node, formula=formula))

    def call(self, run: Call, *touches: Buffer, sums: int = 0) -> None:
        """Adds an instruction that Python runs, which reads and writes these buffers."""
        numbers: dict[str, float] = {"index": len(self.table.calls), "sums": sums}
        self.table.calls.append(run)
        self._code.append(Instruction("call", {}, numbers, self._node, touches))

    def later(self, backward: Callable[[], None]) -> None:
        """Emits the node's backward pass when its turn comes."""
        self._later.append((self._node, backward))

    def shape(self, source: Source) -> tuple[int, ...]:
        """The shape of a row of an array."""
        return self.specs[source].shape  # type: ignore[return-value]

    def output(self, index: int, output: int = 0) -> Buffer:
        """A new buffer for what a node gives out."""
        source, node = Source(index, output), self.graph.nodes[index]
        spec = self.specs[source]
        buffer = Buffer(node.name, self.shape(source), integer=spec.dtype == "int")
        self.at[source] = buffer
        return buffer

    def parameter(self, node: Node, key: str) -> Buffer:
        """A parameter, in the flat vector."""
        return self._stretch(self.net.parameters, f"{node.owner}/{key}", "theta")

    def state(self, node: Node, key: str, region: str = "state") -> Buffer:
        """A running statistic (in region "pending": what it will be after the update)."""
        return self._stretch(self.net.state, f"{node.owner}/{key}", region)

    def gradient(self, node: Node, key: str) -> tuple[Buffer, int]:
        """A parameter's gradient, and whether it is added to (1) or set by the first part (0)."""
        name = f"{node.owner}/{key}"
        added = int(name in self._set)
        self._set.add(name)
        return self._stretch(self.net.parameters, name, "gradient"), added

    def _stretch(self, flat: FlatViews, name: str, region: str) -> Buffer:
        start = flat.stretch(name)[0] * self.net.dtype.itemsize
        return Buffer(name, flat[name].shape, False, region, start)

    def send(self, source: Source) -> tuple[Buffer, int] | None:
        """Where the gradient by an array goes, and whether it is added; None if nobody wants it."""
        if source not in self.wanted:
            return None
        if source in self.slopes:
            return self.slopes[source], 1
        value = self.at[source]
        self.slopes[source] = Buffer(f"d/{value.name}", value.shape)
        return self.slopes[source], 0

    def pass_on(self, source: Source, dy: Buffer) -> None:
        """The gradient by an array is `dy` itself, in another shape; or a copy that is watched."""
        if source in self.wanted and source not in self.slopes and self.fuse:
            value = self.at[source]
            self.slopes[source] = dy.reshaped(f"d/{value.name}", value.shape)
            return
        entry, n = self.send(source), dy.size
        if entry is not None:
            self.emit("copy", {"y": entry[0], "x": dy}, width=n, y_width=n, y_start=0, x_width=n,
                      x_start=0, accumulate=entry[1])  # fmt: skip

    def only_reader(self, index: int, *kinds: type[Layer]) -> int | None:
        """The node that alone reads node `index`, if it is of these kinds and may be folded in."""
        readers = self.graph.consumers(index)
        is_output = any(source.node == index for source in self.graph.outputs.values())
        if not self.fuse or len(readers) != 1 or is_output:
            return None
        return readers[0] if type(self.graph.nodes[readers[0]].layer) in kinds else None

    # ---- the whole network ----------------------------------------------------------------------

    def run(self) -> Table:
        """Lowers everything."""
        from pellucid.engine.lowering.ends import lower_losses, lower_metrics, lower_outputs
        from pellucid.engine.lowering.layers import LAYERS, lower_called
        from pellucid.engine.lowering.recorded import lower_recorded
        from pellucid.engine.lowering.update import lower_update

        table = self.table
        for index, node in enumerate(self.graph.nodes):
            self._node = node.name
            if node.layer is None:
                self._input(index, node)
            elif index not in self.folded:
                empty = any(self.specs[source].size == 0 for source in node.inputs)
                lower = lower_called if empty else LAYERS.get(type(node.layer), lower_recorded)
                lower(self, index, node)
        if not self.purpose.losses:
            lower_outputs(self)
            return table
        if self.net.loss is None:  # forward is all that can be done
            self._finish()
            return table
        self._code = table.loss
        lower_losses(self)
        self._code = table.backward
        for name, backward in reversed(self._later if self.purpose.training else []):
            self._node = name
            backward()
        self._code = table.metrics
        lower_metrics(self)
        if self.purpose.training and self.net.optimizer is not None:
            self._code, self._node = table.update, "update"
            lower_update(self)
        self._finish()
        return table

    def node(self, name: str) -> None:
        """Names what the next instructions belong to."""
        self._node = name

    def _input(self, index: int, node: Node) -> None:
        buffer = self.output(index)
        buffer.region = f"input {node.name}"
        self.table.inputs[node.name] = buffer

    def _finish(self) -> None:
        """The buffers that matter outside."""
        table, nodes, size = self.table, self.graph.nodes, self.net.dtype.itemsize
        table.outputs = {name: self.at[source] for name, source in self.graph.outputs.items()}
        first = {s: b for s, b in self.at.items() if s.output == 0}
        table.values = {nodes[s.node].name: b for s, b in first.items()}
        table.slopes = {nodes[s.node].name: b for s, b in self.slopes.items() if s.output == 0}
        table.input_slopes = {
            node.name: self.slopes[Source(i)]
            for i, node in enumerate(nodes)
            if node.layer is None and Source(i) in self.slopes
        }
        for name in self.net.parameters:
            if name not in self._set:
                start, stop = self.net.parameters.stretch(name)
                table.unwritten.append((start * size, (stop - start) * size))


def share(at: Moment, scale: float, weight: Array | None, like: Array) -> Any:
    """What each row's gradient is multiplied by: scale·w/Σw."""
    factor = like.dtype.type(scale / at.total if at.total else 0.0)
    if weight is None:
        return factor
    return np.reshape(weight * factor, (-1, *[1] * (like.ndim - 1)))
