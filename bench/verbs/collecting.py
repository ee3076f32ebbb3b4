"""`collect`: one table of all runs, those from other machines' results merged in first."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from bench.asides import REPLACED, asides
from bench.environment import PACK
from bench.grid import Sweep, load
from bench.merge import Findings, examine, merge
from bench.store import STATES, Store
from bench.transfer import Take
from bench.verbs.look import look, look_and_settle
from bench.verbs.request import Request
from bench.verbs.show import note, runs, say, show_json, size, tally

_NAMED = 8  # folders that are named in one note


def collect(request: Request, others: Sequence[Path] = ()) -> int:
    """Merge, then write runs.parquet, curves.parquet and, where there are any, profiles.json.

    Args:
        others: results folders of other machines, or this sweep's folder in them.
    """
    sweep = load(request.sweep, request.overrides, request.only)
    store = Store(request.results, sweep.name)
    found, came = _merged(request, sweep, store, others) if others else (Findings(), [])
    _, queue = look_and_settle(store, sweep.runs)
    records = store.collect(sweep.runs, sweep.question, pictures=False)
    paths = store.write_tables(records)
    profiles = store.write_profiles(records)
    notes = [*queue.remarks, *records.notes, *mixed_numerics(records.environments)]
    if request.as_json:
        content = {
            "sweep": sweep.name,
            "runs": len(records.runs),
            "rows": len(records.curves),
            "files": [str(path) for path in (*paths, profiles) if path is not None],
            "notes": notes,
        }
        show_json(content | ({"merged": _as_json(found, came)} if others else {}))
        return 0
    if others:
        _tell(request, store, found, came)
    for text in notes:
        note(f"note: {text}")
    say(f"{paths[0]}: {runs(len(records.runs))}: {tally(records.runs['state'], STATES)}")
    say(f"{paths[1]}: {len(records.curves):,} rows")
    if profiles is not None:
        say(f"{profiles}: the last profiles of {runs(len(records.profiles))}")
    return 0


def mixed_numerics(environments: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A sentence where runs were trained under circumstances that can change their bits."""
    counts: dict[str, Counter[str]] = {}
    for environment in environments.values():
        numerics = environment.get("numerics")
        for name, value in numerics.items() if isinstance(numerics, Mapping) else ():
            if name == PACK:
                continue  # packs of unlike sizes are the rule
            counts.setdefault(str(name), Counter())[str(value)] += 1
    mixed = [
        f"{name} {', '.join(f'{value} ({runs(count)})' for value, count in values.items())}"
        for name, values in counts.items()
        if len(values) > 1
    ]
    return [f"the runs were not all trained alike: {'; '.join(mixed)}"] if mixed else []


def _merged(
    request: Request, sweep: Sweep, store: Store, others: Sequence[Path]
) -> tuple[Findings, list[Take]]:
    listed = {spec.run_id for spec in sweep.runs}
    if request.only:
        listed |= {spec.run_id for spec in load(request.sweep, request.overrides).runs}
    planned, _ = look(store, sweep.runs)
    found = examine(store, planned, listed, others)
    quiet = request.as_json or request.plain or not sys.stderr.isatty()
    takes = found.takes if not found.conflicts else {}
    if quiet or not takes:
        return found, merge(store, found)
    with click.progressbar(length=len(takes), label="copying", file=sys.stderr) as bar:
        return found, merge(store, found, lambda _: bar.update(1))


def _tell(request: Request, store: Store, found: Findings, came: Sequence[Take]) -> None:
    """What was merged, and what was not and why."""
    for folder, why in found.left.items():
        note(f"left alone: {folder}: {why}")
    if found.unlisted:
        named = ", ".join(str(path) for path in found.unlisted[:_NAMED])
        more = f" and {len(found.unlisted) - _NAMED:,} more" if found.unlisted[_NAMED:] else ""
        note(f"left alone, not listed by {request.sweep}: {named}{more}")
    facts = [f"{runs(len(came))} taken" + (f" ({size(_bytes(came))})" if came else "")]
    for text, ids in (
        ("the same as ours", found.same),
        ("kept, since ours is finished", found.behind),
        ("not begun there", found.not_begun),
    ):
        facts += [f"{len(ids):,} {text}"] if ids else []
    facts += [f"{len(found.left):,} left alone"] if found.left else []
    say(f"merged: {', '.join(facts)}")
    if replaced := asides(store.folder, REPLACED):
        say(
            f"unfinished here, and replaced: {runs(len(replaced))}, kept hidden in {store.folder}; "
            f"to remove: {request.command('clean')}"
        )


def _bytes(takes: Sequence[Take]) -> int:
    return sum(take.bytes for take in takes)


def _as_json(found: Findings, came: Sequence[Take]) -> dict[str, Any]:
    return {
        "taken": [
            {"run_id": take.run_id, "from": str(take.source), "to": str(take.target)}
            for take in came
        ],
        "bytes": _bytes(came),
        "same": sorted(found.same),
        "behind": sorted(found.behind),
        "not_begun": sorted(found.not_begun),
        "left_alone": {str(folder): why for folder, why in found.left.items()},
        "unlisted": [str(path) for path in found.unlisted],
    }
