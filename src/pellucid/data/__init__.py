"""Data: rows and their targets, embedded and well-known sets, files, synthetic problems, labels.

>>> from pellucid.data import digits
>>> train, test = digits()
>>> train
Dataset(x: (8000, 28, 28) uint8, y: (8000,) int64, names: 10)
"""

from __future__ import annotations

from pellucid.data.dataset import Dataset, split_indices
from pellucid.data.downloads import DownloadError
from pellucid.data.embedded import digits, digits_8x8, sample_images
from pellucid.data.files import data_folder
from pellucid.data.idx import read_idx, read_idx_dataset, write_idx
from pellucid.data.images import image_folder, read_image
from pellucid.data.labels import encode_labels, from_one_hot, one_hot
from pellucid.data.named import emnist, fashion_mnist, mnist
from pellucid.data.synthetic import circles, moons, plane, quadrants, ring, shapes, spirals
from pellucid.data.tables import csv

__all__ = [
    # rows
    "Dataset",
    "split_indices",
    # embedded
    "digits",
    "digits_8x8",
    "sample_images",
    # by name
    "DownloadError",
    "data_folder",
    "emnist",
    "fashion_mnist",
    "mnist",
    # files
    "csv",
    "image_folder",
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
