"""Where the results of a formula's steps are kept: registers that are free after their last use."""

from __future__ import annotations

from collections.abc import Callable

from pellucid.engine.formulas.formula import BINARY, OPERANDS, Step

ALONE = 10**6  # virtual registers begin here, before they get their places

_READS = {"spread": 1, "polynomial": 1, "tile": 1, "over": 1, "total": 2, "across": 1, "where": 3,
          "counts": 0, "times": 0}  # fmt: skip


def reads(step: Step) -> tuple[int, ...]:
    """The places that a step reads."""
    count = _READS.get(step.op, 2 if step.op in BINARY else 1)
    return (step.a, step.b, step.c)[:count]


def shifted(step: Step, shift: Callable[[int], int]) -> Step:
    """The same step with the places of its numbers moved."""
    if step.op in ("tile", "polynomial"):
        return step
    a, b, c = (shift(p) if p < 0 else p for p in (step.a, step.b, step.c))
    to = shift(step.to) if step.to < -1 else step.to
    return step._replace(a=a, b=b, c=c, to=to)


def direct(steps: list[Step]) -> list[Step]:
    """Results that are only copied to an operand are written there, where nothing old is lost."""
    kept = list(steps)
    for end in range(len(kept)):
        step = kept[end]
        if step.op != "copy" or step.to >= OPERANDS or step.a < ALONE:
            continue
        start = next(i for i, other in enumerate(kept) if other.to == step.a)
        old = any(step.to in reads(other) for other in kept[start + 1 : end])
        crowded = any(other.to == step.to for other in kept[:end])
        if old or crowded:
            continue
        kept = [
            other._replace(
                to=step.to if other.to == step.a else other.to,
                a=step.to if other.a == step.a else other.a,
                b=step.to if other.b == step.a else other.b,
                c=step.to if other.c == step.a else other.c,
            )
            for other in kept
        ]
        kept[end] = Step("copy", step.to, step.to)
    return [s for s in kept if s.op != "copy" or s.to != s.a]


def placed(steps: list[Step], lined: set[int]) -> tuple[list[Step], int, int]:
    """Virtual registers get places, which are free again after their last use."""
    last: dict[int, int] = {}
    for time, step in enumerate(steps):
        for place in (*reads(step), step.to):
            last[place] = time
    free: dict[bool, list[int]] = {False: [], True: []}
    made: dict[bool, int] = {False: 0, True: 0}
    at: dict[int, tuple[bool, int]] = {}
    found: list[tuple[Step, list[tuple[bool, int] | int]]] = []
    for time, step in enumerate(steps):
        sources = [at.get(p, p) for p in (step.a, step.b, step.c)]
        for place in {*reads(step)}:
            if place in at and last[place] == time:
                kind, number = at[place]
                free[kind].append(number)
        to: tuple[bool, int] | int = step.to
        if step.to >= ALONE:
            kind = step.to in lined
            free[kind].sort()
            if free[kind]:
                number = free[kind].pop(0)
            else:
                number, made[kind] = made[kind], made[kind] + 1
            to = at[step.to] = (kind, number)
        found.append((step, [to, *sources]))
    blocks = made[False]

    def real(place: tuple[bool, int] | int) -> int:
        if isinstance(place, int):
            return place
        return OPERANDS + place[1] + (blocks if place[0] else 0)

    return [Step(s.op, *[real(p) for p in places]) for s, places in found], blocks, made[True]
