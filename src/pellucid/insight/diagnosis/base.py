"""What rules look at, and what they say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pellucid.losses import MSE, BinaryCrossEntropy, CrossEntropy, Loss
from pellucid.network.graph import Node
from pellucid.network.network import Network

Array = NDArray[Any]


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


@dataclass(frozen=True, repr=False)
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

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from pellucid.insight.html import diagnosis_html

        return diagnosis_html(self)


@dataclass(frozen=True)
class Trial:
    """One training step, taken in a copy.

    Attributes
    ----------
    gradients, changes : by ``node/name``: of the loss, and what the update added
    slopes : the gradient of the loss by each node's output, by its name
    before, after : the loss of the same rows before the update and after it
    start : theirs with the weights that training began with, where that is worth a look
    """

    gradients: dict[str, Array]
    changes: dict[str, Array]
    slopes: dict[str, Array]
    before: float
    after: float
    start: float | None = None


@dataclass(frozen=True)
class Case:
    """What a rule looks at: the network, and where data was given, every node's output on it."""

    net: Network
    values: dict[str, Array] | None = None
    targets: dict[str, Array] | None = None
    losses: dict[str, Array] | None = None  # each row's value, by output
    trial: Trial | None = None  # with targets and an optimizer that takes steps

    @property
    def mean_loss(self) -> float:
        """The loss of the rows, without the penalty."""
        losses = {name: v for name, v in (self.losses or {}).items() if v.size}
        return sum(self.net.losses[name].scale * float(v.mean()) for name, v in losses.items())

    @property
    def chance(self) -> float | None:
        """The loss of the best answers that ignore the input; None where nobody knows."""
        if self.targets is None:
            return None
        total = 0.0
        for name, y in self.targets.items():
            value = chance_of(self.net.losses[name], y)
            if value is None:
                return None
            total += self.net.losses[name].scale * value
        return total

    @property
    def solved(self) -> bool:
        """Whether training has brought the loss well below chance."""
        chance = self.chance
        return self.net.updates > 0 and chance is not None and self.mean_loss < 0.5 * chance

    @property
    def rate(self) -> float | None:
        """The learning rate of the next update; None without an optimizer."""
        optimizer = self.net.optimizer
        return None if optimizer is None else optimizer.rate(self.net.updates)

    def step_size(self) -> tuple[str, float]:
        """The weights that the step tried changes most, relative to their size, and by how much."""
        changes = {} if self.trial is None else self.trial.changes
        sizes = [
            (rms(changes[name]) / rms(w), name)
            for name, _ in self.weights()
            if name in changes and rms(w := self.net.parameters[name]) > 1e-12
        ]
        size, name = max(sizes, default=(0.0, "/"))
        return name, float(size)

    def weights(self) -> list[tuple[str, Node]]:
        """The weights that an optimizer may change, with their nodes, from inputs to outputs."""
        found, owners = [], self.net.graph.owners()
        for name, spec in self.net.graph.parameter_specs().items():
            node = owners[name.rpartition("/")[0]]
            if spec.decay and len(spec.shape) > 1 and node.layer and node.layer.trainable:
                found.append((name, node))
        return found

    def outputs(self) -> list[tuple[str, Node, Loss]]:
        """The outputs that have a loss: their names, nodes and losses."""
        if self.net.loss is None:
            return []
        nodes, outputs = self.net.graph.nodes, self.net.graph.outputs
        return [(name, nodes[outputs[name].node], loss) for name, loss in self.net.losses.items()]


@dataclass(frozen=True)
class Rule:
    """A function that looks at a case, what it needs, and which other findings explain its own."""

    look: Callable[[Case], Finding | None]
    needs: Literal["", "data", "targets"] = ""
    explained_by: tuple[str, ...] = ()


def chance_of(loss: Loss, target: Array) -> float | None:
    """The loss of the best answer that ignores the input."""
    if not target.size:
        return None
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


def rms(array: Array) -> float:
    """The root of the mean square, in float64."""
    return float(np.sqrt(np.mean(np.square(array, dtype=np.float64)))) if array.size else 0.0


def setting(net: Network, key: str) -> Any:
    """An option of the last run; None where there was none, or nobody knows."""
    return None if net.training is None else net.training.setting.get(key)
