"""Labels: class indices, one-hot rows, and names of any kind turned into indices.

A label that is no index is an error that names its row: NumPy would read −1 as the last class.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from pellucid.errors import DataError, OptionError

Array = NDArray[Any]
MAX_BYTES = 2**32  # of one-hot rows: beyond this a label was no class index


def one_hot(labels: ArrayLike, classes: int | None = None, dtype: DTypeLike = "float32") -> Array:
    """Rows with a 1 at the label's place and 0 elsewhere.

    Args:
        labels: Class indices 0 … classes−1 of any integer type, shape (N,) or any other.
        classes: How many classes there are; without it, one more than the largest label.
        dtype: The type of the result.

    Returns
    -------
        An array of the labels' shape with one more axis of length `classes`: (N, classes).

    Raises
    ------
        DataError: for a label that is negative, too large, or no integer, naming its row.

    >>> one_hot([2, 0, 1])
    array([[0., 0., 1.],
           [1., 0., 0.],
           [0., 1., 0.]], dtype=float32)
    """
    given = np.asarray(labels)
    if given.size == 0 and given.dtype.kind == "f":  # np.asarray([]) is float64
        given = given.astype(np.int64)
    if given.dtype.kind == "b":
        given = given.astype(np.int64)
    if given.dtype.kind not in "iu":
        at = 0
        remedy = "encode_labels turns names of any kind into indices"
        if given.dtype.kind == "f":
            at = int(np.argmax(~np.isfinite(given) | (given != np.floor(given))))
            remedy = "labels.astype(int) makes whole numbers so; others are no classes"
        shown = (
            f"row {_row(given, at)} is {given.ravel()[at]!r}" if given.size else "there are none"
        )
        raise DataError(f"class indices must be integers, and {shown} ({given.dtype}): {remedy}")
    if classes is None:
        if given.size == 0:
            raise DataError("there are no labels to count the classes of: give `classes`")
        classes = int(given.max()) + 1
    elif isinstance(classes, bool) or not isinstance(classes, int | np.integer) or classes < 1:
        raise OptionError(f"classes must be an integer of 1 or more, not {classes!r}")
    wrong = np.flatnonzero((given < 0) | (given >= max(classes, 1)))
    if len(wrong):
        at = int(wrong[0])
        raise DataError(
            f"row {_row(given, at)} has the label {given.ravel()[at]}; "
            f"class indices run from 0 to {max(classes, 1) - 1}"
        )
    kind = np.dtype(dtype)
    if given.size * int(classes) * kind.itemsize > MAX_BYTES:
        raise DataError(
            f"{given.size:,} rows of {classes:,} classes would take over {MAX_BYTES:,} bytes; "
            "if the labels are not class indices, encode_labels makes them so"
        )
    rows = np.zeros((given.size, int(classes)), kind)  # (N, classes)
    rows[np.arange(given.size), given.ravel()] = 1
    return rows.reshape(*given.shape, int(classes))


def from_one_hot(array: ArrayLike) -> NDArray[np.int64]:
    """The class indices of one-hot rows: (N, classes) → (N,), int64.

    Raises
    ------
        DataError: for a row that has anything but a single 1 among zeros.

    >>> from_one_hot([[0, 0, 1], [1, 0, 0]])
    array([2, 0])
    """
    given = np.asarray(array)
    if given.ndim < 1 or given.shape[-1] == 0 or given.dtype.kind not in "biuf":
        raise DataError(
            f"one-hot rows are numbers of the shape (N, classes), not {given.shape} {given.dtype}"
        )
    rows = given.reshape(-1, given.shape[-1])
    right = ((rows == 0) | (rows == 1)).all(axis=1) & ((rows == 1).sum(axis=1) == 1)
    if not right.all():
        at = int(np.argmin(right))
        raise DataError(
            f"row {_row(given[..., 0], at)} is not one-hot: it needs a single 1 among zeros; "
            "for probabilities or scores take argmax(axis=-1)"
        )
    codes: NDArray[np.int64] = rows.argmax(axis=1).astype(np.int64, copy=False)
    return codes.reshape(given.shape[:-1])


def encode_labels(y: ArrayLike) -> tuple[NDArray[np.int64], Array]:
    """Labels of any kind as class indices, and the classes in sorted order.

    Args:
        y: One label a row, (N,): strings, numbers, booleans, or objects that can be sorted.

    Returns
    -------
        The indices, int64 (N,), and the classes (K,), such that `classes[codes]` equals `y`.

    Raises
    ------
        DataError: for labels that are missing (None, NaN) or cannot be sorted, naming the row.

    >>> codes, classes = encode_labels(["cat", "dog", "cat"])
    >>> codes, classes.tolist()
    (array([0, 1, 0]), ['cat', 'dog'])
    """
    given = np.asarray(y)
    if given.ndim != 1:
        raise DataError(f"labels are one for each row, (N,), not {given.shape}")
    if given.dtype.kind == "O":
        missing = [i for i, label in enumerate(given) if label is None or label != label]  # noqa: PLR0124 (NaN)
    elif given.dtype.kind in "fc":
        missing = np.flatnonzero(np.isnan(given)).tolist()
    else:
        missing = []
    if missing:
        at = missing[0]
        raise DataError(f"row {at} has no label ({given[at]!r}): leave such rows out")
    try:
        classes, codes = np.unique(given, return_inverse=True)
    except TypeError as error:
        kinds = sorted({type(label).__name__ for label in given})
        first = next(i for i, label in enumerate(given) if type(label) is not type(given[0]))
        raise DataError(
            f"labels of several kinds ({', '.join(kinds)}; row {first} is the first to differ) "
            "have no order: make them one kind, for example with str"
        ) from error
    return codes.astype(np.int64, copy=False), classes


def _row(array: Array, flat: int) -> str:
    """The name of an item: its row, or its place where there is more than one axis."""
    if array.ndim <= 1:
        return str(flat)
    return str(tuple(int(i) for i in np.unravel_index(flat, array.shape)))
