"""Synthetic problems: the points they promise, the same for a seed, and learnable."""

from __future__ import annotations

import doctest

import numpy as np
import pytest

import pellucid.data.synthetic as module
from pellucid import MSE, SGD, Adam, Conv2D, CrossEntropy, Dense, Network, ReLU, Rescale
from pellucid.data import Dataset, circles, moons, plane, quadrants, ring, shapes, spirals
from pellucid.errors import OptionError

ALL = [moons, circles, spirals, ring, quadrants, plane, shapes]
POINTS = [moons, circles, spirals, ring]


def test_examples_in_docstrings_run() -> None:
    found = doctest.testmod(module)
    assert found.attempted > 10
    assert not found.failed


@pytest.mark.parametrize("make", ALL)
def test_the_seed_decides_everything(make) -> None:
    first, again, other = make(60), make(60), make(60, seed=1)
    assert first.x.tobytes() == again.x.tobytes()
    assert first.y.tobytes() == again.y.tobytes()
    assert first.x.tobytes() != other.x.tobytes()
    assert len(make(60, seed=np.random.default_rng(0))) == 60
    before = np.random.get_state()[1].tolist()  # noqa: NPY002 (to see that it is left alone)
    make(60)
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


@pytest.mark.parametrize("make", ALL)
def test_shapes_and_types(make) -> None:
    d = make(101)
    assert isinstance(d, Dataset)
    assert len(d) == 101
    assert d.x.dtype == (np.uint8 if make is shapes else np.float64)
    assert d.y.dtype == (np.float64 if make is plane else np.int64)
    if make is plane:
        assert (d.x.shape, d.y.shape, d.names) == ((101, 5), (101, 1), None)
    elif make is shapes:
        assert (d.x.shape, d.y.shape) == ((101, 32, 32, 3), (101, 32, 32))
    else:
        assert (d.x.shape, d.y.shape, len(d.names)) == ((101, 2), (101,), d.y.max() + 1)
    if make in POINTS:  # equal shares, and not class after class
        assert np.bincount(d.y).tolist() == [51, 50]
        assert 10 < (np.diff(d.y) != 0).sum() < 90


@pytest.mark.parametrize("make", ALL)
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"rows": 0}, "rows is a whole number"),
        ({"rows": 2.5}, "rows is a whole number"),
        ({"rows": True}, "rows is a whole number"),
        ({"noise": -1}, "noise is a finite number"),
        ({"noise": float("nan")}, "noise is a finite number"),
        ({"noise": "much"}, "noise is a number"),
        ({"seed": -1}, "seed must be"),
        ({"random_state": 1}, "Write seed="),
        ({"row": 1}, "Did you mean 'rows'"),
    ],
)
def test_options_are_checked(make, options, says) -> None:
    if "noise" in options and make is quadrants:
        says = "quadrants has no option 'noise'"
    with pytest.raises(OptionError, match=says):
        make(**options)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: circles(factor=1), "between 0 and 1"),
        (lambda: circles(factor="half"), "between 0 and 1"),
        (lambda: spirals(arms=1), "arms is a whole number of 2"),
        (lambda: spirals(3, arms=4), "rows is a whole number of 4"),
        (lambda: spirals(turns=-1), "turns"),
        (lambda: ring(radius=float("inf")), "radius"),
        (lambda: ring(spread=-0.1), "spread"),
        (lambda: shapes(size=4), "size is a whole number of 8"),
    ],
)
def test_options_of_their_own_are_checked(call, says) -> None:
    with pytest.raises(OptionError, match=says):
        call()


def as_set(x: np.ndarray, y: np.ndarray) -> list[tuple[float, ...]]:
    return sorted(map(tuple, np.column_stack([y, x]).round(12).tolist()))


@pytest.mark.parametrize("rows", [100, 101])
def test_without_noise_the_points_are_those_of_scikit_learn(rows: int) -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    halves = (rows - rows // 2, rows // 2)
    theirs = datasets.make_moons(halves, noise=None)
    ours = moons(rows, noise=0)
    assert np.allclose(as_set(*ours), as_set(*theirs), atol=1e-9)
    theirs = datasets.make_circles(halves, noise=None, factor=0.3)
    ours = circles(rows, noise=0, factor=0.3)
    assert np.allclose(as_set(*ours), as_set(*theirs), atol=1e-9)


def test_noise_is_as_wide_as_asked() -> None:
    for make in (moons, circles, spirals):
        straight, noisy = make(20_000, noise=0), make(20_000, noise=0.3)
        assert np.array_equal(straight.y, noisy.y)
        assert np.std(noisy.x - straight.x, axis=0) == pytest.approx(0.3, rel=0.03)
    d = ring(40_000, radius=5, noise=0.2, spread=0.4)
    assert np.hypot(*d.x[d.y == 1].T).std() == pytest.approx(0.2, rel=0.05)
    assert np.hypot(*d.x[d.y == 1].T).mean() == pytest.approx(5, rel=0.01)
    assert d.x[d.y == 0].std(axis=0) == pytest.approx(0.4, rel=0.03)


def test_arms_are_the_same_arm_turned() -> None:
    d = spirals(900, arms=3, turns=1.5, noise=0)
    radius, angle = np.hypot(*d.x.T), np.arctan2(d.x[:, 1], d.x[:, 0])
    lag = angle / (2 * np.pi) - 1.5 * radius - d.y / 3
    assert np.abs(lag - lag.round())[radius > 0].max() < 1e-9
    assert radius.max() == pytest.approx(1)


def test_quadrants_fill_the_square() -> None:
    d = quadrants(100_000)
    assert np.array_equal(d.y == 1, d.x[:, 0] * d.x[:, 1] > 0)
    assert np.abs(d.x).max() <= 2
    counts = np.histogram2d(*d.x.T, bins=4, range=[[-2, 2]] * 2)[0]
    assert np.abs(counts / 6250 - 1).max() < 0.06  # 4.7 standard deviations
    assert np.array_equal(quadrants(10).x, d.x[:10])


def test_plane_is_the_formula() -> None:
    d = plane()
    assert len(d) == 100_000
    columns = np.c_[np.ones(len(d)), d.x]
    found, (squares,), *_ = np.linalg.lstsq(columns, d.y[:, 0], rcond=None)
    assert found == pytest.approx([50, 0.8, 0.4, -0.2, 10, 20], abs=0.2)
    assert squares / len(d) == pytest.approx(100, rel=0.02)
    assert d.x[:, :3].mean(axis=0) == pytest.approx([0, 0, 0], abs=0.02)
    assert d.x[:, :3].std(axis=0) == pytest.approx([1, 1, 1], abs=0.02)
    for column, values in ((3, [0, 1, 2, 3]), (4, [0, 1])):
        kinds, counts = np.unique(d.x[:, column], return_counts=True)
        assert kinds.tolist() == values
        assert np.abs(counts * len(values) / len(d) - 1).max() < 0.03
    assert np.abs(np.corrcoef(d.x.T) - np.eye(5)).max() < 0.02


def test_masks_lie_where_the_shapes_are() -> None:
    d = shapes(300, noise=0)
    dark, light = d.x[d.y == 0], d.x[d.y > 0]
    assert dark.max() <= 80
    assert light.min() >= 120
    assert set(np.unique(d.y)) == {0, 1, 2, 3}
    share = np.bincount(d.y.ravel()) / d.y.size  # one to three shapes of about 7 % each
    assert 0.03 < share[1:].min() <= share[1:].max() < 0.07
    assert share[1:].max() < 1.3 * share[1:].min()
    for image, mask in zip(d.x[:50], d.y[:50], strict=True):
        for kind in np.unique(mask[mask > 0]):
            assert len(np.unique(image[mask == kind], axis=0)) <= 3
    alone = [m for m in d.y if len(np.unique(m)) == 2 and m.any()]
    discs = [np.argwhere(m) for m in alone if m.max() == 1]
    assert min(len(p) for p in discs) > 20


def test_more_images_begin_with_the_same() -> None:
    few, many = shapes(20), shapes(300)
    assert np.array_equal(few.x, many.x[:20])
    assert np.array_equal(few.y, many.y[:20])
    assert not np.array_equal(many.x[:20], many.x[256:276])
    assert shapes(2, size=9).x.shape == (2, 9, 9, 3)


@pytest.mark.parametrize("make", [moons, circles, spirals, ring, quadrants])
def test_a_small_network_learns_them(make) -> None:
    train, test = make(600).split(0.25)
    layers = [Dense(24), ReLU(), Dense(24), ReLU(), Dense(2)]
    net = Network(layers, loss=CrossEntropy(), optimizer=Adam(0.01))
    net.fit(train, epochs=60, progress=False)
    assert net.evaluate(test)["accuracy"] > 0.95


def test_plane_is_learnt_down_to_its_noise() -> None:
    train, test = plane().split(0.2, seed=42)
    train, _ = train.split(0.2, seed=42)
    assert len(train) == 64_000
    layers = [Dense(10), ReLU(), Dense(10), ReLU(), Dense(1)]
    net = Network(layers, loss=MSE(), optimizer=SGD(1e-4))
    net.fit(train, epochs=20, batch_size=64, progress=False)
    assert 99 < net.evaluate(test)["loss"] <= 101.5


def test_masks_can_be_learnt() -> None:
    train, test = shapes(120, size=16).split(0.2)
    layers = [Rescale(1 / 255), Conv2D(8, 3, padding="same"), ReLU(), Conv2D(4, 1)]
    net = Network(layers, loss=CrossEntropy(), optimizer=Adam(0.03), engine="numpy")
    net.fit(train, epochs=40, progress=False)
    assert net.predict(test.x).shape == (24, 16, 16, 4)
    ground = net.predict(test.x).argmax(axis=-1) == 0
    assert (ground == (test.y == 0)).mean() > 0.97
