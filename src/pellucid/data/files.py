"""Reading a file that somebody else made, writing one that is there whole or not at all.

Where data lies that was fetched for all of a user's programs stands here too: `data_folder`.
"""

from __future__ import annotations

import os
import secrets
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path
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


@contextmanager
def whole_file(path: PathName) -> Iterator[BinaryIO]:
    """A new file to write into, which takes its name once all of it is written and on disk.

    Whatever happens before leaves what was there, and nothing beside it. Several writers of one
    name do not disturb each other: the last to end wins.
    """
    target = Path(path)
    beside = target.with_name(f".{target.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        with beside.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(target)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise


def data_folder() -> Path:
    r"""Where fetched data is kept: the folder in PELLUCID_DATA, or `pellucid` among the caches.

    That is `$XDG_CACHE_HOME/pellucid` or `~/.cache/pellucid`; on macOS
    `~/Library/Caches/pellucid`, on Windows `%LOCALAPPDATA%\pellucid\Cache`. Nothing is made here.

    >>> data_folder().is_absolute()
    True
    """
    if chosen := os.environ.get("PELLUCID_DATA"):
        return Path(chosen).expanduser().absolute()
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return (Path(local) if local else Path.home() / "AppData" / "Local") / "pellucid" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "pellucid"
    caches = os.environ.get("XDG_CACHE_HOME", "")
    if not Path(caches).is_absolute():  # the specification has relative ones ignored
        return Path.home() / ".cache" / "pellucid"
    return Path(caches) / "pellucid"
