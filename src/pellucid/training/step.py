"""One step on one batch, phase by phase, for those who want the steering wheel."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.engine.base import Batch, Program
from pellucid.errors import DivergenceError, StepError
from pellucid.network.network import Network
from pellucid.network.parameters import FlatViews
from pellucid.training.batches import ArrayBatches
from pellucid.training.checked import as_data
from pellucid.training.sources import unpacked

Array = NDArray[Any]


class Step:
    """Forward, loss, backward, update on one batch: `net.step(x, y)` makes one.

    The phases are methods, called in this order. A hand-written loop of steps gives the same
    bits as `fit` over the same batches. The batch is copied, so changing `x` or `y` afterwards has
    no effect. `gradients` are views that the next step on this network writes anew.

    >>> step = net.step(x, y)                          # doctest: +SKIP
    >>> out = step.forward(); value = step.loss(); dx = step.backward(); step.update()
    """

    def __init__(self, net: Network, x: Any, y: Any = None, sample_weight: Any = None) -> None:
        self.net = net
        x, y, sample_weight = unpacked(x, y, sample_weight)
        net.inputs_for(x)
        batch: Batch
        if y is None:
            arrays = {k: np.array(a) for k, a in net.converted(net.inputs_for(x)).items()}
            rows = len(next(iter(arrays.values())))
            batch = Batch(arrays, {}, None, rows, float(rows), float(rows))
        else:
            data = as_data(net, x, y, sample_weight)
            parts = ArrayBatches(net, data, None, max(data.rows, 1)).get(0)
            if not parts:
                raise StepError("a step needs at least one row")
            batch = parts[0]
            batch = batch._replace(
                inputs={name: np.array(a) for name, a in batch.inputs.items()},
                targets={name: np.array(a) for name, a in batch.targets.items()},
            )
        self._program: Program = net.program
        self.batch = batch
        self._done: list[str] = []

    def __repr__(self) -> str:
        return f"<Step of {self.batch.rows} rows: done {', '.join(self._done) or 'nothing yet'}>"

    @property
    def gradients(self) -> FlatViews:
        """The gradient of the loss by each parameter, by name, after `backward`."""
        self._require("backward", "gradients")
        return self._program.gradients  # type: ignore[no-any-return]

    @property
    def values(self) -> dict[str, Array]:
        """Every array of the step so far, by the names of `StepEnd.tensors`; copies."""
        self._require("forward", "values")
        return self._program.tensors(None)

    def forward(self, *, training: bool = True) -> Any:
        """The outputs; in inference (``training=False``) no backward pass can follow."""
        self._once("forward")
        self._training = training
        with np.errstate(all="ignore"):  # as in fit; `update` refuses what overflowed, in words
            if not training:
                outputs = self._program.infer(self.batch.inputs)
            else:
                self._program.begin()
                outputs = self._program.forward(self.batch)
        return outputs if len(outputs) > 1 else next(iter(outputs.values()))

    def loss(self) -> float:
        """The loss of the batch, without penalties."""
        self._require("forward", "loss")
        self._once("loss")
        if not self.batch.targets:
            raise StepError("the loss needs targets: net.step(x, y)")
        if not self._training:
            raise StepError("forward ran in inference: a loss to go backward from needs training")
        with np.errstate(all="ignore"):
            return self._program.loss()

    def backward(self) -> Any:
        """The gradient of the loss by the input; fills `gradients`."""
        self._require("loss", "backward")
        self._once("backward")
        with np.errstate(all="ignore"):
            dx = self._program.backward()
        return dx if len(self.net.graph.inputs) > 1 else next(iter(dx.values()), None)

    def update(self) -> None:
        """The optimizer changes the parameters; new running statistics become the state."""
        self._require("backward", "update")
        self._once("update")
        if not np.isfinite(self._program.gradients.vector).all():
            bad = [k for k, g in self._program.gradients.items() if not np.isfinite(g).all()]
            raise DivergenceError(f"the gradient of {bad[0]} is NaN or infinite: no update made")
        with np.errstate(all="ignore"):
            self._program.update()

    def _once(self, phase: str) -> None:
        if phase in self._done:
            raise StepError(f"{phase} has already run in this step: make a new one, net.step(x, y)")
        if phase != "forward" and self._program.owner is not self:
            raise StepError("another step has begun on this network: finish one before the next")
        if phase == "forward":
            self._program.owner = self
        self._done.append(phase)

    def _require(self, phase: str, what: str) -> None:
        if phase not in self._done:
            raise StepError(f"{what} comes after {phase}: call step.{phase}() first")
