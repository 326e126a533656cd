"""Symbols: arrays that do not exist yet, and what layers make of them.

Calling a layer on symbols makes another symbol and checks the shapes at once, so a mistake is
reported where it is written. A plain list of layers is wired the same way, one after another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from reprlib import repr as shortened
from typing import Any

from pellucid.description import Description
from pellucid.errors import GraphError, ShapeError
from pellucid.layers.base import Kind, Layer, Shape, Spec
from pellucid.layers.blocks import Block
from pellucid.network.scopes import current_scope


class Symbol:
    """An array to come: output `output` of `layer` on `inputs`, or an input where layer is None."""

    def __init__(
        self, spec: Spec, layer: Layer | None, inputs: tuple[Symbol, ...], *,
        name: str | None = None, owner: str | None = None, output: int = 0,
        siblings: tuple[Symbol, ...] = (),
    ) -> None:  # fmt: skip
        self.spec = spec
        self.layer = layer
        self.inputs = inputs
        self.name = name
        self.owner = owner
        self.output = output
        self.scope = current_scope() if layer is not None else None
        self.first: Symbol = siblings[0] if siblings else self

    @property
    def shape(self) -> Shape:
        """The shape of one row, None where a length is unknown."""
        return self.spec.shape

    def __repr__(self) -> str:
        what = repr(self.layer) if self.layer is not None else "Input"
        return f"<{self.name or what}: {self.spec}>"


def Input(
    shape: int | Sequence[int | None], dtype: Kind = "float", name: str | None = None
) -> Symbol:
    """A place where data comes in; `shape` is that of one row, without the batch axis.

    >>> Input((28, 28, 1)).shape
    (28, 28, 1)
    """
    if dtype not in ("float", "int"):
        raise GraphError(f"Input dtype is 'float' or 'int', not {dtype!r}")
    lengths: Shape = (shape,) if isinstance(shape, int) else tuple(shape)
    for n in lengths:
        if n is not None and (isinstance(n, bool) or not isinstance(n, int) or n < 1):
            raise ShapeError(
                f"Input shape {shortened(lengths)} must hold whole numbers of 1 or more, or None; "
                "it is that of one row, x.shape[1:]"
            )
    return Symbol(Spec(lengths, dtype), None, (), name=name)


@dataclass(frozen=True, repr=False)
class Shared(Description):
    """A layer whose every use in a network has the same parameters; made by `shared`."""

    layer: Layer
    name: str

    def __call__(self, *inputs: Symbol) -> Any:
        """A new node that uses the shared parameters."""
        flat = inputs[0] if len(inputs) == 1 and isinstance(inputs[0], list | tuple) else inputs
        return apply(self.layer, tuple(flat), owner=self.name)


def shared(layer: Layer, name: str) -> Shared:
    """The layer as one that owns its parameters together with all its other uses.

    >>> tower = shared(Dense(8), name="tower")          # doctest: +SKIP
    >>> left, right = tower(x), tower(y)                # doctest: +SKIP
    """
    if not isinstance(layer, Layer):
        raise GraphError(f"shared takes a layer, not {layer!r}")
    return Shared(layer, name)


def apply(layer: Layer, inputs: tuple[Any, ...], owner: str | None = None) -> Any:
    """A node: `layer` on symbols. One Symbol, or a tuple where the layer has several outputs."""
    if not all(isinstance(x, Symbol) for x in inputs):
        raise GraphError(f"{layer!r} was called on symbols and arrays together: use one kind")
    if isinstance(layer, Block):
        if owner is not None:
            raise GraphError(f"{layer!r} is several nodes: share the layers inside it instead")
        _check_inputs(layer, inputs)
        return layer.wire(*inputs)
    try:
        _check_inputs(layer, inputs)
        result = layer.output_spec(*(x.spec for x in inputs))
    except ShapeError as error:
        raise ShapeError(f"{error}\n\n{_path_table(layer, inputs)}") from None
    if isinstance(result, Spec):
        return Symbol(result, layer, inputs, name=layer.name, owner=owner)
    first = Symbol(result[0], layer, inputs, name=layer.name, owner=owner)
    rest = [
        Symbol(spec, layer, inputs, name=layer.name, owner=owner, output=i, siblings=(first,))
        for i, spec in enumerate(result[1:], start=1)
    ]
    return (first, *rest)


def _check_inputs(layer: Layer, inputs: tuple[Symbol, ...]) -> None:
    wanted = layer.arity
    if (wanted is not None and len(inputs) != wanted) or (wanted is None and len(inputs) < 2):
        raise ShapeError(f"{layer!r} takes {wanted or 'two or more'} input(s), not {len(inputs)}")
    for x in inputs:
        if layer.takes_integers and x.spec.dtype != "int":
            raise ShapeError(
                f"{layer!r} reads whole numbers, but {x!r} carries floats: "
                "use Input(..., dtype='int') and feed it directly"
            )
        if not layer.takes_integers and x.spec.dtype == "int" and x.layer is not None:
            raise ShapeError(f"{layer!r} needs floats, but {x!r} carries whole numbers")


def _path_table(layer: Layer, inputs: tuple[Symbol, ...]) -> str:
    """The layers up to a failing one, as a table with the shape that leaves each."""
    path: list[Symbol] = []
    walk: Symbol | None = inputs[0] if inputs else None
    while walk is not None:
        path.append(walk)
        walk = walk.inputs[0] if walk.inputs else None
    lines = [f"  {repr(s.layer) if s.layer else 'Input':<44} → {s.spec}" for s in reversed(path)]
    others = "".join(f"\n  also fed by {x!r}" for x in inputs[1:])
    return "\n".join(lines) + others + f"\n  {layer!r:<44} ← does not fit here"


def chain(layers: Iterable[Any], start: Symbol) -> Symbol:
    """The symbol at the end of `layers`, applied one after another from `start`."""
    x = start
    for layer in layers:
        if not isinstance(layer, Layer | Shared):
            hint = "ReLU()" if isinstance(layer, type) else "a layer such as Dense(10)"
            raise GraphError(f"a network is made of layers; got {layer!r}, expected e.g. {hint}")
        x = layer(x)
        if not isinstance(x, Symbol):
            raise GraphError(f"{layer!r} has several outputs: use Network(inputs=..., outputs=...)")
    return x


def listed(x: Any, what: str) -> list[Symbol]:
    """The symbols of a graph's inputs or outputs; a dict names them."""
    if isinstance(x, Symbol):
        return [x]
    if isinstance(x, Mapping):
        for name, symbol in x.items():
            if not isinstance(symbol, Symbol):
                raise GraphError(f"{what}[{name!r}] is {symbol!r}, not what Input or a layer makes")
            if symbol.name not in (None, name):
                raise GraphError(f"{what}[{name!r}] is already named {symbol.name!r}")
            symbol.first.name = symbol.name = name
            symbol.first.scope = None  # a name that is asked for is the whole name
        return list(x.values())
    if not isinstance(x, list | tuple) or not x:
        raise GraphError(
            f"a graph needs {what}=...: what Input or a layer makes, a list or a dict of those"
        )
    return list(x)
