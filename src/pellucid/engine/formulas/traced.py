"""Arrays that record what is done with them.

A `Traced` has a shape and a dtype, and no values. NumPy hands it whatever is called on it
(`__array_ufunc__`, `__array_function__`), and it answers with another `Traced`; shapes and dtypes
are NumPy's own (`broadcast_shapes`, `ufunc.resolve_dtypes`). So a layer, loss or optimizer is
recorded by running its own Python code once. What needs a value (an ``if``, an index, `float`)
raises `Untraceable`, and the part stays a call of Python's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from math import frexp, prod
from typing import Any, NoReturn

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from pellucid.engine.formulas.nodes import Node, Recording, Shape, Untraceable
from pellucid.engine.formulas.numbers import Number

# NumPy's name of an operation, and the one that formulas have for it.
SAME: list[str] = re.findall(
    r"\w+",
    """
    add subtract multiply divide negative sqrt square exp log log1p expm1 tanh sinh cosh sin cos
    rint floor ceil sign maximum minimum power copysign less less_equal equal not_equal
    """,
)
UFUNCS = {name: name for name in SAME} | {
    "absolute": "absolute", "fabs": "absolute", "float_power": "power", "greater": "less",
    "greater_equal": "less_equal", "logical_and": "multiply", "bitwise_and": "multiply",
    "logical_or": "maximum", "bitwise_or": "maximum", "logical_xor": "not_equal",
    "bitwise_xor": "not_equal",
}  # fmt: skip
BOOLS = {"add": "maximum", "maximum": "maximum", "minimum": "multiply", "multiply": "multiply"}
REDUCTIONS = {"add": "sum", "maximum": "max", "minimum": "min"}


class Traced(NDArrayOperatorsMixin):
    """An array without values, in the middle of a recording."""

    def __init__(self, recording: Recording, node: Node, shape: Shape | None = None) -> None:
        self._recording, self._memory = recording, [node]
        self._shape = node.shape if shape is None else shape

    @property
    def _node(self) -> Node:
        """What its values are now."""
        return self._memory[0]

    # ---- what arrays have ---------------------------------------------------------------------

    @property
    def shape(self) -> Shape:
        return self._shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._node.dtype

    @property
    def ndim(self) -> int:
        return len(self._shape)

    @property
    def size(self) -> int:
        return prod(self._shape)

    def __len__(self) -> int:
        return self._shape[0]

    def __repr__(self) -> str:
        return f"Traced({self._node.op}, {self._shape}, {self.dtype})"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise Untraceable(f"it asks an array for {name}")

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise Untraceable("it looks at the numbers in an array")

    __array__ = __float__ = __int__ = __index__ = __complex__ = item = tolist = _refuse

    def __iter__(self) -> Iterator[Any]:
        self._refuse()

    def __bool__(self) -> bool:
        op = self._node.op
        if op not in ("any", "all") or op != self._recording.denied:
            raise Untraceable("what it does depends on the numbers in an array")
        if op == "any":
            self._recording.never.append(self._node.args[0])
        return False

    # ---- elementwise --------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if method == "reduce":
            return _reduced(self._recording, ufunc.__name__, inputs[0], **options)
        if method != "__call__" or options.keys() - {"out", "dtype", "casting"}:
            raise Untraceable(f"it calls np.{ufunc.__name__} in a way of its own")
        made = apply(self._recording, ufunc, *inputs, dtype=options.get("dtype"))
        outs = options.get("out")
        if outs is None:
            return made
        (out,) = outs
        if not isinstance(out, Traced):
            raise Untraceable("it writes into an array that is not its own")
        return out._set(made)

    def _set(self, value: Traced) -> Traced:
        """Becomes another value, as an array does that is written into."""
        if np.broadcast_shapes(value.shape, self._shape) != self._shape:
            raise Untraceable("it writes an array into a smaller one")
        node = _cast(self._recording, value, self.dtype)
        if value.shape != self._shape:
            node = self._recording.node("copy", (node,), self._shape, self.dtype)
        self._memory[0] = node
        return self

    def astype(self, dtype: Any, *_: Any, copy: bool = True, **__: Any) -> Traced:
        node = _cast(self._recording, self, np.dtype(dtype))
        return self if node is self._node and not copy else self._as(node)

    def _as(self, node: Node) -> Traced:
        return Traced(self._recording, node, self._shape)

    def copy(self, *_: Any, **__: Any) -> Traced:
        return self._as(self._node)

    def clip(self, *bounds: Any, **options: Any) -> Any:
        return np.clip(self, *bounds, **options)

    # ---- other shapes -------------------------------------------------------------------------

    def reshape(self, *shape: Any, order: str = "C", copy: Any = None) -> Traced:
        wanted = shape[0] if len(shape) == 1 and isinstance(shape[0], tuple | list) else shape
        lengths = [int(n) for n in wanted]
        if -1 in lengths:
            rest = prod(n for n in lengths if n != -1)
            lengths[lengths.index(-1)] = self.size // max(rest, 1)
        if order != "C" or prod(lengths) != self.size:
            raise Untraceable(f"it sees an array of shape {self._shape} as {tuple(lengths)}")
        seen = Traced(self._recording, self._node, tuple(lengths))
        seen._memory = self._memory  # another name for the same
        return seen

    def ravel(self, order: str = "C") -> Traced:
        return self.reshape(-1, order=order)

    def flatten(self, order: str = "C") -> Traced:
        return Traced(self._recording, self._node, (self.size,))

    def squeeze(self, axis: Any = None) -> Traced:
        which = axes_of(axis, self.ndim) if axis is not None else range(self.ndim)
        return self.reshape([n for a, n in enumerate(self._shape) if a not in which or n != 1])

    def __getitem__(self, key: Any) -> Traced:
        keys = key if isinstance(key, tuple) else (key,)
        if any(k is not None and k is not Ellipsis and k != slice(None) for k in keys):
            raise Untraceable("it takes a part of an array")
        shape = np.broadcast_to(np.zeros(()), self._shape)[keys].shape
        return self if shape == self._shape else self.reshape(shape)

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(key, Traced) and key.dtype == np.bool_ and key.shape == self._shape:
            self._set(where(key, value, self))
        elif key in (Ellipsis, slice(None)):
            self._set(as_traced(self._recording, value))
        else:
            raise Untraceable("it writes into a part of an array")

    # ---- reductions ---------------------------------------------------------------------------

    def sum(self, axis: Any = None, **options: Any) -> Any:
        return _reduced(self._recording, "add", self, axis=axis, **options)

    def max(self, axis: Any = None, **options: Any) -> Any:
        return _reduced(self._recording, "maximum", self, axis=axis, **options)

    def min(self, axis: Any = None, **options: Any) -> Any:
        return _reduced(self._recording, "minimum", self, axis=axis, **options)

    def mean(self, axis: Any = None, **options: Any) -> Any:
        which = range(self.ndim) if axis is None else axes_of(axis, self.ndim)
        return self.sum(axis, **options) / prod(self._shape[a] for a in which)

    def var(self, axis: Any = None, *, keepdims: bool = False) -> Any:
        off = self - self.mean(axis, keepdims=True)
        return (off * off).mean(axis, keepdims=keepdims)

    def std(self, axis: Any = None, *, keepdims: bool = False) -> Any:
        return np.sqrt(self.var(axis, keepdims=keepdims))

    def any(self, axis: Any = None, **options: Any) -> Traced:
        return self._asked("any", axis, options)

    def all(self, axis: Any = None, **options: Any) -> Traced:
        return self._asked("all", axis, options)

    def _asked(self, op: str, axis: Any, options: Any) -> Traced:
        if axis is not None or options:
            raise Untraceable("it asks which rows have something")
        return Traced(self._recording, self._recording.node(op, (self._node,), (), np.bool_))

    def __array_function__(self, function: Any, _: Any, args: Any, options: Any) -> Any:
        from pellucid.engine.formulas.functions import FUNCTIONS

        name = function.__name__
        if name not in FUNCTIONS:
            raise Untraceable(f"it calls np.{name}")
        return FUNCTIONS[name](*args, **options)


# ------------------------------------------------------------------------------ what NumPy calls


def as_traced(recording: Recording, x: Any) -> Traced:
    """What an operation is given, as a node; plain numbers have no dtype of their own."""
    if isinstance(x, Traced):
        return x
    if isinstance(x, Number):
        return Traced(recording, x._node)
    if isinstance(x, bool | np.bool_):
        return Traced(recording, recording.constant(x, np.bool_))
    if isinstance(x, int | float) and not isinstance(x, np.generic):
        kind = np.int64 if isinstance(x, int) else np.float64
        return Traced(recording, recording.constant(x, kind))
    array = np.asarray(x)
    return Traced(recording, recording.array(array), array.shape)


def _resolvable(x: Any) -> Any:
    """What decides the dtype of a result."""
    if isinstance(x, Traced):
        return x.dtype
    if isinstance(x, Number):
        return float
    if isinstance(x, bool | np.bool_):
        return np.dtype(np.bool_)
    if isinstance(x, np.generic):
        return x.dtype
    return type(x) if isinstance(x, int | float) else np.asarray(x).dtype


def apply(recording: Recording, ufunc: np.ufunc, *inputs: Any, dtype: Any = None) -> Any:
    """The result of an elementwise operation."""
    name = ufunc.__name__
    if name in COMPOSED:
        return COMPOSED[name](*inputs)
    if ufunc.nout != 1 or name not in UFUNCS:
        raise Untraceable(f"it calls np.{name}")
    if name == "power" and inputs[1] in (2, 3, 4) and isinstance(inputs[1], int | float):
        return _whole_power(inputs[0], inputs[1])
    asked: Any = {} if dtype is None else {"signature": (*[None] * ufunc.nin, np.dtype(dtype))}
    types = ufunc.resolve_dtypes((*map(_resolvable, inputs), None), **asked)
    _note(recording, types)
    nodes = [as_traced(recording, x) for x in inputs]
    shape = np.broadcast_shapes(*[x.shape for x in nodes])
    op, args = UFUNCS[name], [x._node for x in nodes]
    if name.startswith("greater"):
        args.reverse()
    if all(x.dtype == np.bool_ for x in nodes):
        if name in ("subtract", "negative"):
            raise Untraceable("it subtracts booleans")
        op = BOOLS.get(op, op)
    elif name.startswith(("logical", "bitwise")):
        raise Untraceable(f"it calls np.{name} on numbers")
    if all(node.op == "constant" for node in args):
        values = [np.asarray(node.value, t) for node, t in zip(args, types, strict=False)]
        if name.startswith("greater"):
            values.reverse()
        node = recording.constant(ufunc(*values), types[-1], shape)
        return Traced(recording, node)
    made = _simpler(recording, op, args)
    if made is not None and made.shape == shape and made.dtype == types[-1]:
        return Traced(recording, made)
    return Traced(recording, recording.node(op, args, shape, types[-1]))


def _simpler(recording: Recording, op: str, args: list[Node]) -> Node | None:
    """The same numbers with less work: a factor of 1 is none, 1/2ⁿ is as exact as 2ⁿ."""
    if op == "multiply":
        for one, other in (args, args[::-1]):
            if one.op == "constant" and one.value == 1:
                return other
    if op == "divide" and args[1].op == "constant" and abs(frexp(args[1].value)[0]) == 0.5:
        by = recording.constant(1 / args[1].value, np.float64, args[1].shape)
        if 1e-30 < abs(by.value) < 1e30:
            return recording.node("multiply", (args[0], by), args[0].shape, args[0].dtype)
    return None


def _note(recording: Recording, types: Any) -> None:
    recording.mixed |= any(t.kind == "f" and t != recording.dtype for t in types)


def _whole_power(x: Any, n: float) -> Any:
    if n > 2 and isinstance(x, Traced):
        x._recording.mixed = True  # NumPy rounds once, a product more often
    square = np.square(x)
    return square if n == 2 else square * x if n == 3 else np.square(square)


def _cast(recording: Recording, x: Traced, dtype: np.dtype[Any]) -> Node:
    node = x._node
    if dtype == node.dtype or (node.op == "constant" and node.shape == ()):
        return node
    if dtype.kind == "b":
        node = apply(recording, np.not_equal, x, 0)._node
    elif dtype.kind != "f" and node.dtype.kind == "f":
        raise Untraceable("it cuts numbers to whole ones")
    _note(recording, (dtype, node.dtype))
    return recording.node("copy", (node,), x.shape, dtype)


def _inverted(x: Traced) -> Any:
    if x.dtype != np.bool_:
        return np.equal(x, 0)
    return Traced(x._recording, x._recording.node("not", (x._node,), x.shape, np.bool_))


def _log_add(a: Any, b: Any) -> Any:
    """log(eᵃ + eᵇ); equal infinities stay."""
    top, low = np.maximum(a, b), np.minimum(a, b)
    return top + np.log1p(np.exp(np.where(np.equal(top, low), 0.0, low - top)))


COMPOSED: dict[str, Callable[..., Any]] = {
    "positive": lambda x: x.copy(),
    "reciprocal": lambda x: 1 / x,
    "logical_not": _inverted,
    "invert": _inverted,
    "isnan": lambda x: np.not_equal(x, x),
    "isinf": lambda x: np.equal(np.absolute(x), np.inf),
    "isfinite": lambda x: np.less(np.absolute(x), np.inf),
    "logaddexp": _log_add,
    "clip": lambda x, low, high: np.minimum(np.maximum(x, low), high),
}


def where(condition: Any, *choices: Any) -> Traced:
    """np.where with both choices."""
    if len(choices) != 2:
        raise Untraceable("it asks where something holds")
    recording = next(x._recording for x in (condition, *choices) if isinstance(x, Traced))
    kinds = [
        0.0 if isinstance(x, Number) else x.dtype if isinstance(x, Traced) else x for x in choices
    ]
    dtype = np.result_type(*kinds)
    _note(recording, (dtype,))
    three = [as_traced(recording, x) for x in (condition, *choices)]
    shape = np.broadcast_shapes(*[x.shape for x in three])
    if three[0].dtype != np.bool_:
        three[0] = apply(recording, np.not_equal, three[0], 0)
    return Traced(recording, recording.node("where", [x._node for x in three], shape, dtype))


def axes_of(axis: Any, rank: int) -> tuple[int, ...]:
    """Axes counted from the front, in order."""
    given = axis if isinstance(axis, tuple) else (axis,)
    return tuple(sorted(int(a) % rank for a in given))


def _across(
    recording: Recording, name: str, x: Traced, axes: tuple[int, ...], shape: Shape
) -> Traced:
    """Sums along the last axis and an axis in the middle: first along lines, then across them."""
    if name != "add" or len(axes) != 2 or axes[1] != x.ndim - 1 or axes[0] == 0:
        raise Untraceable("it puts numbers together along an axis in the middle")
    lines = _reduced(recording, name, x, axis=axes[1], keepdims=True)
    kept = tuple(1 if a in axes else n for a, n in enumerate(x.shape))
    groups, count = prod(x.shape[axes[0] + 1 : axes[1]]), x.shape[axes[0]]
    recording.sums = True
    node = recording.node("across", (lines._node,), kept, x.dtype, value=groups, inner=count)
    return Traced(recording, node, shape)


def _reduced(
    recording: Recording, name: str, x: Any, axis: Any = 0, dtype: Any = None, out: Any = None,
    keepdims: bool = False, initial: Any = None, where: Any = True,
) -> Any:  # fmt: skip
    """Values put together along the last axes, along the first, or all."""
    if name in ("logical_or", "logical_and") and axis is None:
        return x.any() if name == "logical_or" else x.all()
    if name not in REDUCTIONS or out is not None or where is not True or not isinstance(x, Traced):
        raise Untraceable(f"it calls np.{name}.reduce in a way of its own")
    if dtype is not None and np.dtype(dtype) != x.dtype:
        _note(recording, (np.dtype(dtype),))
    axes = tuple(range(x.ndim)) if axis is None else axes_of(axis, x.ndim)
    kept = [n for a, n in enumerate(x.shape) if a not in axes]
    shape = tuple(1 if a in axes else n for a, n in enumerate(x.shape)) if keepdims else tuple(kept)
    inner = prod(x.shape[a] for a in axes)
    result = np.dtype(np.int64) if x.dtype.kind == "b" and name == "add" else x.dtype
    if inner == 1:
        made = Traced(recording, x._node, shape)
    else:
        op, long = REDUCTIONS[name], [a for a, n in enumerate(x.shape) if n != 1]
        which = [a for a in long if a in axes]
        if which == long[: len(which)] and name == "add" and which[0] == 0:
            op = "over"  # the rows
        elif which != long[len(long) - len(which) :]:
            return _across(recording, name, x, axes, shape)
        recording.sums |= name == "add"
        made = Traced(recording, recording.node(op, (x._node,), shape, result, inner=inner))
    if initial is None or (name == "add" and initial == 0):
        return made
    return {"add": np.add, "maximum": np.maximum, "minimum": np.minimum}[name](made, initial)
