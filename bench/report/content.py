"""What a report says, before it is HTML or Markdown: words, tables and pictures from records."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from bench.figures import palette
from bench.records import RUN_COLUMNS, Records
from bench.report.claims import ClaimsPart, claims_by_sweep, claims_part, part_of, sweep_file
from bench.report.comparison import ComparisonSection, comparison_section
from bench.report.distances import distances_table
from bench.report.pictures import (
    Colours,
    Picture,
    Sample,
    curves_picture,
    scatter_picture,
    seeds_picture,
)
from bench.report.profiles import ProfileSection, profile_section
from bench.report.provenance import (
    Part,
    environment_table,
    mixed_numerics,
    packs_in_words,
    parts_by_protocol,
    protocol_differences,
    protocol_fields,
    resumed_runs,
)
from bench.report.published import PublishedSection, published_section
from bench.report.selection import drawn
from bench.report.sentences import (
    DISCRIMINATOR,
    SIGN,
    STANDARD_GAN_LOSSES,
    Answer,
    answer,
    counted,
    lead,
    listed,
    quality_name,
    verdict_rules,
)
from bench.report.sweep_tables import (
    BASELINE_NAMES,
    correlations_table,
    fields_table,
    file_of,
    recipes_table,
    runs_table,
    scores_table,
    seeds_table,
    ways_to,
)
from bench.report.tracking_details import TrackingDetails, tracking_details
from bench.stats import quality_column, summarise, track
from bench.tables import Table
from wgan.losses import Loss

_NO_RUNS = pd.DataFrame(columns=[*RUN_COLUMNS, "reason"])
MOST_SAMPLES = 120  # sample grids in the fold-out; beyond it the page would get too heavy to mail


@dataclass(frozen=True)
class Section:
    """What is said of the runs that one protocol scored.

    `trouble` says in words why something that a reader expects is not there.
    """

    key: str
    title: str
    trouble: tuple[str, ...]
    quality: str
    lead: str
    sign: str
    answers: tuple[Answer, ...]
    recipes: Table | None
    comparison: ComparisonSection
    pictures: tuple[Picture, ...]
    correlations: Table | None
    seeds: Table | None
    details: TrackingDetails | None
    samples: tuple[Sample, ...]
    all_samples: tuple[Sample, ...]
    samples_left_out: int
    published: PublishedSection | None
    scores: Table | None
    extrapolated: bool
    protocol: Table | None


@dataclass(frozen=True)
class Failure:
    """A run that is not simply done: a sentence, and lines to be copied that lead to it."""

    sentence: str
    ways: tuple[str, ...] = ()


@dataclass(frozen=True)
class Page:
    """A whole report; `claims`, `profiles` and `distances` are None where there are none."""

    sweep: str
    question: str
    summary: str
    warnings: tuple[str, ...]
    sections: tuple[Section, ...]
    profiles: ProfileSection | None
    distances: Table | None
    claims: ClaimsPart | None
    differences: Table | None
    failures: tuple[Failure, ...]
    rules: Sequence[tuple[str, str]]
    commands: tuple[str, ...]
    environment: Table | None
    runs: Table
    notes: tuple[str, ...]
    colours: Colours


def page(records: Records) -> Page:
    """The report on these records."""
    colours = palette(str(label) for label in records.runs["label"])
    file = _named(records)
    parts, unscored = parts_by_protocol(records)
    parts = [part for part in parts if not _is_frozen(part)]
    several = len(parts) > 1
    mixed = mixed_numerics(records.environments)
    warnings = []
    if not parts:
        warnings.append(
            "Every run trains a critic against a frozen generator. Its samples never change, so "
            "there is no quality to hold the loss against."
        )
    if several:
        warnings.append(
            f"These runs were scored by {len(parts)} protocols, which are not comparable. They are "
            "reported apart, one after the other, and no number of one should be held against a "
            "number of another; what tells the protocols apart stands at the end."
        )
    if mixed:
        warnings.append(
            "Numerics are mixed, so that equal settings need not give equal bits: "
            f"{'; '.join(mixed)}."
        )
    return Page(
        sweep=records.sweep,
        question=records.question.strip(),
        summary=_summary(records),
        warnings=tuple(warnings),
        sections=tuple(_section(records, part, colours, several=several) for part in parts),
        profiles=profile_section(records, colours),
        distances=distances_table(records.runs, records.curves),
        claims=claims_part(records),
        differences=protocol_differences(parts) if several else None,
        failures=tuple(_failures(records, unscored, file)),
        rules=verdict_rules(),
        commands=(
            f"wgan-bench run {file(records.sweep)}",
            f"wgan-bench report {file(records.sweep)}",
        ),
        environment=environment_table(records.environments),
        runs=runs_table(records.runs, records.folders, file),
        notes=(*records.notes, *filter(None, [packs_in_words(records.environments)])),
        colours=colours,
    )


def _named(records: Records) -> Callable[[str], str]:
    """Where the sweep's file lies, as a word of a command: as the user named it."""
    if not records.file:
        return file_of
    return lambda _: shlex.quote(records.file)


def claims_page(sweeps: Mapping[str, Records]) -> Page:
    """The report on all declared claims, given the records of the sweeps that have been run."""
    claims = part_of(claims_by_sweep(sweeps))
    several = list(sweeps.values())
    runs = pd.concat([records.runs for records in several]) if several else _NO_RUNS
    folders = {run_id: path for records in several for run_id, path in records.folders.items()}
    environments = {
        run_id: environment
        for records in several
        for run_id, environment in records.environments.items()
    }
    mixed = mixed_numerics(environments)
    return Page(
        sweep="claims",
        question="Which of the field's claims hold here?",
        summary=f"{claims.lead} {counted(len(runs), 'run')} of {counted(len(several), 'sweep')}.",
        warnings=tuple(f"Numerics are mixed: {'; '.join(mixed)}." for _ in mixed[:1]),
        sections=(),
        profiles=None,
        distances=None,
        claims=claims,
        differences=None,
        failures=tuple(
            replace(said, sentence=f"{records.sweep}: {said.sentence}")
            for records in several
            for said in _failures(records, records.runs.iloc[:0], sweep_file)
        ),
        rules=(),
        commands=(
            *(f"wgan-bench run {sweep_file(name)}" for name in sweeps),
            "wgan-bench report --claims",
        ),
        environment=environment_table(environments),
        runs=runs_table(runs, folders, sweep_file),
        notes=(
            *(note for records in several for note in records.notes),
            *filter(None, [packs_in_words(environments)]),
        ),
        colours=palette(str(label) for label in runs["label"]),
    )


def _is_frozen(part: Part) -> bool:
    """Whether all runs of the part, and at least one, are against a frozen generator."""
    if "generator" not in part.runs.columns or part.runs.empty:
        return False
    return bool((part.runs["generator"] == "frozen").all())


def _section(records: Records, part: Part, colours: Colours, *, several: bool) -> Section:
    runs, curves, protocol = part.runs, part.curves, part.protocol
    quality = quality_column(curves, protocol.get("quality"))
    key = str(protocol.get("id", "")) if several else ""
    trouble = _trouble(part, quality)
    floor = _level(protocol.get("floor"), quality)
    samples, everything = _samples(records, runs)
    name = quality_name(quality or "quality")
    common: dict[str, Any] = {
        "key": key,
        "title": f"{listed(map(str, runs['dataset'].unique()))}, protocol {key}" if several else "",
        "trouble": tuple(trouble),
        "comparison": comparison_section(
            runs,
            curves,
            quality,
            name,
            floor=floor,
            baselines=_references(protocol, str(quality), None),
            environments=records.environments,
            colours=colours,
        ),
        "samples": samples,
        "all_samples": everything[:MOST_SAMPLES],
        "samples_left_out": max(0, len(everything) - MOST_SAMPLES),
        "published": published_section(runs, curves, protocol),
        "scores": scores_table(protocol),
        "extrapolated": bool(protocol.get("floor_extrapolated")),
        "protocol": fields_table(protocol_fields(protocol), "protocol", "value")
        if protocol
        else None,
    }
    if quality is None:
        return Section(
            **common,
            quality="quality",
            lead="",
            sign=SIGN.format(quality="the quality measure"),
            answers=(),
            recipes=None,
            pictures=(),
            correlations=None,
            seeds=None,
            details=None,
        )
    trackings = track(runs, curves, quality, floor=floor)
    details = tracking_details(runs, curves, quality, name, trackings, floor=floor, colours=colours)
    distances = _distances(runs)
    references = _references(protocol, quality, floor)
    chosen = drawn(runs, curves, quality)
    shown = [tracking for tracking in trackings if tracking.label in chosen.labels]
    pictures = (
        curves_picture(chosen, curves, quality, references, floor, colours),
        scatter_picture(chosen, curves, quality, floor, shown, colours),
        seeds_picture(shown, colours, chosen.labels_note),
    )
    return Section(
        **common,
        quality=name,
        lead=lead(trackings),
        sign=_sign(runs, name),
        answers=tuple(
            answer(tracking, distances.get(tracking.label, ""), details.by_label[tracking.label])
            for tracking in trackings
        ),
        recipes=recipes_table(summarise(runs, curves, quality), name),
        pictures=tuple(picture for picture in pictures if picture is not None),
        correlations=correlations_table(trackings),
        seeds=seeds_table(trackings),
        details=details,
    )


def _trouble(part: Part, quality: str | None) -> list[str]:
    """Why something is not there, in words."""
    said, finished = [], int((part.runs["state"] == "done").sum())
    if part.runs.empty:
        return ["The sweep has no runs."]
    if finished == 0 and (part.runs["state"] == "diverged").all():
        said.append(f"All {counted(len(part.runs), 'run')} diverged, so there is no final model.")
    elif finished == 0:
        said.append("No run has finished yet: there are no final models to compare.")
    if quality is None:
        said.append(
            "No run has a finite FID or exact W1, so nothing can be held against the loss."
            if len(part.curves)
            else "Nothing has been recorded yet."
        )
    if not part.protocol and quality is not None:
        said.append("No score protocol is recorded, so nobody can tell how these scores were made.")
    return said


def _summary(records: Records) -> str:
    runs = records.runs
    states = runs["state"].value_counts().to_dict()
    order = (
        "done",
        "diverged",
        "failed",
        "cancelled",
        "running",
        "interrupted",
        "queued",
        "pending",
    )
    counts = [f"{states[state]} {state}" for state in order if state in states]
    labels, seeds = runs["label"].nunique(), runs["seed"].nunique()
    if runs.empty:
        return "No runs."
    ended = "all done" if states.get("done") == len(runs) > 1 else listed(counts)
    return (
        f"{counted(len(runs), 'run')} ({ended}): {counted(labels, 'recipe')}, "
        f"{counted(seeds, 'seed')}, {listed(map(str, runs['dataset'].unique()))}."
    )


def _sign(runs: pd.DataFrame, quality: str) -> str:
    standard = runs["loss"].astype(str).str.partition("(")[0].isin(STANDARD_GAN_LOSSES)
    labels = list(dict.fromkeys(runs.loc[standard, "label"]))
    said = DISCRIMINATOR.format(labels=listed(labels)) if labels else ""
    return f"{SIGN.format(quality=quality)} {said}".strip()


def _distances(runs: pd.DataFrame) -> dict[str, str]:
    """What each label's critic estimates: W1, JS, ..."""
    return {
        str(row["label"]): Loss.registry[name].distance_name  # type: ignore[attr-defined]
        for row in runs.to_dict("records")
        if (name := str(row["loss"]).partition("(")[0]) in Loss.registry
    }


def _level(scores: object, quality: str | None) -> float | None:
    """The quality number among scores, if it is a positive finite one."""
    value = scores.get(quality) if isinstance(scores, Mapping) else None
    known = isinstance(value, int | float) and math.isfinite(value) and value > 0
    return float(value) if known and value is not None else None


def _references(protocol: Mapping[str, Any], quality: str, floor: float | None) -> dict[str, float]:
    """The levels that figures draw across: the floor and the baselines."""
    levels = {} if floor is None else {"floor: real held-out data": floor}
    baselines = protocol.get("baselines")
    for name, scores in baselines.items() if isinstance(baselines, Mapping) else ():
        level = _level(scores, quality)
        if level is not None:
            levels[BASELINE_NAMES.get(str(name), str(name))] = level
    return levels


def _samples(records: Records, runs: pd.DataFrame) -> tuple[tuple[Sample, ...], tuple[Sample, ...]]:
    """One seed's sample grids side by side, and everybody's: the seed that most recipes have."""
    everything = [
        Sample(
            str(run["label"]),
            int(run["seed"]),
            str(run["run_id"]),
            records.samples[run["run_id"]],
            f"Generated samples of {run['label']}, seed {run['seed']}, step {run['steps']:,}",
        )
        for run in runs.to_dict("records")
        if run["run_id"] in records.samples
    ]
    having: dict[int, set[str]] = {}
    for sample in everything:
        having.setdefault(sample.seed, set()).add(sample.label)
    if not having:
        return (), ()
    chosen = min(having, key=lambda seed: (-len(having[seed]), seed))
    return tuple(item for item in everything if item.seed == chosen), tuple(everything)


def _failures(
    records: Records, unscored: pd.DataFrame, file: Callable[[str], str] = file_of
) -> list[Failure]:
    """Every run that is not simply done, named, with its reason."""
    runs = records.runs
    resumed = set(resumed_runs(records.environments))
    said = []
    for run in runs.to_dict("records"):
        name = f"{run['label']}, seed {run['seed']} ({run['run_id']})"
        ways = ways_to(str(run["run_id"]), records.folders, file(records.sweep))
        found: list[str] = []
        reason = str(run.get("reason") or "").strip().rstrip(".")
        if run["state"] != "done":
            found.append(f"{name}: {run['state']}" + (f", {reason}." if reason else "."))
        if run["dead_critic"] is True or run["dead_critic"] == 1:
            since = run.get("dead_critic_since")
            known = isinstance(since, int | float) and np.isfinite(since)
            found.append(f"{name}: its critic died" + (f" at step {since:,.0f}." if known else "."))
        if run["run_id"] in resumed:
            found.append(f"{name}: trained in more than one session.")
        said += [Failure(sentence, ways) for sentence in found]
    if len(unscored):
        count = counted(len(unscored), "run")
        said.append(Failure(f"{count} without any score belong to none of the protocols above."))
    return said
