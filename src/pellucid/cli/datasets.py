"""From a DATA argument to a dataset: by name, from files, from folders."""

from __future__ import annotations

import math
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from pellucid import data
from pellucid.data.dataset import Dataset
from pellucid.data.files import open_regular
from pellucid.data.idx import read_idx_dataset
from pellucid.data.images import SUFFIXES, image_folder, is_image
from pellucid.data.named import idx_files
from pellucid.data.tables import Column, column_names, csv
from pellucid.errors import (
    DataError,
    FileFormatError,
    OptionError,
    PellucidError,
    UnknownNameError,
    did_you_mean,
)
from pellucid.network.network import Network

Array = NDArray[Any]
Part = Literal["train", "test"]

SYNTHETIC: dict[str, Callable[..., Dataset]] = {
    "moons": data.moons,
    "circles": data.circles,
    "spirals": data.spirals,
    "ring": data.ring,
    "quadrants": data.quadrants,
    "plane": data.plane,
    "shapes": data.shapes,
}
PAIRS = ("digits", "mnist", "fashion_mnist", "emnist")
NAMES = ("digits", "digits_8x8", *PAIRS[1:], *SYNTHETIC)
TABLES = (".csv", ".tsv")
_KINDS = (
    "an .npz file with arrays x and y (np.savez(file, x=x, y=y)), a .csv file, a folder with a "
    "sub-folder of images for each class, or a pair of IDX files, images.idx.gz,labels.idx.gz"
)
_LARGEST = 2**31  # bytes that a compressed array may unfold to, unless the file is large itself
_DEFLATE_RATIO = 1032  # no byte of a deflate stream stands for more than this many


@dataclass(frozen=True)
class How:
    """How data is read where its files leave a choice."""

    target: Column | list[Column] | None = None  # of a table; None: the last
    weight: Column | None = None  # of a table
    size: tuple[int, int] | None = None  # of images from a folder
    grey: bool = False
    download: bool = False
    quiet: bool = False
    columns: list[Column] | None = None  # of a table, those of x; None: all but target and weight
    missing: Literal["error", "drop"] = "error"  # of a table


def read_data(
    text: str, part: Part = "test", how: How | None = None, *, targets: bool = True,
    net: Network | None = None,
) -> Dataset:  # fmt: skip
    """The data that a DATA argument names.

    Of sets that have two parts `part` says which: that to train on, or that held out. Files are
    read whole. Without `targets` a file may lack them. A network that it is for tells the size of
    images, what the classes are called, and whether a table has a target.
    """
    how = how or How()
    named = _by_name(text, part, how)
    path = Path(text)
    if named is not None:
        if path.exists() and not how.quiet:
            print(f"note: {text} is the set of that name; what lies here is ./{text}",
                  file=sys.stderr)  # fmt: skip
        return named
    if text.lower().endswith(".npz"):
        return _read_npz(text, targets=targets)
    if text.lower().endswith(TABLES):
        return _read_table(text, how, net, targets=targets)
    if path.is_dir():
        return _read_folder(path, part, how, net)
    if not path.exists() and text.count(",") == 1:
        images, labels = text.split(",")
        return read_idx_dataset(images, labels)
    if text.lower().endswith(SUFFIXES):
        raise OptionError(f"{text} is an image; pellucid predict MODEL {text} looks at it")
    if path.exists():
        raise OptionError(f"{text} is of no kind that is read here: give {_KINDS}")
    if path.suffix:
        raise FileNotFoundError(2, "no such file", text)
    raise OptionError(f"no data {text!r}. {did_you_mean(text, NAMES)} Or give {_KINDS}")


# ---- by name ------------------------------------------------------------------------------------


def _by_name(text: str, part: Part, how: How) -> Dataset | None:
    """One of the sets that have names, ``NAME`` or ``NAME:MORE``, or None."""
    name, colon, more = text.partition(":")
    name = name.replace("-", "_")
    if name not in NAMES or (colon and not more):
        return None
    if name in SYNTHETIC:
        if more and not (more.isdecimal() and len(more) < 10):
            raise OptionError(f"{text}: a number of rows is written as {name}:1000")
        whole = SYNTHETIC[name](int(more)) if more else SYNTHETIC[name]()
        return whole.split(0.2)[part == "test"]
    if name in ("digits", "digits_8x8") and more:
        raise OptionError(f"{text}: {name} has nothing to choose from, write {name}")
    if name == "digits_8x8":
        return data.digits_8x8().split(0.2)[part == "test"]
    if name == "digits":
        return data.digits()[part == "test"]
    fetching: Any = {"download": how.download, "progress": not how.quiet}
    if name == "emnist":
        split: Any = more or "balanced"
        return data.emnist(split, **fetching)[part == "test"]
    load = data.mnist if name == "mnist" else data.fashion_mnist
    return load(more or None, **fetching)[part == "test"]


# ---- folders and tables -------------------------------------------------------------------------


def row_shape(net: Network) -> tuple[int | None, ...] | None:
    """The shape of a row of the one input that a network has; None where it has several."""
    specs = list(net.graph.inputs.values())
    return specs[0].shape if len(specs) == 1 else None


def image_form(net: Network) -> tuple[tuple[int, int], int] | None:
    """(height, width) and channels of the images that a network takes; None where it takes none."""
    shape = row_shape(net) or ()
    if len(shape) == 1 and shape[0] is not None and math.isqrt(shape[0]) ** 2 == shape[0]:
        return (math.isqrt(shape[0]),) * 2, 1
    if len(shape) == 2 and None not in shape:
        return shape, 1  # type: ignore[return-value]
    if len(shape) == 3 and None not in shape and shape[2] in (1, 3, 4):
        return shape[:2], shape[2]  # type: ignore[return-value]
    return None


def _read_folder(path: Path, part: Part, how: How, net: Network | None) -> Dataset:
    """IDX files named as MNIST's, or images in sub-folders; train/ and test/ where both are."""
    pair = idx_files(path, part)
    if pair is not None:
        return read_idx_dataset(*pair)
    if (path / "train").is_dir() and (path / "test").is_dir():
        path = path / part
    size, channels = how.size, 1 if how.grey else 3
    names = None
    if net is not None:
        form = image_form(net)
        if form is not None:
            size, channels = form
        names = net.classes
    found = image_folder(path, size=size, channels=channels, names=names)
    if net is not None:
        shape = row_shape(net) or ()
        if shape and None not in shape and math.prod(shape) == math.prod(found.x.shape[1:]):  # type: ignore[arg-type]
            return replace(found, x=found.x.reshape(-1, *shape))
    return found


def _read_table(text: str, how: How, net: Network | None, *, targets: bool) -> Dataset:
    """A CSV file, its columns by name where the network knows them.

    Where it does not and no target is needed: all columns, if they are what the network takes.
    """
    target = -1 if how.target is None else how.target
    names = None if net is None else net.classes
    columns = how.columns
    if net is not None and columns is None:
        columns = _columns_by_name(text, how, net, targets=targets)
    read = partial(csv, text, columns=columns, missing=how.missing)
    try:
        if targets or net is None:
            return read(target, weight=how.weight, names=names)
        if columns is not None:
            return read(None)
        shape = row_shape(net)
        problem: PellucidError | None = None
        try:
            whole = read(None)
        except DataError as error:  # words in the target's column, perhaps
            problem = error
        else:
            if whole.x.shape[1:] == shape:
                return whole
            _check_width(text, whole.x.shape[1], net)
        found = read(target, weight=how.weight, names=names)
        if problem is not None and found.x.shape[1:] != shape:
            raise problem
        return found
    except UnknownNameError as error:
        raise UnknownNameError(f"{text}: {error}") from None


def features_of(text: str, how: How) -> tuple[str, ...] | None:
    """What the columns of `x` are called; None where that is no table, or has no name for each."""
    header = column_names(text) if text.lower().endswith(TABLES) else None
    if header is None:
        return None
    target = -1 if how.target is None else how.target
    apart = [*(target if isinstance(target, list) else [target]), how.weight]
    taken = {_name_of(column, header) for column in apart if column is not None}
    found = [name for name in header if name not in taken]
    if how.columns is not None:
        found = [_name_of(column, header) for column in how.columns]
    return tuple(found) if all(header.count(name) == 1 for name in found) else None


def _name_of(column: Column, header: list[str]) -> str:
    return column if isinstance(column, str) else header[column]


def _columns_by_name(text: str, how: How, net: Network, *, targets: bool) -> list[Column] | None:
    """The columns that the network learnt from, in its order, where both know them by name."""
    header = column_names(text) if net.features else None
    if header is None or not net.features:
        return None
    gone = [name for name in net.features if name not in header]
    if gone:
        raise DataError(
            f"{text} has no column {', '.join(map(repr, gone))}, which the network learnt from: "
            f"its header says {', '.join(header)}. Where they have other names there, --columns "
            f"says which stand for {', '.join(net.features)}"
        )
    if targets and how.target is None and header[-1] in net.features:
        raise OptionError(
            f"{text}: the last column, {header[-1]!r}, is one that the network learnt from: say "
            "which is to be predicted, --target NAME"
        )
    return list(net.features)


def _check_width(text: str, width: int, net: Network) -> None:
    """Refuses a table without a header that has fewer columns than the network takes."""
    features = net.features or ()
    if width < len(features):
        raise DataError(
            f"{text} has {width} column{'s' * (width > 1)} and no header, and the network takes "
            f"{len(features)}: {', '.join(features)}, in this order"
        )


def images_in(text: str, part: Part = "test") -> list[str]:
    """The image files in a folder and those inside it, by name; none where there are none.

    Where it has train/ and test/, those of a part. What is hidden is passed over.
    """
    folder = Path(text)
    if text.partition(":")[0].replace("-", "_") in NAMES or not folder.is_dir():
        return []
    if (folder / "train").is_dir() and (folder / "test").is_dir():
        folder /= part
    files = [path for path in folder.rglob("*") if is_image(path) and path.is_file()]
    hidden = (any(p.startswith(".") for p in f.relative_to(folder).parts) for f in files)
    return [str(f) for f, not_this in sorted(zip(files, hidden, strict=True)) if not not_this]


# ---- arrays -------------------------------------------------------------------------------------


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
