"""Gradient normalisation: the critic's score is divided by its own slope."""

from contextlib import nullcontext
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from wgan.components import ConfigError
from wgan.lipschitz.base import LipschitzMethod
from wgan.networks.base import Shape
from wgan.piecewise import differentiated_twice


@dataclass(frozen=True)
class GradientNormalization(LipschitzMethod):
    """f^(x) = f(x) / (||grad f(x)|| + |f(x)|), a score in [-1, 1].

    Where f is linear, ||grad f^|| = (||grad f|| / (||grad f|| + |f|))^2 <= 1. From this the paper
    promises a Lipschitz constant of 1 for critics of piecewise linear layers. It does not hold: at
    a kink of f its gradient jumps, and with it f^ itself, so that |f^(x) - f^(y)| / ||x - y|| has
    no limit. Measured on a ReLU critic (two layers of 32, 300 steps on the ring of 8), along a line
    of length 7.5 that crosses some 50 kinks: slopes up to .99997, but a jump of .22 at one kink, so
    that neighbours at distance 7.5e-3, 7.5e-4 and 7.5e-5 give ratios up to 30, 299 and 2,991. So no
    `bound` is given. (GraN, Bhaskara et al. 2021, arXiv:2111.03162, claims the same idea
    "piecewise" only.)

    Scores of one batch must not depend on each other, or the gradient of their sum is not each
    score's own; batch norm in the critic is refused.
    """

    name: ClassVar[str] = "gradient_normalization"
    reference: ClassVar[str] = "Wu et al. 2021, arXiv:2109.02235"
    voids_bounds: ClassVar[bool] = True
    update_time: ClassVar[float] = 1.8

    def check(self, critic_norm: str) -> None:
        """Refuse batch norm.

        Raises:
            ConfigError: `critic_norm` is "batch".
        """
        if critic_norm == "batch":
            raise ConfigError(
                ("critic_norm",),
                f"'batch' is not allowed with {self.name}: each score is divided by its own slope, "
                "and batch norm makes a score depend on its whole batch",
            )

    def wrap(self, critic: nn.Module, shape: Shape) -> nn.Module:
        """A module that holds the critic as `critic` and normalises its scores."""
        return GradientNormalized(critic)


class GradientNormalized(nn.Module):
    """f / (||grad f|| + |f|) of the module `critic`; it has no weights of its own."""

    def __init__(self, critic: nn.Module) -> None:
        super().__init__()
        self.critic = critic

    def forward(self, x: Tensor) -> Tensor:
        """Points (N, ...) to scores (N,) in [-1, 1]; differentiable where the critic is.

        The slope is taken under `no_grad` too, since it is part of the score.
        """
        learning = torch.is_grad_enabled() and (
            x.requires_grad or any(weight.requires_grad for weight in self.parameters())
        )
        with torch.enable_grad():
            points = x if learning and x.requires_grad else x.detach().requires_grad_()
            with differentiated_twice() if learning else nullcontext():
                scores = self.critic(points)
            (gradients,) = torch.autograd.grad(scores.sum(), points, create_graph=learning)
        if not learning:
            scores = scores.detach()
        size = torch.linalg.vector_norm(gradients.flatten(1), dim=1) + scores.abs()
        # Where all units are dead, score and slope are 0, and so is the normalised score.
        normalised: Tensor = scores / torch.where(size > 0, size, 1)
        return normalised
