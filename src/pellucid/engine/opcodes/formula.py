"""What is recorded from Python: elementwise steps, reductions of rows, sums over them.

`index` says which of the program's formulas it is (`engine.formulas`), `sums` whether it gives the
value of a loss, `scale` is that of the loss, and `added` whether a parameter's gradient is added to
what is there. Operand "weight" has the weights of the rows.
"""

from __future__ import annotations

from pellucid.engine.opcodes.base import Moment, opcode


@opcode("a b c d e f g weight", "index sums scale added", "recorded from Python, line by line:")
def formula(at: Moment, index: int, sums: int, scale: float, added: int) -> None:
    raise NotImplementedError("a program runs its formulas itself")
