"""Rules about what flows through a network: values forward, gradients backward, updates."""

from __future__ import annotations

from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.insight.diagnosis.base import Case, Finding, rms
from pellucid.layers import Activation
from pellucid.layers.base import Layer
from pellucid.network.graph import Node
from pellucid.schedules import Schedule

Array = NDArray[Any]


def dead_units(case: Case) -> Finding | None:
    """Units of a ReLU that are zero for every row, and so never learn again."""
    assert case.values is not None
    if _lost(case):
        return None  # steps too large, which kill units
    for node in case.net.graph.nodes:
        array = case.values[node.name]
        if not _can_die(node.layer) or len(array) < 32:
            continue
        units = array.reshape(-1, array.shape[-1])
        dead = int((units == 0).all(axis=0).sum())
        if dead > 0.2 * units.shape[1]:
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


def saturated_units(case: Case) -> Finding | None:
    """Sigmoids and their like, far out where they are flat."""
    assert case.values is not None
    graph = case.net.graph
    if case.solved or _lost(case):
        return None  # sure answers come from far out; steps too large lead there
    outputs = {source.node for source in graph.outputs.values()}
    for i, node in enumerate(graph.nodes):
        if not isinstance(node.layer, Activation) or (i in outputs and case.net.updates):
            continue
        slopes = node.layer.derivative(np.array([-1e3, 1e3, *np.linspace(-3, 3, 25)]))
        z = case.values[graph.nodes[node.inputs[0].node].name]
        if np.abs(slopes[:2]).max() > 1e-3 or not z.size or len(z) < 16:
            continue  # it has a side that is never flat
        most = float(np.abs(slopes).max())
        flat = float(np.mean(np.abs(node.layer.derivative(z)) < 0.01 * most))
        if flat > 0.5:
            return Finding(
                "saturated units", node.name,
                f"for {flat:.0%} of its values the derivative is less than a hundredth of the "
                f"{most:.3g} that it can be; what comes in reaches {np.abs(z).max():.3g}",
                "a gradient that passes here is multiplied by almost 0, so the layers before learn "
                "next to nothing",
                "net.reset() with scaled inputs, smaller initial weights or a smaller learning "
                "rate; ReLU() does not saturate, BatchNorm() in front keeps values near 0",
            )  # fmt: skip
    return None


def symmetric_units(case: Case) -> Finding | None:
    """Units of a layer that start alike and are changed alike."""
    for name, node in case.weights():
        w = case.net.parameters[name]
        if not w.size or w.shape[-1] < 2 or not (w == w[..., :1]).all():
            continue
        if _changed_alike(case, name, node):
            what = f"all of them {w.flat[0]:.4g}" if (w == w.flat[0]).all() else "row by row"
            also = "" if case.trial is None else ", and the same gradient"
            return Finding(
                "symmetric units", node.name,
                f"its {w.shape[-1]} units have the same weights ({what}){also}",
                "units that start alike and are changed alike stay alike: many do the work of one",
                "random initial weights, which the default initialisation gives; zeros are for "
                "biases",
            )  # fmt: skip
    return None


def _changed_alike(case: Case, name: str, node: Node) -> bool:
    """Whether the units' gradients are the same: without targets, whether a ReLU lets none pass."""
    if case.trial is not None:
        dw = case.trial.gradients[name]
        return bool(np.abs(dw - dw[..., :1]).max() <= 1e-6 * np.abs(dw).max())
    nodes, values = case.net.graph.nodes, case.values or {}
    fed = [n for n in nodes if [nodes[s.node] for s in n.inputs] == [node]]
    return any(_can_die(n.layer) and not values[n.name].any() for n in fed)


def no_gradient(case: Case) -> Finding | None:
    """Weights that the loss does not depend on."""
    if case.trial is None:
        return None
    for name, node in case.weights():
        gradient = case.trial.gradients[name]
        if gradient.size and not gradient.any():
            return Finding(
                "no gradient", node.name,
                f"the gradient of {name} is exactly 0 in all {gradient.size} places",
                "nothing that this layer gives reaches the loss, or all that does is flat there",
                "look at what follows it, net.trace(x, y): zeros in what it gives or gets, an "
                "activation that is flat, weights of 0",
            )  # fmt: skip
    return None


def vanishing_gradients(case: Case) -> Finding | None:
    """Gradients that fade from the last layer to the first."""
    place, ratio, evidence = _first_to_last(case)
    if not 0 < ratio < 1e-4:
        return None
    return Finding(
        "vanishing gradients", place, evidence,
        "on the way back the gradient is multiplied by each layer's derivative, at most 1/4 in a "
        "Sigmoid, and by small weights",
        "ReLU() instead of Sigmoid(), the default initialisation, BatchNorm() between, or Residual "
        "blocks",
    )  # fmt: skip


def exploding_gradients(case: Case) -> Finding | None:
    """Gradients that grow from the last layer to the first."""
    place, ratio, evidence = _first_to_last(case)
    if not ratio > 1e4:
        return None
    return Finding(
        "exploding gradients", place, evidence,
        "on the way back the gradient is multiplied by each layer's weights, and these are large",
        "the default initialisation, BatchNorm() between, clip_norm=1.0 in the optimizer",
    )  # fmt: skip


def _first_to_last(case: Case) -> tuple[str, float, str]:
    """How much larger the first gradient is than the last, and where and how to say so."""
    weights = case.weights()
    if case.trial is None or len(weights) < 3:
        return "", 1.0, ""
    first, last = weights[0][1].name, weights[-1][1].name
    slopes = case.trial.slopes
    if first not in slopes or last not in slopes:
        return "", 1.0, ""
    ratio = rms(slopes[first]) / rms(slopes[last]) if rms(slopes[last]) else 0.0
    evidence = (
        f"the gradient by what {first} gives is {ratio:.1e} times that by what {last} gives, "
        f"{len(weights) - 1} layers later"
    )
    return first, ratio, evidence


def steps_too_large(case: Case) -> Finding | None:
    """Steps after which the same rows have a far greater loss: those of training, or the next."""
    trial = case.trial
    if trial is None or not trial.changes:
        return None
    name, ratio = case.step_size()
    if _lost(case):
        return Finding(
            "steps too large", name.rpartition("/")[0] or "the optimizer",
            f"{case.net.updates} updates have taken the loss of the same rows from "
            f"{trial.start:.4g}, with the initial weights, to {trial.before:.4g}; the next one "
            f"changes {name} by {ratio:.2g} of its size, and about 1e-3 is usual",
            "a gradient is true near where it was taken: a long step ends where the loss is "
            "greater, and units that it leaves dead or saturated stay so",
            "net.reset(), then a learning rate ten to a hundred times smaller than "
            f"{case.rate:.3g}; find_learning_rate(net, x, y) suggests one",
        )  # fmt: skip
    scale = case.chance or trial.before
    rise = trial.after - trial.before
    worse = not isfinite(trial.after) or (
        trial.after > 1.5 * trial.before and rise > 0.1 * max(scale, trial.before)
    )
    if not worse or ratio < 0.01:
        return None
    return Finding(
        "steps too large", name.rpartition("/")[0],
        f"one step takes the loss of the same rows from {trial.before:.4g} to {trial.after:.4g}; "
        f"it changes {name} by {ratio:.2g} of its size",
        "a gradient is true near where it was taken: a long step ends where the loss is greater",
        f"a learning rate ten times smaller than {case.rate:.3g}; find_learning_rate(net, x, y) "
        "suggests one",
    )  # fmt: skip


def _lost(case: Case) -> bool:
    """Whether training has made the loss far greater, on its own rows too."""
    trial, chance = case.trial, case.chance
    if trial is None or trial.start is None or chance is None or not trial.changes:
        return False
    rows = [] if case.net.training is None else case.net.training.rows
    learnt = bool(rows) and rows[-1].get("loss", np.inf) < chance
    return trial.before > 1.5 * trial.start and not learnt


def steps_too_small(case: Case) -> Finding | None:
    """Steps that do not matter, while there is much to learn."""
    trial = case.trial
    optimizer = case.net.optimizer
    if trial is None or not trial.changes or isinstance(optimizer.learning_rate, Schedule):  # type: ignore[union-attr]
        return None
    name, ratio = case.step_size()
    chance = case.chance
    busy = chance is not None and trial.before > 0.5 * chance
    if not busy or not 0 < ratio < 1e-5:
        return None
    return Finding(
        "steps too small", "the optimizer",
        f"a step changes {name} by {ratio:.1e} of its size, and every other layer by less; the "
        f"loss is {trial.before:.4g}, a constant answer gives {chance:.4g}",
        "at this pace the weights need hundreds of thousands of steps to change at all; about "
        "1e-3 of their size a step is usual",
        f"a learning rate a hundred times larger than {case.rate:.3g}; "
        "find_learning_rate(net, x, y) suggests one",
    )  # fmt: skip
