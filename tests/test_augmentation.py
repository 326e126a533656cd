"""Augmentation: the pictures that come out, their draws, and what a network sees of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pellucid import (
    MSE,
    SGD,
    Adam,
    Conv2D,
    CrossEntropy,
    Cutout,
    Dense,
    Flatten,
    LayerNorm,
    Network,
    RandomFlip,
    RandomRotation,
    RandomShift,
    RandomZoom,
)
from pellucid.errors import OptionError, ShapeError
from pellucid.layers import Cache, Layer, Spec, Views

RNG = np.random.default_rng(0)
X = RNG.normal(size=(16, 8, 10, 3))
ALL = [
    RandomShift(0.3), RandomRotation(0.1), RandomRotation(0.2, fill_mode="nearest"),
    RandomZoom(0.3), RandomFlip(), Cutout(3),
]  # fmt: skip
every = pytest.mark.parametrize("layer", ALL, ids=repr)


def varied(
    layer: Layer, x: np.ndarray, *, seed: int = 0, node: str = "here", step: int = 0, part: int = 0
) -> np.ndarray:
    """The images as training sees them."""
    cache = Cache(training=True, moment=(seed, node, step, part))
    return layer.forward(x, Views({}), cache)


# ------------------------------------------------------------------------------------- pictures


def test_a_quarter_turn_is_counter_clockwise() -> None:
    x = RNG.normal(size=(3, 7, 7, 2))
    for factor, turns in ((0.25, 1), (-0.25, -1), (0.5, 2), (1.0, 0)):
        y = varied(RandomRotation((factor, factor)), x)
        np.testing.assert_allclose(y, np.rot90(x, turns, (1, 2)), atol=1e-13)


def test_shifts_by_whole_pixels_move_them_and_leave_a_constant_or_the_edge() -> None:
    x = X[:3]
    layer = RandomShift((0.25, 0.25), (-0.3, -0.3))  # 2 of 8 down, 3 of 10 to the left
    y = varied(layer, x)
    np.testing.assert_allclose(y[:, 2:, :-3], x[:, :-2, 3:], rtol=1e-12)
    assert not y[:, :2].any()
    np.testing.assert_allclose(y[:, :, -3:], 0, atol=1e-14)
    y = varied(layer.replace(fill_value=9.0), x)
    np.testing.assert_allclose(y[:, 2:, :-3], x[:, :-2, 3:], rtol=1e-12)
    np.testing.assert_allclose(y[:, :2], 9)
    y = varied(layer.replace(fill_mode="nearest"), x)
    np.testing.assert_allclose(y[:, :2, :-3], x[:, :1, 3:].repeat(2, axis=1), rtol=1e-12)
    np.testing.assert_allclose(y[:, 2:, -3:], x[:, :-2, -1:].repeat(3, axis=2), rtol=1e-12)


def test_half_a_pixel_is_the_mean_of_two() -> None:
    y = varied(RandomShift((0.5 / 8, 0.5 / 8), (0, 0)), X)
    np.testing.assert_allclose(y[:, 1:], (X[:, 1:] + X[:, :-1]) / 2, rtol=1e-12)


def test_zooming_in_and_out() -> None:
    x = RNG.normal(size=(2, 8, 8, 1))
    larger = varied(RandomZoom((-0.5, -0.5)), x)
    np.testing.assert_allclose(
        larger[:, 3:5, 3:5].mean(axis=(1, 2)), x[:, 3:5, 3:5].mean(axis=(1, 2))
    )
    smaller = varied(RandomZoom((1.0, 1.0)), x)
    means = x.reshape(2, 4, 2, 4, 2, 1).mean(axis=(2, 4))
    np.testing.assert_allclose(smaller[:, 2:6, 2:6], means, atol=1e-13)
    assert np.count_nonzero(smaller) == smaller[:, 2:6, 2:6].size
    wide = varied(RandomZoom((0, 0), (1.0, 1.0)), x)
    np.testing.assert_allclose(wide[:, :, 2:6], x.reshape(2, 8, 4, 2, 1).mean(axis=3), atol=1e-13)


def test_shapes_are_kept_where_no_width_is_given() -> None:
    one, two = varied(RandomZoom(0.5), X), varied(RandomZoom(0.5, 0.5), X)
    assert (one != two).any()
    maps = RandomZoom(0.5)._maps(Cache().random(), (8, 10), 5)
    np.testing.assert_array_equal(maps[:, 0, 0], maps[:, 1, 1])


def test_a_constant_image_stays_one_up_to_the_edge() -> None:
    x = np.full((4, 9, 6, 2), 3.5)
    for layer in (RandomShift(0.4), RandomRotation(1.0), RandomZoom((-0.9, 2.0))):
        np.testing.assert_allclose(varied(layer.replace(fill_mode="nearest"), x), 3.5, rtol=1e-12)
        np.testing.assert_allclose(varied(layer.replace(fill_value=3.5), x), 3.5, rtol=1e-12)
        y = varied(layer, x)
        assert y.min() >= 0
        assert y.max() < 3.5 * (1 + 1e-12)


def test_flips_are_images_or_their_mirrors() -> None:
    x = RNG.normal(size=(4000, 2, 3, 1))
    for mode, axes in (("horizontal", [(2,)]), ("vertical", [(1,)]),
                       ("horizontal_and_vertical", [(1,), (2,), (1, 2)])):  # fmt: skip
        y = varied(RandomFlip(mode), x)
        kinds = [x, *(np.flip(x, axis) for axis in axes)]
        same = np.array([(y == kind).all(axis=(1, 2, 3)) for kind in kinds])
        assert (same.sum(axis=0) == 1).all()
        np.testing.assert_allclose(same.mean(axis=1), 1 / len(kinds), atol=0.03)


def test_cutout_covers_a_square_with_its_centre_anywhere() -> None:
    x = np.ones((3000, 9, 12, 1))
    covered = varied(Cutout(4), x)[..., 0] == 0
    assert covered.sum(axis=(1, 2)).max() == 16
    assert covered.sum(axis=(1, 2)).min() == 4  # in a corner
    height, width = covered.any(axis=2).sum(axis=1), covered.any(axis=1).sum(axis=1)
    np.testing.assert_array_equal(covered.sum(axis=(1, 2)), height * width)
    inside = covered[:, 4, 5].mean()
    np.testing.assert_allclose(inside, 16 / (9 * 12), atol=0.02)
    assert (varied(Cutout((3, 9), fill_value=7), x) == 7).any()


@pytest.mark.parametrize("factor", [0.2, (-0.1, 0.3), (0.05, 0.05)])
def test_draws_fill_their_range_evenly(factor: Any) -> None:
    low, high = factor if isinstance(factor, tuple) else (-factor, factor)
    for layer, found in (
        (RandomShift(factor), lambda m: -m[:, :, 2] / [8, 10]),
        (RandomZoom(factor, factor), lambda m: m[:, [0, 1], [0, 1]] - 1),
        (RandomRotation(factor), lambda m: np.arctan2(m[:, :1, 1], m[:, :1, 0]) / (2 * np.pi)),
    ):
        draws = found(layer._maps(Cache().random(), (8, 10), 4000))
        assert draws.min() >= low - 1e-12
        assert draws.max() <= high + 1e-12
        np.testing.assert_allclose(draws.mean(axis=0), (low + high) / 2, atol=0.01)
        np.testing.assert_allclose(draws.std(axis=0), (high - low) / 12**0.5, atol=0.005)


# ---------------------------------------------------------------------------------------- draws


@every
def test_outside_training_nothing_happens(layer: Layer) -> None:
    assert layer(X) is X
    cache = Cache()
    y = layer.forward(X, Views({}), cache)
    assert layer.backward(y, Views({}), Views({}), cache) is y


@every
def test_draws_belong_to_the_seed_the_node_and_the_moment(layer: Layer) -> None:
    one = varied(layer, X)
    np.testing.assert_array_equal(varied(layer, X), one)
    for other in ({"seed": 1}, {"node": "there"}, {"step": 1}, {"part": 1}):
        assert (varied(layer, X, **other) != one).any(), other
    same = varied(layer, np.repeat(X[:1], 16, axis=0))
    assert (same != same[:1]).any()  # each image has its own


@every
def test_draws_do_not_depend_on_the_float_type_or_on_the_rows_behind(layer: Layer) -> None:
    one = varied(layer, X)
    single = varied(layer, X.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, one, atol=1e-5)
    np.testing.assert_array_equal(varied(layer, X[:5]), one[:5])
    many = np.concatenate([X] * 20)  # more than are worked on at a time
    np.testing.assert_array_equal(varied(layer, many)[:16], one)


@every
def test_the_gradient_is_the_transpose_of_what_was_done(layer: Layer) -> None:
    """⟨layer(x), dy⟩ = ⟨x, dx⟩, since all of them are linear in x, for many images at a time."""
    x, cache = np.concatenate([X] * 20), Cache(training=True)
    y = layer.forward(x, Views({}), cache)
    dy = np.random.default_rng(1).normal(size=y.shape)
    dx = layer.backward(dy, Views({}), Views({}), cache)
    np.testing.assert_allclose((y * dy).sum(), (x * dx).sum(), rtol=1e-10)


@every
def test_memory_in_any_order_gives_the_same(layer: Layer) -> None:
    laid = np.moveaxis(np.moveaxis(X, 0, -1).copy(), -1, 0)
    np.testing.assert_array_equal(varied(layer, laid), varied(layer, X))


@every
def test_no_gradient_is_computed_where_nobody_reads_it(layer: Layer) -> None:
    cache = Cache(training=True, needs_dx=False)
    y = layer.forward(X, Views({}), cache)
    dx = layer.backward(y, Views({}), Views({}), cache)
    assert dx is None or dx.shape == X.shape


# ------------------------------------------------------------------------------------- networks


def test_a_network_sees_variants_in_training_only_and_the_same_when_resumed() -> None:
    x, y = X.astype(np.float32), RNG.normal(size=(16, 2))

    def network() -> Network:
        layers = [Conv2D(2, 3, padding="same"), *ALL, Flatten(), Dense(2)]
        return Network(layers, inputs=X.shape[1:], loss=MSE(), optimizer=Adam(0.01), seed=4)

    whole, cut = network(), network()
    np.testing.assert_array_equal(whole.predict(x), cut.predict(x))
    start = whole.parameters["conv2d_1/W"].copy()
    whole.fit(x, y, epochs=4, batch_size=5, progress=False)
    assert (whole.parameters["conv2d_1/W"] != start).any()  # the gradient came through
    for _ in range(2):
        cut.fit(x, y, epochs=2, batch_size=5, progress=False)
    np.testing.assert_array_equal(whole.parameters.vector, cut.parameters.vector)


def test_both_engines_show_a_network_the_same_variants() -> None:
    x, y = X.astype(np.float32), RNG.normal(size=(16, 2))
    found = []
    for engine in ("numpy", "auto"):
        layers = [*ALL, Conv2D(6, 3, padding="same"), LayerNorm(), Flatten(), Dense(2)]
        net = Network(layers, inputs=X.shape[1:], loss=MSE(), optimizer=SGD(0.01), seed=4,
                      dtype="float64", engine=engine)  # fmt: skip
        net.fit(x, y, epochs=3, batch_size=5, progress=False)
        found.append(net.parameters.vector)
    np.testing.assert_allclose(found[1], found[0], rtol=1e-9, atol=1e-12)


def test_augmentation_helps_against_learning_by_heart() -> None:
    """Shapes at one place in training, anywhere in the test: shifts make up for it."""

    def pictures(places: Any) -> tuple[np.ndarray, np.ndarray]:
        images, labels = np.zeros((len(places), 12, 12, 1), np.float32), np.arange(len(places)) % 2
        for image, label, (i, j) in zip(images, labels, places, strict=True):
            shape = np.eye(4) if label else np.ones((4, 1))
            image[i : i + 4, j : j + shape.shape[1], 0] = shape
        return images, labels

    train, test = pictures([(4, 4)] * 40), pictures(RNG.integers(1, 7, size=(200, 2)))
    scores = []
    for extra in ([], [RandomShift(0.3)]):
        net = Network([*extra, Flatten(), Dense(32), Dense(2)], inputs=(12, 12, 1),
                      loss=CrossEntropy(), optimizer=Adam(0.01), seed=0)  # fmt: skip
        net.fit(*train, epochs=60, batch_size=20, progress=False)
        scores.append(net.evaluate(*test)["accuracy"])
    assert scores[1] > scores[0]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: RandomShift(-0.1), "height_factor is a number from 0 to 1"),
        (lambda: RandomShift(1.5), "height_factor"),
        (lambda: RandomShift((0.3, 0.1)), "the smaller first"),
        (lambda: RandomShift(0.1, (0, 0, 0)), "width_factor"),
        (lambda: RandomShift(np.nan), "height_factor"),
        (lambda: RandomRotation("half"), "factor"),
        (lambda: RandomRotation(True), "factor"),
        (lambda: RandomRotation((-2, 0)), "factor"),
        (lambda: RandomZoom((-1.5, 0)), "height_factor"),
        (lambda: RandomZoom(0.1, fill_mode="edge"), "fill_mode"),
        (lambda: RandomZoom(0.1, fill_value=np.inf), "fill_value"),
        (lambda: RandomFlip("sideways"), "mode"),
        (lambda: RandomFlip("horizontl"), "Did you mean 'horizontal'"),
        (lambda: Cutout(0), "size"),
        (lambda: Cutout(3, fill_value=None), "fill_value"),
    ],
)
def test_options_that_make_no_sense_are_refused(make: Any, said: str) -> None:
    with pytest.raises(OptionError, match=said):
        make()


def test_shapes_that_do_not_fit_are_refused() -> None:
    for layer in ALL:
        with pytest.raises(ShapeError, match="height, a width and channels"):
            layer.output_spec(Spec((784,)))
        assert layer.output_spec(Spec((None, None, 3))).shape == (None, None, 3)
    with pytest.raises(ShapeError, match=r"could cover all of \(B, 8, 8, 1\)"):
        Cutout(9).output_spec(Spec((8, 8, 1)))
    Cutout((9, 3)).output_spec(Spec((8, 8, 1)))


def test_options_given_as_numpy_numbers_are_plain_ones() -> None:
    assert RandomShift(np.float64(0.1)) == RandomShift(0.1)
    assert RandomRotation([0, np.float32(0.5)]) == RandomRotation((0.0, 0.5))
    assert RandomZoom((0, 1)).height_factor == (0.0, 1.0)
