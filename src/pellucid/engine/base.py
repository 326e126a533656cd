"""What executes a network: the small interface that every engine stands behind.

`network` describes, an engine executes. `compile_network` turns a built network with its losses
and optimizer into a `Program`, which runs the four phases of a step one by one, or many steps at
once with `run`. The NumPy engine is the specification; another engine must give the same numbers
from the same interface.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from pellucid.errors import EngineError, PellucidError, did_you_mean
from pellucid.events import Phase

if TYPE_CHECKING:
    from pellucid.metrics import Metric
    from pellucid.network.network import Network

Array = NDArray[Any]
Arrays = dict[str, Array]


class Batch(NamedTuple):
    """Rows of data for one forward pass, by input and output name, ready for the network.

    `share` is Σw of these rows, `total` that of the whole effective batch they are a part of.
    """

    inputs: Arrays
    targets: Arrays
    weight: Array | None
    rows: int
    share: float
    total: float


class RowBatches(NamedTuple):
    """An epoch over arrays, as plain data: which rows, in which order, cut where."""

    inputs: Arrays
    targets: Arrays
    weight: Array | None
    order: Array | None  # None: from first to last
    cuts: Array  # batch i has the rows order[cuts[i]:cuts[i + 1]]
    accumulate: int

    def part(self, start: int, count: int) -> tuple[Array, Array]:
        """The cuts of some updates, and Σw of each of their batches."""
        first, last = start * self.accumulate, (start + count) * self.accumulate
        cuts = self.cuts[first : last + 1]
        if self.weight is None:
            return cuts, np.diff(cuts).astype(np.float64)
        pairs = pairwise(cuts.tolist())
        return cuts, np.array([weight_of(self.weight, self.order, a, b) for a, b in pairs])


def weight_of(weight: Array | None, order: Array | None, start: int, stop: int) -> float:
    """Σw of some rows, in float64."""
    if weight is None:
        return float(stop - start)
    rows = slice(start, stop) if order is None else order[start:stop]
    return float(weight[rows].sum())


class Batches(Protocol):
    """The batches of one epoch in their order: what `Program.run` walks through."""

    def get(self, index: int) -> list[Batch] | None:
        """Update `index` of the epoch as its parts (several when accumulating); None at the end."""


@dataclass
class Tally:
    """Sums over rows from which losses and metrics come: additive over batches."""

    weight: float = 0.0
    losses: dict[str, float] = field(default_factory=dict)
    metrics: list[Array] = field(default_factory=list)

    def add(self, weight: float, losses: Mapping[str, float], metrics: Sequence[Array]) -> None:
        """Adds one batch: its Σw, its Σwℓ by output and its metrics' totals."""
        self.weight += weight
        for name, value in losses.items():
            self.losses[name] = self.losses.get(name, 0.0) + value
        if self.metrics:
            for mine, more in zip(self.metrics, metrics, strict=True):
                mine += more
        else:
            self.metrics = [np.array(m, np.float64) for m in metrics]

    def values(self, metrics: Sequence[tuple[str, Metric]]) -> dict[str, float]:
        """``loss`` (the scaled sum), each output's part where there are several, and metrics."""
        mean = {k: (v / self.weight if self.weight else 0.0) for k, v in self.losses.items()}
        several = len(mean) > 1
        result = {"loss": sum(mean.values())}
        result |= {f"{name}/loss": value for name, value in mean.items()} if several else {}
        for (output, metric), totals in zip(metrics, self.metrics, strict=False):
            result[f"{output}/{metric.name}" if several else metric.name] = metric.value(totals)
        return result


class RunResult(NamedTuple):
    """What `Program.run` did: updates made, the last batch's loss, and why it stopped early."""

    done: int
    loss: float
    ended: bool = False  # the epoch has no further batches
    diverged: str = ""  # what became NaN or infinite; the update was not made


class Program(ABC):
    """A network made ready to run, with its gradient vector.

    The phases of one step are called in order: `begin`, then for each part of the batch `forward`,
    `loss`, `backward`, then `update`. `infer` may be called from several threads at once.
    """

    gradients: Any  # FlatViews
    owner: object = None  # the step whose arrays it holds

    @abstractmethod
    def infer(self, inputs: Arrays, keep: Sequence[str] | None = None) -> Arrays:
        """The outputs by name in inference, or every node's named in `keep`. Changes nothing."""

    @abstractmethod
    def predict(self, inputs: Arrays) -> Arrays:
        """What the outputs mean, by name: through the links of their losses."""

    def quick(self, x: Any) -> Array | None:
        """The only output for a plain array of the only input, checked; None: take the long way."""
        return None

    @abstractmethod
    def begin(self) -> None:
        """Starts a step: gradients zero, pending state as it is now."""

    @abstractmethod
    def forward(self, batch: Batch, part: int = 0, *, training: bool = True) -> Arrays:
        """The outputs by name, keeping what backward needs."""

    @abstractmethod
    def loss(self) -> float:
        """The part's share of the loss: Σ over outputs of scale·Σwℓ/Σw."""

    @abstractmethod
    def backward(self) -> Arrays:
        """Adds this part's gradients; returns those of the inputs by name, where asked for."""

    @abstractmethod
    def update(self) -> None:
        """Adds the penalty's gradient, lets the optimizer change the parameters, commits state."""

    @abstractmethod
    def evaluate(self, batches: Batches, tally: Tally) -> None:
        """Adds every batch's losses and metrics to `tally`, in inference."""

    @abstractmethod
    def run(
        self, batches: Batches, start: int, count: int, tally: Tally, stop: Array,
        on_phase: Callable[[Phase], None] | None = None,
    ) -> RunResult:  # fmt: skip
        """`count` updates from batch `start`, adding to `tally`, until `stop[0]` is not zero."""

    @abstractmethod
    def tensors(self, names: Sequence[str] | None) -> Arrays:
        """Copies of the last step's arrays by name (None: all), as `StepEnd.tensors` has them."""

    @abstractmethod
    def explain(self) -> list[tuple[str, str, str]]:
        """Node by node: its name, the engine that runs it, and why."""


class NotLowered(PellucidError):
    """Something in a network has no instructions in the native engine; the message says what."""


ENGINES = ("auto", "native", "numpy")


def check_engine(name: object) -> str:
    """The name of an engine; an EngineError says which there are."""
    if name not in ENGINES:
        hint = did_you_mean(str(name), ENGINES)
        raise EngineError(f"there is no engine {name!r} in this version. {hint}")
    return str(name)


def compile_network(
    net: Network, metrics: Sequence[tuple[str, Metric]] = (), *, input_gradients: bool = False,
    taps: bool = False,
) -> Program:  # fmt: skip
    """A program for a built network, by the engine that `net.engine` asks for.

    `input_gradients` has `backward` return the gradients of the inputs; `taps` keeps every array
    of a step readable by `Program.tensors`. Neither changes the arithmetic.
    """
    from pellucid.engine.native import NativeProgram, missing
    from pellucid.engine.numpy import NumpyProgram

    options = {"input_gradients": input_gradients, "taps": taps}
    reason = missing()
    if check_engine(net.engine) != "numpy" and not reason:
        return NativeProgram(net, metrics, **options)
    if net.engine == "native":
        raise EngineError(f"the native engine cannot be used: {reason}")
    program = NumpyProgram(net, metrics, **options)
    program.reason = reason
    return program
