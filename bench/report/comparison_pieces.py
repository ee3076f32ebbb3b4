"""The pieces of the part that compares recipes: a question each, answered in words and a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.report import comparison_tables as tables
from bench.report import comparison_words as words
from bench.report.comparison_pictures import forest_picture, pairs_picture, profile_picture
from bench.report.pictures import Colours, Picture
from bench.stats.budgets import at_equal_budgets
from bench.stats.choices import choices
from bench.stats.comparison import MOST_SETTINGS, all_pairs, compare, pairs_with_baseline
from bench.stats.location import locate
from bench.stats.noise import LEAST_SETS, noise_by_label
from bench.stats.outcomes import FINAL
from bench.stats.robustness import robustness_by_method, several_settings, stated_levels
from bench.tables import Table


@dataclass(frozen=True)
class Piece:
    """One question of the comparison.

    Attributes:
        key: a word for files and anchors.
        title: the heading.
        said: sentences before everything else.
        pictures: in order.
        table: what is read at once, or None.
        name: what the table is, without a number.
        caption: what its columns mean.
        folded, folded_name: a longer table, in a fold-out, and what it is.
    """

    key: str
    title: str
    said: tuple[str, ...] = ()
    pictures: tuple[Picture, ...] = ()
    table: Table | None = None
    name: str = ""
    caption: str = ""
    folded: Table | None = None
    folded_name: str = ""


@dataclass(frozen=True)
class Material:
    """What all pieces are made from; `chosen` are the labels that are shown outright."""

    frame: pd.DataFrame
    curves: pd.DataFrame
    column: str
    quality: str
    baseline: str
    chosen: tuple[str, ...]
    floor: float | None
    baselines: Mapping[str, float]
    environments: Mapping[str, Mapping[str, Any]]
    colours: Colours

    @property
    def labels(self) -> list[str]:
        """All labels, in the order of the sweep."""
        return list(dict.fromkeys(self.frame["label"]))

    def tabled(
        self, rows: Sequence[Any], write: Callable[[Sequence[Any]], Table], label: str = "label"
    ) -> tuple[Table, Table | None]:
        """The table of the labels shown outright, and where they are not all that of all."""
        own = [row for row in rows if getattr(row, label) in self.chosen]
        return write(own), None if len(own) == len(rows) else write(rows)


def locations_piece(material: Material) -> Piece:
    """Mean, median and interquartile mean of each recipe."""
    found = locate(material.frame)
    table, folded = material.tabled(found, tables.locations_table)
    return Piece(
        "locations",
        f"Final {material.quality} over seeds",
        tuple(words.bootstrap_missing(found)),
        table=table,
        name=f"Final {material.quality} over seeds",
        caption=(
            "Over the runs that have a final model, dead critics among them. Beneath a mean its "
            "95 % interval by Student's t, beneath a median or an interquartile mean (the mean of "
            "the middle half) that of a percentile bootstrap over seeds, which covers 93 to 97 % "
            "from 10 seeds on. A diverged run has no final model and is in none of the three; "
            "“diverged as worst” counts it as infinitely bad, so that a median can itself be "
            "“diverged”. Low is good."
        ),
        folded=folded,
        folded_name=f"Final {material.quality} of all recipes",
    )


def baseline_piece(material: Material) -> Piece:
    """Each recipe against the baseline, on common seeds."""
    baseline = words.quoted(material.baseline)
    pairs = pairs_with_baseline(material.labels, material.baseline)
    found = compare(material.frame, pairs)
    shown = [one for one in found if one.first in material.chosen]
    picture = forest_picture(shown, material.baseline, material.quality, material.colours)

    def write(rows: Sequence[Any]) -> Table:
        return tables.comparisons_table(rows, name_second=False)

    table, folded = material.tabled(found, write, "first")
    return Piece(
        "baseline",
        f"Against {baseline}",
        (
            f"{baseline} is the baseline because it stands first in the sweep among the "
            "recipes with a final model, whatever its result.",
            *words.verdicts(found, material.baseline, material.quality),
            *words.diverged_left_out(found),
            *words.improvement_missing(found),
            *words.ratio_missing(found, material.quality),
        ),
        (picture,) if picture else (),
        table,
        f"Each recipe against {baseline}",
        _PAIRED.format(quality=material.quality, other=f"that of {baseline}"),
        folded,
        f"All recipes against {baseline}",
    )


def pairs_piece(material: Material) -> Piece:
    """Every pair, where there are few enough recipes."""
    title, count = "All pairs", len(material.labels)
    pairs = all_pairs(material.labels)
    if len(pairs) == 1:
        return Piece("pairs", title, ("Two recipes are one pair, which is the one above.",))
    if not pairs:
        return Piece(
            "pairs",
            title,
            (
                f"With {count} recipes there are {count * (count - 1) // 2:,} pairs, which Holm's "
                f"adjustment would leave next to nothing of: beyond {MOST_SETTINGS} recipes they "
                "are compared with the baseline only. Choose some with --only to compare those.",
            ),
        )
    found = compare(material.frame, pairs)
    picture = pairs_picture(found, material.labels, material.quality, material.colours)
    return Piece(
        "pairs",
        title,
        (
            "These are a family of their own, larger than the comparisons with the baseline, so "
            "that the same pair can be shown there and not here.",
            *words.could_not(found),
        ),
        (picture,) if picture else (),
        folded=tables.comparisons_table(found, name_second=True),
        folded_name="Every pair of recipes",
        caption=_PAIRED.format(quality=material.quality, other="the other's"),
    )


def profiles_piece(material: Material) -> Piece:
    """Performance profiles."""
    references = {"floor": material.floor} if material.floor is not None else {}
    picture = profile_picture(
        material.frame,
        material.quality,
        {**references, **material.baselines},
        material.colours,
    )
    title = f"Share of runs below each {material.quality}"
    return Piece("profiles", title, pictures=(picture,) if picture else ())


def robustness_piece(material: Material) -> Piece:
    """How many of each method's settings are good."""
    title = "Over settings, not only the best"
    if not several_settings(material.frame):
        return Piece(
            "robustness",
            title,
            (
                "Every method has one setting in this sweep, so that it says nothing about how "
                "methods bear other settings.",
            ),
        )
    levels = stated_levels(material.frame, material.floor, material.baselines)
    found = robustness_by_method(material.frame, tuple(levels))
    return Piece(
        "robustness",
        title,
        (
            "Of a method with more settings the best is more optimistic, whatever the method: "
            "look at the shares.",
        ),
        table=tables.robustness_table(found, levels),
        name="How many of each method's settings are good",
        caption=(
            f"A setting is a recipe of the tables above; it stands for its median final "
            f"{material.quality} over seeds, in which a diverged run counts as infinitely bad. "
            "A method is a recipe's name, or else its constraint and loss. “The best method's "
            "middle setting” is the lowest entry of the column “middle setting” (the median of "
            "the settings, beneath it the settings at a quarter and at three quarters of their "
            "order); it is made from these data, the other levels are not."
        ),
    )


def budgets_piece(material: Material) -> Piece:
    """Quality at equal steps and at equal training seconds."""
    found = at_equal_budgets(material.frame, material.curves, material.column)
    table, folded = material.tabled(
        found.labels, lambda rows: tables.budgets_table(rows, found.steps, found.seconds)
    )
    run_ids = material.frame.loc[material.frame["status"] == FINAL, "run_id"]
    clocks = words.clocks(material.environments, list(run_ids))
    return Piece(
        "budgets",
        "Equal steps and equal training seconds",
        (*words.budget_words(found), *((clocks,) if found.seconds is not None else ())),
        table=table,
        name=f"{material.quality} at equal steps and at equal training seconds",
        caption=(
            "Means over runs with a final model, with 95 % intervals (Student's t) beneath. The "
            "steps and the seconds are the most that all of these runs reach; a run stands at its "
            "last evaluation by then, nothing is interpolated, so that coarse evaluations favour "
            "the quicker. Steps are generator updates; seconds are of training, evaluation left "
            "out."
        ),
        folded=folded,
        folded_name="All recipes at equal steps and at equal training seconds",
    )


def noise_piece(material: Material) -> Piece:
    """Metric noise apart from seed noise, or why it is not known."""
    found = noise_by_label(material.frame)
    title = "Metric noise apart from seed noise"
    known = [one for one in found if one.parts]
    if not known:
        why = list(dict.fromkeys(one.note for one in found))
        asked = f"“evaluate: {{fresh_sets: {LEAST_SETS}}}” in the sweep has them scored."
        return Piece("noise", title, (f"They cannot be told apart here: {'; '.join(why)}.", asked))
    table, folded = material.tabled(found, tables.noise_table)
    return Piece(
        "noise",
        title,
        table=table,
        name=f"Standard deviations of final {material.quality}",
        caption=(
            "Metric noise is how one model's score varies over disjoint sets of fresh fakes; seed "
            "noise is what models of unlike seeds differ by beyond that: var(seed) = max(0, "
            "var(between) − mean var(metric) / R), R the fake sets of each model, with its 95 % "  # noqa: RUF001
            "interval beneath (Williams and Tukey, normal values). The share is the metric's part "
            "of the variance of one score over seeds: more samples shrink it, more seeds do not."
        ),
        folded=folded,
        folded_name="Metric noise and seed noise of all recipes",
    )


def choices_piece(material: Material) -> Piece:
    """The last model, the one chosen by loss, and the best."""
    found = choices(material.frame)
    table, folded = material.tabled(found, tables.choices_table)
    lost = [one.label for one in found if one.last.n and not one.chosen.n]
    said = words.not_choosable(lost)
    return Piece(
        "choices",
        "Last, chosen by loss, and best",
        tuple(said),
        table=table,
        name=f"{material.quality} of the last model, of the one chosen by loss, and of the best",
        caption=(
            "Means over runs with a final model, with 95 % intervals (Student's t) beneath. "
            "“Chosen by loss” is the evaluation with the smallest held-out estimate, step 0 and "
            "dead stretches left out: it looks at no score. “Last minus chosen” is taken within "
            "runs; above 0 the loss chose a better model than the last. “Best” is each run's "
            "lowest evaluation, picked by the very score that it reports: it is optimistic, the "
            "more so the more evaluations there are, and no method can be compared by it."
        ),
        folded=folded,
        folded_name="The three figures of all recipes",
    )


_PAIRED = (
    "The difference and the ratio of final {quality} to {other}, over seeds that both have: equal "
    "seeds have equal data order and noise, and where the networks are alike equal initial "
    "weights. Means and geometric means, with 95 % intervals (Student's t, of the ratio on its "
    "logarithm) beneath, not adjusted for their number; below 0, and below 1, the recipe is "
    "better. p: two-sided sign-flip test of the differences, exact up to 16 seeds; after Holm over "
    "all rows. “Probability of being better”: that a run of the one has the lower {quality} than "
    "a run of the other, over all pairs of runs, half of the ties, with a bootstrap interval in "
    "which both sides' runs are drawn apart from each other. Seeds in which a run diverged are in "
    "no difference; “with diverged as worse” counts such a run below every final model."
)
