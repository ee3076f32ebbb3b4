"""The report's own analysis (`bench.stats.track`) applied to the runs of a log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from bench.ownlog.own_tables import OwnTable
from bench.ownlog.question import HIGH, LogError, Question
from bench.ownlog.reading import Log
from bench.ownlog.tidy import tidy
from bench.records import Records
from bench.report.provenance import parts_by_protocol
from bench.stats import Tracking, track
from bench.stats.tracking import PRIMARY_ESTIMATE

_RESERVED = ("run_id", "step", "label", "seed", "name", "state", "dead_critic")


@dataclass(frozen=True)
class Analysis:
    """What came out.

    Attributes:
        question: what was asked.
        places: the files.
        trackings: a setting each, in the order of the logs, under the log's own column names.
        runs: run_id, label, seed, name and state of every run.
        curves: run_id, step, loss, quality of every evaluation, as logged.
        notes: sentences on how the logs were read.
        own: whether the log is a table of our own, with states.
    """

    question: Question
    places: tuple[str, ...]
    trackings: tuple[Tracking, ...]
    runs: pd.DataFrame
    curves: pd.DataFrame
    notes: tuple[str, ...]
    own: bool = False


def analyse(logs: Sequence[Log], question: Question) -> Analysis:
    """The figures of these logs; several logs are runs beside each other.

    Raises:
        LogError: the logs cannot be made into runs and evaluations.
    """
    own = [log.own for log in logs if log.own is not None and not log.own.divided]
    if own and len(logs) > 1:
        raise LogError(
            "several tables of wgan-bench: name one, or the columns with --group and --setting"
        )
    read = [note for log in logs for note in log.notes]
    places = tuple(log.place for log in logs)
    if own:
        found_own = _own(own[0], question)
        return replace(found_own, places=places, notes=(*read, *found_own.notes))
    if question.floor is not None:
        raise LogError(
            "--floor is of use for tables of wgan-bench alone, as they were collected: it tells "
            "dead critics by columns that no other log has"
        )
    found = tidy(logs, question)
    names = dict(zip(("loss", "quality"), _names(question), strict=True))
    trackings = _track(found.runs, found.curves.rename(columns=names), question, None)
    return Analysis(
        question, places, trackings, found.runs, found.curves, (*read, *found.notes), own=False
    )


def _own(table: OwnTable, question: Question) -> Analysis:
    """Our own tables, divided as the report divides them: a part for each protocol."""
    runs = table.runs.assign(name=table.runs["seed"].astype(str))
    ids = list(runs["protocol_id"].dropna()) if "protocol_id" in runs.columns else []
    protocols = [{"id": str(name)} for name in dict.fromkeys(ids)]
    parts, _ = parts_by_protocol(_records(table, runs, protocols))
    found: list[Tracking] = []
    notes = []
    for part in parts:
        name, rows = part.protocol.get("id"), part.runs
        if len(parts) > 1:
            # Scores of unlike protocols never meet: each protocol's settings are settings apart.
            rows = rows.assign(label=[f"{label} (protocol {name})" for label in rows["label"]])
        floor = table.floor(name, question.quality)
        if floor is None and question.floor is None:
            notes.append(
                f"The floor of {question.quality} is not in the table, so stretches with a dead "
                "critic are known by constant scores alone: collect it anew, or give --floor."
            )
        found += _track(rows, part.curves, question, floor)
    labels = {seed.run_id: tracking.label for tracking in found for seed in tracking.seeds}
    shown = runs[runs["run_id"].isin(labels)].assign(
        label=[labels[run_id] for run_id in runs["run_id"] if run_id in labels]
    )
    curves = table.curves[["run_id", "step", question.loss, question.quality]]
    curves = curves.set_axis(["run_id", "step", "loss", "quality"], axis="columns")
    scored = curves[curves["quality"].notna() & curves["run_id"].isin(labels)]
    columns = ["run_id", "label", "seed", "name", "state", "dead_critic"]
    return Analysis(
        question,
        (),
        tuple(found),
        shown[columns].reset_index(drop=True),
        scored.sort_values(["run_id", "step"]).reset_index(drop=True),
        tuple(dict.fromkeys(notes)),
        own=True,
    )


def _records(table: OwnTable, runs: pd.DataFrame, protocols: list[dict[str, Any]]) -> Records:
    """As much of a sweep's records as the tables hold."""
    return Records("", "", runs, table.curves, protocols, {}, {}, {}, {}, [])


def _track(
    runs: pd.DataFrame, curves: pd.DataFrame, question: Question, floor: float | None
) -> tuple[Tracking, ...]:
    """The statistics, both columns turned so that low is good."""
    loss, quality = _names(question)
    turned = curves.assign(
        **{
            name: (-1.0 if good == HIGH else 1.0) * curves[name]
            for name, good in ((loss, question.good_loss), (quality, question.good_quality))
        }
    )
    floor = question.floor if question.floor is not None else floor
    found = track(runs, turned, quality, estimate=loss, floor=floor)
    return tuple(_renamed(tracking, question) for tracking in found)


def _renamed(tracking: Tracking, question: Question) -> Tracking:
    """The figures under the log's own names, in the notes too, which speak of "the estimate"."""
    loss, quality = question.loss, question.quality
    seeds = tracking.seeds
    if loss != PRIMARY_ESTIMATE:
        seeds = tuple(replace(seed, note=_renamed_note(seed.note, loss)) for seed in seeds)
    return replace(tracking, seeds=seeds, estimate=loss, quality=quality)


def _names(question: Question) -> tuple[str, str]:
    """What the two columns are called in the statistics' tables: as in the log where that goes."""
    if {question.loss, question.quality} & set(_RESERVED):
        return f"column {question.loss}", f"column {question.quality}"
    return question.loss, question.quality


def _renamed_note(note: str, loss: str) -> str:
    for said, instead in (
        ("the estimate is constant", f"{loss} is constant"),
        ("a finite estimate", f"a finite {loss}"),
    ):
        note = note.replace(said, instead)
    return note
