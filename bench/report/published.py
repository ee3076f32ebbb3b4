"""The report's part on published tables: theirs beside ours, and in which points they differ.

Nothing is ranked, coloured, subtracted or divided across the two: the protocols are never alike in
every point, so a difference of the numbers would be one of unlike things.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bench.published import (
    DIFFERS,
    NOT_STATED,
    SAME,
    Comparison,
    PublishedRow,
    PublishedTable,
    compare,
    counterparts,
    load,
    matching,
)
from bench.report.sentences import counted, listed
from bench.report.sweep_tables import METRIC_NAMES
from bench.stats import Interval, summarise
from bench.tables import NONE, Cell, Column, Table, interval_column, text_column

_DULL = ("every", "scale_by_every")  # of no weight for what a method is
REFUSAL = (
    "Nothing is ranked across the two and no difference is taken: these are figures of different "
    "things."
)
ALIKE = "The points stated are the same; what is not listed here may still differ."


@dataclass(frozen=True)
class PublishedPart:
    """One published table on our data set.

    Attributes:
        title, source: what it is and where it stands.
        figures: theirs in the published order, ours beside them.
        points: the protocols, point by point.
        agreement: how many points are the same, differ, and are not stated.
        traps: what the names of the rows do not say.
    """

    title: str
    source: str
    figures: Table
    points: Table
    agreement: str
    traps: tuple[str, ...]


@dataclass(frozen=True)
class PublishedSection:
    """What is published on a data set: tables, and cells of which many figures exist."""

    dataset: str
    parts: tuple[PublishedPart, ...]
    several: tuple[str, ...]


def published_section(
    runs: pd.DataFrame,
    curves: pd.DataFrame,
    protocol: Mapping[str, Any],
    tables: Sequence[PublishedTable] | None = None,
) -> PublishedSection | None:
    """What is published on these runs' data set and metrics; None where nothing is.

    Args:
        runs, curves: one protocol's runs.
        protocol: how they were scored.
        tables: those that are looked through; by default all that are shipped.
    """
    datasets = {str(name).partition("(")[0] for name in runs["dataset"]}
    if len(datasets) != 1:
        return None
    (dataset,) = datasets
    measured = [
        name
        for name in METRIC_NAMES
        if name in curves.columns and np.isfinite(curves[name].astype(float)).any()
    ]
    found = matching(load() if tables is None else tables, dataset, measured)
    if not found:
        return None
    return PublishedSection(
        dataset,
        tuple(
            _part(table, dataset, measured, runs, curves, protocol)
            for table in found
            if not table.several
        ),
        tuple(
            sentence
            for table in found
            if table.several
            for sentence in _several(table, dataset, measured)
        ),
    )


def _part(
    table: PublishedTable,
    dataset: str,
    measured: Sequence[str],
    runs: pd.DataFrame,
    curves: pd.DataFrame,
    protocol: Mapping[str, Any],
) -> PublishedPart:
    metrics = [name for name in table.metrics(dataset) if name in measured]
    rows = [row for row in table.rows if set(metrics) & set(row.values.get(dataset, ()))]
    matched = {label for row in rows for label in counterparts(row, runs)}
    beside = runs[runs["label"].isin(matched)] if matched else runs
    comparisons = compare(table, dataset, beside, protocol)
    return PublishedPart(
        title=table.title,
        source=table.source,
        figures=_figures(rows, dataset, metrics, runs, curves, protocol),
        points=_points(comparisons),
        agreement=_agreement(comparisons),
        traps=(
            *(f"{row.method}: {row.trap}." for row in rows if row.trap),
            *table.traps,
        ),
    )


def _figures(
    rows: Sequence[PublishedRow],
    dataset: str,
    metrics: Sequence[str],
    runs: pd.DataFrame,
    curves: pd.DataFrame,
    protocol: Mapping[str, Any],
) -> Table:
    """Theirs in the published order with ours beside them, then ours that nothing stands beside."""
    ours = _final(runs, curves, metrics)
    settings = _settings(runs)
    lines: list[dict[str, Any]] = []
    shown: set[str] = set()
    for row in rows:
        theirs = {
            f"theirs_{name}": figure.text if (figure := row.values[dataset].get(name)) else NONE
            for name in metrics
        }
        about = {"method": row.method, "states": "" if row.real else row.states or NOT_STATED}
        labels = counterparts(row, runs)
        shown |= set(labels)
        if row.real:
            lines.append({**about, **theirs, **_floor(protocol, metrics)})
        lines += [
            {**about, **theirs, "label": label, "settings": settings[label], **ours[label]}
            for label in labels
        ]
        if not labels and not row.real:
            lines.append({**about, **theirs, **_nobody(metrics)})
    lines += [
        {
            "method": NONE,
            "states": "no row of this table",
            **{f"theirs_{name}": NONE for name in metrics},
            "label": label,
            "settings": settings[label],
            **ours[label],
        }
        for label in ours
        if label not in shown
    ]
    columns = [
        text_column("published as", "method", detail="states"),
        *(text_column(f"published {METRIC_NAMES[name]}", f"theirs_{name}") for name in metrics),
        text_column("ours", "label", detail="settings"),
        *(_ours_column(name) for name in metrics),
    ]
    return Table(pd.DataFrame(lines), tuple(columns))


def _ours_column(name: str) -> Column:
    shown = interval_column(f"our {METRIC_NAMES[name]}", f"ours_{name}")

    def cell(row: Mapping[Any, Any]) -> Cell:
        plain = shown.show(row)
        count = row[f"ours_{name}_n"]
        known = f"n = {count:.0f}" if count == count and count else ""
        return Cell(plain.text, "; ".join(part for part in (plain.detail, known) if part))

    return Column(shown.title, cell, shown.align)


def _final(
    runs: pd.DataFrame, curves: pd.DataFrame, metrics: Sequence[str]
) -> dict[str, dict[str, float]]:
    """By label, each metric of its last generators over its finished seeds."""
    found: dict[str, dict[str, float]] = {}
    for name in metrics:
        for summary in summarise(runs, curves, name):
            found.setdefault(summary.label, {}).update(_bounds(name, summary.final))
    return found


def _bounds(name: str, interval: Interval) -> dict[str, float]:
    return {
        f"ours_{name}": interval.center,
        f"ours_{name}_low": interval.low,
        f"ours_{name}_high": interval.high,
        f"ours_{name}_n": float(interval.n),
    }


def _nobody(metrics: Sequence[str]) -> dict[str, Any]:
    unknown = Interval(float("nan"), float("nan"), float("nan"), 0)
    blank: dict[str, Any] = {"label": NONE, "settings": ""}
    for name in metrics:
        blank |= _bounds(name, unknown)
    return blank


def _floor(protocol: Mapping[str, Any], metrics: Sequence[str]) -> dict[str, Any]:
    """Our real held-out data, beside their real data."""
    scores = protocol.get("floor")
    blank = _nobody(metrics)
    if not isinstance(scores, Mapping):
        return blank
    count = protocol.get("n_floor")
    about = f"{count:,} samples" if isinstance(count, int) else ""
    known = {f"ours_{name}": float(scores[name]) for name in metrics if scores.get(name)}
    return {**blank, "label": "floor: real held-out data", "settings": about, **known}


def _settings(runs: pd.DataFrame) -> dict[str, str]:
    """By label what its constraint is set to, since rows are matched by its name alone."""
    if "lipschitz_settings" not in runs.columns:
        return {str(row["label"]): str(row["lipschitz"]) for row in runs.to_dict("records")}
    return {
        str(row["label"]): _constraint(row["lipschitz_settings"], str(row["lipschitz"]))
        for row in runs.to_dict("records")
    }


def _constraint(text: Any, name: str) -> str:
    try:
        methods = [item for entry in json.loads(str(text)) for item in entry.items()]
        parts = [
            (method, [f"{key} {value}" for key, value in fields.items() if key not in _DULL])
            for method, fields in methods
        ]
    except (ValueError, AttributeError, TypeError):
        return name
    return " + ".join(
        f"{method} ({', '.join(inside)})" if inside else method for method, inside in parts
    )


def _points(comparisons: Sequence[Comparison]) -> Table:
    frame = pd.DataFrame(
        [
            {
                "point": item.point,
                "theirs": item.theirs,
                "ours": item.ours,
                "verdict": item.verdict,
            }
            for item in comparisons
        ]
    )
    return Table(
        frame,
        (
            text_column("point", "point"),
            text_column("theirs", "theirs"),
            text_column("ours", "ours"),
            text_column("the two", "verdict"),
        ),
    )


def _agreement(comparisons: Sequence[Comparison]) -> str:
    counts = {
        word: sum(item.verdict == word for item in comparisons)
        for word in (SAME, DIFFERS, NOT_STATED)
    }
    start = (
        f"Of {counted(len(comparisons), 'point')} of the protocol {counts[SAME]} "
        f"{'is' if counts[SAME] == 1 else 'are'} the same, {counts[DIFFERS]} "
        f"{'differs' if counts[DIFFERS] == 1 else 'differ'} and {counts[NOT_STATED]} "
        f"{'is' if counts[NOT_STATED] == 1 else 'are'} not stated."
    )
    if counts[SAME] == len(comparisons):
        return f"{start} {ALIKE}"
    differing = [item.point for item in comparisons if item.verdict == DIFFERS]
    where = f" They differ in {listed(differing)}." if differing else ""
    return f"{start}{where} {REFUSAL}"


def _several(table: PublishedTable, dataset: str, measured: Sequence[str]) -> list[str]:
    """Cells that have been published many times, a sentence each."""
    said = []
    for row in table.rows:
        for name, figure in row.values.get(dataset, {}).items():
            if name in measured:
                trap = f" ({row.trap})" if row.trap else ""
                said.append(
                    f"“{row.method} on {dataset}”{trap} has been published with "
                    f"{METRIC_NAMES[name]} {figure.text}."
                )
    return [*said, *table.traps] if said else []
