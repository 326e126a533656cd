"""A table of instructions in memory, executed by the NumPy twins of its opcodes.

An executor owns the arena and the memory of a batch; the network's vectors it borrows. The compiled
engine's executor (native.py) has the same table and the same memory, and a core that runs them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pellucid.engine.lowering import ALIGNMENT, Table, plan
from pellucid.engine.opcodes import OPCODES, REGIONS, Buffer, Moment
from pellucid.layers.base import shape_text
from pellucid.network.parameters import FlatViews

if TYPE_CHECKING:
    from pellucid.engine.opcodes import Instruction
    from pellucid.network.network import Network

Array = NDArray[Any]
PHASES = ("forward", "loss", "backward", "metrics", "update")


class Executor:
    """A table bound to memory for batches of up to `rows` rows."""

    def __init__(
        self, net: Network, table: Table, gradients: FlatViews, pending: FlatViews, *,
        reuse: bool = True,
    ) -> None:  # fmt: skip
        """`reuse` lets buffers that are never needed together share memory."""
        self.net, self.table, self.reuse, self.rows = net, table, reuse, 0
        self.names = [*REGIONS, *[buffer.region for buffer in table.batch_buffers()]]
        nothing = np.zeros(0, np.uint8)
        self.regions: dict[str, Array] = dict.fromkeys(self.names, nothing)
        self.regions |= {
            "theta": net.parameters.vector.view(np.uint8),
            "gradient": gradients.vector.view(np.uint8),
            "state": net.state.vector.view(np.uint8),
            "pending": pending.vector.view(np.uint8),
        }
        for number, slot in enumerate(net.slots.values()):
            self.regions[f"slot{number}"] = slot.view(np.uint8)
        self.slots = net.slots  # of which optimizer these are

    def reserve(self, rows: int) -> None:
        """Makes room for batches of so many rows."""
        if rows <= self.rows:
            return
        table, dtype, self.rows = self.table, self.net.dtype, rows
        kept = [*table.outputs.values(), *table.input_slopes.values()]
        self.regions["arena"] = _aligned(
            plan(table.code(), kept, rows, dtype, reuse=self.reuse)
        )  # fmt: skip
        for buffer in table.batch_buffers():
            size = buffer.size * rows * buffer.dtype(dtype).itemsize
            self.regions[buffer.region] = _aligned(size)
        self.placed()

    def placed(self) -> None:
        """Called when the buffers have new places."""

    def view(self, buffer: Buffer, rows: int) -> Array:
        """A buffer as an array, for a batch of so many rows."""
        root = buffer.root
        shape = (rows, *buffer.shape) if buffer.batch else buffer.shape
        dtype = root.dtype(self.net.dtype)
        count = int(np.prod(shape)) * dtype.itemsize
        region = self.regions[root.region]
        array: Array = region[root.offset : root.offset + count].view(dtype).reshape(shape)
        return array

    def fill(self, buffers: Mapping[str, Buffer], arrays: Mapping[str, Array], rows: int) -> None:
        """Copies a batch's arrays to where the program reads them."""
        for name, buffer in buffers.items():
            self.view(buffer, rows)[...] = arrays[name]

    def execute(self, phase: str, at: Moment) -> list[float]:
        """Runs the instructions of a phase; the sums of losses and metrics come back."""
        sums: list[float] = []
        for instruction in getattr(self.table, phase):
            result = self._run(instruction, at)
            if isinstance(result, tuple):
                sums += result
            elif result is not None:
                sums.append(result)
        return sums

    def _run(self, instruction: Instruction, at: Moment) -> Any:
        if instruction.op == "call":
            value = self.call(int(instruction.numbers["index"]), at)
            return value if instruction.numbers["sums"] else None
        entry, numbers = OPCODES[instruction.op], instruction.numbers
        operands = instruction.operands()
        arrays = [None if buffer is None else self.view(buffer, at.rows) for buffer in operands]
        if instruction.formula is not None:
            return instruction.formula.run(at, arrays, numbers["scale"], numbers["added"])
        return entry.twin(at, **dict(zip(entry.buffers, arrays, strict=True)), **numbers)

    def call(self, index: int, at: Moment) -> float:
        """Runs what is left to Python."""
        return self.table.calls[index](lambda buffer: self.view(buffer, at.rows), at)

    def infer(self, arrays: Mapping[str, Array], rows: int) -> dict[str, Array]:
        """The outputs for some rows, block by block."""
        dtype, outputs = self.net.dtype, self.table.outputs
        found = {name: np.empty((rows, *b.shape), dtype) for name, b in outputs.items()}
        for start in range(0, rows, self.rows):
            n = min(self.rows, rows - start)
            block = slice(start, start + n)
            self.fill(self.table.inputs, {k: a[block] for k, a in arrays.items()}, n)
            self.execute("forward", Moment(n))
            for name, buffer in outputs.items():
                found[name][block] = self.view(buffer, n)
        return found

    def __str__(self) -> str:
        """Every instruction with its node, its buffers' places, and the NumPy line it is."""
        self.reserve(max(self.rows, 1))
        size = len(self.regions["arena"])
        lines = [f"{size:,} bytes of arena for batches of {self.rows}"]
        for phase in PHASES:
            lines.append(phase)
            lines += [f"  {_listed(instruction)}" for instruction in getattr(self.table, phase)]
        return "\n".join(lines)


def _aligned(size: int) -> Array:
    spare = np.zeros(size + ALIGNMENT, np.uint8)
    start = -spare.ctypes.data % ALIGNMENT
    return spare[start : start + size]


def _listed(instruction: Instruction) -> str:
    places = []
    for key, buffer in instruction.buffers.items():
        if buffer is not None:
            shape = shape_text(buffer.shape) if buffer.batch else str(buffer.shape)
            root = buffer.root
            places.append(f"{key}={root.region}[{root.offset}] {shape}")
    line = OPCODES[instruction.op].line
    if instruction.formula is not None:
        line = "".join(f"\n{'':36}{line}" for line in instruction.formula.lines).strip()
    return f"{instruction.node:<16} {instruction.op:<14} {line}\n{'':36}{'  '.join(places)}"
