"""Loss against quality over the tables of a sweep: each seed's figures, each setting's verdict.

The primary analysis is fixed: held-out estimate against FID (exact W1 for densities), Spearman, no
lag, no smoothing. Signed so
that +1 means that loss and quality measure fall together: both shrink as samples get better, so the
sign is Spearman's own.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.stats.intervals import Interval, fisher_interval
from bench.stats.rank import (
    LEAST_EVALUATIONS,
    LEAST_RAW_EVALUATIONS,
    seed_swap,
    spearman,
    step_share,
    time_adjusted,
)
from bench.stats.verdicts import RESOLVED, Verdict, decide, project

PRIMARY_ESTIMATE = "estimate_held_out"
DEAD_STREAK = 3  # evaluations in a row
LIVE, DEAD, DIVERGED, UNFINISHED = "live", "dead", "diverged", "unfinished"

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class SeedTracking:
    """One run's figures.

    Attributes:
        run_id, seed: whose.
        status: "live", "dead" (too little is left beside the dead stretches), "diverged" or
            "unfinished".
        evaluations: how many count: step 0, dead stretches and non-finite values are left out.
        left_out: how many evaluations after step 0 do not count.
        raw, adjusted: the correlation, and that of the ranks beyond the trend over time; NaN where
            undefined.
        step_share: the share of the variance of the quality's ranks that the step alone explains.
        note: why a figure is undefined, in words; "" where none is.
    """

    run_id: str
    seed: int
    status: str
    evaluations: int
    left_out: int
    raw: float
    adjusted: float
    step_share: float
    note: str


@dataclass(frozen=True)
class Tracking:
    """A setting's figures over its seeds.

    The intervals hold the live seeds, those `with_diverged` also -1 for each diverged one. The seed
    swap is made on the `common_evaluations`, the steps that all live seeds share; `evaluations` is
    the least that any live seed has.
    """

    label: str
    estimate: str
    quality: str
    seeds: tuple[SeedTracking, ...]
    raw: Interval
    adjusted: Interval
    raw_with_diverged: Interval
    adjusted_with_diverged: Interval
    swap_p: float
    common_evaluations: int
    evaluations: int
    verdict: Verdict
    verdict_with_diverged: Verdict

    def count(self, status: str) -> int:
        """How many seeds have this status."""
        return sum(seed.status == status for seed in self.seeds)

    def having(self, status: str) -> tuple[SeedTracking, ...]:
        """The seeds of this status."""
        return tuple(seed for seed in self.seeds if seed.status == status)


def track(
    runs: pd.DataFrame,
    curves: pd.DataFrame,
    quality: str,
    *,
    estimate: str = PRIMARY_ESTIMATE,
    floor: float | None = None,
) -> list[Tracking]:
    """Every label's figures and verdict, in the order in which the labels first stand in `runs`.

    Args:
        runs: columns run_id, label, seed, state, dead_critic.
        curves: columns run_id, step, `quality`, `estimate`; where they are there, also
            estimate_held_out_error, score_mean and score_std, by which dead stretches are known.
        quality: the column that is low for good samples, such as "fid" or "exact_w1".
        estimate: the column that is correlated with it.
        floor: quality of real data against real data, the other thing needed to know a dead
            stretch.
    """
    by_run = dict(iter(curves.groupby("run_id", sort=False)))
    empty = curves.iloc[:0]
    found = []
    for label, group in runs.groupby("label", sort=False):
        ordered = group.sort_values(["seed", "run_id"])
        seeds, kept = [], []
        for run in ordered.to_dict("records"):
            counted, left_out = usable(
                by_run.get(run["run_id"], empty), quality, estimate=estimate, floor=floor
            )
            seed = _seed_tracking(run, counted, left_out, quality, estimate)
            seeds.append(seed)
            if seed.status == LIVE and math.isfinite(seed.raw):
                kept.append(counted)
        found.append(_over_seeds(str(label), tuple(seeds), kept, quality, estimate))
    return found


def usable(
    curve: pd.DataFrame,
    quality: str,
    *,
    estimate: str = PRIMARY_ESTIMATE,
    floor: float | None = None,
) -> tuple[pd.DataFrame, int]:
    """A run's evaluations that count, and how many after step 0 do not.

    Columns step, `estimate` and `quality`. Step 0, dead stretches and rows where either value is
    missing or not finite are left out.
    """
    if not {quality, estimate} <= set(curve.columns):
        return pd.DataFrame({"step": [], estimate: [], quality: []}, dtype=float), 0
    scored = curve[quality].notna() | ~np.isnan(_column(curve, PRIMARY_ESTIMATE))
    evaluated = curve[scored].sort_values("step")
    values = evaluated[["step", estimate, quality]].astype(float)
    later = values["step"].to_numpy() > 0
    counts = (
        later
        & np.isfinite(values.to_numpy()).all(axis=1)
        & ~dead_evaluations(evaluated, quality, floor)
    )
    return values[counts].reset_index(drop=True), int(later.sum() - counts.sum())


def dead_evaluations(evaluated: pd.DataFrame, quality: str, floor: float | None) -> Mask:
    """Which of a run's evaluations, in order, belong to a dead stretch; shape (n,).

    At three or more in a row the critic either cannot tell real from fake (the held-out estimate
    lies within 3 standard errors of 0) while quality is more than twice the floor, or gives
    constant scores (standard deviation below 1e-6 of their mean's size). Columns that are not there
    make no evaluation dead.
    """
    quality_now = _column(evaluated, quality)
    error = _column(evaluated, "estimate_held_out_error")
    with np.errstate(invalid="ignore"):
        blind = np.abs(_column(evaluated, PRIMARY_ESTIMATE)) <= 3 * error
        blind &= quality_now > 2 * (math.nan if floor is None else floor)
        constant = _column(evaluated, "score_std") <= 1e-6 * np.abs(
            _column(evaluated, "score_mean")
        )
    # At step 0 the critic has learnt nothing yet, so it cannot have died.
    dead: Mask = (blind | constant) & (_column(evaluated, "step") > 0)
    stretch = np.cumsum(np.diff(dead, prepend=False))
    lengths = np.bincount(stretch, minlength=1) if len(dead) else np.zeros(1, dtype=int)
    long_enough: Mask = lengths[stretch] >= DEAD_STREAK
    return dead & long_enough


def _column(frame: pd.DataFrame, name: str) -> npt.NDArray[np.float64]:
    if name not in frame.columns:
        return np.full(len(frame), np.nan)
    return frame[name].to_numpy(dtype=np.float64, na_value=np.nan)


def _seed_tracking(
    run: Mapping[Hashable, Any], counted: pd.DataFrame, left_out: int, quality: str, estimate: str
) -> SeedTracking:
    loss, score, step = (counted[name].to_numpy() for name in (estimate, quality, "step"))
    count, state = len(counted), str(run["state"])
    flagged = run.get("dead_critic") is True or run.get("dead_critic") == 1
    if state == "diverged":
        status = DIVERGED
    elif state != "done":
        status = UNFINISHED
    else:
        status = DEAD if flagged and (count < LEAST_EVALUATIONS or not left_out) else LIVE
    raw, adjusted = spearman(loss, score), time_adjusted(loss, score, step)
    note = ""
    if count == 0:
        note = f"no evaluation has both a finite estimate and a finite {quality}"
    elif np.ptp(loss) == 0 and count > 1:
        note = f"the estimate is constant ({loss[0]:.3g} at all {count} evaluations)"
    elif np.ptp(score) == 0 and count > 1:
        note = f"{quality} is constant ({score[0]:.3g} at all {count} evaluations)"
    elif count < LEAST_RAW_EVALUATIONS:
        note = f"only {count} of at least {LEAST_RAW_EVALUATIONS} usable evaluations"
    elif count >= LEAST_EVALUATIONS and math.isnan(adjusted):
        note = "the step alone explains one of the two curves, so nothing is left beyond time"
    return SeedTracking(
        run_id=str(run["run_id"]),
        seed=int(str(run["seed"])),
        status=status,
        evaluations=count,
        left_out=left_out,
        raw=raw,
        adjusted=adjusted,
        step_share=step_share(score, step) if count else math.nan,
        note=note,
    )


def _over_seeds(
    label: str,
    seeds: tuple[SeedTracking, ...],
    kept: Sequence[pd.DataFrame],
    quality: str,
    estimate: str,
) -> Tracking:
    live = [seed for seed in seeds if seed.status == LIVE]
    raw, adjusted = [seed.raw for seed in live], [seed.adjusted for seed in live]
    raw_lost = [-1.0] * sum(seed.status == DIVERGED for seed in seeds)
    # Where no live seed can be adjusted for time, the adjusted figure stays unknown.
    adjusted_lost = raw_lost if any(math.isfinite(r) for r in adjusted) else []
    evaluations = min((seed.evaluations for seed in live), default=0)

    # The swap needs every seed on the same steps.
    grids = [set(curve["step"]) for curve in kept]
    common = reduce(set.intersection, grids) if grids else set()
    on_common = [curve[curve["step"].isin(common)] for curve in kept]
    swap_p = seed_swap(
        [curve[estimate].to_numpy() for curve in on_common],
        [curve[quality].to_numpy() for curve in on_common],
    )

    def verdict(all_raw: list[float], all_adjusted: list[float]) -> Verdict:
        decided = decide(
            fisher_interval(all_raw),
            fisher_interval(all_adjusted),
            swap_p,
            len(live),
            evaluations,
        )
        # More seeds are no answer where evaluations are missing or only the seed swap disagrees.
        waits_for_swap = not decided.more_seeds and fisher_interval(all_adjusted).above(0)
        if decided.more_evaluations or decided.word in RESOLVED or waits_for_swap:
            return decided
        return replace(decided, projection=project(all_raw, all_adjusted))

    return Tracking(
        label=label,
        estimate=estimate,
        quality=quality,
        seeds=seeds,
        raw=fisher_interval(raw),
        adjusted=fisher_interval(adjusted),
        raw_with_diverged=fisher_interval(raw + raw_lost),
        adjusted_with_diverged=fisher_interval(adjusted + adjusted_lost),
        swap_p=swap_p,
        common_evaluations=len(common),
        evaluations=evaluations,
        verdict=verdict(raw, adjusted),
        verdict_with_diverged=verdict(raw + raw_lost, adjusted + adjusted_lost),
    )
