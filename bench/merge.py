"""Merging the runs of a sweep from other results folders: everything is examined, then copied.

A finished run (done or diverged) goes before an unfinished one, and ours before theirs where both
are finished and equal. Two finished ones that differ are a conflict, which refuses everything:
nobody but the user can say which of them is true.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.asides import run_folders, run_id_of
from bench.duplicates import first_difference, numerics_differ, row_files
from bench.files import FileError, read_json, read_rows
from bench.lease import LeaseHeld
from bench.spec import RunSpec
from bench.store import Planned, Store, StoreError
from bench.transfer import Changed, OddFile, Take, bring, contents

_FINISHED = ("done", "diverged")
_SPARE_BYTES = 10_000_000  # beyond what is copied, so that the tables can still be written


@dataclass
class Findings:
    """What other results folders hold, and what is to be done about it.

    Attributes:
        takes: by run id, the runs to be brought in.
        same: the ids of those that are equal to ours.
        behind: the ids of those that are no further than ours.
        not_begun: the ids of those that are only planned there.
        left: folders there that are not taken, each with why.
        unlisted: folders there of runs that the sweep file does not list.
        conflicts: sentences; where there are any, nothing may be taken.
    """

    takes: dict[str, Take] = field(default_factory=dict)
    same: set[str] = field(default_factory=set)
    behind: set[str] = field(default_factory=set)
    not_begun: set[str] = field(default_factory=set)
    left: dict[Path, str] = field(default_factory=dict)
    unlisted: list[Path] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)


def examine(
    store: Store, ours: Sequence[Planned], listed: Collection[str], folders: Sequence[Path]
) -> Findings:
    """Look at everything in other results folders; nothing is changed.

    Args:
        ours: the plan of the runs that are asked for.
        listed: the ids of all runs of the sweep file.
        folders: results folders, or the folders of this sweep in them.

    Raises:
        StoreError: a folder that holds no results of this sweep, or that cannot be read.
    """
    found = Findings()
    best = {item.spec.run_id: item for item in ours}
    places = {run_id: item.folder for run_id, item in best.items()}
    specs = [item.spec for item in ours]
    for folder in folders:
        source = _source(folder, store)
        for item in _theirs(source, specs, listed, found):
            run_id = item.spec.run_id
            try:
                if _is_better(item, best[run_id], found):
                    found.takes[run_id] = _take(item, store, places[run_id])
                    best[run_id] = item
            except OddFile as odd:
                found.left[item.folder] = str(odd)
            except OSError as error:
                place = error.filename or item.folder
                found.left[item.folder] = f"{place} cannot be read: {error.strerror}"
    return found


def merge(
    store: Store, found: Findings, told: Callable[[Take], None] = lambda _: None
) -> list[Take]:
    """Bring in what was found, run by run; returns what came, and adds to `found.left`.

    Args:
        told: called after each.

    Raises:
        StoreError: conflicts; or the disk is full, or the results cannot be written. What came
            before that stays, and a second call goes on.
    """
    if found.conflicts:
        raise StoreError("\n".join([*found.conflicts, "nothing was copied"]))
    takes = list(found.takes.values())
    if not takes:
        return []
    _make_room(store, takes)
    came: list[Take] = []
    for take in takes:
        try:
            bring(take)
        except LeaseHeld as holder:
            found.left[take.source] = f"ours is being trained: {holder} is at it"
        except Changed as change:
            found.left[take.source] = str(change)
        except OSError as error:
            if not _is_of(error, take.source):
                raise _stopped(store, error, len(came), len(takes)) from error
            found.left[take.source] = f"{error.filename} cannot be read: {error.strerror}"
        else:
            came.append(take)
        told(take)
    return came


def _source(folder: Path, store: Store) -> Path:
    """The folder of the sweep in what the user named."""
    name = store.sweep
    if not folder.is_dir():
        what = "is no folder" if folder.exists() else "does not exist"
        raise StoreError(f"{str(folder)!r} {what}: name a results folder, or {name}'s in one")
    source = folder / name
    try:
        if not source.is_dir():
            source = folder if _is_of_sweep(folder, name) else source
        if source.is_symlink() and source != folder:
            raise StoreError(f"{source} is a link, which is not followed: name {source.resolve()}")
        if not source.is_dir():
            raise StoreError(
                f"{str(folder)!r} holds no results of {name}: there is no folder "
                f"{str(source)!r}, and it is not {name}'s own"
            )
        if store.folder.is_dir() and source.samefile(store.folder):
            raise StoreError(
                f"{str(folder)!r} holds the results that would be collected into; "
                "name those of another machine"
            )
    except OSError as error:
        raise StoreError(f"{str(folder)!r} cannot be read: {error.strerror}") from error
    return source


def _is_of_sweep(folder: Path, name: str) -> bool:
    """Whether a folder is the one that a sweep's runs lie in."""
    try:
        return read_json(folder / "sweep.json").get("name") == name
    except (FileNotFoundError, FileError):
        pass
    for path in run_folders(folder):
        try:
            return read_json(path / "spec.json").get("sweep") == name
        except (FileNotFoundError, FileError):
            continue
    return False


def _theirs(
    source: Path, specs: Sequence[RunSpec], listed: Collection[str], found: Findings
) -> list[Planned]:
    """The runs there that are asked for; nothing is read of a folder that holds a link or so."""
    asked, sound = {spec.run_id for spec in specs}, {}
    try:
        standing = run_folders(source)
    except OSError as error:
        raise StoreError(f"{str(source)!r} cannot be read: {error.strerror}") from error
    for path in standing:
        run_id = run_id_of(path.name)
        if run_id not in listed:
            found.unlisted.append(path)
        elif run_id in asked:
            try:
                contents(path)
            except OddFile as odd:
                found.left[path] = str(odd)
            except OSError as error:
                found.left[path] = f"{error.filename or path} cannot be read: {error.strerror}"
            else:
                sound[path] = run_id
    wanted = set(sound.values())
    planned = Store(source.parent, source.name).plan([s for s in specs if s.run_id in wanted])
    for path in sound.keys() - {item.folder for item in planned}:
        found.left[path] = "another folder there holds the same run"
    return [item for item in planned if item.folder in sound]


def _is_better(theirs: Planned, best: Planned, found: Findings) -> bool:
    """Whether a run there is to be taken instead of the best so far; what else it is, is noted."""
    run_id, state = theirs.spec.run_id, theirs.state
    ours_is_finished = best.state in _FINISHED and best.action != "refuse"
    if theirs.notes:
        found.left[theirs.folder] = f"it is damaged: {'; '.join(theirs.notes)}"
    elif theirs.action == "refuse":
        if ours_is_finished and state in _FINISHED:
            found.conflicts.append(_conflict(best, theirs, theirs.reason))
        else:
            found.left[theirs.folder] = theirs.reason
    elif state == "running":
        found.left[theirs.folder] = (
            f"it may be in training there: {theirs.reason}; if it is not, remove the folder "
            "'lease' in it"
        )
    elif state == "pending":
        found.not_begun.add(run_id)
    elif best.state == "running":
        found.left[theirs.folder] = f"ours is being trained: {best.reason}"
    elif best.action == "refuse":
        found.left[theirs.folder] = best.reason
    elif state in _FINISHED:
        return _is_better_result(theirs, best, found)
    elif best.state == "pending":
        return True
    elif ours_is_finished:
        found.behind.add(run_id)
    else:
        found.left[theirs.folder] = (
            f"it is {state} there at step {theirs.step}, and {best.state} here at step "
            f"{best.step}: ours is kept"
        )
    return False


def _is_better_result(theirs: Planned, best: Planned, found: Findings) -> bool:
    """The same of a run that is finished there."""
    for name in row_files(theirs.folder):
        if name.startswith(("train", "eval")) and (torn := read_rows(theirs.folder / name)[1]):
            found.left[theirs.folder] = f"it is damaged: {torn}"
            return False
    if best.state not in _FINISHED:
        return True
    difference = first_difference(best.folder, theirs.folder, best.final or {}, theirs.final or {})
    if difference is None:
        found.same.add(theirs.spec.run_id)
    else:
        found.conflicts.append(_conflict(best, theirs, difference))
    return False


def _conflict(best: Planned, theirs: Planned, difference: str) -> str:
    """Two finished runs that differ: which, where, in what, and what to do."""
    spec = theirs.spec
    why = numerics_differ(best.folder, theirs.folder)
    return (
        f"conflict: run {spec.run_id} ({spec.label}, seed {spec.config.seed}) is finished in "
        f"{best.folder} and in {theirs.folder}, and they differ: {difference}"
        f"{f' (their numerics differ: {why})' if why else ''}; move one of the two folders away, "
        "or leave the run out with --only"
    )


def _take(item: Planned, store: Store, ours: Path) -> Take:
    files, size = contents(item.folder)
    return Take(
        run_id=item.spec.run_id,
        source=item.folder,
        target=store.folder / item.spec.folder,
        ours=ours if ours.is_dir() else None,
        state=item.state,
        files=files,
        bytes=size,
    )


def _make_room(store: Store, takes: Sequence[Take]) -> None:
    """Refuse before anything is copied what the disk has no room for.

    Raises:
        StoreError: how much is needed, and how much is free.
    """
    try:
        store.folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(store.folder).free
    except OSError as error:
        raise _stopped(store, error, 0, len(takes)) from error
    needed = sum(take.bytes for take in takes)
    if free < needed + _SPARE_BYTES:
        raise StoreError(
            f"results folder {str(store.folder)!r}: {needed / 1e6:,.1f} MB are to be copied and "
            f"{free / 1e6:,.1f} MB are free; nothing was copied; free some room, or choose "
            "another folder with --results"
        )


def _is_of(error: OSError, source: Path) -> bool:
    """Whether an error is one of reading there."""
    return bool(error.filename) and Path(str(error.filename)).is_relative_to(source)


def _stopped(store: Store, error: OSError, came: int, of: int) -> StoreError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    what = "the disk is full" if full else f"it cannot be written: {error.strerror}"
    return StoreError(
        f"results folder {str(store.folder)!r}: {what}; {came} of {of} runs were copied, whole, "
        "and nothing was lost; "
        f"{'free some room' if full else 'mend that'} and collect again to go on"
    )
