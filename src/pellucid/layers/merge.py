"""Merging: several arrays into one, so that a network may branch and come together again.

Add is what makes a residual connection: y = x₁ + x₂ + …, and since every ∂y/∂xₖ is 1, each branch
gets the whole gradient::

    dxₖ = dy

Concatenate lays its inputs side by side; each gets its own piece of the gradient back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pellucid.description import number
from pellucid.errors import OptionError, ShapeError
from pellucid.layers.base import Array, Cache, Layer, Shape, Spec, Views, shape_text


@dataclass(frozen=True, repr=False)
class Add(Layer):
    """The sum of two or more arrays of one shape; nothing is broadcast.

    >>> Add()(np.array([[1.0, 2.0]]), np.array([[10.0, 20.0]]))
    array([[11., 22.]])
    """

    arity: ClassVar[int | None] = None

    def output_spec(self, *inputs: Spec) -> Spec:
        _two_or_more(len(inputs), self)
        shape = inputs[0].shape
        for x in inputs[1:]:
            shape = _common(shape, x.shape, None, self)
        return Spec(shape)

    def forward(self, x: tuple[Array, ...], p: Views, cache: Cache) -> Array:
        _two_or_more(len(x), self)
        for other in x[1:]:
            if other.shape != x[0].shape:
                raise ShapeError(f"{self!r} needs equal shapes, not {x[0].shape} and {other.shape}")
        cache.count = len(x)
        y: Array = x[0] + x[1]
        for other in x[2:]:
            y += other
        return y

    def backward(self, dy: Array, p: Views, dp: Views, cache: Cache) -> tuple[Array, ...]:
        count: int = cache.count
        return (dy,) * count


@dataclass(frozen=True, repr=False)
class Concatenate(Layer):
    """Two or more arrays side by side along an axis; their other axes are equal.

    Parameters
    ----------
    axis : int, default -1
        Counted with the batch as axis 0, which is refused. Alias: dim.

    >>> Concatenate()(np.array([[1.0, 2.0]]), np.array([[3.0]]))
    array([[1., 2., 3.]])
    """

    axis: int = -1

    aliases: ClassVar[dict[str, str]] = {"dim": "axis"}
    arity: ClassVar[int | None] = None

    def __post_init__(self) -> None:
        number(self, "axis", integer=True)
        if self.axis == 0:
            raise OptionError("Concatenate: axis 0 is the batch; the features are axis -1")

    def output_spec(self, *inputs: Spec) -> Spec:
        _two_or_more(len(inputs), self)
        shape = inputs[0].shape
        if abs(self.axis) > len(shape):
            raise ShapeError(f"{self!r} has no axis {self.axis} in {shape_text(shape)}")
        along = self.axis % (len(shape) + 1) - 1  # in a row's shape
        lengths = [x.shape[along : along + 1] for x in inputs]
        for x in inputs[1:]:
            shape = _common(shape, x.shape, along, self)
        known = [length[0] for length in lengths if length[0] is not None]
        total = sum(known) if len(known) == len(inputs) else None
        return Spec((*shape[:along], total, *shape[along + 1 :]))

    def forward(self, x: tuple[Array, ...], p: Views, cache: Cache) -> Array:
        _two_or_more(len(x), self)
        if abs(self.axis) >= x[0].ndim:
            raise ShapeError(f"{self!r} has no axis {self.axis} in {x[0].shape}")
        try:
            y = np.concatenate(x, axis=self.axis)
        except ValueError:  # AxisError is one too
            shapes = " and ".join(str(array.shape) for array in x)
            raise ShapeError(f"{self!r} cannot lay {shapes} side by side") from None
        cache.ends = np.cumsum([array.shape[self.axis] for array in x[:-1]])
        return y

    def backward(self, dy: Array, p: Views, dp: Views, cache: Cache) -> tuple[Array, ...]:
        pieces: list[Array] = np.split(dy, cache.ends, axis=self.axis)
        return tuple(pieces)


def _two_or_more(count: int, layer: Layer) -> None:
    if count < 2:
        raise ShapeError(f"{layer!r} takes two inputs or more, not {count}")


def _common(one: Shape, two: Shape, along: int | None, layer: Layer) -> Shape:
    """The shape both have, apart from the axis `along`; a known length beats an unknown one."""
    fits = len(one) == len(two) and all(
        a == b or a is None or b is None or i == along
        for i, (a, b) in enumerate(zip(one, two, strict=True))
    )
    if not fits:
        where = "" if along is None else f" but for axis {along + 1}"
        raise ShapeError(
            f"{layer!r} needs equal shapes{where}, not {shape_text(one)} and {shape_text(two)}: "
            "bring one to the shape of the other first, with a Dense of as many units or a Reshape"
        )
    return tuple(b if a is None else a for a, b in zip(one, two, strict=True))
