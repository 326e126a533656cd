"""The compiled engine against the NumPy engine, its specification, and the twins between them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest

from pellucid import (
    ELU,
    EMA,
    GELU,
    L1,
    L2,
    MSE,
    NLL,
    SGD,
    Adam,
    AdamW,
    AdaptiveAvgPool2D,
    AdaptiveMaxPool2D,
    Add,
    AvgPool1D,
    AvgPool2D,
    BatchNorm,
    BinaryCrossEntropy,
    Concatenate,
    Conv1D,
    Conv1DTranspose,
    Conv2D,
    Conv2DTranspose,
    Cosine,
    Cropping2D,
    CrossEntropy,
    Cutout,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Embedding,
    Flatten,
    GaussianNoise,
    GlobalAvgPool2D,
    GlobalMaxPool1D,
    GroupNorm,
    Huber,
    Identity,
    Input,
    LayerNorm,
    LeakyReLU,
    LogSoftmax,
    MaxPool1D,
    MaxPool2D,
    Mish,
    NAdam,
    Network,
    Observer,
    PReLU,
    RandomFlip,
    RandomShift,
    ReLU,
    Rescale,
    Reshape,
    Residual,
    RMSNorm,
    RMSProp,
    SeparableConv2D,
    Sigmoid,
    SiLU,
    Softmax,
    Standardize,
    Tanh,
    UpSampling1D,
    UpSampling2D,
    ZeroPadding1D,
    ZeroPadding2D,
    set_threads,
)
from pellucid.engine import native
from pellucid.engine.base import Tally
from pellucid.engine.executor import PHASES
from pellucid.engine.lowering import Purpose
from pellucid.engine.native import NativeProgram, missing
from pellucid.engine.numpy import NumpyProgram
from pellucid.engine.opcodes import OPCODES
from pellucid.engine.program import TableProgram
from pellucid.errors import DivergenceError, EngineError, EngineWarning, Interrupted
from pellucid.events import StepEnd
from pellucid.initializers import Ones
from pellucid.layers.base import Cache, Layer, ParameterSpec, Spec, StateSpec
from pellucid.layers.windows import Spatial
from pellucid.losses import Loss
from pellucid.optimizers import Optimizer
from pellucid.training.batches import ArrayBatches, shuffled
from pellucid.training.checked import as_data
from pellucid.training.fit import metrics_of
from table import CASES, Case, inputs

compiled = pytest.mark.skipif(bool(missing()), reason=missing() or "the core is compiled")
RNG = np.random.default_rng(11)
X = RNG.normal(size=(24, 6))
CLASSES, VALUES = RNG.integers(0, 4, 24), RNG.normal(size=(24, 3))
IMAGES = RNG.normal(size=(24, 6, 6, 2))
LABELS, WEIGHT = RNG.integers(0, 2, (24, 3)), RNG.uniform(0.5, 2, 24)


class Row(NamedTuple):
    id: str
    net: Callable[..., Network]
    y: Any
    x: Any = X


def chain(*layers: Any, **options: Any) -> Callable[..., Network]:
    return lambda **more: Network(list(layers), **options, **more)


def residual(**options: Any) -> Network:
    x = Input(6)
    h = Dense(6)(ReLU()(Dense(9)(x)))
    return Network(inputs=x, outputs=Dense(4)(ReLU()(Add()(h, x, h))), loss=CrossEntropy(),
                   optimizer=SGD(0.1), **options)  # fmt: skip


def joined(**options: Any) -> Network:
    x = Input(6)
    h = Dense(5)(x)
    k = Concatenate()(Tanh()(h), h, x)
    return Network(
        inputs=x, outputs=Dense(4)(k), loss=CrossEntropy(), optimizer=SGD(0.1), **options
    )


def time_joined(**options: Any) -> Network:
    x = Input(6)
    a = Reshape((2, 3))(x)
    b = Concatenate(axis=1)(a, Dense(3)(a), a)
    return Network(
        inputs=x,
        outputs=Dense(3)(Flatten()(Softmax(axis=1)(b))),
        loss=MSE(),
        optimizer=SGD(0.1),
        **options,
    )


def two_outputs(**options: Any) -> Network:
    x = Input(6)
    h = ReLU()(Dense(8)(x))
    return Network(inputs=x, outputs={"kind": Dense(4)(h), "size": Dense(3)(Identity()(h))},
                   loss={"kind": CrossEntropy(), "size": 0.25 * MSE()}, optimizer=Adam(0.01), **options)  # fmt: skip


@dataclass(frozen=True, repr=False)
class Doubling(Layer):
    """A layer of a user's own: no instructions, two outputs."""

    def output_spec(self, *inputs: Spec) -> tuple[Spec, ...]:
        return inputs[0], inputs[0]

    def forward(self, x: Any, p: Any, cache: Cache) -> Any:
        cache.x = x
        return 2 * x, x * x

    def backward(self, dy: Any, p: Any, dp: Any, cache: Cache) -> Any:
        return 2 * dy[0] + 2 * cache.x * dy[1]


@dataclass(frozen=True, repr=False)
class Shift(Layer):
    """A layer of a user's own with a parameter, state, random numbers and views of its inputs."""

    def parameter_specs(self, *inputs: Spec) -> Any:
        return {"b": ParameterSpec(inputs[0].shape, Ones())}

    def state_specs(self, *inputs: Spec) -> Any:
        return {"mean": StateSpec(inputs[0].shape, 0.0)}

    def forward(self, x: Any, p: Any, cache: Cache) -> Any:
        if not cache.training:
            return x + p.b - cache.state.mean
        cache.new_state.mean += 0.1 * (x.mean(axis=0) - cache.new_state.mean)
        cache.kept = cache.random().keep(x.shape, 0.2)
        return (x + p.b - cache.state.mean) * cache.kept

    def backward(self, dy: Any, p: Any, dp: Any, cache: Cache) -> Any:
        dp.b += (dy * cache.kept).sum(axis=0)
        return dy * cache.kept


@dataclass(frozen=True, repr=False)
class Quartic(Loss):
    """A loss of a user's own, with a question that no formula can ask."""

    def forward(self, y_true: Any, y_pred: Any, cache: Cache) -> Any:
        cache.error = y_pred - y_true
        if np.isnan(cache.error).any():
            raise FloatingPointError("no number")
        return (cache.error**4).sum(axis=1)

    def backward(self, cache: Cache) -> Any:
        return 4 * cache.error**3


@dataclass(frozen=True, repr=False)
class Signs(Optimizer):
    """An optimizer of a user's own, which asks which update it is."""

    def update(self, theta: Any, g: Any, slots: Any, rate: float, t: int, decay: float) -> None:
        theta -= rate * np.sign(g) if t > 1 else rate * g


def two_handed(**options: Any) -> Network:
    x = Input(6)
    first, second = Doubling()(Dense(5)(x))
    return Network(inputs=x, outputs=Dense(4)(Add()(Tanh()(first), second)), loss=CrossEntropy(), optimizer=SGD(0.05),
                   **options)  # fmt: skip


ROWS = [
    Row("mlp", chain(Dense(8), ReLU(), Dense(4), loss=CrossEntropy(), optimizer=Adam(0.01)), CLASSES),
    Row("every activation", chain(Rescale(0.5, 0.1), Dense(8), LeakyReLU(0.1), Dense(7), Sigmoid(), Dense(3),
        Tanh(), loss=MSE(), optimizer=SGD(0.1, momentum=0.9)), VALUES),
    Row("dropout", chain(Dense(16, use_bias=False), ReLU(), Dropout(0.3), Dense(3), Dropout(0.0), loss=MSE(),
        optimizer=SGD(0.1, momentum=0.9, nesterov=True)), VALUES),
    Row("standardized, multilabel", chain(Standardize(), Dense(8), Tanh(), Dense(3), loss=BinaryCrossEntropy(),
        optimizer=AdamW(Cosine(0.01, 20), weight_decay=0.1)), LABELS, X * 5 + 3),
    Row("along time, clipped", chain(Reshape((3, 2)), Dense(4), ReLU(), Flatten(), Dense(3), loss=MSE(),
        optimizer=SGD(0.1, clip_norm=0.1)), VALUES),
    Row("clipped by value, decay", chain(Dense(8), ReLU(), Dense(3), loss=MSE(),
        optimizer=Adam(0.01, clip_value=0.01, weight_decay=0.1)), VALUES),
    Row("l2", chain(Dense(8), ReLU(), Dense(4), loss=CrossEntropy(), optimizer=SGD(0.1), penalty=L2(0.1)), CLASSES),
    Row("l1", chain(Dense(8), ReLU(), Dense(4), loss=CrossEntropy(), optimizer=SGD(0.1), penalty=L1(0.01)), CLASSES),
    Row("probabilities for targets", chain(Dense(8), ReLU(), Dense(4), loss=CrossEntropy(), optimizer=SGD(0.1)),
        np.eye(4)[CLASSES] * 0.9 + 0.025),
    Row("a class for every pixel", chain(Conv2D(5, 3, padding="same"), ReLU(), Conv2D(4, 1), loss=CrossEntropy(),
        optimizer=Adam(0.01)), RNG.integers(0, 4, (24, 6, 6)), IMAGES),
    Row("probabilities for every place", chain(Reshape((3, 2)), Dense(4), loss=CrossEntropy(), optimizer=SGD(0.1)),
        np.eye(4)[RNG.integers(0, 4, (24, 3))] * 0.9 + 0.025),
    Row("not trainable", chain(Dense(8, trainable=False), ReLU(), Dense(4), loss=CrossEntropy(),
        optimizer=AdamW(0.01)), CLASSES),
    Row("integers in", chain(Rescale(1 / 255), Flatten(), Dense(4), loss=CrossEntropy(), optimizer=Adam(0.01)),
        CLASSES, RNG.integers(0, 256, (24, 2, 3)).astype(np.uint8)),
    Row("residual", residual, CLASSES),
    Row("side by side", joined, CLASSES),
    Row("two outputs", two_outputs, {"kind": CLASSES, "size": VALUES}),
    Row("convolution, pool", chain(Conv2D(4, 3, padding=1), ReLU(), MaxPool2D(), Conv2D(3, 2), Tanh(), AvgPool2D(),
        Flatten(), Dense(4), loss=CrossEntropy(), optimizer=Adam(0.01)), CLASSES, IMAGES),
    Row("convolution, activations", chain(Conv2D(4, (3, 2), strides=(2, 1), use_bias=False), LeakyReLU(0.2),
        Conv2D(4, 2, dilation_rate=2, groups=2, padding="same"), ReLU(), Conv2D(2, 1), LeakyReLU(0.1), MaxPool2D(2, 1),
        Flatten(), Dense(4), loss=CrossEntropy(), optimizer=SGD(0.1)), CLASSES, IMAGES),
    Row("batch norm", chain(Conv2D(4, 3, use_bias=False), BatchNorm(), ReLU(), Flatten(), Dense(5, use_bias=False), BatchNorm(0.5, scale=False), Tanh(),
        Dense(4), loss=CrossEntropy(), optimizer=Adam(0.01)), CLASSES, IMAGES),
    Row("pools", chain(MaxPool2D(3, 2, 1), AvgPool2D(3, 1, 1, count_include_pad=False), Flatten(), Dense(4),
        loss=CrossEntropy(), optimizer=SGD(0.1)), CLASSES, IMAGES),
    Row("sequences", chain(Reshape((12, 6)), Conv1D(4, 3, padding="causal", dilation_rate=2), ReLU(), MaxPool1D(3, 2, 1),
        ZeroPadding1D((2, 0)), Conv1D(6, 2, groups=2, use_bias=False), AvgPool1D(2, 1), Conv1D(5, 2, padding="same"), LeakyReLU(0.1), GlobalMaxPool1D(),
        Dense(4), loss=CrossEntropy(), optimizer=SGD(0.1)), CLASSES, IMAGES),
    Row("blocks of separable convolutions", chain(SeparableConv2D(4, 3, padding=1, depth_multiplier=2), ReLU(),
        Residual([DepthwiseConv2D(3, padding="same"), ReLU(), Conv2D(4, 1)]),
        Residual([SeparableConv2D(3, 2, strides=2, use_bias=False), BatchNorm()], shortcut="project"), ReLU(),
        GlobalAvgPool2D(keepdims=True), Flatten(), Dense(4), loss=CrossEntropy(), optimizer=Adam(0.01)), CLASSES, IMAGES),
    Row("transposed", chain(MaxPool2D(), Residual([Conv2DTranspose(2, 3, padding=1)]), ReLU(),
        Conv2DTranspose(4, 3, 2, 1, output_padding=1, groups=2), LeakyReLU(0.2), Reshape((9, 16)), Conv1DTranspose(3, 4, 2, use_bias=False),
        Flatten(), Dense(4), loss=CrossEntropy(), optimizer=SGD(0.1)), CLASSES, IMAGES),
    Row("resized", chain(Residual([MaxPool2D(), UpSampling2D(2, "bilinear")]), Residual([AvgPool2D((3, 2)), UpSampling2D((3, 2))]),
        Residual([ZeroPadding2D(((1, 2), (3, 0))), Cropping2D(((2, 1), (0, 3)))]), Residual([ZeroPadding2D(((0, 2), (1, 1))), SeparableConv2D(2, 3)]),
        Cropping2D((0, 1)), Conv2D(3, 3),
        Reshape((8, 3)), ZeroPadding1D((0, 2)), UpSampling1D(3, "linear"), Flatten(), Dense(4), loss=CrossEntropy(), optimizer=Adam(0.01)),
        CLASSES, IMAGES),
    Row("as many as are asked for", chain(Residual([AdaptiveAvgPool2D((4, 3)), Conv2D(2, 1), AdaptiveMaxPool2D(6)]), Conv2D(3, 2), ReLU(),
        AdaptiveMaxPool2D((3, 2)), Flatten(), Dense(4), loss=CrossEntropy(), optimizer=SGD(0.1)), CLASSES, IMAGES),
    Row("words", chain(Embedding(7, 3), Flatten(), Dense(5), Softmax(), Dense(3), loss=MSE(), optimizer=Adam(0.01)),
        VALUES, RNG.integers(0, 7, (24, 4))),
    Row("joined along time", time_joined, VALUES),
    Row("formulas", chain(Dense(8), GELU(), LayerNorm(), Dense(6), PReLU(), Dense(5), Mish(), RMSNorm(), Dense(3),
        loss=0.5 * Huber(), optimizer=RMSProp(0.01, centered=True, weight_decay=0.1, average=EMA(0.9)), penalty=L2(0.01)), VALUES),
    Row("formulas on images", chain(Conv2D(4, 3), LayerNorm(), PReLU(), Conv2D(3, 2), ELU(), PReLU(per_channel=False),
        LayerNorm((1, 2, 3)), Conv2D(6, 2, padding="same"), GroupNorm(2), Tanh(), Flatten(), Dense(4), LogSoftmax(), loss=NLL(), optimizer=NAdam(0.01, clip_norm=0.5)), CLASSES, IMAGES),
    Row("smoothed", chain(Dense(8), SiLU(), Dense(4), loss=CrossEntropy(label_smoothing=0.1), optimizer=AdamW(0.01, amsgrad=True)), CLASSES),
    Row("layers of one's own", chain(Dense(6), Shift(), ReLU(), Shift(), Dense(3), loss=MSE(), optimizer=SGD(0.1)),
        VALUES),
    Row("two outputs of one's own", two_handed, CLASSES),
    Row("a loss of one's own", chain(Dense(8), ReLU(), Dense(3), loss=0.1 * Quartic(), optimizer=SGD(0.01)), VALUES),
    Row("an optimizer of one's own", chain(Dense(8), ReLU(), Dense(3), loss=MSE(), penalty=L2(0.1),
        optimizer=Signs(0.01, clip_norm=1.0)), VALUES),
    Row("weights kept short, and averaged", chain(Dense(8), ReLU(), Dense(3), loss=MSE(),
        optimizer=Adam(0.1, max_norm=0.5, average=EMA(0.9))), VALUES),
]  # fmt: skip


def trained(kind: Any, row: Row, dtype: str, *, weight: Any = None, accumulate: int = 1, epochs: int = 4,
            taps: bool = False, one_by_one: bool = False) -> tuple[Any, Tally, Any]:  # fmt: skip
    net = row.net(dtype=dtype)
    net.inputs_for(row.x)
    net.adapt(row.x)
    data = as_data(net, row.x, row.y, weight)
    program = kind(net, metrics_of(net, None), taps=taps, input_gradients=taps)
    tally, stop = Tally(), np.zeros(1, np.uint8)
    for epoch in range(epochs):
        batches = ArrayBatches(net, data, shuffled(net, 24, epoch), 7, accumulate=accumulate)
        for index in range(batches.count) if one_by_one else [0]:
            on_phase = (lambda phase: None) if one_by_one else None
            program.run(batches, index, 1 if one_by_one else 99, tally, stop, on_phase)
    vectors = [net.parameters.vector.copy(), *(slot.copy() for slot in net.slots.values())]
    return vectors, tally, program.tensors(None) if taps else {}


@pytest.mark.parametrize("kind", [TableProgram, pytest.param(NativeProgram, marks=compiled)])
@pytest.mark.parametrize(("dtype", "within"), [("float64", 1e-12), ("float32", 1e-5)])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_equals_the_numpy_engine(kind: Any, dtype: str, within: float, row: Row) -> None:
    for weight in (None, WEIGHT):
        for accumulate in (1, 2):
            for taps in (False, True):
                options = {"weight": weight, "accumulate": accumulate, "taps": taps}
                theirs, their_tally, their_tensors = trained(NumpyProgram, row, dtype, **options)
                ours, tally, tensors = trained(kind, row, dtype, **options)
                for a, b in zip(ours, theirs, strict=True):
                    assert np.abs(a - b).max(initial=0) <= within
                for name, value in their_tally.losses.items():
                    assert tally.losses[name] == pytest.approx(value, rel=within * 10)
                assert set(tensors) == set(their_tensors)
                for name, array in tensors.items():
                    assert np.allclose(array, their_tensors[name], atol=10 * within), name


@compiled
@pytest.mark.parametrize(("dtype", "within"), [("float64", 1e-12), ("float32", 1e-5)])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_every_layer_equals_the_numpy_engine(case: Case, dtype: str, within: float) -> None:
    """Inference, then every phase of two steps of a network of one layer."""
    found = []
    for engine in ("numpy", "auto"):
        x = [Input(shape, spec.dtype) for shape, spec in zip(case.shapes, case.specs, strict=True)]
        net = Network(
            inputs=x,
            outputs=case.layer(*x),
            loss=MSE(),
            optimizer=SGD(0.1),
            dtype=dtype,
            engine=engine,
        )
        rng = np.random.default_rng(5)
        net.parameters.vector[...] = rng.normal(size=net.parameters.vector.size)
        net.state.vector[...] = rng.uniform(0.5, 2, net.state.vector.size)
        arrays = inputs(case)
        data = arrays[0] if len(arrays) == 1 else arrays
        seen = [net(data), net.predict(data)]
        y = rng.normal(size=seen[0].shape)
        seen.append(np.array(list(net.evaluate(data, y).values())))
        for _ in range(2):
            step = net.step(data, y)
            seen += [step.forward(), np.array(step.loss())]
            dx = step.backward()
            seen += [*(dx.values() if isinstance(dx, dict) else [dx]), step.gradients.vector.copy()]
            step.update()
            seen += [net.parameters.vector.copy(), net.state.vector.copy()]
        found.append([a for a in seen if a is not None])
    for ours, theirs in zip(*found, strict=True):
        assert ours.shape == theirs.shape
        assert np.allclose(ours, theirs, rtol=within, atol=within)


@compiled
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_the_bits_do_not_depend_on_how_it_is_run(row: Row, dtype: str) -> None:
    plain = trained(NativeProgram, row, dtype, weight=WEIGHT, accumulate=2)
    for options in ({"one_by_one": True}, {"taps": True}):
        other = trained(NativeProgram, row, dtype, weight=WEIGHT, accumulate=2, **options)
        assert all(np.array_equal(a, b) for a, b in zip(plain[0], other[0], strict=True))
        assert plain[1].losses == other[1].losses


@compiled
def test_the_bits_do_not_depend_on_the_number_of_threads() -> None:
    x, y = RNG.normal(size=(600, 300)), RNG.integers(0, 10, 600)
    found = []
    for threads in (1, 2, 3, 4):
        set_threads(threads)
        net = Network([Dense(256), ReLU(), Dropout(0.2), Dense(10)], inputs=300, loss=CrossEntropy(),
                      optimizer=Adam(0.01), engine="native")  # fmt: skip
        net.fit(x, y, epochs=3, batch_size=128, progress=False)
        found.append(net.parameters.vector)
    set_threads(1)
    assert all(np.array_equal(found[0], other) for other in found[1:])


@compiled
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nor_do_those_of_layers_on_images(dtype: str) -> None:
    x, y = RNG.normal(size=(40, 17, 12, 3)), RNG.integers(0, 10, 40)
    layers = [
        SeparableConv2D(16, 3, padding="same"), ReLU(), UpSampling2D(2), Conv2D(8, 5, strides=2), ReLU(), GlobalAvgPool2D(keepdims=True),
        Conv2DTranspose(12, (9, 7), use_bias=False), ReLU(), Conv2DTranspose(8, 4, 2, 1), ZeroPadding2D(1), UpSampling2D((1, 3), "bilinear"),
        AdaptiveAvgPool2D((5, 4)), Reshape((20, 8)), Conv1D(16, 3), ReLU(), GlobalMaxPool1D(), Dense(10),
    ]  # fmt: skip
    found = []
    for threads in (1, 2, 3, 4):
        set_threads(threads)
        net = Network(
            layers, loss=CrossEntropy(), optimizer=Adam(0.01), engine="native", dtype=dtype
        )
        net.fit(x, y, epochs=2, batch_size=16, progress=False)
        found.append(net.parameters.vector)
    set_threads(1)
    assert all(np.array_equal(found[0], other) for other in found[1:])


@compiled
def test_long_training_stays_beside_the_numpy_engine() -> None:
    nets = []
    for engine in ("numpy", "native"):
        net = Network([Dense(16), Tanh(), Dropout(0.2), Dense(4)], inputs=6, loss=CrossEntropy(),
                      optimizer=Adam(0.01), dtype="float64", engine=engine)  # fmt: skip
        net.fit(X, CLASSES, epochs=50, batch_size=6, progress=False)
        nets.append(net)
    assert nets[0].updates == 200
    assert np.abs(nets[0].parameters.vector - nets[1].parameters.vector).max() < 1e-9


@compiled
def test_the_core_knows_the_same_opcodes() -> None:
    from pellucid import _core

    assert _core.opcodes() == list(OPCODES)


# ---- what runs where -------------------------------------------------------------------------------


@compiled
def test_the_engine_asked_for_is_the_one_that_runs() -> None:
    layers = [Dense(3), ReLU(), Dense(4)]
    net = Network(layers, inputs=6, loss=CrossEntropy(), optimizer=SGD(0.1))
    assert "native" in net.explain_engine()
    assert "matmul" in str(net.program)
    assert "y = act(x @ W + b)" in str(net.program)
    plain = Network(layers, inputs=6, loss=CrossEntropy(), optimizer=SGD(0.1), engine="numpy")
    assert "native" not in plain.explain_engine()


@compiled
def test_native_raises_rather_than_falling_back() -> None:
    options: Any = {"inputs": 6, "loss": CrossEntropy(), "optimizer": SGD(0.1)}
    for layers, more, what in [
        ([Dense(4), Shift(), Dense(4)], {}, "shift_1"),
        ([Dense(4)], {"loss": Quartic()}, "Quartic"),
        ([Dense(4)], {"optimizer": Signs(0.1)}, "Signs"),
    ]:
        y = VALUES @ np.ones((3, 4)) if "loss" in more else CLASSES
        with pytest.raises(EngineError, match=what):
            Network(layers, **(options | more), engine="native").fit(X, y, progress=False)


@compiled
def test_layers_on_images_and_sequences_have_instructions() -> None:
    called = set()
    for case in CASES:
        if isinstance(case.layer, Spatial) and not case.random:
            net = Network([case.layer], inputs=case.shapes[0], loss=MSE(), optimizer=SGD(0.1))
            assert len(net.explain_engine().splitlines()) == 1
            called |= {case.id} if "python" in net.explain_engine() else set()
    assert not called
    for row in ROWS:
        net = row.net()
        net.inputs_for(row.x)
        assert ("python" in net.explain_engine()) == ("one's own" in row.id), row.id


@compiled
def test_what_varies_in_training_is_not_there_in_inference(monkeypatch: pytest.MonkeyPatch) -> None:
    layers = [RandomFlip(), RandomShift(0.1), Cutout(2), GaussianNoise(0.1)]
    rest = [Flatten(), Dense(3)]
    net, plain = (Network(some + rest, inputs=(6, 6, 2)) for some in (layers, []))
    for layer in layers:
        monkeypatch.setattr(type(layer), "forward", None)
    assert np.array_equal(net.predict(IMAGES), plain.predict(IMAGES))


@compiled
@pytest.mark.parametrize("layer", [AdaptiveMaxPool2D, AdaptiveAvgPool2D])
def test_adaptive_pools_of_every_size(layer: Any) -> None:
    for n in (1, 2, 3, 5, 8, 12):
        x, y = RNG.integers(0, 4, (3, n, 5, 2)) * 1.0, RNG.normal(size=(3, 3))  # with ties
        for count in range(1, 12):
            options: Any = {"inputs": (n, 5, 2), "loss": MSE(), "optimizer": SGD(0.1)}
            layers = [Conv2D(2, 1), layer((count, 2 if n < 9 else 3)), Flatten(), Dense(3)]
            nets = [
                Network(layers, engine=e, dtype="float64", **options) for e in ("numpy", "auto")
            ]
            assert "python" not in nets[1].explain_engine()
            steps = [net.step(x, y) for net in nets]
            outputs = [(step.forward(), step.loss(), step.backward()) for step in steps]
            for ours, theirs in zip(*outputs, strict=True):
                assert np.allclose(ours, theirs, rtol=1e-12, atol=1e-12)


@compiled
def test_auto_calls_python_and_says_so_once() -> None:
    native._warned.clear()
    net = Network([Dense(4), Shift(), Dense(4)], loss=CrossEntropy(), optimizer=SGD(0.1), inputs=6)
    with pytest.warns(EngineWarning, match=r"shift_1 \(Shift\(\)\)"):
        net.fit(X, CLASSES, epochs=1, progress=False)
    net.fit(X, CLASSES, epochs=1, progress=False)  # a second warning would be an error
    explained = net.explain_engine().splitlines()
    assert [line.split()[1] for line in explained] == ["native", "python", "native"]


@compiled
def test_an_error_in_a_call_comes_through_and_loses_nothing() -> None:
    @dataclass(frozen=True, repr=False)
    class Failing(Layer):
        def forward(self, x: Any, p: Any, cache: Cache) -> Any:
            if cache.training and cache._moment[2] == 3:  # in the fourth step
                raise RuntimeError("the fourth")
            return x

        def backward(self, dy: Any, p: Any, dp: Any, cache: Cache) -> Any:
            return dy

    net = Network([Dense(4), Failing()], loss=CrossEntropy(), optimizer=SGD(0.1), inputs=6)
    with pytest.raises(RuntimeError, match="the fourth"):
        net.fit(X, CLASSES, epochs=2, batch_size=4, progress=False)
    assert net.updates == 3


def test_without_the_core_everything_still_works() -> None:
    code = (
        "import numpy as np; from pellucid import *; "
        "net = mlp([4, 3, 2], loss=CrossEntropy(), optimizer=Adam()); "
        "net.fit(np.ones((9, 4)), np.zeros(9, int), epochs=2, progress=False); "
        "print(net.explain_engine())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          env={"PELLUCID_NATIVE": "0"})  # fmt: skip
    assert "PELLUCID_NATIVE=0" in done.stdout


# ---- stopping, diverging ----------------------------------------------------------------------------


@compiled
def test_ctrl_c_is_answered_while_the_core_runs() -> None:
    code = (
        "import numpy as np, signal, threading, time, os; from pellucid import *\n"
        "from pellucid.errors import Interrupted\n"
        "net = Network([Dense(512), ReLU(), Dense(512), ReLU(), Dense(2)], loss=CrossEntropy(), "
        "optimizer=SGD(1e-3), engine='native')\n"
        "x = np.zeros((20000, 64), np.float32); y = np.zeros(20000, int); net.build(64)\n"
        "at = []\n"
        "def press():\n    time.sleep(0.7); at.append(time.perf_counter()); os.kill(os.getpid(), signal.SIGINT)\n"
        "threading.Thread(target=press, daemon=True).start()\n"
        "try:\n    net.fit(x, y, epochs=1000, progress=False)\n"
        "except Interrupted: print(time.perf_counter() - at[0])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 0.5  # 0.1 on a quiet machine


@compiled
def test_divergence_is_found_in_the_core() -> None:
    for row, kind in ((1e200, "loss"), (1e30, "gradient|loss|parameters")):
        net = Network([Dense(8), ReLU(), Dense(1)], loss=MSE(), optimizer=SGD(row), inputs=6,
                      dtype="float64", engine="native")  # fmt: skip
        with pytest.raises(DivergenceError, match=kind):
            net.fit(X, 100 * VALUES[:, :1], epochs=200, batch_size=5, progress=False)


@compiled
def test_interrupted_and_resumed_has_the_same_bits() -> None:
    class Stop(Observer):
        every = 5

        def on_step(self, event: StepEnd) -> None:
            event.run.stop("interrupted")

    nets = [two_outputs(engine="native") for _ in range(2)]
    y = {"kind": CLASSES, "size": VALUES}
    nets[0].fit(X, y, epochs=5, batch_size=7, progress=False)
    with pytest.raises(Interrupted):
        nets[1].fit(X, y, epochs=5, batch_size=7, progress=False, callbacks=[Stop()])
    nets[1].fit(X, y, epochs=5, batch_size=7, progress=False, resume=True)
    assert np.array_equal(nets[0].parameters.vector, nets[1].parameters.vector)


# ---- no table makes the core read or write outside --------------------------------------------------


@compiled
def test_spoilt_tables_are_refused_or_harmless() -> None:
    refused = ran = 0
    for row in ROWS:
        net = row.net(dtype="float32")
        net.inputs_for(row.x)
        data = as_data(net, row.x, row.y)
        program = NativeProgram(net, metrics_of(net, None))
        program.expect(data.inputs, data.targets, 4)
        executor: Any = program.training
        tables = [executor._encoded(getattr(executor.table, phase)) for phase in PHASES]
        # every region with a guard behind it that must not change
        guarded = {
            n: np.concatenate([m, np.full(256, 7, np.uint8)]) for n, m in executor.regions.items()
        }
        regions = [guarded[n][:-256] for n in executor.names]
        weight = executor.names.index("weight")
        formulas = [formula.encoded() for formula in executor.table.formulas]
        for trial in range(100 if formulas else 60):
            texts = [(whole.copy(), real.copy()) for whole, real in formulas]
            for _ in range(RNG.integers(0, 3) if formulas and trial % 2 else 0):
                whole, _real = texts[RNG.integers(len(texts))]
                whole[RNG.integers(len(whole))] += RNG.choice([-40, -9, -1, 1, 2, 7, 64, 2**27])
            spoilt = [(whole.copy(), real.copy()) for whole, real in tables]
            for _ in range(RNG.integers(0 if trial % 2 else 1, 4)):
                whole, _real = spoilt[RNG.integers(len(spoilt))]
                if whole.size:
                    where = RNG.integers(len(whole)), RNG.integers(whole.shape[1])
                    whole[where] = RNG.choice(
                        [-1, 0, 1, 2, 3, 7, 64, 10**6, 2**40, 2**62, -(2**62)]
                    )
            core = type(executor.core)()
            try:
                core.load(spoilt, regions, 4, [], weight, executor.table.unwritten, lambda *_: 0.0,
                          texts, executor.numbers)  # fmt: skip
            except ValueError:
                refused += 1
                continue
            ran += 1
            sums = np.zeros(64)
            for phase in range(5):
                core.execute(phase, 4, True, 0, 0, 1, 4.0, np.full(executor.numbers, 0.01), sums)
            assert all((memory[-256:] == 7).all() for memory in guarded.values())
    assert refused > 100
    assert ran > 10


@compiled
def test_what_enters_the_core_is_checked() -> None:
    from pellucid import _core

    core: Any = _core.Program32()
    with pytest.raises(ValueError, match="no program"):
        core.execute(0, 1, False, 0, 0, 1, 1.0, np.ones(1), np.zeros(4))
    with pytest.raises(ValueError, match="no program"):
        core.infer([], [], 1, None, None)
    row = ROWS[0]
    net = row.net(engine="native")
    net.fit(row.x, row.y, epochs=1, batch_size=7, progress=False)
    program = NativeProgram(net, metrics_of(net, None))
    data = as_data(net, row.x, row.y)
    program.run(ArrayBatches(net, data, None, 7), 0, 9, Tally(), np.zeros(1, np.uint8))
    executor: Any = program.training
    good = {"order": np.arange(24), "cuts": np.array([0, 7, 14]), "accumulate": 1, "count": 2, "step": 0,
            "numbers": np.ones(2), "weight": None, "shares": np.ones(2), "tally": np.zeros(4),
            "stop": np.zeros(1, np.uint8), "seconds": 1.0}  # fmt: skip
    executor.core.run(**good)
    for key, value in [("order", np.arange(24) + 1000), ("order", -np.arange(24)), ("cuts", np.array([0, 24])),
                       ("cuts", np.array([7, 0])), ("cuts", np.array([0, 7, 99])), ("numbers", np.ones(1)), ("tally", np.zeros(1)),
                       ("weight", np.ones(3)), ("shares", np.ones(1)), ("count", 99)]:  # fmt: skip
        with pytest.raises(ValueError):  # noqa: PT011 - each has its own words
            executor.core.run(**(good | {key: value}))
    x = X.astype(np.float32)
    executor = program._executor(program._shapes, {}, Purpose(training=False, losses=False))
    executor.reserve(8)
    sources = executor.sources_of({"input": x}, {})
    outputs = [np.empty((24, 4), np.float32)]
    executor.core.infer(sources, outputs, 24, None, None)
    for wrong in [{"outputs": [np.empty((23, 4), np.float32)]}, {"outputs": outputs * 30}, {"count": 25},
                  {"sources": [(x[:, :5], sources[0][1], False)]}, {"sources": [(x, 0, False)]},
                  {"sources": [(x, sources[0][1] + 1, False)]}, {"weight": np.ones(3)}]:  # fmt: skip
        arguments = {
            "sources": sources,
            "outputs": outputs,
            "count": 24,
            "weight": None,
            "tally": None,
        }
        with pytest.raises(ValueError):  # noqa: PT011
            executor.core.infer(**(arguments | wrong))
