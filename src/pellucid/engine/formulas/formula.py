"""A formula: a straight line of elementwise steps over blocks of values, as one instruction.

The values that are not single numbers lie in *lines* of K, `per` lines a row of the batch; a step
works on a whole block of lines, or on one number a line. What a step reads or writes is an operand
(0 to 7), a register (from 8 on) or a number (−1, −2, …: the constants first, then the numbers of an
update, then what the scalar steps have made of these, in float64). Reductions go along a line;
``over`` adds up lines, for the gradients of parameters; ``total`` is the value of a loss.

`Formula.run` is the twin of what native/ops_formula.hpp does, step by step in NumPy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pellucid.engine.opcodes.base import Moment

Array = NDArray[Any]
OPERANDS = 8
# What an operand is.
ABSENT, VALUES, LINES, COLUMN, OVER, WHOLE_VALUES, WHOLE_LINES = range(7)

UNARY: dict[str, Callable[..., Any]] = {
    "copy": np.positive, "negative": np.negative, "not": lambda x: 1 - x, "absolute": np.absolute,
    "sqrt": np.sqrt, "square": np.square, "exp": np.exp, "log": np.log, "log1p": np.log1p,
    "expm1": np.expm1, "tanh": np.tanh, "sinh": np.sinh, "cosh": np.cosh, "sin": np.sin,
    "cos": np.cos, "rint": np.rint, "floor": np.floor, "ceil": np.ceil, "sign": np.sign,
}  # fmt: skip
BINARY: dict[str, Callable[..., Any]] = {
    "add": np.add, "subtract": np.subtract, "multiply": np.multiply, "divide": np.divide,
    "maximum": np.maximum, "minimum": np.minimum, "power": np.power, "copysign": np.copysign,
    "less": np.less, "less_equal": np.less_equal, "equal": np.equal, "not_equal": np.not_equal,
}  # fmt: skip
REDUCE: dict[str, Any] = {"sum": np.add, "max": np.maximum, "min": np.minimum}
# The order is that of the steps' numbers in native/formula.hpp: a test holds the two together.
STEPS = (
    *UNARY, *BINARY, "where", "polynomial", *REDUCE, "across", "spread", "tile", "integers",
    "counts", "times", "over", "total",
)  # fmt: skip


class Step(NamedTuple):
    """What is done, where the result goes, and what it is made of."""

    op: str
    to: int
    a: int = 0
    b: int = 0
    c: int = 0


@dataclass(frozen=True)
class Formula:
    """The steps, what the operands are, and the constants; see the top of this file.

    `flat` formulas know nothing of lines. `constants` are numbers −1, −2, …; `reals` what
    polynomials and constant columns are made of. `names` are the operands', and `lines` the NumPy
    lines, to read.
    """

    per: int
    K: int
    flat: bool
    registers: tuple[int, int]  # of blocks; of one number a line, behind those
    operands: tuple[tuple[int, int], ...]  # kind, and the length of columns
    writes: tuple[int, ...]
    constants: tuple[float, ...]
    numbers: int
    scalars: tuple[Step, ...]
    steps: tuple[Step, ...]
    reals: tuple[float, ...]
    names: tuple[str, ...]
    lines: tuple[str, ...]

    @property
    def sums(self) -> int:
        """Whether it gives the value of a loss."""
        return sum(step.op == "total" for step in self.steps)

    def encoded(self) -> tuple[Array, Array]:
        """As the core reads it: integers and real numbers."""
        head = [
            self.per, self.K, self.flat, *self.registers, len(self.constants), self.numbers,
            len(self.scalars), len(self.steps), sum(1 << k for k in self.writes),
        ]  # fmt: skip
        whole = [*head, *[n for operand in self.operands for n in operand]]
        behind = len(self.constants)  # where `reals` begin
        for op, to, a, b, c in (*self.scalars, *self.steps):
            b += behind if op == "polynomial" or (op == "tile" and a < 0) else 0
            whole += [STEPS.index(op), to, a, b, c]
        return np.array(whole, np.int64), np.array([*self.constants, *self.reals])

    def run(
        self, at: Moment, arrays: Sequence[Array | None], scale: float = 1.0, added: float = 0
    ) -> float | None:
        """Does it in NumPy, on the operands' arrays."""
        first = next(
            a for a, (kind, _) in zip(arrays, self.operands, strict=True)
            if a is not None and kind in (VALUES, LINES)
        )  # fmt: skip
        dtype, rows = first.dtype, at.rows
        places: dict[int, Any] = {}
        for k, (array, (kind, _)) in enumerate(zip(arrays, self.operands, strict=True)):
            if array is not None and kind != ABSENT:
                shape = (-1,) if self.flat or kind in (COLUMN, OVER) else (-1, self.K)
                places[k] = array.reshape((-1, 1) if kind in (LINES, WHOLE_LINES) else shape)
        given = (at.rate, *at.numbers)[: self.numbers]
        places |= {-1 - k: v for k, v in enumerate((*self.constants, *given))}
        for step in self.scalars:
            places[step.to] = float(BINARY[step.op](places[step.a], places[step.b]))
        places |= {k: dtype.type(v) for k, v in places.items() if k < 0}
        factor = dtype.type(scale / at.total if at.total else 0.0)
        weight = arrays[OPERANDS - 1] if at.weighted else None
        value = None
        for step in self.steps:
            a: Any = places.get(step.a)
            if step.op == "total":
                each = np.asarray(a, np.float64).reshape(rows, -1).sum(axis=1)
                each = each if weight is None else each * weight
                value = scale * float(each.sum()) * float(self.constants[-1 - step.b])
            elif step.op == "over":
                length = self.operands[step.to][1]
                sums = a.reshape(-1, length if length > 1 else self.K).sum(axis=0)
                sums = sums if length > 1 else sums.sum(keepdims=True)
                places[step.to][...] = sums + (places[step.to] if added or at.part else 0)
            elif step.op == "times":
                made = np.full((rows, 1), factor, dtype)
                made = made if weight is None else made * weight.reshape(rows, 1)
                self._put(places, step.to, self._by_value(made, first.size // max(rows, 1)))
            else:
                self._put(places, step.to, self._result(step, places, dtype, rows * self.per))
        return value

    def _result(self, step: Step, places: dict[int, Any], dtype: np.dtype[Any], lines: int) -> Any:
        a: Any = places.get(step.a)
        if step.op in UNARY:
            return UNARY[step.op](a)
        if step.op in BINARY:
            b = places[step.b]
            if step.op == "power":
                return np.power(a, b)
            return BINARY[step.op](a, b).astype(dtype, copy=False)
        if step.op == "where":
            return np.where(a != 0, places[step.b], places[step.c])
        if step.op == "polynomial":
            first, *others = (dtype.type(r) for r in self.reals[step.b : step.b + step.c])
            y = first * a
            for c in others[:-1]:
                y = (y + c) * a
            return y + others[-1]
        if step.op in REDUCE:
            return REDUCE[step.op].reduce(a, axis=1, keepdims=True)
        if step.op == "across":
            sums = a.reshape(-1, self.per // step.c, step.c).sum(axis=1, keepdims=True)
            return np.repeat(sums, self.per // step.c, axis=1).reshape(-1, 1)
        if step.op == "tile" and step.a >= 0 and a.size > self.K:
            return np.tile(a.reshape(-1, self.K), (lines * self.K // a.size, 1))
        if step.op == "tile":
            return a if step.a >= 0 else np.array(self.reals[step.b : step.b + step.c], dtype)
        if step.op == "integers":
            return a.astype(dtype)
        assert step.op == "spread"
        return a

    def _by_value(self, column: Array, size: int) -> Array:
        """One number a row of the batch, as values lie: (rows, 1) → (rows · size,) or lines."""
        if self.flat:
            return np.repeat(column[:, 0], size)
        return np.repeat(column, self.per, axis=0)

    def _put(self, places: dict[int, Any], to: int, value: Any) -> None:
        if 0 <= to < OPERANDS:
            places[to][...] = value
        else:
            places[to] = value
