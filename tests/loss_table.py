"""One table of losses: a row is a loss, the shape of its outputs, its targets and its PyTorch twin.

`test_losses.py` puts every row through PyTorch, central differences, dtypes, memory layouts, weights,
both engines and more; whoever adds a loss adds a row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn import functional as F

from pellucid import LogSoftmax, Softplus
from pellucid.layers import Layer
from pellucid.losses import (
    MAE,
    MSE,
    NLL,
    BinaryCrossEntropy,
    BinaryFocal,
    CategoricalHinge,
    CosineDistance,
    CrossEntropy,
    Focal,
    Hinge,
    Huber,
    KLDivergence,
    LogCosh,
    Loss,
    Poisson,
    Quantile,
    SquaredHinge,
)

Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
Peer = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


# ---------------------------------------------------------------------------- targets and outputs


def values(rng, shape):
    return rng.normal(size=shape)


def without_last(rng, shape):
    return rng.normal(size=shape[:-1])


def indices(rng, shape):
    return rng.integers(0, shape[-1], shape[:-1])


def smooth(rng, shape):
    return rng.dirichlet(np.ones(shape[-1]), shape[:-1])


def one_hot(rng, shape):
    return np.eye(shape[-1])[indices(rng, shape)]


def yes_no(rng, shape):
    return rng.integers(0, 2, shape)


def signs(rng, shape):
    return 2 * rng.integers(0, 2, shape) - 1


def share(rng, shape):
    return rng.uniform(size=shape)


def counts(rng, shape):
    return rng.poisson(2, shape)


def any_output(rng, shape):
    return 2 * rng.normal(size=shape)


def log_probabilities(rng, shape):
    z = 2 * rng.normal(size=shape)
    return z - np.log(np.exp(z).sum(axis=-1, keepdims=True))


def rates(rng, shape):
    return rng.uniform(0.1, 4, shape)


class Case(NamedTuple):
    """A loss, the shape of its outputs, how to draw targets, and the same in PyTorch.

    `peer(p, y)` gives each row's value, (B,). `outputs` draws what the loss may be handed, and
    `head` are the layers by which a network comes to give such outputs.
    """

    loss: Loss
    shape: tuple[int, ...]
    target: Draw
    peer: Peer
    outputs: Draw = any_output
    head: tuple[Layer, ...] = ()


# ------------------------------------------------------------------------------- PyTorch's losses


def mean(x):
    return x.reshape(len(x), -1).mean(dim=1)


def elementwise(f: Callable[..., torch.Tensor], **options: Any) -> Peer:
    return lambda p, y: mean(f(p, y.double(), reduction="none", **options))


def cross_entropy(p, y, **options):
    if p.ndim > 2:  # PyTorch has the classes on axis 1
        p, y = p.movedim(-1, 1).contiguous(), y if y.ndim == p.ndim - 1 else y.movedim(-1, 1)
    return mean(F.cross_entropy(p, y, reduction="none", **options))


def smoothed(p, y):
    return cross_entropy(p, y, label_smoothing=0.1)


def nll(p, y):
    if y.ndim == p.ndim:
        return mean(-(y * p).sum(dim=-1))
    return mean(F.nll_loss(p.movedim(-1, 1).contiguous(), y, reduction="none"))


def binary(weight=None, smoothing=0.0):
    weight = None if weight is None else torch.tensor(weight, dtype=torch.float64)

    def peer(p, y):
        y = y.double() * (1 - smoothing) + smoothing / 2
        loss = F.binary_cross_entropy_with_logits
        return mean(loss(p, y, reduction="none", pos_weight=weight))

    return peer


def log_cosh(p, y):
    return mean(torch.log(torch.cosh(p - y)))


def pinball(*q):
    def peer(p, y):
        tau = torch.tensor(q, dtype=torch.float64)
        error = (y[..., None] if y.ndim < p.ndim else y) - p
        return mean(torch.maximum(tau * error, (tau - 1) * error))

    return peer


def cosine(p, y):
    return mean(1 - F.cosine_similarity(p, y, dim=-1))


def hinge(power):
    return lambda p, y: mean(torch.clamp(1 - y * p, min=0) ** power)


def categorical_hinge(power):
    def peer(p, y):
        true = y.bool() if y.ndim == p.ndim else F.one_hot(y, p.shape[-1]).bool()
        rival = p.masked_fill(true, -torch.inf).max(dim=-1).values
        return mean(
            torch.clamp(1 + rival - p.masked_select(true).reshape(rival.shape), min=0) ** power
        )

    return peer


def focal(gamma, alpha=None):
    def peer(p, y):
        y = y.argmax(dim=-1) if y.ndim == p.ndim else y
        log_p = F.log_softmax(p, -1).gather(-1, y[..., None])[..., 0]
        weight = 1 if alpha is None else torch.tensor(alpha, dtype=torch.float64)[y]
        return mean(-weight * (1 - log_p.exp()) ** gamma * log_p)

    return peer


def binary_focal(gamma, yes=1.0, no=1.0):
    def peer(p, y):
        y, q = y.double(), torch.sigmoid(p)
        down = no * (1 - y) * q**gamma * F.logsigmoid(-p)
        return mean(-yes * y * (1 - q) ** gamma * F.logsigmoid(p) - down)

    return peer


# -------------------------------------------------------------------------------------- the table

mse, mae = elementwise(F.mse_loss), elementwise(F.l1_loss)
CASES = {
    "mse": Case(MSE(), (5, 3), values, mse),
    "mse-one-output": Case(MSE(), (4, 1), values, mse),
    "mse-vector": Case(MSE(), (4,), values, mse),
    "mse-images": Case(MSE(), (2, 3, 4, 2), values, mse),
    "mse-one": Case(MSE(), (1, 1), values, mse),
    "mse-scaled": Case(0.25 * MSE(), (5, 3), values, lambda p, y: 0.25 * mse(p, y)),
    "mae": Case(MAE(), (5, 3), values, mae),
    "mae-vector": Case(MAE(), (5,), values, mae),
    "mae-images": Case(MAE(), (2, 3, 2, 2), values, mae),
    "huber": Case(Huber(), (5, 3), values, elementwise(F.huber_loss)),
    "huber-0.5": Case(Huber(0.5), (5, 1), values, elementwise(F.huber_loss, delta=0.5)),
    "log-cosh": Case(LogCosh(), (5, 3), values, log_cosh),
    "quantile": Case(Quantile(0.8), (5, 3), values, pinball(0.8)),
    "quantile-vector": Case(Quantile(), (6,), values, pinball(0.5)),
    "quantiles": Case(Quantile((0.1, 0.5, 0.9)), (5, 3), without_last, pinball(0.1, 0.5, 0.9)),
    "quantiles-of-two": Case(Quantile((0.2, 0.7)), (4, 2, 2), without_last, pinball(0.2, 0.7)),
    "poisson": Case(Poisson(), (5, 2), counts, elementwise(F.poisson_nll_loss)),
    "poisson-rates": Case(
        Poisson(log_input=False), (5, 2), counts,
        elementwise(F.poisson_nll_loss, log_input=False, eps=1e-8), rates, (Softplus(),),
    ),
    "cosine": Case(CosineDistance(), (5, 3), values, cosine),
    "cosine-sequence": Case(CosineDistance(), (3, 4, 2), values, cosine),
    "cross-entropy": Case(CrossEntropy(), (6, 5), indices, cross_entropy),
    "cross-entropy-two": Case(CrossEntropy(), (4, 2), indices, cross_entropy),
    "cross-entropy-one-row": Case(CrossEntropy(), (1, 3), indices, cross_entropy),
    "cross-entropy-one-hot": Case(CrossEntropy(), (6, 5), one_hot, cross_entropy),
    "cross-entropy-probable": Case(CrossEntropy(), (6, 5), smooth, cross_entropy),
    "cross-entropy-sequence": Case(CrossEntropy(), (3, 4, 5), indices, cross_entropy),
    "cross-entropy-sequence-probable": Case(CrossEntropy(), (3, 4, 5), smooth, cross_entropy),
    "cross-entropy-pixels": Case(CrossEntropy(), (2, 3, 4, 5), indices, cross_entropy),
    "cross-entropy-scaled": Case(
        CrossEntropy(scale=3.0), (6, 5), indices, lambda p, y: 3 * cross_entropy(p, y)
    ),
    "cross-entropy-smoothed": Case(CrossEntropy(label_smoothing=0.1), (6, 5), indices, smoothed),
    "cross-entropy-smoothed-rows": Case(CrossEntropy(label_smoothing=0.1), (6, 5), smooth, smoothed),
    "cross-entropy-smoothed-pixels": Case(
        CrossEntropy(label_smoothing=0.1), (2, 3, 2, 4), indices, smoothed
    ),
    "cross-entropy-nothing-ignored": Case(
        CrossEntropy(ignore_index=-1), (3, 4, 5), indices, cross_entropy
    ),
    "nll": Case(NLL(), (6, 5), indices, nll, log_probabilities, (LogSoftmax(),)),
    "nll-rows": Case(NLL(), (6, 5), smooth, nll, log_probabilities, (LogSoftmax(),)),
    "nll-pixels": Case(NLL(), (2, 3, 2, 4), indices, nll, log_probabilities, (LogSoftmax(),)),
    "kl": Case(
        KLDivergence(), (6, 5), smooth,
        lambda p, y: F.kl_div(p, y, reduction="none").sum(dim=-1), log_probabilities, (LogSoftmax(),),
    ),
    "kl-sequence": Case(
        KLDivergence(), (3, 4, 5), one_hot,
        lambda p, y: mean(F.kl_div(p, y, reduction="none").sum(dim=-1)), log_probabilities,
        (LogSoftmax(),),
    ),
    "binary": Case(BinaryCrossEntropy(), (6, 1), yes_no, binary()),
    "binary-vector": Case(BinaryCrossEntropy(), (6,), yes_no, binary()),
    "binary-multilabel": Case(BinaryCrossEntropy(), (6, 4), yes_no, binary()),
    "binary-shares": Case(BinaryCrossEntropy(), (6, 4), share, binary()),
    "binary-sequence": Case(BinaryCrossEntropy(), (2, 3, 4), yes_no, binary()),
    "binary-weighted": Case(BinaryCrossEntropy(2.5), (6, 2), share, binary(2.5)),
    "binary-weights": Case(
        BinaryCrossEntropy((0.5, 2.0, 7.0)), (6, 3), yes_no, binary([0.5, 2.0, 7.0])
    ),
    "binary-smoothed": Case(
        BinaryCrossEntropy(label_smoothing=0.2), (6, 2), yes_no, binary(None, 0.2)
    ),
    "hinge": Case(Hinge(), (7, 2), signs, hinge(1)),
    "hinge-vector": Case(Hinge(), (7,), signs, hinge(1)),
    "squared-hinge": Case(SquaredHinge(), (7, 2), signs, hinge(2)),
    "categorical-hinge": Case(CategoricalHinge(), (7, 4), indices, categorical_hinge(1)),
    "categorical-hinge-rows": Case(CategoricalHinge(), (7, 2), one_hot, categorical_hinge(1)),
    "categorical-hinge-squared": Case(
        CategoricalHinge(squared=True), (4, 3, 4), indices, categorical_hinge(2)
    ),
    "focal": Case(Focal(), (6, 4), indices, focal(2)),
    "focal-rows": Case(Focal(0.5), (6, 2), one_hot, focal(0.5)),
    "focal-pixels": Case(
        Focal(1.5, (0.2, 1.0, 3.0)), (2, 3, 2, 3), indices, focal(1.5, [0.2, 1.0, 3.0])
    ),
    "focal-0": Case(Focal(0), (6, 4), indices, cross_entropy),
    "binary-focal": Case(BinaryFocal(), (6, 2), yes_no, binary_focal(2)),
    "binary-focal-0.25": Case(
        BinaryFocal(1.5, 0.25), (6,), share, binary_focal(1.5, 0.25, 0.75)
    ),
}  # fmt: skip
