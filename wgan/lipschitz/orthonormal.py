"""Orthonormal weights: each layer's matrix is replaced by its orthonormal factor."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from wgan.components import setting
from wgan.contractions import orthonormal_factor
from wgan.layers import linear_layers, reparametrise
from wgan.lipschitz.base import LipschitzMethod
from wgan.networks.base import Shape


@dataclass(frozen=True)
class Orthonormal(LipschitzMethod):
    """Q of W = QH in every dense and convolutional layer: all singular values are 1.

    Brock et al. 2016 (arXiv:1609.07093) pull weights towards this with a penalty, which
    Miyato et al. compare spectral normalisation with; here it holds by parametrisation, whatever
    the step. A kernel is reshaped to (out, in * height * width).

    A dense layer then keeps norms on its smaller side and has norm 1. A convolution with an
    orthonormal kernel has a norm of up to the square root of how many patches share a pixel (2 for
    4 x 4 at stride 2, 3 for 3 x 3), so no `bound` is promised; `lipschitz_network` promises one.
    """

    name: ClassVar[str] = "orthonormal"
    reference: ClassVar[str] = (
        "Miyato et al. 2018, arXiv:1802.05957, Table 2; Bjorck and Bowie 1971, SIAM J. Numer. Anal."
    )
    normalises_layers: ClassVar[bool] = True
    update_time: ClassVar[float] = 5.0

    iterations: int = setting(
        25, "Bjorck iterations in each forward, at most", unit="iterations", low=1, high=100
    )

    @property
    def reads_device(self) -> bool:
        """Whether Bjorck's iteration has converged is asked on the way."""
        return True

    def wrap(self, critic: nn.Module, shape: Shape) -> nn.Module:
        """Orthonormalise each dense and convolutional layer."""
        for layer in linear_layers(critic).values():
            reparametrise(layer, OrthonormalFactor(self.iterations))
        return critic


class OrthonormalFactor(nn.Module):
    """The orthonormal factor of a weight reshaped to (out, everything else)."""

    costly = True

    def __init__(self, iterations: int) -> None:
        super().__init__()
        self.iterations = iterations

    def forward(self, weight: Tensor) -> Tensor:
        """Shape kept; differentiable through the iterations."""
        return orthonormal_factor(weight.flatten(1), self.iterations).view_as(weight)
