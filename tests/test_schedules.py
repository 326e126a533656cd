"""Schedules against their formulas and PyTorch's."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.neural_network import MLPRegressor

from pellucid.description import Description
from pellucid.errors import OptionError
from pellucid.optimizers import SGD
from pellucid.schedules import (
    ConstantRate,
    Cosine,
    CosineRestarts,
    ExponentialDecay,
    InverseScaling,
    MultiStep,
    OneCycle,
    PolynomialDecay,
    StepDecay,
    WarmUp,
    as_schedule,
)

rates = st.floats(1e-6, 10)
counts = st.integers(1, 1000)


def lr(name, **options):
    return lambda optimizer: getattr(torch.optim.lr_scheduler, name)(optimizer, **options)


# our schedule, PyTorch's, and how many steps it may be asked for
PEERS = {
    "cosine": (Cosine(0.1, 40, 0.01), lr("CosineAnnealingLR", T_max=40, eta_min=0.01), 41),
    "step": (StepDecay(0.1, 7), lr("StepLR", step_size=7), 80),
    "step-half": (StepDecay(0.1, 1, 0.5), lr("StepLR", step_size=1, gamma=0.5), 30),
    "steps": (
        MultiStep(0.1, (3, 4, 20), 0.3), lr("MultiStepLR", milestones=[3, 4, 20], gamma=0.3), 40
    ),
    "exponential": (ExponentialDecay(0.1, 0.9), lr("ExponentialLR", gamma=0.9), 100),
    "polynomial": (PolynomialDecay(0.1, 30), lr("PolynomialLR", total_iters=30), 60),
    "polynomial-root": (
        PolynomialDecay(0.1, 30, 0.5), lr("PolynomialLR", total_iters=30, power=0.5), 60
    ),
    "polynomial-square": (
        PolynomialDecay(0.1, 30, 2), lr("PolynomialLR", total_iters=30, power=2), 60
    ),
    "restarts": (
        CosineRestarts(0.1, 9, floor=0.01),
        lr("CosineAnnealingWarmRestarts", T_0=9, eta_min=0.01),
        100,
    ),
    "restarts-longer": (
        CosineRestarts(0.1, 5, growth=3), lr("CosineAnnealingWarmRestarts", T_0=5, T_mult=3), 700
    ),
    "one-cycle": (OneCycle(0.1, 50), lr("OneCycleLR", max_lr=0.1, total_steps=50), 50),
    "one-cycle-line": (
        OneCycle(0.1, 33, 0.4, 10, 100, "linear"),
        lr("OneCycleLR", max_lr=0.1, total_steps=33, pct_start=0.4, div_factor=10,
           final_div_factor=100, anneal_strategy="linear"),
        33,
    ),
    "one-cycle-three": (
        OneCycle(0.1, 47, three_phase=True),
        lr("OneCycleLR", max_lr=0.1, total_steps=47, three_phase=True),
        47,
    ),
    "one-cycle-three-line": (
        OneCycle(0.1, 50, 0.2, shape="linear", three_phase=True),
        lr("OneCycleLR", max_lr=0.1, total_steps=50, pct_start=0.2, three_phase=True,
           anneal_strategy="linear"),
        50,
    ),
}  # fmt: skip
# others' formulas: Keras's, scikit-learn's, the papers'
FORMULAS = {
    "exponential-slow": (ExponentialDecay(0.1, 0.5, every=10), lambda k: 0.1 * 0.5 ** (k / 10)),
    "inverse": (InverseScaling(0.1), lambda k: 0.1 / math.sqrt(1 + k)),
    "inverse-time": (
        InverseScaling(0.1, power=1, scale=0.5 / 10, every=10),
        lambda k: 0.1 / (1 + 0.5 * (k // 10)),
    ),
    "polynomial-floor": (
        PolynomialDecay(0.1, 30, 2, floor=0.02),
        lambda k: (0.1 - 0.02) * (1 - min(k, 30) / 30) ** 2 + 0.02,
    ),
    "restarts-lower": (
        CosineRestarts(0.1, 8, shrink=0.5, floor=0.01),
        lambda k: 0.01 + 0.09 * 0.5 ** (k // 8) * 0.5 * (1 + math.cos(math.pi * (k % 8) / 8)),
    ),
    "warm-cycle": (
        WarmUp(CosineRestarts(0.1, 8), 5),
        lambda k: 0.02 * (k + 1) if k < 5 else 0.05 * (1 + math.cos(math.pi * ((k - 5) % 8) / 8)),
    ),
    "warm-stairs": (
        WarmUp(StepDecay(0.1, 4, 0.5), 2),
        lambda k: 0.05 * (k + 1) if k < 2 else 0.1 * 0.5 ** ((k - 2) // 4),
    ),
}
EVERY = {name: case[0] for name, case in (PEERS | FORMULAS).items()}
every = pytest.mark.parametrize("schedule", EVERY.values(), ids=EVERY)


@pytest.mark.parametrize(("schedule", "make", "count"), PEERS.values(), ids=PEERS)
def test_rates_are_pytorchs(schedule, make, count):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    scheduler = make(optimizer)
    for step in range(count):
        rate = scheduler.get_last_lr()[0]
        assert schedule(step) == pytest.approx(rate, rel=1e-10, abs=1e-17), step
        optimizer.step()
        if step + 1 < count:
            scheduler.step()


@pytest.mark.parametrize(("schedule", "formula"), FORMULAS.values(), ids=FORMULAS)
def test_rates_are_the_formulas(schedule, formula):
    for step in range(100):
        assert schedule(step) == pytest.approx(formula(step), rel=1e-12), step


@every
def test_rates_are_numbers_an_optimizer_takes(schedule):
    for step in [*range(200), 10**4, 10**7, 10**9]:
        assert type(SGD(schedule).rate(step)) is float
    assert [schedule(k) for k in range(99, -1, -1)] == [schedule(k) for k in range(100)][::-1]


@every
def test_configs_of_all(schedule):
    again = Description.from_config(json.loads(json.dumps(schedule.to_config())))
    assert again == schedule
    assert [again(k) for k in range(60)] == [schedule(k) for k in range(60)]
    assert eval(repr(schedule)) == schedule


def test_scikit_learns_invscaling():
    """Its rate after epoch e over n rows is init / (e·n + 1)^power_t."""
    schedule = InverseScaling(0.2, power_t=0.3, scale=40, every=5)  # 5 batches of 40 rows
    for step in range(50):
        epoch = step // 5
        assert schedule(step) == pytest.approx(0.2 / (epoch * 200 + 1) ** 0.3, rel=1e-14)
    peer = MLPRegressor(
        hidden_layer_sizes=3, solver="sgd", learning_rate="invscaling", learning_rate_init=0.2,
        power_t=0.3, batch_size=40, max_iter=4, random_state=0,
    )  # fmt: skip
    with pytest.warns(UserWarning, match="Maximum iterations"):
        peer.fit(np.zeros((200, 1)), np.zeros(200))
    assert peer._optimizer.learning_rate == pytest.approx(schedule(20), rel=1e-3)


def test_one_cycle_rests_at_its_end():
    schedule = OneCycle(0.1, 20)
    assert schedule(19) == pytest.approx(0.1 / 25 / 1e4)
    assert schedule(20) == schedule(10**6) == 0.1 / 25 / 1e4
    assert max(schedule(k) for k in range(20)) == pytest.approx(0.1)
    for steps in (2, 3, 4):  # so few that there is no way up
        assert all(0 < OneCycle(0.1, steps, 0.1)(k) <= 0.1 for k in range(6))


def test_restarts_far_away_cost_nothing():
    assert CosineRestarts(0.1, 7)(7 * 10**12 + 3) == CosineRestarts(0.1, 7)(3)
    assert CosineRestarts(0.1, 1, growth=2)(2**40 - 1) == 0.1


def test_words_of_other_libraries():
    assert StepDecay(initial_learning_rate=0.1, step_size=3, gamma=0.5) == StepDecay(0.1, 3, 0.5)
    assert (
        MultiStep(0.1, milestones=[2, 5])
        == MultiStep(0.1, (2, 5))
        == MultiStep(0.1, np.array([2, 5]))
    )
    assert ExponentialDecay(0.1, decay_rate=0.9, decay_steps=3) == ExponentialDecay(0.1, 0.9, 3)
    assert Cosine(0.1, T_max=9, eta_min=0.01) == Cosine(0.1, 9, 0.01)
    assert CosineRestarts(0.1, T_0=9, T_mult=2, m_mul=0.5) == CosineRestarts(0.1, 9, 2, 0.5)
    assert OneCycle(max_lr=0.1, total_steps=9, pct_start=0.2, anneal_strategy="cos") == OneCycle(
        0.1, 9, 0.2
    )
    with pytest.raises(OptionError, match="Did you mean 'factor'"):
        StepDecay(0.1, 3, facter=0.5)


@given(rates, st.integers(0, 10**9))
def test_constant(rate, step):
    assert ConstantRate(rate)(step) == as_schedule(rate)(step) == rate


@given(rates, counts, st.floats(0, 1), st.integers(0, 3000))
def test_cosine_is_its_formula_and_never_leaves_its_bounds(peak, steps, share, step):
    floor = share * peak
    rate = Cosine(peak, steps, floor)(step)
    inside = min(step, steps)
    exact = floor + (peak - floor) * (1 + math.cos(math.pi * inside / steps)) / 2
    assert rate == pytest.approx(exact, rel=1e-12, abs=1e-15)
    assert floor * (1 - 1e-15) <= rate <= peak * (1 + 1e-15)
    assert type(rate) is float


def test_cosine_ends_exactly():
    schedule = Cosine(0.1, 100, floor=0.01)
    assert schedule(0) == 0.1
    assert schedule(50) == pytest.approx(0.055, rel=1e-14)
    assert schedule(100) == schedule(101) == schedule(10**9) == 0.01
    path = [schedule(step) for step in range(101)]
    assert path == sorted(path, reverse=True)


def test_cosine_is_pytorchs_annealing():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    peer = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=40, eta_min=0.01)
    for step in range(41):
        assert Cosine(0.1, 40, 0.01)(step) == pytest.approx(peer.get_last_lr()[0], rel=1e-10)
        optimizer.step()
        peer.step()


@given(rates, counts, st.integers(0, 2000))
def test_warm_up_is_a_line_and_then_the_rate(rate, steps, step):
    exact = rate * (step + 1) / steps if step < steps else rate
    assert WarmUp(rate, steps)(step) == pytest.approx(exact, rel=1e-15)


def test_warm_up_hands_over_at_the_inner_schedules_own_zero():
    inner = Cosine(0.2, 10)
    schedule = WarmUp(inner, 4)
    np.testing.assert_allclose([schedule(s) for s in range(4)], [0.05, 0.1, 0.15, 0.2])
    assert [schedule(4 + s) for s in range(12)] == [inner(s) for s in range(12)]
    assert WarmUp(0.3, 1)(0) == 0.3
    assert WarmUp(WarmUp(0.3, 2), 2)(0) == pytest.approx(0.075)


def test_the_same_step_gives_the_same_rate_whatever_came_before():
    schedule = WarmUp(Cosine(0.2, 10), 4)
    forwards = [schedule(s) for s in range(20)]
    assert [schedule(s) for s in reversed(range(20))] == forwards[::-1]


@pytest.mark.parametrize(
    "make",
    [
        lambda: ConstantRate(0),
        lambda: ConstantRate(-1),
        lambda: ConstantRate(math.nan),
        lambda: ConstantRate("0.1"),
        lambda: Cosine(0, 10),
        lambda: Cosine(0.1, 0),
        lambda: Cosine(0.1, 2.5),
        lambda: Cosine(0.1, 10, floor=-0.1),
        lambda: Cosine(0.1, 10, floor=0.2),
        lambda: Cosine("0.1", 10),
        lambda: StepDecay(0.1, 0),
        lambda: StepDecay(0.1, 2, 1.5),
        lambda: StepDecay(0.1, 2, 0),
        lambda: MultiStep(0.1, (3, 3)),
        lambda: MultiStep(0.1, (5, 3)),
        lambda: MultiStep(0.1, (-1, 3)),
        lambda: MultiStep(0.1, (1.5,)),
        lambda: MultiStep(0.1, "3"),
        lambda: ExponentialDecay(0.1, 0),
        lambda: ExponentialDecay(0.1, 1.01),
        lambda: ExponentialDecay(0.1, 0.9, every=0),
        lambda: PolynomialDecay(0.1, 10, power=0),
        lambda: PolynomialDecay(0.1, 10, floor=0.2),
        lambda: InverseScaling(0.1, power=-1),
        lambda: InverseScaling(0.1, scale=0),
        lambda: CosineRestarts(0.1, 10, growth=1.5),
        lambda: CosineRestarts(0.1, 10, shrink=0),
        lambda: CosineRestarts(0.1, 10, floor=1),
        lambda: OneCycle(0.1, 1),
        lambda: OneCycle(0.1, 10, rising=1),
        lambda: OneCycle(0.1, 10, rising=0.6, three_phase=True),
        lambda: OneCycle(0.1, 10, start_divisor=0.5),
        lambda: OneCycle(0.1, 10, shape="sine"),
        lambda: OneCycle(0.1, 10, three_phase=1),
        lambda: WarmUp(0, 10),
        lambda: WarmUp("cosine", 10),
        lambda: WarmUp(0.1, 0),
        lambda: WarmUp(0.1, True),
        lambda: as_schedule("cosine"),
        lambda: as_schedule(None),
        lambda: as_schedule(-0.1),
    ],
)
def test_options_are_checked(make):
    with pytest.raises(OptionError):
        make()


def test_numpy_numbers_and_configs():
    schedule = WarmUp(Cosine(np.float32(0.5), np.int64(8)), np.int64(2))
    assert schedule(3) == Cosine(0.5, 8)(1)
    again = Description.from_config(schedule.to_config())
    assert [again(s) for s in range(12)] == [schedule(s) for s in range(12)]
    assert repr(WarmUp(Cosine(0.5, 8), 2)) == "WarmUp(Cosine(0.5, 8), 2)"
    assert as_schedule(schedule) is schedule
