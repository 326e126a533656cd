"""Pellucid: `net.fit` as a user calls it, without the progress bar and the default metrics.

`engine` is "auto", which takes the compiled engine where it can, or "numpy", the readable one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import pellucid
from benchmarks.jobs import Job, network

Array = NDArray[Any]


class _Ours:
    def __init__(self, job: Job, form: dict[str, Any], threads: int) -> None:
        self.job, self.threads = job, threads
        self.net = network(job, job.row, engine=form["engine"])
        self.use()

    def use(self) -> None:
        """Sets the number of threads for the process."""
        pellucid.set_threads(self.threads)

    def about(self) -> str:
        """Which engine runs the network."""
        engines = {engine for _, engine, _ in self.net.program.explain()}
        return " and ".join(sorted(engines - {"", "input", "-"})) + " engine"


class Trainer(_Ours):
    """Whole calls of `fit`."""

    def reset(self) -> None:
        """The initial weights again: the seed is the same."""
        self.net.reset()

    def train(self, epochs: int) -> None:
        """Rows are shuffled by `fit` itself, in the order that the job hands to the others."""
        job = self.job
        self.net.fit(
            job.x, job.y, epochs=epochs, batch_size=job.batch, metrics=[], progress=False
        )  # fmt: skip

    def weights(self) -> list[Array]:
        """The weights as they are now."""
        return [np.array(self.net.parameters[name]) for name in self.net.parameters]


class Predictor(_Ours):
    """Calls of `predict`."""

    def predict(self) -> Array:
        """Probabilities."""
        found: Array = self.net.predict(self.job.x)
        return found
