"""The disk that the results lie on: whether it can be written, has room, and is quick enough."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path

from bench.doctor.check import FAIL, OK, WARN, Check

_GB = 1e9
_SYNC_SECONDS = 0.5  # a synced write that takes longer holds up every checkpoint
_SYNCED_BYTES = 65536
_FILES_PER_RUN = 20  # roughly what a run leaves behind
_ADVICE = "free some, or choose another folder with --results"


def check_disk(results: Path) -> Check:
    """Space where the results will lie."""
    free = shutil.disk_usage(existing(results)).free
    found = f"{free / _GB:.1f} GB free for {results}"
    if free < 0.1 * _GB:
        return Check("disk", FAIL, found, _ADVICE)
    return Check("disk", WARN, found, _ADVICE) if free < 2 * _GB else Check("disk", OK, found)


def check_files(results: Path) -> Check:
    """How many more files the disk can hold: it may be full of files with room left."""
    status = os.statvfs(existing(results))
    if status.f_files == 0:
        return Check("files", OK, "this file system does not count them")
    runs = status.f_favail // _FILES_PER_RUN
    found = f"{status.f_favail:,} more can be made (inodes), about {runs:,} runs"
    if runs < 100:
        state = FAIL if runs == 0 else WARN
        return Check("files", state, found, f"remove old results, {_ADVICE.partition(', ')[2]}")
    return Check("files", OK, found)


def check_sync(results: Path) -> Check:
    """How long it takes until something is safely on the disk."""
    slowest = max(_synced_write(existing(results)) for _ in range(3))
    found = f"a small synced write takes {1000 * slowest:.0f} ms"
    if slowest > _SYNC_SECONDS:
        advice = (
            "every checkpoint waits so long, several times: choose a faster disk with --results, "
            "or raise record.checkpoint_seconds in the sweep file"
        )
        return Check("disk speed", WARN, found, advice)
    return Check("disk speed", OK, found)


def _synced_write(folder: Path) -> float:
    """Seconds."""
    began = time.monotonic()
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(os.urandom(_SYNCED_BYTES))
        file.flush()
        os.fsync(file.fileno())
    return time.monotonic() - began


def check_results(results: Path) -> Check:
    """Whether the results can be written; the folder itself is not made."""
    folder = existing(results)
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        found = f"{folder} cannot be written: {error.strerror}"
        advice = "choose another folder with --results, or mend its permissions"
        return Check("results folder", FAIL, found, advice)
    made = "" if folder == results else " (not there yet)"
    return Check("results folder", OK, f"{results} can be written{made}")


def existing(path: Path) -> Path:
    """The folder itself, or the nearest above it that exists."""
    for folder in (path, *path.absolute().parents):
        if folder.is_dir():
            return folder
    return Path.cwd()
