"""The compiled engine against the NumPy engine, its specification, and the twins between them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

from pellucid import (
    L1,
    L2,
    MSE,
    SGD,
    Adam,
    AdamW,
    Add,
    BatchNorm,
    BinaryCrossEntropy,
    Concatenate,
    Cosine,
    CrossEntropy,
    Dense,
    Dropout,
    Flatten,
    Identity,
    Input,
    LeakyReLU,
    Network,
    Observer,
    ReLU,
    Rescale,
    Reshape,
    Sigmoid,
    Standardize,
    Tanh,
    set_threads,
)
from pellucid.engine.base import Tally
from pellucid.engine.native import NativeProgram, missing
from pellucid.engine.numpy import NumpyProgram
from pellucid.engine.opcodes import OPCODES
from pellucid.engine.program import TableProgram
from pellucid.errors import DivergenceError, EngineError, Interrupted
from pellucid.events import StepEnd
from pellucid.training.batches import ArrayBatches, shuffled
from pellucid.training.checked import as_data
from pellucid.training.fit import metrics_of

compiled = pytest.mark.skipif(bool(missing()), reason=missing() or "the core is compiled")
RNG = np.random.default_rng(11)
X = RNG.normal(size=(24, 6))
CLASSES, VALUES = RNG.integers(0, 4, 24), RNG.normal(size=(24, 3))
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


def two_outputs(**options: Any) -> Network:
    x = Input(6)
    h = ReLU()(Dense(8)(x))
    return Network(inputs=x, outputs={"kind": Dense(4)(h), "size": Dense(3)(Identity()(h))},
                   loss={"kind": CrossEntropy(), "size": 0.25 * MSE()}, optimizer=Adam(0.01), **options)  # fmt: skip


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
    Row("not trainable", chain(Dense(8, trainable=False), ReLU(), Dense(4), loss=CrossEntropy(),
        optimizer=AdamW(0.01)), CLASSES),
    Row("integers in", chain(Rescale(1 / 255), Flatten(), Dense(4), loss=CrossEntropy(), optimizer=Adam(0.01)),
        CLASSES, RNG.integers(0, 256, (24, 2, 3)).astype(np.uint8)),
    Row("residual", residual, CLASSES),
    Row("side by side", joined, CLASSES),
    Row("two outputs", two_outputs, {"kind": CLASSES, "size": VALUES}),
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
    options = {"inputs": 6, "loss": CrossEntropy(), "optimizer": SGD(0.1)}
    layers = [Dense(4), BatchNorm(), Dense(4)]
    with pytest.raises(EngineError, match="batch_norm_1"):
        Network(layers, **options, engine="native").fit(X, CLASSES, progress=False)
    auto = Network(layers, **options)
    auto.fit(X, CLASSES, epochs=1, progress=False)
    assert "batch_norm_1 (BatchNorm()) has no instructions yet" in auto.explain_engine()


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
    from pellucid import _core
    from pellucid.engine.native import _encoded, _place
    from pellucid.engine.opcodes import REGIONS
    from pellucid.engine.program import PHASES

    refused = ran = 0
    for row in ROWS:
        net = row.net(dtype="float32")
        net.inputs_for(row.x)
        program = TableProgram(net, metrics_of(net, None))
        if isinstance(row.y, np.ndarray) and row.y.dtype == np.float64 and row.y.shape == (24, 4):
            program.expect({next(iter(net.losses)): row.y})
        program.reserve(4)
        tables = [_encoded(program.code[phase]) for phase in PHASES]
        nothing = np.zeros(0, np.uint8)
        # every region with a guard behind it that must not change
        guarded = {
            n: np.concatenate([m, np.full(256, 7, np.uint8)]) for n, m in program.regions.items()
        }
        for _ in range(60):
            spoilt = [(whole.copy(), real.copy()) for whole, real in tables]
            for _ in range(RNG.integers(1, 4)):
                whole, _real = spoilt[RNG.integers(len(spoilt))]
                if whole.size:
                    where = RNG.integers(len(whole)), RNG.integers(28)
                    whole[where] = RNG.choice(
                        [-1, 0, 1, 2, 3, 7, 64, 10**6, 2**40, 2**62, -(2**62)]
                    )
            regions = [guarded[n][:-256] if n in guarded else nothing for n in REGIONS]
            core = _core.Program32()
            weight = _place(program.table.weight)
            try:
                core.load(spoilt, regions, 4, [], weight, len(net.losses))
            except ValueError:
                refused += 1
                continue
            ran += 1
            sums = np.zeros(8)
            for phase in range(5):
                core.execute(phase, 4, True, 0, 0, 1, 4.0, 0.01, sums)
            assert all((memory[-256:] == 7).all() for memory in guarded.values())
    assert refused > 100
    assert ran > 10


@compiled
def test_what_enters_the_core_is_checked() -> None:
    from pellucid import _core

    core = _core.Program32()
    with pytest.raises(ValueError, match="no program"):
        core.execute(0, 1, False, 0, 0, 1, 1.0, 0.1, np.zeros(4))
    row = ROWS[0]
    net = row.net(engine="native")
    net.fit(row.x, row.y, epochs=1, batch_size=7, progress=False)
    program = NativeProgram(net, metrics_of(net, None))
    data = as_data(net, row.x, row.y)
    program.run(ArrayBatches(net, data, None, 7), 0, 9, Tally(), np.zeros(1, np.uint8))
    good = {"order": np.arange(24), "cuts": [0, 7, 14], "accumulate": 1, "start": 0, "count": 2, "step": 0,
            "rates": np.ones(2), "weight": None, "shares": np.ones(2), "tally": np.zeros(3),
            "stop": np.zeros(1, np.uint8), "seconds": 1.0}  # fmt: skip
    program._core.run(**good)
    for key, value in [("order", np.arange(24) + 1000), ("order", -np.arange(24)), ("cuts", [0, 24]),
                       ("cuts", [7, 0]), ("cuts", [0, 7, 99]), ("rates", np.ones(1)), ("tally", np.zeros(1)),
                       ("weight", np.ones(3)), ("start", -1), ("count", 99)]:  # fmt: skip
        with pytest.raises(ValueError):  # noqa: PT011 - each has its own words
            program._core.run(**(good | {key: value}))
