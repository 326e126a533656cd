"""Data: rows and their targets, the embedded digits, files of images, synthetic problems, labels.

>>> from pellucid.data import digits
>>> train, test = digits()
>>> train
Dataset(x: (8000, 28, 28) uint8, y: (8000,) int64, names: 10)
"""

from __future__ import annotations

from pellucid.data.dataset import Dataset, split_indices
from pellucid.data.embedded import digits, digits_8x8, sample_images
from pellucid.data.idx import read_idx, read_idx_dataset, write_idx
from pellucid.data.images import read_image
from pellucid.data.labels import encode_labels, from_one_hot, one_hot
from pellucid.data.synthetic import circles, moons, plane, quadrants, ring, shapes, spirals

__all__ = [
    # rows
    "Dataset",
    "split_indices",
    # embedded
    "digits",
    "digits_8x8",
    "sample_images",
    # files
    "read_idx",
    "read_idx_dataset",
    "read_image",
    "write_idx",
    # synthetic
    "circles",
    "moons",
    "plane",
    "quadrants",
    "ring",
    "shapes",
    "spirals",
    # labels
    "encode_labels",
    "from_one_hot",
    "one_hot",
]
