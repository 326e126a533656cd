"""Drawings of a run: its learning curves, and the search for a learning rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pellucid.errors import DataError
from pellucid.insight.plots.canvas import COLOURS, axes_for, pyplot
from pellucid.training.rates import RateSearch
from pellucid.training.record import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[Any]
_APART = ("epoch", "step", "seconds", "learning_rate")


class Curve(NamedTuple):
    """One quantity of a record by epoch: on the training rows, and on those held out if any."""

    name: str
    training: Array | None  # (N,), NaN where an epoch has none
    validation: Array | None


def curves(record: Record) -> tuple[list[Curve], list[Curve]]:
    """The losses (with the penalty) and the metrics of a record."""
    columns = [c for c in record.columns if c not in _APART]
    names = dict.fromkeys(c.removeprefix("validation_") for c in columns)
    losses: list[Curve] = []
    metrics: list[Curve] = []
    for name in names:
        halves = (
            _column(record, c) if c in columns else None for c in (name, f"validation_{name}")
        )
        is_loss = name.rpartition("/")[2] in ("loss", "penalty")
        (losses if is_loss else metrics).append(Curve(name, *halves))
    return losses, metrics


def epochs_of(record: Record) -> Array:
    """The number of each row's epoch, (N,)."""
    return np.array([row.get("epoch", i + 1) for i, row in enumerate(record.rows)], np.float64)


def best_epoch(record: Record) -> int | None:
    """Where in the rows the validation loss is lowest; None without one."""
    if "validation_loss" not in record.columns:
        return None
    losses = _column(record, "validation_loss")
    return int(np.nanargmin(losses)) if np.isfinite(losses).any() else None


def _column(record: Record, name: str) -> Array:
    return np.array([np.nan if v is None else float(v) for v in record[name]])


def learning_curves(record: Record, ax: Axes | None = None) -> Axes:
    """Draws what a run recorded by epoch: losses, metrics, learning rate, and the best epoch.

    Losses belong to the axis on the left, metrics to a second one on the right
    (a twin, ``ax.figure.axes[-1]``). Lines are solid for training rows and dashed for those held
    out, in one colour a quantity; a dotted line marks the epoch of the lowest validation loss.
    Where the learning rate changed, a new figure has it in a second panel; an `Axes` of your own
    is left to the other curves.

    Parameters
    ----------
    record : Record
        What `net.fit` returned.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        That of the losses.

    >>> record = Record([{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}])
    >>> learning_curves(record).get_lines()[0].get_ydata().tolist()
    [0.5, 0.25]
    """
    if not len(record):
        raise DataError("this record is empty: no epoch was completed")
    epochs, (losses, metrics) = epochs_of(record), curves(record)
    rates = _column(record, "learning_rate") if "learning_rate" in record.columns else np.zeros(1)
    below = None
    if ax is None and np.ptp(rates) > 0:
        ax, below = _two_panels()
    ax = axes_for(ax)
    marker = "o" if len(epochs) < 2 else None  # a single epoch is a point, not a line
    _draw(ax, epochs, losses, COLOURS, marker)
    ax.set(xlabel="epoch", ylabel="loss")
    if _spans_decades(losses):
        ax.set_yscale("log")
    best = best_epoch(record)
    if best is not None:
        ax.axvline(epochs[best], color="0.4", linestyle=":", label=f"best epoch, {epochs[best]:g}")
    handles, labels = ax.get_legend_handles_labels()
    if metrics:
        right = ax.twinx()
        _draw(right, epochs, metrics, COLOURS[len(losses) % len(COLOURS) :] + COLOURS, marker)
        right.set_ylabel(", ".join(c.name for c in metrics))
        more = right.get_legend_handles_labels()
        handles, labels = handles + more[0], labels + more[1]
    ax.locator_params(axis="x", integer=True)
    _legend(ax, handles, labels)
    if below is not None:
        ax.set_xlabel("")
        ax.tick_params(labelbottom=False)
        below.plot(epochs, rates, color="0.3", drawstyle="steps-mid", marker=marker)
        below.set(xlabel="epoch", ylabel="learning\nrate")
        below.set_ylim(bottom=0)
    return ax


def _two_panels() -> tuple[Any, Any]:
    figure = pyplot().figure(figsize=(6.0, 4.8), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    return upper, lower


def _draw(
    ax: Any, epochs: Array, drawn: list[Curve], palette: Sequence[str], marker: str | None
) -> None:
    for curve, colour in zip(drawn, palette, strict=False):
        if curve.training is not None:
            ax.plot(epochs, curve.training, color=colour, marker=marker, label=curve.name)
        if curve.validation is not None:
            ax.plot(epochs, curve.validation, color=colour, marker=marker, linestyle="--",
                    label=f"{curve.name}, validation")  # fmt: skip


def _spans_decades(losses: list[Curve]) -> bool:
    """Whether the losses are all above 0 and lie more than a factor of 30 apart."""
    every = [half for curve in losses for half in curve[1:] if half is not None]
    values = np.concatenate(every) if every else np.zeros(0)
    values = values[np.isfinite(values)]
    return bool(values.size and values.min() > 0 and values.max() > 30 * values.min())


def _legend(ax: Any, handles: list[Any], labels: list[str]) -> None:
    """Above the curves, where it hides none of them."""
    ax.legend(handles, labels, loc="lower center", bbox_to_anchor=(0.5, 1.0), fontsize=8,
              ncols=min(len(labels), 3), frameon=False)  # fmt: skip


def rate_search(found: RateSearch, ax: Axes | None = None) -> Axes:
    """Draws the losses of `find_learning_rate` over the rates, and the rate it suggests."""
    ax = axes_for(ax)
    ax.plot(found.rates, found.losses, color="0.8", linewidth=1, label="loss of a batch")
    ax.plot(found.rates, found.smooth, color=COLOURS[0], label="smoothed")
    ax.axvline(found.suggestion, color=COLOURS[3], linestyle="--",
               label=f"suggestion {found.suggestion:.2g}")  # fmt: skip
    shown = found.smooth[np.isfinite(found.smooth)]
    low, high = float(shown.min()), float(shown[: max(len(shown) // 2, 1)].max())
    margin = 0.25 * (high - low or abs(high) or 1.0)
    ax.set(xscale="log", xlabel="learning rate", ylabel="loss",
           ylim=(low - margin, high + 3 * margin))  # fmt: skip
    ax.legend()
    return ax
