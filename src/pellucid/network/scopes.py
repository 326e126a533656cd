"""Scopes: how the nodes of a block get its name before theirs, ``residual_1/conv2d_1``.

A block is a function that wires layers. While it runs inside `scope`, every symbol that is made
remembers the scope it was made in; numbers come later, when the graph is listed, so that they
count the blocks of a network in the order of its nodes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from pellucid.errors import GraphError


class Scope:
    """A block's place in the names of its nodes; each use of a block has one of its own."""

    def __init__(self, base: str, name: str | None, parent: Scope | None) -> None:
        self.base, self.name, self.parent = base, name, parent


_current: ContextVar[Scope | None] = ContextVar("scope", default=None)


def current_scope() -> Scope | None:
    """The scope in which nodes are being made; None outside of blocks."""
    return _current.get()


@contextmanager
def scope(base: str, name: str | None = None) -> Iterator[None]:
    """Nodes made inside are named after a block: ``base_1/dense_1``, or ``name/dense_1``.

    A block of your own is a function of symbols:

    >>> from pellucid import Dense, Input, Network, scope
    >>> def tower(x):
    ...     with scope("tower"):
    ...         return Dense(1)(Dense(8)(x))
    >>> x = Input(4)
    >>> [node.name for node in Network(inputs=x, outputs=tower(tower(x))).graph.nodes]
    ['input', 'tower_1/dense_1', 'tower_1/dense_2', 'tower_2/dense_1', 'tower_2/dense_2']
    """
    for word in (base, name):
        if word is not None and (not isinstance(word, str) or not word or "/" in word):
            raise GraphError(f"a block's name is a word without '/', not {word!r}")
    before = _current.set(Scope(base, name, _current.get()))
    try:
        yield
    finally:
        _current.reset(before)


def prefixes(scopes: Iterable[Scope | None]) -> dict[Scope | None, str]:
    """What stands before the names of each scope's nodes; scopes come in the order of the nodes."""
    found: dict[Scope | None, str] = {None: ""}
    counts: dict[str, int] = {}
    for scope in scopes:
        path: list[Scope] = []  # from the inside out
        while scope is not None and scope not in found:
            path.append(scope)
            scope = scope.parent
        for inner in reversed(path):
            name = f"{found[inner.parent]}{inner.name or inner.base}"
            counts[name] = counts.get(name, 0) + 1
            if inner.name is None:
                name = f"{name}_{counts[name]}"
            elif counts[name] > 1:
                raise GraphError(f"{name!r} names two blocks: give each a name of its own, or none")
            found[inner] = f"{name}/"
    return found
