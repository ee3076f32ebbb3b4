"""Orthogonal regularisation: each layer's matrix is pulled towards orthogonal rows or columns."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from wgan.components import setting
from wgan.lipschitz.base import LipschitzMethod, StackedLayers
from wgan.precision import unreduced


@dataclass(frozen=True)
class OrthogonalRegularization(LipschitzMethod):
    """weight * sum over the dense and convolutional layers of a cost of the matrix W.

    A convolution's kernel is reshaped to (out, in * height * width). The cost is

    - "frobenius": ||G - I||_F^2, which pulls every singular value to 1. Brock et al. 2016 state the
      sum of absolute entries, |W W' - I|; the square is Miyato et al. 2018, arXiv:1802.05957,
      equation 14, for the row "orthonormal" of their tables (which also begins at an orthonormal
      W; a network's own initial weights stay here).
    - "brock": ||G * (1 - I)||_F^2, the off-diagonal part only (Brock et al. 2018,
      arXiv:1809.11096, equation 3). Filters then are orthogonal but of any length, so that it
      limits no Lipschitz constant.

    G is the Gram matrix on the smaller side of W: W W' where W is wide, W' W where it is tall. For
    "frobenius" the other side only adds a constant, |rows - columns|. For "brock" it matters:
    BigGAN's code always takes W W', but more rows than columns cannot all be orthogonal, and that
    cost would switch units off.

    The default weight is BigGAN's; the 2016 authors' code has 1e-3, on its sum of absolute entries,
    and Miyato et al. state none. It hardly holds a Wasserstein critic: of a ReLU critic (two layers
    of 32, 500 steps on the ring of 8, Adam at 1e-3) the middle layer's singular values end between
    .03 and 2.5, without any penalty between .07 and 2.7, at weight 1 between .96 and 1.03.

    On top of a method that normalises each layer, W is that layer's raw weight. It promises no
    bound: it holds approximately, and the norm of that matrix is not the norm of the convolution.
    """

    name: ClassVar[str] = "orthogonal_regularization"
    reference: ClassVar[str] = (
        "Brock et al. 2016, arXiv:1609.07093, section 3.4; "
        "Brock et al. 2018, arXiv:1809.11096, equation 3"
    )
    packable: ClassVar[bool] = True
    update_time: ClassVar[float] = 1.3

    weight: float = setting(1e-4, "beta: the penalty's weight in the critic's loss", low=0)
    form: str = setting(
        "frobenius",
        "what is punished: distance of the Gram matrix from I, or its off-diagonal part",
        choices=("frobenius", "brock"),
    )

    def penalty(
        self, critic: nn.Module, real: Tensor, fake: Tensor, rng: torch.Generator
    ) -> Tensor:
        """The penalty, a scalar; it depends on the weights alone."""
        with unreduced():
            costs = [
                self._cost(layer.weight.flatten(1))
                for layer in critic.modules()
                if isinstance(layer, nn.Linear | nn.Conv2d)
            ]
        return self.weight * torch.stack(costs).sum()

    def packed_penalty(self, critic: StackedLayers, norms: Tensor | None) -> Tensor:
        """The penalties of k critics, (k,)."""
        return self.weight * torch.stack([self._cost(held) for held in critic.matrices()]).sum(0)

    def _cost(self, matrix: Tensor) -> Tensor:
        """The cost of one matrix, or of each of k, (k, out, in)."""
        rows, columns = matrix.shape[-2:]
        gram = matrix @ matrix.mT if rows <= columns else matrix.mT @ matrix
        identity = torch.eye(gram.shape[-1], device=gram.device, dtype=gram.dtype)
        wrong = gram - identity if self.form == "frobenius" else gram * (1 - identity)
        return wrong.square().sum((-2, -1))
