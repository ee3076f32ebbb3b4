"""R2: a zero-centred gradient penalty on generated samples."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from wgan.components import setting
from wgan.lipschitz.base import LipschitzMethod, StackedLayers
from wgan.lipschitz.gradient_penalty import gradient_norms


@dataclass(frozen=True)
class R2(LipschitzMethod):
    """weight / 2 * mean(||grad f(x~)||^2) over the fakes x~; `r1` on the other batch.

    The authors' code leaves the half out, see `r1`. It promises no bound.
    """

    name: ClassVar[str] = "r2"
    reference: ClassVar[str] = "Mescheder et al. 2018, arXiv:1801.04406, equation 10"
    packable: ClassVar[bool] = True
    update_time: ClassVar[float] = 1.6

    weight: float = setting(10.0, "gamma: twice the penalty's weight in the critic's loss", low=0)

    def penalty(
        self, critic: nn.Module, real: Tensor, fake: Tensor, rng: torch.Generator
    ) -> Tensor:
        """The penalty of this batch, a scalar; its graph reaches the critic's parameters."""
        return self.weight / 2 * gradient_norms(critic, fake).square().mean()

    def packed_points(self, real: Tensor, fake: Tensor, rngs: Sequence[torch.Generator]) -> Tensor:
        """The fakes of k batches."""
        return fake

    def packed_penalty(self, critic: StackedLayers, norms: Tensor | None) -> Tensor:
        """The penalties of k batches, (k,)."""
        assert norms is not None
        return self.weight / 2 * norms.square().mean(-1)
