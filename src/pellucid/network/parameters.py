"""One flat vector, many named views.

All parameters of a network lie in one contiguous vector, so an optimizer is one line over it, a
checkpoint is one copy, and a compiled engine needs one pointer. The vector is made once and never
replaced: everything that changes parameters writes into it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.errors import ShapeError, UnknownNameError
from pellucid.layers.base import Views

Array = NDArray[Any]


class FlatViews(Mapping[str, Array]):
    """Named arrays as views into one vector, in a fixed order.

    ``flat["dense_1/W"]`` is a view: writing into it changes the network. Assigning copies the
    values in, after checking the shape.

    >>> flat = FlatViews({"dense_1/W": (2, 3), "dense_1/b": (3,)}, "float32")
    >>> flat["dense_1/b"] = [1, 2, 3]
    >>> flat.vector
    array([0., 0., 0., 0., 0., 0., 1., 2., 3.], dtype=float32)
    """

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], dtype: Any) -> None:
        size = sum(prod(s) for s in shapes.values())
        if size > 2**40:  # where the system promises memory that it does not have
            raise MemoryError(f"{size} values")
        self.vector: Array = np.zeros(size, dtype)
        self._shapes = dict(shapes)
        self._rebuild()

    def _rebuild(self) -> None:
        self._views: dict[str, Array] = {}
        owners: dict[str, dict[str, Array]] = {}
        start = 0
        for name, shape in self._shapes.items():
            view = self.vector[start : start + prod(shape)].reshape(shape)
            start += prod(shape)
            self._views[name] = view
            owner, _, key = name.rpartition("/")
            owners.setdefault(owner, {})[key] = view
        self._owners = {owner: Views(arrays) for owner, arrays in owners.items()}

    def of(self, owner: str) -> Views:
        """One owner's arrays, by their short names."""
        return self._owners.get(owner, _EMPTY)

    def stretch(self, name: str) -> tuple[int, int]:
        """Where an array begins and ends in the vector."""
        start = 0
        for other, shape in self._shapes.items():
            if other == name:
                return start, start + prod(shape)
            start += prod(shape)
        raise UnknownNameError.of(name, self._views)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Every array's shape, in the order of the vector."""
        return dict(self._shapes)

    def like(self) -> FlatViews:
        """The same names and shapes over a vector of zeros of its own."""
        return FlatViews(self._shapes, self.vector.dtype)

    def __getitem__(self, name: str) -> Array:
        try:
            return self._views[name]
        except KeyError:
            raise UnknownNameError.of(name, self._views) from None

    def __setitem__(self, name: str, values: Any) -> None:
        view = self[name]
        values = np.asarray(values)
        if values.shape != view.shape:
            raise ShapeError(f"{name} has shape {view.shape}; these values have {values.shape}")
        view[...] = values

    def __iter__(self) -> Iterator[str]:
        return iter(self._views)

    def __len__(self) -> int:
        return len(self._views)

    def __repr__(self) -> str:
        lines = [f"  {name:<24} {shape}" for name, shape in self._shapes.items()]
        return f"{self.vector.size:,} values of {self.vector.dtype} in {len(self)} arrays\n" + (
            "\n".join(lines)
        )

    def __getstate__(self) -> dict[str, Any]:
        return {"vector": self.vector, "shapes": self._shapes}

    def __setstate__(self, saved: dict[str, Any]) -> None:
        self.vector = np.ascontiguousarray(saved["vector"])
        self._shapes = saved["shapes"]
        self._rebuild()

    def __deepcopy__(self, memo: dict[int, Any]) -> FlatViews:
        twin = self.like()
        twin.vector[...] = self.vector
        return twin


_EMPTY = Views({})
