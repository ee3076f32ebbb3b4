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
import pandas as pd

from bench.stats.evaluations import (
    DEATH_COLUMNS,
    Evaluations,
    Mask,
    Vector,
    column_of,
    dead_stretches,
    evaluations_by_run,
)
from bench.stats.evaluations import (
    PRIMARY_ESTIMATE as PRIMARY_ESTIMATE,
)
from bench.stats.intervals import Interval, fisher_interval
from bench.stats.rank import (
    LEAST_EVALUATIONS,
    LEAST_RAW_EVALUATIONS,
    by_grid,
    seed_swap,
    spearman_rows,
    step_share_rows,
    time_adjusted_rows,
)
from bench.stats.verdicts import RESOLVED, Verdict, decide, project

LIVE, DEAD, DIVERGED, UNFINISHED = "live", "dead", "diverged", "unfinished"


@dataclass(frozen=True)
class SeedTracking:
    """One run's figures.

    Attributes:
        run_id, seed: whose.
        status: "live", "dead" (too little is left beside the dead stretches), "diverged" or
            "unfinished".
        evaluations: how many count: step 0, the warm-up, dead stretches and non-finite values are
            left out.
        left_out: how many evaluations after step 0 and the warm-up do not count.
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
        runs: columns run_id, label, seed, state, dead_critic; where it is there, also
            warm_up_steps, the steps of the critic's warm-up.
        curves: columns run_id, step, `quality`, `estimate`; where they are there, also
            estimate_held_out_error, score_mean and score_std, by which dead stretches are known.
        quality: the column that is low for good samples, such as "fid" or "exact_w1".
        estimate: the column that is correlated with it.
        floor: quality of real data against real data, the other thing needed to know a dead
            stretch.
    """
    by_run = evaluations_by_run(
        curves, quality, estimate=estimate, floor=floor, warm_up=warm_up_ends(runs)
    )
    ordered = runs.sort_values(["seed", "run_id"])
    ids = [str(run_id) for run_id in ordered["run_id"]]
    pairs = [_pair(by_run.get(run_id, NOTHING), estimate, quality) for run_id in ids]
    figures = zip(
        by_grid(lambda loss, score, _: spearman_rows(loss, score), pairs),
        by_grid(time_adjusted_rows, pairs),
        by_grid(lambda _, score, steps: step_share_rows(score, steps), pairs),
        strict=True,
    )
    found: dict[str, tuple[list[SeedTracking], list[Pair]]] = {
        str(label): ([], []) for label in dict.fromkeys(runs["label"])
    }
    for run, pair, figure in zip(ordered.to_dict("records"), pairs, figures, strict=True):
        taken = by_run.get(str(run["run_id"]), NOTHING)
        seed = _seed_tracking(run, taken, pair, quality, *figure)
        seeds, kept = found[str(run["label"])]
        seeds.append(seed)
        if seed.status == LIVE and math.isfinite(seed.raw):
            kept.append(pair)
    return [
        _over_seeds(label, tuple(seeds), kept, quality, estimate)
        for label, (seeds, kept) in found.items()
    ]


def warm_up_ends(runs: pd.DataFrame) -> dict[str, float]:
    """By run id, the last step of the critic's warm-up; 0 where there is none or it is not told."""
    ends = np.nan_to_num(column_of(runs, "warm_up_steps"), nan=0.0)
    return dict(zip(map(str, runs["run_id"]), ends.tolist(), strict=True))


def usable(
    curve: pd.DataFrame,
    quality: str,
    *,
    estimate: str = PRIMARY_ESTIMATE,
    floor: float | None = None,
    warm_up: float = 0,
) -> tuple[pd.DataFrame, int]:
    """A run's evaluations that count, and how many after step 0 do not.

    Columns step, `estimate` and `quality`. Step 0 and all up to step `warm_up`, dead stretches and
    rows where either value is missing or not finite are left out.
    """
    if not {quality, estimate} <= set(curve.columns):
        return pd.DataFrame({"step": [], estimate: [], quality: []}, dtype=float), 0
    columns = [
        name for name in ("step", *DEATH_COLUMNS, quality, estimate) if name in curve.columns
    ]
    taken = evaluations_by_run(
        curve[list(dict.fromkeys(columns))].assign(run_id=""),
        quality,
        estimate=estimate,
        floor=floor,
        warm_up={"": warm_up},
    ).get("", NOTHING)
    loss, score, steps = _pair(taken, estimate, quality)
    return pd.DataFrame({"step": steps, estimate: loss, quality: score}), taken.left_out


def dead_evaluations(evaluated: pd.DataFrame, quality: str, floor: float | None) -> Mask:
    """Which of a run's evaluations, in order, belong to a dead stretch; shape (n,).

    At three or more in a row the critic either cannot tell real from fake (the held-out estimate
    lies within 3 standard errors of 0) while quality is more than twice the floor, or gives
    constant scores (standard deviation below 1e-6 of their mean's size). Columns that are not there
    make no evaluation dead.
    """
    figures = {name: column_of(evaluated, name) for name in (quality, *DEATH_COLUMNS)}
    steps = column_of(evaluated, "step")
    return dead_stretches(figures, steps, np.zeros(len(steps), dtype=int), quality, floor)


NOTHING = Evaluations(np.zeros(0), {}, np.zeros(0, dtype=bool), np.zeros(0, dtype=bool))
Pair = tuple[Vector, Vector, Vector]


def _pair(taken: Evaluations, estimate: str, quality: str) -> Pair:
    """Loss, quality and step of the evaluations that count."""
    return taken.counted(estimate), taken.counted(quality), taken.steps[taken.counts]


def _seed_tracking(
    run: Mapping[Hashable, Any],
    taken: Evaluations,
    pair: Pair,
    quality: str,
    raw: float,
    adjusted: float,
    share: float,
) -> SeedTracking:
    loss, score, _ = pair
    count, state = len(loss), str(run["state"])
    died = run.get("dead_critic") is True or run.get("dead_critic") == 1 or bool(taken.dead.any())
    if state == "diverged":
        status = DIVERGED
    elif state != "done":
        status = UNFINISHED
    else:
        status = DEAD if died and (count < LEAST_EVALUATIONS or not taken.left_out) else LIVE
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
        left_out=taken.left_out,
        raw=raw,
        adjusted=adjusted,
        step_share=share,
        note=note,
    )


def _over_seeds(
    label: str,
    seeds: tuple[SeedTracking, ...],
    kept: Sequence[Pair],
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
    common = reduce(np.intersect1d, [steps for _, _, steps in kept]) if kept else np.zeros(0)
    swap_p = seed_swap(
        [loss[np.isin(steps, common)] for loss, _, steps in kept],
        [score[np.isin(steps, common)] for _, score, steps in kept],
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
