"""Expressions taken apart: each operand and intermediate result with its value, nothing executed
but arithmetic.

A text is parsed into a tree of `Term`s, and evaluated here, operation by operation. There is no
`eval`: names, numbers, operators, indices, and the functions and methods of NumPy listed below are
known, all of them without side effects; what else is written is refused by name, or, where an error
is being explained, left unknown.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.errors import ExpressionError, did_you_mean

Array = NDArray[Any]

OPERATORS: dict[type[ast.AST], tuple[str, Callable[..., Any]]] = {
    ast.Add: ("+", operator.add),
    ast.Sub: ("-", operator.sub),
    ast.Mult: ("*", operator.mul),
    ast.Div: ("/", operator.truediv),
    ast.FloorDiv: ("//", operator.floordiv),
    ast.Mod: ("%", operator.mod),
    ast.Pow: ("**", operator.pow),
    ast.MatMult: ("@", operator.matmul),
    ast.BitAnd: ("&", operator.and_),
    ast.BitOr: ("|", operator.or_),
    ast.BitXor: ("^", operator.xor),
    ast.Eq: ("==", operator.eq),
    ast.NotEq: ("!=", operator.ne),
    ast.Lt: ("<", operator.lt),
    ast.LtE: ("<=", operator.le),
    ast.Gt: (">", operator.gt),
    ast.GtE: (">=", operator.ge),
    ast.USub: ("-", operator.neg),
    ast.UAdd: ("+", operator.pos),
    ast.Invert: ("~", operator.invert),
}
FUNCTIONS = [
    "abs", "add", "all", "allclose", "any", "argmax", "argmin", "argsort", "array_equal",
    "broadcast_to", "ceil", "clip", "column_stack", "concatenate", "cos", "cosh", "cumsum", "diag",
    "diff", "divide", "dot", "einsum", "equal", "exp", "expand_dims", "expm1", "flip", "floor",
    "greater", "greater_equal", "hstack", "inner", "isfinite", "isnan", "less", "less_equal",
    "log", "log10", "log1p", "log2", "logaddexp", "matmul", "max", "maximum", "mean", "median",
    "min", "minimum", "moveaxis", "multiply", "negative", "ones_like", "outer", "power", "prod",
    "ravel", "reciprocal", "reshape", "roll", "round", "sign", "sin", "sinh", "sort", "sqrt",
    "square", "squeeze", "stack", "std", "subtract", "sum", "swapaxes", "take", "take_along_axis",
    "tan", "tanh", "tensordot", "trace", "transpose", "tril", "triu", "true_divide", "var",
    "vstack", "where", "zeros_like",
]  # fmt: skip
METHODS = [
    "all", "any", "argmax", "argmin", "astype", "clip", "copy", "cumsum", "diagonal", "dot",
    "flatten", "max", "mean", "min", "prod", "ravel", "reshape", "round", "squeeze", "std", "sum",
    "swapaxes", "take", "trace", "transpose", "var",
]  # fmt: skip
ATTRIBUTES = ("T", "mT", "dtype", "ndim", "shape", "size")
_ALLOWED = {id(getattr(np, name)): name for name in FUNCTIONS}  # to look up, never to iterate
_CONSTANTS = [
    "bool_", "e", "float32", "float64", "inf", "int32", "int64", "nan", "newaxis", "pi", "uint8",
]  # fmt: skip


class _Unknown:
    """A value that cannot be had without executing somebody's code."""

    def __repr__(self) -> str:
        return "?"


UNKNOWN = _Unknown()


@dataclass(eq=False)
class Term:
    """A part of an expression: its source cut at its operands, and what it came to.

    `gaps` are its own words, before, between and after its `operands`; in gap `mark` stands its
    `sign`, the operator or function, under which its result belongs.
    """

    node: ast.AST
    gaps: list[str]
    operands: list[Term] = field(default_factory=list)
    mark: int = 0
    sign: str = ""
    value: Any = UNKNOWN
    failure: Exception | None = None

    @property
    def source(self) -> str:
        """Its own words and those of its operands."""
        pairs = zip(self.gaps, self.operands, strict=False)
        return "".join(gap + operand.source for gap, operand in pairs) + self.gaps[-1]

    def walk(self) -> Iterator[Term]:
        """Every term in the order of evaluation, itself last."""
        for operand in self.operands:
            yield from operand.walk()
        yield self


class Failed(Exception):
    """An operation that could not be done; `term` is the one."""

    def __init__(self, term: Term) -> None:
        self.term = term


class Reader:
    """Reads an expression's tree into terms and evaluates them.

    Parameters
    ----------
    source : str
        The text in which the nodes' positions count.
    name : function
        The value of a name, UNKNOWN where it is not to be touched; may raise.
    attribute : function
        The same for an attribute of what is neither an array nor NumPy itself.
    strict : bool
        Whether what is not understood, or goes wrong, is an error, or only unknown.
    """

    def __init__(
        self, source: str, name: Callable[[str], Any],
        attribute: Callable[[Any, str], Any] | None = None, *, strict: bool = True,
    ) -> None:  # fmt: skip
        self.lines = [line.encode() for line in source.splitlines(keepends=True)] or [b""]
        self._name, self._attribute = name, attribute
        self.strict = strict

    # ---- the source between two places ---------------------------------------------------------

    def text(self, start: tuple[int, int], stop: tuple[int, int]) -> str:
        """The source from one (line, byte) to another, on one line."""
        (first, a), (last, b) = start, stop
        if first == last:
            cut = self.lines[first - 1][a:b]
        else:
            middle = self.lines[first : last - 1]
            cut = b"".join([self.lines[first - 1][a:], *middle, self.lines[last - 1][:b]])
        return re.sub(r"\s*(#[^\n]*)?\n\s*", " ", cut.decode())

    def between(self, node: ast.AST, parts: list[Term], mark: int = 0, sign: str = "") -> Term:
        """A term of `node` whose source is cut at `parts`."""
        places = [_start(node)]
        for part in parts:
            places += [_start(part.node), _end(part.node)]
        places.append(_end(node))
        pairs = zip(places[::2], places[1::2], strict=True)
        gaps = [self.text(start, stop) for start, stop in pairs]
        return Term(node, gaps, parts, mark, sign or gaps[mark].strip())

    def refuse(self, node: ast.AST, why: str) -> Term:
        """An error where everything has to be understood, else a term of unknown value."""
        words = self.text(_start(node), _end(node))
        if self.strict:
            raise ExpressionError(f"{words!r} cannot be explained: {why}")
        return Term(node, [words])

    # ---- nodes -----------------------------------------------------------------------------------

    def read(self, node: ast.AST) -> Term:
        """The term of a node, evaluated; `Failed` where an operation went wrong."""
        method = getattr(self, f"_{type(node).__name__}", None)
        if method is None:
            return self.refuse(node, _REASONS.get(type(node), "it is no arithmetic"))
        term: Term = method(node)
        return term

    def compute(self, term: Term, function: Callable[[], Any]) -> Term:
        """Gives the term the function's value, unless something under it is unknown."""
        if any(t.value is UNKNOWN for t in term.operands):
            return term
        try:
            with np.errstate(all="ignore"):
                term.value = guarded(function())
        except Exception as error:
            if self.strict:
                term.failure = error
                raise Failed(term) from error
        return term

    def _numbers(self, node: ast.AST) -> Term:
        """An operand of an operator: an array or a number, or a list that makes one."""
        term = self.read(node)
        if type(term.value) in (list, tuple):
            term.value = _array_of(term.value)
        if term.value is not UNKNOWN and not is_value(term.value):
            self.refuse(node, f"a {type(term.value).__name__} is no array")
            term.value = UNKNOWN
        return term

    def _Constant(self, node: ast.Constant) -> Term:
        term = Term(node, [self.text(_start(node), _end(node))])
        if isinstance(node.value, bytes | complex):
            return self.refuse(node, f"a {type(node.value).__name__} is no number here")
        term.value = node.value
        return term

    def _Name(self, node: ast.Name) -> Term:
        return Term(node, [node.id], value=guarded(self._name(node.id)))

    def _BinOp(self, node: ast.BinOp) -> Term:
        if type(node.op) not in OPERATORS:
            return self.refuse(node, "this operator is for whole numbers")
        sign, function = OPERATORS[type(node.op)]
        left, right = self._numbers(node.left), self._numbers(node.right)
        if isinstance(node.op, ast.Pow) and _huge(left.value, right.value):
            return self.refuse(node, "this power of whole numbers is too large")
        term = self.between(node, [left, right], 1, sign)
        return self.compute(term, lambda: function(left.value, right.value))

    def _Compare(self, node: ast.Compare) -> Term:
        if len(node.ops) != 1 or type(node.ops[0]) not in OPERATORS:
            return self.refuse(node, "arrays are compared two at a time, by == != < <= > >=")
        sign, function = OPERATORS[type(node.ops[0])]
        left, right = self._numbers(node.left), self._numbers(node.comparators[0])
        term = self.between(node, [left, right], 1, sign)
        return self.compute(term, lambda: function(left.value, right.value))

    def _UnaryOp(self, node: ast.UnaryOp) -> Term:
        if type(node.op) not in OPERATORS:
            return self.refuse(node, "write ~ for not of an array")
        sign, function = OPERATORS[type(node.op)]
        operand = self._numbers(node.operand)
        words = self.text(_start(node), _end(node))
        if isinstance(node.operand, ast.Constant) and operand.value is not UNKNOWN:
            return self.compute(Term(node, [words]), lambda: function(operand.value))
        term = self.between(node, [operand], 0, sign)
        return self.compute(term, lambda: function(operand.value))

    def _Tuple(self, node: ast.Tuple | ast.List) -> Term:
        parts = [self.read(e) for e in node.elts]
        term = self.between(node, [p for p in parts if not plain(p)])
        if any(p.value is UNKNOWN for p in parts):
            return term
        values = [p.value for p in parts]
        term.value = tuple(values) if isinstance(node, ast.Tuple) else values
        return term

    _List = _Tuple

    def _Slice(self, node: ast.Slice) -> Term:
        ends = [None if e is None else self.read(e) for e in (node.lower, node.upper, node.step)]
        term = self.between(node, [e for e in ends if e is not None and not plain(e)])
        values = [None if e is None else e.value for e in ends]
        term.value = UNKNOWN if any(v is UNKNOWN for v in values) else slice(*values)
        return term

    def _Subscript(self, node: ast.Subscript) -> Term:
        base, index = self.read(node.value), self.read(node.slice)
        parts = [base, *([] if plain(index) else _shown(index))]
        term = self.between(node, parts, 1)
        if not (is_indexable(base.value) and is_harmless(index.value)):
            return term if not self.strict else self.refuse(node, "only arrays have indices here")
        term = self.compute(term, lambda: base.value[index.value])
        if is_value(base.value) or term.value is UNKNOWN:
            return term
        return Term(node, [term.source], value=term.value)  # found in a list or a dict

    def _Attribute(self, node: ast.Attribute) -> Term:
        base = self.read(node.value)
        whole = self.text(_start(node), _end(node))
        if isinstance(base.value, ModuleType):  # NumPy's are not operands but words
            value = vars(base.value).get(node.attr, UNKNOWN)
            known = id(value) in _ALLOWED or node.attr in _CONSTANTS
            if base.value is np and (known or not self.strict):
                return Term(node, [whole], value=value)
            hint = did_you_mean(node.attr, FUNCTIONS)
            return self.refuse(node, f"it is not among NumPy's functions known here. {hint}")
        if is_value(base.value):
            if node.attr in ATTRIBUTES:
                array = base.value if isinstance(base.value, np.ndarray) else np.asarray(base.value)
                term = self.between(node, [base], 1)
                return self.compute(term, lambda: getattr(array, node.attr))
            hint = did_you_mean(node.attr, (*ATTRIBUTES, *METHODS))
            return self.refuse(node, f"this attribute of an array is not known here. {hint}")
        if self._attribute is not None and base.value is not UNKNOWN:
            return Term(node, [whole], value=guarded(self._attribute(base.value, node.attr)))
        return self.refuse(node, "only arrays have attributes here")

    def _Call(self, node: ast.Call) -> Term:
        starred = [a for a in node.args if isinstance(a, ast.Starred)]
        if starred or any(k.arg is None for k in node.keywords):
            return self.refuse(node, "write the arguments out, without * and **")
        method, base, function = None, None, UNKNOWN
        if isinstance(node.func, ast.Attribute):
            base = self.read(node.func.value)
            if is_value(base.value):
                method = node.func.attr
                if method not in METHODS:
                    hint = did_you_mean(method, METHODS)
                    return self.refuse(node, f"this method is not known here. {hint}")
        if method is None:
            base, function = None, self.read(node.func).value
            if id(function) not in _ALLOWED and self.strict:
                return self.refuse(node, "only NumPy's functions are known here, np.exp(x)")
        args = [self.read(a) for a in node.args]
        named = {str(k.arg): self.read(k.value) for k in node.keywords}
        every = [*args, *named.values()]
        shown = [part for a in every for part in ([] if plain(a) else _shown(a))]
        term = self.between(node, ([base] if base else []) + shown, 1 if base else 0)
        if "out" in named or not all(is_harmless(a.value) for a in every):
            return term if not self.strict else self.refuse(node, "out= would write into an array")
        values, options = [a.value for a in args], {k: a.value for k, a in named.items()}
        if method is not None and base is not None:
            array = np.asarray(base.value)
            return self.compute(term, lambda: getattr(array, method)(*values, **options))
        if id(function) not in _ALLOWED:
            return term
        return self.compute(term, lambda: function(*values, **options))  # type: ignore[operator]


_REASONS: dict[type[ast.AST], str] = {
    ast.BoolOp: "and, or take single truths; for arrays write & and |",
    ast.IfExp: "if belongs into the program; for arrays there is np.where",
    ast.Lambda: "functions are not made here",
    ast.NamedExpr: "write the value out, without :=",
}


def plain(term: Term) -> bool:
    """Whether a term is made of numbers and words alone, and stands for itself in a drawing."""
    names = [n.id for n in ast.walk(term.node) if isinstance(n, ast.Name)]
    return all(name in ("np", "numpy") for name in names)


def _shown(term: Term) -> list[Term]:
    """The operands inside a tuple, list or slice in place of it; else the term itself."""
    if isinstance(term.node, ast.Tuple | ast.List | ast.Slice):
        return [part for t in term.operands for part in _shown(t)]
    return [term]


def is_value(value: Any) -> bool:
    """Whether it is an array or number of NumPy or Python itself: its arithmetic is no more."""
    if type(value) is np.ndarray:
        return bool(value.dtype.kind in "biufc")
    return isinstance(value, np.generic) or type(value) in (bool, int, float, complex)


def is_harmless(value: Any) -> bool:
    """Whether it is a value, a word, or made of such: nothing of its own runs when it is used."""
    if type(value) in (list, tuple):
        return all(is_harmless(v) for v in value)
    if type(value) is slice:
        return all(is_harmless(v) for v in (value.start, value.stop, value.step))
    is_type = isinstance(value, type) and value.__module__ in ("numpy", "builtins")
    return value is None or value is ... or type(value) is str or is_type or is_value(value)


def guarded(value: Any) -> Any:
    """The value, an array as a view that cannot be written into."""
    if type(value) is np.ndarray and value.flags.writeable:
        value = value.view()
        value.flags.writeable = False
    return value


def _array_of(values: Any) -> Any:
    """The array that a list of numbers, or of lists of them, makes; else UNKNOWN."""
    leaves = [values]
    for found in leaves:
        if type(found) in (list, tuple):
            leaves += found
        if len(leaves) > 10_000 or not (type(found) in (list, tuple) or is_value(found)):
            return UNKNOWN
    try:
        return np.array(values)
    except ValueError:
        return UNKNOWN


def is_indexable(value: Any) -> bool:
    """Whether taking an item of it executes nobody's code."""
    from pellucid.network.parameters import FlatViews

    return type(value) in (list, tuple, dict, FlatViews) or (
        type(value) is np.ndarray and value.dtype.kind in "biufc"
    )


def _huge(base: Any, exponent: Any) -> bool:
    """Whether a power of whole numbers has more than a few thousand bits."""
    whole = isinstance(base, int) and isinstance(exponent, int)
    return whole and exponent > 0 and base.bit_length() * exponent > 4096


def _start(node: Any) -> tuple[int, int]:
    return node.lineno, node.col_offset


def _end(node: Any) -> tuple[int, int]:
    return node.end_lineno, node.end_col_offset
