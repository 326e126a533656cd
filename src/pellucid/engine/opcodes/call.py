"""What is left to Python: a layer, loss, metric or optimizer without instructions of its own.

`index` says which of the program's calls it is. The core stops, Python runs the call on views of
the same memory, and the core goes on.
"""

from __future__ import annotations

from pellucid.engine.opcodes.base import Moment, opcode


@opcode("", "index sums", "Python: a layer, loss, metric or optimizer of one's own")
def call(at: Moment, index: int, sums: int) -> None:
    raise NotImplementedError("a program runs its calls itself")
