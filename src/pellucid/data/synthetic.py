"""Problems made of random numbers: as many rows as wanted, and the answer known beforehand.

Each returns a `Dataset` whose rows are in random order and whose numbers follow from `seed` alone.
Points are float64, classes int64. Classes share the rows equally; where they cannot, the first ones
have one more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.data.dataset import Dataset
from pellucid.description import checked_options
from pellucid.errors import OptionError
from pellucid.random import Stream, seed_of

Array = NDArray[Any]
Seed = int | np.random.Generator | None
_BLOCK = 256  # images drawn together: a block is the same however many follow it
_LARGEST = 3  # shapes in an image
KINDS = ("background", "disc", "square", "triangle")


# ---- two features, some classes -----------------------------------------------------------------


@checked_options("moons", n="Write rows=", n_samples="Write rows=", random_state="Write seed=")
def moons(rows: int = 1000, *, noise: float = 0.1, seed: Seed = 0) -> Dataset:
    """Two half circles that reach into each other: no straight line divides them.

    ::

        upper, 0:  (cos t, sin t)            lower, 1:  (1 − cos t, ½ − sin t)        t = 0 … π

    Args:
        rows: How many points, both moons together.
        noise: The standard deviation of what is added to either coordinate.
        seed: What decides the noise and the order.

    Source: scikit-learn's `make_moons`, whose points these are where there is no noise.

    >>> moons(200)
    Dataset(x: (200, 2) float64, y: (200,) int64, names: 2)
    """
    upper, lower = (np.linspace(0, np.pi, n) for n in _shares("moons", rows, 2, noise))
    points = [
        np.stack([np.cos(upper), np.sin(upper)], axis=1),
        np.stack([1 - np.cos(lower), 0.5 - np.sin(lower)], axis=1),
    ]
    return _classes("moons", points, noise, seed, ("upper", "lower"))


@checked_options("circles", n="Write rows=", n_samples="Write rows=", random_state="Write seed=")
def circles(
    rows: int = 1000, *, factor: float = 0.5, noise: float = 0.05, seed: Seed = 0
) -> Dataset:
    """A circle of radius 1 around another: a network has to find the radius.

    Args:
        rows: How many points, both circles together.
        factor: The radius of the inner one, between 0 and 1.
        noise: The standard deviation of what is added to either coordinate.
        seed: What decides the noise and the order.

    Source: scikit-learn's `make_circles`, whose points these are where there is no noise.

    >>> d = circles(noise=0)
    >>> np.hypot(d.x[d.y == 1, 0], d.x[d.y == 1, 1]).round(6).max()
    np.float64(0.5)
    """
    if isinstance(factor, bool) or not isinstance(factor, int | float) or not 0 < factor < 1:
        raise OptionError(f"circles: factor lies between 0 and 1, not {factor!r}")
    outer, inner = _shares("circles", rows, 2, noise)
    points = [_circle(outer), factor * _circle(inner)]
    return _classes("circles", points, noise, seed, ("outer", "inner"))


@checked_options("spirals", n="Write rows=", n_samples="Write rows=", random_state="Write seed=")
def spirals(
    rows: int = 1000, *, arms: int = 2, turns: float = 1.0, noise: float = 0.02, seed: Seed = 0
) -> Dataset:
    """Arms that wind around each other, each a class: the more turns, the harder.

    ::

        arm k of K:  t (cos φ, sin φ),    φ = 2π (turns·t + k/K),    t = 0 … 1

    Args:
        rows: How many points, all arms together.
        arms: How many arms, 2 or more.
        turns: How often each goes around the centre.
        noise: The standard deviation of what is added to either coordinate.
        seed: What decides the noise and the order.

    Source: after the two spirals of K. J. Lang and M. J. Witbrock, "Learning to tell two spirals
    apart", Connectionist Models Summer School, 1988.

    >>> d = spirals(300, arms=3)
    >>> np.bincount(d.y)
    array([100, 100, 100])
    """
    _whole("spirals", "arms", arms, 2)
    _amount("spirals", "turns", turns)
    points = []
    for k, n in enumerate(_shares("spirals", rows, arms, noise)):
        t = np.linspace(0, 1, n)
        angle = 2 * np.pi * (turns * t + k / arms)
        points.append(np.stack([t * np.cos(angle), t * np.sin(angle)], axis=1))
    return _classes("spirals", points, noise, seed, [f"arm {k}" for k in range(arms)])


@checked_options("ring", n="Write rows=", n_samples="Write rows=", random_state="Write seed=")
def ring(
    rows: int = 200, *, radius: float = 2.0, noise: float = 0.1, spread: float = 0.3, seed: Seed = 0
) -> Dataset:
    """A ring of points around a heap of points at the centre.

    Args:
        rows: How many points, ring and centre together.
        radius: The ring's radius; its points are evenly spread along it.
        noise: The standard deviation of what is added to either coordinate of the ring's points.
        spread: The standard deviation of either coordinate of the points at the centre.
        seed: What decides the points and their order.

    >>> d = ring()
    >>> d.names, np.bincount(d.y)
    (('centre', 'ring'), array([100, 100]))
    """
    _amount("ring", "radius", radius)
    _amount("ring", "spread", spread)
    inside, around = _shares("ring", rows, 2, noise)
    seed = seed_of(seed)
    heap = Stream(seed, "ring", "centre").normal((inside, 2), 0.0, spread)
    rim = radius * _circle(around) + Stream(seed, "ring", "noise").normal((around, 2), 0.0, noise)
    return _classes("ring", [heap, rim], 0.0, seed, ("centre", "ring"))


@checked_options("quadrants", n="Write rows=", n_samples="Write rows=", random_state="Write seed=")
def quadrants(rows: int = 1000, *, seed: Seed = 0) -> Dataset:
    """Points of the square [−2, 2]², and the sign of x·y: which pair of quadrants each lies in.

    Class 1 is where x·y > 0, at the upper right and the lower left: an "exclusive or" in numbers.

    Args:
        rows: How many points.
        seed: What decides them.

    >>> d = quadrants(5)
    >>> np.array_equal(d.y, d.x[:, 0] * d.x[:, 1] > 0)
    True
    """
    _whole("quadrants", "rows", rows, 1)
    points = Stream(seed_of(seed), "quadrants").uniform((rows, 2), -2.0, 2.0)
    return Dataset(points, (points.prod(axis=1) > 0).astype(np.int64), names=("minus", "plus"))


# ---- numbers to predict -------------------------------------------------------------------------


@checked_options("plane", n="Write rows=", n_samples="Write rows=", random_state="Write seed=")
def plane(rows: int = 100_000, *, noise: float = 10.0, seed: Seed = 0) -> Dataset:
    """Five features of three kinds, and a target that lies on a plane over them, but for noise.

    ::

        y = 50 + 0.8 a + 0.4 b − 0.2 c + 10 d + 20 e + N(0, noise²)

    a, b and c are standard normal, d is one of 0, 1, 2, 3, and e is 0 or 1, all as likely. No model
    can have a mean squared error below noise² on rows it has not seen.

    Args:
        rows: How many rows.
        noise: The standard deviation of what is added to the target.
        seed: What decides the rows.

    Returns
    -------
        `x` is float64, (rows, 5), its columns a, b, c, d, e; `y` is float64, (rows, 1).

    >>> d = plane(1000, noise=0)
    >>> bool(np.allclose(d.y[:, 0], 50 + d.x @ [0.8, 0.4, -0.2, 10, 20]))
    True
    """
    _whole("plane", "rows", rows, 1)
    _amount("plane", "noise", noise)
    seed = seed_of(seed)
    x = np.empty((rows, 5))
    x[:, :3] = Stream(seed, "plane", "normal").normal((rows, 3))
    x[:, 3:] = np.floor(Stream(seed, "plane", "whole").uniform((rows, 2)) * [4, 2])
    y = 50 + x @ [0.8, 0.4, -0.2, 10, 20] + Stream(seed, "plane", "noise").normal((rows,), 0, noise)
    return Dataset(x, y[:, None])


# ---- images with masks --------------------------------------------------------------------------


@checked_options("shapes", n="Write rows=", n_samples="Write rows=", random_state="Write seed=")
def shapes(rows: int = 500, *, size: int = 32, noise: float = 10.0, seed: Seed = 0) -> Dataset:
    """Colour images of discs, squares and triangles, and what each pixel belongs to.

    Each image has one to three shapes of any place, turn, size and light colour on a dark ground;
    a later one covers those before. The target is a mask: a class for each pixel, 0 for the ground.
    ``y > 0`` is the mask of all that is no ground.

    Args:
        rows: How many images. The first ones stay the same where more are asked for.
        size: Their height and width in pixels, 8 or more.
        noise: The standard deviation of what is added to each pixel's colours, of 255.
        seed: What decides them.

    Returns
    -------
        `x` is uint8, (rows, size, size, 3); `y` is int64, (rows, size, size), indices into
        `names`: background, disc, square, triangle.

    >>> d = shapes(10)
    >>> d
    Dataset(x: (10, 32, 32, 3) uint8, y: (10, 32, 32) int64, names: 4)
    >>> np.unique(d.y)
    array([0, 1, 2, 3])
    """
    _whole("shapes", "rows", rows, 1)
    _whole("shapes", "size", size, 8)
    _amount("shapes", "noise", noise)
    seed = seed_of(seed)
    images = np.empty((rows, size, size, 3), np.uint8)
    masks = np.empty((rows, size, size), np.int64)
    for block in range(-(-rows // _BLOCK)):
        start = block * _BLOCK
        stop = min(start + _BLOCK, rows)
        drawn, mask = _draw(size, noise, seed, block, stop - start)
        images[start:stop], masks[start:stop] = drawn, mask
    return Dataset(images, masks, names=KINDS)


def _draw(size: int, noise: float, seed: int, block: int, rows: int) -> tuple[Array, Array]:
    """The first `rows` images of a block with their masks: (B, S, S, 3) bytes, (B, S, S).

    A regular shape turned by φ is where n·(p − centre) ≤ a for each of its sides' normals n. With
    the a below, squares and triangles have the area πr² of a disc: 4a² and 3√3 a².
    """
    chance = Stream(seed, "shapes", "what", step=block).uniform((_BLOCK, 1 + _LARGEST, 10))[:rows]
    ground, each = chance[:, 0], chance[:, 1:]  # (B, 10), (B, shapes, 10)
    count = 1 + np.floor(ground[:, 3] * _LARGEST)  # (B,)
    colours = np.broadcast_to(80 * ground[:, None, None, :3], (rows, size, size, 3)).copy()
    mask = np.zeros((rows, size, size), np.int64)
    down, right = np.mgrid[:size, :size] + 0.5  # the middles of pixels
    for k in range(_LARGEST):
        shape = each[:, k, :, None, None]  # (B, 10, 1, 1)
        kind = 1 + np.floor(3 * shape[:, 0])  # (B, 1, 1): disc, square, triangle
        radius = size * (0.1 + 0.1 * shape[:, 1])
        y, x = size * (0.2 + 0.6 * shape[:, 2]), size * (0.2 + 0.6 * shape[:, 3])
        dy, dx = down - y, right - x  # (B, S, S)
        turn = 2 * np.pi * shape[:, 4]
        beyond = np.hypot(dx, dy) / radius  # above 1 outside
        for sides, its, apothem in ((4, 2, 0.8862), (3, 3, 0.7776)):
            angles = [turn + 2 * np.pi * side / sides for side in range(sides)]
            far = np.max([dx * np.cos(a) + dy * np.sin(a) for a in angles], axis=0)
            beyond = np.where(kind == its, far / (apothem * radius), beyond)
        inside = (beyond <= 1) & (k < count[:, None, None])
        mask = np.where(inside, kind.astype(np.int64), mask)
        colour = 120 + 135 * each[:, k, None, None, 5:8]  # (B, 1, 1, 3)
        colours = np.where(inside[..., None], colour, colours)
    for row in range(rows):  # a stream each: normals come in pairs, from the two halves of a draw
        speckle = Stream(seed, "shapes", "noise", step=block * _BLOCK + row)
        colours[row] += speckle.normal((size, size, 3), 0.5, noise)
    return np.clip(colours, 0, 255).astype(np.uint8), mask


# ---- what they share ----------------------------------------------------------------------------


def _circle(n: int) -> Array:
    """`n` points evenly around the unit circle, (n, 2)."""
    angle = np.arange(n) * (2 * np.pi / max(n, 1))
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _classes(
    name: str, points: list[Array], noise: float, seed: Seed, names: Sequence[str]
) -> Dataset:
    """The points of each class, (N_k, 2), as rows in random order with noise added."""
    seed = seed_of(seed)
    x = np.concatenate(points)
    y = np.repeat(np.arange(len(points)), [len(own) for own in points])
    if noise:
        x = x + Stream(seed, name, "noise").normal(x.shape, 0.0, noise)
    order = Stream(seed, name, "order").permutation(len(x))
    return Dataset(x[order], y[order].astype(np.int64), names=tuple(names))


def _shares(name: str, rows: int, classes: int, noise: float) -> list[int]:
    """How many rows each class has."""
    _whole(name, "rows", rows, classes)
    _amount(name, "noise", noise)
    return [rows // classes + (k < rows % classes) for k in range(classes)]


def _whole(name: str, option: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise OptionError(f"{name}: {option} is a whole number of {least} or more, not {value!r}")


def _amount(name: str, option: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise OptionError(f"{name}: {option} is a number of 0 or more, not {value!r}")
    if not 0 <= value < math.inf:
        raise OptionError(f"{name}: {option} is a finite number of 0 or more, not {value!r}")
