"""From what a user has to what a network takes: arrays by name, checked, never changed.

Nothing is copied or converted here; each batch is converted when it is gathered, so an array on
disk stays on disk.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.errors import DataError, ShapeError, did_you_mean
from pellucid.layers.base import Spec, shape_text

Array = NDArray[Any]
_BLOCK = 2**22  # values looked at together when searching for NaN


def as_array(x: Any, what: str) -> Array:
    """`x` as an array of numbers; what cannot be one is refused by name."""
    if hasattr(x, "toarray") and hasattr(x, "nnz"):
        raise DataError(f"{what} is a sparse matrix; networks take dense arrays: {what}.toarray()")
    if hasattr(x, "x") and hasattr(x, "y") and not hasattr(x, "__array__"):
        raise DataError(f"{what} is a {type(x).__name__}: pass its arrays, data.x and data.y")
    if np.ma.is_masked(x):
        raise DataError(f"{what} has masked values: fill them first, {what}.filled(value)")
    try:
        array = np.asarray(x)  # what is an array already is not copied
    except (ValueError, TypeError, RuntimeError) as error:
        if isinstance(x, tuple | list) and len(x) == 2 and all(hasattr(a, "shape") for a in x):
            raise DataError(
                f"{what} is two arrays, of shapes {x[0].shape} and {x[1].shape}: inputs and "
                "targets are two arguments, (x, y)"
            ) from None
        raise DataError(f"{what} is not an array: {error}") from None
    if array.dtype.kind not in "fiub":
        text = "encode words first (pellucid.data.encode_labels); digits: .astype(float)"
        remedy = {
            "O": "make every column numeric first (np.asarray(..., dtype=float)), words too "
            "(pellucid.data.encode_labels)",
            "c": "feed real and imaginary parts as two features",
            "U": text,
            "S": text,
        }.get(array.dtype.kind, "convert it to float32 first")
        raise DataError(f"{what} has dtype {array.dtype}, which is not numeric: {remedy}")
    return array


def named(x: Any, names: Sequence[str], what: str) -> dict[str, Any]:
    """One thing for the only name, or a dict with one for each name."""
    if isinstance(x, Mapping):
        missing = [name for name in names if name not in x]
        extra = [str(name) for name in x if name not in names]
        if missing or extra:
            hint = f" {did_you_mean(extra[0], names)}" if extra else ""
            raise DataError(
                f"{what} needs one entry for each of {list(names)}; "
                f"missing {missing}, unknown {extra}.{hint}"
            )
        return {name: x[name] for name in names}
    if len(names) > 1:
        if isinstance(x, list | tuple) and len(x) == len(names):
            return dict(zip(names, x, strict=True))
        raise DataError(f"{what} has {len(names)} parts: give a dict with the keys {list(names)}")
    return {names[0]: x}


def as_inputs(x: Any, specs: Mapping[str, Spec]) -> dict[str, Array]:
    """Input arrays by name, each with rows of the network's shape and all of one length."""
    arrays = {}
    for name, value in named(x, list(specs), "x").items():
        array = as_array(value, "x" if len(specs) == 1 else f"x[{name!r}]")
        arrays[name] = check_rows(array, name, specs[name])
    lengths = {name: len(a) for name, a in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(f"the inputs have different numbers of rows: {lengths}")
    return arrays


def check_rows(array: Array, name: str, spec: Spec) -> Array:
    """Refuses rows of another shape, or fractions where whole numbers belong."""
    got = array.shape[1:]
    fits = array.ndim and len(got) == len(spec.shape)
    fits = fits and all(want in (None, n) for want, n in zip(spec.shape, got, strict=True))
    if not fits:
        hint = ""
        if array.shape == spec.shape:
            hint = ": that is one row; add the batch axis with x[None]"
        elif array.ndim == 1 and spec.shape == (1,):
            hint = ": one feature a row is x[:, None]"
        elif np.prod(got) == np.prod([n or 0 for n in spec.shape]):
            hint = f": reshape it with x.reshape(-1, {', '.join(map(str, spec.shape))})"
        raise ShapeError(
            f"{name!r} takes arrays of shape {shape_text(spec.shape)}, not {array.shape}{hint}"
        )
    if spec.dtype == "int" and array.dtype.kind == "f":
        raise DataError(f"{name!r} takes whole numbers (indices), not {array.dtype}")
    return array


def convert(array: Array, spec: Spec, dtype: Any) -> Array:
    """A batch in the type the network computes with; the same array where it already is."""
    wanted = np.dtype(np.int64) if spec.dtype == "int" else np.dtype(dtype)
    return array if array.dtype == wanted else array.astype(wanted)


def check_finite(array: Array, what: str, dtype: Any = None) -> None:
    """Raises a DataError naming the first row and column with NaN or infinity, block by block.

    With `dtype`, the network's own, also where a finite value would become infinite in it.
    """
    if array.dtype.kind != "f" or array.size == 0:
        return
    narrow = dtype is not None and np.finfo(dtype).max < np.finfo(array.dtype).max
    limit = array.dtype.type(np.finfo(dtype if narrow else array.dtype).max)
    step = max(1, _BLOCK // max(1, array[0].size))
    for start in range(0, len(array), step):
        block = array[start : start + step]
        if -limit <= block.min() and block.max() <= limit:  # false for NaN too
            continue
        row, *place = np.argwhere(~(np.abs(block) <= limit))[0]
        value = block[(row, *place)]
        where = f"row {start + row}" + (f", column {', '.join(map(str, place))}" if place else "")
        remedy = "Fill or drop such rows first (np.nan_to_num, or a mean per column)"
        if np.isfinite(value):
            remedy = (
                f"That is too large for {np.dtype(dtype)}: scale it, or Network(dtype='float64')"
            )
        raise DataError(f"{what} has {value} at {where}. {remedy}")
