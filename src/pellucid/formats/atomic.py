"""Files that are wholly old or wholly new, whatever happens while they are written.

The bytes go into a temporary file in the same folder, which is synced to disk and then renamed
over the target; the folder is synced last. A write that fails leaves the target as it was.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from pathlib import Path

from pellucid.errors import CheckpointError


def previous_of(path: Path) -> Path:
    """Where the generation before `path` is kept."""
    return path.with_name(path.name + ".previous")


def check_writable(path: str | os.PathLike[str]) -> Path:
    """The real target (behind links) if a file can be written there; a CheckpointError if not."""
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise CheckpointError(f"{path} is a folder: give the name of a file in it")
    if target.exists() and not target.is_file():
        raise CheckpointError(f"{path} is not a regular file")
    if not target.parent.is_dir():
        raise CheckpointError(f"the folder {target.parent} does not exist: create it first")
    probe = _temporary(target)
    try:
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be written: {error.strerror}") from None
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
        if keep_previous and target.exists():
            _keep(target)
        os.replace(temporary, target)  # noqa: PTH105 - the atomic rename, by its own name
        _sync_folder(target.parent)
    except OSError as error:
        raise CheckpointError(
            f"{path} could not be written ({error.strerror}); what was there is unchanged"
        ) from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _temporary(target: Path) -> Path:
    return target.with_name(f".{target.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")


def _keep(target: Path) -> None:
    """Makes the present file the previous one, without a moment in which there is none."""
    second = _temporary(target)
    try:
        os.link(target, second)
    except OSError:
        shutil.copyfile(target, second)
    try:
        os.replace(second, previous_of(target))  # noqa: PTH105 - the atomic rename
    finally:
        second.unlink(missing_ok=True)


def _sweep(target: Path) -> None:
    """Removes temporary files of writers that are no longer alive."""
    for stale in target.parent.glob(f".{target.name}.*.tmp"):
        owner = stale.name.removesuffix(".tmp").split(".")[-2]
        if owner.isdigit() and int(owner) != os.getpid() and not _alive(int(owner)):
            stale.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":  # other systems cannot open a folder
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
