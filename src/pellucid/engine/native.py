"""The native engine: the table of a program, run by the compiled core.

What is in the table runs in C++, whole epochs in one call, with other Python threads running
meanwhile. What is not — a metric that has no instruction, an observer of phases, batches from a
generator — is done step by step, with the same kernels and so with the same bits.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.engine.base import Batches, RowBatches, RunResult, Tally
from pellucid.engine.opcodes import OPCODES, REGIONS, Buffer, Instruction, Moment
from pellucid.engine.program import PHASES, TableProgram
from pellucid.errors import EngineError
from pellucid.events import Phase

Array = NDArray[Any]
_SECONDS = 0.05  # how long the core runs before Python may answer Ctrl-C
_MANY = 4096  # updates of one call at most
_DIVERGED = ("", "loss", "gradient")

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


class NativeProgram(TableProgram):
    """A network lowered to a table, executed by the compiled core."""

    engine = "native"

    def __init__(self, *args: Any, **options: Any) -> None:
        if missing():
            raise EngineError(missing())
        super().__init__(*args, **options)
        wide = self.net.dtype == np.float64
        self._core = _core.Program64() if wide else _core.Program32()
        self._sources: RowBatches | None = None

    def planned(self) -> None:
        self._load(None)

    def _load(self, batches: RowBatches | None) -> None:
        """Hands the core the table, the memory, and the arrays to gather from."""
        code = [_encoded(self.code[phase]) for phase in PHASES]
        nothing = np.zeros(0, np.uint8)
        regions = [self.regions.get(name, nothing) for name in REGIONS]
        sources = []
        if batches is not None:
            for name, buffer in self.table.inputs.items():
                sources.append((_plain(batches.inputs[name]), _place(buffer), False))
            for name, buffer in self.table.targets.items():
                sources.append((_plain(batches.targets[name]), _place(buffer), buffer.integer))
        self._core.load(
            code, regions, self.rows, sources, _place(self.table.weight), len(self.net.losses)
        )
        self._sources = batches

    def execute(self, phase: str, at: Moment) -> list[float]:
        sums = np.zeros(len(self.net.losses) + len(self.code["metrics"]))
        self._core.execute(
            PHASES.index(phase), at.rows, at.weighted, at.step, at.part, at.t, at.total, at.rate,
            sums,
        )  # fmt: skip
        counts = {"loss": len(self.net.losses), "metrics": len(self.code["metrics"])}
        values: list[float] = sums[: counts.get(phase, 0)].tolist()
        return values

    def run(
        self, batches: Batches, start: int, count: int, tally: Tally, stop: Array,
        on_phase: Callable[[Phase], None] | None = None,
    ) -> RunResult:  # fmt: skip
        whole = getattr(batches, "whole", None)
        if whole is not None:
            self.expect(whole.targets)
        if not self.in_core or on_phase is not None or whole is None or not _gatherable(whole):
            return super().run(batches, start, count, tally, stop, on_phase)
        cuts = (
            whole.cuts
        )  # the first batch is as large as any, or the last, which may take one more
        self.reserve(max(cuts[1] - cuts[0], cuts[-1] - cuts[-2], 1) if len(cuts) > 1 else 1)
        if self._sources is None or self._sources.inputs is not whole.inputs:
            self._load(whole)
        updates = -(-(len(whole.cuts) - 1) // whole.accumulate)
        done, value = 0, 0.0
        while done < count and not stop[0]:
            n = min(count - done, updates - start - done, _MANY)
            if n <= 0:
                return RunResult(done, value, ended=True)
            made, value, diverged = self._core_run(whole, start + done, n, tally, stop)
            done += made
            if diverged:
                return RunResult(done, value, diverged=diverged)
        return RunResult(done, value)

    def _core_run(
        self, whole: RowBatches, start: int, count: int, tally: Tally, stop: Array
    ) -> tuple[int, float, str]:
        """One call of the core: updates made, the last loss, and what diverged."""
        net = self.net
        assert net.optimizer is not None
        rates = np.array([net.optimizer.rate(net.updates + k) for k in range(count)])
        losses = [tally.losses.get(name, 0.0) for name in net.losses]
        metrics = [totals[0] for totals in tally.metrics] or [0.0] * len(self.metrics)
        sums = np.array([tally.weight, *losses, *metrics])  # the core goes on adding to them
        cuts, shares = whole.part(start, count)
        done, value, _, diverged = self._core.run(
            whole.order, cuts, whole.accumulate, 0, count, net.updates, rates, whole.weight,
            shares, sums, stop, _SECONDS,
        )  # fmt: skip
        net.updates += done
        if done:
            tally.weight, ends = float(sums[0]), 1 + len(net.losses)
            tally.losses = dict(zip(net.losses, sums[1:ends].tolist(), strict=True))
            tally.metrics = [np.array([right, sums[0]]) for right in sums[ends:]]
        if not diverged:
            self._moment = Moment(self._last_rows(whole, start + done - 1), 1.0, False, 0, 0)
        return done, value, _DIVERGED[diverged]

    def _last_rows(self, whole: RowBatches, update: int) -> int:
        """Rows of the last part of an update: what the arena holds after it."""
        last = min((update + 1) * whole.accumulate, len(whole.cuts) - 1)
        return int(whole.cuts[last] - whole.cuts[last - 1])


def _encoded(code: Sequence[Instruction]) -> tuple[Array, Array]:
    """A phase as the core reads it: 28 columns of integers and 7 of numbers."""
    whole = np.zeros((len(code), 28), np.int64)
    real = np.zeros((len(code), 7))
    for row, instruction in enumerate(code):
        entry = OPCODES[instruction.op]
        whole[row, 0] = entry.number
        for k in range(5):
            key = entry.buffers[k] if k < len(entry.buffers) else ""
            whole[row, 1 + 4 * k : 5 + 4 * k] = _place(instruction.buffers.get(key))
        for k, key in enumerate(entry.numbers):
            value = instruction.numbers[key]
            real[row, k] = value
            if value == int(value):
                whole[row, 21 + k] = np.uint64(int(value) % 2**64).astype(np.int64)
    return whole, real


def _place(buffer: Buffer | None) -> list[int]:
    if buffer is None:
        return [-1, 0, 0, 0]
    return [REGIONS.index(buffer.region), buffer.offset, buffer.size, int(buffer.batch)]


def _gatherable(whole: RowBatches) -> bool:
    """Whether the core can read these arrays where they lie."""
    return all(
        a.dtype.isnative and a.dtype.char in "?bBhHiIlLqQfd" and a[:1].flags.c_contiguous
        for a in [*whole.inputs.values(), *whole.targets.values()]
    )


def _plain(array: Array) -> Array:
    return np.asarray(array).view(np.uint8) if array.dtype == np.bool_ else np.asarray(array)
