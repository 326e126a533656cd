"""Networks in a form that every peer can read: a list of layers, and their weights in order.

A layer is a tuple: ``("dense", units)``, ``("conv", maps, kernel, padding)``, ``("pool", size)``,
``("relu",)`` or ``("flatten",)``. Images are (H, W, C). Weights come layer by layer, W and then b:
(I, O) for dense layers, (kh, kw, C, O) for convolutions. Where a peer wants channels first,
`channels_first` turns them over.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
LayerTuple = tuple[Any, ...]


def shapes(layers: list[LayerTuple], row: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The shape of one row in front of each layer, and after the last one."""
    found = [row]
    for kind, *options in layers:
        row = found[-1]
        if kind == "dense":
            row = (options[0],)
        elif kind == "conv":
            maps, kernel, padding = options
            row = (row[0] + 2 * padding - kernel + 1, row[1] + 2 * padding - kernel + 1, maps)
        elif kind == "pool":
            row = (row[0] // options[0], row[1] // options[0], row[2])
        elif kind == "flatten":
            row = (prod(row),)
        found.append(row)
    return found


def products(layers: list[LayerTuple], row: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """Each layer's matrix product for one row: (rows of it, I, O); a convolution has H'·W' rows."""
    found = []
    for (kind, *options), before, after in zip(
        layers, (s := shapes(layers, row))[:-1], s[1:], strict=True
    ):
        if kind == "dense":
            found.append((1, before[0], after[0]))
        elif kind == "conv":
            found.append((after[0] * after[1], options[1] ** 2 * before[2], after[2]))
    return found


def step_flops(layers: list[LayerTuple], row: tuple[int, ...], batch: int) -> int:
    """Multiplications and additions in the products of one training step.

    Forward and weight gradient of every layer, and the gradient of every layer's input but the
    first one's, which nobody asks for.
    """
    each = [2 * n * i * o for n, i, o in products(layers, row)]
    return batch * (3 * sum(each) - each[0])


def channels_first(
    layers: list[LayerTuple], row: tuple[int, ...], weights: list[Array]
) -> list[Array]:
    """The weights of the same network on (C, H, W): kernels are (O, C, kh, kw)."""
    turned, left, image = [], iter(weights), None
    for (kind, *_), before in zip(layers, shapes(layers, row), strict=False):
        if kind == "flatten":
            image = before
        if kind not in ("dense", "conv"):
            continue
        W, b = next(left), next(left)
        if kind == "conv":
            W = W.transpose(3, 2, 0, 1)
        elif image is not None:  # the rows of W are the pixels of an image, in this order
            W = W.reshape(*image, -1).transpose(2, 0, 1, 3).reshape(W.shape)
            image = None
        turned += [np.ascontiguousarray(W), b]
    return turned


def channels_last(
    layers: list[LayerTuple], row: tuple[int, ...], weights: list[Array]
) -> list[Array]:
    """What `channels_first` turned over, back again."""
    turned, left, image = [], iter(weights), None
    for (kind, *_), before in zip(layers, shapes(layers, row), strict=False):
        if kind == "flatten":
            image = before
        if kind not in ("dense", "conv"):
            continue
        W, b = next(left), next(left)
        if kind == "conv":
            W = W.transpose(2, 3, 1, 0)
        elif image is not None:
            height, width, maps = image
            W = W.reshape(maps, height, width, -1).transpose(1, 2, 0, 3).reshape(W.shape)
            image = None
        turned += [np.ascontiguousarray(W), b]
    return turned
