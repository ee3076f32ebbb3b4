"""`status`, `collect` and `report`: what the runs of a sweep have left behind."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.files import last_row, write_bytes
from bench.grid import Sweep, load
from bench.run_folder import RunFolder
from bench.store import STATES, Planned, Store, StoreError
from bench.verbs.look import look_and_settle
from bench.verbs.request import Request
from bench.verbs.show import note, runs, say, show_json, show_table, tally


def status(request: Request) -> int:
    """Print counts by label and state, speeds, and the failed runs with their last lines."""
    sweep = load(request.sweep, request.overrides, request.only)
    planned, queue = look_and_settle(Store(request.results, sweep.name), sweep.runs)
    for text in queue.remarks:
        note(f"note: {text}")
    rows = [_progress(item) for item in planned]
    failed = [row for row in rows if row["state"] == "failed"]
    if request.as_json:
        counts = Counter(row["state"] for row in rows)
        show_json({"sweep": sweep.name, "counts": counts, "runs": rows})
        return 0
    _show_counts(rows, plain=request.plain)
    say("")
    say(f"{sweep.name}: {runs(len(rows))}: {tally((row['state'] for row in rows), STATES)}")
    for row in failed:
        say(f"failed: {row['run_id']} {row['label']}, seed {row['seed']}: {row['last_line']}")
    if failed:
        say(f"more: {request.logs_command(failed[0]['run_id'])}")
    return 0


def collect(request: Request) -> int:
    """Write runs.parquet, curves.parquet and, where there are any, profiles.json."""
    sweep = load(request.sweep, request.overrides, request.only)
    store = Store(request.results, sweep.name)
    records = store.collect(sweep.runs, sweep.question, pictures=False)
    paths = store.write_tables(records)
    profiles = store.write_profiles(records)
    if request.as_json:
        show_json(
            {
                "sweep": sweep.name,
                "runs": len(records.runs),
                "rows": len(records.curves),
                "files": [str(path) for path in (*paths, profiles) if path is not None],
                "notes": records.notes,
            }
        )
        return 0
    _notes(records.notes)
    say(f"{paths[0]}: {runs(len(records.runs))}: {tally(records.runs['state'], STATES)}")
    say(f"{paths[1]}: {len(records.curves):,} rows")
    if profiles is not None:
        say(f"{profiles}: the last profiles of {runs(len(records.profiles))}")
    return 0


def report(request: Request, reports: Path) -> int:
    """Collect, and write report.html and report.md."""
    from bench.report import render

    sweep = load(request.sweep, request.overrides, request.only)
    store = Store(request.results, sweep.name)
    records = store.collect(sweep.runs, sweep.question)
    _keep_tables(store, records)
    rendered = render(records)
    folder = reports / sweep.name
    texts = {"report.html": rendered.html.encode(), "report.md": rendered.markdown.encode()}
    _write(folder, rendered.files)
    paths = _write(folder, texts)
    if request.as_json:
        show_json(
            {
                "sweep": sweep.name,
                "files": [str(path) for path in paths],
                "notes": records.notes,
            }
        )
        return 0
    _notes(records.notes)
    _unfinished(request, sweep, [str(state) for state in records.runs["state"]])
    for path in paths:
        say(str(path))
    return 0


def _progress(item: Planned) -> dict[str, Any]:
    """A run's state and speed; of a finished one no file is read again."""
    folder, config = RunFolder(item.folder), item.spec.config
    final = item.final if item.state in ("done", "diverged") else None
    row = final or last_row(folder.train_rows) or {}
    step = max(int(row.get("step") or 0), item.step)
    seconds = row.get("training_seconds") or 0
    last_line = folder.last_words() if item.state == "failed" else ""
    return {
        "run_id": item.spec.run_id,
        "label": item.spec.label,
        "seed": config.seed,
        "state": item.state,
        "step": step,
        "steps": config.steps,
        "steps_per_second": row["step"] / seconds if seconds > 0 and row.get("step") else None,
        "last_line": last_line or item.reason,
        "folder": str(item.folder),
    }


def _show_counts(rows: Sequence[dict[str, Any]], *, plain: bool) -> None:
    met = [state for state in STATES if any(row["state"] == state for row in rows)]
    lines = []
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row["label"], []).append(row)
    for label, own in groups.items():
        counts = Counter(row["state"] for row in own)
        speeds = [row["steps_per_second"] for row in own if row["steps_per_second"]]
        total = sum(row["steps"] for row in own)
        lines.append(
            (
                label,
                *(counts[state] or "" for state in met),
                f"{100 * sum(row['step'] for row in own) / total:.0f}%" if total else "",
                f"{statistics.median(speeds):.1f}" if speeds else "",
            )
        )
    show_table(("label", *met, "steps done", "steps/s"), lines, plain=plain)


def _keep_tables(store: Store, records: Any) -> None:
    """The tables that the report was made from; it can do without where they cannot be written."""
    try:
        store.write_tables(records)
        store.write_profiles(records)
    except StoreError as error:
        note(f"note: {error}")


def _write(folder: Path, contents: Mapping[str, bytes]) -> list[Path]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            write_bytes(folder / name, content)
    except OSError as error:
        raise StoreError(
            f"reports folder {str(folder)!r} cannot be written: {error.strerror or error}; "
            "choose another with --reports"
        ) from None
    return [folder / name for name in contents]


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
