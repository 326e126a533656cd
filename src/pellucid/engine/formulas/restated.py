"""Layers whose Python moves axes about, written once more in the order of memory.

They are recorded in the place of the layer's own code, and checked beside it like everything else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid.layers import GroupNorm
from pellucid.layers.base import Array, Cache, Views


@dataclass(frozen=True, repr=False)
class GroupsInPlace(GroupNorm):
    """Group normalisation on (B, places, groups, channels of a group); see `layer_norm.py`."""

    def forward(self, x: Array, p: Views, cache: Cache) -> Array:
        groups = x.shape[-1] if self.groups == -1 else self.groups
        pieces = x.reshape(len(x), -1, groups, x.shape[-1] // groups)
        cache.n = n = pieces.shape[1] * pieces.shape[3]
        off = pieces - pieces.sum(axis=(1, 3), keepdims=True) / n
        cache.r = 1 / np.sqrt((off * off).sum(axis=(1, 3), keepdims=True) / n + self.epsilon)
        y = cache.x_hat = off * cache.r
        if self.scale:
            y = y * p.gamma.reshape(groups, -1)
        if self.center:
            y = y + p.beta.reshape(groups, -1)
        made: Array = y.reshape(x.shape)
        return made

    def backward(self, dy: Array, p: Views, dp: Views, cache: Cache) -> Array | None:
        x_hat, n, shape = cache.x_hat, cache.n, dy.shape
        g: Any = dy.reshape(x_hat.shape)
        if self.center:
            dp.beta += g.sum(axis=(0, 1)).reshape(shape[-1])
        if self.scale:
            dp.gamma += (g * x_hat).sum(axis=(0, 1)).reshape(shape[-1])
            g = g * p.gamma.reshape(x_hat.shape[2], -1)
        if not cache.needs_dx:
            return None
        dx: Array = g - x_hat * ((g * x_hat).sum(axis=(1, 3), keepdims=True) / n)
        dx = (dx - g.sum(axis=(1, 3), keepdims=True) / n) * cache.r
        return dx.reshape(shape)


def restated(layer: Any, row: tuple[int, ...]) -> tuple[Any, int]:
    """The layer to record in the place of this one, and its groups (0: none)."""
    if type(layer) is not GroupNorm:
        return layer, 0
    options: Any = {"groups": layer.groups, "epsilon": layer.epsilon}
    made = GroupsInPlace(**options, center=layer.center, scale=layer.scale)
    return made, row[-1] if layer.groups == -1 else layer.groups
