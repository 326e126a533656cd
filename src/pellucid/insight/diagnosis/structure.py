"""Rules about how a network is put together, and with which options."""

from __future__ import annotations

from math import prod

import numpy as np

from pellucid.insight.diagnosis.base import Case, Finding
from pellucid.layers import (
    AvgPool1D,
    AvgPool2D,
    BatchNorm,
    Conv1D,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    Identity,
    Rescale,
    Reshape,
    Softmax,
)
from pellucid.network.graph import Node
from pellucid.training.fit import penalty_of

_LINEAR = (Dense, Conv1D, Conv2D)
_THROUGH = (AvgPool1D, AvgPool2D, BatchNorm, Dropout, Flatten, Identity, Rescale, Reshape)


def nothing_to_train(case: Case) -> Finding | None:
    """No parameter that an optimizer may change."""
    net = case.net
    if net.loss is None or net.stretches():
        return None
    if not net.parameters.vector.size:
        return Finding(
            "nothing to train", "the network", "none of its layers has parameters",
            "training changes parameters, and there are none", "add a Dense or Conv2D layer",
        )  # fmt: skip
    frozen = [n.name for n in net.graph.owners().values() if n.layer and not n.layer.trainable]
    return Finding(
        "nothing to train", ", ".join(frozen),
        f"none of its {net.parameters.vector.size:,} parameters is trainable",
        "every layer with parameters has trainable=False, so fit changes nothing",
        "leave trainable=False to the layers that are to stay as they are",
    )  # fmt: skip


def squashed_outputs(case: Case) -> Finding | None:
    """Probabilities handed to a loss that squashes again."""
    for _, node, loss in case.outputs():
        if not loss.takes_logits or not getattr(node.layer, "squashes", None):
            continue
        classes = node.spec.shape[-1] or 2
        floor = np.log(np.e + classes - 1) - 1
        return Finding(
            "squashed outputs", node.name,
            f"{type(loss).__name__} applies its own softmax or sigmoid to outputs within 0 … 1; "
            f"with {classes} classes the cross-entropy cannot fall below {floor:.4f}",
            "squashing twice flattens the gradient and puts a floor under the loss",
            f"remove {node.name}: the loss wants raw scores, and predict gives probabilities",
        )  # fmt: skip
    return None


def softmax_of_one(case: Case) -> Finding | None:
    """A softmax over one unit, which is 1 whatever comes in."""
    for node in case.net.graph.nodes:
        if isinstance(node.layer, Softmax) and node.spec.shape[node.layer.axis] == 1:
            return Finding(
                "softmax of one", node.name, "it normalises over 1 unit, so its output is always 1",
                "e^z / e^z is 1 for every z: no gradient goes back, and nothing is learnt",
                "for a single yes or no: Dense(1) with loss=BinaryCrossEntropy() and no activation",
            )  # fmt: skip
    return None


def linear_stack(case: Case) -> Finding | None:
    """Two layers of weights with nothing between them that bends a line."""
    graph = case.net.graph
    for node in graph.nodes:
        if not isinstance(node.layer, _LINEAR):
            continue
        before = graph.nodes[node.inputs[0].node]
        while isinstance(before.layer, _THROUGH):
            before = graph.nodes[before.inputs[0].node]
        if not isinstance(before.layer, _LINEAR) or _narrow(case, before, node):
            continue
        return Finding(
            "linear stack", node.name,
            f"{before.name} feeds {node.name} without an activation between them",
            "(x W₁) W₂ is x (W₁ W₂): the two learn nothing that one of them could not",
            f"put ReLU() after {before.name}",
        )  # fmt: skip
    return None


def _narrow(case: Case, first: Node, second: Node) -> bool:
    """Whether the two are a product on purpose: a narrow place saves parameters."""
    specs = case.net.graph.parameter_specs()
    a, b = specs[f"{first.owner}/W"].shape, specs[f"{second.owner}/W"].shape
    return a[-1] < min(prod(a[:-1]), b[-1])


def misplaced_dropout(case: Case) -> Finding | None:
    """Dropout on the outputs themselves, or of nearly everything."""
    graph = case.net.graph
    feeds_weights = [False] * len(graph.nodes)
    for i in range(len(graph.nodes) - 1, -1, -1):
        node = graph.nodes[i]
        own = any(name.rpartition("/")[0] == node.owner for name in case.net.parameters)
        for source in node.inputs:
            feeds_weights[source.node] |= own or feeds_weights[i]
    for i, node in enumerate(graph.nodes):
        if not isinstance(node.layer, Dropout) or not node.layer.rate:
            continue
        rate = node.layer.rate
        if not feeds_weights[i]:
            return Finding(
                "misplaced dropout", node.name,
                f"it drops {rate:.0%} of the outputs themselves: no weights come after it",
                "an output of 0 is an answer, so the loss is that of answers which nobody gave",
                f"move {node.name} in front of the last dense layer",
            )  # fmt: skip
        if rate > 0.75:
            return Finding(
                "misplaced dropout", node.name, f"it drops {rate:.0%} of what comes in",
                f"what is left is scaled by {1 / (1 - rate):.3g}, so every step sees a small "
                "and noisy part of the network",
                "a rate of 0.2 to 0.5",
            )  # fmt: skip
    return None


def heavy_penalty(case: Case) -> Finding | None:
    """A penalty that outweighs the loss it is added to."""
    penalty, loss = penalty_of(case.net), case.mean_loss
    if case.solved or not penalty > 2 * loss:
        return None
    return Finding(
        "heavy penalty", "the penalty",
        f"{case.net.penalty!r} adds {penalty:.4g} to a loss of {loss:.4g}",
        "steps then go towards small weights rather than right answers",
        "a rate ten to a hundred times smaller; 1e-4 is a usual one",
    )  # fmt: skip
