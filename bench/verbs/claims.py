"""`report --claims`: the verdicts on the field's claims, of one sweep or of all that were run."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.grid import SweepError, load
from bench.store import Store
from bench.tables import number, probability, span
from bench.verbs.look import look_and_settle
from bench.verbs.reading import notes, write_report
from bench.verbs.request import Request
from bench.verbs.show import Grid, note, runs, say, show_blocks, show_json

if TYPE_CHECKING:
    from bench.claims import Judged
    from bench.records import Records

NAME = "claims"  # of the report's folder


def report_claims(request: Request, reports: Path, sweeps: Path) -> int:
    """Judge every declared claim by the sweeps in a folder, show the verdicts, write a report.

    Raises:
        SweepError: the folder holds no sweep, or one that cannot be used.
        StoreError: a results folder cannot be read, or the reports folder not written.
    """
    from bench.report import render_claims
    from bench.report.claims import claims_by_sweep

    found = _collected(request.results, sweeps)
    judged = claims_by_sweep(found)
    paths = write_report(reports / NAME, render_claims(found))
    if request.as_json:
        show_json({"claims": plain_verdicts(judged), "files": [str(path) for path in paths]})
        return 0
    for records in found.values():
        notes(records.notes)
    not_run = {item.claim.sweep for item in judged} - {*found, ""}
    show_verdicts(judged, plain=request.plain, not_run=not_run)
    for path in paths:
        say(str(path))
    return 0


def show_verdicts(judged: Sequence[Judged], *, plain: bool, not_run: Collection[str] = ()) -> None:
    """A row for each claim, and what those lack that could not be decided.

    Args:
        not_run: names of sweeps of which it has been said already that they lack.
    """
    if not judged:
        say("The sweep lists no claims.")
        return
    rows = [
        (item.claim.name, item.word, _found(item), item.seeds or "", _p(item.p_holm))
        for item in judged
    ]
    columns = ("claim", "verdict", "found", "seeds", "p after Holm")
    show_blocks([Grid(columns, rows, ("p after Holm", "seeds", "found"))], plain=plain)
    for item in judged:
        if item.why and item.claim.sweep not in not_run:
            note(f"{item.claim.name}: {item.word}, {item.why}")


def plain_verdicts(judged: Sequence[Judged]) -> list[dict[str, Any]]:
    """The verdicts as JSON holds them."""
    return [
        {
            "claim": item.claim.name,
            "family": item.claim.family,
            "sentence": item.claim.sentence,
            "scope": item.claim.scope,
            "source": item.claim.source,
            "sweep": item.claim.sweep or None,
            "verdict": item.word,
            "why": item.why,
            "p": _finite(item.p),
            "p_holm": _finite(item.p_holm),
            "evidence": [
                {
                    "effect": part.effect,
                    "value": _finite(part.read.center),
                    "low": _finite(part.read.low),
                    "high": _finite(part.read.high),
                    "scale": part.scale,
                    "claimed": part.claimed,
                    "seeds": len(part.values),
                    "lost": sum(part.lost),
                    "finding": finding.word,
                    "p": _finite(finding.p),
                    "note": part.note,
                }
                for part, finding in zip(item.evidence, item.findings, strict=True)
            ],
        }
        for item in judged
    ]


def _collected(results: Path, sweeps: Path) -> dict[str, Records]:
    """The records of every sweep in the folder of which there is anything."""
    files = sorted(sweeps.glob("*.yaml")) if sweeps.is_dir() else []
    if not files:
        raise SweepError(
            f"{str(sweeps)!r} holds no sweep file: give the folder of the claims' sweeps with "
            "--claim-sweeps DIR (the repository has them in sweeps/claims)"
        )
    found = {}
    for file in files:
        sweep = load(file)
        store = Store(results, sweep.name)
        if not store.folder.is_dir():
            note(f"note: {sweep.name} has not been run: wgan-bench run {file}")
            continue
        look_and_settle(store, sweep.runs)
        records = store.collect(sweep.runs, sweep.question, pictures=False)
        left = sum(state not in ("done", "diverged") for state in records.runs["state"])
        if left:
            note(
                f"note: {left} of {runs(len(sweep.runs))} of {sweep.name} are not finished: "
                f"wgan-bench run {file}"
            )
        found[sweep.name] = replace(records, claims=tuple(sweep.claims))
    return found


def _found(item: Judged) -> str:
    """The first part's effect; how many parts there are beside it."""
    if not item.evidence:
        return ""
    read = item.evidence[0].read
    held = span(read.low, read.high)
    more = len(item.evidence) - 1
    value = f"{number(read.center)} ({held})" if held else number(read.center)
    return f"{value} and {more} more" if more else value


def _p(value: float) -> str:
    return "" if math.isnan(value) else probability(value)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
