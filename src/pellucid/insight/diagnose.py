"""diagnose: what is wrong with a network or its data, in words.

Each rule (`diagnosis/`) is one function that looks at a network on a batch and returns a finding or
nothing. A finding has evidence (numbers), a place (a node), a reason and a remedy.
"""

from __future__ import annotations

from contextlib import suppress
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.engine.base import Batch, compile_network
from pellucid.errors import DataError, ShapeError
from pellucid.insight.diagnosis import RULES, Case, Diagnosis, Finding, Trial
from pellucid.layers.base import Cache
from pellucid.network.network import Network
from pellucid.optimizers import LBFGS
from pellucid.training.batches import ArrayBatches
from pellucid.training.checked import Data, prepared
from pellucid.training.sources import adapt_layers, unpacked

__all__ = ["RULES", "Diagnosis", "Finding", "diagnose"]

Array = NDArray[Any]
_ROWS = 1024  # rows that are looked at
_TRIAL = 256  # rows of the step that is tried


def diagnose(net: Network, x: Any = None, y: Any = None) -> Diagnosis:
    """Looks for known mistakes; more can be said with a batch of data, and more with its targets.

    At most 1,024 rows are looked at, and on 256 of them one step is tried in a copy. What the last
    run left in the network (its curves, its options) is looked at too. Nothing is changed.
    """
    x, y, _ = unpacked(x, y, None)
    if x is None:
        _ = net.graph  # before it is built there is nothing to look at
        case = Case(net)
    else:
        with np.errstate(all="ignore"):
            case = _case(net, x, y)
    given = {"": True, "data": case.values is not None, "targets": case.losses is not None}
    looking = tuple(name for name, rule in RULES.items() if given[rule.needs])
    found: list[Finding] = []
    for name in looking:
        told = {finding.rule for finding in found}
        with np.errstate(all="ignore"):
            finding = None if told & {*RULES[name].explained_by} else RULES[name].look(case)
        found += [] if finding is None else [finding]
    wanting = tuple(name for name in RULES if name not in looking)
    return Diagnosis(tuple(found), looking, wanting)


def _case(net: Network, x: Any, y: Any) -> Case:
    """The network on the first rows."""
    arrays = {k: a[:_ROWS] for k, a in net.inputs_for(x).items()}
    if _unadapted(net):
        net = net.copy()
        with suppress(DataError):  # NaN, or no rows: the rules say so
            adapt_layers(net, arrays, None)  # as fit would
    names = [node.name for node in net.graph.nodes]
    values = compile_network(net).infer(net.converted(arrays), names)
    if y is None or net.loss is None:
        return Case(net, values)
    targets, losses = _losses(net, values, arrays, y)
    case = Case(net, values, targets, losses)
    return Case(net, values, targets, losses, _trial(case, arrays))


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


def _trial(case: Case, arrays: dict[str, Array]) -> Trial | None:
    """One step in a copy, on the same rows before and after; None where it cannot be made."""
    net = case.net
    finite = isfinite(case.mean_loss) and np.isfinite(net.parameters.vector).all()
    if case.targets is None or len(next(iter(arrays.values()))) < 2 or not finite:
        return None
    pick = slice(_TRIAL)
    targets = {k: a[pick] for k, a in case.targets.items()}
    data = Data({k: a[pick] for k, a in arrays.items()}, targets, None)
    twin = net.copy()
    program = compile_network(twin, taps=True)
    parts = ArrayBatches(twin, data, None, data.rows).get(0)
    assert parts is not None
    try:
        program.begin()
        program.forward(parts[0])
        before = program.loss()
        program.backward()
    except (DataError, ShapeError):
        return None
    gradients = {name: g.copy() for name, g in program.gradients.items()}
    names = [node.name for node in net.graph.nodes if node.layer is not None]
    tensors = program.tensors(None)
    slopes = {name: tensors[f"d/{name}"] for name in names if f"d/{name}" in tensors}
    start = _start(case, parts[0], before)
    if net.optimizer is None or isinstance(net.optimizer, LBFGS):  # which has no single step
        return Trial(gradients, {}, slopes, before, before, start)
    program.update()
    changes = {name: new - net.parameters[name] for name, new in twin.parameters.items()}
    twin.updates = net.updates  # the same random numbers again
    program.begin()
    program.forward(parts[0])
    return Trial(gradients, changes, slopes, before, program.loss(), start)


def _start(case: Case, batch: Batch, loss: float) -> float | None:
    """The loss of the rows with the initial weights, where training left it well above chance."""
    chance = case.chance
    if not case.net.updates or chance is None or loss < 1.5 * chance:
        return None
    twin = case.net.clone()
    twin.state.vector[...] = case.net.state.vector
    program = compile_network(twin)
    program.begin()
    program.forward(batch)
    return program.loss()
