"""Density and coverage of features, by the nearest-neighbour balls of the reals.

Unlike precision and recall, whose balls around an outlier of either side are as large as they come,
both are read from the balls of the reals alone, and one value is right: a perfect generator's
density is 1, its coverage `expected_coverage`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

NEIGHBOURS = 5  # k; the paper's choice, whose coverage is .97 for equal counts


def ball_radii(real: Tensor, neighbours: int = NEIGHBOURS) -> Tensor:
    """The distance from each real to its k-th nearest other one, shape (N,).

    Args:
        real: features, shape (N, D), N > k.
        neighbours: k.
    """
    # A real's nearest neighbour is itself. The k smallest: several times as fast as the k-th.
    nearest = _distances(real, real).topk(neighbours + 1, dim=1, largest=False)
    return nearest.values[:, neighbours]


def density_coverage(
    fake: Tensor, real: Tensor, radii: Tensor, neighbours: int = NEIGHBOURS
) -> tuple[float, float]:
    """Density and coverage of M fakes against N reals with their `ball_radii`.

    density = 1/(k M) sum_j sum_i 1[|Y_j - X_i| < r_i], coverage = 1/N sum_i 1[min_j |Y_j - X_i| <
    r_i]: how many balls of reals a fake lies in, by the k that are to be expected; and the share of
    reals with a fake in their ball. Naeem et al. 2020, arXiv:2002.09797, section 3.2; balls are
    open, as in the authors' code: reals that are copies of each other have empty ones.

    Args:
        fake: features, shape (M, D).
        real, radii: shapes (N, D) and (N,).
        neighbours: k.
    """
    inside = _distances(real, fake) < radii[:, None]
    density = float(inside.sum()) / (neighbours * len(fake))
    return density, float(inside.any(dim=1).double().mean())


def expected_coverage(reals: int, fakes: int, neighbours: int = NEIGHBOURS) -> float:
    """A perfect generator's mean coverage: 1 - prod_{i=1..k} (N - i) / (N + M - i).

    A ball stays empty where the k nearest of the N - 1 other reals and M fakes are all reals. It
    rises with M and falls with N; for N = M it tends to 1 - 2^-k. The paper's lemma on coverage.
    """
    return 1 - math.prod(
        (reals - i) / (reals + fakes - i) for i in range(1, min(neighbours, reals - 1) + 1)
    )


def _distances(rows: Tensor, columns: Tensor) -> Tensor:
    """Euclidean distances, shape (len(rows), len(columns)).

    Not by matrix multiplication, whose rounding depends on the place in the matrix: a fake that
    copies a real lies exactly on the balls that the real lies on.
    """
    return torch.cdist(rows, columns, compute_mode="donot_use_mm_for_euclid_dist")
