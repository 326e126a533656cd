"""trace: one step on one batch, its four phases, every shape, and the numbers where few."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.errors import StepError
from pellucid.network.graph import Node
from pellucid.network.network import Network
from pellucid.optimizers import LBFGS, SGD
from pellucid.training.fit import penalty_of
from pellucid.training.sources import unpacked

Array = NDArray[Any]


@dataclass(frozen=True)
class Trace:
    """What happened in a step: printing it tells the story, the fields hold the arrays.

    Attributes
    ----------
    values, slopes : every node's output, and the gradient of the loss by it, by node name
    parameters, gradients, changes : by ``node/name``: before the step, dL/dθ, and what the update
        added
    loss : the loss of the batch
    text : the story
    """

    values: dict[str, Array]
    slopes: dict[str, Array]
    parameters: dict[str, Array]
    gradients: dict[str, Array]
    changes: dict[str, Array]
    loss: float
    text: str

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        from pellucid.insight.html import trace_html

        return trace_html(self)


def trace(net: Network, x: Any, y: Any, *, few: int = 12) -> Trace:
    """Takes one step in a copy of the network and shows it; the network is unchanged.

    Arrays of at most `few` numbers are printed whole, larger ones as their least, mean and
    largest value.
    """
    x, y, _ = unpacked(x, y, None)
    if y is None:
        raise StepError("a trace is of a whole step, which needs targets: trace(x, y)")
    net.inputs_for(x)
    twin = net.copy()
    if twin.optimizer is None or isinstance(twin.optimizer, LBFGS):  # which has no single step
        twin.optimizer = SGD(0.01)
    before = {name: array.copy() for name, array in twin.parameters.items()}
    step = twin.step(x, y)
    step.forward()
    loss = step.loss()
    step.backward()
    tensors = step.values
    step.update()
    values = {node.name: tensors[node.name] for node in twin.graph.nodes}
    slopes = {n: tensors[f"d/{n}"] for n in values if f"d/{n}" in tensors}
    gradients = {name: tensors[f"d/{name}"] for name in before}
    changes = {name: twin.parameters[name] - before[name] for name in before}
    text = "\n".join(
        [
            *_forward(twin, values, before, few),
            *_loss(twin, loss),
            *_backward(twin, slopes, gradients, few),
            *_update(twin, before, changes, few),
        ]
    )
    return Trace(values, slopes, before, gradients, changes, loss, text)


def _forward(net: Network, values: dict[str, Array], p: dict[str, Array], few: int) -> list[str]:
    lines = ["forward"]
    for node in net.graph.nodes:
        what = repr(node.layer) if node.layer is not None else "the batch"
        sources = ", ".join(net.graph.nodes[s.node].name for s in node.inputs)
        note = f"{what} of {sources}" if sources else what
        lines.append(_line(node.name, values[node.name], few, note))
        lines += [_line(f"  {key}", array, few) for key, array in _owned(node, p)]
    return lines


def _loss(net: Network, loss: float) -> list[str]:
    names = " + ".join(repr(value) for value in net.losses.values())
    lines = ["loss", f"  {names} = {loss:.6g}"]
    if net.penalty is not None:
        lines.append(f"  {net.penalty!r} = {penalty_of(net):.6g} (apart from the loss)")
    return lines


def _backward(
    net: Network, slopes: dict[str, Array], gradients: dict[str, Array], few: int
) -> list[str]:
    lines = ["backward (dL by each output, from the last to the first)"]
    for node in reversed(net.graph.nodes):
        if node.name in slopes:
            lines.append(_line(f"d/{node.name}", slopes[node.name], few))
        lines += [_line(f"  d{key}", array, few) for key, array in _owned(node, gradients)]
    return lines


def _owned(node: Node, arrays: dict[str, Array]) -> list[tuple[str, Array]]:
    """A node's own arrays by their short names."""
    split = [(*name.rpartition("/"), array) for name, array in arrays.items()]
    return [(key, array) for owner, _, key, array in split if owner == node.owner]


def _update(net: Network, p: dict[str, Array], changes: dict[str, Array], few: int) -> list[str]:
    lines = [f"update ({net.optimizer!r})"]
    for name, change in changes.items():
        size = float(np.linalg.norm(p[name])) or 1.0
        share = float(np.linalg.norm(change)) / size
        lines.append(_line(f"{name} +=", change, few, f"a change of {100 * share:.3g} %"))
    return lines


def _line(name: str, array: Array, few: int, note: str = "") -> str:
    shape = f"{array.shape} {array.dtype}"
    return f"  {name:<16} {shape:<24} {numbers_text(array, few):<40} {note}".rstrip()


def numbers_text(array: Array, few: int) -> str:
    """The numbers on one line where they are few; else the least, the mean and the largest."""
    if array.size == 0:
        return "empty"
    if array.size <= few:
        return np.array2string(array, precision=4, suppress_small=True, separator=", ").replace(
            "\n", ""
        )
    finite = array[np.isfinite(array)] if array.dtype.kind == "f" else array
    bad = f", {array.size - finite.size} not finite" if finite.size < array.size else ""
    if finite.size == 0:
        return "nothing finite"
    return f"{finite.min():.4g} … mean {finite.mean():.4g} … {finite.max():.4g}{bad}"
