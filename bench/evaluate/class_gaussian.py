"""The baselines that a generator must beat: Gaussians fitted to the pixels of each class."""

from __future__ import annotations

import torch
from torch import Tensor

SEED = 0


def class_pixel_gaussian(pixels: Tensor, labels: Tensor, count: int) -> Tensor:
    """`count` images, each pixel of each class from a Gaussian of its own; else as below.

    It knows what each class looks like on average and how much each pixel varies, and nothing of
    how pixels vary together.

    Args:
        pixels: uint8, shape (N, C, H, W).
        labels: integers, shape (N,).
    """
    rng = torch.Generator().manual_seed(SEED)
    samples = []
    for label, share in _shares(labels, count).items():
        members = pixels[labels == label].double()
        noise = torch.randn(share, *pixels.shape[1:], generator=rng, dtype=torch.float64)
        samples.append(members.mean(dim=0) + members.std(dim=0, correction=0) * noise)
    return torch.cat(samples).round().clamp(0, 255).to(torch.uint8)


def class_gaussian(pixels: Tensor, labels: Tensor, count: int) -> Tensor:
    """`count` images from a Gaussian per class, in class proportion; rounded and clipped to uint8.

    It knows each class's mean and all its second moments.

    mean + sum_i z_i (x_i - mean) / sqrt(n - 1), z ~ N(0, I), over the n images of a class, has the
    mean and covariance of that class's pixels exactly and needs no factorisation of the covariance,
    which is singular where a pixel never changes.

    Args:
        pixels: uint8, shape (N, C, H, W).
        labels: integers, shape (N,).
    """
    rng = torch.Generator().manual_seed(SEED)
    samples = []
    for label, share in _shares(labels, count).items():
        members = pixels[labels == label].flatten(1).double()
        mean = members.mean(dim=0)
        spread = (members - mean) / max(len(members) - 1, 1) ** 0.5
        noise = torch.randn(share, len(members), generator=rng, dtype=torch.float64)
        samples.append(mean + noise @ spread)
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
