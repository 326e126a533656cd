"""Fetching files from the net: on request only, checked, and there whole or not at all.

A file is known by its size and its SHA-256 sum, and nothing that differs from them is ever given
its name. So it does not matter which mirror it came from, or whether the way was safe.
"""

from __future__ import annotations

import errno
import hashlib
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from pellucid.data.files import whole_file
from pellucid.errors import PellucidError

_SILENCE = 30.0  # seconds without a byte after which a server is given up
_STALE = 3600.0  # seconds after which a part that nobody wrote to is one that a kill left behind
_CHUNK = 2**16
_OURS = (errno.EACCES, errno.EDQUOT, errno.ENOSPC, errno.EPERM, errno.EROFS)  # not the server's


class DownloadError(PellucidError, OSError):
    """A file that could not be fetched; the message says how to get it by hand."""


@dataclass(frozen=True)
class RemoteFile:
    """A file on the net: its name, the addresses to try in turn, and what it must be.

    `size` is in bytes, `sha256` the sum in hexadecimal digits.
    """

    name: str
    addresses: tuple[str, ...]
    size: int
    sha256: str


def fetch(file: RemoteFile, folder: Path, *, progress: bool = True) -> Path:
    """Fetches a file into a folder, which is made if need be, and returns its path.

    The addresses are tried in turn until one gives exactly the file. What another program fetches
    at the same time does no harm. With `progress` a bar on a terminal, or a line elsewhere, says on
    stderr what is going on.

    Raises
    ------
        DownloadError: naming each address and what went wrong there, or the folder that cannot be
            written to.
    """
    target = folder / file.name
    failures = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(target)
        for address in file.addresses:
            try:
                with whole_file(target) as part, _opened(address) as answer:
                    _copy(answer, part, file, address, progress=progress)
                return target
            except Exception as error:  # a server can make urllib raise nearly anything
                if getattr(error, "errno", None) in _OURS:
                    raise
                failures.append(f"  {address}: {_reason(error)}")
    except OSError as error:
        raise DownloadError(
            f"{folder} cannot take {file.name}: {_reason(error)}. The environment variable "
            "PELLUCID_DATA names another folder"
        ) from None
    raise DownloadError("\n".join([f"{file.name} could not be fetched:", *failures]))


@contextmanager
def _opened(address: str) -> Iterator[Any]:
    from urllib.request import Request, urlopen

    if not address.startswith(("http://", "https://")):
        raise DownloadError("only http and https are spoken here")
    request = Request(address, headers={"User-Agent": "pellucid"})
    with urlopen(request, timeout=_SILENCE) as answer:
        yield answer


def _copy(answer: Any, part: BinaryIO, file: RemoteFile, address: str, *, progress: bool) -> None:
    """The bytes of an answer into a file, held against size and sum."""
    total, digest = 0, hashlib.sha256()
    with _bar(file, address, progress=progress) as advance:
        while chunk := answer.read(_CHUNK):
            total += len(chunk)
            if total > file.size:
                raise DownloadError(f"it sends more than the {file.size:,} bytes of the file")
            digest.update(chunk)
            part.write(chunk)
            advance(len(chunk))
    if total < file.size:
        raise DownloadError(f"it ended after {total:,} of {file.size:,} bytes")
    if digest.hexdigest() != file.sha256:
        raise DownloadError(
            f"what came is another file: its SHA-256 sum is {digest.hexdigest()}, not {file.sha256}"
        )


@contextmanager
def _bar(file: RemoteFile, address: str, *, progress: bool) -> Iterator[Any]:
    """A function that is told how many bytes came."""
    if not progress or not sys.stderr.isatty():
        if progress:
            sys.stderr.write(f"fetching {address} ({file.size / 1e6:,.1f} MB)\n")
            sys.stderr.flush()
        yield lambda _count: None
        return
    from tqdm import tqdm

    with tqdm(
        total=file.size, desc=file.name, unit="B", unit_scale=True, leave=False, dynamic_ncols=True
    ) as bar:
        yield bar.update


def _sweep(target: Path) -> None:
    """Removes parts of this file that a killed program left behind."""
    for part in target.parent.glob(f".{target.name}.*.tmp"):
        with suppress(OSError):  # gone already, or not ours to remove
            if time.time() - part.stat().st_mtime > _STALE:
                part.unlink()


def _reason(error: Exception) -> str:
    inner = getattr(error, "reason", None)  # URLError wraps what happened to the socket
    if isinstance(inner, OSError):
        return inner.strerror or str(inner) or type(inner).__name__
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
