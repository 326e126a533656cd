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
    AdaptiveAvgPool2D,
    AdaptiveMaxPool2D,
    Add,
    AvgPool1D,
    AvgPool2D,
    BatchNorm,
    Cache,
    Concatenate,
    Conv1D,
    Conv1DTranspose,
    Conv2D,
    Conv2DTranspose,
    Cropping1D,
    Cropping2D,
    Cutout,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Embedding,
    Flatten,
    GaussianNoise,
    GlobalAvgPool1D,
    GlobalAvgPool2D,
    GlobalMaxPool1D,
    GlobalMaxPool2D,
    GroupNorm,
    HardSigmoid,
    HardSwish,
    Identity,
    Layer,
    LayerNorm,
    LeakyReLU,
    LogSoftmax,
    MaxPool1D,
    MaxPool2D,
    Mish,
    PReLU,
    RandomFlip,
    RandomRotation,
    RandomShift,
    RandomZoom,
    ReLU,
    Rescale,
    Reshape,
    RMSNorm,
    SeparableConv2D,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Softsign,
    Spec,
    Standardize,
    Tanh,
    UpSampling1D,
    UpSampling2D,
    Views,
    ZeroPadding1D,
    ZeroPadding2D,
)
from pellucid.random import Stream
from twins import (
    Twin,
    adaptive,
    axes_norm,
    convolution,
    covered,
    depthwise,
    enlarged,
    flipped,
    group_norm,
    padded,
    pool,
    transposed,
    warped,
    whole,
)

Arrays = dict[str, np.ndarray]
RANDOM = (Dropout, GaussianNoise, RandomShift, RandomRotation, RandomZoom, RandomFlip, Cutout)


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
        return isinstance(self.layer, RANDOM)


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
    rows: list[tuple[str, Layer, tuple[int, ...]]] = [
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
        ("plain", Conv1D(3, 3), (6, 2)),
        ("one step", Conv1D(2, 1), (1, 3)),
        ("no bias, strided", Conv1D(2, 3, strides=2, use_bias=False), (8, 2)),
        ("same", Conv1D(2, 4, strides=2, padding="same"), (7, 2)),
        ("causal", Conv1D(2, 3, padding="causal", dilation_rate=2), (6, 2)),
        ("by side, groups", Conv1D(4, 3, padding=(2, 1), groups=2), (5, 4)),
        ("plain", DepthwiseConv2D(3), (5, 4, 3)),
        ("two each", DepthwiseConv2D((2, 3), (2, 1), "same", depth_multiplier=2), (5, 4, 2)),
        ("dilated, no bias", DepthwiseConv2D(2, 1, 1, 2, use_bias=False), (4, 4, 2)),
        ("plain", SeparableConv2D(4, 3), (5, 4, 2)),
        ("two each", SeparableConv2D(3, 2, 2, "same", depth_multiplier=2), (5, 4, 2)),
        ("dilated, no bias", SeparableConv2D(3, 2, 1, 1, 2, use_bias=False), (4, 4, 2)),
        ("plain", Conv2DTranspose(3, 3), (2, 3, 2)),
        ("strided", Conv2DTranspose(2, 3, strides=2, padding=1), (3, 2, 2)),
        ("output padding", Conv2DTranspose(2, 3, 2, 1, output_padding=1), (3, 2, 2)),
        ("output padding (0, 2)", Conv2DTranspose(2, 2, (1, 3), output_padding=(0, 2)), (3, 2, 1)),
        ("output padding, dilated", Conv2DTranspose(2, 2, 1, 1, 2, dilation_rate=3), (3, 2, 1)),
        ("same", Conv2DTranspose(2, 3, strides=2, padding="same"), (3, 2, 2)),
        ("same, stride beyond kernel", Conv2DTranspose(2, 2, strides=3, padding="same"), (2, 3, 2)),
        ("by side", Conv2DTranspose(2, (3, 2), padding=((1, 0), (0, 1))), (3, 2, 2)),
        ("groups, dilated", Conv2DTranspose(4, 2, 2, groups=2, dilation_rate=2), (3, 2, 6)),
        ("no bias", Conv2DTranspose(2, 1, use_bias=False), (3, 2, 2)),
        ("plain", Conv1DTranspose(3, 3), (4, 2)),
        ("output padding", Conv1DTranspose(2, 4, 3, 1, output_padding=2), (3, 2)),
        ("same, groups", Conv1DTranspose(4, 3, 2, "same", groups=2), (3, 2)),
        ("by side", Conv1DTranspose(2, 3, 2, (1, 2)), (3, 2)),
    ]
    kinds = {DepthwiseConv2D: depthwise, SeparableConv2D: depthwise, Conv2DTranspose: transposed,
             Conv1DTranspose: transposed}  # fmt: skip
    return named(rows, lambda layer: kinds.get(type(layer), convolution)(layer))


def pools() -> list[Case]:
    rows: list[tuple[str, Layer, tuple[int, ...]]] = [
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
        ("plain", MaxPool1D(), (7, 2)),
        ("overlapping, by side", MaxPool1D(3, 2, (1, 2)), (6, 2)),
        ("plain", AvgPool1D(), (6, 2)),
        ("same, padding left out", AvgPool1D(3, 2, "same", count_include_pad=False), (6, 2)),
    ]
    cases = named(rows, pool)
    rows = [
        ("plain", GlobalMaxPool2D(), (4, 3, 2)),
        ("plain", GlobalAvgPool2D(), (4, 3, 2)),
        ("plain", GlobalMaxPool1D(), (4, 2)),
        ("plain", GlobalAvgPool1D(), (4, 2)),
        ("one pixel", GlobalMaxPool2D(), (1, 1, 2)),
        *[("kept", kind(keepdims=True), (4, 3, 2)) for kind in (GlobalMaxPool2D, GlobalAvgPool2D)],
        *[("kept", kind(keepdims=True), (4, 3)) for kind in (GlobalMaxPool1D, GlobalAvgPool1D)],
    ]
    cases += named(rows, whole)
    for kind in (AdaptiveMaxPool2D, AdaptiveAvgPool2D):
        rows = [
            ("divides", kind((2, 3)), (4, 6, 2)),
            ("overlaps", kind((3, 2)), (5, 7, 2)),
            ("more than there are", kind(5), (3, 2, 1)),
        ]
        cases += named(rows, adaptive)
    return cases


def resizings() -> list[Case]:
    rows: list[tuple[str, Layer, tuple[int, ...]]] = [
        ("nearest", UpSampling2D((2, 3)), (2, 3, 2)),
        ("bilinear", UpSampling2D(2, "bilinear"), (3, 2, 2)),
        ("bilinear, oblong", UpSampling2D((3, 1), "bilinear"), (2, 3, 1)),
        ("bilinear, one pixel", UpSampling2D(4, "bilinear"), (1, 1, 2)),
        ("nearest", UpSampling1D(3), (4, 2)),
        ("linear", UpSampling1D(4, "linear"), (3, 2)),
    ]
    cases = named(rows, enlarged)
    rows = [
        ("plain", ZeroPadding2D(), (2, 3, 2)),
        ("by axis", ZeroPadding2D((0, 2)), (2, 3, 2)),
        ("by side", ZeroPadding2D(((1, 0), (2, 3))), (2, 3, 1)),
        ("plain", ZeroPadding1D(2), (3, 2)),
        ("by side", ZeroPadding1D((0, 2)), (3, 2)),
        ("plain", Cropping2D(), (4, 3, 2)),
        ("nothing", Cropping2D(0), (4, 3, 2)),
        ("by side", Cropping2D(((1, 0), (2, 0))), (4, 3, 2)),
        ("plain", Cropping1D(), (4, 2)),
        ("by side", Cropping1D((0, 3)), (5, 2)),
    ]
    return cases + named(rows, padded)


def augmentations() -> list[Case]:
    rows: list[tuple[str, Layer, tuple[int, ...]]] = [
        ("plain", RandomShift(0.3), (4, 5, 2)),
        ("to one side", RandomShift((0.1, 0.6), (-0.2, 0.0), fill_mode="nearest"), (5, 4, 1)),
        ("plain", RandomRotation(0.4), (4, 4, 2)),
        ("oblong, filled", RandomRotation((0.1, 0.2), fill_value=-1.5), (3, 6, 1)),
        ("nearest", RandomRotation(1.0, fill_mode="nearest"), (5, 4, 2)),
        ("plain", RandomZoom(0.5), (4, 5, 2)),
        ("out, filled", RandomZoom((0.2, 1.5), (-0.5, 0.1), fill_value=2.0), (4, 3, 1)),
    ]
    cases = named(rows, warped)
    rows = [
        ("both", RandomFlip(), (3, 4, 2)),
        ("across", RandomFlip("horizontal"), (3, 4, 2)),
        ("upside down", RandomFlip("vertical"), (3, 4, 1)),
    ]
    cases += named(rows, flipped)
    rows = [("plain", Cutout(2), (4, 5, 2)), ("oblong", Cutout((3, 5), fill_value=0.5), (4, 4, 1))]
    return cases + named(rows, covered)


def named(rows: list[Any], twin: Callable[[Any], Twin]) -> list[Case]:
    """A case for each (name, layer, a row's shape), with its twin."""
    return [
        Case(
            f"{type(layer).__name__} {name}",
            layer,
            (shape,),
            twin(layer),
            batch=5 if "Random" in repr(layer) else 3,
        )
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


def row_norms() -> list[Case]:
    rows: list[tuple[str, Layer, tuple[int, ...]]] = [
        ("features", LayerNorm(), (5,)),
        ("images", LayerNorm(epsilon=0.1), (3, 2, 4)),
        ("bare", LayerNorm(center=False, scale=False), (3, 4)),
        ("two axes", LayerNorm((-2, -1)), (2, 3, 4)),
        ("axis 1", LayerNorm(1, center=False), (4, 3)),
        ("features", RMSNorm(), (5,)),
        ("sequences", RMSNorm(epsilon=0.1), (3, 4)),
        ("two axes", RMSNorm((1, 3)), (2, 3, 2)),
        ("bare", RMSNorm(scale=False), (4,)),
    ]
    cases = named(rows, axes_norm)
    rows = [
        ("features", GroupNorm(2), (6,)),
        ("images", GroupNorm(3, epsilon=0.1), (3, 2, 6)),
        ("one", GroupNorm(1, scale=False), (3, 4)),
        ("each", GroupNorm(-1, center=False), (3, 2, 2)),
    ]
    return cases + named(rows, group_norm)


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
    *resizings(),
    *augmentations(),
    *norms(),
    *row_norms(),
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
