"""Gradient penalty: the critic's gradient norm is pulled to a target.

The tools here serve every method that looks at the critic's gradient.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from wgan.components import setting
from wgan.lipschitz.base import LipschitzMethod, StackedLayers
from wgan.piecewise import differentiated_twice


@dataclass(frozen=True)
class GradientPenalty(LipschitzMethod):
    """weight * mean((||grad f(x^)|| - target)^2), x^ between a real and a fake.

    x^ = u x + (1 - u) x~ with u ~ U[0, 1], drawn once per pair.

    With `sides="one"` only norms above the target are punished: the square of
    max(0, ||grad f(x^)|| - target), which is WGAN-LP (Petzka et al. 2018, arXiv:1709.08894,
    equation 8).

    With `at` "real" or "fake" x^ is a sample of that batch itself, and with "both" the mean is over
    the 2N samples of the two; no random number is then drawn.

    A penalty promises no bound: it holds on average, where it was taken, and not elsewhere.
    """

    name: ClassVar[str] = "gradient_penalty"
    reference: ClassVar[str] = "Gulrajani et al. 2017, arXiv:1704.00028, equation 3 and Algorithm 1"
    packable: ClassVar[bool] = True
    update_time: ClassVar[float] = 1.6

    weight: float = setting(10.0, "lambda: the penalty's weight in the critic's loss", low=0)
    target: float = setting(1.0, "the gradient norm that costs nothing", low=0)
    sides: str = setting(
        "two",
        "which side of the target is punished: both, or only above it",
        choices=("two", "one"),
    )
    at: str = setting(
        "interpolates",
        "where the gradient is taken: between real and fake, or at the samples themselves",
        choices=("interpolates", "real", "fake", "both"),
        neutral="interpolates",
    )

    def penalty(
        self, critic: nn.Module, real: Tensor, fake: Tensor, rng: torch.Generator
    ) -> Tensor:
        """The penalty of this batch, a scalar; its graph reaches the critic's parameters."""
        points = self._points(real, fake, lambda: uniform_per_sample(real, rng))
        norms = [gradient_norms(critic, batch) for batch in points]
        joined = norms[0] if len(norms) == 1 else torch.cat(norms)
        return self.weight * excess_cost(joined, self.target, self.sides)

    def packed_points(self, real: Tensor, fake: Tensor, rngs: Sequence[torch.Generator]) -> Tensor:
        """x^ of k batches."""
        points = list(self._points(real, fake, lambda: stacked_uniform_per_sample(real, rngs)))
        return points[0] if len(points) == 1 else torch.cat(points, dim=1)

    def packed_penalty(self, critic: StackedLayers, norms: Tensor | None) -> Tensor:
        """The penalties of k batches, (k,)."""
        assert norms is not None
        return self.weight * excess_cost(norms, self.target, self.sides)

    def _points(
        self, real: Tensor, fake: Tensor, draw_mix: Callable[[], Tensor]
    ) -> Iterator[Tensor]:
        """The points to take the gradient at, in batches of one kind, as the critic is trained."""
        if self.at == "interpolates":
            mix = draw_mix()
            yield mix * real + (1 - mix) * fake
        if self.at in ("real", "both"):
            yield real
        if self.at in ("fake", "both"):
            yield fake


def gradient_norms(critic: nn.Module, points: Tensor) -> Tensor:
    """||grad f(x)||_2 at each point, over all its coordinates, shape (N,).

    Differentiable in the critic's parameters, not in the points.

    Args:
        points: (N, ...); left as they are.
    """
    points = points.detach().requires_grad_()
    with differentiated_twice():
        scores = critic(points)
    (gradients,) = torch.autograd.grad(scores.sum(), points, create_graph=True)
    norms: Tensor = torch.linalg.vector_norm(gradients.flatten(1), dim=1)
    return norms


def excess_cost(norms: Tensor, target: float, sides: str) -> Tensor:
    """mean((norm - target)^2) over the last dimension; `sides` "one": of norms above it alone."""
    excess = norms - target
    if sides == "one":
        excess = excess.clamp(min=0)
    return excess.square().mean(-1)


def uniform_per_sample(batch: Tensor, rng: torch.Generator) -> Tensor:
    """U[0, 1], one for each sample, shape (N, 1, ...) to go with a batch (N, ...).

    One for each pixel would leave the line between two samples.
    """
    drawn = torch.rand(len(batch), generator=rng, device=batch.device, dtype=batch.dtype)
    return drawn.view(-1, *[1] * (batch.dim() - 1))


def stacked_uniform_per_sample(batch: Tensor, rngs: Sequence[torch.Generator]) -> Tensor:
    """`uniform_per_sample` of k batches (k, N, ...), each from its own stream, (k, N, 1, ...)."""
    drawn = batch.new_empty(batch.shape[:2])
    for row, rng in zip(drawn, rngs, strict=True):
        torch.rand(batch.shape[1], generator=rng, out=row)
    return drawn.view(*drawn.shape, *[1] * (batch.dim() - 2))
