"""A lowered network, ready to run: a table of instructions over one arena of memory.

`TableProgram` is what the compiled engine and its NumPy twin have in common. The table, the arena
and the vectors are the same; only the core that executes the instructions differs. What is not in
the table (inference, metrics, a penalty, an optimizer of one's own) is done as the NumPy engine
does it, so a program is the same step by step and in one call.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pellucid.engine.base import Arrays, Batch
from pellucid.engine.lowering import (
    ALIGNMENT,
    Lowering,
    lower_metrics,
    lower_update,
    plan,
)
from pellucid.engine.numpy import NumpyProgram
from pellucid.engine.opcodes import OPCODES, Buffer, Instruction, Moment
from pellucid.layers.base import shape_text
from pellucid.losses import CrossEntropy
from pellucid.network.graph import Source

if TYPE_CHECKING:
    from pellucid.metrics import Metric
    from pellucid.network.network import Network

Array = NDArray[Any]
PHASES = ("forward", "loss", "backward", "metrics", "update")


class TableProgram(NumpyProgram):
    """A network lowered to a table, executed by the NumPy twins of its opcodes."""

    engine = "twins"

    def __init__(
        self, net: Network, metrics: Sequence[tuple[str, Metric]] = (), *,
        input_gradients: bool = False, taps: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(net, metrics, input_gradients=input_gradients, taps=taps)
        wanted = {
            Source(i, k)
            for i, node in enumerate(net.graph.nodes)
            for k in range(len(node.outputs))
            if self._wanted(node.name, input_gradients)
        }
        self._feeding = wanted
        self._moment = Moment(0, 0.0, False, 0, 0)
        self._lower(frozenset())

    def _lower(self, rows_for: frozenset[str]) -> None:
        """Makes the table, for targets of the kind that has been seen."""
        net = self.net
        lowering = Lowering(net, self._feeding, fuse=not self._taps, rows_for=rows_for)
        self.table, self._rows_for = lowering.run(), rows_for
        measured = lower_metrics(self.table, self.metrics)
        self.in_core = measured is not None  # whether nothing of a step is left to Python
        self.code = dict(zip(PHASES[:3], self.table[:3], strict=True))
        self.code |= {"metrics": measured or [], "update": lower_update(net)}
        self.rows = 0

    def _wanted(self, name: str, input_gradients: bool) -> bool:
        if name in self._inputs:
            return input_gradients
        return any(op.wanted for op in self._operations if op.name == name)

    def reserve(self, rows: int) -> None:
        """Makes the arena large enough for batches of so many rows."""
        if rows <= self.rows:
            return
        self.rows = rows
        after = [*self.code["metrics"], *self.code["update"]]
        size = plan(self.table, after, rows, self.net.dtype.itemsize, reuse=not self._taps)
        spare = np.zeros(size + ALIGNMENT, np.uint8)
        start = -spare.ctypes.data % ALIGNMENT
        self.arena = spare[start : start + size]
        self.regions = {
            "arena": self.arena, "theta": self.net.parameters.vector.view(np.uint8),
            "gradient": self.gradients.vector.view(np.uint8),
            "state": self.net.state.vector.view(np.uint8),
        }  # fmt: skip
        for number, slot in enumerate(self.net.slots.values()):
            self.regions[f"slot{number}"] = slot.view(np.uint8)
        self.bound_slots = self.net.slots
        self.planned()

    def expect(self, targets: Arrays) -> None:
        """Lowers anew where classes come as rows of probabilities, or no longer do."""
        losses = self.net.losses
        rows_for = frozenset(
            name for name, y in targets.items() if type(losses[name]) is CrossEntropy and y.ndim > 1
        )
        if targets and rows_for != self._rows_for:
            self._lower(rows_for)

    def planned(self) -> None:
        """Called when the buffers have new places."""

    def view(self, buffer: Buffer, rows: int) -> Array:
        """A buffer as an array, for a batch of so many rows."""
        shape = (rows, *buffer.shape) if buffer.batch else buffer.shape
        dtype = self.net.dtype
        if buffer.integer or buffer.double:
            dtype = np.dtype(np.int64 if buffer.integer else np.float64)
        count = int(np.prod(shape)) * dtype.itemsize
        region = self.regions[buffer.region]
        array: Array = region[buffer.offset : buffer.offset + count].view(dtype).reshape(shape)
        return array

    # ---- the phases -----------------------------------------------------------------------------

    def execute(self, phase: str, at: Moment) -> list[float]:
        """Runs the instructions of a phase; the losses' sums come back."""
        sums = []
        for instruction in self.code[phase]:
            entry = OPCODES[instruction.op]
            arrays = {
                key: None if buffer is None else self.view(buffer, at.rows)
                for key, buffer in instruction.buffers.items()
            }
            result = entry.twin(at, **arrays, **instruction.numbers)
            if result is not None:
                sums.append(result)
        return sums

    def forward(self, batch: Batch, part: int = 0, *, training: bool = True) -> Arrays:
        if not training:
            return super().forward(batch, part, training=False)
        self.expect(batch.targets)
        self.reserve(batch.rows)
        for name, buffer in self.table.inputs.items():
            self.view(buffer, batch.rows)[...] = batch.inputs[name]
        for name, buffer in self.table.targets.items() if batch.targets else ():
            self.view(buffer, batch.rows)[...] = batch.targets[name]
        if batch.weight is not None:
            self.view(self.table.weight, batch.rows)[...] = batch.weight
        self._batch = batch
        self._moment = Moment(
            batch.rows, batch.total, batch.weight is not None, self.net.updates, part
        )
        self.execute("forward", self._moment)
        outputs = self.table.outputs.items()
        return {name: self.view(buffer, batch.rows).copy() for name, buffer in outputs}

    def loss(self) -> float:
        batch = self._current()
        values = self.execute("loss", self._moment)
        self._sums = dict(zip(self.net.losses, values, strict=True))
        return sum(values) / batch.total if batch.total else 0.0

    def backward(self) -> Arrays:
        batch = self._current()
        self.execute("backward", self._moment)
        slopes = self.table.input_slopes.items()
        return {name: self.view(buffer, batch.rows).copy() for name, buffer in slopes}

    def update(self) -> None:
        net = self.net
        if net.optimizer is None:
            super().update()  # says what is missing
            return
        if self.bound_slots is not net.slots:
            self.rows = 0  # the vectors of another optimizer: bind anew
            self.reserve(max(self._moment.rows, 1))
        at = self._moment._replace(rate=net.optimizer.rate(net.updates), t=net.updates + 1)
        with np.errstate(all="ignore"):
            self.execute("update", at)
        net.updates += 1

    def _measured(self, outputs: Arrays) -> list[Array]:
        batch, losses = self._current(), self.net.losses
        if self.in_core:
            values = self.execute("metrics", self._moment)
            return [np.array([right, batch.share]) for right in values]
        linked = {n: losses[n].link(outputs[n]) for n in dict.fromkeys(n for n, _ in self.metrics)}
        return [m.totals(batch.targets[n], linked[n], batch.weight) for n, m in self.metrics]

    # ---- looking inside -------------------------------------------------------------------------

    def tensors(self, names: Sequence[str] | None) -> Arrays:
        rows = self._moment.rows
        found: dict[str, Any] = {}
        for name, buffer in self.table.values.items():
            found[name] = self.view(buffer, rows)
        for name, buffer in self.table.slopes.items():
            found[f"d/{name}"] = self.view(buffer, rows)
        return self._chosen(found, names)

    def __str__(self) -> str:
        """Every instruction with its node, its buffers' places, and the NumPy line it is."""
        self.reserve(max(self.rows, 1))
        lines = [f"{len(self.arena):,} bytes of arena for batches of {self.rows}"]
        for phase, code in self.code.items():
            lines.append(phase)
            lines += [f"  {_listed(instruction)}" for instruction in code]
        return "\n".join(lines)

    def explain(self) -> list[tuple[str, str, str]]:
        return [(op.name, self.engine, "lowered to instructions") for op in self._operations]


def _listed(instruction: Instruction) -> str:
    places = []
    for key, buffer in instruction.buffers.items():
        if buffer is not None:
            shape = shape_text(buffer.shape) if buffer.batch else str(buffer.shape)
            places.append(f"{key}={buffer.region}[{buffer.offset}] {shape}")
    line = OPCODES[instruction.op].line
    return f"{instruction.node:<16} {instruction.op:<14} {line}\n{'':36}{'  '.join(places)}"
