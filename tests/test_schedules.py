"""Schedules against their formulas and PyTorch's."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pellucid.description import Description
from pellucid.errors import OptionError
from pellucid.schedules import ConstantRate, Cosine, WarmUp, as_schedule

rates = st.floats(1e-6, 10)
counts = st.integers(1, 1000)


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
