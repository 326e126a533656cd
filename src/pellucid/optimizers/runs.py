"""Runs: which stretches of the flat vectors may be changed, and how they are cut into blocks."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from math import prod
from typing import NamedTuple

BLOCK = 16_384  # entries; 64 KiB of float32 for each vector


class Run(NamedTuple):
    """A trainable stretch of the flat vectors, and whether weight decay applies to it."""

    start: int
    stop: int
    decay: bool


class Incoming(NamedTuple):
    """A stretch that is weights (before, units, after): those with a unit's number lead into it."""

    start: int
    stop: int
    shape: tuple[int, int, int]

    @classmethod
    def of(cls, start: int, shape: tuple[int, ...], axis: int) -> Incoming:
        """The stretch of an array of this shape, whose units lie along `axis`."""
        axis %= len(shape)
        folded = (prod(shape[:axis]), shape[axis], prod(shape[axis + 1 :]))
        return cls(start, start + prod(shape), folded)


class Runs(tuple[Run, ...]):
    """The runs of a network, and which of their weights lead into which unit."""

    incoming: tuple[Incoming, ...]

    def __new__(cls, runs: Iterable[Run], incoming: Iterable[Incoming]) -> Runs:
        made = super().__new__(cls, runs)
        made.incoming = tuple(incoming)
        return made


def joined(runs: Iterable[Run], decaying: bool) -> list[Run]:
    """The runs with neighbours that decay alike made one; without decay the tags do not matter."""
    found: list[Run] = []
    for start, stop, decay in runs:
        decay = decay and decaying
        if found and found[-1].stop == start and found[-1].decay == decay:
            found[-1] = found[-1]._replace(stop=stop)
        else:
            found.append(Run(start, stop, decay))
    return found


@lru_cache(maxsize=256)
def blocks(runs: tuple[Run, ...], decaying: bool) -> tuple[tuple[slice, bool], ...]:
    """The runs, joined and cut into blocks."""
    return tuple(
        (slice(start, min(start + BLOCK, stop)), decay)
        for first, stop, decay in joined(runs, decaying)
        for start in range(first, stop, BLOCK)
    )
