"""Intervals over seeds: Student's t for means, and the same on Fisher's z for correlations.

No bootstrap: over 3 to 5 seeds a percentile bootstrap of a mean covers 74 to 85 % instead of 95 %.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

CLIP = 0.99  # correlations are brought into +-.99 before atanh
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean over `n` seeds with its 95 % interval.

    The bounds are NaN below 2 seeds, the centre below 1.
    """

    center: float
    low: float
    high: float
    n: int

    @property
    def known(self) -> bool:
        """Whether the bounds exist."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    def above(self, bound: float) -> bool:
        """Whether the whole interval lies above `bound`."""
        return self.known and self.low > bound

    def below(self, bound: float) -> bool:
        """Whether the whole interval lies below `bound`."""
        return self.known and self.high < bound

    def inside(self, margin: float) -> bool:
        """Whether the whole interval lies within +-`margin`."""
        return self.above(-margin) and self.below(margin)


NOTHING = Interval(math.nan, math.nan, math.nan, 0)


def t_interval(mean: float, deviation: float, n: int) -> Interval:
    """The 95 % interval of a mean whose values have this standard deviation (divisor n - 1)."""
    if n < 2:
        return Interval(mean if n else math.nan, math.nan, math.nan, n)
    half = float(stdtrit(n - 1, 0.5 + CONFIDENCE / 2)) * deviation / math.sqrt(n)
    return Interval(mean, mean - half, mean + half, n)


def mean_interval(values: Iterable[float]) -> Interval:
    """The mean of the finite `values`, one per seed, with its interval by Student's t."""
    return t_interval(*_moments(values))


def fisher_interval(correlations: Iterable[float]) -> Interval:
    """Tanh of the mean of atanh(r), with the t interval of that mean; r is clipped at +-.99.

    The estimand is tanh(E z). Covers 94.4 to 96.1 % at 5 seeds. Undefined correlations (NaN) are
    left out: say so where that happens.
    """
    return back(t_interval(*fisher_moments(correlations)))


def fisher_moments(correlations: Iterable[float]) -> tuple[float, float, int]:
    """Mean, standard deviation and number of the finite correlations, on the z scale."""
    return _moments(math.atanh(min(max(r, -CLIP), CLIP)) for r in correlations if math.isfinite(r))


def back(interval: Interval) -> Interval:
    """An interval on the z scale as one of correlations."""
    return Interval(
        math.tanh(interval.center), math.tanh(interval.low), math.tanh(interval.high), interval.n
    )


def _moments(values: Iterable[float]) -> tuple[float, float, int]:
    # Sorted, so that not even the last bit depends on the order of the seeds.
    finite = np.array(sorted(float(value) for value in values if math.isfinite(value)))
    if len(finite) == 0:
        return math.nan, math.nan, 0
    deviation = float(finite.std(ddof=1)) if len(finite) > 1 else math.nan
    return float(finite.mean()), deviation, len(finite)
