"""Opening a file that somebody else made: a regular file with bytes in it, or an error."""

from __future__ import annotations

import os
import stat
from os import PathLike
from typing import BinaryIO

from pellucid.errors import FileFormatError

PathName = str | PathLike[str]


def open_regular(path: PathName) -> tuple[BinaryIO, int]:
    """The file, open for reading, and its size in bytes.

    A folder, a pipe, a device or an empty file is refused. Opening never waits: a pipe without a
    writer is told apart after it was opened without blocking, so nothing can change in between.

    Raises
    ------
        FileFormatError: for anything but a regular file with bytes in it.
        FileNotFoundError, PermissionError: as `open` does.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    if os.path.isdir(path):  # noqa: PTH112 (a plain name will do, and some systems cannot open one)
        raise FileFormatError(f"{os.fspath(path)} is a folder, not a file")
    descriptor = os.open(path, flags)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise FileFormatError(f"{os.fspath(path)} is a pipe or a device, not a regular file")
        if status.st_size == 0:
            raise FileFormatError(f"{os.fspath(path)} is empty")
        return os.fdopen(descriptor, "rb"), status.st_size
    except BaseException:
        os.close(descriptor)
        raise
