"""The kernel distance (KID), with what is of the reals alone summed once.

torch-fidelity's number bit for bit. Its random subsets are the same in every evaluation of as many
samples, so that the draws and the reals' own kernel sums, a third of the arithmetic, can be kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

_AT_ONCE = 64_000  # numbers in the subsets' rows: they and their kernels stay in the cache

Rows = NDArray[np.floating[Any]]
Draws = tuple[NDArray[np.int64], NDArray[np.int64]]


@lru_cache(maxsize=8)
def kernel_subsets(fakes: int, reals: int, subsets: int, size: int, seed: int) -> Draws:
    """Which fakes and which reals make up each subset, drawn as torch-fidelity draws them.

    Two tables of the shape (subsets, size).
    """
    rng = np.random.RandomState(seed)
    drawn = [
        (rng.choice(fakes, size, replace=False), rng.choice(reals, size, replace=False))
        for _ in range(subsets)
    ]
    of_fakes, of_reals = zip(*drawn, strict=True)
    return np.stack(of_fakes), np.stack(of_reals)


def real_kernel_sums(real: Rows, draws: Draws) -> Rows:
    """For each subset the sum of the kernel over pairs of different reals, in their precision."""
    chosen = draws[1]
    parts = [_sums_of_pairs(real.take(chosen[part], axis=0)) for part in _parts(chosen, real)]
    return np.concatenate(parts)


def kernel_distance(fake: Rows, real: Rows, draws: Draws, real_sums: Rows) -> float:
    """The mean over subsets of the unbiased MMD^2 with kernel (x.y / D + 1)^3.

    Binkowski et al. 2018, arXiv:1801.01401, section 4.

    Args:
        fake, real: features, shapes (M, D) and (N, D).
        draws: `kernel_subsets` of M and N.
        real_sums: the `real_kernel_sums` of those.
    """
    of_fakes, of_reals = draws
    found = np.zeros(len(of_fakes))
    for part in _parts(of_fakes, fake):
        # A third of the time of indexing.
        x, y = fake.take(of_fakes[part], axis=0), real.take(of_reals[part], axis=0)
        size = x.shape[1]
        across = _kernel(x, y).sum(axis=1).sum(axis=1)
        within = (_sums_of_pairs(x) + real_sums[part]) / (size * (size - 1))
        found[part] = within - 2 * across / (size * size)
    return float(np.mean(found))


def _parts(chosen: NDArray[np.int64], rows: Rows) -> Iterator[slice]:
    """A few subsets at a time, one where they are large."""
    count = max(1, _AT_ONCE // (chosen.shape[1] * rows.shape[1]))
    for start in range(0, len(chosen), count):
        yield slice(start, start + count)


def _kernel(x: Rows, y: Rows) -> Rows:
    """Of each subset's rows, shapes (S, n, D): (S, n, n)."""
    products = np.matmul(x, y.swapaxes(1, 2))
    products *= 1.0 / x.shape[2]
    products += 1
    kernel: Rows = products**3
    return kernel


def _sums_of_pairs(x: Rows) -> Rows:
    """In the features' precision and torch-fidelity's order: row by row, without the diagonal."""
    kernel = _kernel(x, x)
    sums: Rows = (kernel.sum(axis=2) - np.diagonal(kernel, axis1=1, axis2=2)).sum(axis=1)
    return sums
