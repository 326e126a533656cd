"""Optimizers against fifty steps of torch.optim, and the promises of `apply`."""

from __future__ import annotations

import math
from dataclasses import dataclass

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import pellucid.optimizers.norms
import pellucid.optimizers.runs
from pellucid.description import Description
from pellucid.errors import OptionError
from pellucid.optimizers import (
    EMA,
    LBFGS,
    SGD,
    SWA,
    Adadelta,
    Adagrad,
    Adam,
    AdamW,
    Incoming,
    Lion,
    NAdam,
    Optimizer,
    RAdam,
    RMSProp,
    Run,
    Runs,
    as_optimizer,
)
from pellucid.schedules import ConstantRate, Cosine, InverseScaling, Schedule, WarmUp

# A weight, a bias, a weight and a frozen stretch, as they lie in a network's flat vector.
SIZE = 40
RUNS = Runs(
    (Run(0, 12, True), Run(12, 16, False), Run(16, 30, True)),
    (Incoming.of(0, (3, 4), -1), Incoming.of(16, (2, 1, 7), 0)),
)
FROZEN = slice(30, SIZE)


def new_slots(optimizer, like):
    return {name: np.zeros_like(like) for name in optimizer.slot_names()}


def gradient_of(theta):
    """The gradient of some bumpy function, so that a trajectory is more than its first step."""
    return np.sin(3 * theta) + theta * np.linspace(0.5, 2, theta.size)


def trajectory(optimizer, steps=50, runs=RUNS, dtype=np.float64):
    theta = np.random.default_rng(0).normal(size=SIZE).astype(dtype)
    slots = new_slots(optimizer, theta)
    path = []
    for t in range(1, steps + 1):
        optimizer.apply(theta, gradient_of(theta).astype(dtype), slots, t, runs)
        path.append(theta.copy())
    return np.array(path)


@pytest.fixture(autouse=True)
def torch_in_double():
    """NAdam keeps a product of momenta in PyTorch's default type."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def torch_trajectory(make, *, norm=None, value=None, decay=0.0, rates=None):
    start = np.random.default_rng(0).normal(size=SIZE)
    parts = [torch.tensor(start[a:b].copy(), requires_grad=True) for a, b, _ in RUNS]
    decayed = [p for p, run in zip(parts, RUNS, strict=True) if run.decay]
    plain = [p for p, run in zip(parts, RUNS, strict=True) if not run.decay]
    groups = [{"params": decayed, "weight_decay": decay}, {"params": plain, "weight_decay": 0.0}]
    optimizer = make(groups)
    path = []
    theta = start.copy()
    for step in range(50):
        for group in optimizer.param_groups:
            if rates is not None:
                group["lr"] = rates(step)
        g = gradient_of(theta)
        for part, (a, b, _) in zip(parts, RUNS, strict=True):
            part.grad = torch.tensor(g[a:b].copy())
        if value is not None:
            torch.nn.utils.clip_grad_value_(parts, value)
        if norm is not None:
            torch.nn.utils.clip_grad_norm_(parts, norm)
        optimizer.step()
        for part, (a, b, _) in zip(parts, RUNS, strict=True):
            theta[a:b] = part.detach().numpy()
        path.append(theta.copy())
    return np.array(path)


def sgd(**options):
    return lambda groups: torch.optim.SGD(groups, lr=0.02, **options)


def adam(cls=torch.optim.Adam, **options):
    return lambda groups: cls(groups, lr=0.02, **options)


def peer(cls, lr=0.02, **options):
    return lambda groups: cls(groups, lr=lr, **options)


CASES = {
    "sgd": (SGD(0.02), sgd(), {}),
    "momentum": (SGD(0.02, 0.9), sgd(momentum=0.9), {}),
    "nesterov": (SGD(0.02, 0.9, True), sgd(momentum=0.9, nesterov=True), {}),
    "sgd-decay": (SGD(0.02, weight_decay=0.3), sgd(), {"decay": 0.3}),
    "momentum-decay": (
        SGD(0.02, momentum=0.8, weight_decay=0.3), sgd(momentum=0.8), {"decay": 0.3}
    ),
    "nesterov-decay": (
        SGD(0.02, momentum=0.8, nesterov=True, weight_decay=0.3),
        sgd(momentum=0.8, nesterov=True),
        {"decay": 0.3},
    ),
    "adam": (Adam(0.02), adam(), {}),
    "adam-options": (
        Adam(0.02, beta_1=0.5, beta_2=0.9, epsilon=1e-3), adam(betas=(0.5, 0.9), eps=1e-3), {}
    ),
    "adam-decay": (Adam(0.02, weight_decay=0.3), adam(), {"decay": 0.3}),
    "adamw": (AdamW(0.02), adam(torch.optim.AdamW), {"decay": 0.01}),
    "adamw-decay": (AdamW(0.02, weight_decay=0.3), adam(torch.optim.AdamW), {"decay": 0.3}),
    "adamw-none": (AdamW(0.02, weight_decay=0), adam(torch.optim.AdamW), {"decay": 0}),
    "sgd-norm": (SGD(0.02, 0.9, clip_norm=0.7), sgd(momentum=0.9), {"norm": 0.7}),
    "adam-norm": (Adam(0.02, clip_norm=0.7), adam(), {"norm": 0.7}),
    "adam-loose-norm": (Adam(0.02, clip_norm=1e6), adam(), {"norm": 1e6}),
    "adam-value": (Adam(0.02, clip_value=0.2), adam(), {"value": 0.2}),
    "adamw-both": (
        AdamW(0.02, clip_norm=0.7, clip_value=0.2, weight_decay=0.1),
        adam(torch.optim.AdamW),
        {"norm": 0.7, "value": 0.2, "decay": 0.1},
    ),
    "scheduled": (
        AdamW(WarmUp(Cosine(0.05, 30, floor=0.001), 10)),
        adam(torch.optim.AdamW),
        {"decay": 0.01, "rates": WarmUp(Cosine(0.05, 30, floor=0.001), 10)},
    ),
    "scheduled-momentum": (
        SGD(Cosine(0.05, 40), momentum=0.9), sgd(momentum=0.9), {"rates": Cosine(0.05, 40)}
    ),
    "amsgrad": (Adam(0.02, amsgrad=True), adam(amsgrad=True), {}),
    "amsgrad-decay": (
        Adam(0.02, beta_2=0.8, amsgrad=True, weight_decay=0.3),
        adam(betas=(0.9, 0.8), amsgrad=True),
        {"decay": 0.3},
    ),
    "amsgrad-w": (
        AdamW(0.02, beta_2=0.9, amsgrad=True, clip_norm=0.7),
        adam(torch.optim.AdamW, betas=(0.9, 0.9), amsgrad=True),
        {"decay": 0.01, "norm": 0.7},
    ),
    "nadam": (NAdam(0.02), peer(torch.optim.NAdam), {}),
    "nadam-options": (
        NAdam(0.02, 0.8, 0.95, 1e-4, momentum_decay=0.1, weight_decay=0.3),
        peer(torch.optim.NAdam, betas=(0.8, 0.95), eps=1e-4, momentum_decay=0.1),
        {"decay": 0.3},
    ),
    "nadam-decoupled": (
        NAdam(0.02, momentum_decay=0, decoupled_weight_decay=True, weight_decay=0.3),
        peer(torch.optim.NAdam, momentum_decay=0, decoupled_weight_decay=True),
        {"decay": 0.3},
    ),
    "radam": (RAdam(0.02), peer(torch.optim.RAdam), {}),
    "radam-options": (
        RAdam(0.02, 0.8, 0.95, 1e-4, weight_decay=0.3),
        peer(torch.optim.RAdam, betas=(0.8, 0.95), eps=1e-4),
        {"decay": 0.3},
    ),
    "radam-decoupled": (
        RAdam(0.02, decoupled_weight_decay=True, weight_decay=0.3, clip_value=0.2),
        peer(torch.optim.RAdam, decoupled_weight_decay=True),
        {"decay": 0.3, "value": 0.2},
    ),
    "radam-never-sure": (RAdam(0.02, beta_2=0.5), peer(torch.optim.RAdam, betas=(0.9, 0.5)), {}),
    "adagrad": (Adagrad(0.3), peer(torch.optim.Adagrad, 0.3), {}),
    "adagrad-options": (
        Adagrad(InverseScaling(0.3, power=1, scale=0.1), 0.1, 1e-3, weight_decay=0.3),
        peer(torch.optim.Adagrad, 0.3, lr_decay=0.1, initial_accumulator_value=0.1, eps=1e-3),
        {"decay": 0.3},
    ),
    "adagrad-norm": (
        Adagrad(Cosine(0.5, 60), clip_norm=0.7), peer(torch.optim.Adagrad),
        {"rates": Cosine(0.5, 60), "norm": 0.7},
    ),
    "adadelta": (Adadelta(), peer(torch.optim.Adadelta, 1.0), {}),
    "adadelta-options": (
        Adadelta(0.5, 0.6, 1e-3, weight_decay=0.3),
        peer(torch.optim.Adadelta, 0.5, rho=0.6, eps=1e-3),
        {"decay": 0.3},
    ),
    **{
        f"rmsprop{'-centered' * centered}{'-momentum' * bool(momentum)}{'-decay' * bool(decay)}": (
            RMSProp(0.02, 0.9, momentum, 1e-4, centered, weight_decay=decay),
            peer(torch.optim.RMSprop, alpha=0.9, momentum=momentum, eps=1e-4, centered=centered),
            {"decay": decay},
        )
        for centered in (False, True)
        for momentum in (0.0, 0.8)
        for decay in (0.0, 0.3)
    },
    "rmsprop-defaults": (RMSProp(), peer(torch.optim.RMSprop, 0.01), {}),
}  # fmt: skip

table = pytest.mark.parametrize(("optimizer", "make", "options"), CASES.values(), ids=CASES)
# What PyTorch has no peer of has a test of its own, and shares every other property.
ALONE = {
    "lion": Lion(0.02),
    "lion-options": Lion(Cosine(0.05, 60), 0.6, 0.8, weight_decay=0.3, clip_norm=0.7),
    "ema": Adam(0.02, average=EMA(0.9)),
    "swa": SGD(0.02, average=SWA(start=1, every=2)),
    "max-norm": SGD(0.02, momentum=0.9, max_norm=1.5, average=EMA(0.5)),
}
EVERY = {name: case[0] for name, case in CASES.items()} | ALONE
every = pytest.mark.parametrize("optimizer", EVERY.values(), ids=EVERY)


@table
def test_fifty_steps_are_pytorchs(optimizer, make, options):
    ours, theirs = trajectory(optimizer), torch_trajectory(make, **options)
    np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)
    assert np.abs(ours[-1] - ours[0]).max() > 1e-3  # and it went somewhere


@every
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nothing_outside_the_runs_is_read_or_written(optimizer, dtype):
    rng = np.random.default_rng(1)
    theta, g = rng.normal(size=(2, SIZE)).astype(dtype)
    g[FROZEN] = np.nan
    slots = new_slots(optimizer, theta)
    for slot in slots.values():
        slot[FROZEN] = np.nan
    before = theta.copy()
    theta[FROZEN] = np.nan
    optimizer.apply(theta, g, slots, 1, RUNS)
    assert np.isfinite(theta[:30]).all()
    assert (theta[:30] != before[:30]).all()
    for array in (theta, g, *slots.values()):
        assert np.isnan(array[FROZEN]).all()
        assert np.isfinite(array[:30]).all()
        assert array.dtype == dtype


@every
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_cut_into_blocks_changes_no_bit(optimizer, dtype, monkeypatch):
    whole = trajectory(optimizer, 5, dtype=dtype)
    for block in (1, 3, 7, 16):
        monkeypatch.setattr(pellucid.optimizers.runs, "BLOCK", block)
        pellucid.optimizers.runs.blocks.cache_clear()
        np.testing.assert_array_equal(trajectory(optimizer, 5, dtype=dtype), whole)
    pellucid.optimizers.runs.blocks.cache_clear()


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 9), st.booleans()), max_size=6))
@settings(max_examples=100, deadline=None)
def test_any_runs_are_updated_once_each(pieces):
    runs, end = [], 0
    for gap, length, decay in pieces:
        runs.append(Run(end + gap, end + gap + length, decay))
        end += gap + length
    theta, g = np.ones(end), np.ones(end)
    SGD(0.25, weight_decay=0.5).apply(theta, g, {}, 1, runs)
    expected = np.ones(end)
    for start, stop, decay in runs:
        expected[start:stop] = 1 - 0.25 * (1 + 0.5 * decay)
    np.testing.assert_array_equal(theta, expected)


def test_neighbouring_runs_are_one_where_decay_does_not_tell_them_apart():
    blocks = pellucid.optimizers.runs.blocks
    assert blocks(RUNS, False) == ((slice(0, 30), False),)
    assert len(blocks(RUNS, True)) == 3
    assert len(blocks((Run(0, 3, True), Run(4, 6, True)), True)) == 2


def test_whole_vectors_of_many_blocks():
    n = 3 * pellucid.optimizers.runs.BLOCK + 17
    rng = np.random.default_rng(2)
    theta, g = rng.normal(size=(2, n)).astype(np.float32)
    naive = theta.astype(float) - 1e-3 * np.sign(g)  # Adam's first step
    optimizer = Adam()
    optimizer.apply(theta, g, new_slots(optimizer, theta), 1, [Run(0, n, True)])
    np.testing.assert_allclose(theta, naive, atol=1e-6)


@every
@pytest.mark.parametrize("size", [0.0, 1e-200, 1e200, -1e200])
def test_gradients_of_any_size_leave_everything_finite(optimizer, size):
    theta = np.ones(SIZE)
    slots = new_slots(optimizer, theta)
    for t in (1, 2, 3):
        optimizer.apply(theta, np.full(SIZE, size), slots, t, RUNS)
    assert np.isfinite(theta).all()
    if size == 0 and not optimizer.weight_decay and not optimizer.max_norm:
        np.testing.assert_array_equal(theta, 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_huge_gradients_are_clipped_to_the_norm(dtype):
    huge = 1e30 if dtype == np.float32 else 1e200  # whose square is not a number of this type
    g = np.full(SIZE, huge, dtype)
    theta = np.zeros(SIZE, dtype)
    SGD(1.0, clip_norm=2.0).apply(theta, g, {}, 1, RUNS)
    assert np.linalg.norm(theta[:30]) == pytest.approx(2.0, rel=1e-5)
    np.testing.assert_array_equal(g[:30], -theta[:30])  # g is the gradient that was followed
    np.testing.assert_array_equal(g[FROZEN], dtype(huge))


def test_clipping_leaves_what_cannot_be_clipped_for_others_to_see():
    g = np.array([1.0, np.nan])
    SGD(clip_norm=1.0).clip(g, [Run(0, 2, True)])
    assert np.isnan(g[1])
    g = np.array([1.0, np.inf])
    with np.errstate(invalid="ignore"):
        SGD(clip_norm=1.0).clip(g, [Run(0, 2, True)])
    assert not np.isfinite(g[1])
    SGD(clip_norm=1.0).clip(g, [])


def test_values_are_clipped_within_the_runs_only():
    g = np.array([3.0, -4.0, 100.0, 0.5])
    SGD(clip_value=1.0).clip(g, [Run(0, 2, True), Run(3, 4, False)])
    np.testing.assert_array_equal(g, [1, -1, 100, 0.5])


def test_clip_is_pytorchs_formula():
    g = np.array([3.0, 4.0, 100.0])
    SGD(clip_norm=1.0).clip(g, [Run(0, 2, True)])
    np.testing.assert_array_equal(g, np.array([3.0, 4.0, 100.0]) * [1 / 5.000001, 1 / 5.000001, 1])
    g = np.array([0.3, 0.4])
    SGD(clip_norm=1.0).clip(g, [Run(0, 2, True)])
    np.testing.assert_array_equal(g, [0.3, 0.4])


@pytest.mark.parametrize(
    "optimizer",
    [
        SGD(), SGD(0.1, 0.9), SGD(0.1, 0.9, True), SGD(weight_decay=0.1),
        SGD(0.1, 0.9, weight_decay=0.1), Adam(), Adam(weight_decay=0.1), AdamW(),
    ],
)  # fmt: skip
def test_without_clipping_the_gradient_is_not_written(optimizer):
    g = np.random.default_rng(0).normal(size=SIZE)
    g.setflags(write=False)
    theta = np.ones(SIZE)
    optimizer.apply(theta, g, new_slots(optimizer, theta), 1, RUNS)


def test_read_as_the_paper_does():
    # Kingma and Ba's algorithm 1, line by line, in float64
    rng = np.random.default_rng(3)
    theta, m, v = rng.normal(size=5), np.zeros(5), np.zeros(5)
    ours, slots = theta.copy(), {"m": m.copy(), "v": v.copy()}
    for t in range(1, 20):
        g = rng.normal(size=5)
        m = 0.9 * m + (1 - 0.9) * g
        v = 0.999 * v + (1 - 0.999) * g**2
        m_hat, v_hat = m / (1 - 0.9**t), v / (1 - 0.999**t)
        theta = theta - 0.001 * m_hat / (np.sqrt(v_hat) + 1e-8)
        Adam().apply(ours, g, slots, t, [Run(0, 5, True)])
        np.testing.assert_allclose(ours, theta, rtol=1e-14)
        np.testing.assert_allclose(slots["m"], m, rtol=1e-14)
        np.testing.assert_allclose(slots["v"], v, rtol=1e-14)


def test_lion_is_its_papers_recursion():
    """Chen et al.'s algorithm 2, in fifty digits."""
    mp = mpmath.mp.clone()
    mp.dps = 50
    rate, beta_1, beta_2, decay = mp.mpf(0.02), mp.mpf(0.9), mp.mpf(0.99), mp.mpf(0.3)
    ours = np.random.default_rng(0).normal(size=SIZE)
    theirs, m = [mp.mpf(x) for x in ours], [mp.mpf(0)] * SIZE
    optimizer = Lion(0.02, weight_decay=0.3)
    slots = new_slots(optimizer, ours)
    for t in range(1, 61):
        g = gradient_of(ours)
        optimizer.apply(ours, g, slots, t, RUNS)
        for start, stop, decays in RUNS:
            for i in range(start, stop):
                c = beta_1 * m[i] + (1 - beta_1) * mp.mpf(g[i])
                theirs[i] -= rate * (mp.sign(c) + decay * decays * theirs[i])
                m[i] = beta_2 * m[i] + (1 - beta_2) * mp.mpf(g[i])
        np.testing.assert_allclose(ours[:30], [float(x) for x in theirs[:30]], rtol=0, atol=1e-14)
    np.testing.assert_allclose(slots["m"][:30], [float(x) for x in m[:30]], rtol=1e-12)


def test_nadams_product_of_momenta_goes_on_for_ever():
    optimizer = NAdam(beta_1=0.9, momentum_decay=0.01)
    peer = torch.optim.NAdam([p := torch.ones(3, requires_grad=True)], momentum_decay=0.01)
    theta, slots = np.ones(3), new_slots(optimizer, np.ones(3))
    for t in range(1, 1200):  # the product vanishes at about 370
        g = np.array([1.0, -2.0, 0.5]) * math.sin(t)
        optimizer.apply(theta, g, slots, t, [Run(0, 3, True)])
        p.grad = torch.tensor(g)
        peer.step()
    np.testing.assert_allclose(theta, p.detach().numpy(), rtol=1e-12)
    optimizer.apply(theta, g, slots, 10**9, [Run(0, 3, True)])  # at once


def test_rmsprop_does_not_take_the_root_of_less_than_nothing():
    """A constant gradient has no variance, and rounding makes it a little negative."""
    optimizer = RMSProp(1e-9, rho=0.9, centered=True)
    for dtype in (np.float32, np.float64):
        theta = np.ones(1000, dtype)
        slots, g = new_slots(optimizer, theta), np.linspace(0.1, 3, 1000).astype(dtype)
        for t in range(1, 400):
            optimizer.apply(theta, g, slots, t, [Run(0, 1000, True)])
        assert (slots["v"] < slots["a"] ** 2).any()
        assert np.isfinite(theta).all()


# ------------------------------------------------------------------------- kept short, averaged


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("shape", "axis"), [((6, 5), -1), ((3, 3, 2, 4), -1), ((5, 6), 0)])
def test_max_norm_is_pytorchs_renorm(shape, axis, dtype):
    w = np.random.default_rng(0).normal(size=shape).astype(dtype)
    theta = np.concatenate([[9.0], w.ravel(), [9.0]]).astype(dtype)
    runs = Runs([Run(1, len(theta) - 1, True)], [Incoming.of(1, shape, axis)])
    SGD(max_norm=1.3).keep_short(theta, runs)
    expected = torch.renorm(torch.tensor(w), 2, axis % len(shape), 1.3).numpy()
    found = theta[1:-1].reshape(shape)
    np.testing.assert_allclose(found, expected, rtol=2e-7)
    np.testing.assert_array_equal(theta[[0, -1]], 9)
    others = tuple(i for i in range(len(shape)) if i != axis % len(shape))
    norms = np.sqrt((found.astype(float) ** 2).sum(axis=others))
    before = np.sqrt((w.astype(float) ** 2).sum(axis=others))
    assert (norms <= 1.3 * (1 + 4 * np.finfo(dtype).eps)).all()
    assert (before > 1.3).any()
    np.testing.assert_array_equal(found.swapaxes(0, axis)[before <= 1.3],
                                  w.swapaxes(0, axis)[before <= 1.3])  # fmt: skip


@pytest.mark.parametrize("size", [0.0, 1e-300, 1e-200, 1e200])
def test_max_norm_of_any_size(size):
    theta = np.full(6, size)
    SGD(max_norm=2.0).keep_short(theta, Runs([Run(0, 6, True)], [Incoming.of(0, (3, 2), -1)]))
    expected = size if size < 1 else 2 / math.sqrt(3)
    np.testing.assert_allclose(theta, expected, rtol=1e-14)


def test_max_norm_must_know_the_units():
    with pytest.raises(OptionError, match="which weights lead into which unit"):
        SGD(max_norm=1.0).apply(np.ones(3), np.ones(3), {}, 1, [Run(0, 3, True)])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("average", "options"),
    [
        (SWA(), {}),
        (SWA(start=4, every=3), {}),
        (EMA(0.9), {"multi_avg_fn": get_ema_multi_avg_fn(0.9)}),
        (EMA(0.3, every=2), {"multi_avg_fn": get_ema_multi_avg_fn(0.3)}),
        (EMA(0.999, start=7), {"multi_avg_fn": get_ema_multi_avg_fn(0.999)}),
    ],
    ids=repr,
)
def test_averages_are_pytorchs(average, options, dtype):
    optimizer = SGD(0.05, average=average)
    theta = np.random.default_rng(0).normal(size=SIZE).astype(dtype)
    slots = new_slots(optimizer, theta)
    model = torch.nn.Linear(30, 1, bias=False, dtype=torch.tensor(theta).dtype)
    peer, begun = AveragedModel(model, **options), 0
    for t in range(1, 61):
        optimizer.apply(theta, gradient_of(theta).astype(dtype), slots, t, RUNS)
        if t > average.start and (t - average.start) % average.every == 0:
            begun += 1
            with torch.no_grad():
                model.weight[...] = torch.tensor(theta[:30])
            peer.update_parameters(model)
        if begun:
            found = peer.module.weight.detach().numpy()[0]
            eps = np.finfo(dtype).eps
            np.testing.assert_allclose(slots["average"][:30], found, rtol=60 * eps, atol=60 * eps)
        assert (slots["samples"][:30] == begun).all()
        assert not slots["samples"][FROZEN].any()


def test_an_average_begins_where_an_entry_begins():
    """A stretch that is released later has an average of its own samples alone."""
    optimizer = SGD(1.0, average=SWA())
    theta, slots = np.zeros(4), new_slots(optimizer, np.zeros(4))
    for t in range(1, 5):
        optimizer.apply(
            theta, -np.ones(4), slots, t, [Run(0, 2, True)] if t < 4 else [Run(0, 4, True)]
        )
    np.testing.assert_array_equal(theta, [4, 4, 1, 1])
    np.testing.assert_array_equal(slots["average"], [2.5, 2.5, 1, 1])
    np.testing.assert_array_equal(slots["samples"], [4, 4, 1, 1])


def test_a_field_changes_no_bit_of_the_weights():
    plain = trajectory(Adam(0.02))
    np.testing.assert_array_equal(trajectory(Adam(0.02, average=EMA(0.9))), plain)
    np.testing.assert_array_equal(trajectory(Adam(0.02, max_norm=1e9)), plain)


def test_numpy_scalars_do_not_widen_float32():
    optimizer = Adam(
        np.float64(0.01), np.float64(0.9), np.float64(0.99), np.float64(1e-8),
        weight_decay=np.float64(0.1), clip_norm=np.float64(1), clip_value=np.float64(1),
    )  # fmt: skip
    plain = Adam(0.01, 0.9, 0.99, 1e-8, weight_decay=0.1, clip_norm=1, clip_value=1)
    assert optimizer == plain
    np.testing.assert_array_equal(
        trajectory(optimizer, 4, dtype=np.float32), trajectory(plain, 4, dtype=np.float32)
    )

    @dataclass(frozen=True, repr=False)
    class Wide(Schedule):
        def __call__(self, step):
            return np.float64(0.1)

    assert type(SGD(Wide()).rate(3)) is float


def test_the_first_update_has_the_rate_of_step_zero():
    theta = np.zeros(1)
    SGD(WarmUp(1.0, 4)).apply(theta, np.ones(1), {}, 1, [Run(0, 1, True)])
    assert theta[0] == -0.25


def test_an_optimizer_of_ones_own():
    @dataclass(frozen=True, repr=False)
    class SignDescent(Optimizer):
        def update(self, theta, g, slots, rate, t, decay):
            theta -= rate * np.sign(g) + rate * decay * theta

    theta = np.array([1.0, 1.0, 1.0])
    SignDescent(0.5, weight_decay=0.1).apply(
        theta, np.array([3.0, -0.1, 7.0]), {}, 1, [Run(0, 1, True), Run(1, 2, False)]
    )
    np.testing.assert_allclose(theta, [1 - 0.5 - 0.05, 1.5, 1])


# ------------------------------------------------------------------------------- descriptions


@pytest.mark.parametrize("rate", [0, -0.1, np.nan, np.inf, "fast", None, True, [0.1]])
@pytest.mark.parametrize(
    "cls", [SGD, Adam, AdamW, Adagrad, RMSProp, Adadelta, NAdam, RAdam, Lion, LBFGS]
)
def test_learning_rate_is_checked(cls, rate):
    with pytest.raises(OptionError, match=f"{cls.__name__}: learning_rate must be a finite number"):
        cls(learning_rate=rate)
    with pytest.raises(OptionError):
        cls(lr=rate)


@pytest.mark.parametrize(
    ("cls", "options", "message"),
    [
        (SGD, {"momentum": 1.0}, "momentum must be a finite number at least 0 and below 1"),
        (SGD, {"momentum": -0.1}, "momentum"),
        (SGD, {"nesterov": True}, "nesterov needs momentum"),
        (SGD, {"nesterov": 1, "momentum": 0.9}, "nesterov must be True or False"),
        (SGD, {"clip_norm": 0}, "clip_norm"),
        (SGD, {"clip_value": -1}, "clip_value"),
        (SGD, {"weight_decay": -1e-3}, "weight_decay"),
        (Adam, {"beta_1": 1.0}, "beta_1"),
        (Adam, {"beta_2": np.nan}, "beta_2"),
        (Adam, {"epsilon": 0}, "epsilon"),
        (Adam, {"momentum": 0.9}, "Adam has no option 'momentum'"),
        (Adam, {"learning_rat": 0.9}, "Did you mean 'learning_rate'"),
        (Adam, {"lr": 0.1, "learning_rate": 0.1}, "one option"),
        (AdamW, {"weight_decay": "x"}, "weight_decay"),
        (Adam, {"amsgrad": 1}, "amsgrad must be True or False"),
        (Adam, {"max_norm": 0}, "max_norm"),
        (Adam, {"average": 0.999}, r"average must be EMA\(decay\) or SWA"),
        (Adam, {"betas": (0.9, 0.99)}, "beta_1= and beta_2="),
        (Adam, {"use_ema": True}, r"average=EMA"),
        (EMA, {"decay": 1.0}, "decay"),
        (EMA, {"every": 0}, "every"),
        (SWA, {"start": -1}, "start"),
        (SWA, {"decay": 0.5}, "SWA has no option 'decay'"),
        (NAdam, {"momentum_decay": -1}, "momentum_decay"),
        (NAdam, {"decoupled": 1}, "decoupled_weight_decay must be True or False"),
        (RAdam, {"beta_2": 1}, "beta_2"),
        (Lion, {"beta_1": 1}, "beta_1"),
        (Lion, {"epsilon": 1e-8}, "Lion has no option 'epsilon'"),
        (Adagrad, {"initial_accumulator_value": -1}, "initial_accumulator_value"),
        (Adagrad, {"lr_decay": 0.1}, "InverseScaling"),
        (RMSProp, {"rho": 1}, "rho"),
        (RMSProp, {"alpha": 0.9, "rho": 0.9}, "one option"),
        (RMSProp, {"momentum": 1}, "momentum"),
        (RMSProp, {"centred": True}, "Did you mean 'centered'"),
        (Adadelta, {"eps": 0}, "epsilon"),
        (LBFGS, {"history_size": 0}, "history_size"),
        (LBFGS, {"max_iter": 1.5}, "max_iter"),
        (LBFGS, {"tolerance_grad": -1}, "tolerance_grad"),
        (LBFGS, {"line_search_fn": None}, "strong Wolfe"),
        (LBFGS, {"max_eval": 25}, "max_iter="),
        (LBFGS, {"weight_decay": 0.1}, r"penalty=L2"),
        (LBFGS, {"clip_norm": 1.0}, "another function's"),
        (LBFGS, {"average": EMA()}, "another function's"),
    ],
)
def test_options_are_checked(cls, options, message):
    with pytest.raises(OptionError, match=message):
        cls(**options)


@every
def test_config_there_and_back(optimizer):
    assert Description.from_config(optimizer.to_config()) == optimizer


def test_slots_and_names():
    assert SGD().slot_names() == ()
    assert SGD(momentum=0.9).slot_names() == ("velocity",)
    assert Adam().slot_names() == AdamW().slot_names() == ("m", "v")
    assert Adam(amsgrad=True).slot_names() == ("m", "v", "v_max")
    assert SGD(average=SWA()).slot_names() == ("average", "samples")
    assert LBFGS(history_size=2).slot_names() == ("s1", "s2", "y1", "y2")
    for name, cls in [("adagrad", Adagrad), ("rmsprop", RMSProp), ("adadelta", Adadelta),
                      ("nadam", NAdam), ("radam", RAdam), ("lion", Lion), ("lbfgs", LBFGS)]:  # fmt: skip
        assert as_optimizer(name) == cls()
    assert as_optimizer("amsgrad") == Adam(amsgrad=True)
    assert RMSProp(alpha=0.9, eps=1e-3, lr=0.1) == RMSProp(0.1, rho=0.9, epsilon=1e-3)
    assert EMA(momentum=0.9) == EMA(0.9)
    assert as_optimizer("sgd") == SGD(0.01)
    assert as_optimizer("adam") == Adam(lr=1e-3, eps=1e-8, beta1=0.9, beta2=0.999)
    assert as_optimizer("adamw") == AdamW(weight_decay=0.01)
    assert as_optimizer(Adam(0.5)) == Adam(0.5)
    assert repr(Adam(0.5)) == "Adam(learning_rate=0.5)"
    assert repr(SGD(ConstantRate(0.5), clip_norm=1)) == (
        "SGD(learning_rate=ConstantRate(0.5), clip_norm=1)"
    )
    with pytest.raises(OptionError, match="Did you mean 'adam'"):
        as_optimizer("adm")
    with pytest.raises(OptionError, match="an optimizer or its name"):
        as_optimizer(0.1)


def test_a_schedule_that_gives_no_rate_is_named():
    @dataclass(frozen=True, repr=False)
    class Down(Schedule):
        def __call__(self, step):
            return 0.1 - step

    assert SGD(Down()).rate(0) == 0.1
    with pytest.raises(OptionError, match=r"Down\(\) gives a learning rate of -0.9 at step 1"):
        SGD(Down()).rate(1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_norm_of_long_vectors_is_that_of_all_their_pieces(dtype):
    n = 5 * pellucid.optimizers.norms.PIECE + 3
    g = np.random.default_rng(4).normal(size=n).astype(dtype)
    expected = g / (np.linalg.norm(g.astype(float)) + 1e-6)
    SGD(clip_norm=1.0).clip(g, [Run(0, n - 10, True), Run(n - 10, n, False)])
    np.testing.assert_allclose(g, expected, rtol=1e-6 if dtype == np.float32 else 1e-13)
