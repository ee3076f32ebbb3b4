"""Spectral normalisation: each weight matrix is divided by its largest singular value.

Our own, because torch's advances its vectors at every train-mode forward, so that merely looking at
a critic changes its training. Here a forward reads the vectors; `after_step` moves them, once per
critic step.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wgan.components import setting
from wgan.lipschitz.base import LipschitzMethod

_WARM_UP = 15  # power iterations before training, so that the first norms are already right


@dataclass(frozen=True)
class SpectralNorm(LipschitzMethod):
    """W / sigma(W) in every dense and convolutional layer, sigma by power iteration.

    A convolution's kernel is reshaped to (out, in * height * width), as in the paper's section 3.
    The norm of that matrix is not the norm of the convolution (it can lie below it), so no `bound`
    is promised.
    """

    name: ClassVar[str] = "spectral_norm"
    reference: ClassVar[str] = "Miyato et al. 2018, arXiv:1802.05957, equation 8 and Algorithm 1"

    power_iterations: int = setting(1, "power iterations after each critic step", low=1)

    def wrap(self, critic: nn.Module) -> nn.Module:
        """Normalise each dense and convolutional layer; the parameters stay the same objects."""
        start = torch.Generator().manual_seed(0)  # any direction serves: the warm-up forgets it
        for layer in critic.modules():
            if type(layer) in _NORMALISED:
                # The layer keeps its parameters and settings, only its forward changes.
                layer.__class__ = _NORMALISED[type(layer)]
                assert isinstance(layer, _Normalised)
                layer.begin(start)
        return critic

    def after_step(self, critic: nn.Module) -> None:
        """Advance every layer's singular vectors by the stated number of power iterations."""
        for layer in critic.modules():
            if isinstance(layer, _Normalised):
                layer.iterate(self.power_iterations)


class _Normalised(nn.Module):
    """A layer with weight W / (u' W v); only `iterate` changes the buffers u and v."""

    weight: Tensor
    left: Tensor
    right: Tensor

    def begin(self, rng: torch.Generator) -> None:
        matrix = self.weight.flatten(1)
        self.register_buffer("left", torch.randn(matrix.shape[0], generator=rng).to(matrix))
        self.register_buffer("right", torch.randn(matrix.shape[1], generator=rng).to(matrix))
        self.iterate(_WARM_UP)

    @torch.no_grad()
    def iterate(self, times: int) -> None:
        matrix = self.weight.flatten(1)
        for _ in range(times):
            self.right.copy_(F.normalize(matrix.t() @ self.left, dim=0))
            self.left.copy_(F.normalize(matrix @ self.right, dim=0))

    def normalised_weight(self) -> Tensor:
        # Differentiable in W with u and v held fixed: the gradient of equation 9.
        sigma = self.left @ (self.weight.flatten(1) @ self.right)
        normalised: Tensor = self.weight / sigma
        return normalised


class NormalisedLinear(_Normalised, nn.Linear):
    """A dense layer with weight W / sigma(W)."""

    def forward(self, input: Tensor) -> Tensor:
        """Shape (N, in) to (N, out)."""
        return F.linear(input, self.normalised_weight(), self.bias)


class NormalisedConv2d(_Normalised, nn.Conv2d):
    """A convolution with kernel W / sigma(W reshaped to (out, in * height * width))."""

    def forward(self, input: Tensor) -> Tensor:
        """Shape (N, in, H, W) to (N, out, H', W')."""
        maps: Tensor = self._conv_forward(input, self.normalised_weight(), self.bias)
        return maps


_NORMALISED: dict[type[nn.Module], type[_Normalised]] = {
    nn.Linear: NormalisedLinear,
    nn.Conv2d: NormalisedConv2d,
}
