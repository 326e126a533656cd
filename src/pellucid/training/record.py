"""Record: what a run leaves behind, one row an epoch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pellucid.errors import UnknownNameError


class Record:
    """Losses, metrics, learning rate and time of a run, by epoch.

    ``record["loss"]`` is a column as a list, ``record[-1]`` the last row as a dict,
    ``record.stopped`` why the run ended. Printing it gives a table.

    >>> record = Record([{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}])
    >>> record["loss"]
    [0.5, 0.25]
    """

    def __init__(self, rows: list[dict[str, Any]] | None = None) -> None:
        self.rows: list[dict[str, Any]] = rows if rows is not None else []
        self.stopped = ""

    @property
    def columns(self) -> list[str]:
        """The names of what was recorded."""
        return list(dict.fromkeys(key for row in self.rows for key in row))

    def __getitem__(self, key: str | int) -> Any:
        if isinstance(key, int):
            return self.rows[key]
        if key not in self.columns:
            raise UnknownNameError.of(key, self.columns)
        return [row.get(key) for row in self.rows]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.rows)

    def __repr__(self) -> str:
        columns = self.columns
        table = [columns] + [[cell_text(row.get(c)) for c in columns] for row in self.rows]
        widths = [max(len(line[i]) for line in table) for i in range(len(columns))]
        lines = ["  ".join(c.rjust(w) for c, w in zip(line, widths, strict=True)) for line in table]
        return "\n".join(lines + ([f"stopped: {self.stopped}"] if self.stopped else []))

    def _repr_html_(self) -> str:
        from pellucid.insight.html import record_html

        return record_html(self)


def cell_text(value: Any) -> str:
    """A value as it stands in the table: numbers to four digits, nothing for None."""
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e5 else f"{value:.3e}"
    return "" if value is None else str(value)
