"""Tests on paired differences over seeds, and Holm's adjustment over a family of them.

Seeds are common to what is compared (equal data order, noise and initial weights), so that a
difference within a seed is freed of what the seed brings to both sides.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

Alternative = Literal["two-sided", "greater", "less"]

EXHAUSTIVE_PAIRS = 16  # all 65,536 signs up to here, else a sample of them
SAMPLED_SIGNS = 10_000


def sign_flip(differences: npt.ArrayLike, alternative: Alternative = "two-sided") -> float:
    """P value of the sign-flip test that the differences are symmetric about 0.

    The statistic is their sum. Exact up to 16 pairs; beyond, 10,000 signs drawn with a fixed seed,
    the data's own among them (Phipson and Smyth 2010, arXiv:1603.05766). Two-sided it cannot go
    below 2 / 2^n: .0625 for 5 pairs, .002 for 10.

    Args:
        differences: finite values of shape (n,), one per seed.
        alternative: "greater" asks whether they are positive.

    Returns:
        A value in (0, 1]; NaN without any difference.

    Raises:
        ValueError: a difference is not finite.
    """
    # Sorted by size, so that not even the last bit depends on the order of the seeds.
    values = np.sort(np.asarray(differences, dtype=np.float64))
    if not np.isfinite(values).all():
        raise ValueError("non-finite differences must be left out before testing")
    if len(values) == 0:
        return math.nan
    flipped = _signs(len(values)) @ np.abs(values)
    own = float(values.sum())
    slack = 1e-12 * float(np.abs(values).sum())
    if alternative == "two-sided":
        as_far = np.abs(flipped) >= abs(own) - slack
    elif alternative == "greater":
        as_far = flipped >= own - slack
    else:
        as_far = flipped <= own + slack
    if len(values) <= EXHAUSTIVE_PAIRS:
        return float(np.mean(as_far))
    return float((1.0 + float(as_far.sum())) / (1 + SAMPLED_SIGNS))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p values, in the given order (Holm 1979, Scand. J. Statist. 6).

    NaN stands for a test of the family that could not be made: it stays NaN, and counts as a 1, so
    that a family does not become easier for lacking data.

    Args:
        p_values: each in [0, 1] or NaN.
    """
    count = len(p_values)
    order = sorted(range(count), key=lambda i: 2.0 if math.isnan(p_values[i]) else p_values[i])
    adjusted, highest = [math.nan] * count, 0.0
    for rank, index in enumerate(order):
        if math.isnan(p_values[index]):
            break
        highest = max(highest, min(1.0, (count - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def _signs(count: int) -> npt.NDArray[np.float64]:
    """Signs to flip by, shape (m, count): all of them, or a sample."""
    if count <= EXHAUSTIVE_PAIRS:
        bits = np.arange(2**count)[:, None] >> np.arange(count) & 1
    else:
        bits = np.random.default_rng(0).integers(0, 2, (SAMPLED_SIGNS, count))
    return np.asarray(1 - 2 * bits, dtype=np.float64)
