"""Densities in the plane, known exactly: mixtures on a ring and on a grid, the Swiss roll."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from wgan.components import setting
from wgan.data.base import Dataset, Density


@dataclass(frozen=True)
class PlaneDensity(Dataset):
    """A density in the plane."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(2,)."""
        return (2,)


@dataclass(frozen=True)
class Ring8(PlaneDensity):
    """Eight equally likely Gaussians on a circle."""

    name: ClassVar[str] = "ring8"
    reference: ClassVar[str] = (
        "Metz et al. 2016, arXiv:1611.02163, section 3.1; radius and deviation as in its code"
    )

    radius: float = setting(2.0, "distance of the modes from the origin", above=0)
    std: float = setting(0.02, "standard deviation of each mode in each coordinate", low=0)

    def load(self) -> Density:
        """The mixture, its modes in counter-clockwise order from (radius, 0)."""
        angle = torch.arange(8) * (2 * math.pi / 8)
        return mixture(
            self.name, self.radius * torch.stack([angle.cos(), angle.sin()], dim=1), self.std
        )


@dataclass(frozen=True)
class Grid25(PlaneDensity):
    """25 equally likely Gaussians on a 5 x 5 grid."""

    name: ClassVar[str] = "grid25"
    reference: ClassVar[str] = (
        "Srivastava et al. 2017 (VEEGAN), arXiv:1705.07761, section 4.1; Lin et al. 2018 (PacGAN)"
    )

    spacing: float = setting(2.0, "distance between neighbouring modes", above=0)
    std: float = setting(0.05, "standard deviation of each mode in each coordinate", low=0)

    def load(self) -> Density:
        """The mixture, its modes row by row, centred on the origin."""
        ticks = self.spacing * torch.arange(-2.0, 3.0)
        return mixture(self.name, torch.cartesian_prod(ticks, ticks), self.std)


@dataclass(frozen=True)
class SwissRoll(PlaneDensity):
    """The Swiss roll seen along its axis.

    (t cos t, t sin t) + noise with t ~ U[1.5 pi, 4.5 pi], scaled to about [-2, 2].
    """

    name: ClassVar[str] = "swiss_roll"
    reference: ClassVar[str] = (
        "Gulrajani et al. 2017, arXiv:1704.00028, figure 1; scale as in its code"
    )

    noise: float = setting(
        0.25, "standard deviation added to each coordinate before scaling", low=0
    )

    def load(self) -> Density:
        """The roll; it has no modes."""

        def sampler(count: int, rng: torch.Generator) -> Tensor:
            t = 1.5 * math.pi * (1 + 2 * torch.rand(count, generator=rng, device=rng.device))
            roll = torch.stack([t * t.cos(), t * t.sin()], dim=1)
            return (
                roll + self.noise * torch.randn(count, 2, generator=rng, device=rng.device)
            ) / 7.5

        return Density(self.name, self.shape, sampler)


def mixture(name: str, modes: Tensor, std: float) -> Density:
    """Equally likely isotropic Gaussians around `modes`, shape (K, d)."""

    @functools.cache
    def held(device: torch.device) -> Tensor:
        """The modes on a device, copied once: a CUDA graph takes no copy from the host."""
        return modes.to(device)

    def sampler(count: int, rng: torch.Generator) -> Tensor:
        chosen = torch.randint(len(modes), (count,), generator=rng, device=rng.device)
        noise = torch.randn(count, modes.shape[1], generator=rng, device=rng.device)
        return held(rng.device)[chosen] + std * noise

    def together(count: int, rngs: Sequence[torch.Generator]) -> Tensor:
        device = rngs[0].device
        chosen = torch.empty(len(rngs), count, dtype=torch.int64, device=device)
        noise = torch.empty(len(rngs), count, modes.shape[1], device=device)
        for indices, steps, rng in zip(chosen, noise, rngs, strict=True):
            torch.randint(len(modes), (count,), generator=rng, out=indices)
            torch.randn(count, modes.shape[1], generator=rng, out=steps)
        return held(device)[chosen] + std * noise

    return Density(name, (modes.shape[1],), sampler, modes=modes, mode_std=std, together=together)
