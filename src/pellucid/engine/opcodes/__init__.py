"""The table of instructions: every opcode with its operands, its NumPy line and its twin.

The order of these imports is that of the opcodes' numbers; native/ops_table.hpp has the same.
"""

from pellucid.engine.opcodes import call, maps, dense, losses, update, images, channels, formula  # isort: skip
from pellucid.engine.opcodes.base import (
    OPCODES,
    REGIONS,
    Buffer,
    Instruction,
    Moment,
    Opcode,
)
from pellucid.engine.opcodes.maps import MAPS

__all__ = [
    "MAPS", "OPCODES", "REGIONS", "Buffer", "Instruction", "Moment", "Opcode", "call", "channels",
    "dense", "formula", "images", "losses", "maps", "update",
]  # fmt: skip
