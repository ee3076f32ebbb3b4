"""Percentile bootstraps over seeds, for figures that have no interval by Student's t.

From 10 seeds only: below, a percentile bootstrap covers too little (STATISTICS section 2). The
draws come from a fixed seed and the values are sorted first, so that the same runs in any order
give the same bits.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import numpy.typing as npt

from bench.stats.intervals import CONFIDENCE

LEAST_BOOTSTRAP_SEEDS = 10
RESAMPLES = 5000

Floats = npt.NDArray[np.float64]


@functools.lru_cache(maxsize=8)
def resampled_ranks(count: int) -> npt.NDArray[np.intp]:
    """Which of `count` sorted values each resample holds, in order; shape (RESAMPLES, count)."""
    drawn = np.random.default_rng(count).integers(0, count, (RESAMPLES, count))
    return np.sort(drawn, axis=1)


@functools.lru_cache(maxsize=8)
def resampled_counts(count: int, stream: int) -> Floats:
    """How often each resample holds each of `count` runs; shape (RESAMPLES, count).

    Resamples of unlike `stream` are independent of each other.
    """
    drawn = np.random.default_rng([count, stream]).integers(0, count, (RESAMPLES, count))
    flat = drawn + count * np.arange(RESAMPLES)[:, None]
    counts = np.bincount(flat.ravel(), minlength=RESAMPLES * count)
    return counts.reshape(RESAMPLES, count).astype(np.float64)


def percentile_bounds(drawn: npt.ArrayLike) -> tuple[float, float]:
    """The 95 % bounds of a figure's resampled values, each one of them (never between two).

    Infinite values, of runs that diverged, are in order like any others.
    """
    ordered = np.sort(np.asarray(drawn, dtype=np.float64))
    tail = (1 - CONFIDENCE) / 2 * (len(ordered) - 1)
    return float(ordered[math.floor(tail)]), float(ordered[len(ordered) - 1 - math.floor(tail)])
