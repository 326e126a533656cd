"""Tables of numbers from CSV files: text, a row a line, cells apart by commas or the like."""

from __future__ import annotations

import csv as reading
import io
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Literal, NoReturn

import numpy as np
from numpy.typing import NDArray

from pellucid.data.dataset import Dataset
from pellucid.data.files import PathName, open_regular
from pellucid.description import checked_options
from pellucid.errors import DataError, FileFormatError, OptionError, UnknownNameError

Array = NDArray[Any]
Column = str | int
Cells = Sequence[str]

MISSING = ("", "?", "-", "na", "n/a", "nan", "null", "none")
_DELIMITERS = "\t;|,"
_WHOLE = re.compile(r"[+-]?\d{1,18}").fullmatch
_SNIFFED = 20  # rows that tell the delimiter
_START = 2**18  # the characters in which they are looked for
_TOGETHER = 4096  # rows that become columns at once: lists of all of them cost Python dear


@checked_options(
    "csv",
    sep="Write delimiter=",
    usecols="Write columns=",
    label="Write target=",
    na_values=f"Missing are {', '.join(map(repr, MISSING))}, in capitals too",
)
def csv(
    path: PathName, target: Column | Sequence[Column] | None = -1, *,
    columns: Sequence[Column] | None = None, weight: Column | None = None,
    labels: bool | Literal["auto"] = "auto", names: Sequence[str] | None = None,
    header: bool | Literal["auto"] = "auto", delimiter: str | None = None,
    missing: Literal["error", "drop"] = "error", encoding: str = "utf-8",
) -> Dataset:  # fmt: skip
    r"""A dataset from a CSV file: columns of numbers, and one to be predicted.

    What a column's cells are decides what the target is. Words are classes, in sorted order. Whole
    numbers, written without a point, stay what they are: class indices from 0, as losses for
    classes want them. Other numbers are quantities.

    Args:
        path: The file. Cells may be quoted, and then hold delimiters and line ends.
        target: The column to be predicted, by its name or number (from 0; -1 is the last); several
            make several quantities; None for none.
        columns: The columns of `x`; without it all but target and weight.
        weight: A column that says what each row counts for.
        labels: True makes classes of any target, numbers too; False makes quantities of any.
        names: The classes in their order, where it is known; without it they are those found.
        header: Whether the first row has the columns' names. "auto": where none of its cells is a
            number.
        delimiter: What stands between cells; without it the first of tab, `;`, `|` and `,` that
            gives the first rows the same number of cells, two or more.
        missing: What to do where a cell is empty or says so (`NA`, `nan`, `?`): name the first, or
            leave out every row that has one in a column that is used.
        encoding: How the file writes characters.

    Returns
    -------
        `x` is float64, (N, columns). `y` is int64 (N,) for classes, with `names` where they were
        words; float64 (N, 1), or (N, targets), for quantities.

    Raises
    ------
        DataError: for a cell that is missing or no number, by line and column; rows of different
            lengths; no rows.
        UnknownNameError: for a column that is not there.
        FileFormatError: for a file that is no text.

    >>> import tempfile
    >>> from pathlib import Path
    >>> file = Path(tempfile.mkdtemp()) / "flowers.csv"
    >>> _ = file.write_text("length,width,kind\n5.1,3.5,setosa\n6.2,2.9,virginica\n")
    >>> d = csv(file)
    >>> d.x, d.y, d.names
    (array([[5.1, 3.5],
           [6.2, 2.9]]), array([0, 1]), ('setosa', 'virginica'))
    """
    if missing not in ("error", "drop") or labels not in (True, False, "auto"):
        raise OptionError(
            'csv: missing is "error" or "drop", and labels is True, False or "auto", not '
            f"{missing!r} and {labels!r}"
        )
    table = _table(path, header, delimiter, encoding)
    single = isinstance(target, str | int | np.integer)
    several = target if isinstance(target, list | tuple) else [] if target is None else [target]
    wanted = [table.column(name) for name in several]  # type: ignore[arg-type]
    weighed = None if weight is None else table.column(weight)
    if columns is None:
        apart = {*wanted, weighed}
        features = [i for i in range(table.width) if i not in apart]
    else:
        features = [table.column(name) for name in columns]
    if not features:
        raise DataError(f"{table.name} has no column besides the target: there is nothing to learn")
    if missing == "drop":
        table = table.without_missing([*features, *wanted, *([] if weighed is None else [weighed])])
    x = np.stack([table.numbers(i) for i in features], axis=1)
    y: Array | None = None
    found: tuple[str, ...] | None = None
    if single:
        y, found = _targets(table, wanted[0], labels, None if names is None else tuple(names))
    elif wanted:
        y = np.stack([table.numbers(i) for i in wanted], axis=1)
    weights = None if weighed is None else table.numbers(weighed)
    return Dataset(x, y, weights, found)


def column_names(path: PathName) -> list[str] | None:
    """What the first row of a CSV file calls its columns, or None where it has numbers.

    Delimiter and header are found as `csv` finds them.
    """
    text = _text(path, "utf-8")
    try:
        first: list[str] = next(filter(_is_row, _reader(text, _sniff(text))), [])
    except reading.Error:
        return None  # `csv` says in which line
    return None if any(map(_is_number, first)) else [cell.strip() for cell in first]


@dataclass(frozen=True)
class _Table:
    """The cells of a file by columns, and what is needed to say where one stands."""

    name: str
    header: list[str] | None
    cells: list[list[str]]  # by columns
    rows: Sequence[int]  # which of the file's rows these are
    text: str
    delimiter: str

    @property
    def width(self) -> int:
        return len(self.cells)

    def column(self, column: Column) -> int:
        """The number of a column."""
        if isinstance(column, str):
            named = [i for i, name in enumerate(self.header or []) if name == column]
            if len(named) == 1:
                return named[0]
            if named:
                raise DataError(
                    f"{self.name} has {len(named)} columns {column!r}: say which by number"
                )
            if self.header is None:
                raise DataError(
                    f"{self.name} has no header, so column {column!r} cannot be found: give its "
                    "number, or header=True if its first row has the names"
                )
            raise UnknownNameError.of(column, self.header)
        if isinstance(column, bool) or not isinstance(column, int | np.integer):
            raise OptionError(f"a column is a name or a number, not {column!r}")
        if not -self.width <= column < self.width:
            raise DataError(f"{self.name} has {self.width} columns and no column {column}")
        return int(column) % self.width

    def place(self, row: int, column: int) -> str:
        """Where a cell stands, for people."""
        name = f"{column + 1}" if self.header is None else repr(self.header[column])
        return f"{self.name}, line {self.line(self.rows[row])}, column {name}"

    def line(self, row: int) -> int:
        """The line of the file in which a row ends, its header being row 0."""
        reader = _reader(self.text, self.delimiter)
        next(islice(filter(_is_row, reader), row, None))
        return int(reader.line_num)

    def numbers(self, column: int) -> Array:
        """A column as float64, (N,)."""
        cells = self.cells[column]
        try:
            values = np.array(list(map(float, cells)))
        except ValueError:
            self._refuse(column)
        odd = "_" in self.text and "_" in "".join(cells)  # Python reads 1_000 as a number
        if odd or not np.isfinite(values).all():
            self._refuse(column)
        return values

    def _refuse(self, column: int) -> NoReturn:
        """Names the first cell of a column that is no finite number."""
        row, cell = next((r, c) for r, c in enumerate(self.cells[column]) if not _is_finite(c))
        place = self.place(row, column)
        if is_missing(cell):
            raise DataError(
                f"{place}: the number is missing ({cell!r}). Fill it, or leave such rows out: "
                'pellucid.data.csv(..., missing="drop"), --missing drop on the command line'
            )
        remedy = (
            "leave the column out, pellucid.data.csv(..., columns=[...]), --columns on the command "
            "line, or put numbers there"
        )
        if re.fullmatch(r"\s*[+-]?\d+,\d+\s*", cell):
            remedy = "numbers are written with a decimal point here"
        raise DataError(f"{place}: {cell!r} is no finite number: {remedy}")

    def without_missing(self, columns: Sequence[int]) -> _Table:
        """The rows that have no missing cell in these columns."""
        keep = [
            r for r, cells in enumerate(zip(*(self.cells[c] for c in columns), strict=True))
            if not any(map(is_missing, cells))
        ]  # fmt: skip
        if not keep:
            raise DataError(f"{self.name}: every row has a missing cell, so none is left")
        cells = [[column[r] for r in keep] for column in self.cells]
        return replace(self, cells=cells, rows=[self.rows[r] for r in keep])


def is_missing(cell: str) -> bool:
    """Whether a cell says that there is nothing."""
    return cell.strip().lower() in MISSING


def _is_finite(cell: str) -> bool:
    try:
        return bool(np.isfinite(float(cell))) and "_" not in cell
    except ValueError:
        return False


def _targets(
    table: _Table, column: int, labels: bool | str, names: tuple[str, ...] | None
) -> tuple[Array, tuple[str, ...] | None]:
    """The target, and what the classes are called if it has any and they were words."""
    if labels is False:
        return table.numbers(column)[:, None], None
    cells = [cell.strip() for cell in table.cells[column]]
    whole = all(map(_WHOLE, cells))
    if names is not None and set(cells) <= set(names):
        return _encoded(table, column, cells, names)
    if labels == "auto":
        if whole:
            return np.array(list(map(int, cells))), names
        if _is_finite(cells[0]) or is_missing(cells[0]):
            return table.numbers(column)[:, None], None
    gone = next((row for row, cell in enumerate(cells) if is_missing(cell)), None)
    if gone is not None:
        raise DataError(
            f"{table.place(gone, column)}: the class is missing. Fill it, or leave such rows out: "
            'pellucid.data.csv(..., missing="drop"), --missing drop on the command line'
        )
    if names is None:
        names = tuple(sorted(set(cells), key=int if whole else None))
    return _encoded(table, column, cells, names)


def _encoded(
    table: _Table, column: int, cells: Cells, names: tuple[str, ...]
) -> tuple[Array, tuple[str, ...]]:
    """Words as indices into `names`."""
    index = {name: i for i, name in enumerate(names)}
    try:
        return np.array([index[cell] for cell in cells]), names
    except KeyError:
        row, cell = next((r, c) for r, c in enumerate(cells) if c not in index)
        raise DataError(
            f"{table.place(row, column)}: {cell!r} is none of the classes {', '.join(names)}"
        ) from None


# ---- from text to cells -------------------------------------------------------------------------


def _text(path: PathName, encoding: str) -> str:
    """The characters of a file."""
    name = os.fspath(path)
    file, _ = open_regular(path)
    with file:
        content = file.read()
    try:
        text = content.decode("utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding)
    except LookupError:
        raise OptionError(f"csv: there is no encoding {encoding!r}") from None
    except UnicodeDecodeError as error:
        raise FileFormatError(
            f'{name} is not text in {encoding} (byte {error.start:,}): try encoding="latin-1" or '
            '"utf-16"'
        ) from None
    if "\0" in text:
        raise FileFormatError(f"{name} is not text: it has zero bytes")
    return text


def _table(path: PathName, header: Any, delimiter: str | None, encoding: str) -> _Table:
    name = os.fspath(path)
    if header not in (True, False, "auto"):
        raise OptionError(f'csv: header is True, False or "auto", not {header!r}')
    if delimiter is not None and (not isinstance(delimiter, str) or len(delimiter) != 1):
        raise OptionError(f"csv: delimiter is one character, not {delimiter!r}")
    text = _text(path, encoding)
    table = _Table(name, None, [], (), text, _sniff(text) if delimiter is None else delimiter)
    first = _fill(table)
    titled = header
    if header == "auto":
        titled = not any(_is_number(cell) for cell in first)
    if not titled:
        return replace(table, rows=range(len(table.cells[0])))
    if len(table.cells[0]) == 1:
        raise DataError(f"{name} has no rows below its header")
    for column in table.cells:
        del column[0]
    titles = [cell.strip() for cell in first]
    return replace(table, header=titles, rows=range(1, len(table.cells[0]) + 1))


def _fill(table: _Table) -> list[str]:
    """Reads all cells into the columns of a table, and returns the first row."""
    reader = _reader(table.text, table.delimiter)
    first: list[str] = []
    try:
        while rows := list(islice(reader, _TOGETHER)):
            if not first:
                first = next(filter(_is_row, rows), [])
                table.cells.extend([] for _ in first)
            if any(len(row) != len(first) for row in rows):
                rows = list(filter(_is_row, rows))
                _check_lengths(table, rows, len(first))
            for column, cells in zip(table.cells, zip(*rows, strict=True), strict=False):
                column.extend(cells)
    except reading.Error as error:
        raise FileFormatError(
            f"{table.name}, line {reader.line_num}: not to be read as CSV ({error}); is a quote "
            "open?"
        ) from None
    if not first:
        raise DataError(f"{table.name} has no rows")
    return first


def _check_lengths(table: _Table, rows: list[list[str]], width: int) -> None:
    """Names a row, the next after those of the table, that has not as many cells as the first."""
    for i, row in enumerate(rows):
        if len(row) != width:
            raise DataError(
                f"{table.name}, line {table.line(len(table.cells[0]) + i)}: {len(row)} cells, and "
                f"the first row has {width}: every row needs the same columns (a cell that holds "
                "the delimiter needs quotes)"
            )


def _is_row(row: list[str]) -> bool:
    """Whether there is anything in a row."""
    return len(row) > 1 or (len(row) == 1 and bool(row[0].strip()))


def _reader(text: str, delimiter: str) -> Any:
    return reading.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True
    )


def _is_number(cell: str) -> bool:
    """Whether a cell of the first row speaks against a header: also 1,5 and nan do."""
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True


def _sniff(text: str) -> str:
    """The delimiter of the first rows; not one that tears quoted cells apart."""
    start, calm = text[:_START], ""
    for delimiter in _DELIMITERS:
        try:
            rows = list(islice(filter(_is_row, _reader(start, delimiter)), _SNIFFED))
        except reading.Error:
            continue
        if len(start) < len(text) and 1 < len(rows) < _SNIFFED:
            rows.pop()  # it was cut
        widths = {len(row) for row in rows}
        if len(widths) == 1 and max(widths) > 1:
            if not any('"' in cell for row in rows for cell in row):
                return delimiter
            calm = calm or delimiter
    return calm or ","
