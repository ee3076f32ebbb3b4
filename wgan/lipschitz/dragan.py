"""DRAGAN: the critic's gradient norm is pulled to a target around the real samples."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from wgan.components import setting
from wgan.lipschitz.base import LipschitzMethod, StackedLayers
from wgan.lipschitz.gradient_penalty import excess_cost, gradient_norms, uniform_per_sample


@dataclass(frozen=True)
class Dragan(LipschitzMethod):
    """weight * mean((||grad f(x^)|| - target)^2), x^ near a real sample x.

    The paper and its authors' code disagree on x^, and `noise` chooses. Let s be the standard
    deviation of the batch of reals over all its numbers:

    - "uniform", the code (kodalinaveen3/DRAGAN): x^ = x + u * scale * s * v with one u ~ U[0, 1]
      per sample and one v ~ U[0, 1] per coordinate, scale = 1/2. It moves every coordinate upwards
      only.
    - "gaussian", the paper's: x^ = x + d with d ~ N(0, c I). Its c = 10 depends on the range of
      the pixels; here c = (scale * s)^2, so that `scale` means the same in both forms and for every
      data set.

    `sides` is as in `gradient_penalty`; the paper's is "two". It promises no bound.
    """

    name: ClassVar[str] = "dragan"
    reference: ClassVar[str] = "Kodali et al. 2017, arXiv:1705.07215, and the authors' code"
    packable: ClassVar[bool] = True
    update_time: ClassVar[float] = 1.6

    weight: float = setting(10.0, "lambda: the penalty's weight in the critic's loss", low=0)
    target: float = setting(1.0, "k: the gradient norm that costs nothing", low=0)
    sides: str = setting(
        "two",
        "which side of the target is punished: both, or only above it",
        choices=("two", "one"),
    )
    noise: str = setting(
        "uniform",
        "how reals are perturbed: as in the authors' code, or as in the paper",
        choices=("uniform", "gaussian"),
    )
    scale: float = setting(
        0.5, "size of the perturbation", unit="standard deviations of the reals", low=0
    )

    def penalty(
        self, critic: nn.Module, real: Tensor, fake: Tensor, rng: torch.Generator
    ) -> Tensor:
        """The penalty of this batch, a scalar; its graph reaches the critic's parameters."""
        norms = gradient_norms(critic, self._around(real, rng))
        return self.weight * excess_cost(norms, self.target, self.sides)

    def packed_points(self, real: Tensor, fake: Tensor, rngs: Sequence[torch.Generator]) -> Tensor:
        """x^ of k batches; each has a standard deviation of its own."""
        batches = zip(real, rngs, strict=True)
        return torch.stack([self._around(batch, rng) for batch, rng in batches])

    def packed_penalty(self, critic: StackedLayers, norms: Tensor | None) -> Tensor:
        """The penalties of k batches, (k,)."""
        assert norms is not None
        return self.weight * excess_cost(norms, self.target, self.sides)

    def _around(self, real: Tensor, rng: torch.Generator) -> Tensor:
        """A point near each real, shape (N, ...)."""
        draw = torch.randn if self.noise == "gaussian" else torch.rand
        step = draw(real.shape, generator=rng, device=real.device, dtype=real.dtype)
        if self.noise == "uniform":
            step = uniform_per_sample(real, rng) * step
        # numpy's standard deviation, as in the authors' code.
        return real + self.scale * real.std(correction=0) * step
