"""Rebuild the data files in src/pellucid/data/ from their sources.

    python tools/make_data.py PATH/TO/mnist10k.npz

The archive holds `images`, uint8 (10000, 28, 28), and `labels`, uint8 (10000,). The small digits
come from scikit-learn, and Pillow writes the ten sample images. The same sources give the same
pictures.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

DATA = Path(__file__).parents[1] / "src" / "pellucid" / "data"
TRAIN = 8_000


def main(source: Path) -> None:
    """Check the source, then write the two archives and the ten sample images."""
    with np.load(source) as archive:
        images, labels = archive["images"], archive["labels"]
    if images.shape != (10_000, 28, 28) or images.dtype != np.uint8:
        sys.exit(f"{source}: images are {images.shape} {images.dtype}, not (10000, 28, 28) uint8")
    if labels.shape != (10_000,) or set(labels.tolist()) != set(range(10)):
        sys.exit(f"{source}: labels are not 10,000 digits")
    shutil.copyfile(source, DATA / "mnist10k.npz")

    small = load_digits()
    np.savez_compressed(
        DATA / "digits_8x8.npz",
        images=small.images.astype(np.uint8),
        labels=small.target.astype(np.uint8),
    )

    # The clearest of the test rows: for each digit, the one nearest to the training rows' mean.
    (DATA / "images").mkdir(exist_ok=True)
    for digit in range(10):
        mean = images[:TRAIN][labels[:TRAIN] == digit].mean(axis=0)  # (28, 28)
        rows = TRAIN + np.flatnonzero(labels[TRAIN:] == digit)
        distance = np.square(images[rows] - mean).sum(axis=(1, 2))
        chosen = int(rows[np.argmin(distance)])
        Image.fromarray(images[chosen]).save(DATA / "images" / f"digit_{digit}.png", optimize=True)
        print(f"digit {digit}: row {chosen}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
