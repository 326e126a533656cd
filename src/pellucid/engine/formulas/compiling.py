"""From recorded expressions to the steps of a formula.

First it is found how the arrays lie: as one long row of values, or in lines of K with one number a
line where something is reduced. Then every expression becomes a step, its result in a register that
is free again after its last use; powers of a polynomial go in one step.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from math import prod
from typing import NamedTuple

from pellucid.engine.formulas.formula import (
    ABSENT,
    BINARY,
    COLUMN,
    LINES,
    OPERANDS,
    OVER,
    REDUCE,
    UNARY,
    VALUES,
    WHOLE_LINES,
    WHOLE_VALUES,
    Formula,
    Step,
)
from pellucid.engine.formulas.nodes import Node, Shape, Untraceable
from pellucid.engine.formulas.registers import ALONE, direct, placed, shifted
from pellucid.engine.formulas.text import written

REGISTERS, STEPS, CONSTANTS, REALS = 24, 500, 100, 8000  # at most


class Output(NamedTuple):
    """What becomes of an expression: stored in an operand, summed over lines into it, or a loss."""

    name: str
    node: Node
    how: str  # "store", "over", "total"


class Layout(NamedTuple):
    """How the rows lie: `per` lines each, of K values along the axes `ends`."""

    batch: int
    per: int
    ends: Shape
    flat: bool
    groups: int = 0  # of lines that belong together, every so many

    @property
    def K(self) -> int:
        return prod(self.ends)

    def kind(self, node: Node) -> str:
        """scalar, one (a number that is an operand's), column, line or full."""
        if node.scalar or node.op in ("constant", "number"):
            return "scalar"
        if node.count == self.batch * self.per * self.K:
            return "full"
        if node.count == 1:
            return "one"
        if not self.flat and node.count == self.batch * self.per:
            return "line"
        if self.groups and node.count == self.batch * self.groups:
            return "line"  # each of its numbers stands at every line of its group
        if self.groups and node.count == self.groups * self.K:
            return "column"
        shape = node.shape
        while shape and shape[0] == 1:
            shape = shape[1:]
        if not self.flat and shape == self.ends:
            return "column"
        raise Untraceable(f"an array of shape {node.shape} is neither a row's nor a line's")


def layouts(batch: int, row: Shape) -> list[Layout]:
    """How rows of this shape may lie, the simplest first."""
    found = [Layout(batch, 1, row, True)]
    found += [Layout(batch, prod(row[:k]), row[k:], False) for k in reversed(range(len(row)))]
    return found if row else [*found, Layout(batch, 1, (), False)]


def compile_formula(
    outputs: Sequence[Output], batch: int, row: Shape, *, numbers: int = 0,
    leaves: Mapping[int, str] | None = None, integers: Collection[str] = (),
    never: Sequence[Node] = (), groups: int = 0,
) -> Formula:  # fmt: skip
    """The formula of some expressions, for rows of a shape.

    `numbers` is how many an update has; `leaves` are nodes, by number, whose values are ready in an
    operand of a name, `integers` the operands that hold such, `never` conditions
    where the value of a loss becomes NaN.

    Raises `Untraceable` where they do not fit into lines, or are too many.
    """
    why = Untraceable("")
    if groups:  # the channels of a line are those of a group
        row = (*row[:-1], groups, row[-1] // groups)
    for layout in [x._replace(groups=0 if x.flat else groups) for x in layouts(batch, row)]:
        try:
            return _Compiler(layout, numbers, leaves or {}, integers, never).run(outputs)
        except Untraceable as error:
            why = why if why.args[0] else error
        except RecursionError:
            raise Untraceable("its formula is too long") from None
    raise why


class _Compiler:
    def __init__(
        self, layout: Layout, numbers: int, leaves: Mapping[int, str], integers: Collection[str],
        never: Sequence[Node],
    ) -> None:  # fmt: skip
        self.layout, self.numbers, self.leaves = layout, numbers, leaves
        self.integers, self.never = integers, never
        self.names: list[str] = []  # of the operands, in the order in which they are met
        self.steps: list[Step] = []
        self.scalars: list[Step] = []
        self.constants: list[float] = []
        self.reals: list[float] = []
        self.operands = [(ABSENT, 0)] * OPERANDS
        self.places: dict[tuple[int, str], int] = {}
        self.lined: set[int] = set()  # virtual registers of one number a line
        self.uses: dict[int, int] = {}

    def run(self, outputs: Sequence[Output]) -> Formula:
        self._count(outputs)
        written_to, stores = [], []  # stored last: what is there may be read until then
        for name, node, how in outputs:
            if how == "total":
                self._total(node)
                continue
            slot = self.slot(name)
            written_to.append(slot)
            if how == "over":
                self._over(slot, node)
            else:
                kind = self.layout.kind(node)
                form = "line" if kind == "line" else "full"
                source = self.value(node, form)
                self._operand(slot, LINES if kind == "line" else VALUES, 0)
                stores.append(Step("copy", slot, source))
        steps = direct(self.steps + stores)
        steps, blocks, lines = placed(steps, self.lined)
        if blocks + lines > REGISTERS or len(steps) > STEPS or len(self.reals) > REALS:
            raise Untraceable("its formula is too long")
        scalars, shift = self._scalar_steps()
        steps = [shifted(step, shift) for step in steps]
        return Formula(
            self.layout.per, max(self.layout.K, 1), self.layout.flat, (blocks, lines),
            tuple(self.operands), tuple(sorted({*written_to})), tuple(self.constants),
            self.numbers, tuple(scalars), tuple(steps), tuple(self.reals), self._used(),
            tuple(written(outputs, self.leaves, self.never)),
        )  # fmt: skip

    def slot(self, name: str) -> int:
        """Which operand has this name."""
        if name not in self.names:
            self.names.append(name)
        if len(self.names) == OPERANDS:
            raise Untraceable("its formula has too many operands")
        return self.names.index(name)

    def _used(self) -> tuple[str, ...]:
        """The names of the operands; where a loss is, the last has the rows' weights."""
        weighs = any(step.op in ("total", "times", "counts") for step in self.steps)
        blanks = [""] * (OPERANDS - 1 - len(self.names))
        return (*self.names, *blanks, "weight" if weighs else "")

    def _count(self, outputs: Sequence[Output]) -> None:
        """How often each node is read."""
        seen: set[int] = set()
        stack = [*[output.node for output in outputs], *self.never]
        for node in stack:
            self.uses[node.number] = self.uses.get(node.number, 0) + 1
        while stack:
            node = stack.pop()
            if node.number in seen:
                continue
            seen.add(node.number)
            for arg in node.args:
                self.uses[arg.number] = self.uses.get(arg.number, 0) + 1
                stack.append(arg)

    # ---- values ---------------------------------------------------------------------------------

    def value(self, node: Node, form: str) -> int:
        """Where the values of a node are: as a block ("full") or one a line ("line")."""
        kind = self.layout.kind(node)
        if kind == "scalar":
            return self.scalar(node)
        if kind == "full" and form == "line":
            raise Untraceable("a whole array stands where one number a line is wanted")
        form = "full" if kind == "column" else form
        key = (node.number, form)
        if key not in self.places:
            if kind == "line" and form == "full":
                self.places[key] = self.emit("spread", "full", self.value(node, "line"))
            else:
                self.places[key] = self._made(node, "line" if kind == "line" else form)
        return self.places[key]

    def emit(self, op: str, form: str, a: int = 0, b: int = 0, c: int = 0) -> int:
        """A step with a register of its own."""
        to = ALONE + len(self.steps)
        self.steps.append(Step(op, to, a, b, c))
        if form == "line":
            self.lined.add(to)
        return to

    def _made(self, node: Node, form: str) -> int:
        name = node.value if node.op == "input" else self.leaves.get(node.number)
        if name is not None:
            return self._input(node, name, form)
        if node.op == "column":
            start = len(self.reals)
            self.reals += node.value
            return self.emit("tile", form, -1, start, len(node.value))
        if node.op in ("times", "counts"):
            return self.emit(node.op, form)
        if node.op == "across":
            if self.layout.per != node.inner * node.value or node.value != self.layout.groups:
                raise Untraceable("it adds up lines that do not belong together")
            (arg,) = node.args
            single = self.layout.kind(arg) == "full" and self.layout.K == 1
            lines = (
                self.emit("sum", "line", self.value(arg, "full"))
                if single
                else self.value(arg, "line")
            )
            return self.emit("across", "line", lines, 0, node.value)
        if node.op in REDUCE:
            (arg,) = node.args
            row = self.layout.per * self.layout.K
            if node.op == "sum" and self.layout.groups == 1 and node.inner == row:
                return self.emit(
                    "across", "line", self.emit("sum", "line", self.value(arg, "full")), 0, 1
                )
            if self.layout.flat or node.inner != self.layout.K or self.layout.kind(arg) != "full":
                raise Untraceable("it puts numbers together that are no line")
            return self.emit(node.op, "line", self.value(arg, "full"))
        polynomial = self._polynomial(node)
        if polynomial is not None:
            t, coefficients = polynomial
            start = len(self.reals)
            self.reals += coefficients
            return self.emit("polynomial", form, self.value(t, form), start, len(coefficients))
        if node.op not in UNARY and node.op not in BINARY and node.op != "where":
            raise Untraceable(f"there is no step for {node.op}")
        places = [self.value(arg, form) for arg in node.args]
        return self.emit(node.op, form, *places)

    def _input(self, node: Node, name: str, form: str) -> int:
        kind, slot = self.layout.kind(node), self.slot(name)
        if kind in ("full", "line") and name in self.integers:
            self._operand(slot, WHOLE_VALUES if kind == "full" else WHOLE_LINES, 0)
            return self.emit("integers", kind, slot)
        if kind in ("full", "line"):
            self._operand(slot, VALUES if kind == "full" else LINES, 0)
            return slot
        self._operand(slot, COLUMN, node.count)
        return self.emit("tile", form, slot, 0, node.count)

    def _operand(self, slot: int, kind: int, length: int) -> None:
        if self.operands[slot] not in ((ABSENT, 0), (kind, length)):
            raise Untraceable("an array is used in two forms")
        self.operands[slot] = (kind, length)

    def _polynomial(self, node: Node) -> tuple[Node, list[float]] | None:
        """The t and c₀ … cₙ where a node is (…(c₀ t + c₁) t + …) + cₙ, n at least 2."""
        coefficients: list[float] = []
        t: Node | None = None
        here = node
        while here.op == "add" and here.args[1].op == "constant":
            product, constant = here.args
            if product.op != "multiply" or self.uses[product.number] > 1:
                return None
            inner, factor = product.args
            if inner.op == "constant":
                inner, factor = factor, inner
            ends = factor.op == "constant"
            t = t or (inner if ends else factor)
            coefficients.append(constant.value)
            if ends:
                coefficients.append(factor.value)
                found = inner is t and len(coefficients) > 2 and self.layout.kind(t) != "scalar"
                return (t, coefficients[::-1]) if found else None
            if factor is not t or self.uses[inner.number] > 1:
                return None
            here = inner
        return None

    # ---- single numbers -------------------------------------------------------------------------

    def scalar(self, node: Node) -> int:
        """Where a single number is; what is made of others gets its place at the end."""
        key = (node.number, "scalar")
        if key in self.places:
            return self.places[key]
        if node.op == "constant":
            place = self._constant(node.value)
        elif node.op == "number":
            place = -CONSTANTS - 1 - node.value
        else:
            a, b = (self.scalar(arg) for arg in node.args)
            place = -2 * CONSTANTS - 1 - len(self.scalars)
            self.scalars.append(Step(node.op, place, a, b))
        self.places[key] = place
        return place

    def _constant(self, value: float) -> int:
        told = [repr(c) for c in self.constants]
        if repr(value) not in told:
            self.constants.append(value)
            told.append(repr(value))
        if len(told) > CONSTANTS:
            raise Untraceable("its formula has too many constants")
        return -1 - told.index(repr(value))

    def _scalar_steps(self) -> tuple[list[Step], Callable[[int], int]]:
        """The scalar steps, and where numbers and their results really are."""
        constants, numbers = len(self.constants), self.numbers

        def shift(place: int) -> int:
            if place < -2 * CONSTANTS:
                return place + 2 * CONSTANTS - constants - numbers
            return place + CONSTANTS - constants if place < -CONSTANTS else place

        return [shifted(step, shift) for step in self.scalars], shift

    # ---- sums over rows -------------------------------------------------------------------------

    def _over(self, slot: int, node: Node) -> None:
        """A parameter's gradient: what was there before, and a sum over lines."""
        sides = [arg for arg in node.args if arg.op != "input"]
        if node.op != "add" or len(sides) != 1 or sides[0].op != "over" or self.layout.flat:
            raise Untraceable("a parameter's gradient is no sum over rows")
        (arg,) = sides[0].args
        count = sides[0].count
        lengths = (1, self.layout.K, self.layout.groups * self.layout.K)
        if self.layout.kind(arg) != "full" or count not in lengths:
            raise Untraceable("a parameter's gradient is no sum over lines")
        self._operand(slot, OVER, count)
        self.steps.append(Step("over", slot, self.value(arg, "full")))

    def _total(self, node: Node) -> None:
        """The value of a loss: factors are taken out, and sums, which are added up anyway."""
        factor = 1.0
        while True:
            constants = [arg for arg in node.args if arg.op == "constant"]
            if node.op == "negative":
                factor, node = -factor, node.args[0]
            elif node.op == "divide" and node.args[1].op == "constant":
                factor, node = factor / node.args[1].value, node.args[0]
            elif node.op == "multiply" and constants:
                factor *= constants[0].value
                node = next(arg for arg in node.args if arg is not constants[0])
            elif node.op == "sum":
                node = node.args[0]
            else:
                break
        kind = self.layout.kind(node)
        if kind not in ("full", "line"):
            raise Untraceable("a loss does not depend on its row")
        place = self.value(node, kind)
        for condition in self.never:
            if self.layout.kind(condition) != kind:
                raise Untraceable("it asks for something in rows of another shape")
            nan = self._constant(float("nan"))
            place = self.emit("where", kind, self.value(condition, kind), nan, place)
        self.steps.append(Step("total", -1, place, self._constant(factor)))
