"""Exact Wasserstein-1 distances: the oracle for every estimate."""

from __future__ import annotations

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor


def exact_w1(x: Tensor, y: Tensor) -> float:
    """W1 between the empirical distributions of two samples, by solving the assignment problem.

    For equal counts n an optimal plan is a permutation (Birkhoff), so W1 = min over permutations s
    of mean_i ||x_i - y_s(i)||_2. The cost grows as n^3: about 0.1 s at n = 1,000. On a line,
    d = 1, an optimal permutation is the one that sorts both, which costs n log n.

    Args:
        x, y: shape (n, d), or (n, ...) which is flattened.

    Raises:
        ValueError: unequal shapes or no points.
    """
    if x.shape != y.shape or len(x) == 0:
        raise ValueError(
            f"needs two samples of one shape, not {tuple(x.shape)} and {tuple(y.shape)}"
        )
    if x[0].numel() == 1:
        a, b = (sample.detach().double().cpu().flatten().sort().values for sample in (x, y))
        return float((a - b).abs().mean())
    # Not by matrix multiplication: |x|^2 - 2xy + |y|^2 loses the small distances.
    costs = torch.cdist(
        x.detach().flatten(1).double().cpu(),
        y.detach().flatten(1).double().cpu(),
        compute_mode="donot_use_mm_for_euclid_dist",
    ).numpy()
    rows, columns = linear_sum_assignment(costs)
    return float(costs[rows, columns].mean())
