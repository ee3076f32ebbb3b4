"""The tables of the part that compares recipes, each made from the statistics' own objects."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pandas as pd

from bench.stats import Interval
from bench.stats.budgets import Budget
from bench.stats.choices import Choice
from bench.stats.comparison import Comparison
from bench.stats.location import Location
from bench.stats.noise import LabelNoise
from bench.stats.robustness import Level, Robustness
from bench.tables import (
    NONE,
    Cell,
    Column,
    Row,
    Table,
    interval_column,
    number,
    number_column,
    percent,
    probability,
    text_column,
)

ENDLESS = "diverged"  # what an infinite quality is called


def locations_table(locations: Sequence[Location]) -> Table:
    """Mean, median and interquartile mean of final quality per label."""
    frame = pd.DataFrame(
        {
            "label": location.label,
            **_bounds("mean", location.mean),
            **_bounds("median", location.median),
            **_bounds("iqm", location.iqm),
            **_bounds("with_diverged", location.median_with_diverged),
            "n": location.mean.n,
            "diverged": location.diverged,
            "others": location.others,
        }
        for location in locations
    )
    columns = [
        text_column("recipe", "label"),
        interval_column("mean", "mean"),
        interval_column("median", "median"),
        interval_column("interquartile mean", "iqm"),
        number_column("final models", "n", _count),
        number_column("diverged", "diverged", _count),
    ]
    if frame["diverged"].any():
        columns.append(_endless_column("median, diverged as worst", "with_diverged"))
    if frame["others"].any():
        columns.append(number_column("no final score", "others", _count))
    return Table(frame, tuple(columns), labelled=True)


def ratio_frame(comparisons: Sequence[Comparison], level: float) -> pd.DataFrame:
    """What the figures draw of comparisons: first, second, the ratio's bounds, and shown or not."""
    columns = ["first", "second", "ratio", "ratio_low", "ratio_high", "shown"]
    rows = [
        {
            "first": comparison.first,
            "second": comparison.second,
            **_bounds("ratio", comparison.ratio),
            "shown": comparison.p_holm <= level,
        }
        for comparison in comparisons
    ]
    return pd.DataFrame(rows, columns=columns)


def comparisons_table(comparisons: Sequence[Comparison], *, name_second: bool) -> Table:
    """Paired differences, ratios and tests, and who wins, one comparison a row.

    Args:
        comparisons: what is shown.
        name_second: whether each row says what it is held against.
    """
    frame = pd.DataFrame(
        {
            "label": comparison.first,
            "against": f"against {comparison.second}" if name_second else "",
            **_bounds("difference", comparison.difference),
            **_bounds("ratio", comparison.ratio),
            "n": comparison.difference.n,
            "lost": f"{comparison.lost_pairs} more with a diverged run"
            if comparison.lost_pairs
            else "",
            "p": comparison.p,
            "p_holm": comparison.p_holm,
            **_bounds("improvement", comparison.improvement),
            **_bounds("with_diverged", comparison.improvement_with_diverged),
            "any_diverged": any(comparison.diverged),
        }
        for comparison in comparisons
    )
    columns = [
        text_column("recipe", "label", detail="against"),
        interval_column("difference", "difference", _signed),
        interval_column("ratio", "ratio"),
        Column(
            "common seeds",
            lambda row: Cell(_count(row["n"]), row["lost"]),
            "right",
            _number_of("n"),
        ),
        number_column("p", "p", probability),
        number_column("p after Holm", "p_holm", probability),
        interval_column("probability of being better", "improvement", _share),
    ]
    if frame["any_diverged"].any():
        columns.append(interval_column("with diverged as worse", "with_diverged", _share))
    return Table(frame, tuple(columns), labelled=True)


def choices_table(choices: Sequence[Choice]) -> Table:
    """Last, chosen by loss and best per label."""
    frame = pd.DataFrame(
        {
            "label": choice.label,
            **_bounds("last", choice.last),
            **_bounds("chosen", choice.chosen),
            **_bounds("gain", choice.gain),
            **_bounds("best", choice.best),
            "n": choice.last.n,
            "n_chosen": choice.chosen.n,
        }
        for choice in choices
    )

    def seeds(row: Row) -> Cell:
        fewer = row["n_chosen"] != row["n"]
        detail = f"{row['n_chosen']} with a usable evaluation" if fewer else ""
        return Cell(_count(row["n"]), detail)

    return Table(
        frame,
        (
            text_column("recipe", "label"),
            interval_column("last", "last"),
            interval_column("chosen by loss", "chosen"),
            interval_column("last minus chosen", "gain", _signed),
            interval_column("best (optimistic)", "best"),
            Column("final models", seeds, "right", _number_of("n")),
        ),
        labelled=True,
    )


def robustness_table(found: Sequence[Robustness], levels: Sequence[Level]) -> Table:
    """How many of each method's settings reach each level, with its best and middle setting."""
    frame = pd.DataFrame(
        {
            "method": one.method,
            "settings": one.settings,
            "waiting": f"{one.waiting} more have not ended" if one.waiting else "",
            **{f"within_{place}": count for place, count in enumerate(one.within)},
            "best": one.best,
            "best_label": one.best_label,
            "middle": one.middle,
            "low": one.low,
            "high": one.high,
        }
        for one in found
    )

    def reached(key: str, level: Level) -> Column:
        title = f"at or below {level.name} ({number(level.value)})"
        return Column(
            title, lambda row: _out_of(row[key], row["settings"]), "right", _share_of(key)
        )

    columns = [
        text_column("method", "method"),
        Column(
            "settings",
            lambda row: Cell(_count(row["settings"]), row["waiting"]),
            "right",
            _number_of("settings"),
        ),
    ]
    columns += [reached(f"within_{place}", level) for place, level in enumerate(levels)]
    columns += [
        Column(
            "middle setting",
            lambda row: Cell(quality_text(row["middle"]), _span(row["low"], row["high"])),
            "right",
            _number_of("middle"),
        ),
        Column(
            "best setting",
            lambda row: Cell(quality_text(row["best"]), row["best_label"]),
            "right",
            _number_of("best"),
        ),
    ]
    return Table(frame, tuple(columns))


def budgets_table(budgets: Sequence[Budget], steps: int | None, seconds: float | None) -> Table:
    """Quality per label at equal steps and at equal training seconds."""
    frame = pd.DataFrame(
        {
            "label": budget.label,
            **_bounds("at_steps", budget.at_steps),
            **_bounds("seconds_used", budget.seconds_used),
            **_bounds("at_seconds", budget.at_seconds),
            **_bounds("steps_reached", budget.steps_reached),
            "n": budget.at_steps.n,
        }
        for budget in budgets
    )
    columns = [text_column("recipe", "label"), number_column("final models", "n", _count)]
    if steps is not None:
        columns.append(interval_column(f"at {steps:,} steps", "at_steps"))
        columns.append(number_column("seconds that took", "seconds_used"))
    if seconds is not None:
        columns.append(interval_column(f"at {number(seconds)} seconds", "at_seconds"))
        columns.append(number_column("steps by then", "steps_reached", _count))
    return Table(frame, tuple(columns), labelled=True)


def noise_table(found: Sequence[LabelNoise]) -> Table:
    """Metric noise and seed noise per label, as standard deviations."""
    nan = math.nan
    frame = pd.DataFrame(
        {
            "label": one.label,
            "note": one.note,
            "metric": parts.metric if parts else nan,
            "seed": parts.seed if parts else nan,
            "seed_low": parts.seed_low if parts else nan,
            "seed_high": parts.seed_high if parts else nan,
            "metric_share": parts.metric_share if parts else nan,
            "n": parts.n if parts else nan,
            "sets": parts.sets if parts else nan,
        }
        for one in found
        for parts in [one.parts]
    )
    return Table(
        frame,
        (
            text_column("recipe", "label", detail="note"),
            number_column("metric noise", "metric"),
            interval_column("seed noise", "seed"),
            number_column("metric's share of the variance", "metric_share", percent),
            number_column("models", "n", _count),
            number_column("fake sets of each", "sets", _count),
        ),
        labelled=True,
    )


def quality_text(value: float) -> str:
    """A quality as it is read, an infinite one as what it stands for."""
    return ENDLESS if value == math.inf else number(value)


def _endless_column(title: str, key: str) -> Column:
    """An interval column whose values may be infinite."""

    def cell(row: Row) -> Cell:
        return Cell(quality_text(row[key]), _span(row[f"{key}_low"], row[f"{key}_high"]))

    return Column(title, cell, "right", _number_of(key))


def _number_of(key: str) -> Callable[[Row], float]:
    """What rows are sorted by: the number itself."""
    return lambda row: float(row[key])


def _share_of(key: str) -> Callable[[Row], float]:
    """What rows are sorted by: the share of a method's settings."""
    return lambda row: float(row[key]) / row["settings"] if row["settings"] else math.nan


def _span(low: float, high: float) -> str:
    if math.isnan(low) or math.isnan(high):
        return ""
    return f"{quality_text(low)} to {quality_text(high)}"


def _out_of(count: int, of: int) -> Cell:
    return Cell(f"{count} of {of}", percent(count / of)) if of else Cell(NONE)


def _signed(value: float) -> str:
    return f"+{number(value)}" if value > 0 and math.isfinite(value) else number(value)


def _share(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else NONE


def _count(value: float) -> str:
    return f"{value:,.0f}" if math.isfinite(value) else NONE


def _bounds(name: str, interval: Interval) -> dict[str, float]:
    return {name: interval.center, f"{name}_low": interval.low, f"{name}_high": interval.high}
