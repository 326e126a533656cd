"""From what stands on the command line to datasets, images and a network that suits them."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from pellucid.data.dataset import Dataset
from pellucid.data.embedded import digits, digits_8x8
from pellucid.data.files import open_regular
from pellucid.data.idx import read_idx_dataset
from pellucid.data.images import read_image
from pellucid.errors import (
    DataError,
    FileFormatError,
    OptionError,
    PellucidError,
    ShapeError,
    did_you_mean,
)
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
Part = Literal["train", "test"]

EMBEDDED = ("digits", "digits_8x8")
IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".ppm", ".tif", ".tiff", ".webp")
_LARGEST = 2**31  # bytes that a compressed array may unfold to, unless the file is large itself
_DEFLATE_RATIO = 1032  # no byte of a deflate stream stands for more than this many


# ---- data ---------------------------------------------------------------------------------------


def read_data(text: str, part: Part = "test", *, targets: bool = True) -> Dataset:
    """The data that a DATA argument names.

    Of the embedded digits `part` says which: those to train on, or those held out. Files are read
    whole. Without `targets` a file may lack them.
    """
    if text == "digits":
        return digits()[0 if part == "train" else 1]
    if text == "digits_8x8":
        return digits_8x8().split(0.2)[0 if part == "train" else 1]
    if text.lower().endswith(".npz"):
        return _read_npz(text, targets=targets)
    if not Path(text).exists() and text.count(",") == 1:
        images, labels = text.split(",")
        return read_idx_dataset(images, labels)
    if text.lower().endswith(IMAGES):
        raise OptionError(f"{text} is an image; pellucid predict MODEL {text} looks at it")
    if Path(text).exists():
        raise OptionError(
            f"{text} is of no kind that is read here: give an .npz file "
            "(np.savez(file, x=x, y=y)) or a pair of IDX files, images.idx.gz,labels.idx.gz"
        )
    if Path(text).suffix:
        raise FileNotFoundError(2, "no such file", text)
    raise OptionError(
        f"no data {text!r}. {did_you_mean(text, EMBEDDED)} Or give an .npz file with arrays x and "
        "y, or a pair of IDX files, images.idx.gz,labels.idx.gz"
    )


def _read_npz(text: str, *, targets: bool) -> Dataset:
    """The arrays x and y (and sample_weight, if there) of an .npz file."""
    file, size = open_regular(text)
    with file:
        try:
            with zipfile.ZipFile(file) as archive:
                members = {m.filename: m for m in archive.infolist()}
                found = {
                    name: _read_array(archive, members[f"{name}.npy"], f"{text}: {name}", size)
                    for name in ("x", "y", "sample_weight")
                    if f"{name}.npy" in members
                }
        except (PellucidError, MemoryError):
            raise
        except Exception as error:  # a damaged archive makes zipfile raise nearly anything
            raise FileFormatError(f"{text} is no .npz file that can be read: {error}") from None
    missing = [name for name in ("x", "y") if name not in found and (targets or name == "x")]
    if missing:
        held = ", ".join(name.removesuffix(".npy") for name in members) or "nothing"
        raise DataError(
            f"{text} needs arrays called x and y, and holds {held}: np.savez(file, x=x, y=y)"
        )
    return Dataset(found["x"], found.get("y"), found.get("sample_weight"))


def _read_array(archive: zipfile.ZipFile, member: zipfile.ZipInfo, what: str, size: int) -> Array:
    """An array in an archive; what it declares is checked before memory is taken for it."""
    packed, unpacked = member.compress_size, member.file_size
    if packed > size or unpacked > packed * _DEFLATE_RATIO:
        raise FileFormatError(f"{what} declares {unpacked:,} bytes, which the file cannot hold")
    if unpacked > max(_LARGEST, 20 * size):
        raise FileFormatError(
            f"{what} would unfold to {unpacked:,} bytes, over {_LARGEST:,}; if that is right, "
            "store it uncompressed: np.savez instead of np.savez_compressed"
        )
    with archive.open(member) as stream:
        shape, dtype, header = _header(stream)  # type: ignore[arg-type]
    if dtype.hasobject:
        raise FileFormatError(
            f"{what} holds Python objects, which are never read (they can run code when they are): "
            "make it an array of numbers"
        )
    if math.prod(shape) * dtype.itemsize != unpacked - header or min(shape, default=0) < 0:
        raise FileFormatError(f"{what} declares the shape {shape}, which is not what it holds")
    with archive.open(member) as stream:
        array: Array = np.lib.format.read_array(stream, allow_pickle=False)
    return array


def _header(stream: BinaryIO) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Shape, dtype and length of the header of an .npy file."""
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    elif version == (2, 0):
        shape, _, dtype = np.lib.format.read_array_header_2_0(stream)
    else:
        raise ValueError(f"its format is {version}, of a kind that holds no plain numbers")
    return shape, dtype, stream.tell()


def targets_for(net: Network, data: Dataset) -> Dataset:
    """The data with one-column targets where the network has one output: (n,) → (n, 1)."""
    (spec,) = net.graph.output_specs.values()
    if spec.shape == (1,) and getattr(data.y, "ndim", 0) == 1:
        return Dataset(data.x, data.y[:, None], data.sample_weight, data.names)
    return data


# ---- a network for the data ---------------------------------------------------------------------


def loss_for(y: Array) -> str:
    """The loss that suits the targets: classes for integers, squares for the others."""
    as_array(y, "y")  # words are refused before anything is said of a network for them
    if y.ndim == 1 and y.dtype.kind in "iub":
        return "cross_entropy"
    if y.ndim == 2 and y.shape[1] > 1 and np.isin(y, (0, 1)).all():
        return "cross_entropy" if (y.sum(axis=1) == 1).all() else "binary_cross_entropy"
    return "mse"


def outputs_for(y: Array, loss: Loss) -> int:
    """How many outputs the targets ask for: one a class, or one a column."""
    if y.ndim > 1 or not isinstance(loss, ClassLoss):
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


def layers_for(data: Dataset, text: str | None, loss: Loss) -> list[Layer]:
    """The layers of `text`, or of a plain network, with what has to stand before them.

    Added are, where the line does not say it already: scaling in front (`Rescale` for bytes,
    `Standardize` for other numbers), a channel axis for images without one before the first layer
    that wants images, and `Flatten` before the first dense layer where rows have several axes.
    """
    layers = parse_layers(text or f"dense 128, relu, dense {outputs_for(data.y, loss)}")
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
        layers.insert(0, Rescale(1 / float(data.x.max())) if bytes_ else Standardize())
    return layers


def _first(layers: list[Layer], *kinds: type[Layer]) -> int:
    """The place of the first layer of one of these kinds; past the end where there is none."""
    return next((i for i, layer in enumerate(layers) if isinstance(layer, kinds)), len(layers))


# ---- images -------------------------------------------------------------------------------------


def read_image_for(net: Network, path: str, *, invert: bool = False) -> Array:
    """An image file as one row for the network: its size, its channels, its range of values.

    A network that begins with ``Rescale(1/m)`` learnt from values 0 … m, and gets them. `invert`
    turns dark ink on light paper into light on dark.
    """
    (spec,) = net.graph.inputs.values()
    shape = spec.shape
    if len(shape) == 1 and shape[0] is not None and math.isqrt(shape[0]) ** 2 == shape[0]:
        size, channels = (math.isqrt(shape[0]),) * 2, 1
    elif len(shape) == 2 and None not in shape:
        size, channels = shape, 1  # type: ignore[assignment]
    elif len(shape) == 3 and None not in shape and shape[2] in (1, 3, 4):
        size, channels = shape[:2], shape[2]  # type: ignore[assignment]
    else:
        raise ShapeError(f"the network takes rows of shape {spec}, which are no images")
    image = read_image(path, size=size, channels=channels)
    image = 255 - image if invert else image
    first = net.graph.nodes[1].layer if len(net.graph.nodes) > 1 else None
    row = image.reshape(shape)  # type: ignore[arg-type]
    if isinstance(first, Rescale) and first.scale > 0 and first.offset == 0:
        return row / (255 * first.scale)
    return row
