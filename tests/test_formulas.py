"""Formulas: what is recorded of Python code, what is not, and that the core computes the same."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import loss_table
import test_activations
from pellucid import (
    EMA,
    GELU,
    MSE,
    SGD,
    SWA,
    Activation,
    Adadelta,
    Adagrad,
    Adam,
    AdamW,
    Cosine,
    Dense,
    Dropout,
    Huber,
    KLDivergence,
    LayerNorm,
    Lion,
    Mish,
    NAdam,
    Network,
    Poisson,
    PReLU,
    RAdam,
    RMSProp,
    Tanh,
    set_threads,
)
from pellucid.engine.formulas import Recording, Traced, Untraceable
from pellucid.engine.formulas.formula import STEPS
from pellucid.engine.formulas.recorders import layer_formulas, record_layer, record_loss
from pellucid.engine.native import NativeProgram, missing
from pellucid.engine.program import TableProgram
from pellucid.errors import DataError, EngineError, GradientError
from pellucid.layers.base import Cache
from pellucid.losses import Loss
from pellucid.optimizers import Optimizer

compiled = pytest.mark.skipif(bool(missing()), reason=missing() or "the core is compiled")
both_types = pytest.mark.parametrize(("dtype", "within"), [("float64", 1e-12), ("float32", 1e-5)])
RNG = np.random.default_rng(3)
X, Y = RNG.normal(size=(40, 6)), RNG.normal(size=(40, 3))
WEIGHT = RNG.uniform(0.5, 2, 40)

# What is told apart by its numbers, or by the numbers in arrays, and so is called.
CALLED = {
    "categorical-hinge", "categorical-hinge-rows", "categorical-hinge-squared", "focal", "focal-rows",
    "focal-pixels", "focal-0", "cross-entropy-nothing-ignored",
}  # fmt: skip
OPTIMIZERS = [
    Adagrad(), Adagrad(initial_accumulator_value=0.1, weight_decay=0.1), RMSProp(),
    RMSProp(centered=True, momentum=0.5), RMSProp(Cosine(0.01, 20), clip_norm=0.1), Adadelta(),
    Adam(amsgrad=True, weight_decay=0.1), AdamW(amsgrad=True), NAdam(weight_decay=0.1),
    NAdam(weight_decay=0.1, decoupled_weight_decay=True), RAdam(0.01, weight_decay=0.1),
    RAdam(0.01, beta_2=0.99), Lion(weight_decay=0.1), Adam(average=EMA(0.9)),
    SGD(0.1, average=SWA()), RMSProp(average=EMA(0.9)),
    Adam(amsgrad=True, average=EMA(0.9)),
]  # fmt: skip


def seen(net: Network, x: Any, y: Any, weight: Any) -> list[np.ndarray]:
    """Every phase of two steps, then what training and evaluating give."""
    arrays = []
    for _ in range(2):
        step = net.step(x, y, sample_weight=weight)
        step.forward()
        arrays.append(np.array(step.loss()))
        arrays += [np.asarray(step.backward()), step.gradients.vector.copy()]
        step.update()
        arrays.append(net.parameters.vector.copy())
    net.fit(x, y, sample_weight=weight, epochs=3, batch_size=4, progress=False)
    arrays += [net.parameters.vector.copy(), *net.slots.values()]
    arrays.append(np.array(net.evaluate(x, y, sample_weight=weight)["loss"]))
    return arrays


def alike(
    make: Callable[..., Network], y: Any, within: float, x: Any = X, weight: Any = None
) -> None:
    ours, theirs = (seen(make(engine=engine), x, y, weight) for engine in ("auto", "numpy"))
    for a, b in zip(ours, theirs, strict=True):
        assert np.allclose(a, b, rtol=10 * within, atol=10 * within)


# ------------------------------------------------------------------------------- the same numbers


@compiled
@both_types
@pytest.mark.parametrize("name", loss_table.CASES)
def test_every_loss_equals_the_numpy_engine(name: str, dtype: str, within: float) -> None:
    case = loss_table.CASES[name]
    rng = np.random.default_rng(5)
    x = (
        rng.normal(size=(len(case.target(rng, case.shape)), *case.shape[1:-1], 4))
        if len(case.shape) > 1
        else None
    )
    if x is None:
        pytest.skip("outputs (B,) come from no layer")
    y = case.target(rng, case.shape)

    def make(**options: Any) -> Network:
        return Network([Dense(case.shape[-1]), *case.head], inputs=x.shape[1:], loss=case.loss,
                       optimizer=SGD(0.01), dtype=dtype, **options)  # fmt: skip

    for weight in (None, rng.uniform(0.5, 2, len(x))):
        alike(make, y, within, x, weight)
    net = make(engine="auto")
    net.fit(x, y, epochs=1, progress=False)
    assert ("python" in net.explain_engine()) <= (name in CALLED), net.explain_engine()


@compiled
@both_types
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_every_optimizer_equals_the_numpy_engine(optimizer: Any, dtype: str, within: float) -> None:
    def make(**options: Any) -> Network:
        layers = [Dense(8), Tanh(), Dense(3)]
        return Network(layers, inputs=6, loss=MSE(), optimizer=optimizer, dtype=dtype, **options)

    alike(make, Y, within)
    assert "python" not in make(engine="auto").explain_engine()


@compiled
@pytest.mark.parametrize("name", test_activations.ROWS)
@pytest.mark.parametrize("dtype", test_activations.FLOATS)
def test_activations_are_within_4_eps_of_the_truth(name: str, dtype: Any) -> None:
    row = test_activations.ROWS[name]
    z = test_activations.grid(dtype)
    z = np.where(np.abs(z) < np.finfo(dtype).tiny, 0, z).astype(dtype)  # which count as 0
    net = Network(
        [row.layer], inputs=len(z), loss=MSE(), optimizer=SGD(0.1), dtype=dtype, engine="native"
    )
    within = 4 * np.finfo(dtype).eps
    error = test_activations.errors(net(z[None])[0], z, row.value)
    assert (error <= within * np.maximum(1, np.abs(z))).all(), z[error.argmax()]
    program = NativeProgram(net, input_gradients=True)
    executor = program.training
    executor.reserve(1)
    executor.view(executor.table.inputs["input"], 1)[...] = z
    at = program._moment._replace(rows=1, total=1.0)
    executor.execute("forward", at)
    dp = next(b for i in executor.table.loss for k, b in i.buffers.items() if k == "dp")
    executor.view(dp, 1)[...] = 1
    executor.execute("backward", at)
    slopes = executor.view(executor.table.input_slopes["input"], 1)[0]
    error = test_activations.errors(slopes, z, row.slope)
    assert (error <= within * np.maximum(1, np.abs(z))).all(), z[error.argmax()]


@compiled
def test_long_training_stays_beside_the_numpy_engine() -> None:
    nets = []
    for engine in ("numpy", "native"):
        layers = [Dense(16), LayerNorm(), GELU(), Dropout(0.2), Dense(8), PReLU(), Dense(3)]
        nets.append(
            Network(
                layers,
                inputs=6,
                loss=Huber(),
                optimizer=NAdam(0.01),
                dtype="float64",
                engine=engine,
            )
        )
        nets[-1].fit(X, Y, epochs=50, batch_size=10, progress=False)
    assert nets[0].updates == 200
    assert np.abs(nets[0].parameters.vector - nets[1].parameters.vector).max() < 1e-9


@compiled
def test_the_bits_do_not_depend_on_the_number_of_threads() -> None:
    x, y = RNG.normal(size=(300, 300)), RNG.normal(size=(300, 40))
    found = []
    for threads in (1, 2, 3, 4):
        set_threads(threads)
        layers = [Dense(700), LayerNorm(), Mish(), PReLU(), Dense(40)]
        net = Network(layers, inputs=300, loss=Huber(), optimizer=RMSProp(), engine="native")
        net.fit(x, y, epochs=2, batch_size=150, progress=False)
        found.append((net.parameters.vector, net.evaluate(x, y)["loss"]))
    set_threads(1)
    assert all(np.array_equal(found[0][0], other[0]) for other in found[1:])
    assert len({loss for _, loss in found}) == 1


@pytest.mark.skipif(not Path("native").is_dir(), reason="native/ is not there")
def test_the_core_has_the_same_steps() -> None:
    text = Path("native/formula.hpp").read_text()
    names = re.search(r"kFormulaOps\[f_ops\] = \{(.*?)\}", text, re.DOTALL)
    assert names is not None
    assert tuple(re.findall(r'"(\w+)"', names[1])) == STEPS
    numbers = re.search(r"enum FormulaOp \{(.*?)\}", text, re.DOTALL)
    assert numbers is not None
    assert re.findall(r"f_(\w+)", numbers[1]) == [*STEPS, "ops"]


@compiled
def test_the_errors_of_losses_have_their_own_words() -> None:
    y = np.full((40, 3), 1 / 3)
    for loss, words in (
        (KLDivergence(), "no log-probability"),
        (Poisson(log_input=False), "is no rate"),
    ):
        net = Network([Dense(3)], inputs=6, loss=loss, optimizer=SGD(0.1), engine="native")
        with pytest.raises(DataError, match=words):
            net.fit(X, y, epochs=2, batch_size=10, progress=False)
        with pytest.raises(DataError, match=words):
            net.evaluate(X, y)
        step = net.step(X, y)
        step.forward()
        with pytest.raises(DataError, match=words):
            step.loss()


# ----------------------------------------------------------------------------- of a user's own


@dataclass(frozen=True, repr=False)
class Snake(Activation):
    """z + sin²(z): elementwise."""

    def value(self, z: Any) -> Any:
        return z + np.sin(z) ** 2

    def slope(self, z: Any, a: Any) -> Any:
        return 1 + np.sin(2 * z)


@dataclass(frozen=True, repr=False)
class Centered(Activation):
    """No activation at all: rows are mixed."""

    def value(self, z: Any) -> Any:
        return z - z.mean(axis=-1, keepdims=True)

    def slope(self, z: Any, a: Any) -> Any:
        return np.ones_like(z)


@dataclass(frozen=True, repr=False)
class Cubes(Loss):
    def forward(self, y_true: Any, y_pred: Any, cache: Cache) -> Any:
        cache.error = y_pred - y_true
        return (np.abs(cache.error) ** 3).sum(axis=1)

    def backward(self, cache: Cache) -> Any:
        return 3 * cache.error * np.abs(cache.error)


@dataclass(frozen=True, repr=False)
class Slowing(Optimizer):
    """An optimizer whose steps get shorter, with a slot."""

    def own_slots(self) -> tuple[str, ...]:
        return ("m",)

    def numbers(self, rate: float, t: int) -> tuple[float, ...]:
        return (rate / t**0.5,)

    def update(self, theta: Any, g: Any, slots: Any, rate: float, t: int, decay: float) -> None:
        (step,) = self.numbers(rate, t)
        slots.m *= 0.5
        slots.m += g
        theta -= step * slots.m / (1 + np.abs(slots.m))


@compiled
@both_types
def test_what_a_user_writes_is_compiled(dtype: str, within: float) -> None:
    def make(**options: Any) -> Network:
        return Network([Dense(5), Snake(), Dense(3)], inputs=6, loss=0.5 * Cubes(), optimizer=Slowing(0.05),
                       dtype=dtype, **options)  # fmt: skip

    alike(make, Y, within)
    explained = make(engine="auto").explain_engine()
    assert "python" not in explained
    assert explained.count("recorded from its Python") == 3


@compiled
def test_old_values_are_read_before_new_ones_are_stored() -> None:
    @dataclass(frozen=True, repr=False)
    class Looking(Optimizer):
        def own_slots(self) -> tuple[str, ...]:
            return ("before",)

        def update(self, theta: Any, g: Any, slots: Any, rate: float, t: int, decay: float) -> None:
            old = theta.copy()
            theta -= rate * (g + slots.before)
            slots.before *= 0
            slots.before += 0.1 * old

    def make(**options: Any) -> Network:
        return Network(
            [Dense(3)], inputs=6, loss=MSE(), optimizer=Looking(0.1), dtype="float64", **options
        )

    alike(make, Y, 1e-12)
    assert "python" not in make(engine="auto").explain_engine()


@compiled
def test_functions_become_a_loss_that_is_compiled_and_checked() -> None:
    good = Loss.of(lambda y, p: np.cosh(p - y).sum(axis=1), lambda y, p: np.sinh(p - y))
    wrong = Loss.of(lambda y, p: np.cosh(p - y).sum(axis=1), lambda y, p: np.sinh(y - p))
    for loss in (good, wrong):
        net = Network([Dense(3)], inputs=6, loss=loss, optimizer=SGD(0.01), engine="native")
        if loss is wrong:
            with pytest.raises(GradientError, match="does not agree"):
                net.fit(X, Y, progress=False)
        else:
            net.fit(X, Y, epochs=2, progress=False)
            assert type(loss).checked


@compiled
def test_a_number_that_is_changed_later_is_seen() -> None:
    place: dict[str, Any] = {"np": np, "strength": 1.0}
    exec("def value(y, p):\n    return strength * ((p - y) ** 2).sum(axis=1)\n"
         "def gradient(y, p):\n    return strength * 2 * (p - y)", place)  # fmt: skip
    loss = Loss.of(place["value"], place["gradient"])
    net = Network([Dense(3)], inputs=6, loss=loss, optimizer=SGD(0.01), engine="native")
    first = net.evaluate(X, Y)["loss"]
    place["strength"] = 3.0
    assert net.evaluate(X, Y)["loss"] == pytest.approx(3 * first)
    step = net.step(X, Y)
    step.forward()
    assert step.loss() == pytest.approx(3 * first)


@compiled
def test_what_may_change_unseen_is_called() -> None:
    strengths = [1.0]
    loss = Loss.of(
        lambda y, p: strengths[0] * ((p - y) ** 2).sum(axis=1),
        lambda y, p: strengths[0] * 2 * (p - y),
    )
    net = Network([Dense(3)], inputs=6, loss=loss, optimizer=SGD(0.01), engine="native")
    with pytest.raises(EngineError, match="no instructions"):
        net.fit(X, Y, progress=False)
    auto = Network([Dense(3)], inputs=6, loss=loss, optimizer=SGD(0.01))
    assert "may change" in auto.explain_engine()


@compiled
def test_an_activation_that_mixes_rows_is_called() -> None:
    net = Network([Dense(5), Centered(), Dense(3)], inputs=6, loss=MSE(), optimizer=SGD(0.01))
    assert "every number by itself" in net.explain_engine()


# ------------------------------------------------------------------------------------- recording


def traced(shape: tuple[int, ...] = (1009, 4)) -> Any:
    recording = Recording(np.dtype("float32"))
    return Traced(recording, recording.input("x", shape))


@pytest.mark.parametrize(
    "what",
    [
        lambda x: x.any() and 1, float, lambda x: x[0], list, np.asarray, lambda x: x.T,
        np.sort, lambda x: x.sum(axis=0) if x.max() > 0 else x, np.cumsum,
        lambda x: x.astype(int), lambda x: np.add(x, x, where=x > 0), lambda x: x.sum(axis=1)[0],
        lambda x: np.zeros(3).__iadd__(x), lambda x: x.reshape(3, -1), lambda x: x.real,
        lambda x: x.astype(np.float16) + x, hash,
    ],
)  # fmt: skip
def test_what_looks_at_numbers_is_no_formula(what: Any) -> None:
    with pytest.raises((Untraceable, TypeError, ValueError)):
        what(traced())


def test_what_is_written_into_a_view_is_in_the_array() -> None:
    x = traced()
    before = x.copy()
    view = x.reshape(-1)
    view *= 2
    assert x._node is view._node is not before._node


def test_shapes_and_types_are_numpys() -> None:
    x, real = traced((5, 4)), np.ones((5, 4), np.float32)
    for what in [
        lambda x: x + 1, lambda x: x * np.float64(2), lambda x: (x > 0) * 0.5, lambda x: x.sum(),
        lambda x: x.max(axis=1, keepdims=True) - x, lambda x: np.where(x > 0, 1, x), lambda x: x**3,
        lambda x: np.clip(x, -1, None), lambda x: x[..., None], lambda x: ~(x > 0) & (x < 3),
        lambda x: np.full_like(x, 2), lambda x: -x / 3, lambda x: np.mean(x, axis=-1), lambda x: x.var(axis=1),
        lambda x: (x > 0).sum(axis=1), lambda x: np.expand_dims(x.sum(axis=1), 1), lambda x: x.ravel(),
        lambda x: np.einsum(x, [0, 1], x, [0, 1], [0]), lambda x: np.maximum.reduce(x, axis=-1),
        lambda x: np.logaddexp(x, 0), np.isfinite, lambda x: np.linalg.norm(x, axis=1),
    ]:  # fmt: skip
        found, wanted = what(x), what(real)
        assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)


def test_a_formula_is_written_as_numpy() -> None:
    recorded = record_layer(
        GELU(approximate="tanh"), (3,), (), np.dtype("f8"), training=True, feeds=True
    )
    forward, backward = layer_formulas(recorded)
    z, names = (
        RNG.normal(size=(7, 3)),
        {n: getattr(np, n) for n in ("maximum", "minimum", "exp", "abs")},
    )
    for formula in (forward, backward):
        assert formula is not None
    exec("\n".join(forward.lines), names | {"x": z}, place := {})
    assert np.array_equal(place["y"].round(7), GELU(approximate="tanh")(z).round(7))
    net = Network([Dense(4), Mish()], inputs=6, loss=Huber(), optimizer=RMSProp(0.01))
    text = str(TableProgram(net))
    assert "t1 = exp(-abs(x))" in text
    assert "theta = theta - rate * (g / (sqrt(t1) + 1e-08))" in text


def test_equal_formulas_are_one() -> None:
    net = Network(
        [Dense(4), GELU(), Dense(4), GELU(), Dense(2), GELU()],
        inputs=6,
        loss=MSE(),
        optimizer=SGD(0.1),
    )
    table = TableProgram(net).training.table
    assert sum(i.op == "formula" for i in table.code()) == 6
    assert len(table.formulas) == 2


def test_a_loss_does_not_depend_on_the_number_of_rows() -> None:
    @dataclass(frozen=True, repr=False)
    class Divided(Cubes):
        def forward(self, y_true: Any, y_pred: Any, cache: Cache) -> Any:
            return super().forward(y_true, y_pred, cache) / len(y_pred)

    with pytest.raises(Untraceable, match="another value"):
        record_loss(Divided(), (3,), (3,), np.dtype("f8"), integer=False)
