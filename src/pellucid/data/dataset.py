"""Rows of data with their targets, and how to hold some of them back.

A `Dataset` only holds what it is given: nothing is copied, and a slice of it is a view. A split is
two rows of indices, so training on a part of the data needs no copy of it either.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pellucid.data.labels import encode_labels
from pellucid.errors import DataError, OptionError
from pellucid.random import Stream, seed_of

Array = NDArray[Any]
Arrays = Array | dict[str, Array]
Indices = NDArray[np.int64]
Stratify = bool | Literal["auto"]


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Rows `x` with their targets `y` and weights, all of one length.

    `len`, `d[10:20]`, `d[mask]` and `d[indices]` speak of rows; `x, y = d` takes it apart.

    Args:
        x: The inputs, an array of (N, ...), or a dict of such arrays by input node.
        y: The targets, (N,) or (N, ...), or a dict of such arrays by output node, or None.
        sample_weight: What each row counts for, (N,), or None: every row counts 1.
        names: What the classes are called, in the order of their indices.

    Raises
    ------
        DataError: when the arrays have different numbers of rows, or one has none to count.

    >>> d = Dataset(np.zeros((6, 2)), np.array([0, 0, 0, 1, 1, 1]), names=("no", "yes"))
    >>> d[d.y == 1]
    Dataset(x: (3, 2) float64, y: (3,) int64, names: 2)
    >>> train, validation = d.split(1 / 3)
    >>> validation.y
    array([0, 1])
    """

    x: Any
    y: Any = None
    sample_weight: Any = None
    names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__  # once, while being made
        put(self, "x", _as_arrays(self.x, "x"))
        for field in ("y", "sample_weight"):
            value = getattr(self, field)
            put(self, field, None if value is None else _as_arrays(value, field))
        if self.names is not None:
            put(self, "names", tuple(str(name) for name in self.names))
        (first, rows), *others = self._lengths()
        for name, count in others:
            if count != rows:
                raise DataError(
                    f"{first} has {rows} rows and {name} has {count}: every row of one needs its "
                    "row of the other"
                )

    def _lengths(self) -> list[tuple[str, int]]:
        found = []
        for field in ("x", "y", "sample_weight"):
            value = getattr(self, field)
            if isinstance(value, dict):
                found += [(f"{field}[{name!r}]", len(array)) for name, array in value.items()]
            elif value is not None:
                found.append((field, len(value)))
        return found

    def __len__(self) -> int:
        return self._lengths()[0][1]

    def __iter__(self) -> Iterator[Any]:
        """The two halves, x then y, so that `x, y = dataset` takes a dataset apart."""
        return iter((self.x, self.y))

    def __getitem__(self, rows: slice | Array | Sequence[int]) -> Dataset:
        """The rows of a slice (as views), of a mask, or of an array of row numbers (as copies)."""
        chosen = rows if isinstance(rows, slice) else self._rows(rows)
        return Dataset(
            _take(self.x, chosen),
            _take(self.y, chosen),
            _take(self.sample_weight, chosen),
            self.names,
        )

    def _rows(self, rows: Any) -> Array:
        chosen = np.asarray(rows)
        if chosen.ndim == 1 and chosen.size == 0:
            chosen = chosen.astype(np.int64) if chosen.dtype != bool else chosen
        if chosen.ndim != 1 or chosen.dtype.kind not in "iub":
            raise OptionError(
                "rows of a dataset are named by a slice, a mask or a row of integers, not by "
                f"{rows!r}; one row is d[i : i + 1]"
            )
        if chosen.dtype == bool and len(chosen) != len(self):
            raise DataError(f"the mask has {len(chosen)} rows and the dataset has {len(self)}")
        return chosen

    def __repr__(self) -> str:
        parts = []
        for field in ("x", "y", "sample_weight"):
            value = getattr(self, field)
            if isinstance(value, dict):
                inner = ", ".join(f"{k!r}: {v.shape} {v.dtype}" for k, v in value.items())
                parts.append(f"{field}: {{{inner}}}")
            elif value is not None:
                parts.append(f"{field}: {value.shape} {value.dtype}")
        if self.names is not None:
            parts.append(f"names: {len(self.names)}")
        return f"Dataset({', '.join(parts)})"

    def split(
        self,
        fraction: float,
        *,
        stratify: Stratify = "auto",
        seed: int | np.random.Generator | None = 0,
        last: bool = False,
    ) -> tuple[Dataset, Dataset]:
        """Two datasets: one to train on, and `fraction` of the rows to validate on.

        Args:
            fraction: The part to hold back, between 0 and 1.
            stratify: Keep every class's share on both sides; "auto" does so for labels, that is for
                one-dimensional integers, booleans or strings.
            seed: What decides the random choice.
            last: Hold back the last rows instead, in their order; both sides are views.

        Raises
        ------
            DataError: when a side would be empty, or a class cannot be on both.

        >>> train, validation = Dataset(np.arange(10.0)).split(0.2, last=True)
        >>> validation.x
        array([8., 9.])
        """
        labels = len(self) if self.y is None or isinstance(self.y, dict) else self.y
        train, held = split_indices(labels, fraction, stratify=stratify, seed=seed, last=last)
        if last:
            return self[: len(train)], self[len(train) :]
        return self[train], self[held]


def split_indices(
    y_or_n: Array | int,
    fraction: float,
    *,
    stratify: Stratify = "auto",
    seed: int | np.random.Generator | None = 0,
    last: bool = False,
) -> tuple[Indices, Indices]:
    """Row numbers to train on and to validate on, each int64 and ascending.

    `fraction` of the rows, rounded, is held back. A stratified split gives every class its share of
    that number, by largest remainders, and at least one row on either side.

    Args:
        y_or_n: The targets (N, ...), whose classes a stratified split keeps in proportion, or N.
        fraction: The part to hold back, between 0 and 1.
        stratify: True, False, or "auto": for one-dimensional integers, booleans or strings.
        seed: What decides the random choice.
        last: Hold back the last rows instead, in their order.

    Raises
    ------
        DataError: when a side would be empty, or a class cannot be on both.
        OptionError: for a fraction that is not between 0 and 1, or options that contradict.

    >>> train, validation = split_indices(np.array([0, 0, 1, 1, 1, 1]), 0.5)
    >>> len(train), len(validation)
    (3, 3)
    """
    y = None if isinstance(y_or_n, int | np.integer) else np.asarray(y_or_n)
    n = int(y_or_n) if isinstance(y_or_n, int | np.integer) else len(y_or_n)
    if isinstance(fraction, bool) or not isinstance(fraction, int | float | np.number):
        raise OptionError(f"the fraction to hold back must be a number, not {fraction!r}")
    if not 0 < fraction < 1:  # NaN too
        raise OptionError(f"the fraction to hold back must lie between 0 and 1, not {fraction!r}")
    if stratify not in (True, False, "auto"):
        raise OptionError(f'stratify must be True, False or "auto", not {stratify!r}')

    held = int(n * float(fraction) + 0.5)
    if held < 1 or held >= n:
        raise DataError(
            f"holding back {fraction:g} of {n} rows leaves {n - held} to train on and {held} to "
            "validate on; each side needs at least 1: give more rows or another fraction"
        )
    if last:
        if stratify is True:
            raise OptionError("last=True takes rows as they lie: it cannot be stratified as well")
        rows = np.arange(n, dtype=np.int64)
        return rows[: n - held], rows[n - held :]

    labelled = y is not None and y.ndim == 1
    if stratify is True and not labelled:
        raise OptionError("a stratified split needs labels, one for each row: (N,)")
    order = Stream(seed_of(seed), "split").permutation(n)
    chosen = np.zeros(n, dtype=bool)
    if y is not None and labelled and (stratify is True or _are_labels(y)) and stratify:
        codes, classes = encode_labels(y)
        share = _shares(np.bincount(codes, minlength=len(classes)), held, classes)
        shuffled = codes[order]
        by_class = order[np.argsort(shuffled, kind="stable")]  # each class in random order
        starts = np.searchsorted(np.sort(shuffled), np.arange(len(classes)))
        for start, count in zip(starts, share, strict=True):
            chosen[by_class[start : start + count]] = True
    else:
        chosen[order[:held]] = True
    return np.flatnonzero(~chosen).astype(np.int64), np.flatnonzero(chosen).astype(np.int64)


def _are_labels(y: Array) -> bool:
    if y.dtype.kind == "O":
        return len(y) > 0 and all(isinstance(label, str) for label in y)
    return y.dtype.kind in "iubUS"


def _shares(counts: Array, held: int, classes: Array) -> Array:
    """How many rows of each class to hold back: `held` in all, in proportion to `counts`.

    Largest remainders (Hamilton's method), with at least one row of each class on either side.
    """
    alone = np.flatnonzero(counts == 1)
    if len(alone):
        raise DataError(
            f"class {classes[alone[0]].item()!r} has one row only, which cannot be on both sides "
            "of a stratified split: add rows of that class, leave it out, or split with "
            "stratify=False (in fit: validation_rows='last')"
        )
    n, k = int(counts.sum()), len(counts)
    if held < k or n - held < k:
        raise DataError(
            f"{n} rows split into {n - held} and {held} cannot show each of the {k} classes on "
            "both sides: hold back another fraction, or split with stratify=False"
        )
    exact = counts * (held / n)
    share = np.clip(np.floor(exact).astype(np.int64), 1, counts - 1)
    while missing := held - int(share.sum()):
        step = 1 if missing > 0 else -1
        order = np.argsort(-step * (exact - share), kind="stable")  # those furthest from their due
        room = (share < counts - 1) if step > 0 else (share > 1)
        share[order[room[order]][: abs(missing)]] += step
    return share


def _as_arrays(value: Any, field: str) -> Arrays:
    """An array, or a dict of arrays, each with a first axis to count rows along."""
    if isinstance(value, Mapping):
        if not value:
            raise DataError(f"{field} is an empty dict: it needs an array for each node")
        return {str(name): _as_array(array, f"{field}[{name!r}]") for name, array in value.items()}
    return _as_array(value, field)


def _as_array(value: Any, field: str) -> Array:
    array = np.asarray(value)  # no copy of what is an array already
    if array.ndim == 0:
        raise DataError(
            f"{field} must be an array with one row for each example, not {type(value).__name__}"
        )
    return array


def _take(value: Arrays | None, rows: slice | Array) -> Arrays | None:
    if value is None:
        return None
    if isinstance(value, dict):
        return {name: array[rows] for name, array in value.items()}
    taken: Array = value[rows]
    return taken
