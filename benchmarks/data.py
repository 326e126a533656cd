"""The data of the workloads: what comes with Pellucid, or is made here from a fixed seed.

All of it is float32 and scaled to 0 … 1 where it is pixels, so that every contender reads the same
bytes. Class labels are int64.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Data = tuple[Array, Array]


def small_digits() -> Data:
    """1,797 handwritten digits of 8×8 pixels, as rows of 64."""
    from pellucid.data import digits_8x8

    data = digits_8x8()
    return data.x.reshape(-1, 64).astype(np.float32) / 16, data.y


def regression() -> Data:
    """64,000 rows of five normal features; the target is linear in them, plus normal noise."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64_000, 5)).astype(np.float32)
    y = x @ np.array([0.8, 0.4, -0.2, 1.0, 2.0], np.float32)
    return x, (y + rng.normal(size=64_000)).astype(np.float32)[:, None]


def digits() -> Data:
    """8,000 handwritten digits of 28×28 pixels, as rows of 784."""
    from pellucid.data import digits as embedded

    train, _ = embedded()
    return train.x.reshape(-1, 784).astype(np.float32) / 255, train.y


def many_digits() -> Data:
    """60,000 rows: the 8,000 digits again and again, each time with other noise.

    To every pixel a uniform number of 0 … 0.05 is added, so that no two rows are equal.
    """
    x, y = digits()
    rng = np.random.default_rng(1)
    pick = np.arange(60_000) % len(x)
    return x[pick] + 0.05 * rng.random((60_000, 784), np.float32), y[pick]


def images() -> Data:
    """The 8,000 digits as images, (N, 28, 28, 1)."""
    x, y = digits()
    return x.reshape(-1, 28, 28, 1), y


def some_images() -> Data:
    """The first 2,000 of them."""
    x, y = images()
    return x[:2000], y[:2000]


def one_row() -> Data:
    """One digit of 784 pixels."""
    x, y = digits()
    return x[:1], y[:1]


def one_small_row() -> Data:
    """One digit of 64 pixels."""
    x, y = small_digits()
    return x[:1], y[:1]


def ten_thousand() -> Data:
    """10,000 rows of 784 pixels: the first of the 60,000."""
    x, y = many_digits()
    return x[:10_000], y[:10_000]


def thousand_images() -> Data:
    """1,000 images, (N, 28, 28, 1)."""
    x, y = images()
    return x[:1000], y[:1000]


DATA: dict[str, Callable[[], Data]] = {
    f.__name__: f
    for f in (small_digits, regression, digits, many_digits, images, some_images,
              one_row, one_small_row, ten_thousand, thousand_images)
}  # fmt: skip
