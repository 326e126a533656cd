"""PyTorch through `torch.compile`, in two forms.

"module": the network and its loss are compiled, backward included; the fused optimizer is called as
usual. "functional": picking the rows, loss, gradient and update are one function of tensors,
compiled whole. Shapes are fixed (`dynamic=False`), so that the shorter last batch has code of its
own.
"""

from __future__ import annotations

from math import log
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import functional_call, grad

from benchmarks.jobs import Job
from benchmarks.peers import pytorch_eager
from benchmarks.peers.pytorch_eager import copy_out, loss_of

Array = NDArray[Any]
torch._dynamo.config.recompile_limit = 64  # several forms in one process


def forget() -> None:
    """Drops the code compiled so far."""
    torch.compiler.reset()


class Trainer(pytorch_eager.Trainer):
    """As the eager one, with compiled code in the loop."""

    def __init__(self, job: Job, form: dict[str, Any], threads: int) -> None:
        super().__init__(job, {"gather": "batch", **form}, threads)
        if form["step"] == "module":
            self.loss = torch.compile(
                lambda x, y: loss_of(job, self.net(x), y), dynamic=False, fullgraph=True
            )
        else:
            self.names = [name for name, _ in self.net.named_parameters()]
            update = self._adam if job.optimizer == "adam" else self._sgd
            self.step = torch.compile(update, dynamic=False, fullgraph=True)
            self._start()

    def about(self) -> str:
        """What is worth saying beside the form."""
        return super().about() if self.form["step"] == "module" else "whole step in one graph"

    def _start(self) -> None:
        self.theta = [p.detach().clone() for p in self.net.parameters()]
        self.m = [torch.zeros_like(p) for p in self.theta]
        self.v = [torch.zeros_like(p) for p in self.theta]
        self.t = torch.zeros(())

    def reset(self) -> None:
        super().reset()
        if self.form["step"] == "functional":
            self._start()

    def _gradients(self, theta: list[Tensor], rows: Tensor) -> list[Tensor]:
        x, y = self.x.index_select(0, rows), self.y.index_select(0, rows)

        def loss(parameters: dict[str, Tensor]) -> Tensor:
            return loss_of(self.job, functional_call(self.net, parameters, (x,)), y)

        return list(grad(loss)(dict(zip(self.names, theta, strict=True))).values())

    def _sgd(
        self, theta: list[Tensor], m: list[Tensor], v: list[Tensor], t: Tensor, rows: Tensor
    ) -> None:
        for p, g in zip(theta, self._gradients(theta, rows), strict=True):
            p.sub_(self.job.rate * g)

    def _adam(
        self, theta: list[Tensor], m: list[Tensor], v: list[Tensor], t: Tensor, rows: Tensor
    ) -> None:
        t.add_(1)
        c = (-torch.expm1(t * log(0.999))).sqrt()  # √(1 − β₂ᵗ), exact where t is small
        rate = self.job.rate * c / -torch.expm1(t * log(0.9))
        for p, mean, square, g in zip(theta, m, v, self._gradients(theta, rows), strict=True):
            mean.mul_(0.9).add_(0.1 * g)
            square.mul_(0.999).add_(0.001 * g * g)
            p.sub_(rate * mean / (square.sqrt() + 1e-8 * c))

    def train(self, epochs: int) -> None:
        if self.form["step"] == "module":
            for x, y in self.batches(epochs):
                self.optimizer.zero_grad(set_to_none=True)
                self.loss(x, y).backward()
                self.optimizer.step()
            return
        with torch.no_grad():
            for order in self.orders[:epochs]:
                for rows in order.split(self.job.batch):
                    self.step(self.theta, self.m, self.v, self.t, rows)

    def weights(self) -> list[Array]:
        """The weights as they are now."""
        if self.form["step"] == "module":
            return super().weights()
        return copy_out(self.job, self.theta, self.layout)


class Predictor(pytorch_eager.Predictor):
    """As the eager one, with the network and the softmax compiled."""

    def __init__(self, job: Job, form: dict[str, Any], threads: int) -> None:
        super().__init__(job, form, threads)
        self.call = torch.compile(
            lambda x: self.net(x).softmax(1), dynamic=False, fullgraph=True,
            options={"freezing": True},
        )  # fmt: skip

    def about(self) -> str:
        """What is worth saying beside the form."""
        return "inference_mode, weights frozen"
