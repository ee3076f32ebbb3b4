"""Rank correlation of two curves of one training, raw and beyond time, and the seed swap.

Two curves that share nothing but a trend look correlated. Differences and partial correlations do
not mend that (their false positives reach 100 % under a U-shaped trend); ranks residualised on a
degree-5 polynomial of the step do (2 to 3 %). Functions that end in `_rows` take many runs at once.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]

DEGREE = 5  # of the polynomial of step that stands for time
LEAST_EVALUATIONS = 20  # for a figure adjusted for time
LEAST_RAW_EVALUATIONS = 5  # below it a rank correlation takes a handful of values only
EXHAUSTIVE_SEEDS = 6  # all 720 pairings up to here, else a sample of them
SAMPLED_PAIRINGS = 10_000


def ranks(values: npt.ArrayLike) -> Vector:
    """Ranks from 1 along the last axis, ties at their mean; NaN throughout where one is NaN.

    scipy.stats.rankdata gives the same and takes 0.4 s to load.
    """
    given = np.asarray(values, dtype=np.float64)
    order = np.argsort(given, axis=-1)
    ordered = np.take_along_axis(given, order, axis=-1)
    begins = np.ones(given.shape, dtype=bool)  # where a value is not the one before it
    begins[..., 1:] = ordered[..., 1:] != ordered[..., :-1]
    starts = np.flatnonzero(begins)
    ties = np.diff(np.append(starts, given.size))
    means = starts % max(1, given.shape[-1]) + (ties + 1) / 2
    ranked = np.empty(given.shape)
    np.put_along_axis(ranked, order, np.repeat(means, ties).reshape(given.shape), axis=-1)
    ranked[np.isnan(given).any(axis=-1)] = math.nan
    return ranked


def spearman(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Spearman's rank correlation in [-1, 1].

    NaN where a side is constant or has fewer than 5 values.

    Args:
        first, second: finite values of equal shape (n,).
    """
    a, b = _pair(first, second)
    return float(spearman_rows(a[None], b[None])[0])


def time_adjusted(first: npt.ArrayLike, second: npt.ArrayLike, steps: npt.ArrayLike) -> float:
    """Correlation in [-1, 1] of what a degree-5 polynomial of the step leaves of the ranks.

    NaN with fewer than 20 values, and where a side is constant or wholly explained by the step.

    Args:
        first, second: finite values of equal shape (n,).
        steps: their steps, shape (n,), distinct.
    """
    a, b = _pair(first, second)
    return float(time_adjusted_rows(a[None], b[None], steps)[0])


def step_share(values: npt.ArrayLike, steps: npt.ArrayLike) -> float:
    """Share in [0, 1] of the variance of the ranks that the polynomial of the step explains.

    NaN where the values are constant or fewer than 20.
    """
    return float(step_share_rows(np.asarray(values, dtype=np.float64)[None], steps)[0])


def spearman_rows(first: Vector, second: Vector) -> Vector:
    """`spearman` of each row of two tables of finite values of shape (runs, n): shape (runs,)."""
    if first.shape[-1] < LEAST_RAW_EVALUATIONS:
        return np.full(len(first), math.nan)
    return pearson_rows(ranks(first), ranks(second))


def time_adjusted_rows(first: Vector, second: Vector, steps: npt.ArrayLike) -> Vector:
    """`time_adjusted` of each row of two tables of shape (runs, n) on common `steps`."""
    if first.shape[-1] < LEAST_EVALUATIONS:
        return np.full(len(first), math.nan)
    return pearson_rows(beyond_time(first, steps), beyond_time(second, steps))


def step_share_rows(values: Vector, steps: npt.ArrayLike) -> Vector:
    """`step_share` of each row of a table of shape (runs, n) on common `steps`."""
    ranked = ranks(values)
    centred = ranked - ranked.mean(axis=-1, keepdims=True)
    total = (centred**2).sum(axis=-1)
    if values.shape[-1] < LEAST_EVALUATIONS:
        return np.full(len(values), math.nan)
    left = (residual(ranked, _time_basis(steps)) ** 2).sum(axis=-1)
    share: Vector = 1 - left / np.where(total > 0, total, math.nan)
    return share


def beyond_time(values: Vector, steps: npt.ArrayLike) -> Vector:
    """What the polynomial of the step leaves of the ranks of each row; shape (runs, n)."""
    return residual(ranks(values), _time_basis(steps))


def by_grid(
    figure: Callable[[Vector, Vector, Vector], Vector],
    runs: Sequence[tuple[Vector, Vector, Vector]],
) -> list[float]:
    """A figure of many runs, those that share their steps computed at once.

    Args:
        figure: takes first and second of shape (runs, n) and their steps of shape (n,).
        runs: first, second and steps of each.
    """
    places: dict[bytes, list[int]] = {}
    for place, (_, _, steps) in enumerate(runs):
        places.setdefault(np.asarray(steps, dtype=np.float64).tobytes(), []).append(place)
    found = [math.nan] * len(runs)
    for group in places.values():
        first, second = (np.stack([runs[place][side] for place in group]) for side in (0, 1))
        if first.shape[1]:
            figures = figure(first, second, runs[group[0]][2])
            for place, value in zip(group, figures.tolist(), strict=True):
                found[place] = value
    return found


def seed_swap(losses: Sequence[Vector], qualities: Sequence[Vector]) -> float:
    """P value of the seed swap: do a seed's own loss and quality agree better than swapped ones?

    What all seeds share, a trend over time above all, is shared by swapped pairs too. One-sided;
    all pairings up to 6 seeds, else 10,000 drawn with a fixed seed. NaN with fewer than 2 seeds or
    where some correlation is undefined.

    Args:
        losses, qualities: one vector per seed, all on the same steps.
    """
    count = len(losses)
    if count < 2 or len(losses[0]) < LEAST_RAW_EVALUATIONS:
        return math.nan
    loss_ranks, quality_ranks = ranks(np.stack(losses)), ranks(np.stack(qualities))
    # Which pairings are drawn depends on the order; the order of the seeds must not matter.
    order = np.lexsort(np.hstack([loss_ranks, quality_ranks]).T[::-1])
    # Seed by seed: all pairs at once take count^2 curves, gigabytes for 200 long ones.
    table = np.stack([pearson_rows(loss_ranks[[seed]], quality_ranks[order]) for seed in order])
    if not np.isfinite(table).all():
        return math.nan
    pairings = _pairings(count)
    sums = table[np.arange(count), pairings].sum(axis=1)
    as_well = int(np.sum(sums >= np.trace(table) - 1e-12))
    if count <= EXHAUSTIVE_SEEDS:
        return as_well / len(pairings)
    return (1 + as_well) / (1 + SAMPLED_PAIRINGS)


@lru_cache(maxsize=8)
def _pairings(count: int) -> npt.NDArray[np.int64]:
    """Whose quality each seed's loss is paired with, one pairing a row."""
    if count <= EXHAUSTIVE_SEEDS:
        return np.array(list(itertools.permutations(range(count))))
    generator = np.random.default_rng(0)
    return generator.permuted(np.tile(np.arange(count), (SAMPLED_PAIRINGS, 1)), axis=1)


def pearson_rows(first: Vector, second: Vector) -> Vector:
    """Pearson's correlation of each row of two tables of ranks, or of what is left of ranks.

    NaN where a row does not vary.
    """
    a = first - first.mean(axis=-1, keepdims=True)
    b = second - second.mean(axis=-1, keepdims=True)
    # Ranks are of size n; anything this small is rounding left by the regression, and no variation.
    nothing = 1e-9 * first.shape[-1] ** 1.5
    length_a, length_b = np.sqrt((a * a).sum(axis=-1)), np.sqrt((b * b).sum(axis=-1))
    varied = (length_a > nothing) & (length_b > nothing)
    lengths = np.where(varied, length_a * length_b, math.nan)
    correlation: Vector = np.clip((a * b).sum(axis=-1) / lengths, -1, 1)
    return correlation


def residual(values: Vector, basis: Vector) -> Vector:
    """Each row of `values`, shape (runs, n), less its projection on `basis`, shape (n, k)."""
    # Stacked vectors rather than one matrix: a row's bits must not depend on its neighbours.
    explained = basis @ (basis.T @ values[..., None])
    left: Vector = values - explained[..., 0]
    return left


def _pair(first: npt.ArrayLike, second: npt.ArrayLike) -> tuple[Vector, Vector]:
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(
            f"two vectors of one length are compared, not shapes {a.shape} and {b.shape}"
        )
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("non-finite values must be left out before correlating")
    return a, b


def _time_basis(steps: npt.ArrayLike) -> Vector:
    """An orthonormal basis of the polynomials of the step up to degree 5, shape (n, 6)."""
    return _basis(np.asarray(steps, dtype=np.float64).tobytes())


@lru_cache(maxsize=256)
def _basis(step_bytes: bytes) -> Vector:
    step = np.frombuffer(step_bytes, dtype=np.float64)
    span = step.max() - step.min()
    scaled = 2 * (step - step.min()) / span - 1 if span > 0 else np.zeros_like(step)
    basis: Vector = np.linalg.qr(np.polynomial.legendre.legvander(scaled, DEGREE))[0]
    return basis
