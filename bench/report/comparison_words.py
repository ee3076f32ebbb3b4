"""The words of the part that compares recipes: what is shown, what is not, and what is missing.

Every number in them is taken from the statistics' own objects.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pandas as pd

from bench.report.provenance import mixed_clocks
from bench.report.sentences import FIXED, counted, listed
from bench.stats import Interval
from bench.stats.budgets import Budgets
from bench.stats.comparison import Comparison, least_p, pairs_needed
from bench.stats.location import Location
from bench.stats.outcomes import DIVERGED, FINAL, UNFINISHED, UNSCORED
from bench.stats.resamples import LEAST_BOOTSTRAP_SEEDS
from bench.tables import number, probability, span

MOST_NAMED = 12  # recipes in a sentence
LEVEL = 0.05  # at or below which a p value after Holm shows a difference


def lead(locations: Sequence[Location], quality: str) -> str:
    """Which recipe has the lowest mean and which the lowest median, with their figures."""
    having = [location for location in locations if location.mean.n]
    if len(having) < 2:
        return ""
    first = min(having, key=lambda location: location.mean.center)
    second = min(having, key=lambda location: location.median.center)
    said = (
        f"The lowest mean of final {quality} is that of {quoted(first.label)}, "
        f"{with_interval(first.mean)}"
    )
    if first.diverged:
        said += f" ({first.diverged} more diverged and in no mean)"
    if second.label == first.label:
        return f"{said}; its median is the lowest too, {number(second.median.center)}."
    median = number(second.median.center)
    return f"{said}; the lowest median is that of {quoted(second.label)}, {median}."


def quoted(label: str) -> str:
    """A label as it stands in a sentence: in quotation marks where it holds a comma."""
    return listed([label])


def with_interval(interval: Interval) -> str:
    """`24.1, 95 % interval 22.0 to 26.3, n = 5 seeds`."""
    bounds = span(interval.low, interval.high)
    words = f"95{FIXED}% interval {bounds}" if bounds else "no interval"
    return f"{number(interval.center)}, {words}, n{FIXED}={FIXED}{counted(interval.n, 'seed')}"


def verdicts(comparisons: Sequence[Comparison], baseline: str, quality: str) -> list[str]:
    """For which recipes a difference from the baseline is shown, and why for the others it is not.

    Args:
        comparisons: the whole family, each against the baseline.
        baseline: its label.
        quality: the measure's name.
    """
    shown = [one for one in comparisons if one.p_holm <= LEVEL]
    better = [one.first for one in shown if one.difference.center < 0]
    worse = [one.first for one in shown if one.difference.center > 0]
    tested = [one for one in comparisons if one.difference.n]
    clauses = [
        f"{listed(labels)} {'has' if len(labels) == 1 else 'have'} the {how} {quality}"
        for labels, how in ((better, "lower"), (worse, "higher"))
        if labels
    ]
    base = quoted(baseline)
    if not tested:
        return [f"No recipe has a final model on a seed in common with one of {base}."]
    if not clauses:
        said = f"No difference from {base} is shown"
    else:
        said = f"Against {base}, {' and '.join(clauses)}"
        rest = len(tested) - len(shown)
        said += f"; for {counted(rest, 'more recipe')} no difference is shown" if rest else ""
    said += f" (p after Holm at most {LEVEL:g}, {counted(len(comparisons), 'comparison')})."
    return [said, *could_not(comparisons), *without_pairs(comparisons, baseline)]


def could_not(comparisons: Sequence[Comparison]) -> list[str]:
    """That there are too few common seeds to show anything, and how many it would take."""
    family, pairs = len(comparisons), max((one.difference.n for one in comparisons), default=0)
    least = least_p(pairs)
    if pairs == 0 or family * least <= LEVEL:
        return []
    after = min(1.0, family * least)
    return [
        f"These comparisons could not show any: with {counted(pairs, 'common seed')} a sign-flip "
        f"test cannot go below p = {probability(least)}, nor below {probability(after)} after Holm "
        f"over {counted(family, 'comparison')}; that takes {pairs_needed(family, LEVEL)} common "
        "seeds."
    ]


def without_pairs(comparisons: Sequence[Comparison], baseline: str) -> list[str]:
    """The recipes that share no seed with the baseline on which both have a final model."""
    labels = [one.first for one in comparisons if one.difference.n == 0]
    if not labels or len(labels) == len(comparisons):
        return []
    return [f"No seed has final models of both {quoted(baseline)} and {listed(labels)}."]


def missing_models(frame: pd.DataFrame) -> list[str]:
    """Which labels have runs without a final model, and why, in a sentence each."""
    ways = (
        (DIVERGED, "diverged, so that there is no final model"),
        (UNFINISHED, "not finished"),
        (UNSCORED, "finished without a score at the last step"),
    )
    said = []
    for status, words in ways:
        counts = (frame["status"] == status).groupby(frame["label"], sort=False).sum()
        named = [f"{label} {count} of {size}" for label, count, size in _shares(frame, counts)]
        if named:
            rest = [f"{len(named) - MOST_NAMED} others"] if len(named) > MOST_NAMED else []
            said.append(
                f"{words[0].upper()}{words[1:]}: {'; '.join([*named[:MOST_NAMED], *rest])}."
            )
    return said


def _shares(frame: pd.DataFrame, counts: pd.Series) -> list[tuple[str, int, int]]:
    sizes = frame.groupby("label", sort=False).size()
    labels = counts[counts > 0].index
    return [(str(label), int(counts[label]), int(sizes[label])) for label in labels]


def bootstrap_missing(locations: Sequence[Location]) -> list[str]:
    """Why some median and interquartile mean has no interval."""
    few = [one for one in locations if 0 < one.median.n < LEAST_BOOTSTRAP_SEEDS]
    if not few:
        return []
    most = max(one.median.n for one in few)
    which = (
        f"there are {most} at most"
        if len(few) == len([one for one in locations if one.median.n])
        else f"{listed(one.label for one in few)} {'has' if len(few) == 1 else 'have'} fewer"
    )
    return [
        "Median and interquartile mean have a bootstrap interval from "
        f"{LEAST_BOOTSTRAP_SEEDS} final models on, below which it would be too narrow; {which}."
    ]


def improvement_missing(comparisons: Sequence[Comparison]) -> list[str]:
    """Why some probability of being better has no interval."""
    said = []
    known = [
        figure
        for one in comparisons
        for figure in (one.improvement, one.improvement_with_diverged)
        if figure.n
    ]
    if any(figure.n < LEAST_BOOTSTRAP_SEEDS for figure in known):
        said.append(
            f"Probabilities of being better have an interval from {LEAST_BOOTSTRAP_SEEDS} runs on "
            "either side."
        )
    if any(figure.n >= LEAST_BOOTSTRAP_SEEDS and figure.center in (0, 1) for figure in known):
        said.append(
            "Where one side wins every pair (0.00 or 1.00) a bootstrap has no width and none is "
            "given; the true probability need not be as extreme."
        )
    return said


def diverged_left_out(comparisons: Sequence[Comparison]) -> list[str]:
    """That diverged runs are in no difference, which flatters whoever has more of them."""
    if not any(one.lost_pairs for one in comparisons):
        return []
    return [
        "Diverged runs are in no difference, which flatters whoever has more of them: the last "
        "column counts each as worse than any final model."
    ]


def ratio_missing(comparisons: Sequence[Comparison], quality: str) -> list[str]:
    """That ratios of values which are not all positive are not given."""
    lost = [one.first for one in comparisons if one.difference.n and not one.ratio.n]
    if not lost:
        return []
    return [f"No ratio is given for {listed(lost)}: some {quality} is not positive."]


def clocks(environments: Mapping[str, Mapping[str, Any]], run_ids: Collection[str]) -> str:
    """Whether the runs' training seconds can be held against each other."""
    own = {run: environments[run] for run in run_ids if run in environments}
    unknown = len(run_ids) - len(own)
    if unknown:
        return (
            f"Of {counted(unknown, 'run')} no machine is recorded, so nobody can tell whether "
            "these seconds are comparable."
        )
    mixed = mixed_clocks(own)
    if mixed:
        return (
            "These seconds are not comparable: the runs were not trained alike "
            f"({'; '.join(mixed)})."
        )
    return (
        "The runs had the same host, device and threads. Which of them shared the machine at the "
        "same time is not recorded, and runs that do slow each other."
    )


def budget_words(budgets: Budgets) -> list[str]:
    """What the common budgets are and how far the seconds carry each recipe."""
    said = []
    if budgets.seconds is None:
        said.append("Some run has no training time on record, so that there are no equal seconds.")
    untrained = [
        one.label for one in budgets.labels if one.steps_reached.n and one.steps_reached.center == 0
    ]
    if untrained:
        said.append(
            f"Within these seconds {listed(untrained)} {'has' if len(untrained) == 1 else 'have'} "
            "no evaluation after step 0, so that what stands there is an untrained generator."
        )
    return said


def final_models(frame: pd.DataFrame) -> int:
    """How many runs have a final model."""
    return int((frame["status"] == FINAL).sum())


def nothing_final(frame: pd.DataFrame) -> str:
    """Why there is nothing to compare."""
    if frame.empty:
        return "The sweep has no runs, so there is nothing to compare."
    total, diverged = len(frame), int((frame["status"] == DIVERGED).sum())
    if diverged == total:
        return (
            f"All {counted(total, 'run')} diverged, so that none has a final model and there is "
            "nothing to compare."
        )
    return "No run has a final model with a score yet, so there is nothing to compare."


def several_datasets(runs: pd.DataFrame, frame: pd.DataFrame) -> str:
    """That final models are of several data sets, without a protocol that tells them apart."""
    ids = frame.loc[frame["status"] == FINAL, "run_id"]
    names = list(dict.fromkeys(map(str, runs.loc[runs["run_id"].isin(ids), "dataset"])))
    if len(names) < 2:
        return ""
    return (
        f"These final models are of {listed(names)}, whose scores are not comparable with each "
        "other, and no protocol tells them apart: they are not compared."
    )


def selection_words(shown: int, total: int, quality: str, baseline: str) -> str:
    """That figures and tables hold a selection, and which."""
    return (
        f"Of {total} recipes the {shown} with the lowest median of final {quality} are shown, and "
        f"{quoted(baseline)} as the baseline in any case. They are chosen by result, so that they "
        f"look better than they would again; fold-outs hold the tables of all {total}."
    )


def not_choosable(labels: Sequence[str]) -> list[str]:
    """The recipes of which the loss could choose no model."""
    if not labels:
        return []
    return [
        f"The loss can choose no model of {listed(labels)}: no evaluation has a finite held-out "
        "estimate of a critic that is alive."
    ]
