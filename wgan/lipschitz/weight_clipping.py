"""Weight clipping: every parameter of the critic is kept in a box."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from wgan.components import setting
from wgan.lipschitz.base import LipschitzMethod


@dataclass(frozen=True)
class WeightClipping(LipschitzMethod):
    """Clamp each parameter to [-limit, limit] after the optimizer's step.

    The order is the paper's: Algorithm 1 clips at line 7, *after* the update of line 6, so the
    critic that scores the next batch lies in the box. The authors' published code clips before the
    update (REFERENCE: WassersteinGAN#50).

    No `bound` is given: the box implies some Lipschitz constant, but one that depends on the
    architecture and is far from what the critic reaches.
    """

    name: ClassVar[str] = "weight_clipping"
    reference: ClassVar[str] = "Arjovsky et al. 2017, arXiv:1701.07875, Algorithm 1, line 7"
    packable: ClassVar[bool] = True

    limit: float = setting(0.01, "c: half the side of the box that holds every parameter", above=0)

    @property
    def weight_limit(self) -> float:
        """`limit`."""
        return self.limit

    @torch.no_grad()
    def after_step(self, critic: nn.Module) -> None:
        """Project the parameters onto the box."""
        for parameter in critic.parameters():
            parameter.clamp_(-self.limit, self.limit)
