"""`clean`: what killed writers left and, where asked for, more; asks before it removes anything."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from bench.cleaning import (
    CHECKPOINTS,
    FAILED,
    GAVE_WAY,
    LEFTOVERS,
    SAMPLES,
    UNLISTED,
    Kept,
    Removable,
    removable,
    remove,
)
from bench.grid import Sweep, load
from bench.store import Store
from bench.verbs.look import look
from bench.verbs.request import Request
from bench.verbs.show import Grid, note, runs, say, show_blocks, show_json, size

_ABOUT = {
    LEFTOVERS: "of killed writers: temporary files, old leases",
    GAVE_WAY: "unfinished, replaced by finished ones at collect",
    CHECKPOINTS: "of finished runs",
    SAMPLES: "pictures of finished runs but the last of each",
    FAILED: "failed runs with all that they hold",
}
_MEANING = {
    CHECKPOINTS: "without its checkpoint a finished run must be trained again to be scored anew",
    FAILED: "a failed run that is removed begins at step 0",
}
_NAMED = 20  # folders that are left alone


def clean(request: Request, kinds: Sequence[str], *, yes: bool, dry_run: bool) -> int:
    """Show what may go, ask, remove it, and say what was freed.

    Args:
        kinds: beyond leftovers; of `bench.cleaning.KINDS`.
        yes: every question is answered so.
        dry_run: nothing is asked or removed.

    Raises:
        click.UsageError: there is nobody to ask, or `--unlisted` together with a part of the file.
    """
    if UNLISTED in kinds and (request.only or request.overrides):
        raise click.UsageError(
            "--unlisted asks what the sweep file as it stands does not list: "
            "leave out --only and --set"
        )
    sweep = load(request.sweep, request.overrides, request.only)
    store = Store(request.results, sweep.name)
    found, kept = _find(request, sweep, store, (LEFTOVERS, GAVE_WAY, *kinds))
    chosen = [item for item in found if item.kind != UNLISTED]
    unlisted = [item for item in found if item.kind == UNLISTED]
    if not request.as_json:
        _show(sweep, store, chosen, unlisted, kept, plain=request.plain)
    if found and not (yes or dry_run) and (request.as_json or not _is_terminal()):
        raise click.UsageError(
            "nothing was removed: there is nobody to ask; --yes removes it, --dry-run only shows it"
        )
    going: list[Removable] = []
    if not dry_run:
        if chosen and (yes or _agrees(f"remove {_sum(chosen)}?")):
            going += chosen
        if unlisted and (yes or _agrees(_unlisted_question(sweep, unlisted))):
            going += unlisted
    gone, left = remove(going)
    if request.as_json:
        show_json(_as_json(sweep, found, gone, kept | left, dry_run=dry_run))
    else:
        _tell(gone, left, asked=bool(found) and not dry_run)
    return 1 if left else 0


def _find(
    request: Request, sweep: Sweep, store: Store, kinds: Sequence[str]
) -> tuple[list[Removable], Kept]:
    planned, queue = look(store, sweep.runs)
    for text in queue.remarks:
        note(f"note: {text}")
    # Of any run, listed or not: what waits was frozen, and is trained whatever the file says now.
    queued = {
        run_id: entry.reason for run_id, entry in queue.entries.items() if entry.state == "queued"
    }
    whole = not request.only and not request.overrides
    listed = {spec.run_id for spec in sweep.runs} if whole else None
    return removable(store, planned, kinds, listed, queued)


def _show(
    sweep: Sweep,
    store: Store,
    chosen: Sequence[Removable],
    unlisted: Sequence[Removable],
    kept: Kept,
    *,
    plain: bool,
) -> None:
    _show_kept(kept)
    if chosen:
        rows = [
            (kind, f"{len(own):,}", f"{_files(own):,}", size(_bytes(own)), about)
            for kind, about in _ABOUT.items()
            if (own := [item for item in chosen if item.kind == kind])
        ]
        show_blocks([Grid(("what", "folders", "files", "size", "that is"), rows)], plain=plain)
        for kind, meaning in _MEANING.items():
            if any(item.kind == kind for item in chosen):
                say(f"{kind}: {meaning}")
    if unlisted:
        say(f"{runs(len(unlisted))} in {store.folder} that {sweep.path} does not list:")
        for item in unlisted:
            say(f"  {item.folder}: {item.state}, {size(item.bytes)}")
    if not chosen and not unlisted:
        say(f"{sweep.name}: there is nothing to remove in {store.folder}")


def _show_kept(kept: Kept) -> None:
    for path, why in list(kept.items())[:_NAMED]:
        note(f"left alone: {path}: {why}")
    if len(kept) > _NAMED:
        note(f"left alone: and {len(kept) - _NAMED:,} more; --json names them all")


def _unlisted_question(sweep: Sweep, unlisted: Sequence[Removable]) -> str:
    results = sum(item.state in ("done", "diverged") for item in unlisted)
    held = f", {results:,} of them finished, with their results," if results else ""
    return f"remove {runs(len(unlisted))} that {sweep.path} does not list{held} for good?"


def _is_terminal() -> bool:
    return sys.stdin.isatty()


def _agrees(question: str) -> bool:
    """The user's answer; whoever closes the terminal does not agree."""
    try:
        return click.confirm(question, err=True)
    except click.Abort as abort:
        note("")  # the end of the question's line
        if isinstance(abort.__context__, EOFError):
            return False
        raise KeyboardInterrupt from None


def _tell(gone: Sequence[Removable], left: Kept, *, asked: bool) -> None:
    _show_kept(left)
    if gone:
        say(f"removed {_sum(gone)}")
    elif asked:
        say("nothing was removed")


def _as_json(
    sweep: Sweep,
    found: Sequence[Removable],
    gone: Sequence[Removable],
    kept: Kept,
    *,
    dry_run: bool,
) -> dict[str, Any]:
    return {
        "sweep": sweep.name,
        "dry_run": dry_run,
        "found": [_plain(item) for item in found],
        "removed": [_plain(item) for item in gone],
        "bytes_freed": _bytes(gone),
        "left_alone": {str(path): why for path, why in kept.items()},
    }


def _plain(item: Removable) -> dict[str, Any]:
    return {
        "kind": item.kind,
        "folder": str(item.folder),
        "state": item.state,
        "paths": [str(path) for path in item.paths],
        "files": item.files,
        "bytes": item.bytes,
    }


def _sum(items: Sequence[Removable]) -> str:
    """`12 files of 3 folders (1.2 MB)`."""
    files, folders = _files(items), len({item.folder for item in items})
    return (
        f"{files:,} {'file' if files == 1 else 'files'} "
        f"of {folders:,} {'folder' if folders == 1 else 'folders'} ({size(_bytes(items))})"
    )


def _files(items: Sequence[Removable]) -> int:
    return sum(item.files for item in items)


def _bytes(items: Sequence[Removable]) -> int:
    return sum(item.bytes for item in items)
