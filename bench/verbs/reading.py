"""`report`: what the runs of a sweep have left behind, for readers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.grid import Sweep, load
from bench.store import STATES, Store, StoreError
from bench.verbs.look import look_and_settle
from bench.verbs.request import Request
from bench.verbs.show import note, runs, say, show_json, tally

if TYPE_CHECKING:
    from bench.claims import Judged
    from bench.records import Records
    from bench.report import Rendered


def report(request: Request, reports: Path, *, claims: bool = False) -> int:
    """Collect and write the report; with `claims` show their verdicts too."""
    from bench.report import render

    sweep = load(request.sweep, request.overrides, request.only)
    store = Store(request.results, sweep.name)
    look_and_settle(store, sweep.runs)
    records = replace(
        store.collect(sweep.runs, sweep.question),
        claims=tuple(sweep.claims),
        file=request.sweep.as_posix(),
    )
    _keep_tables(store, records)
    paths = write_report(reports / sweep.name, render(records))
    judged = _judged(records) if claims else []
    if request.as_json:
        from bench.verbs.claims import plain_verdicts

        shown = {
            "sweep": sweep.name,
            "files": [str(path) for path in paths],
            "notes": records.notes,
        }
        show_json(shown | ({"claims": plain_verdicts(judged)} if claims else {}))
        return 0
    notes(records.notes)
    _unfinished(request, sweep, [str(state) for state in records.runs["state"]])
    if claims:
        from bench.verbs.claims import show_verdicts

        show_verdicts(judged, plain=request.plain)
    for path in paths:
        say(str(path))
    return 0


def write_report(folder: Path, rendered: Rendered) -> list[Path]:
    """Write a report into its folder; returns the paths of its two texts.

    What an earlier report left there goes, unless somebody has changed it.

    Raises:
        StoreError: the folder cannot be written.
    """
    from bench.report.writing import write_files

    texts = {"report.html": rendered.html.encode(), "report.md": rendered.markdown.encode()}
    try:
        changed = write_files(folder, rendered.files | texts)
    except OSError as error:
        raise StoreError(
            f"reports folder {str(folder)!r} cannot be written: {error.strerror or error}; "
            "choose another with --reports"
        ) from None
    for path in changed:
        note(
            f"note: {path} is of an earlier report and was changed since; it is no part of this one"
        )
    return [folder / name for name in texts]


def notes(said: Sequence[str]) -> None:
    """What was found while reading, on standard error."""
    for text in said:
        note(f"note: {text}")


def _judged(records: Records) -> list[Judged]:
    from bench.report.claims import judged_here

    return judged_here(records)


def _keep_tables(store: Store, records: Any) -> None:
    """The tables that the report was made from; it can do without where they cannot be written."""
    try:
        store.write_tables(records)
        store.write_profiles(records)
    except StoreError as error:
        note(f"note: {error}")


def _unfinished(request: Request, sweep: Sweep, states: Sequence[str]) -> None:
    left = [state for state in states if state not in ("done", "diverged")]
    if left:
        note(
            f"note: {len(left)} of {runs(len(states))} of {sweep.name} are not finished "
            f"({tally(left, STATES)}): {request.command('run')}"
        )
