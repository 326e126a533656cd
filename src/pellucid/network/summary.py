"""The table that `net.summary()` prints, and a notebook shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pellucid.network.graph import Node
    from pellucid.network.network import Network


class Summary(str):
    """A text of several lines, which a prompt and a notebook show as it is printed."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        from pellucid.insight.html import text_html

        return text_html(self)


def summary(net: Network) -> Summary:
    """One line a node: name, layer, shape that leaves it, parameters, and what feeds it."""
    rows = summary_rows(net)
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    lines = [
        "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=False)) + "  " + row[5]
        for row in rows
    ]
    rule = "─" * max(len(line) for line in lines)
    lines = [lines[0], rule, *lines[1:], rule, *totals(net)]
    return Summary("\n".join(line.rstrip() for line in lines))


def repr_html(net: Network) -> str:
    """The same as a table, which a notebook shows."""
    from pellucid.insight.html import network_html

    return network_html(net)


def summary_rows(net: Network) -> list[tuple[str, ...]]:
    """The cells of the table, its head first."""
    graph = net.graph
    specs = graph.parameter_specs()
    rows: list[tuple[str, ...]] = [("node", "layer", "output", "parameters", "starts as", "fed by")]
    for index, node in enumerate(graph.nodes):
        mine = {k: v for k, v in specs.items() if k.rpartition("/")[0] == node.owner}
        is_owner = node.layer is not None and graph.owners()[node.owner] is node
        count = sum(int(np.prod(s.shape)) for s in mine.values())
        numbers = f"{count:,}" if count and is_owner else (f"= {node.owner}" if count else "")
        if count and node.layer is not None and not node.layer.trainable:
            numbers += " (not trainable)"
        starts = ", ".join(f"{k.rpartition('/')[2]} {s.initializer!r}" for k, s in mine.items())
        rows.append(
            (
                node.name,
                repr(node.layer) if node.layer is not None else "Input",
                " ".join(str(spec) for spec in node.outputs),
                numbers,
                starts if is_owner else "",
                _fed_by(net, index, node),
            )
        )
    return rows


def totals(net: Network) -> list[str]:
    """What stands under the table: how many parameters there are, and whether all are finite."""
    trainable = sum(stop - start for start, stop, _ in net.stretches())
    total, dtype = net.parameters.vector.size, net.dtype.name
    size = net.parameters.vector.nbytes
    memory = f"{size / 1e6:.2f} MB" if size >= 1e6 else f"{size / 1e3:.1f} kB"
    outputs = ", ".join(net.graph.outputs)
    counts = f"{total:,} parameters of {dtype} ({memory}), {trainable:,} trainable"
    lines = [f"{counts}; outputs: {outputs}"]
    bad = [name for name, array in net.parameters.items() if not np.isfinite(array).all()]
    if bad:
        lines.append(f"NaN or infinity in: {', '.join(bad)}")
    return lines


def _fed_by(net: Network, index: int, node: Node) -> str:
    """The names of what feeds a node, left empty where it is simply the one above."""
    nodes = net.graph.nodes
    if [s.node for s in node.inputs] in ([index - 1], []):
        return ""
    return ", ".join(nodes[s.node].name for s in node.inputs)
