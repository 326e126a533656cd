"""The expressions that a recorded function is made of: nodes, each with its operation and shape.

Equal expressions are one node, so that what is computed twice in Python is computed once here.
Reshaping makes no node: rows follow one another in memory whatever shape they are seen in.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.engine.base import NotLowered

Array = NDArray[Any]
Shape = tuple[int, ...]


class Untraceable(NotLowered):
    """A function does something that has no place in a formula; the message says what."""


@dataclass(eq=False, slots=True)
class Node:
    """An operation on other nodes.

    Leaves are ``input`` (`value`: its name), ``constant`` (a number), ``column`` (an array) and
    ``number`` (`value`: which of an update's numbers it is). `inner` is how many values a reduction
    puts together; ``across`` goes over lines whose numbers differ by multiples of `value`.
    `scalar` nodes are computed once for all values, in float64.
    """

    op: str
    args: tuple[Node, ...]
    shape: Shape
    dtype: np.dtype[Any]
    number: int
    value: Any = None
    inner: int = 1
    scalar: bool = False

    @property
    def count(self) -> int:
        """Values in all."""
        return prod(self.shape)


@dataclass
class Recording:
    """The nodes of what is being recorded, in the order in which they were made.

    `dtype` is the network's; `mixed` says that something was computed in another, and `sums`
    that values were added up, whose order may be another. `denied` is the question about data,
    "any" or "all", that is answered with no; `never` are the conditions of which "any" was denied.
    """

    dtype: np.dtype[Any]
    nodes: list[Node] = field(default_factory=list)
    known: dict[Any, Node] = field(default_factory=dict)
    mixed: bool = False
    sums: bool = False
    denied: str = ""
    never: list[Node] = field(default_factory=list)
    made: dict[Any, Any] = field(default_factory=dict)  # the formulas that came of it, by purpose

    def node(
        self, op: str, args: Iterable[Node], shape: Shape, dtype: Any, *, value: Any = None,
        inner: int = 1, scalar: bool = False,
    ) -> Node:  # fmt: skip
        """The node of an operation, which may be there already."""
        args, dtype = tuple(args), np.dtype(dtype)
        if dtype.kind not in "bif" or (dtype.kind == "f" and dtype.itemsize < 4):
            raise Untraceable(f"it computes with {dtype}")
        key = (op, tuple(a.number for a in args), shape, dtype, _key(value), inner)
        if key not in self.known:
            node = Node(op, args, shape, dtype, len(self.nodes), value, inner, scalar)
            self.nodes.append(node)
            self.known[key] = node
        return self.known[key]

    def input(self, name: str, shape: Shape, dtype: Any = None) -> Node:
        """An array that comes from outside."""
        return self.node("input", (), shape, self.dtype if dtype is None else dtype, value=name)

    def constant(self, value: Any, dtype: Any, shape: Shape = ()) -> Node:
        """A number, as it is in its type."""
        return self.node("constant", (), shape, dtype, value=float(np.dtype(dtype).type(value)))

    def array(self, value: Array) -> Node:
        """An array whose values never change."""
        if value.dtype.kind not in "bif":
            raise Untraceable(f"it computes with {value.dtype}")
        if value.size == 1:
            return self.constant(value.reshape(()), value.dtype, value.shape)
        if value.size > 4096:
            raise Untraceable(f"it holds a constant of {value.size} values")
        numbers = tuple(value.reshape(-1).astype(np.float64).tolist())
        return self.node("column", (), value.shape, value.dtype, value=numbers)


def _key(value: Any) -> Any:
    """What tells values apart: 0 and −0 are two, NaN is one."""
    return repr(value) if isinstance(value, float) else value
