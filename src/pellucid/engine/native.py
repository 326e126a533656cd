"""The native engine: the table of a program, run by the compiled core.

Whole epochs run in C++ in one call, with other Python threads running meanwhile; at a call the core
asks Python and goes on. What cannot be handed over whole — batches from a generator, an observer of
phases — is done step by step, with the same kernels and so with the same bits.
"""

from __future__ import annotations

import os
import warnings
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.engine.base import Arrays, Batches, RowBatches, RunResult, Tally, weight_of
from pellucid.engine.executor import PHASES, Executor
from pellucid.engine.lowering import Purpose
from pellucid.engine.opcodes import OPCODES, Buffer, Instruction, Moment
from pellucid.engine.program import TableProgram, block_of, check_indices
from pellucid.errors import EngineError, EngineWarning
from pellucid.events import Phase
from pellucid.optimizers import Optimizer

Array = NDArray[Any]
_SECONDS = 0.05  # how long the core runs before Python may answer Ctrl-C
_MANY = 4096  # updates of one call at most
_DIVERGED = ("", "loss", "gradient")
_OPERANDS, _NUMBERS = 8, 17  # of an instruction, in opcode.hpp

try:
    from pellucid import _core
except ImportError:  # not compiled: the NumPy engine does everything
    _core = None  # type: ignore[assignment]


def missing() -> str:
    """Why the compiled core cannot be used; empty where it can."""
    if os.environ.get("PELLUCID_NATIVE") == "0":
        return "PELLUCID_NATIVE=0 in the environment asks for the NumPy engine"
    if _core is None or not hasattr(_core, "Program32"):
        return "this installation has no compiled core (pip install with a C++20 compiler makes it)"
    return ""


class CoreExecutor(Executor):
    """A table executed by the compiled core."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        wide = self.net.dtype == np.float64
        self.core = _core.Program64() if wide else _core.Program32()
        self.sources: object = None  # the arrays that it gathers from
        self._raised: BaseException | None = None
        metrics = self.table.metrics
        self.numbers = max([1, *(formula.numbers for formula in self.table.formulas)])
        self._sums = {"loss": _sums(self.table.loss), "metrics": _sums(metrics)}
        self.counted = [k for k, i in enumerate(metrics) if i.op != "call"]  # by instructions

    def placed(self) -> None:
        self.load(None)

    def load(self, batches: RowBatches | None) -> None:
        """Hands the core the table, the memory, and the arrays to gather from."""
        code = [self._encoded(getattr(self.table, phase)) for phase in PHASES]
        regions = [self.regions[name] for name in self.names]
        sources = [] if batches is None else self.sources_of(batches.inputs, batches.targets)
        weight = self.names.index(self.table.weight.region)
        call = _through(weakref.ref(self)) if self.table.calls else None
        formulas = [formula.encoded() for formula in self.table.formulas]
        self.core.load(code, regions, self.rows, sources, weight, self.table.unwritten, call,
                       formulas, self.numbers)  # fmt: skip
        self.sources = batches

    def sources_of(
        self, inputs: Mapping[str, Array], targets: Mapping[str, Array]
    ) -> list[tuple[Array, int, bool]]:
        """What the core gathers from: arrays, their regions, and whether they are indices."""
        table = self.table
        pairs = [(inputs[name], buffer) for name, buffer in table.inputs.items()]
        pairs += [(targets[name], buffer) for name, buffer in table.targets.items() if targets]
        return [(_plain(a), self.names.index(b.region), b.integer) for a, b in pairs]

    def execute(self, phase: str, at: Moment) -> list[float]:
        count = self._sums.get(phase, 0)
        sums = np.zeros(count)
        numbers = np.zeros(self.numbers)
        given = (at.rate, *at.numbers)[: self.numbers]
        numbers[: len(given)] = given
        self.core.execute(
            PHASES.index(phase), at.rows, at.weighted, at.step, at.part, at.t, at.total, numbers,
            sums,
        )  # fmt: skip
        self.raise_again()
        values: list[float] = sums.tolist()
        return values

    def answer(self, index: int, *moment: Any) -> float | None:
        """What the core calls; None where it failed, and the error is kept."""
        try:
            with np.errstate(all="ignore"):
                return float(self.call(index, Moment(*moment)))
        except BaseException as error:  # the core is to stop in any case
            self._raised = error
            return None

    def raise_again(self) -> None:
        """Raises what a call has raised while the core ran."""
        if self._raised is not None:
            error, self._raised = self._raised, None
            raise error

    def infer(self, arrays: Mapping[str, Array], rows: int) -> dict[str, Array]:
        dtype, table = self.net.dtype, self.table
        found = {name: np.empty((rows, *b.shape), dtype) for name, b in table.outputs.items()}
        if self.table.calls or not all(_readable(a) for a in arrays.values()):
            return super().infer(arrays, rows)
        self.core.infer(self.sources_of(arrays, {}), list(found.values()), rows, None, None)
        self.raise_again()
        return found

    def _encoded(self, code: Sequence[Instruction]) -> tuple[Array, Array]:
        """A phase as the core reads it: a row of integers and one of numbers an instruction."""
        whole = np.zeros((len(code), 1 + 4 * _OPERANDS + _NUMBERS), np.int64)
        real = np.zeros((len(code), _NUMBERS))
        for row, instruction in enumerate(code):
            entry = OPCODES[instruction.op]
            whole[row, 0] = entry.number
            operands = instruction.operands()
            for k in range(_OPERANDS):
                place = self.place(operands[k] if k < len(operands) else None)
                whole[row, 1 + 4 * k : 5 + 4 * k] = place
            for k, key in enumerate(entry.numbers):
                value = instruction.numbers[key]
                real[row, k] = value
                if value == int(value):
                    bits = np.uint64(int(value) % 2**64)
                    whole[row, 1 + 4 * _OPERANDS + k] = bits.astype(np.int64)
        return whole, real

    def place(self, buffer: Buffer | None) -> list[int]:
        """A buffer as the core knows it: region, offset, elements, whether it has rows."""
        if buffer is None:
            return [-1, 0, 0, 0]
        root = buffer.root
        return [self.names.index(root.region), root.offset, buffer.size, int(buffer.batch)]


class NativeProgram(TableProgram):
    """A network lowered to a table, executed by the compiled core."""

    engine = "native"
    executor_class = CoreExecutor

    def __init__(self, *args: Any, **options: Any) -> None:
        if missing():
            raise EngineError(missing())
        super().__init__(*args, **options)
        self._quick: tuple[Any, tuple[int, ...], tuple[int, ...]] | None = None

    def run(
        self, batches: Batches, start: int, count: int, tally: Tally, stop: Array,
        on_phase: Callable[[Phase], None] | None = None,
    ) -> RunResult:  # fmt: skip
        whole: RowBatches | None = getattr(batches, "whole", None)
        cuts = np.zeros(0) if whole is None else np.diff(whole.cuts)
        if on_phase is not None or whole is None or not len(cuts) or not _gatherable(whole):
            return super().run(batches, start, count, tally, stop, on_phase)
        self.expect(whole.inputs, whole.targets, int(cuts.max()))
        executor = self.training
        assert isinstance(executor, CoreExecutor)
        if any(cuts.min() < least for least, *_ in executor.table.needs.values()):
            return super().run(batches, start, count, tally, stop, on_phase)  # which says so
        if getattr(executor.sources, "inputs", None) is not whole.inputs:
            check_indices(executor, whole.inputs)
            executor.load(whole)
        updates = -(-len(cuts) // whole.accumulate)
        done, value = 0, 0.0
        while done < count and not stop[0]:
            n = min(count - done, updates - start - done, _MANY)
            if n <= 0:
                return RunResult(done, value, ended=True)
            made, value, diverged = self._core_run(executor, whole, start + done, n, tally, stop)
            done += made
            if diverged == "loss" and executor.table.guarded:  # once more, to hear why
                super().run(batches, start + done, 1, tally, stop, on_phase)
            if diverged:
                return RunResult(done, value, diverged=diverged)
        return RunResult(done, value)

    def _core_run(
        self, executor: CoreExecutor, whole: RowBatches, start: int, count: int, tally: Tally,
        stop: Array,
    ) -> tuple[int, float, str]:  # fmt: skip
        """One call of the core: updates made, the last loss, and what diverged."""
        net, measured = self.net, executor.table.measured
        assert net.optimizer is not None
        before = net.updates
        numbers = net.optimizer.rates(before, count).reshape(count, 1)
        if executor.numbers > 1:
            numbers = numbers_of(net.optimizer, numbers[:, 0], before + 1)
        cuts, shares = whole.part(start, count)
        sums = self._sums_of(executor, tally)  # the core goes on adding to them
        measured.clear()
        done, value, _, diverged = executor.core.run(
            whole.order, cuts, whole.accumulate, count, before, numbers, whole.weight, shares, sums,
            stop, _SECONDS,
        )  # fmt: skip
        net.updates += done
        if done:
            self._tallied(executor, tally, sums, before + done)
        if not diverged and done:
            self._moment = Moment(self._last_rows(whole, start + done - 1))
        executor.raise_again()
        return done, value, _DIVERGED[diverged]

    def quick(self, x: Any) -> Array | None:
        made = self._quick
        if made is None or type(x) is not np.ndarray or x.shape[1:] != made[1]:
            return None
        y = np.empty((len(x), *made[2]), self.net.dtype)
        return y if made[0](x, y) else None

    def predict(self, inputs: Arrays) -> Arrays:
        outputs = super().predict(inputs)
        if self._quick is None and len(inputs) == len(outputs) == 1:
            self._make_quick(next(iter(inputs.values())).shape[1:])
        return outputs

    def _make_quick(self, shape: tuple[int, ...]) -> None:
        """A table for `quick`, where all of it is instructions and the input is of numbers."""
        shapes = dict.fromkeys(self.net.graph.inputs, shape)
        purpose = Purpose(training=False, losses=False, linked=True)
        executor = self._executor(shapes, {}, purpose)
        table = executor.table
        if (
            not table.calls
            and not table.looks_up
            and not table.reads
            and isinstance(executor, CoreExecutor)
        ):
            executor.reserve(block_of(executor))
            (output,) = table.outputs.values()
            self._quick = executor.core.predict, shape, output.shape

    def evaluate(self, batches: Batches, tally: Tally) -> None:
        whole: RowBatches | None = getattr(batches, "whole", None)
        if whole is None or whole.order is not None:
            super().evaluate(batches, tally)
            return
        rows, weight = int(whole.cuts[-1]), whole.weight
        executor = self.measuring(whole.inputs, whole.targets)
        assert isinstance(executor, CoreExecutor)
        check_indices(executor, whole.inputs)
        sums = self._sums_of(executor, tally)
        executor.table.measured.clear()
        step = rows if _gatherable(whole) else executor.rows  # else block by block, made readable
        for start in range(0, rows, max(step, 1)):
            block = slice(start, min(start + step, rows))
            inputs, targets = (
                {name: _native(a[block]) for name, a in arrays.items()}
                for arrays in (whole.inputs, whole.targets)
            )
            part = None if weight is None else weight[block]
            count = block.stop - block.start
            executor.core.infer(executor.sources_of(inputs, targets), [], count, part, sums[1:])
            executor.raise_again()
        if executor.table.guarded and not np.isfinite(sums).all():
            super().evaluate(batches, tally)  # which says why
            return
        sums[0] += weight_of(weight, None, 0, rows)
        self._tallied(executor, tally, sums, 1)

    def _sums_of(self, executor: CoreExecutor, tally: Tally) -> Array:
        """A tally as the core has it: Σw, the losses, the metrics that it computes itself."""
        losses = [tally.losses.get(name, 0.0) for name in self.net.losses]
        numbers = [tally.metrics[k] for k in executor.counted] if tally.metrics else []
        metrics = np.concatenate(numbers) if numbers else np.zeros(2 * len(executor.counted))
        return np.concatenate([[tally.weight], losses, metrics])

    def _tallied(self, executor: CoreExecutor, tally: Tally, sums: Array, before: int) -> None:
        """Puts back the core's sums, and adds what calls have measured before some step."""
        ends = 1 + len(self.net.losses)
        tally.weight = float(sums[0])
        tally.losses = dict(zip(self.net.losses, sums[1:ends].tolist(), strict=True))
        totals: list[Any] = tally.metrics or [None] * len(self.metrics)
        for place, number in enumerate(executor.counted):
            totals[number] = sums[ends + 2 * place : ends + 2 * place + 2].copy()
        for step, _, number, more in executor.table.measured:
            if step < before:
                old = totals[number]
                totals[number] = np.array(more, np.float64) if old is None else old + more
        tally.metrics = totals
        executor.table.measured.clear()

    def _last_rows(self, whole: RowBatches, update: int) -> int:
        """Rows of the last part of an update: what the arena holds after it."""
        last = min((update + 1) * whole.accumulate, len(whole.cuts) - 1)
        return int(whole.cuts[last] - whole.cuts[last - 1])

    def _executor(self, *args: Any) -> Executor:
        executor = super()._executor(*args)
        called = executor.table.called
        if called and self.net.engine == "native":
            raise EngineError(
                f'the native engine has no instructions for {called[0]}; engine="auto" runs it in '
                "Python and the rest compiled"
            )
        if called:
            _warn_once(called)
        return executor


def _through(executor: weakref.ref[CoreExecutor]) -> Callable[..., float | None]:
    """What the core holds of its executor: no circle that nobody could collect."""

    def called(*moment: Any) -> float | None:
        found = executor()
        return None if found is None else found.answer(*moment)

    return called


def numbers_of(optimizer: Optimizer, rates: Array, t: int) -> Array:
    """What updates from number t on need besides arrays: each its rate, and its numbers behind."""
    rows = [(rate, *optimizer.numbers(rate, t + k)) for k, rate in enumerate(rates.tolist())]
    return np.array(rows, np.float64)


_warned: set[str] = set()


def _warn_once(called: Sequence[str]) -> None:
    """Says what runs in Python, each thing once."""
    new = [what for what in called if what not in _warned]
    _warned.update(new)
    if new:
        warnings.warn(
            f"no instructions in the native engine for {', '.join(new)}: called in Python at every "
            'step, the rest is compiled. Network(..., engine="numpy") runs all in Python',
            EngineWarning, stacklevel=2,
        )  # fmt: skip


def _sums(code: Sequence[Instruction]) -> int:
    """The numbers that the losses and metrics of a phase give."""
    given = {"accuracy": 2}
    return sum(int(i.numbers["sums"]) if i.op == "call" else given.get(i.op, 1) for i in code)


def _readable(array: Array) -> bool:
    """Whether the core can read an array where it lies."""
    steps = all(step % array.itemsize == 0 for step in array.strides)
    return (
        array.dtype.isnative and array.dtype.char in "?bBhHiIlLqQfd" and array.ndim <= 8 and steps
    )  # fmt: skip


def _gatherable(whole: RowBatches) -> bool:
    return all(_readable(a) for a in [*whole.inputs.values(), *whole.targets.values()])


def _native(array: Array) -> Array:
    """The same numbers as the core can read them."""
    if _readable(array):
        return array
    return np.ascontiguousarray(array, array.dtype.newbyteorder("="))


def _plain(array: Array) -> Array:
    return np.asarray(array).view(np.uint8) if array.dtype == np.bool_ else np.asarray(array)
