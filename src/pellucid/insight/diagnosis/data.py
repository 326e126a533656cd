"""Rules about data: what goes in, what is asked for, and in which order."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.insight.diagnosis.base import Case, Finding, chance_of, rms, setting
from pellucid.layers import Activation, BatchNorm
from pellucid.losses import MAE, MSE, Huber, LogCosh, Quantile
from pellucid.network.network import Network
from pellucid.targets import first_of, place_text

Array = NDArray[Any]
_QUANTITIES = (MSE, MAE, Huber, LogCosh, Quantile)


def not_finite(case: Case) -> Finding | None:
    """The first place where a number stopped being one."""
    net = case.net
    remedy = (
        "net.reset(), then a smaller learning rate, scaled inputs (Rescale, Standardize) or "
        "clip_norm=1.0 in the optimizer"
    )
    for name, array in net.parameters.items() if net.built else ():
        bad = int((~np.isfinite(array)).sum())
        if bad:
            return Finding(
                "not finite", name, f"{bad} of {array.size} weights are NaN or infinite",
                "once a weight is NaN, everything after it is", remedy,
            )  # fmt: skip
    for node in net.graph.nodes if case.values is not None else ():
        assert case.values is not None
        array = case.values[node.name]
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            wrong = ~np.isfinite(array)
            where = first_of(wrong)
            rows = int(wrong.reshape(len(wrong), -1).any(axis=1).sum())
            evidence = (
                f"{array[where]} at {place_text(where)}; {rows} of {len(array)} rows have any"
            )
            if node.layer is None:
                return Finding(
                    "not finite", node.name, evidence, "it stands in the data, and fit refuses it",
                    "fill or drop such rows (np.nan_to_num, or a mean per column)",
                )  # fmt: skip
            what = "what feeds it is finite, so it starts here"
            return Finding("not finite", node.name, evidence, what, remedy)
    if net.training is not None and net.training.stopped == "diverged":
        return Finding(
            "not finite", "the last run", f"it stopped as diverged after {net.updates} updates",
            "steps grew until the loss overflowed", remedy,
        )  # fmt: skip
    return None


def unscaled_inputs(case: Case) -> Finding | None:
    """Large numbers going into the first layer with weights."""
    assert case.values is not None
    graph = case.net.graph
    for node in graph.nodes:
        if (
            node.layer is None
            or node.layer.takes_integers
            or f"{node.owner}/W" not in case.net.parameters
            or not _from_input(case.net, node.inputs[0].node)
        ):
            continue
        source = graph.nodes[node.inputs[0].node]
        array = case.values[source.name]
        if array.size == 0 or array.dtype.kind != "f":
            continue
        largest = float(np.abs(array).max())
        if rms(array) > 10 or largest > 1000:
            evidence = f"its inputs reach {largest:.4g} (root mean square {rms(array):.3g})"
            if source.layer is not None and source.layer.adapts:
                return Finding(
                    "unscaled inputs", node.name, evidence,
                    f"{source.name} learnt its statistics from other data than this",
                    "give it data on the scale that it was trained on; to start over on this "
                    "data, net.adapt(x)",
                )  # fmt: skip
            scale = "Rescale(1 / 255)" if 200 <= largest <= 255 else "Standardize()"
            return Finding(
                "unscaled inputs", node.name, evidence,
                "initial weights are made for inputs around 1: larger ones saturate or explode, "
                "and a learning rate that fits the biases is far too large for the weights",
                f"put {scale} in front",
            )  # fmt: skip
    return None


def _from_input(net: Network, index: int) -> bool:
    """Whether no parameters lie between the inputs and this node's output."""
    node = net.graph.nodes[index]
    own = any(name.rpartition("/")[0] == node.owner for name in net.parameters)
    return not own and all(_from_input(net, s.node) for s in node.inputs)


def constant_inputs(case: Case) -> Finding | None:
    """Rows that are all the same, or a feature that never varies away from 0."""
    assert case.values is not None
    for node in case.net.graph.nodes:
        x = case.values[node.name]
        if node.layer is not None or len(x) < 16 or not x[0].size:
            continue
        still = (x == x[:1]).all(axis=0)
        if still.all():
            return Finding(
                "constant inputs", node.name, f"all {len(x)} rows are the same",
                "rows that do not differ cannot be told apart",
                "look at how x was made: a slice that broadcasts, a column taken for all of them",
            )  # fmt: skip
        if x.ndim != 2 or x.shape[1] > 64:
            continue  # pixels at the border of an image are constant and do no harm
        columns = np.flatnonzero(still & (x[0] != 0))
        if columns.size:
            first = int(columns[0])
            return Finding(
                "constant inputs", node.name,
                f"{columns.size} of {x.shape[1]} features never vary: column {first} is "
                f"{x[0, first]:.4g} in all {len(x)} rows",
                "a constant says nothing about the targets; it acts as a second bias, and a large "
                "one makes the steps of its weights large",
                "leave the column out, x[:, x.std(axis=0) > 0]",
            )  # fmt: skip
    return None


def unreachable_targets(case: Case) -> Finding | None:
    """Targets that the activation at the output cannot give."""
    for name, node, loss in case.outputs():
        if not isinstance(node.layer, Activation):
            continue
        with np.errstate(all="ignore"):
            given = node.layer.value(np.array([-1e4, -30.0, -1.0, 0.0, 1.0, 30.0, 1e4]))
        low, high = float(np.nanmin(given)), float(np.nanmax(given))
        reach = f"in {low:g} … {high:g}" if high < 1e3 else f"{low:g} or more"
        kind = type(node.layer).__name__
        if loss.takes_logits and low >= 0 and node.layer.squashes is None:
            return Finding(
                "unreachable targets", node.name,
                f"{type(loss).__name__} wants scores of both signs; {kind} gives none below "
                f"{low:g}",
                "a score that would have to fall below 0 is cut there, where nothing is learnt",
                f"remove {node.name}: the last dense layer gives the scores",
            )  # fmt: skip
        if case.targets is None or not isinstance(loss, _QUANTITIES):
            continue
        y = case.targets[name]
        outside = (y < low - 1e-6) | (y > high + 1e-6)
        if outside.any():
            worst = y[outside][np.argmax(np.abs(y[outside]))]
            return Finding(
                "unreachable targets", node.name,
                f"{int(outside.sum())} of {y.size} targets are not {reach}, which is all that "
                f"{kind} gives; {worst:.4g} is the farthest",
                "the loss of these targets has a floor, and pulls the layer before into the flat "
                "part of the activation",
                f"remove {node.name} (quantities need no activation at the output), or scale y to "
                f"be {reach}",
            )  # fmt: skip
    return None


def sorted_rows(case: Case) -> Finding | None:
    """Rows class by class, in a run that did not shuffle them."""
    assert case.targets is not None
    if setting(case.net, "shuffle") is not False:
        return None
    for name, y in case.targets.items():
        if y.ndim != 1 or y.dtype.kind not in "iu" or len(y) < 32:
            continue
        changes, classes = int((y[1:] != y[:-1]).sum()), len(np.unique(y))
        if classes > 1 and changes == classes - 1:
            batch = setting(case.net, "batch_size")
            return Finding(
                "sorted rows", name,
                f"{len(y)} rows change their class {changes} times only, and fit walked through "
                f"them in this order, {batch} rows a batch",
                "each batch holds one class, so the network learns to answer with that class, and "
                "batch statistics are those of one class",
                "fit(..., shuffle=True), or put the rows in random order once",
            )  # fmt: skip
    return None


def tiny_batches(case: Case) -> Finding | None:
    """Batch normalisation over a handful of rows."""
    size = setting(case.net, "batch_size")
    for node in case.net.graph.nodes:
        if isinstance(node.layer, BatchNorm) and len(node.spec.shape) == 1 and size and size <= 4:
            return Finding(
                "tiny batches", node.name, f"the last run took {size} rows a batch",
                f"a mean and a variance of {size} rows are mostly noise, and the running "
                "statistics that inference uses differ from both",
                "batch_size=32 or more, or LayerNorm(), which looks at each row by itself",
            )  # fmt: skip
    return None


def large_first_loss(case: Case) -> Finding | None:
    """A loss before the first update far above that of a constant answer."""
    assert case.losses is not None
    assert case.targets is not None
    if case.net.updates:
        return None
    for name, _, loss in case.outputs():
        chance = chance_of(loss, case.targets[name])
        values = case.losses[name]
        if chance is None or not values.size:
            continue
        mean, quantity = float(values.mean()), isinstance(loss, MSE)
        if mean <= (10 if quantity else 3) * chance + (0 if quantity else 2):
            continue
        y = case.targets[name]
        remedy = (
            f"bring y near 0 and 1 first (its mean is {y.mean():.4g}, its standard deviation "
            f"{y.std():.4g}): (y - y.mean()) / y.std()"
            if quantity
            else "the default initialisation, scaled inputs, or smaller weights in the last layer "
            "(kernel_initializer=Normal(std=0.01)): the first loss of K classes is then near log K"
        )
        return Finding(
            "large first loss", name,
            f"before the first update the loss is {mean:.4g}; a constant answer gives {chance:.4g}",
            "the first epochs go into unlearning what the initial weights say with confidence, or "
            "into finding the mean of y by small steps",
            remedy,
        )  # fmt: skip
    return None
