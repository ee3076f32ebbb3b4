"""What the figures over seeds allow to say about a setting, and how much more it would take."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.stats.intervals import NOTHING, Interval, back, fisher_moments, t_interval
from bench.stats.rank import LEAST_EVALUATIONS

LEAST_SEEDS = 5
MARGIN = 0.2  # a correlation within +-.2 counts as none
SWAP_LEVEL = 0.05
MOST_SEEDS = 100  # beyond it a projection is not given as a number

TRACKS = "tracks"
MISLEADS = "misleads"
THROUGH_TIME = "tracks only through time"
FALLS_WITH_TIME = "falls with time, beyond that undecided"
DOES_NOT_TRACK = "does not track"
UNDECIDED = "undecided"
VERDICTS = (TRACKS, MISLEADS, THROUGH_TIME, FALLS_WITH_TIME, DOES_NOT_TRACK, UNDECIDED)
RESOLVED = (TRACKS, MISLEADS, THROUGH_TIME, DOES_NOT_TRACK)


@dataclass(frozen=True)
class Projection:
    """The number of live seeds in all at which `word` would follow, were mean and spread to stay.

    `seeds` is None where even 100 would not do, and `word` is then empty. With three seeds the
    spread itself is barely known, so this is a rough guide. It supposes that the seed swap agrees.
    """

    seeds: int | None
    word: str


@dataclass(frozen=True)
class Verdict:
    """One of `VERDICTS`, and what is missing for another.

    Attributes:
        word: the verdict.
        more_seeds, more_evaluations: how many live seeds, and usable evaluations per run, are short
            of the least (5 and 20).
        projection: how many seeds would resolve it, where that can be said.
    """

    word: str
    more_seeds: int = 0
    more_evaluations: int = 0
    projection: Projection | None = None


def decide(
    raw: Interval, adjusted: Interval, swap_p: float, live: int, evaluations: int
) -> Verdict:
    """The verdict by the rules fixed beforehand; *undecided* below 5 live seeds or 20 evaluations.

    Args:
        raw, adjusted: the intervals over seeds, without and with time taken out.
        swap_p: of the seed swap; NaN where it could not be made.
        live: seeds that neither died nor diverged.
        evaluations: usable evaluations of the run that has fewest.
    """
    more_seeds = max(0, LEAST_SEEDS - live)
    more_evaluations = max(0, LEAST_EVALUATIONS - evaluations)
    if more_seeds or more_evaluations:
        return Verdict(UNDECIDED, more_seeds, more_evaluations)
    return Verdict(
        _word(_enough(raw), _enough(adjusted), math.isfinite(swap_p) and swap_p <= SWAP_LEVEL)
    )


def project(
    raw: Iterable[float], adjusted: Sequence[float], most: int = MOST_SEEDS
) -> Projection | None:
    """How many seeds would resolve the verdict, were these correlations' mean and spread true.

    None with fewer than 3 adjusted correlations, whose spread says too little.
    """
    raw_mean, raw_deviation, raw_count = fisher_moments(raw)
    mean, deviation, count = fisher_moments(adjusted)
    if count < 3 or raw_count < 3:
        return None
    for seeds in range(max(LEAST_SEEDS, count + 1), most + 1):
        word = _word(
            back(t_interval(raw_mean, raw_deviation, seeds)),
            back(t_interval(mean, deviation, seeds)),
            swap_agrees=True,
        )
        if word in RESOLVED:
            return Projection(seeds, word)
    return Projection(None, "")


def _enough(interval: Interval) -> Interval:
    return interval if interval.n >= LEAST_SEEDS else NOTHING


def _word(raw: Interval, adjusted: Interval, swap_agrees: bool) -> str:
    if adjusted.above(0) and swap_agrees:
        return TRACKS
    if adjusted.below(0) or raw.below(-MARGIN):
        return MISLEADS
    if raw.above(MARGIN):
        return THROUGH_TIME if adjusted.inside(MARGIN) else FALLS_WITH_TIME
    if raw.inside(MARGIN) and adjusted.inside(MARGIN):
        return DOES_NOT_TRACK
    return UNDECIDED
