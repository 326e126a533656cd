"""What an instruction is: an opcode, the buffers it reads and writes, and a few numbers.

A program is a table with one row an instruction. Each opcode has an entry in `OPCODES`, which
says which buffers and numbers it takes, in which order, and holds its NumPy *twin*: a function that
does on arrays what the compiled core does on memory. The twins run the same table in Python; they
are how the table is tested, and what it means.

A buffer is a place in a *region* of memory: the arena, one of the network's flat vectors, or the
rows of a batch (inputs, targets, weights, outputs), each of which is a region of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pellucid.engine.formulas import Formula

Array = NDArray[Any]

# The regions of every program; those of a batch follow, in an order of the program's own.
REGIONS = (
    "arena", "theta", "gradient", "state", "pending", *(f"slot{k}" for k in range(6))
)  # fmt: skip


@dataclass(eq=False)
class Buffer:
    """A place for an array.

    `shape` is that of one row where the buffer goes with the batch (`batch`), else the whole.
    `offset` counts bytes from the start of the region; the planner sets it for the arena.
    """

    name: str
    shape: tuple[int, ...]
    batch: bool = True
    region: str = "arena"
    offset: int = 0
    integer: bool = False  # int64
    double: bool = False  # float64, whatever the network computes in
    alias: Buffer | None = None  # another shape of the same memory

    @property
    def size(self) -> int:
        """Values in one row, or in all."""
        return prod(self.shape)

    @property
    def root(self) -> Buffer:
        """The buffer whose memory this is."""
        return self if self.alias is None else self.alias

    def reshaped(self, name: str, shape: tuple[int, ...]) -> Buffer:
        """The same memory under another name and shape."""
        memory = self.root
        return Buffer(name, shape, self.batch, memory.region, 0, self.integer, self.double, memory)

    def dtype(self, network: np.dtype[Any]) -> np.dtype[Any]:
        """The type of its numbers in a network that computes in `network`."""
        if self.integer or self.double:
            return np.dtype(np.int64 if self.integer else np.float64)
        return network


@dataclass(eq=False)
class Instruction:
    """An opcode, its buffers by name (None where one is left out) and its numbers.

    `touches` are further buffers that Python reads or writes when this runs (opcode ``call``);
    `formula` is what an instruction of that opcode does.
    """

    op: str
    buffers: dict[str, Buffer | None]
    numbers: dict[str, float] = field(default_factory=dict)
    node: str = ""
    touches: tuple[Buffer, ...] = ()
    formula: Formula | None = None

    def all_buffers(self) -> list[Buffer]:
        """Every buffer that is given."""
        return [b for b in (*self.buffers.values(), *self.touches) if b is not None]

    def operands(self) -> list[Buffer | None]:
        """The buffers in the order of its opcode, or of its formula."""
        names = OPCODES[self.op].buffers if self.formula is None else self.formula.names
        return [self.buffers.get(name) for name in names]


class Moment(NamedTuple):
    """What an instruction may need to know of the step it runs in."""

    rows: int
    weighted: bool = False
    step: int = 0
    part: int = 0
    t: int = 0  # the number of the update, counted from 1
    total: float = 0.0  # Σw of the effective batch
    rate: float = 0.0  # the learning rate
    numbers: tuple[float, ...] = ()  # what else of an update depends on its count alone


Twin = Callable[..., float | tuple[float, ...] | None]


class Opcode(NamedTuple):
    """Which buffers and numbers an opcode takes, its NumPy line, and its twin."""

    number: int
    buffers: tuple[str, ...]
    numbers: tuple[str, ...]
    line: str
    twin: Twin


OPCODES: dict[str, Opcode] = {}


def opcode(buffers: str, numbers: str, line: str) -> Callable[[Twin], Twin]:
    """Enters a twin into the table of opcodes, in order."""

    def decorate(twin: Twin) -> Twin:
        name = twin.__name__.rstrip("_")
        entry = Opcode(len(OPCODES), tuple(buffers.split()), tuple(numbers.split()), line, twin)
        OPCODES[name] = entry
        return twin

    return decorate


def put(y: Array, value: Any, accumulate: float) -> None:
    """Writes a value, or adds it."""
    if accumulate:
        y += value
    else:
        y[...] = value


def fold(x: Array, width: float) -> Array:
    """All values in rows of some width: a view."""
    return x.reshape(-1, int(width))
