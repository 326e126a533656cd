"""What an optimizer is given in the place of its rate and of the count of updates."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from pellucid.engine.formulas.nodes import Node, Recording, Untraceable


class Number:
    """A number of an update (its rate, what depends on its count), in the middle of a recording."""

    def __init__(self, recording: Recording, node: Node) -> None:
        self._recording, self._node = recording, node

    def _with(self, op: str, other: Any, *, swapped: bool = False) -> Any:
        if isinstance(other, Number):
            node = other._node
        elif isinstance(other, int | float) and not isinstance(other, bool):
            node = self._recording.constant(other, np.float64)
        else:
            return NotImplemented
        pair = (node, self._node) if swapped else (self._node, node)
        made = self._recording.node(op, pair, (), np.float64, scalar=True)
        return Number(self._recording, made)

    def __add__(self, other: Any) -> Any:
        return self._with("add", other)

    def __radd__(self, other: Any) -> Any:
        return self._with("add", other, swapped=True)

    def __sub__(self, other: Any) -> Any:
        return self._with("subtract", other)

    def __rsub__(self, other: Any) -> Any:
        return self._with("subtract", other, swapped=True)

    def __mul__(self, other: Any) -> Any:
        return self._with("multiply", other)

    def __rmul__(self, other: Any) -> Any:
        return self._with("multiply", other, swapped=True)

    def __truediv__(self, other: Any) -> Any:
        return self._with("divide", other)

    def __rtruediv__(self, other: Any) -> Any:
        return self._with("divide", other, swapped=True)

    def __neg__(self) -> Any:
        return self * -1.0

    def _refuse(self, *_: Any) -> NoReturn:
        raise Untraceable("what it does depends on the rate or the count of the update")

    __bool__ = __float__ = __int__ = __index__ = __pow__ = __rpow__ = _refuse
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse
    __hash__ = None  # type: ignore[assignment]


class Count:
    """The number of an update, of which nothing may be asked while an optimizer is recorded."""

    def _refuse(self, *_: Any) -> NoReturn:
        raise Untraceable(
            "it asks which update it is; what depends on that alone belongs into its `numbers`"
        )

    def __getattr__(self, name: str) -> NoReturn:
        self._refuse()

    __bool__ = __float__ = __int__ = __index__ = __add__ = __radd__ = __sub__ = __rsub__ = _refuse
    __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __pow__ = __rpow__ = __mod__ = _refuse
    __lt__ = __le__ = __gt__ = __ge__ = __eq__ = __ne__ = __neg__ = _refuse
    __hash__ = None  # type: ignore[assignment]
