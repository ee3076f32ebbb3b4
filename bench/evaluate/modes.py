"""Scores of points against a known density: exact W1, modes covered, share of high quality."""

from __future__ import annotations

import torch
from torch import Tensor

from wgan.exact import exact_w1

NEAR = 3.0  # standard deviations
W1_POINTS = 1000  # the assignment problem costs n^3: about 0.1 s here


def distance_to_reference(fake: Tensor, reference: Tensor) -> float:
    """Exact W1 between the first n of `fake`, shape (N, d), and `reference`, shape (n, d)."""
    return exact_w1(fake[: len(reference)], reference)


def mode_scores(fake: Tensor, modes: Tensor, mode_std: float) -> tuple[int, float]:
    """How many modes are covered, and the share of samples of high quality.

    A sample is of high quality within 3 standard deviations of its nearest mode (Srivastava et al.
    2017 (VEEGAN), arXiv:1705.07761, section 4.1). A mode is covered when at least one sample lies
    within 3 standard deviations of it (Lin et al. 2018 (PacGAN), arXiv:1712.04086, section 4.1). In
    the plane a perfect sample has a share of 1 - exp(-9/2) = .989.

    Args:
        fake: points, shape (N, d).
        modes: their centres, shape (K, d).
        mode_std: the standard deviation of each mode in each coordinate, above 0.
    """
    distances = torch.cdist(
        fake.double(), modes.double(), compute_mode="donot_use_mm_for_euclid_dist"
    )
    near = distances <= NEAR * mode_std
    return int(near.any(dim=0).sum()), float(near.any(dim=1).double().mean())
