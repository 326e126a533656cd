"""The update as instructions: penalty, clipping and the optimizer, stretch by stretch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pellucid.engine.lowering.base import Array, Call, View
from pellucid.engine.lowering.recorded import recorded_average, recorded_update
from pellucid.engine.opcodes import REGIONS, Buffer, Moment
from pellucid.optimizers import LBFGS, SGD, Adam, AdamW, Optimizer, Run, joined
from pellucid.penalties import L1, L2

if TYPE_CHECKING:
    from pellucid.engine.lowering.base import Lowering
    from pellucid.network.network import Network

Places = dict[str, Buffer | None]


def updated(net: Network, gradients: Array, t: int) -> None:
    """The update in Python: the penalty's gradient is added, then the optimizer steps."""
    assert net.optimizer is not None
    theta, runs, penalty = net.parameters.vector, net.stretches(), net.penalty
    for run in runs:
        if run.decay and penalty is not None:
            piece = slice(run.start, run.stop)
            gradients[piece] += penalty.gradient(theta[piece])
    net.optimizer.apply(theta, gradients, net.slots, t, runs)


def _finished(low: Lowering) -> Call:
    """What comes after the step: weights kept short, and averaged."""

    def run(_: View, at: Moment) -> float:
        net = low.net
        assert net.optimizer is not None
        net.optimizer.finish(net.parameters.vector, net.slots, at.t, net.stretches())
        return 0.0

    return run


def _called(low: Lowering) -> Call:
    def run(_: View, at: Moment) -> float:
        updated(low.net, low.gradients.vector, at.t)
        return 0.0

    return run


def lower_update(low: Lowering) -> None:
    """Penalty, clipping and the optimizer's step; a call where one of them is Python's own."""
    net, emit = low.net, low.emit
    optimizer, penalty = net.optimizer, net.penalty
    assert optimizer is not None
    if isinstance(optimizer, LBFGS):  # makes its updates itself, and refuses a single one in words
        low.call(_called(low))
        return
    own = type(optimizer) in (SGD, Adam, AdamW) and not getattr(optimizer, "amsgrad", False)
    tagged = net.stretches()
    runs = joined(tagged, optimizer.weight_decay > 0)
    decays = {run.decay: optimizer.weight_decay if run.decay else 0.0 for run in runs}
    formulas = {d: None if own else recorded_update(low, optimizer, x) for d, x in decays.items()}
    known = own or None not in formulas.values()
    if len(net.slots) > sum(name.startswith("slot") for name in REGIONS):
        known, low.table.why[f"{optimizer!r}"] = False, "it keeps more vectors than a program has"
    if not known or type(penalty) not in (type(None), L1, L2):
        low.table.called.append(f"the penalty {penalty!r}" if known else f"{optimizer!r}")
        low.call(_called(low))
        return
    size = net.dtype.itemsize

    def at(region: str, run: Run) -> Buffer:
        name = f"{region}[{run.start}:{run.stop}]"
        return Buffer(name, (run.stop - run.start,), False, region, run.start * size)

    if isinstance(penalty, L1 | L2):
        rates = {"l1": 0.0, "l2": 0.0} | {type(penalty).__name__.lower(): penalty.rate}
        for run in tagged:
            if run.decay:
                emit("penalize", {"g": at("gradient", run), "theta": at("theta", run)}, **rates)
    if optimizer.clip_value is not None:
        for run in tagged:
            emit("clamp", {"g": at("gradient", run)}, limit=optimizer.clip_value)
    if optimizer.clip_norm is not None:
        total = Buffer("norm", (2,), batch=False, double=True)
        for number, run in enumerate(tagged):
            emit("square_sum", {"total": total, "g": at("gradient", run)}, start=number == 0)
        for run in tagged:
            emit("shrink", {"g": at("gradient", run), "total": total}, limit=optimizer.clip_norm)
    for run in runs:
        places: Places = {"theta": at("theta", run), "g": at("gradient", run)}
        slots: Places = {
            key: at(f"slot{number}", run) for number, key in enumerate(net.slots)
        }  # fmt: skip
        formula = formulas[run.decay]
        if formula is not None:
            low.formula(formula, places | slots)
        else:
            op, numbers = _step(optimizer, decays[run.decay])
            emit(op, places | slots, **numbers)
    averaging = None if optimizer.max_norm else recorded_average(low, optimizer)
    if averaging is not None:
        numbered = list(net.slots)
        for run in joined(tagged, False):
            slots = {key: at(f"slot{numbered.index(key)}", run) for key in ("average", "samples")}
            low.formula(averaging, {"theta": at("theta", run), **slots})
    elif optimizer.max_norm is not None or optimizer.average is not None:
        low.call(_finished(low))


def _step(optimizer: Optimizer, decay: float) -> tuple[str, dict[str, float]]:
    """An optimizer's opcode and numbers."""
    if isinstance(optimizer, SGD):
        return "sgd", {
            "momentum": optimizer.momentum, "nesterov": optimizer.nesterov, "decay": decay
        }  # fmt: skip
    assert isinstance(optimizer, Adam | AdamW)
    return "adam", {
        "beta_1": optimizer.beta_1, "beta_2": optimizer.beta_2, "epsilon": optimizer.epsilon,
        "decay": decay, "decoupled": isinstance(optimizer, AdamW),
    }  # fmt: skip
