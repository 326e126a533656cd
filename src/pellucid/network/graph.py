"""Nodes and shapes: how layers are wired, named and checked before anything is computed.

`trace_graph` walks back from the output symbols and lists the nodes in an order in which they can
run; a list of layers and a graph of symbols come to the same thing. Nothing here holds an array.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pellucid.description import Description
from pellucid.errors import GraphError, PellucidError
from pellucid.initializers import Auto
from pellucid.layers.base import Layer, ParameterSpec, Spec, StateSpec
from pellucid.losses import Loss
from pellucid.network.scopes import prefixes
from pellucid.network.symbols import Input, Symbol, apply


class Source(NamedTuple):
    """Where an array comes from: the node's place in the order, and which of its outputs."""

    node: int
    output: int = 0


@dataclass(frozen=True)
class Node:
    """One use of a layer in a network (an input where `layer` is None)."""

    name: str
    layer: Layer | None
    inputs: tuple[Source, ...]
    outputs: tuple[Spec, ...]
    owner: str

    @property
    def spec(self) -> Spec:
        """The spec of the first output."""
        return self.outputs[0]


@dataclass(frozen=True)
class Graph:
    """Nodes in an order in which they can run, inputs first; nothing here holds an array."""

    nodes: tuple[Node, ...]
    outputs: dict[str, Source]

    @property
    def inputs(self) -> dict[str, Spec]:
        """The inputs' specs by name."""
        return {node.name: node.spec for node in self.nodes if node.layer is None}

    @property
    def output_specs(self) -> dict[str, Spec]:
        """The outputs' specs by name."""
        return {name: self.nodes[s.node].outputs[s.output] for name, s in self.outputs.items()}

    def owners(self) -> dict[str, Node]:
        """The first node of each owner of parameters or state, in order."""
        found: dict[str, Node] = {}
        for node in self.nodes:
            if node.layer is not None:
                found.setdefault(node.owner, node)
        return found

    def input_specs(self, node: Node) -> list[Spec]:
        """The specs of what feeds a node."""
        return [self.nodes[s.node].outputs[s.output] for s in node.inputs]

    def consumers(self, index: int) -> list[int]:
        """The nodes that read a node's outputs, in order."""
        return [i for i, n in enumerate(self.nodes) if any(s.node == index for s in n.inputs)]

    def parameter_specs(self) -> dict[str, ParameterSpec]:
        """Every parameter by ``owner/name``, with "auto" initialisers resolved."""
        return {
            f"{owner}/{key}": spec._replace(initializer=self._resolve(node, spec))
            for owner, node in self.owners().items()
            for key, spec in _layer_of(node).parameter_specs(*self.input_specs(node)).items()
        }

    def state_specs(self) -> dict[str, StateSpec]:
        """Every state array by ``owner/name``."""
        return {
            f"{owner}/{key}": spec
            for owner, node in self.owners().items()
            for key, spec in _layer_of(node).state_specs(*self.input_specs(node)).items()
        }

    def _resolve(self, node: Node, spec: ParameterSpec) -> Any:
        """What "auto" becomes: decided by the first activation downstream."""
        if not isinstance(spec.initializer, Auto):
            return spec.initializer
        queue = self.consumers(self.nodes.index(node))
        while queue:
            index = queue.pop(0)
            family = _layer_of(self.nodes[index]).initialization
            if family is not None:
                return spec.initializer.resolve(family)
            queue += self.consumers(index)
        return spec.initializer.resolve("glorot")

    def to_config(self) -> dict[str, Any]:
        """The graph as JSON values."""
        nodes = [
            {
                "name": node.name,
                "layer": node.layer.to_config() if node.layer else None,
                "inputs": [[self.nodes[s.node].name, s.output] for s in node.inputs],
                **({"owner": node.owner} if node.owner != node.name else {}),
                **(
                    {} if node.layer else {"shape": list(node.spec.shape), "dtype": node.spec.dtype}
                ),
            }
            for node in self.nodes
        ]
        outputs = [[self.nodes[s.node].name, s.output] for s in self.outputs.values()]
        return {"nodes": nodes, "outputs": outputs}


def _layer_of(node: Node) -> Layer:
    assert node.layer is not None, node.name
    return node.layer


def trace_graph(inputs: Sequence[Symbol], outputs: Sequence[Symbol]) -> Graph:
    """The graph between `inputs` and `outputs`: nodes ordered, named and checked."""
    order = _order(inputs, outputs)
    names = _names(order)
    index = {symbol: i for i, symbol in enumerate(order)}
    specs = _output_specs(order)
    nodes = []
    for symbol, name in zip(order, names, strict=True):
        sources = tuple(Source(index[x.first], x.output) for x in symbol.inputs)
        nodes.append(Node(name, symbol.layer, sources, specs[symbol], symbol.owner or name))
    graph = Graph(tuple(nodes), _named_outputs(outputs, index, names, specs))
    _check_owners(graph)
    return graph


def _order(inputs: Sequence[Symbol], outputs: Sequence[Symbol]) -> list[Symbol]:
    """Depth first from the outputs, without recursion: networks may be deep."""
    order: dict[Symbol, None] = dict.fromkeys(inputs)
    for symbol in [*inputs, *outputs]:
        if not isinstance(symbol, Symbol):
            raise GraphError(f"inputs and outputs are made by Input and layers, not {symbol!r}")
    stack = [(symbol.first, False) for symbol in reversed(outputs)]
    while stack:
        symbol, ready = stack.pop()
        if symbol in order:
            continue
        if symbol.layer is None:
            raise GraphError(f"{symbol!r} is needed but not among the inputs of the network")
        if ready:
            order[symbol] = None
        else:
            stack.append((symbol, True))
            stack += [(x.first, False) for x in reversed(symbol.inputs)]
    return list(order)


def _output_specs(order: list[Symbol]) -> dict[Symbol, tuple[Spec, ...]]:
    specs: dict[Symbol, tuple[Spec, ...]] = {}
    for symbol in order:
        made: Any = symbol.spec
        if symbol.layer is not None:
            made = symbol.layer.output_spec(*(x.spec for x in symbol.inputs))
        specs[symbol] = (made,) if isinstance(made, Spec) else tuple(made)
    return specs


def _names(order: list[Symbol]) -> list[str]:
    """A name for each node: its own, or its class in lower case with a number; a block's before."""
    within = prefixes(symbol.scope for symbol in order)
    taken = [within[s.scope] + s.name for s in order if s.name is not None]
    twice = [name for name in dict.fromkeys(taken) if taken.count(name) > 1]
    if twice:
        raise GraphError(
            f"{twice[0]!r} names two nodes. Give each its own name; to use one set of parameters "
            f"twice, write shared(layer, name={twice[0]!r})"
        )
    lone_input = sum(s.layer is None for s in order) == 1
    counts: dict[str, int] = {}
    names: list[str] = []
    for symbol in order:
        prefix = within[symbol.scope]
        if symbol.name is not None:
            names.append(prefix + symbol.name)
            continue
        kind = "input" if symbol.layer is None else snake(type(symbol.layer))
        base = prefix + (symbol.owner or kind)
        while True:
            counts[base] = counts.get(base, 0) + 1
            bare = counts[base] == 1 and (symbol.owner or (base == "input" and lone_input))
            name = base if bare else f"{base}_{counts[base]}"
            if name not in taken:
                break
        names.append(name)
    return names


def snake(kind: type) -> str:
    """A class name in lower case: ``BatchNorm`` → ``batch_norm``, ``Conv2D`` → ``conv2d``."""
    ends = r"(?<=[a-z])(?=[A-Z][a-z])|(?<=[a-z])(?=[A-Z]{2})|(?<=[A-Z0-9][A-Z])(?=[A-Z][a-z])"
    words = re.sub(ends, "_", kind.__name__)
    return words.lower().replace("re_lu", "relu").replace("si_lu", "silu")


def _named_outputs(
    outputs: Sequence[Symbol], index: Mapping[Symbol, int], names: list[str],
    specs: Mapping[Symbol, tuple[Spec, ...]],
) -> dict[str, Source]:  # fmt: skip
    found: dict[str, Source] = {}
    for symbol in outputs:
        source = Source(index[symbol.first], symbol.output)
        name = names[source.node]
        if len(specs[symbol.first]) > 1:
            name = f"{name}.{source.output}"
        if name in found:
            raise GraphError(f"{name!r} is listed twice among the outputs")
        found[name] = source
    if not found:
        raise GraphError("a network needs at least one output")
    return found


def _check_owners(graph: Graph) -> None:
    """Nodes that share parameters must agree on them."""
    first = graph.owners()
    for node in graph.nodes:
        if node.layer is None or first[node.owner] is node:
            continue
        mine = node.layer.parameter_specs(*graph.input_specs(node))
        theirs = _layer_of(first[node.owner]).parameter_specs(*graph.input_specs(first[node.owner]))
        if node.layer != first[node.owner].layer or mine != theirs:
            shapes = [{k: v.shape for k, v in specs.items()} for specs in (mine, theirs)]
            raise GraphError(
                f"{node.name} shares the parameters of {node.owner!r}, but they are {shapes[0]} "
                f"here and {shapes[1]} there: shared layers must be equal and see equal shapes"
            )


def graph_from_config(config: Mapping[str, Any]) -> Graph:
    """The graph that `Graph.to_config` wrote; a PellucidError where it is not one."""
    symbols: dict[str, tuple[Symbol, ...]] = {}
    inputs: list[Symbol] = []
    for entry in config["nodes"]:
        name = entry["name"]
        if name in symbols:
            raise GraphError(f"{name!r} names two nodes")
        if entry["layer"] is None:
            inputs.append(Input(entry["shape"], entry["dtype"], name))
            symbols[name] = (inputs[-1],)
            continue
        layer = Description.from_config(entry["layer"])
        if not isinstance(layer, Layer):
            raise GraphError(f"{name!r} is not a layer but a {type(layer).__name__}")
        sources = tuple(_pick(symbols, source) for source in entry["inputs"])
        made = apply(layer, sources, owner=entry.get("owner"))
        symbols[name] = made if isinstance(made, tuple) else (made,)
        for symbol in symbols[name]:
            symbol.name = name
    return trace_graph(inputs, [_pick(symbols, source) for source in config["outputs"]])


def _pick(symbols: Mapping[str, tuple[Symbol, ...]], source: Any) -> Symbol:
    try:
        name, output = source
        symbol: Symbol = symbols[name][output]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        if isinstance(error, PellucidError):
            raise
        raise GraphError(f"{source!r} names no earlier node's output") from None
    return symbol


def check_squashed(graph: Graph, output: str, loss: Loss) -> None:
    """Refuses probabilities where the loss wants logits, naming the layer to remove."""
    if not loss.takes_logits:
        return
    index = graph.outputs[output].node
    transparent = ("Identity", "Flatten", "Reshape", "Dropout")
    while (layer := graph.nodes[index].layer) is not None:
        squashes = getattr(layer, "squashes", None)
        if squashes:
            name = graph.nodes[index].name
            message = (
                f"{name} ({layer!r}) already gives probabilities, but {type(loss).__name__} takes "
                f"raw scores (logits) and squashes them itself: remove {name} from the end of the "
                "network. predict still returns probabilities"
            )
            if not getattr(loss, "allow_squashed", False):
                raise GraphError(message + f". To see what goes wrong: {type(loss).__name__}"
                              "(allow_squashed=True)")  # fmt: skip
            warnings.warn(message, UserWarning, stacklevel=4)
            return
        if type(layer).__name__ not in transparent:
            return
        index = graph.nodes[index].inputs[0].node
