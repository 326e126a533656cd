"""The graph of a network as a small drawing in SVG: nodes in ranks, arrows from top to bottom."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from pellucid.network.graph import Graph

_HIGH, _GAP, _STEP = 34.0, 14.0, 54.0  # a box, the space beside it, from rank to rank, in pixels
_MOST = 60  # nodes; more make no picture


def is_chain(graph: Graph) -> bool:
    """Whether each node is fed by the one above it alone, as in a list of layers."""
    return all([s.node for s in n.inputs] == [i - 1] for i, n in enumerate(graph.nodes) if i)


def structure_svg(graph: Graph) -> str:
    """The drawing; empty where there are too many nodes to draw."""
    if len(graph.nodes) > _MOST:
        return ""
    ranks, edges = _ranked(graph)
    _untangle(ranks, edges)
    titles = {i: node.name for i, node in enumerate(graph.nodes)}
    shapes = {i: " ".join(map(str, node.outputs)) for i, node in enumerate(graph.nodes)}
    wide = {i: max(7.3 * len(titles[i]), 6.2 * len(shapes[i])) + 16 for i in titles}
    widths = [sum(wide.get(k, 0) + _GAP for k in rank) for rank in ranks]
    whole, height = max(widths), len(ranks) * _STEP - (_STEP - _HIGH)
    place: dict[int, tuple[float, float]] = {}  # the middle of each box's upper edge
    for r, rank in enumerate(ranks):
        x = (whole - widths[r] + _GAP) / 2
        for k in rank:
            place[k] = (x + wide.get(k, 0) / 2, r * _STEP)
            x += wide.get(k, 0) + _GAP
    outputs = {source.node for source in graph.outputs.values()}
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{whole + 4:g}" height="{height + 4:g}" '
        f'viewBox="-2 -2 {whole + 4:g} {height + 4:g}" fill="currentColor" font-size="12" '
        'font-family="sans-serif" text-anchor="middle" role="img">'
    )
    parts = [opening]
    parts += [_edge(place[a], place[b], a in titles, b in titles) for a, b in edges]
    for i, node in enumerate(graph.nodes):
        x, y = place[i]
        end = i in outputs or node.layer is None
        kind = repr(node.layer) if node.layer is not None else "Input"
        parts.append(
            f'<g><title>{escape(kind)}</title><rect x="{x - wide[i] / 2:g}" y="{y:g}" rx="5" '
            f'width="{wide[i]:g}" height="{_HIGH:g}" fill="#808080" fill-opacity="0.14" '
            f'stroke="currentColor" stroke-opacity="{0.9 if end else 0.4}"/>'
            f'<text x="{x:g}" y="{y + 15:g}">{escape(titles[i])}</text>'
            f'<text x="{x:g}" y="{y + 28:g}" font-size="10" opacity="0.7">{escape(shapes[i])}'
            "</text></g>"
        )
    return "\n".join([*parts, "</svg>"])


def _ranked(graph: Graph) -> tuple[list[list[int]], list[tuple[int, int]]]:
    """Nodes by rank, one below all that feeds them, and edges between neighbouring ranks alone.

    An edge that passes ranks goes through a place in each, numbered after the nodes.
    """
    rank: list[int] = []
    for node in graph.nodes:
        rank.append(max((rank[s.node] + 1 for s in node.inputs), default=0))
    ranks: list[list[int]] = [[] for _ in range(max(rank) + 1)]
    for i, r in enumerate(rank):
        ranks[r].append(i)
    edges: list[tuple[int, int]] = []
    places = len(graph.nodes)
    for i, node in enumerate(graph.nodes):
        for source in dict.fromkeys(s.node for s in node.inputs):
            last = source
            for r in range(rank[source] + 1, rank[i]):
                ranks[r].append(places)
                edges.append((last, places))
                last, places = places, places + 1
            edges.append((last, i))
    return ranks, edges


def _untangle(ranks: list[list[int]], edges: Sequence[tuple[int, int]]) -> None:
    """Sorts each rank by the mean place of its neighbours, down and up, twice.

    Sugiyama, Tagawa and Toda, "Methods for visual understanding of hierarchical system
    structures", 1981.
    """
    above: dict[int, list[int]] = {}
    below: dict[int, list[int]] = {}
    for a, b in edges:
        above.setdefault(b, []).append(a)
        below.setdefault(a, []).append(b)
    for order, near in [(ranks[1:], above), (ranks[-2::-1], below)] * 2:
        where = {k: i / len(rank) for rank in ranks for i, k in enumerate(rank)}
        for rank in order:
            means = {k: [where[m] for m in near.get(k, [])] or [where[k]] for k in rank}
            rank.sort(key=lambda k, means=means: sum(means[k]) / len(means[k]))  # type: ignore[misc]
            where.update({k: i / len(rank) for i, k in enumerate(rank)})


def _edge(a: tuple[float, float], b: tuple[float, float], leaves: bool, arrives: bool) -> str:
    """A curve from below one box to the top of another, with a head where it arrives."""
    x, y = a[0], a[1] + (_HIGH if leaves else _HIGH / 2)
    u, v = b[0], b[1] + (-1 if arrives else _HIGH / 2)
    middle = (y + v) / 2
    head = f"M{u - 3.5:g} {v - 6:g}L{u:g} {v:g}L{u + 3.5:g} {v - 6:g}" if arrives else ""
    return (
        f'<path d="M{x:g} {y:g}C{x:g} {middle:g} {u:g} {middle:g} {u:g} {v:g}{head}" fill="none" '
        'stroke="currentColor" stroke-opacity="0.6"/>'
    )
