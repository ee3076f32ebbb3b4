"""The kernel distance (KID), with what is of the reals alone summed once.

torch-fidelity's number bit for bit. Its random subsets are the same in every evaluation of as many
samples, so that the draws and the reals' own kernel sums, a third of the arithmetic, can be kept.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.floating[Any]]
Draws = tuple[tuple[NDArray[np.int64], NDArray[np.int64]], ...]


@lru_cache(maxsize=8)
def kernel_subsets(fakes: int, reals: int, subsets: int, size: int, seed: int) -> Draws:
    """Which fakes and which reals make up each subset, drawn as torch-fidelity draws them."""
    rng = np.random.RandomState(seed)
    return tuple(
        (rng.choice(fakes, size, replace=False), rng.choice(reals, size, replace=False))
        for _ in range(subsets)
    )


def real_kernel_sums(real: Rows, draws: Draws) -> list[Any]:
    """For each subset the sum of the kernel over pairs of different reals."""
    return [_sum_of_pairs(real[chosen]) for _, chosen in draws]


def kernel_distance(fake: Rows, real: Rows, draws: Draws, real_sums: list[Any]) -> float:
    """The mean over subsets of the unbiased MMD^2 with kernel (x.y / D + 1)^3.

    Binkowski et al. 2018, arXiv:1801.01401, section 4.

    Args:
        fake, real: features, shapes (M, D) and (N, D).
        draws: `kernel_subsets` of M and N.
        real_sums: the `real_kernel_sums` of those.
    """
    found = np.zeros(len(draws))
    for place, ((of_fake, of_real), real_sum) in enumerate(zip(draws, real_sums, strict=True)):
        x, y = fake[of_fake], real[of_real]
        size = len(x)
        across = _kernel(x, y).sum(axis=0).sum()
        within = (_sum_of_pairs(x) + real_sum) / (size * (size - 1))
        found[place] = within - 2 * across / (size * size)
    return float(np.mean(found))


def _kernel(x: Rows, y: Rows) -> Rows:
    kernel: Rows = (np.matmul(x, y.T) * (1.0 / x.shape[1]) + 1) ** 3
    return kernel


def _sum_of_pairs(x: Rows) -> Any:
    """In the features' precision and torch-fidelity's order: row by row, without the diagonal."""
    kernel = _kernel(x, x)
    return (kernel.sum(axis=1) - np.diagonal(kernel)).sum()
