"""Lengths of long vectors, and of many short ones: the same bits for any number of threads."""

from __future__ import annotations

from math import isfinite, sqrt

import numpy as np

from pellucid.random import Array

PIECE = 8_192  # entries of one dot product


def inner(a: Array, b: Array) -> float:
    """The inner product of two vectors, its bits the same for any number of threads.

    The pieces are too short for BLAS to share out among threads, and waking them costs more than
    the sum. The pieces' sums are added in float64.
    """
    return sum(float(np.dot(a[i : i + PIECE], b[i : i + PIECE])) for i in range(0, len(a), PIECE))


def norm(stretches: list[Array]) -> float:
    """The Euclidean norm of them all, also where squares overflow."""
    square = sum(inner(stretch, stretch) for stretch in stretches)
    if isfinite(square):
        return sqrt(square)
    largest = max(float(np.abs(stretch).max(initial=0.0)) for stretch in stretches)
    if not isfinite(largest):
        return largest
    return largest * sqrt(sum(float(np.square(s / largest).sum()) for s in stretches))


def shorten(w: Array, limit: float) -> None:
    """Scales the weights (before, units, after) of each unit down to a norm, in place."""
    largest = np.abs(w).max(axis=(0, 2), keepdims=True, initial=0.0)
    largest[largest == 0] = 1  # in units of it, so that no square overflows
    lengths = largest * np.sqrt(np.square(w / largest).sum(axis=(0, 2), keepdims=True))
    w *= limit / np.maximum(lengths, limit)
