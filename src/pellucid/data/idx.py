"""IDX, the file format of the MNIST database: one array a file, gzipped or not.

Two zero bytes, a byte for the kind of number, a byte for the number of dimensions; each dimension
as a big-endian 32-bit integer; then the numbers, big-endian, last dimension fastest. A file is
trusted in nothing: what it declares is held against its size and against `limit` before memory is
taken, and then against its bytes.

Source: Y. LeCun, C. Cortes and C. J. C. Burges, "The MNIST database of handwritten digits".
"""

from __future__ import annotations

import os
import struct
import sys
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from pellucid.data.dataset import Dataset
from pellucid.data.files import PathName, open_regular, whole_file
from pellucid.errors import DataError, FileFormatError, OptionError

if TYPE_CHECKING:
    from gzip import GzipFile

Array = NDArray[Any]

KINDS = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
MAX_DIMENSIONS = 8
MAX_BYTES = 2**30
_GZIP_MAGIC = b"\x1f\x8b"
_DEFLATE_RATIO = 1032  # no byte of a deflate stream stands for more than this many


def read_idx(path: PathName, *, limit: int = MAX_BYTES) -> Array:
    """The array in an IDX file, gzipped or not, in this machine's byte order.

    Whether it is gzipped is seen from its first bytes, whatever it is called.

    Args:
        path: The file.
        limit: The most bytes the array may take.

    Raises
    ------
        FileFormatError: when the file is not IDX, declares what it does not hold, holds more than
            it declares, or declares more than `limit`.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "numbers.idx.gz"
    >>> write_idx(file, np.array([[1, 2, 3], [4, 5, 6]], dtype=np.int16))
    >>> read_idx(file)
    array([[1, 2, 3],
           [4, 5, 6]], dtype=int16)
    """
    file, size = open_regular(path)
    name = os.fspath(path)
    with file:
        zipped = file.read(2) == _GZIP_MAGIC
        file.seek(0)
        if not zipped:
            return _read_array(file, name, size, limit, exact=True)
        import gzip
        import zlib

        try:
            with gzip.GzipFile(fileobj=file, mode="rb") as stream:
                return _read_array(stream, name, size * _DEFLATE_RATIO, limit, exact=False)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise FileFormatError(f"{name} is a damaged gzip file: {error}") from error


def _read_array(
    stream: BinaryIO | GzipFile, name: str, size: int, limit: int, *, exact: bool
) -> Array:
    """Header, checks, numbers. The stream holds `size` bytes, or if not `exact` at most so many."""
    start = stream.read(4)
    if len(start) < 4 or start[:2] != b"\0\0" or start[2] not in KINDS:
        raise FileFormatError(
            f"{name} is not an IDX file: it starts with {start.hex(' ') or 'nothing'}, not with "
            f"00 00 and a kind of number ({', '.join(f'{kind:02x}' for kind in KINDS)})"
        )
    dtype, dimensions = np.dtype(KINDS[start[2]]), start[3]
    if not 1 <= dimensions <= MAX_DIMENSIONS:
        raise FileFormatError(
            f"{name} declares {dimensions} dimensions; 1 to {MAX_DIMENSIONS} are read"
        )
    header = stream.read(4 * dimensions)
    if len(header) < 4 * dimensions:
        raise FileFormatError(f"{name} ends inside its header")
    shape = struct.unpack(f">{dimensions}I", header)
    needed = prod(shape) * dtype.itemsize
    held = size - 4 - len(header)
    if needed == 0:
        raise FileFormatError(f"{name} declares the shape {shape}: it holds no items")
    if needed > limit:
        raise FileFormatError(
            f"{name} declares the shape {shape}, {needed:,} bytes, which is over the limit of "
            f"{limit:,}; if that is right, call with limit={needed}"
        )
    if needed > held or (exact and needed < held):
        raise FileFormatError(
            f"{name} declares the shape {shape}, {needed:,} bytes, "
            f"and {'has' if exact else 'can have at most'} {held:,}: it is damaged or not complete"
        )
    array = np.empty(shape, dtype)
    octets = array.reshape(-1).view(np.uint8)
    filled = 0
    while filled < needed:
        part = stream.read(min(needed - filled, 2**20))
        if not part:
            raise FileFormatError(
                f"{name} declares {needed:,} bytes and ends after {filled:,}: it is not complete"
            )
        octets[filled : filled + len(part)] = np.frombuffer(part, np.uint8)
        filled += len(part)
    if stream.read(1):  # reading to the end also checks gzip's sum
        raise FileFormatError(f"{name} declares {needed:,} bytes, and more bytes follow them")
    if dtype.itemsize > 1 and sys.byteorder == "little":
        array = array.byteswap(inplace=True).view(dtype.newbyteorder("="))
    return array


def write_idx(path: PathName, array: Array) -> None:
    """Write an array as an IDX file, gzipped when the name ends in `.gz`.

    The array may have 1 to 8 dimensions, at least one item, and the kinds of number that IDX has:
    uint8, int8, int16, int32, float32, float64. The file appears whole or not at all, and the same
    array gives the same bytes.

    Raises
    ------
        DataError: for another kind of number or shape.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "labels.idx"
    >>> write_idx(file, np.array([7, 2, 1], dtype=np.uint8))
    >>> file.read_bytes().hex(" ")
    '00 00 08 01 00 00 00 03 07 02 01'
    """
    given = np.asarray(array)
    codes = {np.dtype(kind).newbyteorder("="): code for code, kind in KINDS.items()}
    code = codes.get(given.dtype.newbyteorder("="))
    if code is None:
        raise DataError(
            f"IDX has no {given.dtype}: give uint8, int8, int16, int32, float32 or float64, "
            "for example array.astype('int32')"
        )
    if not 1 <= given.ndim <= MAX_DIMENSIONS or given.size == 0 or max(given.shape) >= 2**32:
        raise DataError(
            f"an IDX file holds 1 to {MAX_DIMENSIONS} dimensions and at least one item, "
            f"not the shape {given.shape}"
        )
    header = bytes([0, 0, code, given.ndim]) + struct.pack(f">{given.ndim}I", *given.shape)
    numbers = np.ascontiguousarray(given, dtype=KINDS[code])

    with whole_file(path) as file:
        if Path(path).suffix == ".gz":
            import gzip

            with gzip.GzipFile("", "wb", 6, fileobj=file, mtime=0) as stream:
                stream.write(header)
                stream.write(numbers.data)
        else:
            file.write(header)
            file.write(numbers.data)


def read_idx_dataset(
    images: PathName,
    labels: PathName,
    *,
    names: tuple[str, ...] | None = None,
    limit: int = MAX_BYTES,
) -> Dataset:
    """A dataset from two IDX files, as MNIST and Fashion-MNIST come: images and their labels.

    `x` is as the file has it, for images (N, H, W) uint8; `y` is int64, (N,).

    Raises
    ------
        FileFormatError: when a file cannot be read; see `read_idx`.
        DataError: when the labels are no labels, or there are not as many of them as images.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> write_idx(folder / "images", np.zeros((3, 28, 28), dtype=np.uint8))
    >>> write_idx(folder / "labels", np.array([7, 2, 1], dtype=np.uint8))
    >>> read_idx_dataset(folder / "images", folder / "labels")
    Dataset(x: (3, 28, 28) uint8, y: (3,) int64)
    """
    if limit < 1:
        raise OptionError(f"limit must be a number of bytes above 0, not {limit!r}")
    y = read_idx(labels, limit=limit)
    if y.ndim != 1 or y.dtype.kind not in "iu":
        raise DataError(
            f"{os.fspath(labels)} holds {y.shape} {y.dtype}, which are no labels (N,) of integers; "
            "are the two files the other way round?"
        )
    x = read_idx(images, limit=limit)
    if len(x) != len(y):
        raise DataError(
            f"{os.fspath(images)} holds {len(x)} images and {os.fspath(labels)} holds {len(y)} "
            "labels: are they of the same set?"
        )
    return Dataset(x, y.astype(np.int64), names=names)
