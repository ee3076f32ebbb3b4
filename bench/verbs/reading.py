"""`report`: what the runs of a sweep have left behind, for readers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.grid import Sweep, load
from bench.store import STATES, Store, StoreError
from bench.verbs.look import look_and_settle
from bench.verbs.request import Request
from bench.verbs.show import note, runs, say, show_json, tally


def report(request: Request, reports: Path) -> int:
    """Collect, and write report.html, report.md and the files beside them."""
    from bench.report import render

    sweep = load(request.sweep, request.overrides, request.only)
    store = Store(request.results, sweep.name)
    look_and_settle(store, sweep.runs)
    records = store.collect(sweep.runs, sweep.question)
    _keep_tables(store, records)
    rendered = render(records)
    folder = reports / sweep.name
    texts = {"report.html": rendered.html.encode(), "report.md": rendered.markdown.encode()}
    stale = _write(folder, rendered.files | texts)
    paths = [folder / name for name in texts]
    notes = [*records.notes, *_stale(stale)]
    if request.as_json:
        show_json(
            {
                "sweep": sweep.name,
                "files": [str(path) for path in paths],
                "notes": notes,
            }
        )
        return 0
    _notes(notes)
    _unfinished(request, sweep, [str(state) for state in records.runs["state"]])
    for path in paths:
        say(str(path))
    return 0


def _keep_tables(store: Store, records: Any) -> None:
    """The tables that the report was made from; it can do without where they cannot be written."""
    try:
        store.write_tables(records)
        store.write_profiles(records)
    except StoreError as error:
        note(f"note: {error}")


def _write(folder: Path, contents: Mapping[str, bytes]) -> list[Path]:
    from bench.report.writing import write_report

    try:
        return write_report(folder, contents)
    except OSError as error:
        raise StoreError(
            f"reports folder {str(folder)!r} cannot be written: {error.strerror or error}; "
            "choose another with --reports"
        ) from None


def _stale(paths: Sequence[Path]) -> list[str]:
    return [
        f"{path} is of an earlier report and was changed since: it is left, and no part of this one"
        for path in paths
    ]


def _unfinished(request: Request, sweep: Sweep, states: Sequence[str]) -> None:
    left = [state for state in states if state not in ("done", "diverged")]
    if left:
        note(
            f"note: {len(left)} of {runs(len(states))} of {sweep.name} are not finished "
            f"({tally(left, STATES)}): {request.command('run')}"
        )


def _notes(notes: Sequence[str]) -> None:
    for text in notes:
        note(f"note: {text}")
