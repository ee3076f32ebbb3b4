"""Pairs of Gaussians in any dimension whose Wasserstein-1 distance is known in closed form."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from wgan.components import setting
from wgan.data.base import Dataset, Density


@dataclass(frozen=True)
class GaussianPair(Dataset):
    """A Gaussian in R^d whose counterpart is N(0, I)."""

    dimension: int = setting(2, "d, the number of coordinates", low=1, high=100_000)

    @property
    def shape(self) -> tuple[int, ...]:
        """(d,)."""
        return (self.dimension,)


@dataclass(frozen=True)
class ShiftedGaussians(GaussianPair):
    """Real N(shift * e_1, I) against N(0, I): W1 = |shift|.

    The real side is the one that is moved, along the first axis. No plan beats the translation,
    since f(x) = sign(shift) x_1 is 1-Lipschitz and already tells the two means |shift| apart.
    """

    name: ClassVar[str] = "shifted_gaussians"
    reference: ClassVar[str] = (
        "W1 of a translation, by Kantorovich duality: Villani 2009, Optimal Transport, remark 6.5"
    )

    shift: float = setting(1.0, "mean of the real side along the first axis")

    def load(self) -> Density:
        """The moved Gaussian, its counterpart and their W1."""

        def sampler(count: int, rng: torch.Generator) -> Tensor:
            points = _standard(count, self.dimension, rng)
            points[:, 0] += self.shift
            return points

        return Density(
            self.name,
            self.shape,
            sampler,
            counterpart=lambda count, rng: _standard(count, self.dimension, rng),
            w1=abs(self.shift),
        )


@dataclass(frozen=True)
class ScaledGaussians(GaussianPair):
    """Real N(0, s^2 I) against N(0, I): W1 = |s - 1| sqrt(2) Gamma((d + 1) / 2) / Gamma(d / 2).

    The real side is the one that is scaled. The plan x -> s x costs |s - 1| E|x|, and the
    1-Lipschitz f(x) = sign(s - 1) |x| tells the two as far apart, so that neither can be improved;
    E|x| is the mean of the chi distribution with d degrees of freedom.
    """

    name: ClassVar[str] = "scaled_gaussians"
    reference: ClassVar[str] = (
        "W1 of a scaling, by Kantorovich duality: Villani 2009, Optimal Transport, remark 6.5"
    )

    scale: float = setting(
        2.0, "s, the standard deviation of the real side in each coordinate", low=0
    )

    def load(self) -> Density:
        """The scaled Gaussian, its counterpart and their W1."""
        d = self.dimension
        mean_norm = math.sqrt(2) * math.exp(math.lgamma((d + 1) / 2) - math.lgamma(d / 2))
        return Density(
            self.name,
            self.shape,
            lambda count, rng: self.scale * _standard(count, d, rng),
            counterpart=lambda count, rng: _standard(count, d, rng),
            w1=abs(self.scale - 1) * mean_norm,
        )


def _standard(count: int, dimension: int, rng: torch.Generator) -> Tensor:
    """Samples of N(0, I), where the stream lives."""
    return torch.randn(count, dimension, generator=rng, device=rng.device)
