"""The baselines that a generator must beat: Gaussians fitted to the pixels of each class."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

SEED = 0


def class_pixel_gaussian(pixels: Tensor, labels: Tensor, count: int) -> Tensor:
    """`count` images, each pixel of each class from a Gaussian of its own.

    It knows what each class looks like on average and how much each pixel varies, and nothing of
    how pixels vary together. Class proportions, rounding and arguments as for `class_gaussian`.
    """

    def draw(members: Tensor, share: int, rng: torch.Generator) -> Tensor:
        noise = torch.randn(share, members.shape[1], generator=rng, dtype=torch.float64)
        deviation: Tensor = members.std(dim=0, correction=0) * noise
        return deviation

    return _drawn(pixels, labels, count, draw)


def class_gaussian(pixels: Tensor, labels: Tensor, count: int) -> Tensor:
    """`count` images from a Gaussian per class, in class proportion; rounded and clipped to uint8.

    It knows each class's mean and all its second moments: mean + sum_i z_i (x_i - mean) /
    sqrt(n - 1), z ~ N(0, I), over the n images of a class, has the mean and covariance of that
    class's pixels exactly and needs no factorisation of the covariance, which is singular where a
    pixel never changes.

    Args:
        pixels: uint8, shape (N, C, H, W).
        labels: integers, shape (N,).
    """

    def draw(members: Tensor, share: int, rng: torch.Generator) -> Tensor:
        spread = (members - members.mean(dim=0)) / max(len(members) - 1, 1) ** 0.5
        noise = torch.randn(share, len(members), generator=rng, dtype=torch.float64)
        deviation: Tensor = noise @ spread
        return deviation

    return _drawn(pixels, labels, count, draw)


def _drawn(
    pixels: Tensor,
    labels: Tensor,
    count: int,
    deviation: Callable[[Tensor, int, torch.Generator], Tensor],
) -> Tensor:
    """Each class's mean plus its `deviation`, which has the class's pixels as rows, float64."""
    rng = torch.Generator().manual_seed(SEED)
    samples = []
    for label, share in _shares(labels, count).items():
        members = pixels[labels == label].flatten(1).double()
        samples.append(members.mean(dim=0) + deviation(members, share, rng))
    drawn = torch.cat(samples).round().clamp(0, 255).to(torch.uint8)
    return drawn.view(count, *pixels.shape[1:])


def _shares(labels: Tensor, count: int) -> dict[int, int]:
    """How many of `count` samples each class gets: in proportion, by largest remainders."""
    classes, members = labels.unique(return_counts=True)
    exact = members.double() * count / len(labels)
    shares = exact.floor().long()
    left_over = count - int(shares.sum())
    for index in (exact - shares).argsort(descending=True, stable=True)[:left_over]:
        shares[index] += 1
    return dict(zip(classes.tolist(), shares.tolist(), strict=True))
