"""Files that are wholly old or wholly new, whatever happens while they are written.

The bytes go into a temporary file in the same folder, which is synced to disk and then renamed
over the target; the folder is synced last. A write that fails leaves the target as it was.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import secrets
import shutil
from pathlib import Path

from pellucid.errors import CheckpointError

_SESSION = secrets.token_hex(4)  # tells this process from an earlier one that had the same number


def previous_of(path: Path) -> Path:
    """Where the generation before `path` is kept."""
    return path.with_name(path.name + ".previous")


def check_writable(path: str | os.PathLike[str]) -> Path:
    """The real target (behind links) if a file can be written there; a CheckpointError if not."""
    try:
        target = Path(os.path.realpath(path))
        if target.is_symlink():
            raise CheckpointError(f"{path} is a link that leads back to itself: remove it")
        if target.is_dir():
            raise CheckpointError(f"{path} is a folder: give the name of a file in it")
        if target.exists() and not target.is_file():
            raise CheckpointError(f"{path} is not a regular file: give another name")
        if not target.parent.is_dir():
            raise CheckpointError(f"{path}: the folder {target.parent} does not exist; create it")
        probe = _temporary(target)
        probe.touch(exist_ok=False)
        probe.unlink()
    except CheckpointError:
        raise
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} cannot be written: {_reason(error)}. Give a place that can be written to"
        ) from None
    return target


def write_atomic(path: str | os.PathLike[str], data: bytes, *, keep_previous: bool = False) -> None:
    """Replaces the file at `path` by `data`, all or nothing.

    With `keep_previous` the file that was there stays beside it as ``<name>.previous``.
    Temporary files that a killed writer left behind are removed. Raises CheckpointError where
    the folder is missing or read-only, the disk is full, or a size limit is reached.
    """
    target = check_writable(path)
    _sweep(target)
    temporary = _temporary(target)
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            with contextlib.suppress(OSError):
                shutil.copymode(target, temporary)
            if keep_previous:
                _keep(target)
        os.replace(temporary, target)  # noqa: PTH105 - the atomic rename, by its own name
    except OSError as error:
        raise CheckpointError(
            f"{path} could not be written: {_reason(error)}. What was there is unchanged; make "
            "room, or give another place"
        ) from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    _sync_folder(path, target.parent)


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _temporary(target: Path) -> Path:
    token = secrets.token_hex(4)
    return target.with_name(f".{target.name}.{os.getpid()}.{_SESSION}.{token}.tmp")


def _keep(target: Path) -> None:
    """Makes the present file the previous one, without a moment in which there is none."""
    second = _temporary(target)
    try:
        try:
            os.link(target, second)
        except OSError:  # a file system without hard links
            shutil.copyfile(target, second)
        os.replace(second, previous_of(target))  # noqa: PTH105 - the atomic rename
    finally:
        second.unlink(missing_ok=True)


def _sweep(target: Path) -> None:
    """Removes temporary files of writers that are no longer alive."""
    for stale in target.parent.glob(f".{glob.escape(target.name)}.*.*.*.tmp"):
        owner, session = stale.name.split(".")[-4:-2]
        mine = owner == str(os.getpid())
        alive = session == _SESSION if mine else owner.isdecimal() and _alive(int(owner))
        if not alive:
            with contextlib.suppress(OSError):  # in use after all, or not ours to remove
                stale.unlink()


def _alive(pid: int) -> bool:
    if os.name != "posix":  # signal 0 is no question there; a file in use cannot be removed either
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _sync_folder(path: str | os.PathLike[str], folder: Path) -> None:
    """Makes the rename last; some file systems cannot sync a folder, and need not."""
    if os.name != "posix":  # other systems cannot open a folder
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOTSUP, errno.EACCES):
            return
        raise CheckpointError(
            f"{path} was written, but may not outlast a power cut: {_reason(error)}"
        ) from None
