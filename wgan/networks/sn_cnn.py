"""Miyato's standard CNN: the networks of the tables that compare ways to normalise a critic."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from wgan.components import setting
from wgan.convolution import Conv2d, ConvTranspose2d
from wgan.networks.base import (
    Flat,
    Network,
    Shape,
    check_square,
    initialise_normal,
    keeps_bias,
    normalisation,
)
from wgan.piecewise import LeakyReLU

# Image size to M_g, the size of the generator's first feature map; the ratio gives the number of
# halvings, 3 in the paper's sizes 32 and 48.
_BASE = {8: 2, 16: 4, 28: 7, 32: 4, 48: 6, 64: 8}
_SLOPE = 0.1  # of the leaky ReLU, Table 3


@dataclass(frozen=True)
class StandardCNN(Network):
    """Critic: 3 x 3 convolutions of stride 1 and 4 x 4 of stride 2 in turn, then one dense layer.

    At 32 and 48 pixels these are the paper's networks: critic 64, 64, 128, 128, 256, 256, 512
    channels, leaky ReLU .1; generator dense to M_g x M_g x 512, transposed convolutions to 256, 128
    and 64 with batch norm and ReLU, a 3 x 3 convolution and tanh. 64 pixels have M_g = 8; 8, 16 and
    28 have one halving less. As in the authors' code (chainer-gan-lib) the dense layer of the
    generator has batch norm and ReLU too, though here by channel and not by unit, and weights begin
    as N(0, .02), biases at 0. That code's critic has other widths than the paper's.

    The critic's normalisation, if any, stands after every convolution but the first.
    """

    name: ClassVar[str] = "sn_cnn"
    reference: ClassVar[str] = "Miyato et al. 2018, arXiv:1802.05957, Table 3"

    width: int = setting(
        64, "channels of the layer next to the image", unit="channels", low=1, high=4096
    )

    def check(self, shape: Shape, critic_norm: str, batch_size: int) -> None:
        """Square images of 8, 16, 28, 32, 48 or 64 pixels; every normalisation.

        Raises:
            ConfigError: any other shape.
        """
        check_square(self.name, shape, _BASE)

    def generator(self, shape: Shape, noise_size: int) -> nn.Module:
        """Noise (N, noise_size) to images (N, C, H, W) in [-1, 1]."""
        base, widths = _BASE[shape[1]], self._widths(shape[1])[::-1]
        # A bias before batch norm has no gradient, only noise.
        layers = [
            nn.Linear(noise_size, widths[0] * base**2, bias=False),
            nn.Unflatten(1, (widths[0], base, base)),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(),
        ]
        for inputs, outputs in itertools.pairwise(widths):
            layers += [
                ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(),
            ]
        return nn.Sequential(*layers, Conv2d(widths[-1], shape[0], 3, 1, 1), nn.Tanh())

    def critic(self, shape: Shape, norm: str) -> nn.Module:
        """Images (N, C, H, W) to scores (N,)."""
        channels, size = shape[0], shape[1]
        *halved, last = self._widths(size)
        # (outputs, kernel, stride) of each convolution
        plan = [step for width in halved for step in ((width, 3, 1), (width, 4, 2))]
        layers: list[nn.Module] = []
        for outputs, kernel, stride in (*plan, (last, 3, 1)):
            size //= stride
            between = normalisation(norm, outputs, size) if layers else None
            layers.append(Conv2d(channels, outputs, kernel, stride, 1, bias=keeps_bias(between)))
            layers += [between] if between is not None else []
            layers.append(LeakyReLU(_SLOPE))
            channels = outputs
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * size**2, 1), Flat())

    def initialise(self, module: nn.Module, rng: torch.Generator) -> None:
        """N(0, .02) for every weight of a dense or convolutional layer, zero biases."""
        initialise_normal(module, rng)

    def _widths(self, size: int) -> list[int]:
        """Channels from the image inwards, doubled at each halving; the last at size M_g."""
        halvings = (size // _BASE[size]).bit_length() - 1
        return [self.width * 2**layer for layer in range(halvings + 1)]
