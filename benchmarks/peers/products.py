"""No contender but a bound: the matrix products of a training step alone, by PyTorch's library.

Forward and weight gradient of every layer and the gradient of every input but the first, each into
memory that is there already. What a step takes beyond this is everything else.
"""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray

from benchmarks.jobs import Job
from benchmarks.networks import products

Array = NDArray[Any]


class Trainer:
    """The products of as many steps as the job has, on random numbers."""

    def __init__(self, job: Job, form: dict[str, Any], threads: int) -> None:
        self.job, self.threads = job, threads
        self.use()
        self.calls = []
        for k, (_, i, o) in enumerate(products(job.layers, job.row)):
            x, W, y = torch.rand(job.batch, i), torch.rand(i, o), torch.rand(job.batch, o)
            self.calls += [(x, W, torch.empty_like(y)), (x.T, y, torch.empty_like(W))]
            if k:
                self.calls.append((y, W.T, torch.empty_like(x)))

    def use(self) -> None:
        """Sets the number of threads for the process."""
        torch.set_num_threads(self.threads)

    def about(self) -> str:
        """What is worth saying beside the form."""
        return "torch.mm into existing memory"

    def reset(self) -> None:
        """Nothing to put back."""

    def train(self, epochs: int) -> None:
        """Steps of products."""
        for _ in range(epochs * self.job.steps):
            for a, b, out in self.calls:
                torch.mm(a, b, out=out)

    def weights(self) -> list[Array]:
        """There are none."""
        return []


def rate(threads: int, size: int = 2048, tries: int = 5) -> float:
    """The machine's rate on one large product, in operations a second: the best of some tries."""
    import time

    torch.set_num_threads(threads)
    a, b = torch.rand(size, size), torch.rand(size, size)
    best = float("inf")
    for _ in range(tries):
        start = time.perf_counter()
        torch.mm(a, b)
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best
