"""What has no opcode but is made of elementwise steps: its Python, recorded as a formula.

Activations, losses and optimizers of a user's own are recorded too; their Python does not depend
on anything else, by contract, and what they read by name is watched. Other layers of a user's own
may do whatever they like, so they are called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pellucid.engine.formulas import Untraceable
from pellucid.engine.formulas.recorders import (
    layer_formulas,
    loss_formula,
    record_average,
    record_layer,
    record_loss,
    record_update,
    update_formula,
)
from pellucid.engine.opcodes import Buffer
from pellucid.layers import Activation, GroupNorm, LayerNorm, LogSoftmax, PReLU, RMSNorm
from pellucid.network.graph import Node, Source

if TYPE_CHECKING:
    from pellucid.engine.formulas import Formula
    from pellucid.engine.lowering.base import Kind, Lowering
    from pellucid.losses import Loss
    from pellucid.optimizers import Optimizer

RECORDED = (PReLU, LayerNorm, RMSNorm, GroupNorm, LogSoftmax)


def lower_recorded(low: Lowering, index: int, node: Node) -> None:
    """A layer by its formulas; where it cannot be recorded, a call."""
    from pellucid.engine.lowering.layers import lower_called

    try:
        _lower_layer(low, index, node)
    except Untraceable as why:
        low.table.why[node.name] = str(why)
        lower_called(low, index, node)


def _lower_layer(low: Lowering, index: int, node: Node) -> None:
    layer: Any = node.layer
    plain = isinstance(layer, Activation) and type(layer).forward is Activation.forward
    if type(layer) not in RECORDED and not (plain and type(layer).backward is Activation.backward):
        raise Untraceable("there are no instructions for it")
    x, row, training = low.at[node.inputs[0]], low.shape(Source(index)), low.purpose.training
    flat = low.net.parameters.of(node.owner)
    p = {name: low.parameter(node, name) for name in vars(flat)}
    shapes = tuple((name, buffer.shape) for name, buffer in p.items())
    feeds = node.inputs[0] in low.wanted
    recorded = record_layer(layer, row, shapes, low.net.dtype, training=training, feeds=feeds)
    forward, _ = layer_formulas(recorded)
    low.table.reads += recorded.reads
    y = low.output(index)
    low.formula(forward, {"x": x, "y": y, **p})

    def backward() -> None:
        dy = low.slopes.get(Source(index))
        if dy is None:
            return
        entry = low.send(node.inputs[0])
        dp, added = {}, 0
        for name in p:
            dp[f"d{name}"], added = low.gradient(node, name)
        _, formula = layer_formulas(recorded, added=bool(entry and entry[1]))
        if formula is not None:
            dx = entry[0] if entry else Buffer(f"d/{x.name}", x.shape)
            low.formula(formula, {"x": x, "y": y, "dy": dy, "dx": dx, **p, **dp}, added=added)

    low.later(backward)


def recorded_loss(low: Lowering, loss: Loss, row: tuple[int, ...], kind: Kind) -> Formula | None:
    """The formula of a loss of some kind of targets, if it can be recorded."""
    try:
        recorded = record_loss(loss, row, kind.shape, low.net.dtype, integer=kind.integer)
        formula = loss_formula(recorded, training=low.purpose.training, integer=kind.integer)
    except Untraceable as why:
        low.table.why[f"the loss {loss!r}"] = str(why)
        return None
    low.table.reads += recorded.reads
    low.table.guarded |= bool(recorded.recording.never)
    return formula


def recorded_update(low: Lowering, optimizer: Optimizer, decay: float) -> Formula | None:
    """The formula of an optimizer's update, if it can be recorded."""
    try:
        recorded = record_update(optimizer, decay, low.net.dtype)
        formula = update_formula(recorded, 1 + len(optimizer.numbers(1e-3, 1)))
    except Untraceable as why:
        low.table.why[f"{optimizer!r}"] = str(why)
        return None
    low.table.reads += recorded.reads
    return formula


def recorded_average(low: Lowering, optimizer: Optimizer) -> Formula | None:
    """The formula of averaging the weights, where every update is averaged."""
    average = optimizer.average
    if average is None or not average.due(1) or not average.due(2):
        return None
    try:
        recorded = record_average(average, low.net.dtype)
        formula = update_formula(recorded, 0)
    except Untraceable:
        return None
    low.table.reads += recorded.reads
    return formula
