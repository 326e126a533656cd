"""What a layer is: a differentiable function with named parameters, as a frozen description.

A layer answers four questions — which shape comes out, which parameters it has, what its forward
pass computes, what its backward pass sends back — and owns no arrays. The arrays belong to the
network (`p`, the parameters), to the step (`dp`, their gradients; `cache`, what forward keeps for
backward), so one description can stand in many places and many threads.

The contract of `forward` and `backward`, which the engine relies on and the tests check:

* forward never writes its inputs, backward never writes `dy`; both may return views of them;
* what backward needs, forward stores on `cache`, under names of the layer's own choosing;
* parameter gradients are *added*: ``dp.W += ...``; rebinding (``dp.W = ...``) is an error, since
  the array left behind is the one that counts;
* a layer with one input gets the array itself, one with several gets a tuple; the same for `dy`
  and for what backward returns, one gradient an input and None for an integer input;
* new running statistics go to `cache.new_state`; the update phase makes them the network's state.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pellucid.description import Description
from pellucid.errors import GraphError, OptionError, ShapeError
from pellucid.initializers import Initializer
from pellucid.random import Stream

if TYPE_CHECKING:
    from pellucid.network.symbols import Symbol

Array = NDArray[Any]
Kind = Literal["float", "int"]
Shape = tuple[int | None, ...]


class Spec(NamedTuple):
    """Shape (without the batch axis; None where a length is unknown) and kind of an array."""

    shape: Shape
    dtype: Kind = "float"

    @property
    def size(self) -> int:
        """Values in one row; a ShapeError where a length is unknown."""
        if None in self.shape:
            raise ShapeError(f"{shape_text(self.shape)} has a length that is not known")
        return prod(self.shape)  # type: ignore[arg-type]

    def __str__(self) -> str:
        return f"{shape_text(self.shape)}{' int' if self.dtype == 'int' else ''}"


def shape_text(shape: Shape) -> str:
    """A row's shape with its batch axis: ``(B, 28, 28)``."""
    return "(" + ", ".join(["B", *("?" if n is None else str(n) for n in shape)]) + ")"


class ParameterSpec(NamedTuple):
    """A parameter's shape, how it starts, and whether weight decay and penalties apply to it.

    `fans` are the inputs and outputs that one unit sees, for initialisers that scale with them.
    """

    shape: tuple[int, ...]
    initializer: Initializer
    decay: bool = True
    fans: tuple[int, int] | None = None


class StateSpec(NamedTuple):
    """A remembered array's shape and the value it starts with everywhere."""

    shape: tuple[int, ...]
    value: float = 0.0


class Views:
    """Named arrays that are views into one vector: write into them, never over them.

    >>> dp = Views({"W": np.zeros((2, 2))})
    >>> dp.W += 1
    >>> dp.W = np.ones((2, 2))
    Traceback (most recent call last):
        ...
    pellucid.errors.GraphError: W is a view into the flat vector and cannot be replaced: ...
    """

    def __init__(self, arrays: dict[str, Array]) -> None:
        self.__dict__.update(arrays)

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def __setattr__(self, name: str, value: object) -> None:
        if self.__dict__.get(name) is not value:
            raise GraphError(
                f"{name} is a view into the flat vector and cannot be replaced: "
                f"write `{name} += ...` or `{name}[...] = ...`"
            )


class Cache:
    """What one forward pass of one node keeps for its backward pass.

    `training` and `state` (views of the running statistics) are set before forward; `new_state`
    (views of their next values) is there in training; `needs_dx` is False where nobody reads the
    gradient of the input, which a layer may use to save the work. Everything else a layer stores
    on it is its own.
    """

    training: bool
    needs_dx: bool
    state: Views
    new_state: Views

    def __init__(
        self, *, training: bool = False, state: Views | None = None, new_state: Views | None = None,
        needs_dx: bool = True, moment: tuple[int, str, int, int] = (0, "", 0, 0),
    ) -> None:  # fmt: skip
        self.training = training
        self.needs_dx = needs_dx
        self.state = state if state is not None else _NOTHING
        self.new_state = new_state if new_state is not None else self.state
        self._moment = moment
        self._draws = 0

    def restart(self, training: bool, moment: tuple[int, str, int, int]) -> None:
        """Makes the cache ready for another step of the same node."""
        self.training = training
        self._moment = moment
        self._draws = 0

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...
        def __setattr__(self, name: str, value: Any) -> None: ...

    def random(self) -> Stream:
        """Random numbers for this node, step and draw: the same whenever the step is redone."""
        seed, node, step, part = self._moment
        stream = Stream(seed, "layer", node, draw=self._draws, step=step, part=part)
        self._draws += 1
        return stream


_NOTHING = Views({})


@dataclass(frozen=True, repr=False)
class Layer(Description, ABC):
    """Base of all layers. A new one needs `output_spec`, `forward` and `backward`.

    Parameters
    ----------
    name : str, optional
        The node's name; by default the class in lower case with a number, ``dense_1``.
    trainable : bool, default True
        Whether an optimizer may change this layer's parameters. Its gradients are computed either
        way, and running statistics are not parameters: they follow the data all the same.
    """

    name: str | None = field(default=None, kw_only=True)
    trainable: bool = field(default=True, kw_only=True)

    remedies: ClassVar[dict[str, str]] = {
        "activation": "An activation is a layer of its own: put ReLU() behind this one",
        **dict.fromkeys(
            ("input_shape", "input_dim", "in_features", "in_channels"),
            "Inputs are found from what feeds a layer; what feeds the first one is told by the "
            "first data, or by Network(layers, inputs=shape of a row)",
        ),
    }
    arity: ClassVar[int | None] = 1  # inputs it takes; None: two or more
    takes_integers: ClassVar[bool] = False  # reads indices, as Embedding does
    batch_statistics: ClassVar[bool] = False  # mixes the rows of a training batch
    adapts: ClassVar[bool] = False  # learns statistics from data before training: `adapt(batches)`
    initialization: ClassVar[str | None] = None  # what "auto" becomes before it: he, lecun, glorot
    unit_axis: ClassVar[int] = -1  # the axis of its weights along which the units lie

    def output_spec(self, *inputs: Spec) -> Spec | tuple[Spec, ...]:
        """What comes out of these inputs; a ShapeError says what would fit. Default: the same."""
        return inputs[0]

    def parameter_specs(self, *inputs: Spec) -> dict[str, ParameterSpec]:
        """The parameters by name, given the inputs. Default: none."""
        return {}

    def state_specs(self, *inputs: Spec) -> dict[str, StateSpec]:
        """What the layer remembers that no gradient touches, by name. Default: nothing."""
        return {}

    def adapt(self, batches: Iterable[Array]) -> dict[str, Array]:
        """New values of the state, measured on blocks of inputs, for layers with `adapts`."""
        return {}

    @abstractmethod
    def forward(self, x: Any, p: Views, cache: Cache) -> Any:
        """The output for input `x` (a tuple of arrays where the layer takes several)."""

    @abstractmethod
    def backward(self, dy: Any, p: Views, dp: Views, cache: Cache) -> Any:
        """The gradient of the loss by each input, given `dy`, the one by the output."""

    def __call__(self, *inputs: Any) -> Any:
        """On symbols: a new node of a graph. On arrays: the values, if there are no parameters."""
        from pellucid.network.symbols import Symbol, apply

        listed = len(inputs) == 1 and isinstance(inputs[0], list | tuple)
        flat = inputs
        if listed and (self.arity != 1 or any(isinstance(x, Symbol) for x in inputs[0])):
            flat = tuple(inputs[0])
        if any(isinstance(x, Symbol) for x in flat):
            return apply(self, tuple(flat))
        arrays = tuple(np.asarray(x) if self.takes_integers else as_float(x) for x in flat)
        specs = [Spec(x.shape[1:], "int" if self.takes_integers else "float") for x in arrays]
        if self.arity is not None and len(arrays) != self.arity:
            raise ShapeError(f"{self!r} takes {self.arity} input(s), not {len(arrays)}")
        if self.parameter_specs(*specs) or self.state_specs(*specs):
            raise GraphError(
                f"{self!r} has parameters, which live in a network: Network([{self!r}]) has them"
            )
        return self.forward(arrays[0] if self.arity == 1 else arrays, _NOTHING, Cache())

    def named(self, name: str) -> Symbol | Layer:
        """The same layer under another name."""
        return self.replace(name=name)


def as_float(x: Any) -> Array:
    """An array of float32 or float64: floats keep their type, everything else becomes float64."""
    array = np.asarray(x)
    if array.dtype.kind not in "fiub":
        raise OptionError(f"numbers are needed, not dtype {array.dtype}")
    if array.dtype.type in (np.float32, np.float64):
        return array.astype(array.dtype.newbyteorder("="), copy=False)
    return array.astype(np.float64)


def rows(x: Array) -> Array:
    """All axes but the last folded into one: (..., C) → (N, C)."""
    return x if x.ndim == 2 else x.reshape(-1, x.shape[-1])


def single(specs: tuple[Spec, ...], layer: Layer) -> Spec:
    """The one input of a layer that takes one."""
    if len(specs) != 1:
        raise ShapeError(f"{layer!r} takes one input, not {len(specs)}")
    return specs[0]
