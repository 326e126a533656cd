"""What notebooks show of networks, records and what looks inside: tables and small drawings.

Inline styles only, no scripts, everything escaped; colours are those of the page around, so that
it reads in light notebooks and in dark ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.insight.diagnosis import Diagnosis
from pellucid.insight.drawing import number_rows
from pellucid.insight.gradcheck import GradientReport
from pellucid.insight.plots.training import Curve, best_epoch, curves, epochs_of
from pellucid.insight.structure import is_chain, structure_svg
from pellucid.insight.trace import Trace, numbers_text
from pellucid.network.network import Network
from pellucid.network.summary import summary_rows, totals
from pellucid.training.record import Record, cell_text

Array = NDArray[Any]
_LINE = "1px solid rgba(128,128,128,0.35)"
_CELL = f"padding:2px 10px 2px 0;text-align:left;vertical-align:top;border-top:{_LINE}"
_MONO = "font-family:ui-monospace,Menlo,Consolas,monospace;font-size:12px;white-space:pre"
_INKS = ("#2f86c5", "#d9822b", "#2a9d74", "#c65b9b", "#8a6fd1", "#808080")  # on white and on black


def network_html(net: Network) -> str:
    """The nodes with shapes, parameters and what feeds them; a drawing where they branch."""
    if not net.built:
        note = "not built: its shapes come with the first data, or with net.build(shape)"
        return _frame("Network", note, f'<div style="{_MONO}">{escape(repr(net))}</div>')
    head, *rows = summary_rows(net)
    body = table(head, rows, mono=(0, 1, 2))
    if not is_chain(net.graph):
        drawn = structure_svg(net.graph)
        more = drawn or f"{len(net.graph.nodes)} nodes are too many for a drawing"
        side = f'<div style="overflow-x:auto;margin:6px 28px 6px 0">{more}</div>'
        body = f'<div style="display:flex;flex-wrap:wrap">{side}{body}</div>'
    how = ", ".join(
        f"{word} {what!r}" for word, what in (("loss", net.loss), ("optimizer", net.optimizer))
        if what is not None
    )  # fmt: skip
    foot = "".join(f"<div>{escape(line)}</div>" for line in [*totals(net), how] if line)
    return _frame("Network", f"{net.updates:,} updates", body + foot)


def trace_html(trace: Trace) -> str:
    """Each value with its gradient, each parameter with its gradient and change; the text below."""
    rows: list[Sequence[str]] = []
    owners = dict.fromkeys(name.rpartition("/")[0] for name in trace.parameters)
    for node, value in trace.values.items():
        slope = trace.slopes.get(node)
        rows.append((node, _shape(value), _numbers(value), _numbers(slope), ""))
        if node in owners:
            for name, array in trace.parameters.items():
                if name.rpartition("/")[0] == node:
                    cells = (trace.gradients.get(name), trace.changes.get(name))
                    rows.append(
                        (f"  {name}", _shape(array), _numbers(array), *map(_numbers, cells))
                    )
    head = ("array", "shape", "value", "gradient of the loss by it", "change by the update")
    story = (
        '<details style="margin-top:6px"><summary>the step in its four phases</summary>'
        f'<div style="{_MONO};overflow-x:auto">{escape(trace.text)}</div></details>'
    )
    return _frame("Trace", f"loss {trace.loss:.6g}", table(head, rows, mono=range(5)) + story)


def record_html(record: Record) -> str:
    """The curves of losses and metrics, and the numbers by epoch."""
    if not len(record):
        return _frame("Record", record.stopped or "no epoch was completed", "")
    losses, metrics = curves(record)
    epochs, best = epochs_of(record), best_epoch(record)
    charts = [chart_svg(epochs, part, best) for part in (losses, metrics) if part]
    rows = [[cell_text(row.get(c)) for c in record.columns] for row in record.rows]
    if len(rows) > 16:
        rows = [*rows[:5], ["…"] * len(record.columns), *rows[-10:]]
    row = "".join(f'<div style="margin:4px 24px 8px 0">{chart}</div>' for chart in charts)
    note = f"{len(record)} epochs" + (f", stopped: {record.stopped}" if record.stopped else "")
    drawn = f'<div style="display:flex;flex-wrap:wrap">{row}</div>'
    return _frame("Record", note, drawn + table(record.columns, rows))


def diagnosis_html(diagnosis: Diagnosis) -> str:
    """A row a finding, or which rules have found nothing."""
    if not diagnosis:
        return _frame("Diagnosis", str(diagnosis), "")
    rows = [(f.rule, f.place, f.evidence, f.reason, f.remedy) for f in diagnosis]
    body = table(("what", "where", "evidence", "why", "try"), rows, mono=(1,))
    found = f"{len(rows)} finding" + ("s" if len(rows) > 1 else "")
    return _frame("Diagnosis", f"{found} by {len(diagnosis.rules)} rules", body)


def report_html(report: GradientReport) -> str:
    """The worst comparison of each array."""
    rows = [
        (c.array, f"{c.analytic:.9g}", f"{c.numeric:.9g}", f"{c.error:.1e}", mark)
        for c, mark in report.rows()
    ]
    head = ("array", "backpropagation", "central difference", "relative error", "")
    verdict = "agree with" if report.passed else "do not agree with"
    note = f"the gradients {verdict} central differences (tolerance {report.tolerance:g})"
    return _frame("Gradient check", note, table(head, rows, mono=(0, 1, 2, 3)))


def text_html(text: str) -> str:
    """Lines with their spaces."""
    return f'<div style="{_MONO};overflow-x:auto">{escape(text)}</div>'


def table(head: Sequence[str], rows: Iterable[Sequence[str]], mono: Iterable[int] = ()) -> str:
    """A table of texts; the columns in `mono` keep their spaces and lines."""
    mono = tuple(mono)
    top = "".join(f'<th style="{_CELL};border-top:none">{escape(name)}</th>' for name in head)
    lines = []
    for row in rows:
        cells = (
            f'<td style="{_CELL}{";" + _MONO if i in mono else ""}">{escape(cell)}</td>'
            for i, cell in enumerate(row)
        )
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return (
        '<div style="overflow-x:auto"><table style="border-collapse:collapse;margin:4px 0;'
        f'font-size:inherit"><thead><tr>{top}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _frame(title: str, note: str, body: str) -> str:
    return (
        '<div style="font-family:sans-serif;font-size:13px;line-height:1.4">'
        f"<div><b>{escape(title)}</b> "
        f'<span style="opacity:0.7">{escape(note)}</span></div>{body}</div>'
    )


def _shape(array: Array) -> str:
    return f"{array.shape} {array.dtype}"


def _numbers(array: Array | None, few: int = 12) -> str:
    """The numbers themselves where they are few, else their range."""
    if array is None:
        return ""
    return "\n".join(number_rows(array)) if 0 < array.size <= few else numbers_text(array, few)


# ---- a chart -------------------------------------------------------------------------------------

_WIDE, _HIGH, _LEFT, _TOP = 300.0, 130.0, 52.0, 8.0


def chart_svg(epochs: Array, drawn: list[Curve], best: int | None) -> str:
    """Curves by epoch in SVG: solid on training rows, dashed on those held out."""
    every = np.concatenate([half for c in drawn for half in c[1:] if half is not None])
    every = every[np.isfinite(every)]
    low, high = (float(every.min()), float(every.max())) if every.size else (0.0, 1.0)
    span, reach = (high - low) or 1.0, float(np.ptp(epochs)) or 1.0
    x = _LEFT + 6 + (epochs - epochs[0]) / reach * (_WIDE - 12)
    bottom = _TOP + _HIGH
    box = f'<rect x="{_LEFT:g}" y="{_TOP:g}" width="{_WIDE:g}" height="{_HIGH:g}" fill="none" '
    parts = [box + 'stroke="currentColor" stroke-opacity="0.35"/>']
    ticks = [(high, _TOP + 10), (low, bottom)] if high > low else [(low, bottom - _HIGH / 2)]
    parts += [_word(_LEFT - 5, y, cell_text(value), "end") for value, y in ticks]
    ends = [(x[0], epochs[0])] if len(epochs) < 2 else [(x[0], epochs[0]), (x[-1], epochs[-1])]
    parts += [_word(at, bottom + 14, f"{epoch:g}", "middle") for at, epoch in ends]
    parts.append(_word(_LEFT + _WIDE / 2, bottom + 14, "epoch", "middle"))
    if best is not None:
        parts.append(
            f'<path d="M{x[best]:.1f} {_TOP:g}L{x[best]:.1f} {bottom:g}" stroke="currentColor" '
            f'stroke-opacity="0.5" stroke-dasharray="1 3"><title>best epoch, {epochs[best]:g}'
            "</title></path>"
        )
    height = bottom + 20
    for k, curve in enumerate(drawn):
        held_out = (curve.validation, "5 3", f"{curve.name}, validation")
        halves = [(curve.training, "", curve.name), held_out]
        for half, dashes, label in halves:
            if half is not None:
                share = (half - low) / span if high > low else 0.5 + 0 * half
                y = bottom - 6 - share * (_HIGH - 12)
                height += 16
                ink = _INKS[k % len(_INKS)]
                parts += [_curve(x, y, ink, dashes), _key(height - 5, ink, dashes, label)]
    width = _LEFT + _WIDE + 8
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
        f'viewBox="0 0 {width:g} {height:g}" fill="currentColor" font-family="sans-serif" '
        f'font-size="11" role="img">{"".join(parts)}</svg>'
    )


def _curve(x: Array, y: Array, ink: str, dashes: str) -> str:
    """A line through the finite points; a point that stands alone is a dot."""
    fine = np.isfinite(y)
    path, dots = "", ""
    for i in np.flatnonzero(fine):
        joined = i > 0 and fine[i - 1]
        path += f"{'L' if joined else 'M'}{x[i]:.1f} {y[i]:.1f}"
        if not joined and not (i + 1 < len(y) and fine[i + 1]):
            dots += f'<circle cx="{x[i]:.1f}" cy="{y[i]:.1f}" r="3" fill="{ink}"/>'
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<path d="{path}" fill="none" stroke="{ink}" stroke-width="2"{dashed}/>{dots}'


def _key(y: float, ink: str, dashes: str, label: str) -> str:
    line = _curve(np.array([_LEFT, _LEFT + 24]), np.array([y - 4, y - 4]), ink, dashes)
    return line + _word(_LEFT + 30, y, label, "start")


def _word(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
