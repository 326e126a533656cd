"""y = act(x @ W + b) and its gradients: the instructions of dense layers.

The products fold all axes but the last into one: (B, T, I) is (B·T, I) for them.
"""

from __future__ import annotations

import numpy as np

from pellucid.engine.opcodes.base import Array, Moment, fold, opcode, put
from pellucid.engine.opcodes.maps import activated


@opcode("y x W b", "I O act slope", "y = act(x @ W + b)")
def matmul(at: Moment, y: Array, x: Array, W: Array, b: Array | None, I: int, O: int, act: int,
           slope: float) -> None:  # fmt: skip
    """Act 0 is none, 1 ReLU, 2 leaky ReLU."""
    out = fold(y, O)
    np.matmul(fold(x, I), W, out=out)
    if b is not None:
        out += b
    if act:
        out[...] = activated(out, slope)


@opcode("dx dy W", "I O accumulate", "dx (+)= dy @ W.T")
def matmul_dx(at: Moment, dx: Array, dy: Array, W: Array, I: int, O: int, accumulate: int) -> None:
    put(fold(dx, I), fold(dy, O) @ W.T, accumulate)


@opcode("dW x dy db", "I O accumulate", "dW (+)= x.T @ dy; db (+)= dy.sum(axis=0)")
def matmul_dw(at: Moment, dW: Array, x: Array, dy: Array, db: Array | None, I: int, O: int,
              accumulate: int) -> None:  # fmt: skip
    """What is not accumulated is set by the first part of a batch; the others add to it."""
    put(dW, fold(x, I).T @ fold(dy, O), accumulate or at.part)
    if db is not None:
        put(db, fold(dy, O).sum(axis=0), accumulate or at.part)
