"""Contrasts on tracking: whether an estimate follows quality beyond what time brings to both."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from bench.claims.claim import Test
from bench.claims.contrasts import single
from bench.claims.evidence import Claimed, Evidence
from bench.claims.measures import counted_rows, tracking
from bench.claims.observations import Observation, Observations, Where
from bench.stats import seed_swap
from bench.stats.tracking import PRIMARY_ESTIMATE


def tracks(
    effect: str,
    where: Where,
    quality: str,
    *,
    claimed: Claimed = "above",
    margin: float = 0.2,
    estimate: str = PRIMARY_ESTIMATE,
) -> Test:
    """Whether the estimate tracks quality beyond time, and by the seed swap (STATISTICS section 3).

    With `claimed` "within": that it does not. A seed that diverged counts as one that misleads.
    """
    beyond_time = single(
        effect,
        tracking(quality, estimate),
        where,
        claimed=claimed,
        margin=margin,
        scale="correlation",
        large_is_bad=False,
    )

    def test(seen: Observations) -> Sequence[Evidence]:
        (evidence,) = beyond_time(seen)
        if claimed != "above":
            return [evidence]
        return [replace(evidence, also=_swap(seen.where(where), quality, estimate))]

    return test


def does_not_track(
    effect: str, where: Where, quality: str, *, least: float = 0.2, estimate: str = PRIMARY_ESTIMATE
) -> Test:
    """Whether the correlation beyond time lies below `least`: none, or one that misleads."""
    return single(
        effect,
        tracking(quality, estimate),
        where,
        claimed="below",
        margin=0.01,
        scale="correlation",
        against=least,
        large_is_bad=False,
    )


def _swap(runs: Mapping[int, Observation], quality: str, estimate: str) -> float:
    """The seed swap's p value over the runs that are done, on their common steps."""
    counted = [
        counted_rows(run, quality, estimate).set_index("step")
        for run in runs.values()
        if run.state == "done"
    ]
    counted = [curve for curve in counted if len(curve)]
    if len(counted) < 2:
        return math.nan
    common = sorted(set.intersection(*(set(curve.index) for curve in counted)))
    found = seed_swap(
        [curve.loc[common, estimate].to_numpy() for curve in counted],
        [curve.loc[common, quality].to_numpy() for curve in counted],
    )
    return 1.0 if math.isnan(found) else found
