"""Updates that look at all rows: what L-BFGS needs of an engine.

`FullBatch` stands before a program and takes its place in the loop. Where that makes an update of
a batch, this makes an iteration of the solver: the loss and its gradient over all rows, as often
as the line search asks. Rows go through the program batch by batch, as when gradients are
accumulated, so data on disk stays there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf, isfinite
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pellucid.engine.base import Arrays, Batch, Batches, Program, RunResult, Tally, weight_of
from pellucid.engine.numpy import NumpyProgram
from pellucid.errors import OptionError
from pellucid.events import EpochEnd, Observer, Phase, RunStart
from pellucid.optimizers.lbfgs import LBFGS, Point, direction, remember, strong_wolfe
from pellucid.optimizers.norms import inner
from pellucid.training.sources import Source

Array = NDArray[Any]
OnPhase = Callable[[Phase], None]


class Evaluation(NamedTuple):
    """What all rows say of the weights as they are."""

    objective: float  # loss and penalty; infinite where one of them or the gradient is not finite
    loss: float
    gradient: Array  # of the objective; 0 outside the runs
    tally: Tally
    state: Array  # the running statistics that follow
    diverged: str = ""


class FullBatch(Program):
    """A program whose updates are iterations of L-BFGS over all rows of a source.

    Attributes
    ----------
    reason : str
        Which tolerance was reached; empty until then.
    """

    def __init__(self, program: Program, source: Source) -> None:
        batches = source.batches(0)
        whole = getattr(batches, "whole", None)
        if whole is None or not isinstance(program, NumpyProgram):
            raise OptionError(
                "LBFGS looks at the same rows again and again, which a source of batches may not "
                "give twice: fit it to arrays (numpy.memmap for those that stay on disk)"
            )
        if not isinstance(program.net.optimizer, LBFGS):
            raise OptionError(f"a full batch is for LBFGS, not for {program.net.optimizer!r}")
        self.inner, self.net, self.solver = program, program.net, program.net.optimizer
        self.gradients, self.reason = program.gradients, ""
        self._batches = batches
        self._total = weight_of(whole.weight, whole.order, whole.cuts[0], whole.cuts[-1])
        self._runs = self.net.stretches()
        self._last: tuple[Array, Evaluation] | None = None
        self._step: Array = np.zeros(0)  # what the latest search changed

    # ---- one look at all rows --------------------------------------------------------------

    def look(self, on_phase: OnPhase | None = None) -> Evaluation:
        """Loss and gradient of the weights as they are.

        Random layers are keyed by the number of the update; here it is always 0, so that the loss
        is one function of the weights.
        """
        program, net, tally, loss = self.inner, self.net, Tally(), 0.0
        program.begin()
        updates, net.updates = net.updates, 0
        try:
            for part, batch in enumerate(self._rows()):
                outputs = program.forward(batch, part)
                _tell(on_phase, "forward")
                loss += program.loss()
                _tell(on_phase, "loss")
                if not isfinite(loss):
                    break
                program.backward()
                _tell(on_phase, "backward")
                tally.add(batch.share, program._sums, program._measured(outputs))
        finally:
            net.updates = updates
        return self._evaluation(loss, tally)

    def _rows(self) -> Any:
        """All rows, batch by batch, each a part of the whole."""
        index = 0
        while (parts := self._batches.get(index)) is not None:
            for batch in parts:
                yield batch._replace(total=self._total)
            index += 1

    def _evaluation(self, loss: float, tally: Tally) -> Evaluation:
        theta, penalty, objective = self.net.parameters.vector, self.net.penalty, loss
        g = np.zeros_like(theta)
        for start, stop, decay in self._runs:
            g[start:stop] = self.gradients.vector[start:stop]
            if decay and penalty is not None:
                objective += penalty.value(theta[start:stop])
                g[start:stop] += penalty.gradient(theta[start:stop])
        fine = isfinite(inner(g, g)) or bool(np.isfinite(g).all())
        diverged = "loss" if not isfinite(objective) else "" if fine else "gradient"
        state = self.inner.pending.vector.copy()
        return Evaluation(inf if diverged else objective, loss, g, tally, state, diverged)

    # ---- iterations ------------------------------------------------------------------------

    def run(
        self, batches: Batches, start: int, count: int, tally: Tally, stop: Array,
        on_phase: OnPhase | None = None,
    ) -> RunResult:  # fmt: skip
        done = 0
        with np.errstate(all="ignore"):  # what overflows is found, and said in words
            here = self._here(on_phase)
            if here.diverged:
                return RunResult(0, here.loss, diverged=here.diverged)
            self._check_gradient(here)
            while done < count and not stop[0]:
                ended = bool(self.reason) or start + done >= self.solver.max_iter
                after = None if ended else self._iterate(here, on_phase)
                if after is None:
                    _copy(here.tally, tally)
                    return RunResult(done, here.loss, ended=True)
                here, done = after, done + 1
                _tell(on_phase, "update")
        _copy(here.tally, tally)
        return RunResult(done, here.loss)

    def _here(self, on_phase: OnPhase | None) -> Evaluation:
        """The last look, where the weights are still the same; else a new one."""
        theta = self.net.parameters.vector
        if self._last is None or not np.array_equal(self._last[0], theta):
            self._last = theta.copy(), self.look(on_phase)
        return self._last[1]

    def _iterate(self, here: Evaluation, on_phase: OnPhase | None) -> Evaluation | None:
        """One iteration: a direction, a step along it, what was learnt. None: no way down."""
        net, solver = self.net, self.solver
        tolerance, slots = solver.tolerance_change, net.slots
        found = self._search(here, on_phase)
        if found is not None and not found.t and slots["s1"].any():
            for slot in slots.values():  # what was remembered misleads: straight down, then
                slot.fill(0)
            found = self._search(here, on_phase)
        if found is None:
            self.reason = f"converged: the slope of the loss is within {tolerance:g}"
            return None
        after: Evaluation = found.found
        self._last = net.parameters.vector.copy(), after
        if not found.t:
            self.reason = "converged: no step lowers the loss any more"
            return None
        remember(slots, solver.history_size, self._step, after.gradient - here.gradient)
        if after.state.size:
            net.state.vector[...] = after.state
        net.updates += 1
        self._check_gradient(after)
        if not self.reason and abs(after.objective - here.objective) < tolerance:
            self.reason = f"converged: the loss changes by less than {tolerance:g}"
        elif not self.reason and float(np.abs(self._step).max()) <= tolerance:
            self.reason = f"converged: no weight changes by more than {tolerance:g}"
        return after

    def _search(self, here: Evaluation, on_phase: OnPhase | None) -> Point | None:
        """Takes a step along the solver's direction; None where that does not lead down."""
        net, solver = self.net, self.solver
        d = direction(here.gradient, net.slots, solver.history_size)
        slope = inner(here.gradient, d)
        if slope > -solver.tolerance_change:
            return None
        t = solver.rate(net.updates)
        if not net.slots["s1"].any():  # nothing is known of the right size yet
            t *= min(1.0, 1.0 / float(np.abs(here.gradient).sum(dtype=np.float64)))
        theta = net.parameters.vector.copy()

        def at(t: float) -> Point:
            self._move(theta, t, d)
            found = self.look(on_phase)
            return Point(t, found.objective, inner(found.gradient, d), found)

        start, longest = Point(0.0, here.objective, slope, here), float(np.abs(d).max())
        try:
            found = strong_wolfe(at, start, t, longest, solver.tolerance_change)
        except BaseException:
            self._move(theta, 0.0, d)
            raise
        self._move(theta, found.t, d)
        self._step = found.t * d
        return found

    def _move(self, theta: Array, t: float, d: Array) -> None:
        """Sets the weights to θ + t·d, within the runs."""
        for start, stop, _ in self._runs:
            piece = slice(start, stop)
            self.net.parameters.vector[piece] = theta[piece] + t * d[piece] if t else theta[piece]

    def _check_gradient(self, here: Evaluation) -> None:
        tolerance = self.solver.tolerance_grad
        if not self.reason and float(np.abs(here.gradient).max(initial=0.0)) <= tolerance:
            self.reason = f"converged: no entry of the gradient is above {tolerance:g}"

    # ---- what the program before it does -----------------------------------------------------

    def infer(self, inputs: Arrays, keep: Sequence[str] | None = None) -> Arrays:
        return self.inner.infer(inputs, keep)

    def predict(self, inputs: Arrays) -> Arrays:
        return self.inner.predict(inputs)

    def begin(self) -> None:
        self.inner.begin()

    def forward(self, batch: Batch, part: int = 0, *, training: bool = True) -> Arrays:
        return self.inner.forward(batch, part, training=training)

    def loss(self) -> float:
        return self.inner.loss()

    def backward(self) -> Arrays:
        return self.inner.backward()

    def update(self) -> None:
        self.inner.update()

    def evaluate(self, batches: Batches, tally: Tally) -> None:
        self.inner.evaluate(batches, tally)

    def tensors(self, names: Sequence[str] | None) -> Arrays:
        return self.inner.tensors(names)

    def explain(self) -> list[tuple[str, str, str]]:
        return self.inner.explain()


class Converged(Observer):
    """Ends the run after the epoch in which a tolerance was reached."""

    def __init__(self, program: FullBatch) -> None:
        self._program = program

    def on_run_start(self, event: RunStart) -> None:
        if self._program.reason and event.run.state.batch == 0:  # gone on with after its end
            event.run.stop(self._program.reason)

    def on_epoch(self, event: EpochEnd) -> None:
        if self._program.reason:
            event.run.stop(self._program.reason)

    def state(self) -> dict[str, Any]:
        return {"reason": self._program.reason}

    def restore(self, state: dict[str, Any]) -> None:
        self._program.reason = state["reason"]


def _copy(tally: Tally, into: Tally) -> None:
    into.weight, into.losses = tally.weight, dict(tally.losses)
    into.metrics = [totals.copy() for totals in tally.metrics]


def _tell(on_phase: OnPhase | None, phase: Phase) -> None:
    if on_phase is not None:
        on_phase(phase)
