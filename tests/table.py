"""One table of layers: a row is a layer, the shapes it is fed and its PyTorch twin.

`test_layers.py` puts every row through gradient checks, PyTorch, dtypes, memory layouts, empty and
size-one batches, saving and more; whoever adds a layer adds a row. No network is needed: the few
functions below hand a layer random parameters, state and inputs, and keep them where it cannot
write by mistake.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from pellucid.layers import (
    ELU,
    GELU,
    SELU,
    Add,
    AvgPool2D,
    BatchNorm,
    Cache,
    Concatenate,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GaussianNoise,
    HardSigmoid,
    HardSwish,
    Identity,
    Layer,
    LeakyReLU,
    LogSoftmax,
    MaxPool2D,
    Mish,
    PReLU,
    ReLU,
    Rescale,
    Reshape,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Softsign,
    Spec,
    Standardize,
    Tanh,
    Views,
)
from pellucid.random import Stream

Arrays = dict[str, np.ndarray]
Twin = Callable[[dict[str, torch.Tensor], dict[str, torch.Tensor], Any, bool], torch.Tensor]


@dataclass(frozen=True)
class Case:
    """A layer, the shapes of its inputs' rows, and the same computation in PyTorch.

    `torch(p, state, x, training)` gets a tensor, or a list of them where the layer takes several;
    where the layer has running statistics it changes `state` in place. `below` is there for layers
    that read integers, and says how great those may be.
    """

    id: str
    layer: Layer
    shapes: tuple[tuple[int, ...], ...]
    torch: Twin = field(repr=False)
    batch: int = 3
    below: int | None = None

    @property
    def specs(self) -> tuple[Spec, ...]:
        return tuple(Spec(shape, "int" if self.below else "float") for shape in self.shapes)

    @property
    def random(self) -> bool:
        return isinstance(self.layer, Dropout | GaussianNoise)


# ------------------------------------------------------------------------------------ the harness


def parameters(case: Case, dtype: Any = np.float64) -> Arrays:
    """Random parameters, read-only: no layer writes them."""
    rng = np.random.default_rng(1)
    found = {}
    for name, spec in case.layer.parameter_specs(*case.specs).items():
        found[name] = rng.normal(size=spec.shape).astype(dtype)
        found[name].flags.writeable = False
    return found


def states(case: Case, dtype: Any = np.float64) -> Arrays:
    """Random state: what is called a variance is positive."""
    rng = np.random.default_rng(2)
    found = {}
    for name, spec in case.layer.state_specs(*case.specs).items():
        draw = (
            rng.uniform(0.5, 2, spec.shape) if name == "variance" else rng.normal(size=spec.shape)
        )
        found[name] = draw.astype(dtype)
    return found


def inputs(case: Case, dtype: Any = np.float64, batch: int | None = None) -> list[np.ndarray]:
    """Inputs in which no two numbers are equal and none is near 0: no ties, no corners."""
    rng = np.random.default_rng(3)
    found = []
    for shape in case.shapes:
        full = (case.batch if batch is None else batch, *shape)
        if case.below:
            found.append(rng.integers(case.below, size=full))
        else:
            values = np.linspace(-2, 2.3, max(int(np.prod(full)), 1) + 1)[: np.prod(full)]
            values = values + np.where(np.abs(values) < 1e-3, 0.002, 0)
            found.append(rng.permutation(values).reshape(full).astype(dtype))
    return found


def forward(
    case: Case, x: list[np.ndarray], p: Arrays, state: Arrays | None = None, *,
    training: bool = False, needs_dx: bool = True,
) -> tuple[np.ndarray, Cache]:  # fmt: skip
    """The output and the cache, whose `new_state` starts as a copy of the state."""
    state = state or {}
    new = Views({name: array.copy() for name, array in state.items()})
    cache = Cache(training=training, state=Views(state), new_state=new, needs_dx=needs_dx)
    one = x[0] if case.layer.arity == 1 else tuple(x)
    return case.layer.forward(one, Views(p), cache), cache


def backward(
    case: Case, dy: np.ndarray, p: Arrays, cache: Cache, start: float = 0.0
) -> tuple[list[np.ndarray | None], Arrays]:
    """The gradients by the inputs and by the parameters, the latter added to `start`."""
    dp = {name: np.full_like(array, start) for name, array in p.items()}
    dx = case.layer.backward(dy, Views(p), Views(dp), cache)
    return ([dx] if case.layer.arity == 1 else list(dx)), dp


def slopes(y: np.ndarray) -> np.ndarray:
    """A gradient by the output, read-only: no layer writes it."""
    dy = np.random.default_rng(4).normal(size=y.shape).astype(y.dtype)
    dy.flags.writeable = False
    return dy


# ------------------------------------------------------------------------------- PyTorch's layers


def nchw(x: torch.Tensor) -> torch.Tensor:
    return x.permute(0, 3, 1, 2)


def nhwc(x: torch.Tensor) -> torch.Tensor:
    return x.permute(0, 2, 3, 1)


def pads(padding: Any, size: Any, kernel: Any, strides: Any, dilation: Any) -> list[int]:
    """What `F.pad` takes: left, right, top, bottom; "same" from its definition in ONNX."""
    if padding == "valid":
        return [0, 0, 0, 0]
    if padding == "same":
        found = []
        for n, k, s, d in zip(size, kernel, strides, dilation, strict=True):
            total = max((int(np.ceil(n / s)) - 1) * s + (k - 1) * d + 1 - n, 0)
            found.append((total // 2, total - total // 2))
        (top, bottom), (left, right) = found
        return [left, right, top, bottom]
    pair = two(padding)
    (top, bottom), (left, right) = two(pair[0]), two(pair[1])
    return [left, right, top, bottom]


def two(value: Any) -> tuple[Any, Any]:
    return (value, value) if isinstance(value, int) else tuple(value)


def conv2d(layer: Conv2D) -> Twin:
    def twin(p: Any, state: Any, x: Any, training: bool) -> torch.Tensor:
        kernel, strides = two(layer.kernel_size), two(layer.strides)
        dilation = two(layer.dilation_rate)
        around = pads(layer.padding, x.shape[1:3], kernel, strides, dilation)
        x = F.pad(nchw(x), around)
        W = p["W"].permute(3, 2, 0, 1)
        y = F.conv2d(x, W, p.get("b"), strides, 0, dilation, layer.groups)
        return nhwc(y)

    return twin


def pool2d(layer: MaxPool2D | AvgPool2D) -> Twin:
    def twin(p: Any, state: Any, x: Any, training: bool) -> torch.Tensor:
        kernel = two(layer.pool_size)
        strides = kernel if layer.strides is None else two(layer.strides)
        around = pads(layer.padding, x.shape[1:3], kernel, strides, (1, 1))
        if isinstance(layer, MaxPool2D):
            return nhwc(F.max_pool2d(F.pad(nchw(x), around, value=-np.inf), kernel, strides))
        total = F.avg_pool2d(F.pad(nchw(x), around), kernel, strides)
        if not layer.count_include_pad:
            ones = F.pad(torch.ones_like(nchw(x)), around)
            total = total / F.avg_pool2d(ones, kernel, strides)
        return nhwc(total)

    return twin


def batch_norm(layer: BatchNorm) -> Twin:
    def twin(p: Any, state: Any, x: Any, training: bool) -> torch.Tensor:
        y = F.batch_norm(
            x.movedim(-1, 1), state["mean"], state["variance"], p.get("gamma"), p.get("beta"),
            training, 1 - layer.momentum, layer.epsilon,
        )  # fmt: skip
        return y.movedim(1, -1)

    return twin


def dense(p: Any, state: Any, x: Any, training: bool) -> torch.Tensor:
    return F.linear(x, p["W"].T, p.get("b"))


def standardize(p: Any, state: Any, x: Any, training: bool) -> torch.Tensor:
    return (x - state["mean"]) / torch.sqrt(state["variance"])


def dropout(rate: float) -> Twin:
    def twin(p: Any, state: Any, x: Any, training: bool) -> torch.Tensor:
        if not training:
            return F.dropout(x, rate, training=False)
        kept = Stream(0, "layer").keep(tuple(x.shape), rate)  # the mask itself is checked elsewhere
        return x * torch.tensor(kept) / (1 - rate)

    return twin


def gaussian_noise(stddev: float) -> Twin:
    def twin(p: Any, state: Any, x: Any, training: bool) -> torch.Tensor:
        if not training:
            return 1 * x
        noise = Stream(0, "layer").normal(tuple(x.shape), std=stddev)  # checked elsewhere
        return x + torch.tensor(noise)

    return twin


def prelu(p: Any, state: Any, x: Any, training: bool) -> torch.Tensor:
    return F.prelu(x.movedim(-1, 1), p["alpha"]).movedim(1, -1)


def simple(f: Callable[[Any], torch.Tensor]) -> Twin:
    return lambda p, state, x, training: f(x)


# -------------------------------------------------------------------------------------- the table


def convolutions() -> list[Case]:
    rows: list[tuple[str, Conv2D, tuple[int, ...]]] = [
        ("plain", Conv2D(3, 3), (6, 5, 2)),
        ("one channel", Conv2D(2, 3), (5, 5, 1)),
        ("no bias", Conv2D(2, 2, use_bias=False), (4, 4, 2)),
        ("1x1", Conv2D(3, 1), (3, 4, 2)),
        ("1x1 strided", Conv2D(3, 1, strides=2), (4, 5, 2)),
        ("whole image", Conv2D(2, (4, 3)), (4, 3, 2)),
        ("oblong, strided", Conv2D(2, (3, 2), strides=(2, 1)), (7, 4, 2)),
        ("stride leaves a rest", Conv2D(2, 2, strides=3), (7, 9, 1)),
        ("same", Conv2D(2, 3, padding="same"), (4, 5, 2)),
        ("same, even, strided", Conv2D(2, (2, 4), strides=2, padding="same"), (5, 6, 2)),
        ("same, stride beyond kernel", Conv2D(2, 2, strides=3, padding="same"), (7, 6, 1)),
        ("padding 1", Conv2D(2, 3, padding=1), (3, 4, 2)),
        ("padding (2, 0)", Conv2D(2, 3, padding=(2, 0)), (3, 4, 2)),
        ("padding by side", Conv2D(2, 3, padding=((1, 0), (2, 3))), (3, 2, 1)),
        ("dilated", Conv2D(2, (3, 2), dilation_rate=(2, 3), padding=1), (5, 5, 2)),
        ("groups", Conv2D(4, 3, groups=2, strides=2, padding=1), (5, 5, 6)),
        ("depthwise", Conv2D(6, 2, groups=3), (4, 3, 3)),
    ]
    return [Case(f"Conv2D {name}", layer, (shape,), conv2d(layer)) for name, layer, shape in rows]


def pools() -> list[Case]:
    rows: list[tuple[str, MaxPool2D | AvgPool2D, tuple[int, ...]]] = [
        ("plain", MaxPool2D(), (4, 6, 2)),
        ("leaves a rest", MaxPool2D(2), (5, 7, 2)),
        ("overlapping, padded", MaxPool2D(3, strides=2, padding=1), (5, 6, 2)),
        ("oblong, same", MaxPool2D((2, 3), strides=(1, 2), padding="same"), (4, 5, 2)),
        ("gaps", MaxPool2D(1, strides=2), (4, 5, 1)),
        ("plain", AvgPool2D(), (4, 6, 2)),
        ("padded", AvgPool2D(3, strides=2, padding=1), (5, 6, 2)),
        ("padding left out", AvgPool2D(3, 2, 1, count_include_pad=False), (5, 6, 2)),
        ("by side", AvgPool2D((2, 3), 1, ((1, 0), (2, 1)), count_include_pad=False), (3, 4, 2)),
        ("same", AvgPool2D(2, 2, "same", count_include_pad=False), (5, 5, 2)),
    ]
    return [
        Case(f"{type(layer).__name__} {name}", layer, (shape,), pool2d(layer))
        for name, layer, shape in rows
    ]


def norms() -> list[Case]:
    rows: list[tuple[str, BatchNorm, tuple[int, ...], int]] = [
        ("features", BatchNorm(), (4,), 5),
        ("images", BatchNorm(momentum=0.7), (3, 2, 4), 3),
        ("sequences", BatchNorm(epsilon=0.1), (3, 2), 4),
        ("no center", BatchNorm(center=False), (3,), 4),
        ("no scale", BatchNorm(scale=False), (3,), 4),
        ("bare", BatchNorm(center=False, scale=False), (2, 2, 2), 2),
    ]
    return [
        Case(f"BatchNorm {name}", layer, (shape,), batch_norm(layer), batch=batch)
        for name, layer, shape, batch in rows
    ]


def activations() -> list[Case]:
    rows: list[tuple[str, Layer, Callable[[Any], torch.Tensor]]] = [
        ("Identity", Identity(), lambda x: 1 * x),
        ("ReLU", ReLU(), F.relu),
        ("LeakyReLU", LeakyReLU(), F.leaky_relu),
        ("LeakyReLU 0.3", LeakyReLU(0.3), lambda x: F.leaky_relu(x, 0.3)),
        ("ELU", ELU(), F.elu),
        ("ELU 0.3", ELU(0.3), lambda x: F.elu(x, 0.3)),
        ("SELU", SELU(), F.selu),
        ("GELU", GELU(), F.gelu),
        ("GELU tanh", GELU(approximate="tanh"), lambda x: F.gelu(x, approximate="tanh")),
        ("SiLU", SiLU(), F.silu),
        ("Mish", Mish(), F.mish),
        ("Softplus", Softplus(), F.softplus),
        ("Softplus 3", Softplus(3), lambda x: F.softplus(x, 3)),
        ("HardSigmoid", HardSigmoid(), lambda x: F.relu6(x + 3) / 6),  # its own has 1/6 in float32
        ("HardSwish", HardSwish(), F.hardswish),
        ("Sigmoid", Sigmoid(), torch.sigmoid),
        ("Tanh", Tanh(), torch.tanh),
        ("Softsign", Softsign(), F.softsign),
    ]
    return [Case(name, layer, ((7,),), simple(f)) for name, layer, f in rows]


CASES: list[Case] = [
    Case("Dense", Dense(4), ((5,),), dense),
    Case("Dense no bias", Dense(2, use_bias=False), ((3,),), dense),
    Case("Dense one to one", Dense(1), ((1,),), dense),
    Case("Dense sequences", Dense(3), ((4, 2),), dense),
    Case("Dense images", Dense(2), ((2, 3, 4),), dense),
    *activations(),
    Case("ReLU images", ReLU(), ((3, 2, 2),), simple(F.relu)),
    Case("GELU images", GELU(), ((3, 2, 2),), simple(F.gelu)),
    Case("PReLU", PReLU(), ((7,),), prelu),
    Case("PReLU images", PReLU(), ((3, 2, 2),), prelu),
    Case("PReLU for all", PReLU(per_channel=False), ((3, 2),), prelu),
    Case("Softmax", Softmax(), ((5,),), simple(lambda x: F.softmax(x, -1))),
    Case("Softmax one class", Softmax(), ((1,),), simple(lambda x: F.softmax(x, -1))),
    Case("Softmax axis 1", Softmax(axis=1), ((3, 2, 2),), simple(lambda x: F.softmax(x, 1))),
    Case("Softmax axis -2", Softmax(axis=-2), ((3, 4),), simple(lambda x: F.softmax(x, -2))),
    Case("LogSoftmax", LogSoftmax(), ((5,),), simple(lambda x: F.log_softmax(x, -1))),
    Case("LogSoftmax axis 1", LogSoftmax(1), ((3, 2, 2),), simple(lambda x: F.log_softmax(x, 1))),
    *convolutions(),
    *pools(),
    *norms(),
    Case("Standardize", Standardize(), ((4,),), standardize),
    Case("Standardize images", Standardize(), ((2, 3, 2),), standardize),
    Case("Rescale", Rescale(1 / 255), ((2, 2, 1),), simple(lambda x: x / 255)),
    Case("Rescale offset", Rescale(2.5, -1.5), ((4,),), simple(lambda x: x * 2.5 - 1.5)),
    Case("Flatten", Flatten(), ((2, 3, 2),), simple(lambda x: x.flatten(1))),
    Case("Flatten nothing to do", Flatten(), ((4,),), simple(lambda x: x.flatten(1))),
    Case("Reshape", Reshape((3, -1, 2)), ((4, 3),), simple(lambda x: x.reshape(-1, 3, 2, 2))),
    Case("Reshape exact", Reshape((4, 3, 1)), ((12,),), simple(lambda x: x.reshape(-1, 4, 3, 1))),
    Case("Dropout", Dropout(0.3), ((6,),), dropout(0.3)),
    Case("Dropout images", Dropout(0.6), ((3, 2, 2),), dropout(0.6)),
    Case("Dropout none", Dropout(0.0), ((4,),), dropout(0.0)),
    Case("GaussianNoise", GaussianNoise(0.3), ((6,),), gaussian_noise(0.3)),
    Case("GaussianNoise images", GaussianNoise(2), ((3, 2, 2),), gaussian_noise(2.0)),
    Case("GaussianNoise none", GaussianNoise(0.0), ((4,),), gaussian_noise(0.0)),
    Case("Add", Add(), ((4,), (4,)), simple(lambda x: x[0] + x[1])),
    Case("Add three", Add(), ((2, 3),) * 3, simple(lambda x: x[0] + x[1] + x[2])),
    Case("Concatenate", Concatenate(), ((2,), (3,), (1,)), simple(lambda x: torch.cat(x, -1))),
    Case(
        "Concatenate axis 1",
        Concatenate(axis=1),
        ((2, 3), (4, 3)),
        simple(lambda x: torch.cat(x, 1)),
    ),
    Case(
        "Concatenate axis -2",
        Concatenate(-2),
        ((2, 1, 3), (2, 4, 3)),
        simple(lambda x: torch.cat(x, -2)),
    ),
    Case(
        "Embedding",
        Embedding(4, 3),
        ((5,),),
        lambda p, state, x, training: F.embedding(x, p["W"]),
        below=4,
    ),
    Case(
        "Embedding one a row",
        Embedding(3, 2),
        ((),),
        lambda p, state, x, training: F.embedding(x, p["W"]),
        batch=6,
        below=3,
    ),
]
