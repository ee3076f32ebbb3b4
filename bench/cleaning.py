"""What may be removed from the results of a sweep, and removing it.

Nothing is touched of a run that somebody may be at: whoever removes something holds the run's lease
meanwhile, and looks again under it. A folder that goes whole is renamed first, so that a kill
leaves no half of a run in a run's place.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.asides import (
    INCOMING,
    REMOVED,
    REPLACED,
    aside,
    asides,
    is_real_folder,
    run_folders,
    run_id_of,
)
from bench.lease import LeaseHeld, Observer, describe, take_lease
from bench.queues import closed_submissions
from bench.run_folder import FINAL_STATES, RunFolder
from bench.store import Planned, Store

LEFTOVERS, GAVE_WAY, CHECKPOINTS, SAMPLES, FAILED, UNLISTED = KINDS = (
    "leftovers",
    "replaced",
    "checkpoints",
    "samples",
    "failed",
    "unlisted",
)
_WHOLE = (FAILED, UNLISTED)  # kinds of which the run's whole folder goes
_FINISHED = ("done", "diverged")
_YOUNG_SECONDS = 60.0  # what is newer may be in use, as a file that is about to be renamed is
_LEASES = ("lease.expired-", "lease.released-", "lease.new-")

Kept = dict[Path, str]  # what is left alone although something of it could go, and why


@dataclass(frozen=True)
class Removable:
    """What may go of one folder.

    Attributes:
        folder: of the run; for what stands beside the runs, that of the sweep or its own.
        state: of the run, where that is known.
        paths: files, and folders that go with all that is in them.
    """

    kind: str
    folder: Path
    paths: tuple[Path, ...]
    files: int
    bytes: int
    state: str = ""

    @property
    def run_id(self) -> str | None:
        """The run's id; None for what is not in a run folder."""
        return run_id_of(self.folder.name)


def removable(
    store: Store,
    planned: Sequence[Planned],
    kinds: Collection[str],
    listed: Collection[str] | None,
    queued: Mapping[str, str],
) -> tuple[list[Removable], Kept]:
    """What may be removed, run by run; nothing is changed.

    Args:
        planned: the runs that are asked about.
        kinds: of KINDS.
        listed: the ids of all runs of the sweep file; None: nothing but the runs of the plan is
            looked at, whatever stands beside them.
        queued: by run id, in whose queue a run waits.

    Raises:
        OSError: the results cannot be read.
    """
    if not store.folder.is_dir():
        return [], {}
    found: list[Removable] = []
    kept: Kept = {}
    observer = Observer()
    items = {item.folder: item for item in planned}
    for path in run_folders(store.folder):
        if path not in items and listed is None:
            continue
        run_id = run_id_of(path.name) or ""
        unlisted = listed is not None and run_id not in listed
        own = list(_of_run(path, items.get(path), kinds, unlisted=unlisted))
        why = _untouchable(path, observer) or queued.get(run_id, "") if own else ""
        if why:
            kept[path] = why
        else:
            found += own
    if listed is not None:
        found += _beside(store.folder, kinds, observer)
        if LEFTOVERS in kinds:
            closed = closed_submissions(store.folder, store.finished())
            found += [_measured(LEFTOVERS, path, [path]) for path in closed if _is_old(path)]
    return found, kept


def remove(found: Iterable[Removable]) -> tuple[list[Removable], Kept]:
    """Remove it; returns what went, and what was left after all."""
    gone: list[Removable] = []
    kept: Kept = {}
    for item in found:
        try:
            if item.run_id is None:
                _remove_paths(item.paths)
            elif not _remove_of_run(item):
                kept[item.folder] = "it has changed meanwhile"
                continue
        except LeaseHeld as holder:
            kept[item.folder] = f"{holder} is at it now"
        except FileNotFoundError:
            kept[item.folder] = "it was removed or renamed meanwhile"
        except OSError as error:
            kept[item.folder] = f"{error.filename or item.folder}: {error.strerror}"
        else:
            gone.append(item)
    return gone, kept


def _of_run(
    path: Path, item: Planned | None, kinds: Collection[str], *, unlisted: bool
) -> Iterator[Removable]:
    """What may go of one run folder; of a link to one its name alone, to be told about."""
    folder = RunFolder(path)
    if unlisted and UNLISTED in kinds and folder.spec.is_file():
        state = folder.standing(run_id_of(path.name) or "", Observer()).state
        yield _measured(UNLISTED, path, [path], state)
        return
    state = item.state if item is not None and item.action != "refuse" else ""
    if state == "failed" and FAILED in kinds:
        yield _measured(FAILED, path, [path], state)
        return
    wanted: list[tuple[str, Sequence[Path]]] = [(LEFTOVERS, _left_behind(path))]
    if state in _FINISHED:
        wanted += [(CHECKPOINTS, folder.checkpoints()), (SAMPLES, folder.samples()[:-1])]
    for kind, paths in wanted:
        if kind in kinds and paths:
            yield _measured(kind, path, paths, state)


def _beside(folder: Path, kinds: Collection[str], observer: Observer) -> Iterator[Removable]:
    """What stands beside the runs: files of killed writers, runs on their way in or out."""
    if LEFTOVERS in kinds:
        files = [path for path in folder.glob("*.tmp") if _is_old(path)]
        if files:
            yield _measured(LEFTOVERS, folder, files)
        for path in (*asides(folder, REMOVED), *asides(folder, INCOMING)):
            if observer.look(path).state in ("free", "expired") and _is_old(path):
                yield _measured(LEFTOVERS, path, [path])
    if GAVE_WAY in kinds:
        for path in asides(folder, REPLACED):
            yield _measured(GAVE_WAY, path, [path])


def _left_behind(folder: Path) -> list[Path]:
    """What writers that were killed left in a run folder."""
    found: list[Path] = []
    for subfolder in ("", "checkpoints", "samples"):
        place = folder / subfolder
        if not is_real_folder(place):
            continue
        names = [entry.name for entry in os.scandir(place)]
        found += [place / name for name in names if _is_left_behind(name)]
    return sorted(path for path in found if _is_old(path))


def _is_left_behind(name: str) -> bool:
    return name.endswith((".tmp", ".ckpt.bad")) or name.startswith(_LEASES)


def _is_old(path: Path) -> bool:
    """Whether it was neither written nor renamed within a minute."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return False
    return time.time() - max(status.st_mtime, status.st_ctime) > _YOUNG_SECONDS


def _untouchable(path: Path, observer: Observer) -> str:
    """Why a run folder must be left alone; empty where it need not."""
    if path.is_symlink():
        return "it is a link, whose target is not this program's to remove"
    match observer.look(path).state:
        case "held":
            return f"{describe(path)} is at it"
        case "unsure":
            return f"{describe(path)} may be at it"
    return ""


def _remove_of_run(item: Removable) -> bool:
    """Remove it under the run's lease; False where it is not any more what it was."""
    if item.kind not in _WHOLE:
        with take_lease(item.folder):
            return _is_still(item) and _remove_paths(item.paths)
    hidden = aside(item.folder.parent, REMOVED, item.run_id or "")
    with take_lease(item.folder):
        if not _is_still(item):
            return False
        item.folder.rename(hidden)  # the lease goes with it
    return _remove_paths([hidden])


def _is_still(item: Removable) -> bool:
    """Whether a run has, now that nobody can be at it, the state in which it was met."""
    if item.kind == LEFTOVERS:
        return True
    final = RunFolder(item.folder).final(item.run_id or "")[0]
    met = item.state if item.state in FINAL_STATES else None
    return (None if final is None else final["state"]) == met


def _remove_paths(paths: Iterable[Path]) -> bool:
    for path in paths:
        if is_real_folder(path):
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    return True


def _measured(kind: str, folder: Path, paths: Sequence[Path], state: str = "") -> Removable:
    sizes = [size for path in paths for size in _sizes(path)]
    return Removable(kind, folder, tuple(paths), len(sizes), sum(sizes), state)


def _sizes(path: Path) -> Iterator[int]:
    """The bytes of a file, or of each file below a folder; a link counts as itself."""
    below = (
        (os.path.join(root, name) for root, _, names in os.walk(path) for name in names)  # noqa: PTH118
        if is_real_folder(path)
        else (str(path),)
    )
    for name in below:
        try:
            yield os.lstat(name).st_size
        except FileNotFoundError:
            continue
