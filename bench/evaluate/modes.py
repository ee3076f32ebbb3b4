"""Modes: how many a generator covers, how evenly, and how many samples lie close to one.

The modes of a mixture are its components. Those of labelled images are their classes, told apart by
a classifier: the ten digits, or the 1,000 stacks of three digits.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

NEAR = 3.0  # standard deviations


class ModeScores(NamedTuple):
    """Scores of points against a mixture.

    Attributes:
        covered: the modes with at least one sample within 3 standard deviations.
        high_quality_share: the share of samples within 3 standard deviations of a mode.
        reverse_kl: KL(q || uniform) of the modes' shares q of the samples of high quality.
    """

    covered: int
    high_quality_share: float
    reverse_kl: float


def mode_scores(fake: Tensor, modes: Tensor, mode_std: float) -> ModeScores:
    """How many modes are covered, the share of samples of high quality, how uneven the modes are.

    A sample is of high quality within 3 standard deviations of its nearest mode (Srivastava et al.
    2017 (VEEGAN), arXiv:1705.07761, section 4.1). A mode is covered when at least one sample lies
    within 3 standard deviations of it (Lin et al. 2018 (PacGAN), arXiv:1712.04086, section 4.1). In
    the plane a perfect sample has a share of 1 - exp(-9/2) = .989.

    The reverse KL counts samples of high quality only, each for its nearest mode, as PacGAN's code
    does (MetricLogger); where there is none it is log K, its largest value.

    Args:
        fake: points, shape (N, d).
        modes: their centres, shape (K, d); equally likely.
        mode_std: the standard deviation of each mode in each coordinate, above 0.
    """
    distances = torch.cdist(
        fake.double(), modes.double(), compute_mode="donot_use_mm_for_euclid_dist"
    )
    near = distances <= NEAR * mode_std
    good = near.any(dim=1)
    counts = distances[good].argmin(dim=1).bincount(minlength=len(modes))
    uniform = torch.full((len(modes),), 1 / len(modes), dtype=torch.float64)
    return ModeScores(
        covered=int(near.any(dim=0).sum()),
        high_quality_share=float(good.double().mean()),
        reverse_kl=reverse_kl(counts, uniform),
    )


def class_mode_scores(logits: Tensor, shares: Tensor) -> tuple[int, float]:
    """How many classes images are put into, and the reverse KL of the classes' shares.

    Every image counts for its likeliest class, however unlike a digit it is: there is no measure of
    high quality (Metz et al. 2016 (Unrolled GAN), arXiv:1611.02163, section 3.3.1; PacGAN, section
    4.2, with 26,000 samples for 1,000 modes and `shares` uniform). With N samples a perfect
    generator of K modes covers sum_k 1 - (1 - p_k)^N of them, and its reverse KL is about
    (K - 1) / 2N.

    Args:
        logits: shape (N, 10), or (N, C, 10) for images read channel by channel.
        shares: of the modes in the data, from `class_shares`, all above 0.
    """
    digits = logits.argmax(dim=-1).view(len(logits), -1)
    counts = _numbered(digits, logits.shape[-1]).bincount(minlength=len(shares))
    return int((counts > 0).sum()), reverse_kl(counts, shares)


def class_shares(labels: Tensor, channels: int, classes: int = 10) -> Tensor:
    """How likely each mode is in the data: float64, shape (classes^C,).

    For one channel the labels' shares. For several, whose label is 100 a + 10 b + c, the product of
    the shares that the digits have in each channel: stacks are independent draws, and 1,000 modes
    counted one by one would add noise of their own.

    Args:
        labels: integers from 0 to classes^C - 1, shape (N,).
        channels: C.
    """
    joint = torch.ones(1, dtype=torch.float64)
    for place in reversed(range(channels)):
        digits = labels // classes**place % classes
        alone = digits.bincount(minlength=classes).double() / len(labels)
        joint = torch.outer(joint, alone).flatten()
    return joint


def reverse_kl(counts: Tensor, shares: Tensor) -> float:
    """KL(q || p) = sum_k q_k log(q_k / p_k) in nats, for the shares q of `counts`.

    Where nothing is counted it is the largest value that there is, that of a generator with the
    rarest mode alone.

    Args:
        counts: samples in each mode, shape (K,).
        shares: p, shape (K,), all above 0.
    """
    total = int(counts.sum())
    if total == 0:
        return -math.log(float(shares.min()))
    q = counts.double() / total
    # A sum of roundings may lie a hair below the 0 that it stands for.
    return max(0.0, float(torch.special.xlogy(q, q / shares).sum()))


def _numbered(digits: Tensor, classes: int) -> Tensor:
    """The number that digits, shape (N, C), spell: 100 a + 10 b + c."""
    numbers = digits[:, 0]
    for digit in digits.unbind(1)[1:]:
        numbers = numbers * classes + digit
    return numbers
