"""Places in the arena: buffers that are never needed at the same time may share memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from pellucid.engine.opcodes import Buffer, Instruction

ALIGNMENT = 64  # bytes: a line of the cache


def plan(
    code: Sequence[Instruction], kept: Iterable[Buffer], rows: int, dtype: np.dtype, *, reuse: bool
) -> int:  # fmt: skip
    """Gives every buffer of the arena its offset for batches of `rows`; returns the arena's bytes.

    A buffer lives from the instruction that first touches it to the last that does; those in `kept`
    live to the end. Each takes the lowest place that is free for as long as it lives.
    """
    born: dict[Buffer, int] = {}
    dies: dict[Buffer, int] = {}
    for time, instruction in enumerate(code):
        for buffer in instruction.all_buffers():
            if buffer.root.region == "arena":
                born.setdefault(buffer.root, time)
                dies[buffer.root] = time
    for buffer in kept:
        if buffer.root.region == "arena":
            born.setdefault(buffer.root, -1)
            dies[buffer.root] = len(code)
    placed: list[tuple[int, int, Buffer]] = []
    top = 0
    for buffer in sorted(born, key=lambda b: born[b]):
        count = buffer.size * (rows if buffer.batch else 1)
        size = -(-count * buffer.dtype(dtype).itemsize // ALIGNMENT) * ALIGNMENT
        offset = 0
        for start, end, other in sorted(placed, key=lambda item: item[0]):
            apart = reuse and (dies[other] < born[buffer] or dies[buffer] < born[other])
            if not apart and start < offset + size and offset < end:
                offset = end
        buffer.offset = offset
        placed.append((offset, offset + size, buffer))
        top = max(top, offset + size)
    return top
