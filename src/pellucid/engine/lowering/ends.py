"""Both ends of the outputs: their losses, metrics and links as instructions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pellucid.engine.lowering.base import Kind, View, share
from pellucid.engine.lowering.recorded import recorded_loss
from pellucid.engine.opcodes import MAPS, Buffer, Moment
from pellucid.errors import ShapeError
from pellucid.layers.base import Cache
from pellucid.losses import MSE, BinaryCrossEntropy, ClassLoss, CrossEntropy, Loss, Quantile
from pellucid.metrics import Accuracy

if TYPE_CHECKING:
    from pellucid.engine.lowering.base import Lowering


def usual_kind(loss: Loss, row: tuple[int, ...]) -> Kind:
    """What targets of a loss mostly look like, before any have been seen."""
    if type(loss) is Quantile and isinstance(loss.quantiles, tuple):
        return Kind(row[:-1], False)
    return Kind(row[:-1], True) if isinstance(loss, ClassLoss) else Kind(row, False)


def lower_losses(low: Lowering) -> None:
    """One instruction a loss: its sum, and its gradient where that is wanted."""
    table = low.table
    for name, source in low.graph.outputs.items():
        loss, p = low.net.losses[name], low.at[source]
        low.node(name)
        kind = low.kinds.get(name, usual_kind(loss, p.shape))
        dp = None
        if low.purpose.training:
            entry = low.send(source)
            dp = entry[0] if entry else Buffer(f"d/{name}", p.shape)
        y = table.targets[name] = Buffer(f"y/{name}", kind.shape, integer=kind.integer)
        y.region = f"target {name}"
        op = _opcode(loss, p, kind)
        formula = None if op or p.size == 0 else recorded_loss(low, loss, p.shape, kind)
        if formula is not None:
            places = {"dp": dp, "p": p, "y": y, "weight": table.weight}
            low.formula(formula, places, scale=loss.scale)
            continue
        if op is None or p.size == 0:
            if op is None:
                table.called.append(f"the loss {loss!r}")
            _called_loss(low, loss, dp, p, y)
            continue
        y.integer = op == "cross_entropy"
        places = {"dp": dp, "p": p, "y": y, "weight": table.weight}
        if op.startswith("cross"):
            K = p.shape[-1]
            low.emit(op, places, K=K, scale=loss.scale, places=p.size // K)
        else:
            low.emit(op, places, N=p.size, scale=loss.scale)


def _opcode(loss: Loss, p: Buffer, kind: Kind) -> str | None:
    """The opcode of a loss of some kind of targets, if it has one."""
    if type(loss) is MSE and kind.shape == p.shape:
        return "mse"
    if type(loss) is BinaryCrossEntropy and loss.positive_weight is None and kind.shape == p.shape:
        return "binary_cross_entropy"
    if type(loss) is CrossEntropy and not loss.label_smoothing:
        several = len(p.shape) > 1
        if kind == Kind(p.shape[:-1], True) and not (several and loss.ignore_index is not None):
            return "cross_entropy"
        if kind == Kind(p.shape, False):
            return "cross_entropy_rows"
    return None


def _called_loss(low: Lowering, loss: Loss, dp: Buffer | None, p: Buffer, y: Buffer) -> None:
    weight = low.table.weight

    def run(view: View, at: Moment) -> float:
        cache = Cache(training=low.purpose.training)
        w = view(weight) if at.weighted else None
        values = loss.forward(view(y), view(p), cache)
        if np.shape(values) != (at.rows,):
            raise ShapeError(
                f"{loss!r} gave values of shape {np.shape(values)} for {at.rows} rows: its "
                f"forward returns each row's own value, ({at.rows},), not their mean"
            )
        if dp is not None:
            slope = loss.backward(cache)
            if slope.shape != view(dp).shape:
                raise ShapeError(
                    f"{loss!r} gave a gradient of shape {slope.shape} for outputs of shape "
                    f"{view(dp).shape}: it has one number for each output"
                )
            view(dp)[...] = slope * share(at, loss.scale, w, slope)
        return loss.scale * float((values if w is None else values * w).sum(dtype=np.float64))

    low.call(run, p, y, *([dp] if dp is not None else []), sums=1)


def lower_metrics(low: Lowering) -> None:
    """One instruction a metric."""
    table = low.table
    for number, (name, metric) in enumerate(low.metrics):
        p, y = low.at[low.graph.outputs[name]], table.targets[name]
        low.node(name)
        classes = y.integer and y.shape == p.shape[:-1] and p.size > 0
        ignoring = y.shape and getattr(low.net.losses[name], "ignore_index", None) is not None
        if type(metric) is Accuracy and classes and not metric.multilabel and not ignoring:
            K = p.shape[-1]
            low.emit("accuracy", {"p": p, "y": y, "weight": table.weight}, K=K, places=p.size // K)
        else:
            low.call(_called_metric(low, number, name, p, y), p, y)


def _called_metric(low: Lowering, number: int, name: str, p: Buffer, y: Buffer) -> Any:
    metric, loss, measured = low.metrics[number][1], low.net.losses[name], low.table.measured

    def run(view: View, at: Moment) -> float:
        w = view(low.table.weight) if at.weighted else None
        totals = metric.totals(view(y), loss.link(view(p)), w)
        measured.append((at.step, at.part, number, totals))
        return 0.0

    return run


def lower_outputs(low: Lowering) -> None:
    """What comes out in inference, each in a region of its own: as it is, or through its link."""
    linked = low.purpose.linked and low.net.loss is not None
    for name, source in low.graph.outputs.items():
        x, loss = low.at[source], low.net.losses[name] if linked else None
        y = low.table.outputs[name] = Buffer(f"out/{name}", x.shape, region=f"output {name}")
        low.node(name)
        n = x.size
        if loss is None or type(loss).link is Loss.link:
            low.emit("copy", {"y": y, "x": x}, width=n, y_width=n, y_start=0, x_width=n,
                     x_start=0, accumulate=0)  # fmt: skip
        elif type(loss) is CrossEntropy:
            low.emit("softmax", {"y": y, "x": x}, K=x.shape[-1], inner=1)
        elif type(loss) is BinaryCrossEntropy:
            low.emit("map", {"y": y, "x": x}, kind=MAPS.index("sigmoid"), a=0, b=0)
        else:
            low.call(_called_link(loss, y, x), y, x)


def _called_link(loss: Loss, y: Buffer, x: Buffer) -> Any:
    def run(view: View, _: Moment) -> float:
        view(y)[...] = loss.link(view(x))
        return 0.0

    return run
