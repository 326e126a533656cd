"""Layers, losses and optimizers recorded: each run once on arrays that record, then checked.

What was recorded is replayed on random numbers of both signs, zeros and large ones beside the
Python code itself, and has to give its very bits; where sums are in it, whose order may be another,
its numbers. Anything else is `Untraceable`, and the part stays a call.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import lru_cache
from threading import RLock
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pellucid.engine.formulas.compiling import Output, compile_formula
from pellucid.engine.formulas.formula import Formula
from pellucid.engine.formulas.nodes import Node, Recording, Shape, Untraceable
from pellucid.engine.formulas.numbers import Count, Number
from pellucid.engine.formulas.restated import restated
from pellucid.engine.formulas.samples import ROWS, compare, run_twin, sample
from pellucid.engine.formulas.traced import Traced
from pellucid.engine.formulas.watching import Read, ours, reads_of
from pellucid.engine.opcodes.base import Moment
from pellucid.layers import Activation, Layer, LogSoftmax
from pellucid.layers.base import Cache, Views
from pellucid.losses import NLL, ClassLoss, CrossEntropy, Loss
from pellucid.losses.functions import FunctionLoss
from pellucid.optimizers import Average, Optimizer

Array = NDArray[Any]
_making = RLock()  # a recording may be shared by threads, and grows while a formula is made of it
_PRIMES = (1009, 1013, 1019, 1021, 1031, 1033, 1039, 1049)
Reads = tuple[Read, ...]


class Recorded(NamedTuple):
    """What was recorded: expressions by name, for rows of a shape; what the code has read."""

    recording: Recording
    nodes: dict[str, Node]
    batch: int
    row: Shape
    reads: Reads
    groups: int = 0


def _batch(*shapes: Shape) -> int:
    """A number of rows that cannot be taken for another length."""
    lengths = [n for shape in shapes for n in shape]
    found = [p for p in _PRIMES if all(n % p for n in lengths)]
    if not found or any(n <= 0 for n in lengths):
        raise Untraceable("its arrays have strange shapes")
    return found[0]


def _running(what: Callable[[], Any]) -> Any:
    """Runs Python code that was not made for this; whatever goes wrong, it is not recorded."""
    try:
        with np.errstate(all="ignore"):
            return what()
    except Untraceable:
        raise
    except Exception as error:
        raise Untraceable(f"{type(error).__name__}: {error}") from None


def _traced(value: Any, shape: Shape, what: str) -> Node:
    """The expression of a result, which must be an array of this shape."""
    if not isinstance(value, Traced) or value.shape != shape:
        raise Untraceable(f"its {what} is not made of the arrays that it was given")
    return value._node


class _Inputs:
    """Arrays that record, and a look at whether anybody wrote into them."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.made: dict[str, tuple[Traced, Node]] = {}

    def new(self, name: str, shape: Shape) -> Any:
        node = self.recording.input(name, shape)
        array = Traced(self.recording, node)
        self.made[name] = array, node
        return array

    def untouched(self, *names: str) -> None:
        """Raises where an array that was only to be read has been written."""
        if any(self.made[name][0]._node is not self.made[name][1] for name in names):
            raise Untraceable("it writes into what it is given to read")


# ------------------------------------------------------------------------------------------ layers


def record_layer(
    layer: Layer, row: Shape, shapes: tuple[tuple[str, Shape], ...], dtype: np.dtype[Any], *,
    training: bool, feeds: bool,
) -> Recorded:  # fmt: skip
    """A layer's forward pass (``y``) and backward pass (``dx``, and ``dalpha`` of "alpha").

    `row` is the shape of a row, `shapes` those of its parameters. An `Activation`'s rows may be of
    any shape afterwards.
    """
    if isinstance(layer, Activation):
        row = (3,)
    record = _record_layer if ours(type(layer)) else _record_layer.__wrapped__
    return record(layer, row, shapes, np.dtype(dtype), training, feeds)


@lru_cache(maxsize=256)
def _record_layer(
    layer: Layer, row: Shape, shapes: tuple[tuple[str, Shape], ...], dtype: np.dtype[Any],
    training: bool, feeds: bool,
) -> Recorded:  # fmt: skip
    reads = () if ours(type(layer)) else reads_of(layer)
    batch = _batch(row, *[shape for _, shape in shapes])
    # finite scores need less; what is done for the others is right for all
    recording = Recording(dtype, denied="all" if type(layer) is LogSoftmax else "")
    inputs = _Inputs(recording)
    x = inputs.new("x", (batch, *row))
    p = Views({name: inputs.new(name, shape) for name, shape in shapes})
    dp = Views({name: inputs.new(f"d{name}", shape) for name, shape in shapes})
    cache = Cache(training=training, needs_dx=feeds)
    told, groups = restated(layer, row)
    y = _running(lambda: told.forward(x, p, cache))
    nodes = {"y": _traced(y, (batch, *row), "output")}
    inputs.untouched("x", *[name for name, _ in shapes])
    if training:
        dy = inputs.new("dy", (batch, *row))
        y_now = y._node
        dx = _running(lambda: told.backward(dy, p, dp, cache))
        inputs.untouched("x", "dy", *[name for name, _ in shapes])
        if y._node is not y_now:
            raise Untraceable("it writes into what it gave out")
        if dx is not None:
            nodes["dx"] = _traced(dx, (batch, *row), "gradient")
        nodes |= {f"d{name}": getattr(dp, name)._node for name, _ in shapes}
    recorded = Recorded(recording, nodes, batch, row, reads, groups)
    _check_layer(layer, recorded, shapes, training, feeds)
    return recorded


def layer_formulas(recorded: Recorded, *, added: bool = False) -> tuple[Formula, Formula | None]:
    """The formulas forward and backward; `added` has dx added to what is there."""
    return _once(recorded, added, lambda: _layer_formulas(recorded, added))  # type: ignore[no-any-return]


def _once(recorded: Recorded, purpose: Any, make: Callable[[], Any]) -> Any:
    """What has been made of a recording for some purpose, made the first time."""
    made = recorded.recording.made
    with _making:
        if purpose not in made:
            made[purpose] = make()
    return made[purpose]


def _layer_formulas(recorded: Recorded, added: bool) -> tuple[Formula, Formula | None]:
    nodes, recording, lengths = recorded.nodes, recorded.recording, (recorded.batch, recorded.row)
    y = nodes["y"]
    groups, outputs = recorded.groups, []
    forward = compile_formula([Output("y", y, "store")], *lengths, groups=groups)
    if "dx" in nodes:
        dx = nodes["dx"]
        if added:
            old = recording.input("dx", dx.shape)
            dx = recording.node("add", (old, dx), dx.shape, recording.dtype)
        outputs.append(Output("dx", dx, "store"))
    for name, node in nodes.items():
        if name not in ("y", "dx") and node.op != "input":
            outputs.append(Output(name, node, "over"))
    if not outputs:
        return forward, None
    leaves = {y.number: "y"} if y.args else {}
    return forward, compile_formula(outputs, *lengths, leaves=leaves, groups=groups)


def _check_layer(
    layer: Layer,
    recorded: Recorded,
    shapes: Sequence[tuple[str, Shape]],
    training: bool,
    feeds: bool,
) -> None:
    """Both formulas beside the layer itself."""
    forward, backward = layer_formulas(recorded)
    if isinstance(layer, Activation) and not (forward.flat and (backward is None or backward.flat)):
        raise Untraceable("it does not take every number by itself")
    dtype, row = recorded.recording.dtype, recorded.row
    x, dy = sample(row, dtype, 0), sample(row, dtype, 1)
    p = {name: sample(shape, dtype, 2, rows=None) for name, shape in shapes}
    dp = {name: np.zeros(shape, dtype) for name, shape in shapes}
    cache = Cache(training=training, needs_dx=feeds)
    y = _running(lambda: layer.forward(x.copy(), Views(p), cache))
    arrays: dict[str, Array] = {"x": x, "y": np.empty_like(x), **p}
    run_twin(forward, arrays)
    compare(recorded.recording, arrays["y"], y)
    if backward is None:
        return
    dx = _running(lambda: layer.backward(dy.copy(), Views(p), Views(dp), cache))
    arrays |= {
        "dy": dy,
        "dx": np.empty_like(x),
        **{f"d{k}": np.zeros_like(v) for k, v in dp.items()},
    }
    run_twin(backward, arrays)
    if dx is not None:
        compare(recorded.recording, arrays["dx"], dx)
    for name, value in dp.items():
        compare(recorded.recording, arrays[f"d{name}"], value)


# ------------------------------------------------------------------------------------------ losses


def record_loss(
    loss: Loss, row: Shape, target: Shape, dtype: np.dtype[Any], *, integer: bool
) -> Recorded:
    """A loss: ``value`` of each row, and ``dp``, its gradient times the row's share."""
    record = _record_loss if ours(type(loss)) else _record_loss.__wrapped__
    return record(loss, row, target, np.dtype(dtype), integer)


def _phases(loss: Loss) -> tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]:
    """Its value and its gradient, as functions of targets and outputs.

    Class numbers become rows of 0 and 1, which the losses of classes take too.
    """
    if type(loss) in (CrossEntropy, NLL):
        cache = Cache(training=True)
        return lambda y, p: loss.forward(_in_rows(y, p), p, cache), lambda *_: loss.backward(cache)
    if isinstance(loss, FunctionLoss):
        value, gradient, _ = type(loss).functions
        return value, gradient
    cache = Cache(training=True)
    return lambda y, p: loss.forward(y, p, cache), lambda *_: loss.backward(cache)


def _in_rows(y: Any, p: Any) -> Any:
    return y if y.ndim == p.ndim else (y[..., None] == np.arange(p.shape[-1])).astype(p.dtype)


@lru_cache(maxsize=256)
def _record_loss(
    loss: Loss, row: Shape, target: Shape, dtype: np.dtype[Any], integer: bool
) -> Recorded:
    value, gradient = _phases(loss)
    if isinstance(loss, ClassLoss) and loss.ignore_index is not None and len(row) > 1:
        raise Untraceable("some of its places may be without a target")
    if isinstance(loss, FunctionLoss):
        reads = (*reads_of(value), *reads_of(gradient))
    else:
        reads = () if ours(type(loss)) else reads_of(loss)
    batch = _batch(row, target)
    # This library's losses ask whether any output is outside their domain, and raise; the value is
    # NaN there, and Python is asked for the error.
    recording = Recording(dtype, denied="any" if ours(type(loss)) else "")
    inputs = _Inputs(recording)
    p, y = inputs.new("p", (batch, *row)), inputs.new("y", (batch, *target))
    values = _traced(_running(lambda: value(y, p)), (batch,), "value")
    slope = _traced(_running(lambda: gradient(y, p)), (batch, *row), "gradient")
    inputs.untouched("p", "y")
    times = recording.node("times", (), slope.shape if slope.count > 1 else (batch, *row), dtype)
    dp = recording.node("multiply", (slope, times), (batch, *row), dtype)
    recorded = Recorded(recording, {"value": values, "dp": dp}, batch, row, reads)
    _check_loss(loss, recorded, target, integer)
    return recorded


def loss_formula(recorded: Recorded, *, training: bool, integer: bool) -> Formula:
    """The formula: its sum, and its gradient in training, for targets that are integers or not."""
    outputs = [Output("dp", recorded.nodes["dp"], "store")] if training else []
    outputs.append(Output("l", recorded.nodes["value"], "total"))
    integers, never = ("y",) if integer else (), recorded.recording.never
    made: Formula = _once(recorded, training, lambda: compile_formula(
        outputs, recorded.batch, recorded.row, integers=integers, never=never))  # fmt: skip
    return made


def _check_loss(loss: Loss, recorded: Recorded, target: Shape, integer: bool) -> None:
    formula = loss_formula(recorded, training=True, integer=integer)
    dtype = recorded.recording.dtype
    value, gradient = _phases(loss)
    weight = np.linspace(0.5, 2, ROWS).astype(dtype)
    for trial in range(3):
        p = _allowed(recorded, sample(recorded.row, dtype, 3 + trial, wild=trial > 1))
        y = sample(target, dtype, 6 + trial, wild=trial > 1)
        if trial == 1 or integer:
            y = (y > 0).astype(dtype)
        if integer and len(target) < len(recorded.row):
            y = (np.abs(sample(target, dtype, 6)) // 0.7 % recorded.row[-1]).astype(dtype)
        y = y.astype(np.int64) if integer else y
        given = y.copy()
        values = _running(lambda: value(given, p.copy()))  # noqa: B023
        slope = _running(lambda: gradient(given, p.copy()))  # noqa: B023
        arrays = {"p": p, "y": y, "dp": np.empty_like(p), "weight": weight}
        total = run_twin(formula, arrays, weighted=True)
        share = (weight * dtype.type(1 / ROWS)).reshape(-1, *[1] * (p.ndim - 1))
        wanted = float((np.asarray(values, np.float64) * weight).sum())
        size = float((np.abs(np.asarray(values, np.float64)) * weight).sum())
        if not abs(wanted - total) <= 64 * np.finfo(dtype).eps * size and np.isfinite(wanted):
            raise Untraceable("its formula gives another value")
        compare(recorded.recording, arrays["dp"], slope * share, mixed=True)


def _allowed(recorded: Recorded, p: Array) -> Array:
    """Outputs that a loss takes: below 0, or above, if it asks for anything."""
    if not recorded.recording.never:
        return p
    op, (first, second) = recorded.recording.never[0].op, recorded.recording.never[0].args
    below = op == "less" and first.op == "constant" and second.value == "p"  # never c < p
    return -np.abs(p) if below else np.abs(p)


# -------------------------------------------------------------------------------------- optimizers


def record_update(optimizer: Optimizer, decay: float, dtype: np.dtype[Any]) -> Recorded:
    """An optimizer's update: what becomes of ``theta`` and of the slots."""
    record = _record_update if ours(type(optimizer)) else _record_update.__wrapped__
    return record(optimizer, decay, np.dtype(dtype))


@lru_cache(maxsize=64)
def _record_update(optimizer: Optimizer, decay: float, dtype: np.dtype[Any]) -> Recorded:
    reads = () if ours(type(optimizer)) else reads_of(optimizer)
    batch = _batch()
    recording = Recording(dtype)
    inputs = _Inputs(recording)
    theta, g = inputs.new("theta", (batch,)), inputs.new("g", (batch,))
    slots = SimpleNamespace(**{n: inputs.new(n, (batch,)) for n in optimizer.own_slots()})
    count = 1 + len(optimizer.numbers(1e-3, 1))
    rate: Any
    rate, *numbers = (
        Number(recording, recording.node("number", (), (), np.float64, value=k, scalar=True))
        for k in range(count)
    )
    recorder = copy.copy(optimizer)
    object.__setattr__(recorder, "numbers", lambda *_: tuple(numbers))
    t: Any = Count()
    _running(lambda: recorder.update(theta, g, slots, rate, t, decay))
    inputs.untouched("g")
    nodes = {n: array._node for n, (array, old) in inputs.made.items() if array._node is not old}
    recorded = Recorded(recording, nodes, batch, (), reads)
    _check_update(optimizer, recorded, decay, count)
    return recorded


def update_formula(recorded: Recorded, numbers: int) -> Formula:
    """The formula of an update, in place."""
    outputs = [Output(name, node, "store") for name, node in recorded.nodes.items()]
    made: Formula = _once(
        recorded, numbers, lambda: compile_formula(outputs, recorded.batch, (), numbers=numbers)
    )
    return made


def _check_update(optimizer: Optimizer, recorded: Recorded, decay: float, count: int) -> None:
    formula, dtype = update_formula(recorded, count), recorded.recording.dtype
    for trial, (rate, t) in enumerate([(1e-2, 1), (0.3, 2), (1e-3, 9), (1e-3, 1000)]):
        arrays = {
            name: np.abs(a) if name not in ("theta", "g") and trial % 2 else a
            for k, name in enumerate(n.value for n in recorded.recording.nodes if n.op == "input")
            for a in [sample((), dtype, 16 + 8 * trial + k, rows=40)]
        }
        theta, g, *slots = (a.copy() for a in arrays.values())
        names = optimizer.own_slots()
        held = SimpleNamespace(**dict(zip(names, slots, strict=True)))
        _running(lambda: optimizer.update(theta, g, held, rate, t, decay))  # noqa: B023
        at = Moment(0, rate=rate, numbers=tuple(optimizer.numbers(rate, t)))
        run_twin(formula, arrays, at)
        for name, real in zip(arrays, (theta, g, *slots), strict=True):
            compare(recorded.recording, arrays[name], real)


def record_average(average: Average, dtype: np.dtype[Any]) -> Recorded:
    """The averaging of weights that follows an update."""
    batch, recording = _batch(), Recording(np.dtype(dtype))
    inputs = _Inputs(recording)
    theta, mean, samples = (inputs.new(n, (batch,)) for n in ("theta", "average", "samples"))
    _running(lambda: average.add(theta, mean, samples))
    inputs.untouched("theta")
    nodes = {n: array._node for n, (array, old) in inputs.made.items() if array._node is not old}
    return Recorded(recording, nodes, batch, (), () if ours(type(average)) else reads_of(average))
