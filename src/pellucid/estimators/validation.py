"""Data from a caller, checked: scikit-learn's checks and words, with the place of what is wrong."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import column_or_1d
from sklearn.utils.validation import check_array, validate_data

from pellucid.errors import DataError

Array = NDArray[Any]


def checked_features(estimator: Any, X: Any) -> Any:
    """X for a prediction: an array or a sparse matrix with the features that were fitted."""
    try:
        return validate_data(estimator, X, accept_sparse=["csr", "csc"], reset=False)
    except ValueError as error:
        raise _placed(error, X) from None


def checked_pair(estimator: Any, X: Any, y: Any, *, reset: bool, numbers: bool) -> tuple[Any, Any]:
    """X and y of one length; `reset` notes features and their names, `numbers` wants such in y."""
    try:
        X, y = validate_data(
            estimator, X, y, accept_sparse="csr", multi_output=True, y_numeric=numbers,
            dtype=(np.float64, np.float32), reset=reset,
        )  # fmt: skip
    except ValueError as error:
        raise _placed(error, X, y) from None
    if y.ndim == 2 and y.shape[1] == 1:
        y = column_or_1d(y, warn=True)
    return X, y


def checked_weight(sample_weight: Any, rows: int, dtype: Any) -> Array | None:
    """Weights (N,), finite and not all 0; a number stands for one that all rows have."""
    if sample_weight is None:
        return None
    if isinstance(sample_weight, Real):
        return np.full(rows, sample_weight, dtype)
    try:
        weight: Array = check_array(
            sample_weight, ensure_2d=False, dtype=(np.float64, np.float32), order="C",
            input_name="sample_weight",
        )  # fmt: skip
    except ValueError as error:
        raise _placed(error, None, None, sample_weight) from None
    if weight.shape != (rows,):
        raise DataError(f"sample_weight.shape == {weight.shape}, expected {(rows,)}!")
    if not weight.any():
        raise DataError("Sample weights must contain at least one non-zero number.")
    return weight


def _placed(error: ValueError, *arrays: Any) -> ValueError:
    """The same error, with the row and column of the first NaN or infinity where that is it."""
    text = str(error)
    if "NaN" not in text and "infinity" not in text:
        return error
    for name, array in zip(("X", "y", "sample_weight"), arrays, strict=False):
        if array is None or f"Input {name} " not in text:
            continue
        try:
            found = _first_not_finite(array)
        except (TypeError, ValueError):  # words, or rows of several lengths
            found = None
        if found is not None:
            row, *column = found
            where = f"row {row}" + (f", column {column[0]}" if column else "")
            return DataError(f"{text}\nThe first in {name} is at {where}.")
    return error


def _first_not_finite(array: Any) -> tuple[int, ...] | None:
    if hasattr(array, "tocoo"):
        matrix = array.tocoo()
        wrong = ~np.isfinite(matrix.data)
        places = sorted(zip(matrix.row[wrong].tolist(), matrix.col[wrong].tolist(), strict=True))
        return places[0] if places else None
    wrong = ~np.isfinite(np.asarray(array, dtype=np.float64))
    return tuple(int(i) for i in np.argwhere(wrong)[0]) if wrong.any() else None
