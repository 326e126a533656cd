"""Rung 5: gradient descent. A step on arrays, and the batches of a pass over the rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.ladder.pieces import normal
from pellucid.ladder.verdict import Caller, Slip, Verdict, compare, name_slip, same

Array = NDArray[Any]
EARLY = "weights updated too early: they are changed before the gradient has gone back through them"

STEP_SLIPS = [
    Slip("uphill: the step goes against the gradient, so subtract", lambda p, g, r: [a + r * d for a, d in zip(p, g, strict=True)]),
    Slip("the learning rate is missing", lambda p, g, r: [a - d for a, d in zip(p, g, strict=True)]),
    Slip("the gradient is divided by the learning rate", lambda p, g, r: [a - d / r for a, d in zip(p, g, strict=True)]),
    Slip("the step is taken twice", lambda p, g, r: [a - 2 * r * d for a, d in zip(p, g, strict=True)]),
    Slip("the parameters are replaced by the step: subtract it from them", lambda p, g, r: [-r * d for d in g]),
    Slip("only the sign of the gradient is used", lambda p, g, r: [a - r * np.sign(d) for a, d in zip(p, g, strict=True)]),
    Slip("the parameter itself is taken for its gradient", lambda p, g, r: [a - r * a for a in p]),
    Slip("only the first array is changed: walk through all of them", lambda p, g, r: [p[0] - r * g[0], *p[1:]]),
    Slip("only the last array is changed: is the step inside the loop?", lambda p, g, r: [*p[:-1], p[-1] - r * g[-1]]),
]  # fmt: skip
IN_PLACE = (
    "the arrays are not changed in place: p = p - … makes a new array under the same name; write "
    "p -= …"
)


def check_sgd_step(function: Callable[..., Any], call: Caller, names: Any) -> Verdict:
    """Every array changed in place by −rate · gradient, the gradients left alone."""
    verdict = Verdict("sgd_step")
    shapes, rate = [(3, 2), (2,), (2, 4)], 0.25
    before = [normal(*shape, draw=k) for k, shape in enumerate(shapes)]
    gradients = [normal(*shape, draw=9 + k) for k, shape in enumerate(shapes)]
    mine, slopes = [a.copy() for a in before], [g.copy() for g in gradients]
    aside = Verdict("sgd_step")
    result = call(aside, "sgd_step", function, mine, slopes, rate)
    if any("raises" in line or "not written" in line for line in aside.lines):
        return aside
    judge_step(verdict, before, mine, slopes, rate, gradients, result)
    return verdict


def judge_step(
    verdict: Verdict, before: list[Array], after: list[Array], slopes: list[Array], rate: float,
    gradients: list[Array], result: Any = None,
) -> None:  # fmt: skip
    """Says what is wrong with arrays after a step of gradient descent."""
    right = [p - rate * g for p, g in zip(before, gradients, strict=True)]
    if not all(same(s, g) for s, g in zip(slopes, gradients, strict=True)):
        verdict.say("the gradients are changed: a step reads them only")
        verdict.slip("the input is overwritten: make a new array, rate * g instead of g *= rate")
    if all(same(a, r) for a, r in zip(after, right, strict=True)):
        return
    if all(same(a, p) for a, p in zip(after, before, strict=True)):
        verdict.say("the parameters are what they were before the step")
        given = result if isinstance(result, list | tuple) else []
        if given and all(same(a, r) for a, r in zip(given, right, strict=False)):
            verdict.say("it returns the right numbers, but in new arrays")
        verdict.slip(IN_PLACE)
        return
    for k, (a, r) in enumerate(zip(after, right, strict=True)):
        if not compare(verdict, f"array {k} after a step of rate {rate}", a, r):
            break
    name_slip(verdict, [((before, gradients, rate), tuple(after))], [
        Slip(s.words, lambda p, g, r, s=s: tuple(s.gives(p, g, r))) for s in STEP_SLIPS
    ])  # fmt: skip


def check_batches(function: Callable[..., Any], call: Caller, names: Any) -> Verdict:
    """All rows in their order, `size` at a time, the last batch as short as it comes out."""
    verdict = Verdict("batches")
    for rows, size in ((10, 4), (8, 4), (3, 5), (7, 1)):
        x, y = normal(rows, 2), np.arange(rows)
        given = call(verdict, "batches", lambda x, y, size: list(function(x, y, size)), x, y, size)
        if given is None:
            return verdict
        try:
            cut = [(np.asarray(a), np.asarray(b)) for a, b in given]
        except (TypeError, ValueError):
            verdict.say("each batch is a pair: some rows of x, and the same rows of y")
            return verdict
        judge_batches(verdict, [rows_seen(a, x) for a, _ in cut], rows, size)
        if verdict.right and not all(np.array_equal(rows_seen(a, x), b) for a, b in cut):
            verdict.say(f"of {rows} rows in batches of {size}, y is cut otherwise than x")
            verdict.slip("x and y do not belong together: cut both alike")
        if not verdict.right:
            return verdict
    return verdict


def rows_seen(part: Array, x: Array) -> list[int]:
    """Which rows of x an array holds; −1 for what is none of them."""
    part = np.atleast_2d(part)
    if part.shape[1:] != x.shape[1:]:
        return [-1] * len(part)
    found = [np.flatnonzero((x == row).all(axis=1)) for row in part]
    return [int(f[0]) if f.size else -1 for f in found]


def judge_batches(
    verdict: Verdict, seen: list[list[int]], rows: int, size: int, order: list[int] | None = None
) -> None:
    """Says what is wrong with the rows that batches hold."""
    wanted = list(range(rows)) if order is None else order
    right = [wanted[k : k + size] for k in range(0, rows, size)]
    if seen == right:
        return
    told = [len(batch) for batch in seen]
    verdict.say(
        f"of {rows} rows in batches of {size} it gives batches of {told} rows, and should give "
        f"{[len(batch) for batch in right]}"
        if told != [len(batch) for batch in right]
        else f"of {rows} rows in batches of {size}, batch "
        f"{next(i for i, (a, b) in enumerate(zip(seen, right, strict=True)) if a != b)} holds "
        "other rows than it should"
    )
    full = rows // size * size
    flat = [row for batch in seen for row in batch]
    if seen == right[:1]:
        verdict.slip("only the first batch: is a return or break inside the loop?")
    elif flat == wanted[:full] and rows % size:
        verdict.slip("the last batch is dropped: it is shorter than the others, and counts too")
    elif seen and not seen[-1] and seen[:-1] == right:
        verdict.slip("an empty batch at the end")
    elif sorted(flat) == list(range(rows)) and order is not None and flat == list(range(rows)):
        verdict.slip("the order is not used: x[order]")
    elif len(flat) > rows:
        verdict.slip("rows come twice: the next batch begins where the last one ended")
    elif order is None and sorted(flat) == list(range(rows)) and flat != wanted:
        verdict.slip("the rows come in another order than they stand")
    elif flat == wanted[1:]:
        verdict.slip("the first row is left out: rows count from 0")
    elif all(b in (r, r[:-1]) for b, r in zip(seen, right, strict=False)):
        verdict.slip("each batch is one row short: x[a:b] ends before b")
