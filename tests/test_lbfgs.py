"""L-BFGS: PyTorch's trajectories, and a run that behaves like every other run."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

import pellucid.optimizers.lbfgs as lbfgs
from pellucid import (
    L2,
    LBFGS,
    MSE,
    Adam,
    BatchNorm,
    Checkpoint,
    CrossEntropy,
    Dense,
    Dropout,
    EarlyStopping,
    Loss,
    Network,
    Observer,
    ReLU,
    Standardize,
    StepDecay,
    Tanh,
    find_learning_rate,
    register,
)
from pellucid.errors import DivergenceError, Interrupted, OptionError
from pellucid.formats import load_state, save_state
from pellucid.training.fullbatch import FullBatch


@pytest.fixture(autouse=True)
def torch_in_double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


# ---- functions whose minimum is known: the outputs of a dense layer on one row are its weights ----

FUNCTIONS: dict[str, tuple[Any, list[float]]] = {
    "rosenbrock": (
        lambda w: (100 * (w[..., 1:] - w[..., :-1] ** 2) ** 2 + (1 - w[..., :-1]) ** 2).sum(-1),
        [-1.2, 1.0, -0.5, 0.8, 1.4, -0.3, 0.2, 1.1],
    ),
    "beale": (
        lambda w: (
            (1.5 - w[..., 0] + w[..., 0] * w[..., 1]) ** 2
            + (2.25 - w[..., 0] + w[..., 0] * w[..., 1] ** 2) ** 2
            + (2.625 - w[..., 0] + w[..., 0] * w[..., 1] ** 3) ** 2
        ),
        [1.0, 1.0],
    ),
    "long valley": (lambda w: (w**2 * 10.0 ** torch.arange(6)).sum(-1) / 2, [1.0] * 6),
    "far away": (lambda w: (w**4).sum(-1) + 0.01 * (w**2).sum(-1), [30.0, -50.0, 7.0]),
    "bumpy": (lambda w: (0.1 * w**2 + torch.sin(3 * w)).sum(-1), [4.0, -3.0, 9.0, 0.3]),
}


@register("test.Function")
@dataclass(frozen=True, repr=False)
class Function(Loss):
    """A function of the outputs, differentiated by PyTorch."""

    name: str = "rosenbrock"

    def forward(self, y_true, y_pred, cache):
        cache.w = torch.tensor(y_pred, requires_grad=True)
        cache.f = FUNCTIONS[self.name][0](cache.w)
        return cache.f.detach().numpy()

    def backward(self, cache):
        (g,) = torch.autograd.grad(cache.f.sum(), cache.w)
        return g.numpy()


def function_network(name: str, dtype: str = "float64", **options: Any) -> Network:
    start = FUNCTIONS[name][1]
    net = Network([Dense(len(start), use_bias=False)], inputs=1, loss=Function(name=name),
                  dtype=dtype, optimizer=LBFGS(**options), engine="numpy")  # fmt: skip
    net.parameters["dense_1/W"] = np.array([start])
    return net


def solve(net: Network, *observers: Observer, **options: Any) -> Any:
    n = net.parameters.vector.size
    settings: dict[str, Any] = {"epochs": 1, "progress": False} | options
    return net.fit(np.ones((1, 1)), np.zeros((1, n)), callbacks=list(observers), **settings)


class Trail(Observer):
    """The weights and losses after every iteration."""

    every = 1

    def __init__(self) -> None:
        self.weights: list[np.ndarray] = []
        self.losses: list[float] = []

    def on_step(self, event):
        self.weights.append(event.run.net.parameters.vector.copy())
        self.losses.append(event.loss)


def trail(name: str, nudge: float = 0.0, **options: Any) -> tuple[np.ndarray, list[float]]:
    """Weights and losses, iteration by iteration, from a start that may be nudged a little."""
    net, seen = function_network(name, max_iter=70, **options), Trail()
    net.parameters.vector[...] *= 1 + nudge * np.arange(1, net.parameters.vector.size + 1)
    solve(net, seen)
    return np.array(seen.weights), seen.losses


@pytest.mark.parametrize("history", [1, 3, 10])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_iterations_are_pytorchs(name, history):
    """As far as the last bit of the start decides no more than they differ."""
    f, start = FUNCTIONS[name]
    options = {"tolerance_grad": 1e-9, "tolerance_change": 1e-13, "history_size": history}
    ours, losses = trail(name, **options)
    w = torch.tensor(start, requires_grad=True)
    peer = torch.optim.LBFGS([w], max_iter=1, max_eval=26, line_search_fn="strong_wolfe", **options)

    def closure():
        peer.zero_grad()
        loss = f(w)
        loss.backward()
        return loss

    theirs = []
    for _ in ours:
        peer.step(closure)
        theirs.append(w.detach().numpy().copy())
    off = np.abs(ours - np.array(theirs)).max(axis=1)
    noise = np.zeros(len(ours))
    for nudge in (3e-16, -3e-16, 7e-16):
        other = trail(name, nudge, **options)[0][: len(ours)]
        noise[: len(other)] = np.maximum(
            noise[: len(other)], np.abs(ours[: len(other)] - other).max(axis=1)
        )
    assert (off <= 50 * np.maximum.accumulate(noise) + 1e-12).all(), (off, noise)
    assert off[:20].max() < 1e-10
    assert len(ours) > 5
    assert losses == sorted(losses, reverse=True)


@pytest.mark.parametrize("rate", [0.3, 1.0])
def test_fifty_iterations_of_a_network_are_pytorchs(rate):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 5))
    y = np.sin(x[:, :1] * 2) + x[:, 1:2] * x[:, 2:3]
    net = Network([Dense(8), Tanh(), Dense(1)], inputs=5, loss=MSE(), dtype="float64",
                  optimizer=LBFGS(rate, history_size=7, max_iter=50), penalty=L2(1e-3))  # fmt: skip
    parts = [torch.tensor(p.copy(), requires_grad=True) for p in net.parameters.values()]
    peer = torch.optim.LBFGS(parts, rate, max_iter=50, max_eval=10**6, history_size=7,
                             line_search_fn="strong_wolfe")  # fmt: skip
    X, Y = torch.tensor(x), torch.tensor(y)

    def closure():
        peer.zero_grad()
        W1, b1, W2, b2 = parts
        loss = ((torch.tanh(X @ W1 + b1) @ W2 + b2 - Y) ** 2).mean()
        loss = loss + 0.5 * 1e-3 * ((W1**2).sum() + (W2**2).sum())
        loss.backward()
        return loss

    record = net.fit(x, y, epochs=1, batch_size=64, progress=False)
    peer.step(closure)
    found = np.concatenate([p.detach().numpy().ravel() for p in parts])
    np.testing.assert_allclose(net.parameters.vector, found, rtol=1e-9, atol=1e-10)
    assert record[-1]["loss"] + record[-1]["penalty"] == pytest.approx(closure().item(), rel=1e-10)
    assert net.updates == 50


def test_the_minimum_of_a_convex_problem_is_scipys():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(150, 4)), rng.integers(0, 3, 150)
    net = Network([Dense(3)], inputs=4, loss=CrossEntropy(), optimizer=LBFGS(), dtype="float64",
                  penalty=L2(0.1))  # fmt: skip
    record = net.fit(x, y, epochs=30, batch_size=50, progress=False)
    assert record.stopped.startswith("converged: ")
    assert len(record) < 30

    def objective(theta):
        W, b = theta[:12].reshape(4, 3), theta[12:]
        z = x @ W + b
        top = z.max(axis=1)
        losses = np.log(np.exp(z - top[:, None]).sum(axis=1)) + top - z[np.arange(150), y]
        return losses.mean() + 0.05 * (W**2).sum()

    found = minimize(objective, np.zeros(15), method="BFGS", options={"gtol": 1e-9})
    assert objective(net.parameters.vector) == pytest.approx(found.fun, abs=1e-10)
    assert record[-1]["accuracy"] == pytest.approx(net.evaluate(x, y)["accuracy"])
    assert record[-1]["loss"] == pytest.approx(net.evaluate(x, y)["loss"], rel=1e-12)


@pytest.mark.parametrize("name", ["rosenbrock", "beale", "long valley", "far away"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_it_gets_to_the_bottom(name, dtype):
    net = function_network(name, dtype)
    record = solve(net, epochs=40)
    bottom = {"rosenbrock": [1.0] * 8, "beale": [3.0, 0.5]}.get(name, [0.0])
    assert record.stopped.startswith("converged: ")
    atol = 1e-4 if dtype == "float64" else 2e-2
    np.testing.assert_allclose(net.parameters.vector, np.broadcast_to(
        bottom, net.parameters.vector.shape), atol=atol)  # fmt: skip
    assert net.parameters.vector.dtype == dtype
    assert {v.dtype for v in net.slots.values()} == {np.dtype(dtype)}


# ---- the two loops, and the line search, alone ----------------------------------------------------


def test_the_direction_is_that_of_the_matrix_it_never_writes():
    rng = np.random.default_rng(2)
    n, size = 6, 4
    curvature = np.diag(np.arange(1.0, n + 1))
    slots = {f"{kind}{k}": np.zeros(n) for kind in "sy" for k in range(1, size + 1)}
    H, pairs = np.eye(n), []
    for _ in range(3):  # fewer than there is room for
        s = rng.normal(size=n)
        lbfgs.remember(slots, size, s, curvature @ s)
        pairs.append((s, curvature @ s))
    H *= pairs[-1][0] @ pairs[-1][1] / (pairs[-1][1] @ pairs[-1][1])
    for s, y in pairs:
        rho = 1 / (y @ s)
        left = np.eye(n) - rho * np.outer(s, y)
        H = left @ H @ left.T + rho * np.outer(s, s)
    g = rng.normal(size=n)
    np.testing.assert_allclose(lbfgs.direction(g, slots, size), -H @ g, rtol=1e-12)
    # and it maps the newest change of the gradient to the step that made it
    np.testing.assert_allclose(
        lbfgs.direction(pairs[-1][1], slots, size), -pairs[-1][0], rtol=1e-12
    )


def test_pairs_move_back_and_those_of_no_curvature_are_left_out():
    slots = {f"{kind}{k}": np.zeros(2) for kind in "sy" for k in (1, 2)}
    for k in (1.0, 2.0, 3.0):
        lbfgs.remember(slots, 2, np.array([k, 0.0]), np.array([k, 1.0]))
    lbfgs.remember(slots, 2, np.array([9.0, 0.0]), np.array([-1.0, 0.0]))
    lbfgs.remember(slots, 2, np.array([0.0, 0.0]), np.array([0.0, 0.0]))
    assert [slots["s1"][0], slots["s2"][0], slots["y1"][0]] == [3, 2, 3]
    np.testing.assert_array_equal(
        lbfgs.direction(np.ones(2), {k: 0 * v for k, v in slots.items()}, 2), -1
    )


LINES = {
    "parabola": (lambda t: (t - 3) ** 2, lambda t: 2 * (t - 3)),
    "steep": (lambda t: 1e6 * (t - 1e-4) ** 2, lambda t: 2e6 * (t - 1e-4)),
    "far": (lambda t: (t / 1e4 - 1) ** 2, lambda t: 2e-4 * (t / 1e4 - 1)),
    "wave": (lambda t: np.cos(t) - 0.1 * t, lambda t: -np.sin(t) - 0.1),
    "wall": (
        lambda t: -t + (np.nan if t > 2 else 0.1 / (2.0001 - t)),
        lambda t: -1 + (np.nan if t > 2 else 0.1 / (2.0001 - t) ** 2),
    ),
    "cliff": (lambda t: -t if t < 1 else np.inf, lambda t: -1.0),
    "quartic": (lambda t: (t - 2) ** 4, lambda t: 4 * (t - 2) ** 3),
}


@pytest.mark.parametrize("first", [1e-3, 0.1, 1.0, 30.0])
@pytest.mark.parametrize("name", LINES)
def test_the_step_satisfies_the_wolfe_conditions(name, first):
    f, slope = LINES[name]
    looks = []

    def at(t):
        looks.append(t)
        value = f(t)
        return lbfgs.Point(t, float(value) if np.isfinite(value) else np.inf, float(slope(t)))

    start = lbfgs.Point(0.0, float(f(0.0)), float(slope(0.0)))
    if start.slope >= 0:
        pytest.skip("no way down")
    found = lbfgs.strong_wolfe(at, start, first, 1.0, 1e-12)
    assert len(looks) <= 25
    assert found.f < start.f
    assert found.f <= start.f + 1e-4 * found.t * start.slope
    if name != "cliff":  # which is flat nowhere
        assert abs(found.slope) <= 0.9 * abs(start.slope)


def test_where_nothing_is_lower_it_stays():
    up = lbfgs.strong_wolfe(
        lambda t: lbfgs.Point(t, 1 + t, 1.0), lbfgs.Point(0, 1, -1.0), 1, 1, 1e-9
    )
    assert up.t == 0


# ---- a run like every other ----------------------------------------------------------------------


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(11)
    x = rng.normal(3, 2, size=(61, 6))
    return x, (x[:, 0] > 3).astype(int) + (rng.random(61) < 0.3)


def network(**options: Any) -> Network:
    layers = [Standardize(), Dense(12), BatchNorm(), ReLU(), Dropout(0.3), Dense(3)]
    settings = {"loss": CrossEntropy(), "optimizer": LBFGS(history_size=3, max_iter=4),
                "penalty": L2(1e-3), "seed": 4, "engine": "numpy"}  # fmt: skip
    return Network(layers, **{**settings, **options})


def fit(net: Network, *observers: Observer, **options: Any) -> Any:
    settings: dict[str, Any] = {
        "epochs": 3, "batch_size": 10, "class_weight": {0: 1, 1: 2.5, 2: 0.3}, "validation": 0.25,
        "progress": False,
    }  # fmt: skip
    return net.fit(*data(), callbacks=list(observers), **settings | options)


def bits(net: Network, record: Any) -> dict[str, Any]:
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in record.rows]
    return {
        "parameters": net.parameters.vector.tobytes(), "state": net.state.vector.tobytes(),
        **{name: vector.tobytes() for name, vector in net.slots.items()},
        "updates": net.updates, "rows": repr(rows), "stopped": record.stopped,
    }  # fmt: skip


class Snapshots(Observer):
    every = 1
    last = True

    def __init__(self) -> None:
        self.states: list[Any] = []

    def on_step(self, event):
        self.states.append(event.run.snapshot())

    def on_epoch(self, event):
        self.states.append(event.run.snapshot())


def test_gone_on_with_from_anywhere_it_has_the_same_bits(tmp_path: Path) -> None:
    net, seen = network(), Snapshots()
    expected = bits(net, fit(net, seen))
    assert net.updates == 12
    assert len(seen.states) == 15
    again = network()
    assert bits(again, fit(again)) == expected  # watched or not
    for number, state in enumerate(seen.states):
        fresh = network()
        if number % 2:
            save_state(net, tmp_path / "run", state)
            state = load_state(tmp_path / "run")
        assert bits(fresh, fit(fresh, resume=state)) == expected, number


def test_a_converged_run_is_over_however_it_is_gone_on_with(tmp_path: Path) -> None:
    settings = {"optimizer": LBFGS(max_iter=4, tolerance_change=1e-3)}
    net, seen = network(**settings), Snapshots()
    record = fit(net, seen, epochs=50, validation=None)
    expected = bits(net, record)
    assert record.stopped.startswith("converged: the loss changes by less than 0.001")
    for number, state in enumerate(seen.states[-4:]):
        save_state(net, tmp_path / "run", state)
        fresh = network(**settings)
        found = bits(fresh, fit(fresh, epochs=50, validation=None, resume=tmp_path / "run"))
        assert found == expected, number
    assert bits(net, fit(net, epochs=50, validation=None, resume=True)) == expected


def test_stopped_in_the_middle_and_by_ctrl_c() -> None:
    whole = network()
    expected = bits(whole, fit(whole))

    class Stop(Observer):
        every = 1

        def __init__(self, step: int, what: Any) -> None:
            self.step, self.what = step, what

        def on_step(self, event):
            if event.step == self.step:
                self.what(event)

    net = network()
    fit(net, Stop(6, lambda event: event.run.stop("enough")))
    assert net.updates == 6
    assert bits(net, fit(net, resume=True)) == expected
    net = network()
    with pytest.raises(Interrupted):
        fit(net, Stop(3, lambda event: signal.raise_signal(signal.SIGINT)))
    assert bits(net, fit(net, resume=True)) == expected


def test_an_error_during_the_search_leaves_the_weights_where_it_began() -> None:
    net, before = network(), []

    class Fail(Observer):
        phases = True
        count = 0

        def on_phase(self, event):
            if event.phase == "forward":
                self.count += 1
            if self.count == 28:
                raise MemoryError

    class Keep(Observer):
        every = 1

        def on_step(self, event):
            before.append(event.run.net.parameters.vector.copy())

    with pytest.raises(MemoryError):
        fit(net, Fail(), Keep())
    assert before
    np.testing.assert_array_equal(net.parameters.vector, before[-1])
    assert net.updates == len(before)
    whole = network()
    assert bits(whole, fit(whole)) == bits(net, fit(net, resume=True))


def test_blocks_decide_memory_and_not_the_result() -> None:
    x, y = data()
    results = []
    for size, accumulate in [(61, 1), (7, 1), (7, 3), (1, 1), (1000, 2)]:
        net = Network([Dense(5), Tanh(), Dense(3)], inputs=6, loss=CrossEntropy(), dtype="float64",
                      optimizer=LBFGS(max_iter=6), penalty=L2(1e-2))  # fmt: skip
        weight = np.linspace(0.1, 2, 61)
        record = net.fit(x, y, epochs=1, batch_size=size, accumulate=accumulate,
                         sample_weight=weight, progress=False)  # fmt: skip
        results.append((net.parameters.vector, record[-1]["loss"], record[-1]["accuracy"]))
    for theta, loss, accuracy in results[1:]:
        np.testing.assert_allclose(theta, results[0][0], rtol=1e-9, atol=1e-12)
        assert loss == pytest.approx(results[0][1], rel=1e-12)
        assert accuracy == pytest.approx(results[0][2])


def test_rows_on_disk_stay_there(tmp_path: Path) -> None:
    x, y = data()
    np.save(tmp_path / "x.npy", x.astype(np.float32))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    nets = [Network([Dense(3)], inputs=6, loss=CrossEntropy(), optimizer=LBFGS()) for _ in "ab"]
    nets[0].fit(mapped, y, epochs=1, batch_size=16, progress=False)
    nets[1].fit(x.astype(np.float32), y, epochs=1, batch_size=16, progress=False)
    np.testing.assert_array_equal(nets[0].parameters.vector, nets[1].parameters.vector)


def test_the_loss_is_one_function_of_the_weights() -> None:
    """Dropout draws the same numbers at every look, batch statistics do not remember."""
    net, seen = network(), Trail()
    fit(net, seen, epochs=5, validation=None)
    assert len(seen.losses) == 20
    net = network()
    net.build(6)
    program = {}

    class Grab(Observer):
        def on_run_start(self, event):
            program["it"] = event.run.program

    fit(net, Grab(), epochs=1)
    full = program["it"]
    assert isinstance(full, FullBatch)
    first, second = full.look(), full.look()
    np.testing.assert_array_equal(first.gradient, second.gradient)
    assert first.objective == second.objective
    # and its gradient is that of its value
    theta, d = (
        net.parameters.vector,
        np.random.default_rng(0).normal(size=net.parameters.vector.size),
    )
    net64 = network(dtype="float64")
    fit(net64, Grab(), epochs=1)
    full, theta = program["it"], net64.parameters.vector
    here, base, eps = full.look(), theta.copy(), 1e-6
    values = []
    for sign in (1, -1):
        theta[...] = base + sign * eps * d
        values.append(full.look().objective)
    assert (values[0] - values[1]) / (2 * eps) == pytest.approx(here.gradient @ d, rel=1e-6)


def test_running_statistics_follow_the_steps_that_were_taken() -> None:
    x, y = data()
    layers = [Dense(4), BatchNorm(momentum=0.0), Tanh(), Dense(3)]
    net = Network(
        layers, inputs=6, loss=CrossEntropy(), optimizer=LBFGS(max_iter=5), dtype="float64"
    )
    net.fit(x, y, epochs=2, batch_size=61, progress=False)
    z = x @ net.parameters["dense_1/W"] + net.parameters["dense_1/b"]
    np.testing.assert_allclose(net.state["batch_norm_1/mean"], z.mean(axis=0), rtol=1e-10)


def test_what_is_not_trainable_stays() -> None:
    x, y = data()
    frozen = Dense(4, trainable=False)
    net = Network([frozen, Tanh(), Dense(3)], inputs=6, loss=CrossEntropy(), optimizer=LBFGS(),
                  penalty=L2(0.1))  # fmt: skip
    net.parameters["dense_1/b"][:2] = [-0.0, 0.0]
    before = net.parameters.vector.copy()
    net.fit(x, y, epochs=2, batch_size=61, progress=False)
    start, stop = net.parameters.stretch("dense_2/W")
    assert net.parameters.vector[:start].tobytes() == before[:start].tobytes()
    assert (net.parameters.vector[start:stop] != before[start:stop]).all()
    assert not any(slot[:start].any() for slot in net.slots.values())
    everything = Network(
        [Dense(3, trainable=False)], inputs=6, loss=CrossEntropy(), optimizer=LBFGS()
    )
    record = everything.fit(x, y, epochs=3, progress=False)
    assert record.stopped.startswith("converged: no entry of the gradient")
    assert len(record) == 1
    assert record[0]["loss"] > 0


def test_events_and_other_observers_work_as_always(tmp_path: Path) -> None:
    class Count(Observer):
        every = 1
        phases = True

        def __init__(self) -> None:
            self.steps: list[int] = []
            self.seen: dict[str, int] = {}
            self.planned: Any = None

        def on_run_start(self, event):
            self.planned = event.epochs, event.steps_per_epoch

        def on_step(self, event):
            self.steps.append(event.step)

        def on_phase(self, event):
            self.seen[event.phase] = self.seen.get(event.phase, 0) + 1

    class Tensors(Observer):
        every = 3
        tensors = ("dense_2", "d/dense_2/W")
        shapes: Any = None

        def on_step(self, event):
            self.shapes = {name: a.shape for name, a in event.tensors.items()}

    net, count, tensors = network(), Count(), Tensors()
    early, path = EarlyStopping("loss", patience=5), tmp_path / "run"
    record = fit(net, count, tensors, early, Checkpoint(path), epochs=2)
    assert count.planned == (2, 4)
    assert count.steps == list(range(1, 9))
    assert count.seen["update"] == 8
    assert count.seen["forward"] == count.seen["loss"] == count.seen["backward"] >= 8 * 5
    assert tensors.shapes["d/dense_2/W"] == (12, 3)
    assert early.best == record["loss"][-1]
    assert record["step"] == [4, 8]
    assert record["learning_rate"] == [1.0, 1.0]
    assert "validation_loss" in record.columns
    twin = Network.load(path)
    assert twin.optimizer == net.optimizer
    np.testing.assert_array_equal(twin.slots["y2"], net.slots["y2"])
    assert bits(twin, fit(twin, resume=path, epochs=3)) == bits(
        net, fit(net, resume=True, epochs=3)
    )


def test_a_second_fit_goes_on_with_what_was_learnt() -> None:
    once = function_network("rosenbrock", max_iter=20)
    solve(once)
    twice = function_network("rosenbrock", max_iter=10)
    solve(twice)
    solve(twice)
    np.testing.assert_array_equal(once.parameters.vector, twice.parameters.vector)
    after_adam = Network([Dense(3)], inputs=6, loss=CrossEntropy(), optimizer=Adam())
    after_adam.fit(*data(), epochs=2, progress=False)
    record = after_adam.fit(*data(), optimizer=LBFGS(), progress=False)
    assert record["loss"][-1] < record["loss"][0]
    assert set(after_adam.slots) == set(LBFGS().slot_names())


def test_a_rate_may_be_a_schedule() -> None:
    net = function_network("beale", learning_rate=StepDecay(1.0, 5, 0.5))
    assert solve(net)[-1]["learning_rate"] == 0.125


def test_the_start_may_be_the_end() -> None:
    net = function_network("long valley")
    net.parameters.vector[...] = 0
    record = solve(net, epochs=5)
    assert (net.updates, len(record)) == (0, 1)
    assert record.stopped == "converged: no entry of the gradient is above 1e-07"


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_loss_that_is_not_finite_at_the_start_ends_the_run(bad: float) -> None:
    net = function_network("beale")
    net.parameters.vector[0] = bad
    with pytest.raises(DivergenceError, match="the loss became NaN or infinite at update 1"):
        solve(net)
    assert net.updates == 0


def test_steps_that_go_too_far_are_shortened() -> None:
    """x − log x has no value below 0, where the first steps lead."""

    @dataclass(frozen=True, repr=False)
    class Barrier(Loss):
        def forward(self, y_true, y_pred, cache):
            cache.w = y_pred
            return (100 * y_pred - np.log(y_pred)).sum(axis=1)

        def backward(self, cache):
            return 100 - 1 / cache.w

    net = Network([Dense(2, use_bias=False)], inputs=1, loss=Barrier(), optimizer=LBFGS(10.0),
                  dtype="float64", engine="numpy")  # fmt: skip
    net.parameters["dense_1/W"] = [[1.0, 5.0]]
    solve(net, epochs=20)
    np.testing.assert_allclose(net.parameters.vector, 0.01, rtol=1e-5)


def test_what_it_cannot_do_is_said() -> None:
    x, y = data()
    net = Network([Dense(3)], inputs=6, loss=CrossEntropy(), optimizer=LBFGS())
    with pytest.raises(OptionError, match="fit it to arrays"):
        net.fit(lambda: iter([(x, y)]), progress=False)
    step = net.step(x, y)
    step.forward()
    step.loss()
    step.backward()
    before = net.parameters.vector.copy()
    with pytest.raises(OptionError, match="a single step cannot"):
        step.update()
    np.testing.assert_array_equal(net.parameters.vector, before)
    assert "update (SGD(" in str(net.trace(x, y))  # a step is shown all the same
    with pytest.raises(OptionError, match="an optimizer with a rate to look for"):
        find_learning_rate(net, x, y)


@pytest.mark.parametrize("engine", ["auto", "numpy"])
def test_both_engines(engine: str) -> None:
    x, y = data()
    net = Network([Dense(5), Tanh(), Dense(3)], inputs=6, loss=CrossEntropy(), dtype="float64",
                  optimizer=LBFGS(max_iter=8), engine=engine)  # fmt: skip
    net.fit(x, y, epochs=1, batch_size=20, progress=False)
    expected = Network([Dense(5), Tanh(), Dense(3)], inputs=6, loss=CrossEntropy(), dtype="float64",
                       optimizer=LBFGS(max_iter=8), engine="numpy")  # fmt: skip
    expected.fit(x, y, epochs=1, batch_size=20, progress=False)
    np.testing.assert_allclose(net.parameters.vector, expected.parameters.vector, atol=1e-8)
