"""Images from files and folders, by way of Pillow, which is asked for only when one is read."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.data.dataset import Dataset
from pellucid.data.files import PathName, open_regular
from pellucid.description import checked_options
from pellucid.errors import DataError, FileFormatError, MissingExtraError, OptionError

Array = NDArray[Any]
MAX_PIXELS = 64_000_000
SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def read_image(
    path: PathName, *, size: int | tuple[int, int] | None = None, channels: int = 1
) -> Array:
    """An image file as an array of bytes, 0 … 255, the way up that its camera noted.

    Args:
        path: A BMP, GIF (first picture), JPEG, PNG, PPM, TIFF (first page) or WebP file.
        size: (height, width) to resize to, or one number for both; without it, as the file has it.
        channels: 1 for grey, 3 for red, green, blue, 4 for these and opacity.

    Returns
    -------
        uint8, (H, W) for one channel, else (H, W, channels).

    Raises
    ------
        MissingExtraError: without Pillow: `pip install "pellucid[images]"`.
        FileFormatError: for a file that is no image, is damaged, or has over 64 million pixels.

    >>> from pellucid.data import sample_images
    >>> read_image(sample_images()[3]).shape
    (28, 28)
    >>> read_image(sample_images()[3], size=(14, 20), channels=3).shape
    (14, 20, 3)
    """
    if channels not in _MODES:
        raise OptionError(f"channels must be 1, 3 or 4, not {channels!r}")
    wanted = _wanted(size)
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise MissingExtraError.of("Pillow", "images") from error

    file, _ = open_regular(path)
    name = os.fspath(path)
    with file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of large or untidy files; ours is an error
        try:
            with Image.open(file, formats=FORMATS) as opened:
                width, height = opened.size
                if width * height > MAX_PIXELS:  # before a pixel is decoded
                    raise FileFormatError(
                        f"{name} has {width} × {height} pixels; up to {MAX_PIXELS:,} are read"
                    )
                image = ImageOps.exif_transpose(opened)
                image.load()
        except FileFormatError:
            raise
        except Exception as error:  # a damaged file makes Pillow raise nearly anything
            raise FileFormatError(
                f"{name} is not an image that can be read ({', '.join(FORMATS)}): {error}"
            ) from error

    if image.mode.startswith("I;16") or image.mode == "I":  # 16-bit grey: keep the upper byte
        values = np.asarray(image).astype(np.int64)
        image = Image.fromarray((np.clip(values, 0, 65535) >> 8).astype(np.uint8))
    elif image.mode == "F":
        raise FileFormatError(f"{name} holds floating-point grey, whose range is not told")
    elif image.mode == "P":
        image = image.convert("RGBA")
    image = image.convert(_MODES[channels])
    if wanted is not None:
        image = image.resize((wanted[1], wanted[0]), Image.Resampling.BILINEAR)
    return np.array(image, dtype=np.uint8)


@checked_options(
    "image_folder",
    grey="Write channels=1",
    color_mode="Write channels=1 for grey, 3 for colours",
    image_size="Write size=",
    class_names="Write names=",
)
def image_folder(
    path: PathName, *, size: int | tuple[int, int] | None = None, channels: int = 3,
    names: Sequence[str] | None = None,
) -> Dataset:  # fmt: skip
    """A dataset from a folder that has one sub-folder of images for each class.

    Classes are in the order of their folders' names, images in the order of theirs, also from
    folders inside a class's. What is hidden, its name beginning with a dot, is passed over; so is a
    file that does not end as images do (`.png`, `.jpg`, …).

    Args:
        path: The folder.
        size: (height, width) to resize all images to, or one number for both; without it all must
            be of one size.
        channels: 3 for red, green, blue, 1 for grey, 4 for colours and opacity.
        names: The classes in their order, where it is known; without it they are those found.

    Returns
    -------
        `x` is uint8, (N, H, W, channels), of one channel too, as convolutions want it; `y` is
        int64, (N,), indices into `names`.

    Raises
    ------
        DataError: where there are no classes or no images, or images are of several sizes.
        FileFormatError: for a file that cannot be read, by its name.
        MissingExtraError: without Pillow: `pip install "pellucid[images]"`.

    >>> import shutil, tempfile
    >>> from pellucid.data import sample_images
    >>> folder = Path(tempfile.mkdtemp())
    >>> for digit, kind in ((0, "round"), (8, "round"), (1, "straight")):
    ...     (folder / kind).mkdir(exist_ok=True)
    ...     _ = shutil.copy(sample_images()[digit], folder / kind)
    >>> d = image_folder(folder, channels=1)
    >>> d.x.shape, d.y, d.names
    ((3, 28, 28, 1), array([0, 0, 1]), ('round', 'straight'))
    """
    files, labels, classes = _classified(Path(path), names)
    wanted = _wanted(size)
    if channels not in _MODES:
        raise OptionError(f"channels must be 1, 3 or 4, not {channels!r}")
    first = read_image(files[0], size=wanted, channels=channels)
    images = np.empty((len(files), *first.shape[:2], channels), np.uint8)
    for i, file in enumerate(files):
        image = read_image(file, size=wanted, channels=channels)
        if image.shape != first.shape:
            (h, w), (height, width) = first.shape[:2], image.shape[:2]
            raise DataError(
                f"{file} has {height} × {width} pixels and {files[0]} has {h} × {w}: "
                f"size=({h}, {w}) makes all of one size"
            )
        images[i] = image.reshape(images.shape[1:])
    return Dataset(images, labels, names=classes)


def is_image(path: Path) -> bool:
    """Whether a file is to be taken for an image: not hidden, and named like one."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def _classified(
    folder: Path, names: Sequence[str] | None
) -> tuple[list[Path], Array, tuple[str, ...]]:
    """The image files of a folder, each with its class, and the classes."""
    if not folder.is_dir():
        raise DataError(f"{folder} is {'a file' if folder.exists() else 'not there'}, not a folder")
    inner = {p.name: p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")}
    found = {name: _images_under(inner[name]) for name in sorted(inner)}
    found = {name: images for name, images in found.items() if images}
    if not found:
        here = "images but no" if any(map(is_image, folder.iterdir())) else "no"
        raise DataError(
            f"{folder} has {here} sub-folders with images: it needs one for each class, such as "
            f"{folder / 'cats'} and {folder / 'dogs'}"
        )
    classes = tuple(found) if names is None else tuple(names)
    strange = [name for name in found if name not in classes]
    if strange:
        raise DataError(
            f"{folder / strange[0]} is none of the classes {', '.join(classes)}: take it away, or "
            "give all names"
        )
    files = [file for images in found.values() for file in images]
    labels = [classes.index(name) for name, images in found.items() for _ in images]
    return files, np.array(labels, np.int64), classes


def _images_under(folder: Path) -> list[Path]:
    """The image files in a folder and those inside it, in the order of their names."""
    files = []
    for here, inside, names in os.walk(folder):
        inside[:] = sorted(name for name in inside if not name.startswith("."))
        files += [Path(here, name) for name in sorted(names) if is_image(Path(name))]
    return sorted(files)


def _wanted(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    """(height, width) from what was asked for, checked before anything is read."""
    if size is None:
        return None
    pair = (size, size) if isinstance(size, int | np.integer) else tuple(size)
    if (
        len(pair) != 2
        or not all(isinstance(n, int | np.integer) and n >= 1 for n in pair)
        or int(pair[0]) * int(pair[1]) > MAX_PIXELS
    ):
        raise OptionError(
            f"size must be (height, width), each 1 or more and at most {MAX_PIXELS:,} pixels in "
            f"all, not {size!r}"
        )
    return int(pair[0]), int(pair[1])
