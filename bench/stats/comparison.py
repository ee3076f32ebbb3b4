"""Settings against each other, pair by pair: paired differences on common seeds, and who wins.

Equal seeds have equal data order, noise and initial weights in every setting, so that a difference
within a seed is freed of what the seed brings to both. Low quality values are good.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.stats.intervals import NOTHING, Interval, mean_interval
from bench.stats.outcomes import DIVERGED
from bench.stats.paired import holm, sign_flip
from bench.stats.resamples import LEAST_BOOTSTRAP_SEEDS, percentile_bounds, resampled_counts

MOST_SETTINGS = 12  # of which all pairs are compared; beyond it only those with the baseline


@dataclass(frozen=True)
class Comparison:
    """One setting against another.

    Attributes:
        first, second: the labels; below 0 (or a ratio below 1) the first is better.
        difference: the mean over common seeds of first minus second, t interval; `n` are the pairs.
        ratio: the geometric mean of first over second with the t interval of its logarithm; unknown
            where a value is not positive.
        p: sign-flip test of the differences, two-sided; NaN without pairs.
        p_holm: adjusted over all comparisons made together.
        lost_pairs: common seeds in which one or both diverged; they are in none of the above.
        improvement: the probability that a run of the first is better than one of the second, over
            all pairs of runs, half of the ties; bootstrap interval from 10 runs of each. `n` is the
            number of the smaller side's runs.
        improvement_with_diverged: the same with a diverged run worse than any final model.
        diverged: of the first and of the second, how many.
    """

    first: str
    second: str
    difference: Interval
    ratio: Interval
    p: float
    p_holm: float
    lost_pairs: int
    improvement: Interval
    improvement_with_diverged: Interval
    diverged: tuple[int, int]


def default_baseline(frame: pd.DataFrame) -> str | None:
    """The first label with a final model: the order is the sweep's, so no result chooses it."""
    for label, group in frame.groupby("label", sort=False):
        if np.isfinite(group["final"]).any():
            return str(label)
    return None


def pairs_with_baseline(labels: Sequence[str], baseline: str) -> list[tuple[str, str]]:
    """Each label against the baseline: the family that is looked at first."""
    return [(label, baseline) for label in labels if label != baseline]


def all_pairs(labels: Sequence[str]) -> list[tuple[str, str]]:
    """Every pair, the later label against the earlier: a second family, as large as it is.

    Empty beyond 12 labels: so many comparisons could show nothing, whatever the data.
    """
    if len(labels) > MOST_SETTINGS:
        return []
    return [(later, earlier) for earlier, later in combinations(labels, 2)]


def compare(frame: pd.DataFrame, pairs: Sequence[tuple[str, str]]) -> list[Comparison]:
    """Every pair's comparison, their p values adjusted together.

    Args:
        frame: made by `bench.stats.outcomes.outcomes`.
        pairs: the labels to set against each other; those together are the family.
    """
    runs = {str(label): group for label, group in frame.groupby("label", sort=False)}
    found = [_compare(first, second, runs[first], runs[second]) for first, second in pairs]
    adjusted = holm([comparison.p for comparison in found])
    return [
        replace(comparison, p_holm=value) for comparison, value in zip(found, adjusted, strict=True)
    ]


def log_ratio_interval(first: npt.ArrayLike, second: npt.ArrayLike) -> Interval:
    """The geometric mean of first / second over pairs, with a t interval on the logarithm.

    Unknown where any value is not positive.
    """
    one, other = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if len(one) == 0 or min(one.min(), other.min()) <= 0:
        return NOTHING
    logs = mean_interval(np.log(one) - np.log(other))
    return Interval(_exp(logs.center), _exp(logs.low), _exp(logs.high), logs.n)


def probability_of_improvement(first: npt.ArrayLike, second: npt.ArrayLike) -> Interval:
    """P(a value of first < one of second) + half the ties, over all pairs: U / (n m).

    The interval, from 10 values of each on, resamples the two sides apart from each other (Agarwal
    et al. 2021, arXiv:2108.13264). It covers 93 to 95 % where the sides are independent, and more
    where equal seeds make them alike. Where every pair agrees a bootstrap has no width, so that
    there are no bounds.
    """
    one = np.sort(np.asarray(first, dtype=float))
    other = np.sort(np.asarray(second, dtype=float))
    count = min(len(one), len(other))
    if count == 0:
        return NOTHING
    wins = (one[:, None] < other) + 0.5 * (one[:, None] == other)
    center = float(wins.mean())
    if count < LEAST_BOOTSTRAP_SEEDS or wins.min() == wins.max():
        return Interval(center, math.nan, math.nan, count)
    left, right = resampled_counts(len(one), 0), resampled_counts(len(other), 1)
    drawn = np.einsum("ij,ij->i", left @ wins, right) / wins.size
    return Interval(center, *percentile_bounds(drawn), count)


def least_p(pairs: int) -> float:
    """The smallest p that a two-sided sign-flip test on so many pairs can give."""
    return min(1.0, 2.0 ** (1 - pairs))


def pairs_needed(family: int, level: float = 0.05) -> int:
    """The fewest pairs with which one comparison of the family can be at or below the level."""
    return next(pairs for pairs in range(1, 100) if family * least_p(pairs) <= level)


def _compare(first: str, second: str, left: pd.DataFrame, right: pd.DataFrame) -> Comparison:
    one, other = _by_seed(left), _by_seed(right)
    common = one.index.intersection(other.index)
    ended = [runs.loc[common].isin([math.inf]) for runs in (one, other)]
    lost = (ended[0] & other.loc[common].notna()) | (ended[1] & one.loc[common].notna())
    pairs = np.column_stack([one.loc[common], other.loc[common]])
    pairs = pairs[np.isfinite(pairs).all(axis=1)]
    differences = pairs[:, 0] - pairs[:, 1]
    finals = [runs[np.isfinite(runs)].to_numpy() for runs in (one, other)]
    diverged = (int((one == math.inf).sum()), int((other == math.inf).sum()))
    improvement = probability_of_improvement(*finals)
    return Comparison(
        first=first,
        second=second,
        difference=mean_interval(differences),
        ratio=log_ratio_interval(pairs[:, 0], pairs[:, 1]),
        p=sign_flip(differences),
        p_holm=math.nan,
        lost_pairs=int(lost.sum()),
        improvement=improvement,
        improvement_with_diverged=probability_of_improvement(one.dropna(), other.dropna())
        if any(diverged)
        else improvement,
        diverged=diverged,
    )


def _by_seed(group: pd.DataFrame) -> pd.Series:
    """Final quality by seed: infinite where the run diverged, NaN where it has none yet."""
    values = group["final"].where(group["status"] != DIVERGED, math.inf)
    values.index = pd.Index(group["seed"])
    return values[~values.index.duplicated()]


def _exp(value: float) -> float:
    """The number whose logarithm this is, at most 1e304; NaN stays NaN."""
    return math.exp(min(value, 700.0)) if value == value else math.nan
