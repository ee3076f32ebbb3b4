"""Distributions on single points, where the standard GAN's gradients vanish and W1 is known."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from wgan.components import setting
from wgan.data.base import Dataset, Density
from wgan.data.densities import PlaneDensity, mixture


@dataclass(frozen=True)
class PointMass(Dataset):
    """All real mass at the origin of R^d, all of the counterpart's at theta * e_1: W1 = |theta|.

    The supports never meet unless theta is 0: JS stays at log 2, while W1 shrinks with theta.
    """

    name: ClassVar[str] = "point_mass"
    reference: ClassVar[str] = (
        "Arjovsky et al. 2017, arXiv:1701.07875, example 1; Mescheder et al. 2018 (Dirac-GAN), "
        "arXiv:1801.04406, definition 2.1"
    )

    theta: float = setting(1.0, "where the counterpart's mass lies on the first axis")
    dimension: int = setting(1, "d, the number of coordinates", low=1, high=100_000)

    @property
    def shape(self) -> tuple[int, ...]:
        """(d,)."""
        return (self.dimension,)

    def load(self) -> Density:
        """The two masses and their W1; nothing is drawn from the stream."""

        def real(count: int, rng: torch.Generator) -> Tensor:
            return torch.zeros(count, self.dimension, device=rng.device)

        def counterpart(count: int, rng: torch.Generator) -> Tensor:
            points = real(count, rng)
            points[:, 0] = self.theta
            return points

        return Density(self.name, self.shape, real, counterpart=counterpart, w1=abs(self.theta))


@dataclass(frozen=True)
class NoiselessRing(PlaneDensity):
    """Eight equal masses on a circle against N(0, I): W1 = E min_k |y - m_k|, y ~ N(0, I).

    No plan can send y nearer than to its nearest mass, and the plan that sends it there is one: by
    symmetry each mass receives an eighth. With radius 2, W1 = 0.9665.
    """

    name: ClassVar[str] = "noiseless_ring"
    reference: ClassVar[str] = (
        "the ring of Metz et al. 2016, arXiv:1611.02163, section 3.1, without noise; "
        "W1 is semi-discrete: Peyre and Cuturi 2019, arXiv:1803.00567, section 5"
    )

    radius: float = setting(2.0, "distance of the masses from the origin", above=0, high=1e3)

    def load(self) -> Density:
        """The masses, in counter-clockwise order from (radius, 0), their counterpart and W1."""
        angle = torch.arange(8) * (2 * math.pi / 8)
        masses = self.radius * torch.stack([angle.cos(), angle.sin()], dim=1)
        return Density(
            self.name,
            self.shape,
            mixture(self.name, masses, 0.0).sampler,
            modes=masses,
            mode_std=0.0,
            counterpart=lambda count, rng: torch.randn(count, 2, generator=rng, device=rng.device),
            w1=_distance_to_ring(self.radius),
        )


@functools.cache
def _distance_to_ring(radius: float) -> float:
    """E min_k |y - m_k| for y ~ N(0, I) and eight points on a circle, to 1e-8.

    In polar coordinates around the origin the plane is 16 half sectors of angle pi / 8, in each of
    which one point is the nearest.
    """
    from scipy.integrate import quad

    def along_ray(angle: float) -> float:
        def density_times_distance(r: float) -> float:
            nearest = math.sqrt(
                max(0.0, r * r + radius * radius - 2 * r * radius * math.cos(angle))
            )
            return nearest * r * math.exp(-r * r / 2)

        # The distance has a kink near r = radius; beyond r = 12 lie 1e-31 of the mass.
        return float(quad(density_times_distance, 0, 12, points=[min(radius, 12)], epsabs=1e-11)[0])

    return float(quad(along_ray, 0, math.pi / 8, epsabs=1e-10)[0] * 16 / (2 * math.pi))
