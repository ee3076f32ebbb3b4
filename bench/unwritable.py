"""What it means to the user that a folder cannot be written: which disk it is, and what helps."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import psutil

_SILENT = (errno.EIO, errno.ESTALE, errno.ENXIO, errno.ENODEV, errno.ETIMEDOUT, errno.EHOSTDOWN)


def unwritable(error: OSError, folder: Path) -> str | None:
    """The sentence, or None where the error says nothing about the disk.

    Args:
        error: what came of writing something in `folder`.
        folder: a run folder or a results folder.
    """
    place = _place(error, folder)
    disk = f"the disk of {place} (mounted at {_mount(place)})"
    match error.errno:
        case errno.ENOSPC:
            return f"{disk} is full{_room(place)}; free some room there and run again"
        case errno.EDQUOT:
            return f"the quota on {disk} is used up; free some room there and run again"
        case errno.EROFS:
            return (
                f"{disk} is read-only; have it made writable and run again, or choose another "
                "folder with --results"
            )
        case errno.EACCES | errno.EPERM:
            return (
                f"{place}: {error.strerror}; see to its permissions and run again, or choose "
                "another folder with --results"
            )
    if error.errno in _SILENT:
        return f"{disk} does not answer ({error.strerror}); see to it and run again"
    return None


def _place(error: OSError, folder: Path) -> Path:
    """The folder, unless the error names a file elsewhere: a data set's, a cache's."""
    named = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else folder
    return folder if named.absolute().is_relative_to(folder.absolute()) else named


def _mount(folder: Path) -> Path:
    """Where the disk is mounted that holds the folder, or would."""
    # By the system's list: a folder mounted from the same disk looks like no mount otherwise.
    mounts = {Path(disk.mountpoint) for disk in psutil.disk_partitions(all=True)}
    path = Path(os.path.realpath(folder))
    return next((above for above in (path, *path.parents) if above in mounts), Path(path.anchor))


def _room(folder: Path) -> str:
    """How much is left, since a disk is full for whom needs more than that."""
    try:
        usage, inodes = shutil.disk_usage(_mount(folder)), os.statvfs(_mount(folder))
    except OSError:
        return ""
    if inodes.f_files and not inodes.f_favail:
        return ": it takes no further file (no inodes are left)"
    return f" ({_bytes(usage.free)} of {_bytes(usage.total)} are left)"


def _bytes(number: float) -> str:
    for unit in ("bytes", "KB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"
