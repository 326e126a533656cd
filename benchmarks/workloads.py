"""What is measured: the kinds of training and of prediction, and what was promised for each.

A target is a ratio of times: the peer's over Pellucid's, at least so much. The peer is the fastest
one ("best"), or a named one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from benchmarks.networks import LayerTuple

BEST = "best"


def dense(*sizes: int) -> list[LayerTuple]:
    """Dense layers with ReLU between them; the first size is the input's and names no layer."""
    layers: list[LayerTuple] = []
    for units in sizes[1:]:
        layers += [("dense", units), ("relu",)]
    return layers[:-1]


LENET: list[LayerTuple] = [
    ("conv", 6, 5, 2), ("relu",), ("pool", 2),
    ("conv", 16, 5, 0), ("relu",), ("pool", 2),
    ("flatten",), *dense(400, 120, 84, 10),
]  # fmt: skip
TWO_CONVOLUTIONS: list[LayerTuple] = [
    ("conv", 32, 3, 0), ("relu",), ("conv", 64, 3, 0), ("relu",), ("pool", 2),
    ("flatten",), *dense(9216, 128, 10),
]  # fmt: skip


@dataclass(frozen=True)
class Workload:
    """One network on one set of data, trained or asked.

    Attributes
    ----------
    name, title : in commands and file names; in tables
    kind : "train", whole epochs from the same start, or "predict", one call after another
    layers, data : see `networks.py` and `data.py`
    targets : the least ratio to each peer named, or to the best of them
    batch, epochs, optimizer, rate, loss : of training
    calls : how many predictions are timed together
    rounds : how often each contender is timed
    tolerance : how far apart the final losses may be, relative to ours; for predictions, how far
        apart the outputs, absolutely
    """

    name: str
    title: str
    kind: Literal["train", "predict"]
    layers: list[LayerTuple]
    data: str
    targets: dict[str, float]
    batch: int = 0
    epochs: int = 1
    optimizer: str = "adam"
    rate: float = 1e-3
    loss: str = "cross_entropy"
    calls: int = 1
    rounds: int = 9
    tolerance: float = 0.01
    dense_only: bool = field(init=False)

    def __post_init__(self) -> None:
        plain = all(kind in ("dense", "relu") for kind, *_ in self.layers)
        object.__setattr__(self, "dense_only", plain)


ONNX, EAGER = "ONNX Runtime", "PyTorch eager"
# A convolutional network has millions of ReLUs a step. Where one stands at 0 but for rounding, it
# opens for one contender and not for another, and Adam makes a whole step of however small a
# gradient: changing the initial weights by 1e-7 moves LeNet's loss after an epoch by up to 2 %.
FLIPS = 0.05

WORKLOADS = [
    Workload(
        "small", "64-15-10, batch 15, Adam, 1,797 rows", "train", dense(64, 15, 10), "small_digits",
        {BEST: 2, EAGER: 30}, batch=15, epochs=40,
    ),
    Workload(
        "regression", "5-10-10-1, batch 64, SGD, 64,000 rows", "train", dense(5, 10, 10, 1),
        "regression", {BEST: 2}, batch=64, epochs=4, optimizer="sgd", rate=1e-2, loss="mse",
    ),
    Workload(
        "digits", "784-128-10, batch 128, Adam, 8,000 rows", "train", dense(784, 128, 10), "digits",
        {BEST: 1.2}, batch=128, epochs=8,
    ),
    Workload(
        "digits60k", "784-128-10, batch 128, Adam, 60,000 rows", "train", dense(784, 128, 10),
        "many_digits", {BEST: 1.5}, batch=128, epochs=2, rounds=7,
    ),
    Workload(
        "wide", "784-512-512-10, batch 256, Adam, 8,000 rows", "train", dense(784, 512, 512, 10),
        "digits", {BEST: 1.0}, batch=256, epochs=4, rounds=7,
    ),
    Workload(
        "lenet", "LeNet-5 (6 and 16 maps), batch 64, Adam, 8,000 images", "train", LENET, "images",
        {BEST: 2}, batch=64, epochs=1, rounds=7, tolerance=FLIPS,
    ),
    Workload(
        "conv", "Conv 32 and 64, pool, dense 128, batch 64, Adam, 2,000 images", "train",
        TWO_CONVOLUTIONS, "some_images", {BEST: 1.4}, batch=64, epochs=1, rounds=5, tolerance=FLIPS,
    ),
    Workload(
        "one_small", "predict one row, 64-15-10", "predict", dense(64, 15, 10), "one_small_row",
        {ONNX: 2}, calls=3000, tolerance=1e-5,
    ),
    Workload(
        "one", "predict one row, 784-128-10", "predict", dense(784, 128, 10), "one_row",
        {ONNX: 1.2}, calls=3000, tolerance=1e-5,
    ),
    Workload(
        "rows", "predict 10,000 rows, 784-128-10", "predict", dense(784, 128, 10), "ten_thousand",
        {ONNX: 1.0}, calls=20, tolerance=1e-5,
    ),
    Workload(
        "lenet_images", "predict 1,000 images, LeNet-5", "predict", LENET, "thousand_images",
        {ONNX: 1.2}, calls=10, tolerance=1e-5,
    ),
]  # fmt: skip


def chosen(only: str | None) -> list[Workload]:
    """All workloads, or those named in a list with commas."""
    if not only:
        return WORKLOADS
    names = only.split(",")
    known = {work.name: work for work in WORKLOADS}
    for name in names:
        if name not in known:
            raise SystemExit(f"there is no workload {name!r}; there are {', '.join(known)}")
    return [known[name] for name in names]
