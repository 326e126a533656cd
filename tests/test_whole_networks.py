"""Twelve whole networks, trained beside PyTorch: same outputs, gradients, statistics and weights.

Each row is a network and the same function written with PyTorch's own operations on parameters of
the same names. Both take ten steps in float64; everything must agree to 1e-10.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pellucid import (
    L2,
    MSE,
    SGD,
    Adam,
    AdamW,
    Add,
    AvgPool2D,
    BatchNorm,
    BinaryCrossEntropy,
    Concatenate,
    Conv2D,
    CrossEntropy,
    Dense,
    Embedding,
    Flatten,
    Input,
    LeakyReLU,
    MaxPool2D,
    Network,
    ReLU,
    Rescale,
    Sigmoid,
    Tanh,
    shared,
)

RNG = np.random.default_rng(7)
X = RNG.normal(size=(12, 6))
IMAGES = RNG.normal(size=(6, 8, 8, 2))
CLASSES = RNG.integers(0, 4, 12)
VALUES = RNG.normal(size=(12, 3))
P = dict[str, torch.Tensor]


class Row(NamedTuple):
    id: str
    net: Callable[[], Network]
    x: Any
    y: Any
    torch_loss: Callable[[P, Any, Any], torch.Tensor]
    torch_optimizer: Callable[[list[torch.Tensor]], torch.optim.Optimizer]
    weight: np.ndarray | None = None


def dense(p: P, name: str, x: torch.Tensor) -> torch.Tensor:
    y = x @ p[f"{name}/W"]
    return y + p[f"{name}/b"] if f"{name}/b" in p else y


def conv(p: P, name: str, x: torch.Tensor, **options: Any) -> torch.Tensor:
    return F.conv2d(x, p[f"{name}/W"].permute(3, 2, 0, 1), p[f"{name}/b"], **options)


def norm(p: P, name: str, x: torch.Tensor) -> torch.Tensor:
    return F.batch_norm(x, p[f"{name}/mean"], p[f"{name}/variance"], p[f"{name}/gamma"],
                        p[f"{name}/beta"], training=True, momentum=0.1)  # fmt: skip


def nchw(x: torch.Tensor) -> torch.Tensor:
    return x.permute(0, 3, 1, 2)


def flat(x: torch.Tensor) -> torch.Tensor:
    return x.permute(0, 2, 3, 1).flatten(1)


def chain(*layers: Any, loss: Any, optimizer: Any, **options: Any) -> Callable[[], Network]:
    return lambda: Network(list(layers), loss=loss, optimizer=optimizer, dtype="float64", **options)


def residual() -> Network:
    x = Input(6)
    h = Dense(6)(ReLU()(Dense(9)(x)))
    return Network(inputs=x, outputs=Dense(4)(ReLU()(Add()(h, x))), loss=CrossEntropy(),
                   optimizer=SGD(0.1), dtype="float64")  # fmt: skip


def towers() -> Network:
    a, b = Input(6, name="a"), Input(6, name="b")
    tower = shared(Dense(5), name="tower")
    return Network(inputs=[a, b], outputs=Dense(3)(Concatenate()(Tanh()(tower(a)), Tanh()(tower(b)))),
                   loss=MSE(), optimizer=SGD(0.1, momentum=0.9, nesterov=True), dtype="float64")  # fmt: skip


def two_outputs() -> Network:
    x = Input(6)
    h = ReLU()(Dense(8)(x))
    return Network(inputs=x, outputs={"kind": Dense(4)(h), "size": Dense(3)(h)},
                   loss={"kind": CrossEntropy(), "size": 0.25 * MSE()}, optimizer=Adam(0.01),
                   dtype="float64")  # fmt: skip


def weighted_cross_entropy(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    w = torch.tensor(WEIGHT)
    return (F.cross_entropy(z, y, reduction="none") * w).sum() / w.sum()


WEIGHT = RNG.uniform(0.1, 2.0, 12)
ROWS = [
    Row("mlp", chain(Dense(8), ReLU(), Dense(4), loss=CrossEntropy(), optimizer=SGD(0.1)), X, CLASSES,
        lambda p, x, y: F.cross_entropy(dense(p, "dense_2", F.relu(dense(p, "dense_1", x))), y),
        lambda q: torch.optim.SGD(q, 0.1)),
    Row("tanh regression", chain(Dense(8), Tanh(), Dense(3), loss=MSE(), optimizer=SGD(0.05, momentum=0.9)),
        X, VALUES, lambda p, x, y: F.mse_loss(dense(p, "dense_2", torch.tanh(dense(p, "dense_1", x))), y),
        lambda q: torch.optim.SGD(q, 0.05, momentum=0.9)),
    Row("batch norm", chain(Dense(8, use_bias=False), BatchNorm(), ReLU(), Dense(4), loss=CrossEntropy(), optimizer=Adam(0.01)),
        X, CLASSES,
        lambda p, x, y: F.cross_entropy(
            dense(p, "dense_2", F.relu(norm(p, "batch_norm_1", dense(p, "dense_1", x)))), y),
        lambda q: torch.optim.Adam(q, 0.01)),
    Row("sigmoid and squared error", chain(Rescale(0.5, 0.1), Dense(7), Sigmoid(), Dense(3), Sigmoid(),
        loss=MSE(), optimizer=SGD(1.0)), X, VALUES,
        lambda p, x, y: F.mse_loss(torch.sigmoid(dense(p, "dense_2", torch.sigmoid(
            dense(p, "dense_1", 0.5 * x + 0.1)))), y), lambda q: torch.optim.SGD(q, 1.0)),
    Row("cnn", chain(Conv2D(3, 3), ReLU(), MaxPool2D(2), Flatten(), Dense(4), loss=CrossEntropy(),
        optimizer=Adam(0.01)), IMAGES, CLASSES[:6],
        lambda p, x, y: F.cross_entropy(dense(p, "dense_1", flat(F.max_pool2d(
            F.relu(conv(p, "conv2d_1", nchw(x))), 2))), y), lambda q: torch.optim.Adam(q, 0.01)),
    Row("strided grouped cnn with batch norm", chain(Conv2D(4, 3, padding=1, strides=2, groups=2),
        BatchNorm(), LeakyReLU(), Conv2D(2, 2, dilation_rate=2), AvgPool2D(2), Flatten(), Dense(3),
        loss=MSE(), optimizer=SGD(0.05)), IMAGES, VALUES[:6],
        lambda p, x, y: F.mse_loss(dense(p, "dense_1", flat(F.avg_pool2d(conv(p, "conv2d_2", F.leaky_relu(
            norm(p, "batch_norm_1", conv(p, "conv2d_1", nchw(x), padding=1, stride=2, groups=2))),
            dilation=2), 2))), y), lambda q: torch.optim.SGD(q, 0.05)),
    Row("residual", residual, X, CLASSES,
        lambda p, x, y: F.cross_entropy(dense(p, "dense_3", F.relu(
            dense(p, "dense_2", F.relu(dense(p, "dense_1", x))) + x)), y),
        lambda q: torch.optim.SGD(q, 0.1)),
    Row("shared towers", towers, {"a": X, "b": X[::-1].copy()}, VALUES,
        lambda p, x, y: F.mse_loss(dense(p, "dense_1", torch.cat([
            torch.tanh(dense(p, "tower", x["a"])), torch.tanh(dense(p, "tower", x["b"]))], 1)), y),
        lambda q: torch.optim.SGD(q, 0.1, momentum=0.9, nesterov=True)),
    Row("embedding, multilabel", chain(Embedding(9, 4), Flatten(), Dense(3), loss=BinaryCrossEntropy(),
        optimizer=Adam(0.05)), RNG.integers(0, 9, (12, 5)), RNG.integers(0, 2, (12, 3)),
        lambda p, x, y: F.binary_cross_entropy_with_logits(dense(p, "dense_1", p["embedding_1/W"][x].flatten(1)),
            y.double()), lambda q: torch.optim.Adam(q, 0.05)),
    Row("two outputs, two losses", two_outputs, X, {"kind": CLASSES, "size": VALUES},
        lambda p, x, y: F.cross_entropy(dense(p, "kind", F.relu(dense(p, "dense_1", x))), y["kind"])
        + 0.25 * F.mse_loss(dense(p, "size", F.relu(dense(p, "dense_1", x))), y["size"]),
        lambda q: torch.optim.Adam(q, 0.01)),
    Row("deep, AdamW", chain(Dense(8), LeakyReLU(0.1), Dense(8), LeakyReLU(0.1), Dense(8), LeakyReLU(0.1),
        Dense(3), loss=MSE(), optimizer=AdamW(0.01, weight_decay=0.1)), X, VALUES,
        lambda p, x, y: F.mse_loss(dense(p, "dense_4", F.leaky_relu(dense(p, "dense_3", F.leaky_relu(
            dense(p, "dense_2", F.leaky_relu(dense(p, "dense_1", x), 0.1)), 0.1)), 0.1)), y),
        lambda q: torch.optim.AdamW([{"params": [t for t in q if t.ndim > 1], "weight_decay": 0.1},
                                     {"params": [t for t in q if t.ndim == 1], "weight_decay": 0.0}], 0.01)),
    Row("penalty, clipping and weights", chain(Dense(8), ReLU(), Dense(4), loss=CrossEntropy(),
        optimizer=SGD(0.5, clip_norm=0.2), penalty=L2(0.3)), X, CLASSES,
        lambda p, x, y: weighted_cross_entropy(dense(p, "dense_2", F.relu(dense(p, "dense_1", x))), y)
        + 0.15 * sum((p[k] ** 2).sum() for k in ("dense_1/W", "dense_2/W")),
        lambda q: torch.optim.SGD(q, 0.5), WEIGHT),
]  # fmt: skip


def as_torch(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: as_torch(v) for k, v in value.items()}
    return torch.tensor(np.ascontiguousarray(value))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_trains_as_pytorch_does(row: Row) -> None:
    net = row.net()
    net.inputs_for(row.x)
    p = {k: torch.tensor(v, requires_grad=True) for k, v in net.parameters.items()}
    leaves = list(p.values())
    p |= {k: torch.tensor(v) for k, v in net.state.items()}
    optimizer = row.torch_optimizer(leaves)
    x, y = as_torch(row.x), as_torch(row.y)
    for _ in range(10):
        step = net.step(row.x, row.y, row.weight)
        step.forward()
        penalty = net.penalty.value(net.parameters["dense_1/W"].ravel()) + net.penalty.value(
            net.parameters["dense_2/W"].ravel()) if net.penalty else 0.0  # fmt: skip
        ours = step.loss() + penalty
        step.backward()
        optimizer.zero_grad()
        theirs = row.torch_loss(p, x, y)
        theirs.backward()
        assert ours == pytest.approx(float(theirs.detach()), rel=1e-10)
        if net.penalty is None:
            for name, gradient in step.gradients.items():
                assert np.allclose(gradient, p[name].grad.numpy(), rtol=1e-10, atol=1e-12), name
        if net.optimizer is not None and net.optimizer.clip_norm:
            torch.nn.utils.clip_grad_norm_(leaves, net.optimizer.clip_norm)
        optimizer.step()
        step.update()
    for name, value in [*net.parameters.items(), *net.state.items()]:
        assert np.allclose(value, p[name].detach().numpy(), rtol=1e-10, atol=1e-10), name


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_gradients_by_central_differences(row: Row) -> None:
    assert row.net().gradcheck(row.x, row.y, sample_weight=row.weight).passed


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_accumulated_parts_equal_the_whole_batch(row: Row) -> None:
    nets = [row.net(), row.net()]
    if "batch norm" in row.id:
        return  # batch statistics depend on how a batch is cut
    rows = len(row.y) if not isinstance(row.y, dict) else 12
    for net, size in zip(nets, (rows, rows // 3), strict=True):
        net.fit(row.x, row.y, epochs=3, batch_size=size, accumulate=rows // size, shuffle=False,
                sample_weight=row.weight, progress=False)  # fmt: skip
    assert nets[0].updates == nets[1].updates == 3
    assert np.allclose(nets[0].parameters.vector, nets[1].parameters.vector, rtol=1e-10, atol=1e-12)
