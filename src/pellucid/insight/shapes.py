"""What happens to shapes: which axes an operation stretches, why two do not fit, and what would."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

import numpy as np

from pellucid.insight.expressions import FUNCTIONS, UNKNOWN, Term

Shape = tuple[int, ...]
_REDUCTIONS = ("all", "any", "max", "mean", "median", "min", "prod", "std", "sum", "var")
_UFUNCS = [name for name in FUNCTIONS if isinstance(getattr(np, name), np.ufunc)]


def shape_of(value: Any) -> Shape | None:
    """The shape of an array or a number; None of anything else."""
    if value is UNKNOWN or isinstance(value, str | list | tuple | type) or value is None:
        return None
    return np.shape(value) if isinstance(value, np.ndarray | np.generic | int | float) else None


def kind(term: Term) -> str:
    """Either "matmul" or "elementwise"; empty where the shapes follow other rules."""
    name = function_name(term)
    is_operator = isinstance(term.node, ast.BinOp | ast.Compare | ast.AugAssign)
    if term.sign in ("@", "@=") or name in ("matmul", "dot"):
        return "matmul"
    return "elementwise" if is_operator or name in _UFUNCS else ""


def function_name(term: Term) -> str:
    """``"sum"`` for x.sum(axis=0) and np.sum(x); empty where nothing is called."""
    func = term.node.func if isinstance(term.node, ast.Call) else None
    if isinstance(func, ast.Attribute):
        return func.attr
    return func.id if isinstance(func, ast.Name) else ""


# ---- broadcasting --------------------------------------------------------------------------------


def broadcast_notes(term: Term) -> list[str]:
    """Which operands an elementwise operation stretched along which axes, in words."""
    shapes = [shape_of(t.value) for t in term.operands]
    result = shape_of(term.value)
    if kind(term) != "elementwise" or result is None or None in shapes:
        return []
    notes, wide = [], 0
    for operand, shape in zip(term.operands, shapes, strict=True):
        assert shape is not None
        if shape in ((), result):  # a number goes with everything
            continue
        added = len(result) - len(shape)
        stretched = [i for i, n in enumerate(result) if i < added or shape[i - added] != n]
        if not stretched:
            continue
        wide += 1
        axes = " and ".join(f"axis {i}" for i in stretched)
        notes.append(f"{term.sign} stretches {operand.source} {shape} along {axes} to {result}")
    if wide > 1:
        first, second = (t.source for t in term.operands[:2])
        notes.append(f"both are stretched: every part of {first} meets every part of {second}")
    return notes


def elementwise_shape(a: Shape, b: Shape) -> Shape | None:
    """The shape that two broadcast to; None where they do not."""
    try:
        return np.broadcast_shapes(a, b)
    except ValueError:
        return None


def matmul_shape(a: Shape, b: Shape) -> Shape | None:
    """The shape of a @ b: (…, N, K) @ (…, K, M) → (…, N, M); None where they do not fit."""
    if not a or not b or a[-1] != b[-2 if len(b) > 1 else 0]:
        return None
    stack = elementwise_shape(a[:-2], b[:-2])
    if stack is None:
        return None
    return (*stack, *a[-2:-1], *(b[-1:] if len(b) > 1 else ()))


# ---- what does not fit ---------------------------------------------------------------------------


def mismatch(term: Term) -> str:
    """Why the shapes of a failed operation do not go together, and what would; or nothing."""
    operands = [t for t in term.operands if shape_of(t.value) is not None]
    if len(operands) != 2 or not kind(term):
        return ""
    a, b = (shape_of(t.value) or () for t in operands)
    left, right = (t.source for t in operands)
    if kind(term) == "matmul":
        if matmul_shape(a, b) is not None or (not (a and b) and function_name(term)):
            return ""
        why, fix = _why_matmul(a, b, left, right), _fix_matmul(operands, a, b)
    else:
        if elementwise_shape(a, b) is not None:
            return ""
        why, fix = _why_elementwise(a, b, left, right), _fix_elementwise(operands, a, b)
    sign = "@" if kind(term) == "matmul" else term.sign.rstrip("(")
    return f"{a} {sign} {b} does not fit: {why}" + (f". Likely fix: {fix}" if fix else "")


def _why_matmul(a: Shape, b: Shape, left: str, right: str) -> str:
    if not a or not b:
        return f"{left if not a else right} is a single number, which multiplies by *"
    first = "only axis" if len(a) == 1 else "last axis"
    second = "only axis" if len(b) == 1 else "first axis" if len(b) == 2 else "axis before the last"
    inner = b[-2 if len(b) > 1 else 0]
    if a[-1] != inner:
        return (
            f"the {first} of {left} has {a[-1]}, the {second} of {right} has {inner}, "
            "and they have to be equal"
        )
    return f"the stacks {a[:-2]} of {left} and {b[:-2]} of {right} do not go together"


def _why_elementwise(a: Shape, b: Shape, left: str, right: str) -> str:
    for k in range(1, min(len(a), len(b)) + 1):
        if a[-k] != b[-k] and 1 not in (a[-k], b[-k]):
            return (
                f"counted from the last axis, {left} has {a[-k]} along axis {len(a) - k} where "
                f"{right} has {b[-k]} along axis {len(b) - k}; they have to be equal, or one of "
                "them 1"
            )
    return ""


def _fix_matmul(operands: list[Term], a: Shape, b: Shape) -> str:
    """The first of the usual repairs that gives fitting shapes."""
    x, w = (wrapped(t) for t in operands)
    xt, at = _turned(x, a)
    wt, bt = _turned(w, b)
    if not a or not b:
        return f"{x} * {w}"
    tries = [(x, wt, a, bt), (xt, w, at, b), (w, x, b, a), (xt, wt, at, bt)]
    for left, right, first, second in tries:
        shape = matmul_shape(first, second)
        if shape is not None:
            return f"{left} @ {right}, which gives {shape}"
    return ""


def _fix_elementwise(operands: list[Term], a: Shape, b: Shape) -> str:
    order = [(operands[1], b, a), (operands[0], a, b)]
    if len(a) < len(b):
        order.reverse()
    tries = [(_kept(operand), operand, other) for operand, _, other in order]
    tries += [(_reshaped(operand, mine, other), operand, other) for operand, mine, other in order]
    for found, operand, other in tries:
        for words, shape in found:
            whole = elementwise_shape(shape, other)
            if whole is not None:
                return f"{words} for {operand.source}, {shape}, which gives {whole}"
    return ""


def _kept(operand: Term) -> Iterator[tuple[str, Shape]]:
    """A reduction that keeps its axes."""
    node = operand.node
    if not isinstance(node, ast.Call) or function_name(operand) not in _REDUCTIONS:
        return
    named = {k.arg: k.value for k in node.keywords}
    position = 0 if operand.gaps[0] == "" else 1  # x.sum(axis), np.sum(x, axis)
    axis = named.get("axis") or (node.args[position] if len(node.args) > position else None)
    whole = shape_of(operand.operands[0].value) if operand.operands else None
    if whole is None or axis is None or "keepdims" in named:
        return
    try:
        along = ast.literal_eval(axis)
        axes = [i % len(whole) for i in (along if isinstance(along, tuple) else (along,))]
    except (ValueError, TypeError, ZeroDivisionError):
        return
    words = f"{operand.source.removesuffix(')')}, keepdims=True)"
    yield words, tuple(1 if i in axes else n for i, n in enumerate(whole))


def _reshaped(operand: Term, mine: Shape, other: Shape) -> Iterator[tuple[str, Shape]]:
    words = wrapped(operand)
    if len(mine) == 1 and len(other) > 1:
        yield f"{words}[:, None]", (*mine, 1)
    if len(mine) == 2:
        yield _turned(words, mine)
    if 1 < len(mine) < len(other):
        yield f"{words}[..., None]", (*mine, 1)
    if np.prod(mine) == np.prod(other):
        yield f"{words}.reshape{other}", other


def _turned(words: str, shape: Shape) -> tuple[str, Shape]:
    """The transpose of the last two axes."""
    if len(shape) < 2:
        return words, shape
    return f"{words}.{'T' if len(shape) == 2 else 'mT'}", (*shape[:-2], shape[-1], shape[-2])


def wrapped(term: Term) -> str:
    """The source, in brackets where a suffix would not bind to all of it."""
    alone = isinstance(
        term.node, ast.Name | ast.Constant | ast.Attribute | ast.Call | ast.Subscript
    )
    return term.source if alone else f"({term.source})"
