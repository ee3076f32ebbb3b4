"""What choosing a checkpoint by the critic's loss buys, in units of the quality measure.

Of equal evaluations the best looks better than it is, by 1.54, 1.87 and 2.16 standard deviations of
the metric's noise at 10, 20 and 40 of them. So "best" is chosen on one half of the samples and
scored on the other, where evaluations recorded both; else the figure given is marked as optimistic.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import ndtr

from bench.stats.evaluations import PRIMARY_ESTIMATE, Evaluations
from bench.stats.intervals import Interval, mean_interval
from bench.stats.tracking import DIVERGED, LIVE, Tracking

HALVES = ("_first_half", "_second_half")
SELECTION_COLUMNS = (
    "label",
    "run_id",
    "seed",
    "status",
    "choosable",
    "last",
    "chosen",
    "chosen_step",
    "by_loss",
    "at_random",
    "best",
    "best_optimistic",
    "note",
)


@dataclass(frozen=True)
class Selection:
    """What choosing one evaluation of each run buys a setting, over its live seeds.

    Attributes:
        label: the setting.
        by_loss: quality at the last step less that where the held-out estimate is smallest; above 0
            choosing by loss is better than taking the last.
        at_random: the same for an evaluation drawn at random.
        best: the same for the best, chosen on one half of the samples and scored on the other; NaN
            where no halves were recorded.
        best_optimistic: the same for the best by the very score that it reports.
        choosable: the least that any live seed has to choose from.
        diverged_chosen: quality at the evaluation with the smallest estimate in runs that diverged;
            they have no last model.
    """

    label: str
    by_loss: Interval
    at_random: Interval
    best: Interval
    best_optimistic: Interval
    choosable: int
    diverged_chosen: Interval


def expected_optimism(count: int) -> float:
    """By how many standard deviations the best of `count` equal evaluations seems better.

    The expected maximum of `count` independent standard normal variables, n times the integral of
    x phi(x) Phi(x)^(n - 1) (David and Nagaraja 2003, section 3.1).
    """
    if count < 2:
        return 0.0
    # The trapezoid rule, whose error for a smooth function that vanishes at both ends is rounding;
    # scipy's quadrature takes 0.4 s to load.
    x = np.linspace(-8, 10, 1801)
    normal = np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
    return float((count * x * normal * ndtr(x) ** (count - 1)).sum() * (x[1] - x[0]))


def choose(
    trackings: Sequence[Tracking], taken: Mapping[str, Evaluations], quality: str
) -> pd.DataFrame:
    """Every live or diverged seed's choice: one row each, with `SELECTION_COLUMNS`.

    Choosable are evaluations after step 0 and the warm-up, outside dead stretches, with finite
    estimate and quality: untrained and dead critics have the smallest loss. Gains are quality at
    the last step less quality at the choice, so that above 0 is better than the last.
    """
    rows = [
        {
            "label": tracking.label,
            "run_id": seed.run_id,
            "seed": seed.seed,
            "status": seed.status,
            **_chosen(taken.get(seed.run_id), quality, seed.status),
        }
        for tracking in trackings
        for seed in tracking.seeds
        if seed.status in (LIVE, DIVERGED)
    ]
    return pd.DataFrame(rows, columns=list(SELECTION_COLUMNS))


def select(trackings: Sequence[Tracking], seeds: pd.DataFrame) -> list[Selection]:
    """What choosing buys each setting, over the seeds that `choose` gave."""
    found = []
    for tracking in trackings:
        own = seeds[seeds["label"] == tracking.label]
        live, diverged = own[own["status"] == LIVE], own[own["status"] == DIVERGED]
        found.append(
            Selection(
                label=tracking.label,
                by_loss=_mean(live, "by_loss"),
                at_random=_mean(live, "at_random"),
                best=_mean(live, "best"),
                best_optimistic=_mean(live, "best_optimistic"),
                choosable=int(live["choosable"].min()) if len(live) else 0,
                diverged_chosen=_mean(diverged, "chosen"),
            )
        )
    return found


def _mean(rows: pd.DataFrame, name: str) -> Interval:
    return mean_interval(rows[name].astype(float))


def _chosen(run: Evaluations | None, quality: str, status: str) -> dict[str, object]:
    unknown = dict.fromkeys(SELECTION_COLUMNS[5:12], math.nan)
    if run is None or not run.counts.any():
        return {**unknown, "choosable": 0, "note": "no evaluation to choose from"}
    estimate, score = run.counted(PRIMARY_ESTIMATE), run.counted(quality)
    place = int(np.argmin(estimate))
    found: dict[str, object] = {
        **unknown,
        "choosable": len(score),
        "chosen": float(score[place]),
        "chosen_step": float(run.steps[run.counts][place]),
        "note": "",
    }
    last = float(run.figure(quality)[-1])
    if status == DIVERGED:
        return {**found, "note": "diverged: it has no last model"}
    if not math.isfinite(last):
        return {**found, "note": "no finite score at the last evaluation"}
    if np.ptp(estimate) == 0 and len(estimate) > 1:
        # All are the smallest: nothing was chosen.
        found |= {"chosen": math.nan, "chosen_step": math.nan}
        found["note"] = "the estimate is constant, so that it chooses nothing"
    else:
        found["by_loss"] = last - float(score[place])
    return found | {
        "last": last,
        "at_random": last - float(score.mean()),
        "best": _split_gain(run, quality),
        "best_optimistic": last - float(score.min()),
    }


def _split_gain(run: Evaluations, quality: str) -> float:
    """The gain of the best, chosen on one half and scored on the other; mean of both ways round."""
    first, second = (run.figure(quality + half) for half in HALVES)
    known = run.counts & np.isfinite(first) & np.isfinite(second)
    if not known.any() or not np.isfinite([first[-1], second[-1]]).all():
        return math.nan
    gains = [
        scoring[-1] - scoring[known][np.argmin(choosing[known])]
        for choosing, scoring in ((first, second), (second, first))
    ]
    return float(np.mean(gains))
