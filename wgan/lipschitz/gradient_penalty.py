"""Gradient penalty: the critic's gradient norm is pulled to a target between real and fake."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from wgan.components import setting
from wgan.lipschitz.base import LipschitzMethod


@dataclass(frozen=True)
class GradientPenalty(LipschitzMethod):
    """weight * mean((||grad f(x^)|| - target)^2), x^ between a real and a fake.

    x^ = u x + (1 - u) x~ with u ~ U[0, 1], drawn once per pair.

    With `sides="one"` only norms above the target are punished: the square of
    max(0, ||grad f(x^)|| - target), which is WGAN-LP (Petzka et al. 2018, arXiv:1709.08894,
    equation 8).

    A penalty promises no bound: it holds on average, on the lines between samples, and not
    elsewhere.
    """

    name: ClassVar[str] = "gradient_penalty"
    reference: ClassVar[str] = "Gulrajani et al. 2017, arXiv:1704.00028, equation 3 and Algorithm 1"
    packable: ClassVar[bool] = True

    weight: float = setting(10.0, "lambda: the penalty's weight in the critic's loss", low=0)
    target: float = setting(1.0, "the gradient norm that costs nothing", low=0)
    sides: str = setting(
        "two",
        "which side of the target is punished: both, or only above it",
        choices=("two", "one"),
    )

    def penalty(
        self, critic: nn.Module, real: Tensor, fake: Tensor, rng: torch.Generator
    ) -> Tensor:
        """The penalty of this batch, a scalar; its graph reaches the critic's parameters."""
        # One mixing weight per pair: a weight per pixel would leave the line between the two
        # samples.
        mix = torch.rand(len(real), generator=rng, device=real.device, dtype=real.dtype)
        mix = mix.view(-1, *[1] * (real.dim() - 1))
        between = (mix * real + (1 - mix) * fake).requires_grad_()

        excess = gradient_norms(critic, between) - self.target
        if self.sides == "one":
            excess = excess.clamp(min=0)
        return self.weight * excess.square().mean()


def gradient_norms(critic: nn.Module, points: Tensor) -> Tensor:
    """||grad f(x)||_2 at each point, over all its coordinates, shape (N,); differentiable.

    `points`: (N, ...), requiring grad.
    """
    (gradients,) = torch.autograd.grad(critic(points).sum(), points, create_graph=True)
    norms: Tensor = torch.linalg.vector_norm(gradients.flatten(1), dim=1)
    return norms
