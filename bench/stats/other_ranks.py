"""Other ways to say how two curves of one training go together: shown, and never the analysis.

Only `bench.stats.rank.time_adjusted` corrects for time. Kendall's tau does not at all; the partial
correlation and that of differences of ranks look as if they did, and report links that are none
(false positives up to 100 % under a U-shaped trend).
"""

from __future__ import annotations

import math

import numpy as np

from bench.stats.rank import LEAST_RAW_EVALUATIONS, Vector, pearson_rows, ranks, residual

_MOST_PAIRS = 4_000_000  # pairs of evaluations held at once by Kendall's tau


def kendall_rows(first: Vector, second: Vector) -> Vector:
    """Kendall's tau-b in [-1, 1] of each row of two tables of shape (runs, n).

    (concordant - discordant) / sqrt(pairs untied in the first * pairs untied in the second)
    (Kendall 1945). NaN where a row is constant or has fewer than 5 values.
    """
    runs, count = first.shape
    found = np.full(runs, math.nan)
    if count < LEAST_RAW_EVALUATIONS:
        return found
    above = np.triu_indices(count, 1)
    chunk = max(1, _MOST_PAIRS // len(above[0]))
    for start in range(0, runs, chunk):
        rows = slice(start, start + chunk)
        a, b = (np.sign(side[rows, above[0]] - side[rows, above[1]]) for side in (first, second))
        untied = (np.abs(a).sum(axis=1) * np.abs(b).sum(axis=1)) ** 0.5
        found[rows] = (a * b).sum(axis=1) / np.where(untied > 0, untied, math.nan)
    return found


def partial_rows(first: Vector, second: Vector, steps: Vector) -> Vector:
    """Partial rank correlation of each row given the rank of the step; shape (runs,).

    What a straight line in the rank of the step leaves of the ranks. NaN where that is nothing, or
    with fewer than 5 values.
    """
    count = first.shape[1]
    if count < LEAST_RAW_EVALUATIONS:
        return np.full(len(first), math.nan)
    line = np.stack([np.ones(count), ranks(steps)], axis=1)
    basis = np.linalg.qr(line)[0]
    return pearson_rows(residual(ranks(first), basis), residual(ranks(second), basis))


def difference_rows(first: Vector, second: Vector) -> Vector:
    """Correlation of how the ranks change from one evaluation to the next; shape (runs,).

    NaN where the ranks of a row do not change or all change alike, or with fewer than 5 changes.
    """
    if first.shape[1] <= LEAST_RAW_EVALUATIONS:
        return np.full(len(first), math.nan)
    return pearson_rows(np.diff(ranks(first), axis=1), np.diff(ranks(second), axis=1))
