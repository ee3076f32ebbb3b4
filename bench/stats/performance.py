"""Performance profiles: which share of a method's runs reaches a quality, for every quality.

Dolan and More 2002 (arXiv:cs/0102001), over runs as in Agarwal et al. 2021 (arXiv:2108.13264).
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import pandas as pd

from bench.stats.outcomes import DIVERGED, FINAL
from bench.stats.resamples import Floats

GRID_POINTS = 200


def performance_profiles(frame: pd.DataFrame, by: str) -> pd.DataFrame:
    """The share of runs with final quality below tau, for each tau of a common grid.

    A diverged run is below no tau and counts as a run; one that has not ended, or has no final
    score, is left out.

    Args:
        frame: made by `bench.stats.outcomes.outcomes`.
        by: the column whose values are compared, "label" or "method".

    Returns:
        columns `by`, tau, share and n (runs that count), in the order of `frame`; empty where no
        run has a final score.
    """
    counts = frame[frame["status"].isin([FINAL, DIVERGED])]
    grid = tau_grid(counts["final"])
    parts = [
        pd.DataFrame(
            {by: name, "tau": grid, "share": shares_below(group["final"], grid), "n": len(group)}
        )
        for name, group in counts.groupby(by, sort=False)
        if len(grid)
    ]
    columns = [by, "tau", "share", "n"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def shares_below(values: Iterable[float], taus: Floats) -> Floats:
    """The share of the values strictly below each tau; NaN (no model) is below none."""
    held = np.array(list(values), dtype=np.float64)
    ordered = np.sort(held[~np.isnan(held)])
    shares: Floats = np.searchsorted(ordered, taus, side="left") / max(1, len(held))
    return shares


def tau_grid(values: Iterable[float], points: int = GRID_POINTS) -> Floats:
    """Levels from the lowest finite value to just above the highest.

    Evenly spaced in the logarithm where all values are positive, else evenly.
    """
    finite = np.array([value for value in values if math.isfinite(value)], dtype=np.float64)
    if len(finite) == 0:
        return np.empty(0)
    low, high = float(finite.min()), float(finite.max())
    if low > 0:
        # Beyond the highest by a hundredth, so that every profile arrives where it ends.
        return np.geomspace(low, high * 1.01, points)
    reach = (high - low) or 1.0
    return np.linspace(low, high + 0.01 * reach, points)
