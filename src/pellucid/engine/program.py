"""A lowered network: the program that the compiled engine and its NumPy twin have in common.

`TableProgram` keeps a table for training and others for inference, made for the shapes of the data
that come in, and does step by step what the compiled engine also does for whole epochs in one call:
the same instructions on the same memory, and so the same bits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pellucid.engine.base import Arrays, Batch
from pellucid.engine.executor import Executor
from pellucid.engine.formulas import changed
from pellucid.engine.lowering import Kind, Lowering, Purpose
from pellucid.engine.numpy import NumpyProgram
from pellucid.engine.opcodes import Moment
from pellucid.layers.base import Cache, Views
from pellucid.losses.functions import FunctionLoss
from pellucid.network.graph import Source

if TYPE_CHECKING:
    from pellucid.metrics import Metric
    from pellucid.network.network import Network

Array = NDArray[Any]
Key = tuple[Any, ...]  # what a table was made for
_BLOCK = 2**20  # bytes of a batch's arrays in inference, so that they stay in the cache


class TableProgram(NumpyProgram):
    """A network lowered to a table, executed by the NumPy twins of its opcodes."""

    engine = "twins"
    executor_class: type[Executor] = Executor

    def __init__(
        self, net: Network, metrics: Sequence[tuple[str, Metric]] = (), *,
        input_gradients: bool = False, taps: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(net, metrics, input_gradients=input_gradients, taps=taps)
        operations = {op.name: op for op in self._operations}
        self._feeding = {
            Source(i, k)
            for i, node in enumerate(net.graph.nodes)
            for k in range(len(node.outputs))
            if (input_gradients if node.layer is None else operations[node.name].wanted)
        }
        self._moment = Moment(0)
        self._key: Key = ()
        self._idle: dict[Key, list[Executor]] = {}  # for inference: one a thread
        self._shapes = {name: spec.shape for name, spec in net.graph.inputs.items()}
        self._kinds: dict[str, Kind] = {}
        self._training: Executor | None = None

    # ---- tables ---------------------------------------------------------------------------------

    @property
    def training(self) -> Executor:
        """The table of a training step, in memory."""
        made = self._training
        if made is None or made.slots is not self.net.slots or changed(made.table.reads):
            made = self._training = self._executor(self._shapes, self._kinds, Purpose())
        return made

    def expect(self, inputs: Mapping[str, Array], targets: Mapping[str, Array], rows: int) -> None:
        """Lowers anew where rows have other shapes than before, and makes room for so many."""
        shapes = {name: a.shape[1:] for name, a in inputs.items()}
        kinds = {name: kind_of(y) for name, y in targets.items()}
        if shapes != self._shapes or (kinds and kinds != self._kinds):
            self._shapes, self._kinds, self._training = shapes, kinds or self._kinds, None
        for name, loss in self.net.losses.items():
            if isinstance(loss, FunctionLoss) and not type(loss).checked and name in targets:
                few = slice(min(rows, 8))
                outputs = self.infer({key: np.asarray(a[few]) for key, a in inputs.items()})
                loss.check(np.asarray(targets[name][few]), outputs[name])
        self.training.reserve(max(rows, 1))

    def _executor(
        self, shapes: Mapping[str, Any], kinds: Mapping[str, Kind], purpose: Purpose
    ) -> Executor:
        """A table for a purpose, in memory of its own."""
        lowering = Lowering(
            self.net, shapes=shapes, kinds=kinds, purpose=purpose, wanted=self._feeding,
            fuse=not self._taps or not purpose.training, pending=self.pending,
            gradients=self.gradients, metrics=self.metrics,
        )  # fmt: skip
        return self.executor_class(
            self.net, lowering.run(), self.gradients, self.pending,
            reuse=not self._taps or not purpose.training,
        )  # fmt: skip

    # ---- inference ------------------------------------------------------------------------------

    def infer(self, inputs: Arrays, keep: Sequence[str] | None = None) -> Arrays:
        if keep is not None:
            return super().infer(inputs, keep)
        return self._inferred(inputs, Purpose(training=False, losses=False))

    def predict(self, inputs: Arrays) -> Arrays:
        """What the outputs mean, by name: through the links of their losses."""
        return self._inferred(inputs, Purpose(training=False, losses=False, linked=True))

    def _inferred(self, inputs: Arrays, purpose: Purpose) -> Arrays:
        rows = len(next(iter(inputs.values())))
        shapes = {name: a.shape[1:] for name, a in inputs.items()}
        key = (purpose.linked, *shapes.items())
        idle = self._idle.setdefault(key, [])
        executor = idle.pop() if idle else None
        if executor is None or changed(executor.table.reads):
            executor = self._executor(shapes, {}, purpose)
        executor.reserve(min(max(rows, 1), block_of(executor)))
        check_indices(executor, inputs)
        try:
            return executor.infer(inputs, rows)
        finally:
            idle.append(executor)

    def measuring(self, inputs: Mapping[str, Array], targets: Mapping[str, Array]) -> Executor:
        """The table that computes losses and metrics in inference, in memory."""
        shapes = {name: a.shape[1:] for name, a in inputs.items()}
        kinds = {name: kind_of(y) for name, y in targets.items()}
        executor = self._executor(shapes, kinds, Purpose(training=False))
        executor.reserve(block_of(executor))
        return executor

    # ---- the phases -----------------------------------------------------------------------------

    def forward(self, batch: Batch, part: int = 0, *, training: bool = True) -> Arrays:
        if not training:
            return super().forward(batch, part, training=False)
        self.expect(batch.inputs, batch.targets, batch.rows)
        executor, rows = self.training, batch.rows
        check_indices(executor, batch.inputs)
        check_rows(executor, rows)
        executor.fill(executor.table.inputs, batch.inputs, rows)
        if batch.targets:
            executor.fill(executor.table.targets, batch.targets, rows)
        if batch.weight is not None:
            executor.view(executor.table.weight, rows)[...] = batch.weight
        self._batch = batch
        self._moment = Moment(
            rows, batch.weight is not None, self.net.updates, part, self.net.updates + 1,
            batch.total,
        )  # fmt: skip
        executor.execute("forward", self._moment)
        outputs = executor.table.outputs.items()
        return {name: executor.view(buffer, rows).copy() for name, buffer in outputs}

    def loss(self) -> float:
        batch = self._current()
        values = self.training.execute("loss", self._moment)
        self._sums = dict(zip(self.net.losses, values, strict=True))
        if self.training.table.guarded and not np.isfinite(values).all():
            self._say_why(batch)
        return sum(values) / batch.total if batch.total else 0.0

    def _say_why(self, batch: Batch) -> None:
        """Lets the losses' Python look at outputs that gave NaN: it may have an error to say."""
        executor = self.training
        for name, loss in self.net.losses.items():
            p = executor.view(executor.table.outputs[name], batch.rows)
            loss.forward(batch.targets[name], p, Cache())

    def backward(self) -> Arrays:
        batch, executor = self._current(), self.training
        executor.execute("backward", self._moment)
        slopes = executor.table.input_slopes.items()
        return {name: executor.view(buffer, batch.rows).copy() for name, buffer in slopes}

    def update(self) -> None:
        net = self.net
        if net.optimizer is None:
            super().update()  # says what is missing
            return
        self.training.reserve(max(self._moment.rows, 1))
        rate, t = net.optimizer.rate(net.updates), net.updates + 1
        numbers = tuple(net.optimizer.numbers(rate, t))
        at = self._moment._replace(rate=rate, t=t, numbers=numbers)
        with np.errstate(all="ignore"):
            self.training.execute("update", at)
        if self.pending.vector.size:
            net.state.vector[...] = self.pending.vector
        net.updates += 1

    def _measured(self, outputs: Arrays) -> list[Array]:
        table = self.training.table
        table.measured.clear()
        sums = self.training.execute("metrics", self._moment)
        called = {number: totals for _, _, number, totals in table.measured}
        table.measured.clear()
        return self._by_metric(sums, called)

    def _by_metric(self, sums: Sequence[float], called: Mapping[int, Array]) -> list[Array]:
        """Each metric's totals: two sums of its instruction, or what Python has given."""
        rest = iter(sums)
        return [
            called[number] if number in called else np.array([next(rest), next(rest)])
            for number in range(len(self.metrics))
        ]

    # ---- looking inside -------------------------------------------------------------------------

    def tensors(self, names: Sequence[str] | None) -> Arrays:
        rows, table = self._moment.rows, self.training.table
        found: dict[str, Any] = {}
        for name, buffer in table.values.items():
            found[name] = self.training.view(buffer, rows)
        for name, buffer in table.slopes.items():
            found[f"d/{name}"] = self.training.view(buffer, rows)
        return self._chosen(found, names)

    def __str__(self) -> str:
        """Every instruction of a training step; see `Executor`."""
        return str(self.training)

    def explain(self) -> list[tuple[str, str, str]]:
        table = self.training.table
        kinds = {i.node: i.op for i in table.forward}
        nodes = {op.name: op.layer for op in self._operations}
        lines = [self._explained(name, kinds.get(name, "")) for name in nodes]
        ends = [what for what in table.called if what.split(" ")[0] not in nodes]
        lines += [self._explained(what, "call") for what in ends]
        losses = {f"the loss {loss!r}" for loss in self.net.losses.values()}
        for code, what in ((table.loss, losses), (table.update, {f"{self.net.optimizer!r}"})):
            if any(i.op == "formula" for i in code):
                lines += [self._explained(end, "formula") for end in sorted(what - {*ends})]
        return lines

    def _explained(self, what: str, op: str) -> tuple[str, str, str]:
        """What runs something, and why."""
        if op == "call":
            reason = self.training.table.why.get(what, "there are no instructions for it")
            return what, "python", f"called: {reason}"
        recorded = op == "formula"
        return what, self.engine, "recorded from its Python" if recorded else "instructions"


def kind_of(targets: Array) -> Kind:
    """What some targets look like."""
    return Kind(targets.shape[1:], targets.dtype.kind in "iub")


def block_of(executor: Executor) -> int:
    """Rows that go through inference together."""
    buffers = {b.root for i in executor.table.forward for b in i.all_buffers() if b.batch}
    row = sum(buffer.size for buffer in buffers) * executor.net.dtype.itemsize
    return int(min(max(_BLOCK // max(row, 1), 32), 1024))


def check_indices(executor: Executor, inputs: Mapping[str, Array]) -> None:
    """Refuses indices outside an embedding's table, in the layer's own words."""
    for name, (length, layer) in executor.table.looks_up.items():
        x = inputs[name]
        if x.size and (x.min() < 0 or x.max() >= length):
            layer.forward(np.asarray(x), Views({}), Cache())


def check_rows(executor: Executor, rows: int) -> None:
    """Refuses batches too short for a layer, in its own words."""
    for least, layer, shape in executor.table.needs.values():
        if 0 < rows < least:
            layer.forward(np.zeros((rows, *shape)), Views({}), Cache(training=True))
