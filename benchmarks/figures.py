"""The plots of docs/performance.md, drawn from the stored results as small SVG files.

The same results give the same bytes: no dates, and fixed names inside.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from benchmarks import scaling
from benchmarks.peers import NUMPY, OURS
from benchmarks.workloads import BEST, WORKLOADS

Result = dict[str, Any]
COLORS = {
    OURS: "#b5122e", "PyTorch eager": "#2f6fb0", "PyTorch compiled": "#7fb0dd", "JAX": "#2e8b57",
    "scikit-learn": "#d98a1f", "ONNX Runtime": "#6b4c9a", NUMPY: "#8a8a8a",
}  # fmt: skip
MARKS = {OURS: "o", "PyTorch eager": "s", "PyTorch compiled": "D", "JAX": "^",
         "scikit-learn": "v", "ONNX Runtime": "P", NUMPY: "x"}  # fmt: skip
STYLE = {
    "svg.hashsalt": "pellucid", "svg.fonttype": "none", "font.family": "sans-serif",
    "font.size": 9, "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "grid.color": "#e4e4e4", "grid.linewidth": 0.6, "axes.axisbelow": True,
    "figure.facecolor": "white", "savefig.facecolor": "white",
}  # fmt: skip
TITLES = {
    "width": "hidden units of each of 2 layers, batch 64",
    "depth": "hidden layers of 256 units, batch 64",
    "batch": "rows in a batch, 2 layers of 256 units",
}


def draw(results: dict[str, Result], folder: Path) -> None:
    """Draws whatever there are results for."""
    with mpl.rc_context(STYLE):
        for kind, name in (("train", "training"), ("predict", "prediction")):
            chosen = [results[w.name] for w in WORKLOADS if w.name in results and w.kind == kind]
            if chosen:
                _save(_ratios(chosen), folder / f"{name}.svg")
        if "scaling" in results:
            _save(_curves(results["scaling"]), folder / "scaling.svg")
            _save(_threads(results["scaling"]), folder / "threads.svg")


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path, metadata={"Date": None, "Creator": None}, bbox_inches="tight")
    plt.close(figure)


def _ratios(results: list[Result]) -> Any:
    """For each workload, each contender's time over Pellucid's: right of 1 Pellucid is faster."""
    figure, axes = plt.subplots(figsize=(7.2, 0.9 + 0.46 * len(results)))
    seen: dict[str, Any] = {}
    for y, result in enumerate(reversed(results)):
        entries = {e["peer"]: e for e in result["entries"] if e["median"]}
        if OURS not in entries:
            continue
        ours = entries[OURS]["median"]
        for name in COLORS:
            if name in entries and name != OURS:
                good = entries[name].get("same", True)
                seen[name] = axes.plot(
                    entries[name]["median"] / ours, y, MARKS[name], ms=7, color=COLORS[name],
                    mfc=COLORS[name] if good else "white", label=name, ls="none",
                )[0]  # fmt: skip
        for target in result["targets"]:
            if target["against"] in (BEST, "ONNX Runtime"):
                seen["promised"] = axes.plot(
                    target["at_least"], y, "|", ms=16, mew=1.6, color="#444444", label="promised",
                    ls="none", zorder=4,
                )[0]  # fmt: skip
    axes.axvline(1, color=COLORS[OURS], lw=1.4)
    axes.set_xscale("log")
    axes.set_xlim(min(0.4, axes.get_xlim()[0]), axes.get_xlim()[1] * 1.2)
    _plain_ticks(axes.xaxis, axes.get_xlim())
    axes.set_yticks(range(len(results)), [_short(r) for r in reversed(results)])
    axes.set_ylim(-0.6, len(results) - 0.4)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("time ÷ Pellucid's time (log scale); right of the red line Pellucid is faster")
    names = [name for name in (*COLORS, "promised") if name in seen]
    axes.legend(
        [seen[name] for name in names], names, loc="lower center", bbox_to_anchor=(0.4, 1.0),
        frameon=False, ncols=4, handletextpad=0.3, columnspacing=1.2,
    )  # fmt: skip
    return figure


def _short(result: Result) -> str:
    return str(result["workload"]["title"]).replace(", batch", "\nbatch", 1)


def _plain_ticks(axis: Any, limits: tuple[float, float]) -> None:
    """Ticks at 0.5, 1, 2, 5, 10, … written as they are."""
    values = [m * 10.0**e for e in range(-2, 7) for m in (1, 2, 5)]
    values = [v for v in values if limits[0] <= v <= limits[1]]
    if len(values) > 9:
        values = [v for v in values if f"{v:.0e}"[0] == "1"]
    axis.set_ticks(values, [f"{v:,g}" if v < 1e4 else f"{v:,.0f}" for v in values])
    axis.set_minor_locator(mpl.ticker.NullLocator())


def _curves(result: Result) -> Any:
    """Step time against width, depth and batch, with the places where curves cross ours."""
    figure, panels = plt.subplots(1, 3, figsize=(10.2, 3.5))
    for axes, curve in zip(panels, scaling.CURVES, strict=True):
        points = [p for p in result["points"] if p["curve"] == curve]
        for name in scaling.CONTENDERS:
            pairs = [(p["value"], t) for p in points if (t := scaling.best(p, name))]
            if pairs:
                lone = name == "PyTorch compiled"
                axes.plot(
                    *zip(*pairs, strict=True), MARKS[name], ls=":" if lone else "-", ms=4, lw=1.4,
                    color=COLORS[name], label=name, zorder=3 if name == OURS else 2,
                )  # fmt: skip
        _mark_crossovers(axes, points)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        values = [p["value"] for p in points][:: 2 if len(points) > 7 else 1]
        axes.set_xticks(values, [f"{v:,}" for v in values])
        axes.xaxis.set_minor_locator(mpl.ticker.NullLocator())
        _plain_ticks(axes.yaxis, axes.get_ylim())
        axes.set_title(f"against {curve}", fontsize=10, loc="left")
        axes.set_xlabel(TITLES[curve])
    panels[0].set_ylabel("µs a step (log scale)")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="lower center", bbox_to_anchor=(0.5, 0.97), frameon=False, ncols=5
    )
    figure.tight_layout()
    return figure


def _mark_crossovers(axes: Axes, points: list[Result]) -> None:
    """A ring where a peer's curve crosses ours, with the place beside it."""
    for name in scaling.CONTENDERS[1:]:
        for at, _ in scaling.crossovers(points, name):
            pairs = [(p["value"], t) for p in points if (t := scaling.best(p, OURS))]
            left = max((q for q in pairs if q[0] <= at), key=lambda q: q[0])
            right = min((q for q in pairs if q[0] >= at), key=lambda q: q[0])
            share = 0.0 if left == right else _log_share(left[0], right[0], at)
            height = left[1] * (right[1] / left[1]) ** share
            axes.plot(at, height, "o", ms=11, mfc="none", mec=COLORS[name], mew=1.4, zorder=4)
            axes.annotate(
                f"{at:.0f}", (at, height), xytext=(7, -11), textcoords="offset points",
                color=COLORS[name], fontsize=8,
            )  # fmt: skip


def _log_share(left: float, right: float, at: float) -> float:
    from math import log

    return log(at / left) / log(right / left)


def _threads(result: Result) -> Any:
    """What the second thread is worth, along the width."""
    figure, axes = plt.subplots(figsize=(5.4, 3.0))
    points = [p for p in result["points"] if p["curve"] == "width"]
    for name in scaling.CONTENDERS[:-1]:
        pairs = []
        for point in points:
            times = {e["threads"]: e["median"] for e in point["entries"] if e["peer"] == name}
            if times.get(1) and times.get(2):
                pairs.append((point["value"], times[1] / times[2]))
        if pairs:
            axes.plot(
                *zip(*pairs, strict=True), MARKS[name], ls="-", ms=4, lw=1.4, color=COLORS[name],
                label=name,
            )  # fmt: skip
    axes.axhline(1, color="#888888", lw=0.8)
    axes.axhline(2, color="#888888", lw=0.8, ls=":")
    axes.set_xscale("log", base=2)
    axes.set_ylim(0, max(2.2, axes.get_ylim()[1]))
    axes.set_xticks([p["value"] for p in points], [f"{p['value']:,}" for p in points])
    axes.xaxis.set_minor_locator(mpl.ticker.NullLocator())
    axes.set_xlabel(TITLES["width"])
    axes.set_ylabel("time with 1 thread ÷ with 2")
    axes.legend(frameon=False, loc="lower right")
    return figure
