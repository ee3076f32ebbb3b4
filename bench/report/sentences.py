"""The words of a report: what each recipe's figures allow to say, and what they do not.

Every number in them is taken from the statistics' own objects.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.stats import Interval, Tracking
from bench.stats.rank import LEAST_EVALUATIONS
from bench.stats.tracking import DEAD, DIVERGED, LIVE, UNFINISHED
from bench.stats.verdicts import (
    LEAST_SEEDS,
    MARGIN,
    MOST_SEEDS,
    SWAP_LEVEL,
    TRACKS,
    UNDECIDED,
    VERDICTS,
)
from bench.tables import MINUS, correlation, p_value, span

QUALITY_NAMES: Mapping[str, str] = {
    "fid": "FID",
    "exact_w1": "exact W1",
    "sliced_wasserstein": "sliced W1",
}
FIXED = "\N{NO-BREAK SPACE}"
STANDARD_GAN_LOSSES = ("nonsaturating", "minimax")
SIGN = (
    "The critic scores real samples high: its estimate (for a Wasserstein critic the mean score of "
    "real minus that of fake) is positive while it works and should shrink as samples improve; the "
    "loss that it minimises is minus that, plus any penalty. A correlation of +1 means that "
    f"estimate and {{quality}} fall together, {MINUS}1 that one rises as the other falls."
)
DISCRIMINATOR = "For the standard GAN ({labels}) the critic is its discriminator."


@dataclass(frozen=True)
class Answer:
    """What is said of one recipe: the verdict, the sentence with its reasons, and the rest."""

    label: str
    verdict: str
    sentence: str
    rest: tuple[str, ...]


def lead(trackings: Sequence[Tracking]) -> str:
    """All verdicts in one sentence."""
    by_word = {
        word: [tracking.label for tracking in trackings if tracking.verdict.word == word]
        for word in VERDICTS
    }
    if not trackings:
        return ""
    if len(by_word[UNDECIDED]) < len(trackings):
        clauses = [f"{word}: {listed(labels)}" for word, labels in by_word.items() if labels]
        text = "; ".join(clauses)
        return text[0].upper() + text[1:] + "."
    verdicts = [tracking.verdict for tracking in trackings]
    subject = "The verdict is" if len(trackings) == 1 else f"All {len(trackings)} verdicts are"
    if all(verdict.more_seeds or verdict.more_evaluations for verdict in verdicts):
        return (
            f"{subject} undecided: fewer than {LEAST_SEEDS} live seeds, or {LEAST_EVALUATIONS} "
            "usable evaluations per run, decide nothing. Which way the data lean:"
        )
    return f"{subject} undecided. Which way the data lean:"


def answer(tracking: Tracking, distance: str, resolution: str = "") -> Answer:
    """The sentences on one recipe.

    Args:
        tracking: its statistics.
        distance: what the critic's estimate estimates, e.g. "W1"; "" where that is not known.
        resolution: what its data could and could not have shown.
    """
    rest = (
        *_undefined(tracking),
        *_swap(tracking),
        *_not_live(tracking),
        *needed(tracking),
        *((resolution,) if resolution else ()),
    )
    return Answer(tracking.label, tracking.verdict.word, _sentence(tracking, distance), rest)


def with_interval(interval: Interval, *, seeds: bool = True) -> str:
    """`+0.93, 95 % interval +0.71 to +0.98, n = 3 seeds`."""
    bounds = span(interval.low, interval.high, correlation)
    parts = [
        correlation(interval.center),
        f"95{FIXED}% interval {bounds}" if bounds else "no interval",
        f"n{FIXED}={FIXED}{counted(interval.n, 'seed')}",
    ]
    return ", ".join(parts if seeds else parts[:2])


def quality_name(column: str) -> str:
    """What a quality measure is called in running text."""
    return QUALITY_NAMES.get(column, column)


def _sentence(tracking: Tracking, distance: str) -> str:
    estimate = f"held-out {distance} estimate" if distance else "held-out estimate"
    quality, raw = quality_name(tracking.quality), tracking.raw
    if raw.n == 0:
        return f"No live seed gives a correlation of its {estimate} with {quality}."
    if raw.above(0):
        start = f"Its {estimate} falls together with {quality}"
    elif raw.below(0):
        start = f"Its {estimate} rises as {quality} falls"
    else:
        start = f"Whether its {estimate} falls together with {quality} is open"
    return f"{start} (mean rank correlation {with_interval(raw)}); {beyond_time(tracking)}."


def beyond_time(tracking: Tracking, together: str = "the two still move together") -> str:
    """What is left of the correlation beyond time; `together` says that it is above 0."""
    adjusted = tracking.adjusted
    if adjusted.n == 0 and tracking.evaluations < LEAST_EVALUATIONS:
        return (
            f"it cannot be adjusted for time, which takes {LEAST_EVALUATIONS} usable evaluations "
            f"per run where there are {tracking.evaluations}"
        )
    if adjusted.n == 0:
        return "beyond the trend over time there is nothing left to correlate"
    if adjusted.above(0):
        words = together
    elif adjusted.below(0):
        words = "the two move against each other"
    elif adjusted.inside(MARGIN):
        words = "next to no link is left"
    else:
        words = "no link is shown"
    same = adjusted.n == tracking.raw.n
    return f"beyond the trend over time {words} ({with_interval(adjusted, seeds=not same)})"


def _undefined(tracking: Tracking) -> list[str]:
    """Seeds that count as live and lack a correlation, by the reason that they share."""
    seeds_by_reason: dict[tuple[str, str], list[int]] = {}
    for seed in tracking.having(LIVE):
        if seed.note and math.isnan(seed.adjusted):
            what = "correlation" if math.isnan(seed.raw) else "time-adjusted correlation"
            seeds_by_reason.setdefault((what, seed.note), []).append(seed.seed)
    return [
        f"No {what} for {plural('seed', len(seeds))} {listed(map(str, seeds))}: {reason}."
        for (what, reason), seeds in seeds_by_reason.items()
    ]


def _swap(tracking: Tracking) -> list[str]:
    if tracking.verdict.more_seeds or tracking.verdict.more_evaluations:
        return []
    quality, p = quality_name(tracking.quality), tracking.swap_p
    if math.isnan(p):
        shared = counted(tracking.common_evaluations, "evaluation step")
        return [f"The seed swap could not be made: the live seeds share {shared}."]
    if p <= SWAP_LEVEL:
        return [
            f"A seed's estimate goes with its own {quality} more than with another seed's "
            f"(seed swap {p_value(p)})."
        ]
    if not tracking.adjusted.above(0):
        return []
    return [
        f"That a seed's estimate goes with its own {quality} more than with another seed's is not "
        f"shown (seed swap {p_value(p)}; “{TRACKS}” takes {SWAP_LEVEL:g} or less)."
    ]


def _not_live(tracking: Tracking) -> list[str]:
    said = []
    diverged = tracking.count(DIVERGED)
    if diverged:
        raw, adjusted = tracking.raw_with_diverged, tracking.adjusted_with_diverged
        text = f"{counted(diverged, 'seed')} diverged; counted as {MINUS}1, the mean is "
        text += with_interval(raw)
        if adjusted.n:
            text += f", and beyond time {with_interval(adjusted, seeds=adjusted.n != raw.n)}"
        if tracking.verdict_with_diverged.word != tracking.verdict.word:
            text += f"; the verdict would be “{tracking.verdict_with_diverged.word}”"
        said.append(text + ".")
    for status, words in (
        (DEAD, "The critic died in {}, not counted."),
        (UNFINISHED, "Not finished: {}."),
    ):
        seeds = [seed.seed for seed in tracking.having(status)]
        if seeds:
            said.append(words.format(f"{plural('seed', len(seeds))} {listed(map(str, seeds))}"))
    return said


def needed(tracking: Tracking) -> list[str]:
    """What more data a verdict would take, in sentences."""
    verdict, live, said = tracking.verdict, tracking.count(LIVE), []
    needs = []
    if verdict.more_seeds:
        more = counted(verdict.more_seeds, "more live seed")
        needs.append(f"at least {more} ({LEAST_SEEDS} in all, there are {live})")
    if verdict.more_evaluations and live:
        more = counted(verdict.more_evaluations, "more usable evaluation")
        needs.append(
            f"at least {more} per run ({LEAST_EVALUATIONS} in all, the shortest run has "
            f"{tracking.evaluations})"
        )
    if needs:
        said.append(f"For a verdict: {' and '.join(needs)}.")
    if verdict.projection is not None:
        seeds, word = verdict.projection.seeds, verdict.projection.word
        start = f"If the mean and spread of these {tracking.adjusted.n} seeds held, "
        if seeds is None:
            said.append(f"{start}even {MOST_SEEDS} seeds would decide nothing.")
        else:
            swap = ", should the seed swap agree" if word == TRACKS else ""
            said.append(f"{start}about {seeds} seeds in all would give “{word}”{swap}.")
    return said


def verdict_rules() -> list[tuple[str, str]]:
    """Each verdict with the rule that gives it, in the order in which they are tried."""
    rules = (
        f"the time-adjusted interval lies above 0 and the seed swap gives p ≤ {SWAP_LEVEL:g}",
        f"the time-adjusted interval lies below 0, or the raw one below {MINUS}{MARGIN:g}",
        f"the raw interval lies above {MARGIN:g} and the time-adjusted one within ±{MARGIN:g}",
        f"the raw interval lies above {MARGIN:g}; the time-adjusted one leaves the rest open",
        f"both intervals lie within ±{MARGIN:g}",
        f"none of these, or fewer than {LEAST_SEEDS} live seeds or {LEAST_EVALUATIONS} usable "
        "evaluations",
    )
    return list(zip(VERDICTS, rules, strict=True))


def counted(number: int, noun: str) -> str:
    """`3 seeds`."""
    return f"{number:,} {plural(noun, number)}"


def plural(noun: str, number: int) -> str:
    """The noun in the right number."""
    return noun if number == 1 else noun + "s"


def listed(words: Iterable[str], most: int = 12) -> str:
    """`a, b and c`, those with a comma quoted; what is beyond `most` is only counted."""
    items = [f"“{word}”" if ", " in word else word for word in words]
    if len(items) > most:
        items = [*items[: most - 1], f"{len(items) - most + 1} others"]
    if len(items) < 2:
        return "".join(items)
    return ", ".join(items[:-1]) + f" and {items[-1]}"
