"""The secondary interval: a hierarchical percentile bootstrap over seeds and, within, evaluations.

It draws seeds with replacement and within each drawn seed blocks of consecutive evaluations, so
that it also reflects how little a single training tells. It is shown beside the primary interval
(`bench.stats.intervals.fisher_interval`) and decides nothing: at 5 seeds its coverage of a nominal
95 % depends on how much the seeds differ, from about 89 to 99 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from bench.stats.intervals import CLIP, CONFIDENCE, Interval, fisher_interval
from bench.stats.rank import (
    LEAST_EVALUATIONS,
    LEAST_RAW_EVALUATIONS,
    Vector,
    beyond_time,
    pearson_rows,
    ranks,
)

REPLICATES = 2000  # of the seeds
DRAWS = 400  # of the evaluations of each seed, from which each replicate takes one

Indices = npt.NDArray[np.int64]
Run = tuple[Vector, Vector, Vector]


def bootstrap_raw(runs: Sequence[Run], diverged: int = 0) -> Interval:
    """The bootstrap's interval of the raw rank correlation over seeds.

    Args:
        runs: of each live seed, loss, quality and steps, in order of step.
        diverged: how many seeds to count as -1 besides.
    """
    return _interval(
        [(ranks(a), ranks(b)) for a, b, _ in runs if len(a) >= LEAST_RAW_EVALUATIONS], diverged
    )


def bootstrap_adjusted(runs: Sequence[Run], diverged: int = 0) -> Interval:
    """The same for the time-adjusted correlation.

    The polynomial of the step is taken out once, from the whole run; what it leaves is drawn from.
    """
    return _interval(
        [
            (beyond_time(a, steps), beyond_time(b, steps))
            for a, b, steps in runs
            if len(a) >= LEAST_EVALUATIONS
        ],
        diverged,
    )


def block_length(count: int) -> int:
    """Evaluations in a block: the cube root of their number, rounded up, and at least 2."""
    return max(2, math.ceil(math.pow(count, 1 / 3) - 1e-9))


def _interval(pairs: Sequence[tuple[Vector, Vector]], diverged: int) -> Interval:
    """The percentile interval of tanh of the mean of atanh r over seeds, around the mean itself."""
    own = [float(pearson_rows(a[None], b[None])[0]) for a, b in pairs]
    defined = [place for place, value in enumerate(own) if math.isfinite(value)]
    lost = [-1.0] * (diverged if defined else 0)
    center = fisher_interval([own[place] for place in defined] + lost)
    if center.n < 2:
        return center
    # Whose draws are whose depends on the order; the order of the seeds must not matter.
    defined.sort(
        key=lambda place: (own[place], pairs[place][0].tobytes(), pairs[place][1].tobytes())
    )
    drawn = np.concatenate(
        [
            np.stack([_drawn(*pairs[place]) for place in defined]),
            np.full((len(lost), DRAWS), math.atanh(-CLIP)),
        ]
    )
    seeds, draws = _replicates(len(drawn))
    means = drawn[seeds, draws].mean(axis=1)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(center.center, math.tanh(low), math.tanh(high), center.n)


def _drawn(first: Vector, second: Vector) -> Vector:
    """Fisher's z of the correlation in each draw of blocks of one seed; shape (DRAWS,).

    Blocks go round the end (Politis and Romano 1992), so that every evaluation is drawn alike. Only
    sums over blocks are drawn: a correlation needs no more.
    """
    count = len(first)
    length = block_length(count)
    a, b = first - first.mean(), second - second.mean()
    moments = np.stack([a, b, a * a, b * b, a * b])
    running = np.cumsum(np.pad(np.hstack([moments, moments[:, : length - 1]]), ((0, 0), (1, 0))), 1)
    blocks = running[:, length:] - running[:, :-length]
    # A mean over the evaluations drawn; the last block may reach beyond their number.
    sums = blocks @ _blocks(count) / length
    variance_a, variance_b = sums[2] - sums[0] ** 2, sums[3] - sums[1] ** 2
    spread = np.sqrt(np.maximum(variance_a * variance_b, 0))
    # A draw in which nothing varies says nothing of a link.
    nothing = spread <= 1e-9 * math.sqrt(float((a @ a) * (b @ b))) / count
    r = np.where(nothing, 0.0, sums[4] - sums[0] * sums[1]) / np.where(nothing, 1.0, spread)
    z: Vector = np.arctanh(np.clip(r, -CLIP, CLIP))
    return z


@lru_cache(maxsize=64)
def _blocks(count: int) -> Vector:
    """The share of each of the `count` blocks among those drawn; shape (count, DRAWS)."""
    blocks = math.ceil(count / block_length(count))
    drawn = np.random.default_rng(count).integers(0, count, (DRAWS, blocks))
    places = (drawn + count * np.arange(DRAWS)[:, None]).ravel()
    shares: Vector = np.bincount(places, minlength=count * DRAWS).reshape(DRAWS, count).T / blocks
    return np.ascontiguousarray(shares)


@lru_cache(maxsize=16)
def _replicates(seeds: int) -> tuple[Indices, Indices]:
    """Which seed stands in each place of each replicate, and which of its draws is taken."""
    draw = np.random.default_rng(seeds)
    shape = (REPLICATES, seeds)
    return draw.integers(0, seeds, shape), draw.integers(0, DRAWS, shape)
