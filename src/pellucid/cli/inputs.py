"""A network that suits the data, and images that suit a network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.cli.datasets import image_form, row_shape
from pellucid.data.dataset import Dataset
from pellucid.data.images import SUFFIXES, read_image
from pellucid.errors import DataError, ShapeError
from pellucid.layers.base import Layer
from pellucid.layers.dense import Dense
from pellucid.layers.embedding import Embedding
from pellucid.layers.normalization import BatchNorm
from pellucid.layers.shape import Flatten, Rescale, Reshape, Standardize
from pellucid.layers.windows import Spatial
from pellucid.losses import ClassLoss, Loss
from pellucid.network.arrays import as_array
from pellucid.network.network import Network
from pellucid.notation import parse_layers

Array = NDArray[Any]
IMAGES = SUFFIXES


def targets_for(net: Network, data: Dataset) -> Dataset:
    """The data with one-column targets where the network has one output: (n,) → (n, 1)."""
    shapes = [spec.shape for spec in net.graph.output_specs.values()]
    if shapes == [(1,)] and getattr(data.y, "ndim", 0) == 1:
        return Dataset(data.x, data.y[:, None], data.sample_weight, data.names)
    return data


# ---- a network for the data ---------------------------------------------------------------------


def loss_for(y: Array) -> str:
    """The loss that suits the targets: classes for integers, squares for the others."""
    as_array(y, "y")  # words are refused before anything is said of a network for them
    if y.ndim == 1 and y.dtype.kind in "iub":
        return "cross_entropy"
    if _is_mask(y):
        return "cross_entropy"
    if y.ndim == 2 and y.shape[1] > 1 and np.isin(y, (0, 1)).all():
        return "cross_entropy" if (y.sum(axis=1) == 1).all() else "binary_cross_entropy"
    return "mse"


def _is_mask(y: Array) -> bool:
    """Whether targets are a class for each pixel, (N, H, W)."""
    return y.ndim == 3 and y.dtype.kind in "iu"


def outputs_for(y: Array, loss: Loss) -> int:
    """How many outputs the targets ask for: one a class, or one a column."""
    if (y.ndim > 1 and not _is_mask(y)) or not isinstance(loss, ClassLoss):
        return math.prod(y.shape[1:])
    if y.dtype.kind not in "iub" or y.size == 0:
        return 2  # whatever is wrong with y, the loss says it
    classes = int(y.max()) + 1
    if classes > max(1000, 2 * len(np.unique(y))):
        raise DataError(
            f"y has whole numbers up to {y.max()}, which would be {classes:,} classes: --loss mse "
            "where they are quantities; where they are names, number them from 0 "
            "(pellucid.data.encode_labels)"
        )
    return max(classes, 2)


def layers_for(data: Dataset, text: str | Sequence[Layer] | None, loss: Loss) -> list[Layer]:
    """The layers given, of a line of text or of a plain network, with what must stand before them.

    Added are, where the line does not say it already: scaling in front (`Rescale` for bytes,
    `Standardize` for other numbers), a channel axis for images without one before the first layer
    that wants images, and `Flatten` before the first dense layer where rows have several axes.
    """
    given = text or _plain(data, loss)
    layers = parse_layers(given) if isinstance(given, str) else list(given)
    axes = data.x.ndim - 1
    dense = _first(layers, Dense)
    if axes > 1 and dense < len(layers) and _first(layers, Flatten, Reshape) > dense:
        layers.insert(dense, Flatten())
    images = [i for i, layer in enumerate(layers) if isinstance(layer, Spatial) and layer.axes == 2]
    image = images[0] if images else len(layers)
    if axes == 2 and image < len(layers) and _first(layers, Flatten, Reshape) > image:
        layers.insert(image, Reshape((*data.x.shape[1:], 1)))
    if not isinstance(layers[0], Rescale | Standardize | BatchNorm | Embedding):
        bytes_ = data.x.dtype == np.uint8 and data.x.size and data.x.max() > 0
        most = 255 if bytes_ and data.x.max() > 127 else data.x.max() if bytes_ else 0
        layers.insert(0, Rescale(1 / float(most)) if bytes_ else Standardize())
    return layers


def _plain(data: Dataset, loss: Loss) -> str:
    """A plain network for the data: dense layers, or convolutions where each pixel has a class."""
    outputs = outputs_for(data.y, loss)
    if isinstance(loss, ClassLoss) and _is_mask(data.y):
        wide = "conv2d 16 5 padding=same, batch_norm, relu"
        return f"{wide}, {wide}, conv2d {outputs} 1"
    return f"dense 128, relu, dense {outputs}"


def _first(layers: list[Layer], *kinds: type[Layer]) -> int:
    """The place of the first layer of one of these kinds; past the end where there is none."""
    return next((i for i, layer in enumerate(layers) if isinstance(layer, kinds)), len(layers))


# ---- images -------------------------------------------------------------------------------------


def read_image_for(net: Network, path: str, *, invert: bool = False) -> Array:
    """An image file as one row for the network: its size, its channels, its range of values.

    A network that begins with ``Rescale(1/m)`` learnt from values 0 … m, and gets them. `invert`
    turns dark ink on light paper into light on dark.
    """
    form, shape = image_form(net), row_shape(net)
    if form is None or shape is None:
        told = ", ".join(f"{name} {spec}" for name, spec in net.graph.inputs.items())
        raise ShapeError(f"the network takes {told}, which are no images")
    size, channels = form
    image = read_image(path, size=size, channels=channels)
    image = 255 - image if invert else image
    first = net.graph.nodes[1].layer if len(net.graph.nodes) > 1 else None
    row = image.reshape(shape)  # type: ignore[arg-type]
    if isinstance(first, Rescale) and first.scale > 0 and first.offset == 0:
        return row / (255 * first.scale)
    return row
