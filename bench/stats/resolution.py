"""What a setting's data could have shown: which links they would have found, and which not.

A lower bound above 0 needs a link large enough for the number of seeds and their spread; that
there is none needs an interval within +-0.2. Both follow from the noncentral t distribution, on
Fisher's z.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from scipy.special import nctdtr, nctdtrinc, stdtrit

from bench.stats.intervals import CONFIDENCE, fisher_moments
from bench.stats.rank import DEGREE, LEAST_EVALUATIONS
from bench.stats.tracking import LIVE, Tracking
from bench.stats.verdicts import LEAST_SEEDS, MARGIN, MOST_SEEDS

POWER = 0.8


@dataclass(frozen=True)
class Resolution:
    """What a setting's live seeds could and could not have shown beyond time.

    Attributes:
        label: the setting.
        live: live seeds.
        seeds, evaluations: those with a time-adjusted correlation, and the least number of
            evaluations that any of them has.
        spread: the standard deviation of z over seeds that is reckoned with.
        measured: whether it is that of these seeds; else what `evaluations` independent ones give.
        found_from: the smallest true correlation (tanh E z) whose interval lies above 0 in 80 % of
            such sweeps; NaN where nothing can be found.
        seeds_to_find_half: seeds at which a true 0.5 would be found, None beyond 100.
        seeds_to_exclude: seeds at which, with no link, the interval lies within +-0.2 in 80 %; None
            beyond 100.
    """

    label: str
    live: int
    seeds: int
    evaluations: int
    spread: float
    measured: bool
    found_from: float
    seeds_to_find_half: int | None
    seeds_to_exclude: int | None

    @property
    def could_exclude(self) -> bool:
        """Whether that there is no link could have been shown."""
        return self.seeds_to_exclude is not None and self.seeds >= self.seeds_to_exclude


def resolve(tracking: Tracking) -> Resolution:
    """What a setting's data could have shown, from its live seeds' time-adjusted correlations."""
    live = [seed for seed in tracking.having(LIVE) if math.isfinite(seed.adjusted)]
    _, deviation, seeds = fisher_moments(seed.adjusted for seed in live)
    evaluations = min((seed.evaluations for seed in live), default=tracking.evaluations)
    measured = seeds >= 3 and deviation > 0
    spread = deviation if measured else expected_spread(evaluations)
    return Resolution(
        tracking.label,
        tracking.count(LIVE),
        seeds,
        evaluations,
        spread,
        measured,
        detectable(seeds, spread),
        _first(lambda count: detectable(count, spread) <= 0.5),
        _first(lambda count: exclusion_power(count, spread) >= POWER),
    )


def detectable(seeds: int, spread: float, power: float = POWER) -> float:
    """The smallest tanh(E z) whose 95 % interval lies above 0 with this power; NaN under 2 seeds.

    Args:
        seeds: how many.
        spread: standard deviation of z over seeds.
        power: share of such sweeps in which it is found.
    """
    if seeds < 2 or not math.isfinite(spread):
        return math.nan
    # With z normal, mean z over its standard error is noncentral t.
    noncentrality = float(nctdtrinc(seeds - 1, 1 - power, _quantile(seeds)))
    return math.tanh(noncentrality * spread / math.sqrt(seeds))


def detection_power(seeds: int, spread: float, correlation: float) -> float:
    """How often a true tanh(E z) of `correlation` has its 95 % interval above 0."""
    noncentrality = math.atanh(correlation) * math.sqrt(seeds) / spread
    return 1 - float(nctdtr(seeds - 1, noncentrality, _quantile(seeds)))


def exclusion_power(seeds: int, spread: float, margin: float = MARGIN) -> float:
    """How often at least, with no link, the 95 % interval lies within +-`margin`.

    Each bound fails with the same probability; that neither does is at least 1 minus both.
    """
    if seeds < 2 or not math.isfinite(spread):
        return 0.0
    noncentrality = math.atanh(margin) * math.sqrt(seeds) / spread
    fails = float(nctdtr(seeds - 1, noncentrality, _quantile(seeds)))
    return max(0.0, 1 - 2 * fails)


def expected_spread(evaluations: int) -> float:
    """Standard deviation of z over seeds that differ by chance alone; NaN below 20 evaluations.

    Fisher's 1 / (n - 3) with the 5 degrees of freedom of the polynomial taken off, times 1.06 for
    ranks (Fieller, Hartley and Pearson 1957). Simulated under a linear trend it is right to 3 %,
    under curved ones 3 to 9 % too small. Seeds that truly differ spread more.
    """
    if evaluations < LEAST_EVALUATIONS:
        return math.nan
    return math.sqrt(1.06 / (evaluations - DEGREE - 3))


def _quantile(seeds: int) -> float:
    return float(stdtrit(seeds - 1, 0.5 + CONFIDENCE / 2))


def _first(holds: Callable[[int], bool]) -> int | None:
    return next((count for count in range(LEAST_SEEDS, MOST_SEEDS + 1) if holds(count)), None)
