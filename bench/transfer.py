"""Bringing one run folder from another results folder into this one, whole or not at all.

It is copied into a hidden folder beside its place and renamed when it is complete, so that a kill
leaves nothing half. Links and whatever else is no plain file are never opened.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.asides import INCOMING, REPLACED, aside
from bench.lease import LEASE, Lease, Observer, take_lease
from bench.run_folder import RunFolder

_LEFT_OUT = (".tmp", ".ckpt.bad")  # endings of what no run needs
_LEFT_OUT_NAMES = (LEASE, "cancel.json")
_SYNCED = (".json", ".jsonl")  # what a run's state rests on; a checkpoint carries a checksum
_FINISHED = ("done", "diverged")


class OddFile(ValueError):
    """Something in a run folder that is neither a folder nor a plain file; says what."""


class Changed(Exception):
    """A run is no longer what it was when it was looked at; says how."""


@dataclass(frozen=True)
class Take:
    """A run to be brought in.

    Attributes:
        source: its folder there.
        target: its place here.
        ours: the unfinished run here that gives way, or None.
        state: its state there.
        files: what is copied, relative to the source.
        bytes: of them all.
    """

    run_id: str
    source: Path
    target: Path
    ours: Path | None
    state: str
    files: tuple[Path, ...]
    bytes: int


def contents(folder: Path) -> tuple[tuple[Path, ...], int]:
    """The files of a run that are worth copying, relative to its folder, and their bytes.

    Raises:
        OddFile: it holds a link, a pipe or the like, or is one.
        OSError: it cannot be read.
    """
    if folder.is_symlink():
        raise OddFile(f"it is a link to {folder.readlink()}; name the folder that holds the runs")
    found = list(_files(folder, Path()))
    return tuple(path for path, _ in found), sum(size for _, size in found)


def bring(take: Take) -> None:
    """Copy a run and put it into its place; what stands there moves aside, and stays.

    Raises:
        Changed: it is being trained now, there or here, or has been finished here.
        LeaseHeld: somebody is at ours.
        OSError: it cannot be read or written; nothing of it is left here then.
    """
    incoming = aside(take.target.parent, INCOMING, take.run_id)
    incoming.mkdir()
    try:
        with take_lease(incoming) as lease:
            for path in take.files:
                _copy(take.source / path, incoming / path)
            _check(take, incoming)
            if take.ours is None:
                _rename(incoming, take.target, lease)
            else:
                _replace(take.ours, incoming, take, lease)
    finally:
        shutil.rmtree(incoming, ignore_errors=True)


def _files(folder: Path, below: Path) -> Iterator[tuple[Path, int]]:
    with os.scandir(folder / below) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            name, path = entry.name, below / entry.name
            status = entry.stat(follow_symlinks=False)
            at_the_top = not below.parts
            if name.endswith(_LEFT_OUT) or (at_the_top and name in _LEFT_OUT_NAMES):
                continue
            if at_the_top and name.startswith(f"{LEASE}."):
                continue
            if stat.S_ISDIR(status.st_mode):
                yield from _files(folder, path)
            elif stat.S_ISREG(status.st_mode):
                yield path, status.st_size
            else:
                kind = "a link" if stat.S_ISLNK(status.st_mode) else "no plain file"
                raise OddFile(f"{path} in it is {kind}, which is not followed; put the file there")


def _copy(source: Path, target: Path) -> None:
    """Copy a plain file with its time; a link put there meanwhile is refused by the system."""
    target.parent.mkdir(parents=True, exist_ok=True)

    def without_links(path: str, flags: int) -> int:
        return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)

    with open(source, "rb", opener=without_links) as read, target.open("xb") as write:
        status = os.fstat(read.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise Changed(f"{source} is no plain file any more")
        shutil.copyfileobj(read, write, 1 << 20)
        write.flush()
        if target.suffix in _SYNCED:
            os.fsync(write.fileno())
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


def _check(take: Take, incoming: Path) -> None:
    """Whether the copy is whole and the run there still what it was."""
    now = RunFolder(take.source).standing(take.run_id, Observer())
    if now.state != take.state or now.notes:
        raise Changed(f"it was {take.state} and is {now.state} now")
    copied, damage = RunFolder(incoming).final(take.run_id)
    if damage is not None or (copied or {}) != (now.final or {}):
        raise Changed(damage or "its state.json has changed while it was copied")


def _replace(ours: Path, incoming: Path, take: Take, lease: Lease) -> None:
    """Move ours aside, under its lease, and put the other into its place."""
    replaced = aside(ours.parent, REPLACED, take.run_id)
    with take_lease(ours) as own:
        final, _ = RunFolder(ours).final(take.run_id)
        if final is not None and final["state"] in _FINISHED:
            raise Changed("ours has been finished meanwhile; collect again")
        ours.rename(replaced)
        own.folder = replaced
        try:
            _rename(incoming, take.target, lease)
        except (OSError, Changed):
            replaced.rename(ours)
            own.folder = ours
            raise
    if _holds_nothing(replaced):
        shutil.rmtree(replaced)


def _rename(incoming: Path, target: Path, lease: Lease) -> None:
    try:
        incoming.rename(target)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise Changed("a run has appeared in its place meanwhile; collect again") from None
        raise
    lease.folder = target  # given back from there


def _holds_nothing(folder: Path) -> bool:
    """Whether nothing of a run has happened in its folder: it was planned and no more."""
    return {path.name for path in folder.iterdir()} <= {"spec.json"}
