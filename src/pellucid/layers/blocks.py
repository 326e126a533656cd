"""Blocks: several layers wired in a way that has a name. The first is the residual connection.

A block is a plain function of symbols. What it makes are ordinary nodes, named after it:
``residual_1/conv2d_1``. Engines, files and traces see those nodes and no block.

A residual block adds what its layers compute to what they were given (He et al., CVPR 2016)::

    y = x + f(x)        dx = dy + (∂f/∂x)ᵀ dy

The first term of dx brings the gradient past the layers as it is. So layers behind many others
still learn, and a block whose f is 0 does no harm: depth becomes something to start from, not
something to overcome.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pellucid.description import Description
from pellucid.errors import GraphError, OptionError, ShapeError, did_you_mean
from pellucid.layers.base import Array, Cache, Layer, Shape, Spec, Views, shape_text
from pellucid.layers.convolution import Conv1D, Conv2D
from pellucid.layers.dense import Dense
from pellucid.layers.merge import Add

if TYPE_CHECKING:
    from pellucid.network.symbols import Symbol


@dataclass(frozen=True, repr=False)
class Block(Layer):
    """Base of blocks: a description that may stand where a layer stands, and becomes nodes."""

    @abstractmethod
    def wire(self, x: Symbol) -> Symbol:
        """The nodes of the block on `x`; the last one's output."""

    def output_spec(self, *inputs: Spec) -> Spec:
        from pellucid.network.symbols import Symbol

        return self.wire(Symbol(inputs[0], None, ())).spec

    def forward(self, x: Array, p: Views, cache: Cache) -> Array:
        raise GraphError(f"{self!r} is several nodes, which a network runs: Network([...])(x)")

    def backward(self, dy: Array, p: Views, dp: Views, cache: Cache) -> Array:
        raise GraphError(f"{self!r} is several nodes, which a network runs: Network([...])(x)")


def residual(
    x: Symbol, layers: Sequence[Any], shortcut: Any = None, *, name: str | None = None
) -> Symbol:
    """The sum of x and what the layers make of it, as nodes named ``residual_1/...``.

    Parameters
    ----------
    x : Symbol
        What `Input` or a layer made.
    layers : list of Layer
        Applied one after another.
    shortcut : None, "project", Layer or list of Layer, optional
        What x goes through on its way past the layers: nothing; a 1×1 convolution (a Dense for
        features) without a bias that makes its shape the layers', with the stride that takes; or
        the layers given.
    name : str, optional
        The name before those of the nodes, instead of ``residual`` and a number.

    Raises
    ------
        ShapeError: where the shapes differ and no shortcut is given, saying what would fit.

    >>> from pellucid import Input, Network, ReLU
    >>> x = Input(4)
    >>> net = Network(inputs=x, outputs=residual(x, [Dense(4), ReLU(), Dense(4)]))
    >>> [node.name for node in net.graph.nodes][2:]
    ['residual_1/relu_1', 'residual_1/dense_2', 'residual_1/add_1']
    """
    from pellucid.network.scopes import scope
    from pellucid.network.symbols import chain

    with scope("residual", name):
        y = chain(layers, x)
        return Add()(y, chain(_shortcut(shortcut, layers, x, y), x))  # type: ignore[no-any-return]


@dataclass(frozen=True, repr=False)
class Residual(Block):
    """A residual block for lists of layers: the sum of x and what the layers make of it.

    Parameters
    ----------
    layers : list of Layer
        Applied one after another; blocks among them are welcome.
    shortcut : None, "project", Layer or list of Layer, optional
        What x goes through on its way past the layers, as in `residual`, which it calls.

    With ``trainable=False`` no layer inside is trained. An activation behind the sum is a layer
    behind the block.

    >>> from pellucid import Network, ReLU
    >>> block = Residual([Conv2D(16, 3, strides=2, padding=1), ReLU()], shortcut="project")
    >>> net = Network([Conv2D(8, 3), block, block], inputs=(28, 28, 1))
    >>> net.parameters["residual_2/conv2d_2/W"].shape       # the shortcut of the second use
    (1, 1, 16, 16)
    """

    layers: tuple[Layer, ...]
    shortcut: Layer | tuple[Layer, ...] | str | None = None

    remedies: ClassVar[dict[str, str]] = {
        **Layer.remedies,
        "activation": "An activation behind the sum is a layer of its own: put ReLU() behind it",
    }

    def __post_init__(self) -> None:
        for option, ways in (("layers", "a list of layers"), ("shortcut", '"project" or layers')):
            value: Any = getattr(self, option)
            value = tuple(value) if isinstance(value, list) else value
            object.__setattr__(self, option, value)
            items = value if isinstance(value, tuple) else (value,)
            fine = bool(items) and all(isinstance(item, Description) for item in items)
            if option == "layers":
                fine = fine and isinstance(value, tuple)
            elif value is None or value == "project":
                fine = True
            if not fine:
                hint = did_you_mean(value, ["project"]) if isinstance(value, str) else ""
                raise OptionError(
                    f"Residual: {option} is {ways}, such as [Dense(8), ReLU()], not {value!r}. "
                    f"{hint}".rstrip()
                )

    def wire(self, x: Symbol) -> Symbol:
        layers, shortcut = self.layers, self.shortcut
        if not self.trainable:
            layers = tuple(_frozen(layer) for layer in layers)
            if isinstance(shortcut, tuple | Layer):
                several = shortcut if isinstance(shortcut, tuple) else (shortcut,)
                shortcut = tuple(_frozen(layer) for layer in several)
        return residual(x, layers, shortcut, name=self.name)


def _frozen(layer: Any) -> Any:
    """The layer as one that is not trained; what is shared is for its other uses to say."""
    return layer.replace(trainable=False) if isinstance(layer, Layer) else layer


def _shortcut(shortcut: Any, layers: Sequence[Any], x: Symbol, y: Symbol) -> Sequence[Any]:
    """The layers that x goes through."""
    if shortcut is not None and shortcut != "project":
        return shortcut if isinstance(shortcut, list | tuple) else [shortcut]
    before, after = _lengths(layers, x, y)
    if shortcut == "project":
        return [_projection(before, after)]
    if before != after:
        raise ShapeError(
            f"residual: its layers turn {x.spec} into {y.spec}, and a sum needs equal shapes. "
            'Give shortcut="project", which brings x there by a 1×1 convolution or a Dense, or '
            'layers of your own; a convolution with padding="same" keeps its input\'s lengths'
        )
    return []


def _lengths(layers: Sequence[Any], x: Symbol, y: Symbol) -> tuple[Shape, Shape]:
    """The shapes before and after the layers; where a length is unknown, of a row that long."""
    from pellucid.network.symbols import Symbol, chain

    if None not in x.shape:
        return x.shape, y.shape
    trial = tuple(5040 if n is None else n for n in x.shape)  # many strides divide it
    return trial, chain(layers, Symbol(Spec(trial), None, ())).shape


def _projection(before: Shape, after: Shape) -> Layer:
    """The layer without a bias that turns rows of one shape into rows of the other."""
    channels: Any = after[-1] if after else None
    strides, fits = [], len(before) == len(after) <= 3 and channels is not None
    for n, m in zip(before[:-1], after[:-1], strict=False):
        stride = -(-n // m) if n and m else 0
        strides.append(stride)  # a window of 1 every s values fits ⌈n / s⌉ times in n
        fits = fits and stride > 0 and -(-n // stride) == m  # type: ignore[operator]
    if not fits:
        raise ShapeError(
            f"residual: no 1×1 convolution turns {shape_text(before)} into {shape_text(after)}: "
            "give the shortcut's own layers, shortcut=[...]"
        )
    if not strides:
        return Dense(channels, use_bias=False)
    if len(strides) == 1:
        return Conv1D(channels, 1, strides=strides[0], use_bias=False)
    return Conv2D(channels, 1, strides=(strides[0], strides[1]), use_bias=False)
