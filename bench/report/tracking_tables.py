"""The tables of descriptions that stand beside the primary analysis."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from bench.stats import Interval, Tracking
from bench.stats.described_pairs import CURVES, STATISTICS
from bench.stats.descriptions import Described, Levels
from bench.stats.final_models import FinalModels
from bench.stats.intervals import NOTHING
from bench.stats.resolution import Resolution
from bench.stats.selection import Selection
from bench.tables import (
    MINUS,
    NONE,
    Cell,
    Column,
    Row,
    Table,
    correlation,
    interval_column,
    number_column,
    percent,
    text_column,
)

Intervals = tuple[Interval, Interval]  # raw, time-adjusted


def secondary_table(
    trackings: Sequence[Tracking],
    bootstraps: Sequence[Sequence[Intervals]],
    levels: Sequence[Levels],
) -> Table:
    """Per label: the bootstrap's intervals beside the primary ones, shares of step, critic gap.

    A label with diverged seeds has a second row, in which each of them counts as -1.

    Args:
        trackings: the primary analysis.
        bootstraps: of each label the bootstrap's intervals over its live seeds and, where some
            diverged, those with -1 for each besides.
        levels: of each label.
    """
    rows = []
    for tracking, intervals, level in zip(trackings, bootstraps, levels, strict=True):
        primary = (
            (tracking.raw, tracking.adjusted),
            (tracking.raw_with_diverged, tracking.adjusted_with_diverged),
        )
        rows += [
            {
                "label": tracking.label,
                "counting": f"diverged as {MINUS}1" if place else "",
                **_bounds("raw", raw),
                **_bounds("raw_bootstrap", bootstrap_raw),
                **_bounds("adjusted", adjusted),
                **_bounds("adjusted_bootstrap", bootstrap_adjusted),
                **_bounds("loss_share", level.loss_share),
                **_bounds("quality_share", level.quality_share),
                **_bounds("gap", level.gap),
                **_bounds("gap_share", level.gap_share),
            }
            for place, ((raw, adjusted), (bootstrap_raw, bootstrap_adjusted)) in enumerate(
                zip(primary, intervals, strict=False)
            )
        ]
    frame = pd.DataFrame(rows)
    gaps = (
        (
            interval_column("critic-optimality gap", "gap"),
            interval_column("gap over estimate", "gap_share", percent),
        )
        if frame["gap"].notna().any()
        else ()
    )
    return Table(
        frame,
        (
            text_column("recipe", "label", "counting"),
            interval_column("raw", "raw", correlation),
            _bounds_column("raw, bootstrap", "raw_bootstrap"),
            interval_column("beyond time", "adjusted", correlation),
            _bounds_column("beyond time, bootstrap", "adjusted_bootstrap"),
            number_column("estimate explained by step", "loss_share", percent),
            number_column("quality explained by step", "quality_share", percent),
            *gaps,
        ),
        labelled=True,
    )


def described_frame(described: Sequence[Described], kind: str) -> pd.DataFrame:
    """One row per label and thing described, raw and adjusted side by side."""
    rows: dict[tuple[object, ...], dict[str, object]] = {}
    for item in described:
        figure = item.figure
        if figure.kind != kind:
            continue
        key = (item.label, figure.curve, figure.lag, figure.smoother, figure.width)
        row = rows.setdefault(
            key,
            {
                "label": item.label,
                "name": figure.name,
                "curve": figure.curve,
                "sign": CURVES[figure.curve].sign,
                "lag": figure.lag,
                "n": item.over_seeds.n,
                "note": item.note,
            },
        )
        if item.note and item.note != row["note"]:
            row["note"] = "; ".join(filter(None, [str(row["note"]), f"beyond time: {item.note}"]))
        row |= _bounds(figure.statistic, item.over_seeds)
        row |= _bounds(f"{figure.statistic}_with_diverged", item.with_diverged or NOTHING)
    return pd.DataFrame(rows.values())


def curves_table(described: Sequence[Described]) -> Table | None:
    """Other curves against quality; those that no run recorded are left out."""
    frame = described_frame(described, "curve")
    if frame.empty:
        return None
    taken = frame.groupby("curve")["note"].transform(lambda notes: (notes != "not recorded").any())
    return _pairs_table(frame[taken], "curve", "sign") if taken.any() else None


def smoothing_table(described: Sequence[Described]) -> Table | None:
    """The smoothed estimate against quality."""
    frame = described_frame(described, "smoothing")
    return None if frame.empty else _pairs_table(frame, "estimate smoothed by", None)


def lags_table(described: Sequence[Described]) -> Table | None:
    """The estimate against quality some evaluations sooner or later."""
    frame = described_frame(described, "lag")
    return None if frame.empty else _pairs_table(frame, "quality taken later by", None)


def statistics_table(described: Sequence[Described]) -> Table | None:
    """Other statistics of the primary pair, one row per label."""
    rows: dict[str, dict[str, object]] = {}
    for item in described:
        if item.figure.kind == "statistic":
            row = rows.setdefault(item.label, {"label": item.label, "n": item.over_seeds.n})
            row |= _bounds(item.figure.statistic, item.over_seeds)
    if not rows:
        return None
    names = [item for item in ("kendall", "partial", "differences") if item in STATISTICS]
    return Table(
        pd.DataFrame(rows.values()),
        (
            text_column("recipe", "label"),
            *(interval_column(STATISTICS[name].name, name, correlation) for name in names),
            number_column("seeds", "n", _count),
        ),
        labelled=True,
    )


def selection_table(selections: Sequence[Selection], quality: str) -> Table:
    """What choosing an evaluation buys, per label."""
    frame = pd.DataFrame(
        {
            "label": item.label,
            **_bounds("by_loss", item.by_loss),
            **_bounds("at_random", item.at_random),
            **_bounds("best", item.best),
            **_bounds("best_optimistic", item.best_optimistic),
            **_bounds("diverged", item.diverged_chosen),
            "diverged_n": item.diverged_chosen.n,
            "n": item.by_loss.n,
            "choosable": item.choosable,
        }
        for item in selections
    )
    diverged = (
        (interval_column(f"{quality} chosen in diverged runs", "diverged"),)
        if (frame["diverged_n"] > 0).any()
        else ()
    )
    halves = (interval_column("best on one half", "best"),) if frame["best"].notna().any() else ()
    return Table(
        frame,
        (
            text_column("recipe", "label"),
            interval_column("chosen by loss", "by_loss"),
            interval_column("at random", "at_random"),
            *halves,
            interval_column("best (optimistic)", "best_optimistic"),
            *diverged,
            number_column("evaluations", "choosable", _count),
            number_column("seeds", "n", _count),
        ),
        labelled=True,
    )


def finals_table(groups: Sequence[FinalModels], names: Sequence[str]) -> Table:
    """The correlation across final models, one row per critic architecture."""
    frame = pd.DataFrame(
        {
            "group": name,
            "models": len(group.frame),
            "settings": group.settings,
            **_bounds("raw", group.raw),
            **_bounds("per_lipschitz", group.per_lipschitz),
            "missing": group.missing,
            "left_out": f"left out: {group.left_out}" if group.left_out else "",
        }
        for group, name in zip(groups, names, strict=True)
    )

    def raw(row: Row) -> Cell:
        shown = interval_column("", "raw", correlation).show(row)
        return Cell(NONE, str(row["missing"])) if row["missing"] else shown

    return Table(
        frame,
        (
            text_column("critic architecture", "group", "left_out"),
            number_column("models", "models", _count),
            number_column("settings", "settings", _count),
            Column("raw", raw, "right"),
            interval_column("over K", "per_lipschitz", correlation),
        ),
    )


def resolution_table(resolutions: Sequence[Resolution]) -> Table:
    """What each label's data could have shown."""
    frame = pd.DataFrame(
        {
            "label": item.label,
            "seeds": item.seeds,
            "evaluations": item.evaluations,
            "spread": item.spread,
            "source": ("measured" if item.measured else "as chance makes it")
            if math.isfinite(item.spread)
            else "",
            "found_from": item.found_from,
            "half": _or_none(item.seeds_to_find_half),
            "exclude": _or_none(item.seeds_to_exclude),
        }
        for item in resolutions
    )

    def spread(row: Row) -> Cell:
        return Cell(number_column("", "spread").show(row).text, str(row["source"]))

    return Table(
        frame,
        (
            text_column("recipe", "label"),
            number_column("seeds", "seeds", _count),
            number_column("evaluations", "evaluations", _count),
            Column("spread of z", spread, "right"),
            number_column("found from", "found_from", correlation),
            number_column("seeds to find +0.50", "half", _count),
            number_column("seeds to show none", "exclude", _count),
        ),
        labelled=True,
    )


def _pairs_table(frame: pd.DataFrame, what: str, sign: str | None) -> Table:
    diverged = frame["raw_with_diverged"].notna().any()
    with_diverged = (
        (
            interval_column(f"raw, diverged as {MINUS}1", "raw_with_diverged", correlation),
            interval_column("beyond time, the same", "adjusted_with_diverged", correlation),
        )
        if diverged
        else ()
    )

    def seeds(row: Row) -> Cell:
        return Cell(_count(float(row["n"])), str(row["note"]))

    return Table(
        frame,
        (
            text_column("recipe", "label"),
            text_column(what, "name", sign),
            interval_column("raw", "raw", correlation),
            interval_column("beyond time", "adjusted", correlation),
            *with_diverged,
            Column("seeds", seeds, "right"),
        ),
        labelled=True,
    )


def _bounds_column(title: str, key: str) -> Column:
    """An interval alone, its centre being that of the column before."""

    def cell(row: Row) -> Cell:
        low, high = float(row[f"{key}_low"]), float(row[f"{key}_high"])
        known = math.isfinite(low) and math.isfinite(high)
        return Cell(f"{correlation(low)} to {correlation(high)}" if known else NONE)

    return Column(title, cell, "right")


def _or_none(seeds: int | None) -> float:
    return math.nan if seeds is None else float(seeds)


def _bounds(name: str, interval: Interval) -> dict[str, float]:
    return {name: interval.center, f"{name}_low": interval.low, f"{name}_high": interval.high}


def _count(value: float) -> str:
    return f"{value:,.0f}" if math.isfinite(value) else NONE
