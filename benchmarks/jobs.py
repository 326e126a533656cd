"""A job: all that a contender needs to do the same work as the others, as files in a folder.

Data, the initial weights (Pellucid's own) and the order of the rows in every epoch (Pellucid's own
too, from the seed and the epoch) are written once; each contender's process reads them. What the
contenders return is judged here by one and the same measure: the loss of their final weights in
the NumPy engine, in float64.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.data import DATA
from benchmarks.networks import LayerTuple
from benchmarks.workloads import Workload

Array = NDArray[Any]
JUDGED = 1000  # rows on which final losses are compared
SEED = 0


@dataclass(frozen=True)
class Job:
    """A workload with its data at hand; made by `write`, found again by `read`."""

    folder: Path
    kind: str
    layers: list[LayerTuple]
    loss: str
    optimizer: str
    rate: float
    batch: int
    epochs: int
    calls: int

    @cached_property
    def x(self) -> Array:
        """The inputs, rows first."""
        return np.load(self.folder / "x.npy")

    @cached_property
    def y(self) -> Array:
        """Class indices (N,), or values (N, 1)."""
        return np.load(self.folder / "y.npy")

    @cached_property
    def orders(self) -> Array:
        """Row numbers in the order of each epoch, (E, N) int64."""
        return np.load(self.folder / "orders.npy")

    @cached_property
    def weights(self) -> list[Array]:
        """The initial weights, layer by layer."""
        with np.load(self.folder / "weights.npz") as archive:
            return [archive[str(k)] for k in range(len(archive.files))]

    @property
    def row(self) -> tuple[int, ...]:
        """The shape of one row of x."""
        return self.x.shape[1:]

    @property
    def steps(self) -> int:
        """Updates in one epoch."""
        return -(-len(self.x) // self.batch)

    @property
    def trains(self) -> bool:
        """Whether it is training, rather than prediction."""
        return self.kind == "train"


def write(folder: Path, work: Workload, data: tuple[Array, Array] | None = None) -> Job:
    """Makes the job of a workload in an empty folder."""
    from pellucid.training.batches import shuffled

    x, y = DATA[work.data]() if data is None else data
    names = ("kind", "layers", "loss", "optimizer", "rate", "batch", "epochs", "calls")
    fields = {name: getattr(work, name) for name in names}
    (folder / "job.json").write_text(json.dumps(fields))
    job = Job(folder, **fields)
    net = network(job, x.shape[1:])
    epochs = work.epochs if work.kind == "train" else 0
    np.save(folder / "x.npy", np.ascontiguousarray(x, np.float32))
    np.save(folder / "y.npy", y)
    np.save(folder / "orders.npy", np.array([shuffled(net, len(x), e) for e in range(epochs)]))
    arrays = [net.parameters[name] for name in net.parameters]
    np.savez(folder / "weights.npz", **{str(k): a for k, a in enumerate(arrays)})
    return job


def read(folder: Path) -> Job:
    """The job that `write` left in a folder."""
    fields = json.loads((folder / "job.json").read_text())
    fields["layers"] = [tuple(layer) for layer in fields["layers"]]
    return Job(folder, **fields)


def network(job: Job, row: tuple[int, ...], **options: Any) -> Any:
    """The job's network in Pellucid."""
    from pellucid import (
        MSE,
        SGD,
        Adam,
        Conv2D,
        CrossEntropy,
        Dense,
        Flatten,
        MaxPool2D,
        Network,
        ReLU,
    )

    kinds = {
        "dense": Dense, "relu": ReLU, "flatten": Flatten, "pool": MaxPool2D,
        "conv": lambda maps, kernel, padding: Conv2D(maps, kernel, padding=padding),
    }  # fmt: skip
    layers = [kinds[kind](*given) for kind, *given in job.layers]
    loss = CrossEntropy() if job.loss == "cross_entropy" else MSE()
    optimizer = Adam(job.rate) if job.optimizer == "adam" else SGD(job.rate)
    return Network(layers, inputs=row, loss=loss, optimizer=optimizer, seed=SEED, **options)


def judged(job: Job, weights: list[Array]) -> float:
    """The loss of some weights on the first rows of the job's data, in float64."""
    net = network(job, job.row, dtype="float64", engine="numpy")
    for name, array in zip(net.parameters, weights, strict=True):
        net.parameters[name] = array.reshape(net.parameters[name].shape)
    rows = min(JUDGED, len(job.x))
    return float(net.evaluate(job.x[:rows], job.y[:rows], batch_size=100, metrics=[])["loss"])


def expected(job: Job) -> Array:
    """What a prediction should be: probabilities in float64 by the NumPy engine."""
    net = network(job, job.row, dtype="float64", engine="numpy")
    for name, array in zip(net.parameters, job.weights, strict=True):
        net.parameters[name] = array
    outputs: Array = net.predict(job.x, batch_size=500)
    return outputs


def described(work: Workload) -> dict[str, Any]:
    """A workload as JSON values."""
    return asdict(work)
