"""Rank correlation of two curves of one training, raw and beyond time, and the seed swap.

Two curves that share nothing but a trend look correlated. Differences and partial correlations do
not mend that (their false positives reach 100 % under a U-shaped trend); ranks residualised on a
degree-5 polynomial of the step do (2 to 3 %).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

Vector = npt.NDArray[np.float64]

DEGREE = 5  # of the polynomial of step that stands for time
LEAST_EVALUATIONS = 20  # for a figure adjusted for time
LEAST_RAW_EVALUATIONS = 5  # below it a rank correlation takes a handful of values only
EXHAUSTIVE_SEEDS = 6  # all 720 pairings up to here, else a sample of them
SAMPLED_PAIRINGS = 10_000


def ranks(values: npt.ArrayLike) -> Vector:
    """Ranks from 1, ties at their mean."""
    ranked = pd.Series(np.asarray(values, dtype=np.float64)).rank()
    return np.asarray(ranked, dtype=np.float64)


def spearman(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Spearman's rank correlation in [-1, 1].

    NaN where a side is constant or has fewer than 5 values.

    Args:
        first, second: finite values of equal shape (n,).
    """
    a, b = _pair(first, second)
    if len(a) < LEAST_RAW_EVALUATIONS:
        return math.nan
    return _pearson(ranks(a), ranks(b))


def time_adjusted(first: npt.ArrayLike, second: npt.ArrayLike, steps: npt.ArrayLike) -> float:
    """Correlation in [-1, 1] of what a degree-5 polynomial of the step leaves of the ranks.

    NaN with fewer than 20 values, and where a side is constant or wholly explained by the step.

    Args:
        first, second: finite values of equal shape (n,).
        steps: their steps, shape (n,), distinct.
    """
    a, b = _pair(first, second)
    if len(a) < LEAST_EVALUATIONS:
        return math.nan
    basis = _time_basis(steps)
    return _pearson(_residual(ranks(a), basis), _residual(ranks(b), basis))


def step_share(values: npt.ArrayLike, steps: npt.ArrayLike) -> float:
    """Share in [0, 1] of the variance of the ranks that the polynomial of the step explains.

    NaN where the values are constant or fewer than 20.
    """
    ranked = ranks(values)
    centred = ranked - ranked.mean()
    total = float(centred @ centred)
    if len(ranked) < LEAST_EVALUATIONS or total == 0:
        return math.nan
    residual = _residual(ranked, _time_basis(steps))
    return 1 - float(residual @ residual) / total


def seed_swap(losses: Sequence[Vector], qualities: Sequence[Vector]) -> float:
    """P value of the seed swap: do a seed's own loss and quality agree better than swapped ones?

    What all seeds share, a trend over time above all, is shared by swapped pairs too. One-sided;
    all pairings up to 6 seeds, else 10,000 drawn with a fixed seed. NaN with fewer than 2 seeds or
    where some correlation is undefined.

    Args:
        losses, qualities: one vector per seed, all on the same steps.
    """
    count = len(losses)
    if count < 2:
        return math.nan
    table = np.array([[spearman(loss, quality) for quality in qualities] for loss in losses])
    if not np.isfinite(table).all():
        return math.nan
    own = np.trace(table)
    rows = np.arange(count)
    if count <= EXHAUSTIVE_SEEDS:
        pairings = np.array(list(itertools.permutations(range(count))))
        sums = table[rows, pairings].sum(axis=1)
        return float(np.mean(sums >= own - 1e-12))
    generator = np.random.default_rng(0)
    pairings = generator.permuted(np.tile(rows, (SAMPLED_PAIRINGS, 1)), axis=1)
    sums = table[rows, pairings].sum(axis=1)
    return float((1 + np.sum(sums >= own - 1e-12)) / (1 + SAMPLED_PAIRINGS))


def _pair(first: npt.ArrayLike, second: npt.ArrayLike) -> tuple[Vector, Vector]:
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(
            f"two vectors of one length are compared, not shapes {a.shape} and {b.shape}"
        )
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("non-finite values must be left out before correlating")
    return a, b


def _pearson(a: Vector, b: Vector) -> float:
    a, b = a - a.mean(), b - b.mean()
    # Ranks are of size n; anything this small is rounding left by the regression, and no variation.
    nothing = 1e-9 * len(a) ** 1.5
    length_a, length_b = float(np.linalg.norm(a)), float(np.linalg.norm(b))
    if length_a <= nothing or length_b <= nothing:
        return math.nan
    return float(np.clip(a @ b / (length_a * length_b), -1, 1))


def _time_basis(steps: npt.ArrayLike) -> Vector:
    """An orthonormal basis of the polynomials of the step up to degree 5, shape (n, 6)."""
    step = np.asarray(steps, dtype=np.float64)
    span = step.max() - step.min()
    scaled = 2 * (step - step.min()) / span - 1 if span > 0 else np.zeros_like(step)
    basis: Vector = np.linalg.qr(np.polynomial.legendre.legvander(scaled, DEGREE))[0]
    return basis


def _residual(values: Vector, basis: Vector) -> Vector:
    return values - basis @ (basis.T @ values)
