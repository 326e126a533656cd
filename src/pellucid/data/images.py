"""Images from files, by way of Pillow, which is asked for only when one is read."""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.data.files import PathName, open_regular
from pellucid.errors import FileFormatError, MissingExtraError, OptionError

Array = NDArray[Any]
MAX_PIXELS = 64_000_000
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
