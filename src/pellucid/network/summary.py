"""The table that `net.summary()` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pellucid.network.graph import Node
    from pellucid.network.network import Network


def summary(net: Network) -> str:
    """One line a node: name, layer, shape that leaves it, parameters, and what feeds it."""
    graph = net.graph
    specs = graph.parameter_specs()
    rows = [("node", "layer", "output", "parameters", "starts as", "fed by")]
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
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    lines = [
        "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=False)) + "  " + row[5]
        for row in rows
    ]
    lines.insert(1, "─" * max(len(line) for line in lines))
    trainable = sum(stop - start for start, stop, _ in net.stretches())
    total, dtype = net.parameters.vector.size, net.dtype.name
    size = net.parameters.vector.nbytes
    memory = f"{size / 1e6:.2f} MB" if size >= 1e6 else f"{size / 1e3:.1f} kB"
    lines.append(lines[1])
    lines.append(
        f"{total:,} parameters of {dtype} ({memory}), {trainable:,} trainable; "
        f"outputs: {', '.join(graph.outputs)}"
    )
    bad = [name for name, array in net.parameters.items() if not np.isfinite(array).all()]
    if bad:
        lines.append(f"NaN or infinity in: {', '.join(bad)}")
    return "\n".join(line.rstrip() for line in lines)


def _fed_by(net: Network, index: int, node: Node) -> str:
    """The names of what feeds a node, left empty where it is simply the one above."""
    nodes = net.graph.nodes
    if [s.node for s in node.inputs] in ([index - 1], []):
        return ""
    return ", ".join(nodes[s.node].name for s in node.inputs)
