"""Targets and weights, checked once: what a loss is handed is what it can compute with.

Nothing is broadcast silently, nothing is counted from the end, and every refusal names the row,
the value and the remedy.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.errors import DataError, ShapeError
from pellucid.layers.base import as_float

Array = NDArray[Any]
RowShape = tuple[int | None, ...]  # a row's shape; None where a length is not known beforehand
IGNORED = int(np.iinfo(np.int64).min)  # among prepared class indices: no target at this place


def row_shares(sample_weight: Any, rows: int) -> NDArray[np.float64]:
    """What each row counts for in a weighted mean, w_b / Σw (rows,); all 0 where Σw = 0.

    Without weights every row counts 1/rows, the same bits as with weights of 1. A DataError names
    a weight that is negative or not finite.
    """
    weight = row_weights(sample_weight, rows)
    total = weight.sum()
    return weight / total if total > 0 else weight


def row_weights(sample_weight: Any, rows: int) -> NDArray[np.float64]:
    """One finite weight of 0 or more for each row, as float64; ones where there are none."""
    if sample_weight is None:
        return np.ones(rows)
    weight = finite_floats(sample_weight, "sample weight").astype(np.float64, copy=False)
    if weight.shape != (rows,):
        raise ShapeError(f"sample_weight has shape {weight.shape}; {rows} rows need ({rows},)")
    if (weight < 0).any():
        where = first_of(weight < 0)
        raise DataError(f"{place_text(where)}: sample weight {weight[where]:g} is negative")
    return weight


def counted_weight(sample_weight: Any, counted: Array | None, rows: int) -> Any:
    """What rows weigh of whose targets only a share counts; `sample_weight` itself where all do."""
    return sample_weight if counted is None else row_weights(sample_weight, rows) * counted


def class_indices(y_true: Any, classes: int) -> NDArray[np.int64]:
    """Class indices as int64, of any integer dtype, bool, or floats that are whole numbers.

    A DataError names the row and the value of a label that is none of 0 … classes − 1; nothing
    is ever counted from the end, as NumPy would with −1.
    """
    y = as_targets(y_true)
    if y.dtype.kind == "f":
        fine = (y >= 0) & (y < classes) & (y == np.floor(y))
    elif y.dtype.kind in "iub":
        fine = (y >= 0) & (y < classes)
    else:
        raise DataError(
            f"class labels must be whole numbers from 0, not {y.dtype}; "
            "numpy.unique(labels, return_inverse=True) gives them"
        )
    if not fine.all():
        where = first_of(~fine)
        whole = y.min() >= 0 and y.max() < np.inf and (y == np.floor(y)).all()
        remedy = (
            f"give the last layer {int(y.max()) + 1} outputs, or number the classes from 0 with "
            if whole
            else "number them so with "
        )
        raise DataError(
            f"{place_text(where)}: label {y[where]} is not one of the {classes} classes "
            f"0 … {classes - 1}: {remedy}numpy.unique(labels, return_inverse=True)"
        )
    return y.astype(np.int64, copy=False)


def as_targets(values: Any) -> Array:
    """An array, or a DataError where rows differ in length."""
    try:
        return np.asarray(values)
    except ValueError as error:
        raise DataError(f"targets make no array: {error}") from None


def finite_floats(values: Any, what: str = "target") -> Array:
    """Finite numbers as float32 or float64; a DataError names the first that is not finite."""
    array = as_targets(values)
    if array.dtype.kind not in "fiub":
        raise DataError(f"{what}s must be numbers, not {array.dtype}")
    array = as_float(array)
    if not np.isfinite(array).all():
        where = first_of(~np.isfinite(array))
        raise DataError(
            f"{place_text(where)}: {what} {array[where]} is not a finite number: fill or drop such "
            "rows first"
        )
    return array


def same_shape(y: Array, expected: RowShape, loss: object, output: RowShape | None = None) -> Array:
    """`y` if its rows have the expected shape; else a ShapeError with both shapes and the fix."""
    row = y.shape[1:]
    fits = y.ndim and len(row) == len(expected)
    if fits and all(n in {m, None} for m, n in zip(row, expected, strict=True)):
        return y
    rows = len(y) if y.ndim else "B"
    fix = ""
    if y.ndim and expected == (*row, 1):
        fix = f": write y[{':, ' * y.ndim}None]"
    elif y.ndim and row == (*expected, 1):
        fix = f": write y[{':, ' * (y.ndim - 1)}0]"
    elif y.dtype.kind in "iu" and y.ndim == len(expected) and output is None:
        fix = "; for class labels: CrossEntropy()"
    elif y.ndim and len(row) + 1 < len(output or expected) and None not in expected:
        fix = ": put Flatten() before the last layer, so that a row has one answer"
    elif y.ndim and row and len(row) == len(expected) and row[:-1] == expected[:-1]:
        fix = f": give the last layer {row[-1]} output{'s' * (row[-1] != 1)}"
    raise ShapeError(
        f"{type(loss).__name__}: targets of shape {y.shape} do not fit outputs of shape "
        f"{rows_text(output or expected, rows)}{fix}"
    )


def binary_targets(y_true: Any, output: RowShape, loss: object) -> Array:
    """Targets in the shape of the outputs, each between 0 and 1."""
    y = finite_floats(same_shape(as_targets(y_true), output, loss))
    bad = (y < 0) | (y > 1)
    if bad.any():
        where = first_of(bad)
        raise DataError(
            f"{place_text(where)}: target {y[where]:g} is not between 0 and 1; for classes "
            "0, 1, 2, …: CrossEntropy()"
        )
    return y


def probability_rows(y: Array) -> Array:
    """`y` (..., K) if it is not negative and its last axis sums to 1, as one-hot rows do."""
    if (y < 0).any():
        where = first_of(y < 0)
        raise DataError(f"{place_text(where)}: target {y[where]:g} is negative, not a probability")
    total = y.sum(axis=-1)
    wrong = np.abs(total - 1) > 1e-3
    if wrong.any():
        where = first_of(wrong)
        raise DataError(
            f"{place_text(where)}: target probabilities sum to {total[where]:g}, not 1; for "
            "several labels a row: BinaryCrossEntropy()"
        )
    return y


def one_hot_indices(y: Array) -> NDArray[np.int64]:
    """The classes of rows (..., K) of one 1 and zeros."""
    wrong = (y.max(axis=-1) != 1) | (y.sum(axis=-1) != 1)
    if wrong.any():
        where = first_of(wrong)
        raise DataError(
            f"{place_text(where)}: targets are probabilities of several classes, and one class is "
            "needed: a class index, or a row of one 1 and zeros"
        )
    indices: NDArray[np.int64] = y.argmax(axis=-1)
    return indices


def first_of(bad: Array) -> tuple[int, ...]:
    """The index of the first True."""
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(bad)), bad.shape))


def place_text(where: tuple[int, ...]) -> str:
    """``row 3``, or ``row 3, column 1``."""
    if len(where) < 2:
        return f"row {where[0]}" if where else "the only value"
    return f"row {where[0]}, column {', '.join(map(str, where[1:]))}"


def rows_text(row: RowShape, rows: int | str = "B") -> str:
    """A row's shape with the number of rows: ``(B, 10)``."""
    shape = [str(rows), *("?" if n is None else str(n) for n in row)]
    return f"({', '.join(shape)}{',' if len(shape) == 1 else ''})"
