"""PyTorch, eager: data in tensors, batches by a permutation made beforehand, fused optimizer.

No DataLoader, which costs more than a small step. `gather` says whether the rows of each batch are
picked when they are needed ("batch") or those of a whole epoch at once ("epoch").
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.jobs import Job
from benchmarks.networks import channels_first, channels_last

Array = NDArray[Any]


class FlattenLast(nn.Module):
    """(B, C, H, W) in channels-last memory to (B, H·W·C), which moves nothing."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1).flatten(1)


def module(job: Job, layout: str) -> nn.Sequential:
    """The job's network with its initial weights."""
    parts: list[nn.Module] = []
    channels = job.row[-1]
    for kind, *given in job.layers:
        if kind == "dense":
            parts.append(nn.LazyLinear(given[0]))
        elif kind == "conv":
            parts.append(nn.Conv2d(channels, given[0], given[1], padding=given[2]))
            channels = given[0]
        elif kind == "pool":
            parts.append(nn.MaxPool2d(given[0]))
        elif kind == "relu":
            parts.append(nn.ReLU())
        elif kind == "flatten":
            parts.append(FlattenLast() if layout == "channels_last" else nn.Flatten())
    net = nn.Sequential(*parts)
    net(images(torch.from_numpy(job.x[:1]), layout))  # fixes the lazy shapes
    copy_in(job, net, layout)
    return net.to(memory_format=torch.channels_last) if layout == "channels_last" else net


def images(x: Tensor, layout: str) -> Tensor:
    """Rows as they are; images (N, H, W, C) as (N, C, H, W) in the layout's memory."""
    if layout == "rows":
        return x
    x = x.permute(0, 3, 1, 2)
    return x if layout == "channels_last" else x.contiguous()


@torch.no_grad()
def copy_in(job: Job, net: nn.Module, layout: str) -> None:
    """The initial weights, in PyTorch's order."""
    given = channels_first(job.layers, job.row, job.weights)
    if layout == "channels_last":  # only the convolutions' are turned: rows stay H, W, C
        given = [a if a.ndim == 4 else b for a, b in zip(given, job.weights, strict=True)]
    for parameter, array in zip(net.parameters(), given, strict=True):
        parameter.copy_(torch.from_numpy(array.T.copy() if array.ndim == 2 else array))


def copy_out(job: Job, parameters: list[Tensor], layout: str) -> list[Array]:
    """Weights in Pellucid's order."""
    arrays = [p.detach().numpy() for p in parameters]
    arrays = [a.T.copy() if a.ndim == 2 else np.ascontiguousarray(a) for a in arrays]
    if layout == "channels_last":
        return [a.transpose(2, 3, 1, 0).copy() if a.ndim == 4 else a for a in arrays]
    return channels_last(job.layers, job.row, arrays)


def optimizer_of(job: Job, parameters: Any) -> torch.optim.Optimizer:
    """Fused in both cases: one call for all parameters."""
    if job.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=job.rate, fused=True)
    return torch.optim.SGD(parameters, lr=job.rate, fused=True)


def loss_of(job: Job, y_pred: Tensor, y: Tensor) -> Tensor:
    """The mean over the batch."""
    if job.loss == "cross_entropy":
        return functional.cross_entropy(y_pred, y)
    return functional.mse_loss(y_pred, y)


class Trainer:
    """Forward, backward and update of one batch after another."""

    def __init__(self, job: Job, form: dict[str, Any], threads: int) -> None:
        self.job, self.form, self.threads = job, form, threads
        self.use()
        self.layout = form["layout"]
        self.x = images(torch.from_numpy(job.x), self.layout)
        self.y = torch.from_numpy(job.y)
        self.orders = torch.from_numpy(job.orders)
        self.net = module(job, self.layout)
        self.optimizer = optimizer_of(job, self.net.parameters())

    def use(self) -> None:
        """Sets the number of threads for the process."""
        torch.set_num_threads(self.threads)

    def about(self) -> str:
        """What is worth saying beside the form."""
        return f"{type(self.optimizer).__name__}(fused=True)"

    def reset(self) -> None:
        """The initial weights, and an optimizer that has seen nothing."""
        copy_in(self.job, self.net, self.layout)
        self.optimizer = optimizer_of(self.job, self.net.parameters())

    def batches(self, epochs: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of all epochs."""
        size = self.job.batch
        for order in self.orders[:epochs]:
            if self.form["gather"] == "epoch":
                x, y = self.x.index_select(0, order), self.y.index_select(0, order)
                yield from zip(x.split(size), y.split(size), strict=True)
            else:
                for rows in order.split(size):
                    yield self.x.index_select(0, rows), self.y.index_select(0, rows)

    def train(self, epochs: int) -> None:
        """Plain code, as in PyTorch's own tutorials."""
        net, optimizer, job = self.net, self.optimizer, self.job
        for x, y in self.batches(epochs):
            optimizer.zero_grad(set_to_none=True)
            loss = loss_of(job, net(x), y)
            loss.backward()
            optimizer.step()

    def weights(self) -> list[Array]:
        """The weights as they are now."""
        return copy_out(self.job, list(self.net.parameters()), self.layout)


class Predictor:
    """From a NumPy array to an array of probabilities, in inference mode."""

    def __init__(self, job: Job, form: dict[str, Any], threads: int) -> None:
        self.job, self.layout, self.threads = job, form["layout"], threads
        self.use()
        self.net = module(job, self.layout).eval()
        self.call: Any = lambda x: self.net(x).softmax(1)

    def use(self) -> None:
        """Sets the number of threads for the process."""
        torch.set_num_threads(self.threads)

    def about(self) -> str:
        """What is worth saying beside the form."""
        return "inference_mode"

    def predict(self) -> Array:
        """Probabilities."""
        with torch.inference_mode():
            x = images(torch.from_numpy(self.job.x), self.layout)
            found: Array = self.call(x).numpy()
        return found
