"""diagnose: what is wrong with a network or its data, in words.

Each rule is one function that looks at a network on a batch and returns a finding or nothing. A
finding has evidence (numbers), a place (a node), a reason and a remedy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.engine.base import compile_network
from pellucid.errors import DataError
from pellucid.layers.base import Cache, Layer
from pellucid.losses import MSE, BinaryCrossEntropy, CrossEntropy, Loss
from pellucid.network.network import Network
from pellucid.targets import first_of, place_text
from pellucid.training.checked import prepared
from pellucid.training.sources import adapt_layers, unpacked

Array = NDArray[Any]
_ROWS = 1024  # rows that are looked at


@dataclass(frozen=True)
class Finding:
    """Something wrong: which rule found it, where, the numbers, why it matters, what helps."""

    rule: str
    place: str
    evidence: str
    reason: str
    remedy: str

    def __str__(self) -> str:
        return (
            f"{self.rule} at {self.place}: {self.evidence}\n"
            f"  why: {self.reason}\n  try: {self.remedy}"
        )


@dataclass(frozen=True)
class Diagnosis:
    """The findings, most fundamental first; falsy when there are none."""

    findings: tuple[Finding, ...]
    rules: tuple[str, ...]  # those that could look
    wanting: tuple[str, ...] = ()  # those that need data, or targets, that were not given

    def __bool__(self) -> bool:
        return bool(self.findings)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    def __str__(self) -> str:
        if not self.findings:
            more = f"; with x and y also: {', '.join(self.wanting)}" if self.wanting else ""
            return f"nothing found by {len(self.rules)} rules: {', '.join(self.rules)}{more}"
        return "\n".join(map(str, self.findings))


@dataclass(frozen=True)
class Case:
    """What a rule looks at: the network, and where data was given, every node's output on it."""

    net: Network
    values: dict[str, Array] | None
    targets: dict[str, Array] | None
    losses: dict[str, Array] | None  # each row's value, by output


Rule = Callable[[Case], Finding | None]


def diagnose(net: Network, x: Any = None, y: Any = None) -> Diagnosis:
    """Looks for known mistakes; more can be said with a batch of data, and more with its targets.

    At most 1,024 rows are looked at. Nothing is changed.
    """
    x, y, _ = unpacked(x, y, None)
    if x is None:
        _ = net.graph  # before it is built there is nothing to look at
    values = targets = losses = None
    if x is not None:
        with np.errstate(all="ignore"):
            arrays = {k: a[:_ROWS] for k, a in net.inputs_for(x).items()}
            if _unadapted(net):
                net = net.copy()
                with suppress(DataError):  # NaN, or no rows: the rules say so
                    adapt_layers(net, arrays, None)  # as fit would
            names = [node.name for node in net.graph.nodes]
            values = compile_network(net).infer(net.converted(arrays), names)
            if y is not None and net.loss is not None:
                targets, losses = _losses(net, values, arrays, y)
    case = Case(net, values, targets, losses)
    lacking = (() if values else _NEED_DATA) + (() if losses else _NEED_TARGETS)
    found = tuple(f for f in (rule(case) for rule in RULES.values()) if f is not None)
    return Diagnosis(found, tuple(r for r in RULES if r not in lacking), lacking)


def _unadapted(net: Network) -> bool:
    """Whether a layer still waits for data to learn its statistics from."""
    return any(
        node.layer is not None and node.layer.adapts and net.state[f"{node.owner}/count"] == 0
        for node in net.graph.nodes
    )


def _losses(
    net: Network, values: dict[str, Array], arrays: dict[str, Array], y: Any
) -> tuple[dict[str, Array], dict[str, Array]]:
    rows = len(next(iter(arrays.values())))
    given = y if isinstance(y, dict) else {next(iter(net.losses)): y}
    targets, losses = {}, {}
    for name, loss in net.losses.items():
        targets[name] = prepared(loss, np.asarray(given[name])[:rows], net, name, rows)
        source = net.graph.nodes[net.graph.outputs[name].node].name
        losses[name] = loss.forward(targets[name], values[source], Cache())
    return targets, losses


# ---- the rules --------------------------------------------------------------------------------


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
    if case.values is None:
        return None
    graph = case.net.graph
    for node in graph.nodes:
        if (
            node.layer is None
            or node.layer.takes_integers
            or f"{node.owner}/W" not in case.net.parameters
        ):
            continue
        source = graph.nodes[node.inputs[0].node]
        if not _from_input(case.net, node.inputs[0].node):
            continue
        array = case.values[source.name]
        if array.size == 0 or array.dtype.kind != "f":
            continue
        largest = float(np.abs(array).max())
        rms = float(np.sqrt(np.mean(np.square(array, dtype=np.float64))))
        if rms > 10 or largest > 1000:
            evidence = f"its inputs reach {largest:.4g} (root mean square {rms:.3g})"
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


def dead_units(case: Case) -> Finding | None:
    """Units of a ReLU that are zero for every row, and so never learn again."""
    if case.values is None:
        return None
    for node in case.net.graph.nodes:
        array = case.values[node.name]
        if not _can_die(node.layer) or len(array) < 32:
            continue
        units = array.reshape(-1, array.shape[-1])
        dead = int((units == 0).all(axis=0).sum())
        if dead > 0.1 * units.shape[1]:
            return Finding(
                "dead units", node.name,
                f"{dead} of {units.shape[1]} units are 0 for all {len(array)} rows",
                "where a ReLU is 0 its derivative is 0 too, so nothing can wake these units",
                "net.reset() with a smaller learning rate, scaled inputs, or LeakyReLU(0.01)",
            )  # fmt: skip
    return None


def _can_die(layer: Layer | None) -> bool:
    """Whether an activation has a flat side at 0."""
    slope = getattr(layer, "derivative", None)
    if slope is None or layer is None or layer.initialization != "he":
        return False
    return float(slope(np.array([-1.0]))[0]) == 0.0


def no_better_than_chance(case: Case) -> Finding | None:
    """A trained network whose loss a constant answer would reach."""
    if case.losses is None or case.targets is None or case.net.updates == 0:
        return None
    for name, values in case.losses.items():
        loss, target = case.net.losses[name], case.targets[name]
        chance = _chance(loss, target)
        mean = float(values.mean()) if values.size else 0.0
        if len(values) >= 32 and chance is not None and mean > 0.98 * chance:
            return Finding(
                "no better than chance", name,
                f"the loss is {mean:.4g}; always answering with the average gives {chance:.4g}",
                f"after {case.net.updates} updates the network is of no more use here than that",
                f"{_scaled(loss, target)}train longer, check that rows of x and y belong together, "
                "and try a learning rate ten times smaller and ten times larger",
            )  # fmt: skip
    return None


def _scaled(loss: Loss, target: Array) -> str:
    """What helps first where quantities are far from 1: weights grow by small steps."""
    if isinstance(loss, MSE) and target.std() > 10:
        return "bring y near 1 first, (y - y.mean()) / y.std(), "
    return ""


def _chance(loss: Loss, target: Array) -> float | None:
    """The loss of the best answer that ignores the input."""
    if isinstance(loss, CrossEntropy):
        if loss.label_smoothing or loss.ignore_index is not None:
            return None
        share = (
            np.bincount(target.ravel()) / target.size
            if target.dtype.kind in "iu"
            else target.mean(0)
        )
        share = share[share > 0]
        return float(-(share * np.log(share)).sum())
    if isinstance(loss, BinaryCrossEntropy) and loss.positive_weight is None:
        p = np.clip(target.mean(axis=0), 1e-12, 1 - 1e-12)
        return float(-(p * np.log(p) + (1 - p) * np.log1p(-p)).mean())
    if isinstance(loss, MSE):
        return float(target.var(axis=0).mean())
    return None


def squashed_outputs(case: Case) -> Finding | None:
    """Probabilities handed to a loss that squashes again."""
    net = case.net
    for name, loss in net.losses.items() if net.loss is not None else ():
        node = net.graph.nodes[net.graph.outputs[name].node]
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


RULES: dict[str, Rule] = {
    "not finite": not_finite,
    "squashed outputs": squashed_outputs,
    "unscaled inputs": unscaled_inputs,
    "dead units": dead_units,
    "no better than chance": no_better_than_chance,
}
_NEED_DATA = ("unscaled inputs", "dead units")
_NEED_TARGETS = ("no better than chance",)
