"""Metric noise apart from seed noise: how much of the spread over seeds is the score's own.

One model scored on several disjoint sets of fresh fakes spreads by the metric's noise; models of
several seeds spread by that and by what the seed brings.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import chdtri, fdtri

from bench.stats.intervals import CONFIDENCE

LEAST_SETS = 4  # disjoint fake sets per model
LEAST_SEEDS = 2


@dataclass(frozen=True)
class NoiseParts:
    """The two parts of the variance of one score over seeds.

    Attributes:
        metric: standard deviation of the score of one model from fake set to fake set.
        seed: standard deviation over seeds of what a model would score on endless sets; 0 where the
            spread over seeds is no larger than the metric's noise accounts for.
        seed_low, seed_high: its 95 % interval.
        metric_share: of the variance of one score over seeds, the metric's part.
        n, sets: how many models, and fake sets of each (the least that any has).
    """

    metric: float
    seed: float
    seed_low: float
    seed_high: float
    metric_share: float
    n: int
    sets: int


@dataclass(frozen=True)
class LabelNoise:
    """A label's noise, or in words why it is not known."""

    label: str
    parts: NoiseParts | None
    note: str


def noise_by_label(frame: pd.DataFrame) -> list[LabelNoise]:
    """Every label's noise, in the order of `frame` (made by `bench.stats.outcomes.outcomes`)."""
    found = []
    for label, group in frame.groupby("label", sort=False):
        columns = group[["fresh_mean", "fresh_sd", "fresh_sets"]].to_numpy(dtype=float)
        known = columns[np.isfinite(columns).all(axis=1)]
        note = ""
        if len(known) == 0:
            note = "no fresh fake sets were scored"
        elif known[:, 2].min() < LEAST_SETS:
            note = f"only {known[:, 2].min():.0f} of at least {LEAST_SETS} fake sets per model"
        elif len(known) < LEAST_SEEDS:
            note = f"only {len(known)} of at least {LEAST_SEEDS} seeds with a final model"
        parts = None if note else noise_parts(*known.T)
        found.append(LabelNoise(str(label), parts, note))
    return found


def noise_parts(means: npt.ArrayLike, deviations: npt.ArrayLike, sets: npt.ArrayLike) -> NoiseParts:
    """Seed noise and metric noise: var_seed = max(0, var_between - mean(var_metric / R)).

    The interval of the seed's part is that of Williams (1962, Biometrika 49) and Tukey for a
    balanced one-way layout of normal values; unequal R enter by their harmonic mean.

    Args:
        means, deviations: over the R fake sets of each model, divisor R - 1; shape (n,), n >= 2.
        sets: the R of each model, 2 or more.
    """
    values, spreads = np.asarray(means, dtype=float), np.asarray(deviations, dtype=float)
    counts = np.asarray(sets, dtype=float)
    between = float(values.var(ddof=1))
    metric = float(np.average(spreads**2, weights=counts - 1))
    within = float(np.mean(spreads**2 / counts))
    seed = max(0.0, between - within)
    low, high = _williams_tukey(between, metric, len(values), counts)
    total = seed + metric
    return NoiseParts(
        metric=math.sqrt(metric),
        seed=math.sqrt(seed),
        seed_low=low,
        seed_high=high,
        metric_share=metric / total if total > 0 else math.nan,
        n=len(values),
        sets=int(counts.min()),
    )


def _williams_tukey(
    between: float, metric: float, models: int, counts: npt.NDArray[np.float64]
) -> tuple[float, float]:
    """The 95 % interval of the seeds' standard deviation."""
    sets = len(counts) / float(np.sum(1 / counts))
    freedom, rest = models - 1, float(np.sum(counts - 1))
    upper = 0.5 + CONFIDENCE / 2
    bounds = []
    for tail in (upper, 1 - upper):
        covered = between - metric / sets * float(fdtri(freedom, rest, tail))
        # chdtri takes the probability above, not below.
        bounds.append(max(0.0, freedom * covered / float(chdtri(freedom, 1 - tail))))
    return math.sqrt(bounds[0]), math.sqrt(bounds[1])
