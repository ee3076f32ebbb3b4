"""DCGAN: strided convolutions down to a small base, transposed convolutions up from it."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from wgan.components import ConfigError, setting
from wgan.convolution import Conv2d, ConvTranspose2d
from wgan.networks.base import Flat, Network, Shape, check_square, initialise_normal, normalisation
from wgan.piecewise import LeakyReLU

# Image size to the size of the smallest feature map; the ratio gives the number of halvings.
_BASE = {8: 2, 16: 4, 28: 7, 32: 4, 48: 6, 64: 4}
_SLOPE = 0.2  # of the leaky ReLU, DCGAN section 4
_HIDDEN = (512, 512, 512, 512)  # units of the dense generator, WGAN section 4.3


@dataclass(frozen=True)
class DCGAN(Network):
    """Kernel 4, stride 2, padding 1 (DCGAN itself: kernel 5); channels double at each halving.

    Critic: leaky ReLU .2, ends in one dense layer. Generator: ReLU, batch norm as a field, tanh.
    Weights begin as N(0, .02), biases at 0 (DCGAN, section 4). As in DCGAN, neither the critic's
    first layer nor the generator's last is normalised.

    WGAN is shown to train weakened generators against this critic (Arjovsky et al. 2017,
    arXiv:1701.07875, section 4.3): `generator_norm` none with `generator_widths` constant, and
    `generator_norm` none with `generator_kind` mlp, four hidden layers of 512 ReLU units. The
    latter ends with tanh here; the authors' published code has three such layers and no tanh.
    """

    name: ClassVar[str] = "dcgan"
    reference: ClassVar[str] = "Radford et al. 2015, arXiv:1511.06434, section 3 and figure 1"

    width: int = setting(
        64, "channels of the layer next to the image", unit="channels", low=1, high=4096
    )
    generator_norm: str = setting(
        "batch", "normalisation of the generator", choices=("batch", "none")
    )
    generator_kind: str = setting(
        "convolutional",
        "what the generator is made of: transposed convolutions, or dense layers alone",
        choices=("convolutional", "mlp"),
        neutral="convolutional",
    )
    generator_widths: str = setting(
        "doubling",
        "channels of the convolutional generator's layers: doubled at each step away from the "
        "image, or `width` everywhere",
        choices=("doubling", "constant"),
        neutral="doubling",
    )

    def check(self, shape: Shape, critic_norm: str, batch_size: int) -> None:
        """Square images of 8, 16, 28, 32, 48 or 64 pixels, and settings that go together.

        Raises:
            ConfigError: any other shape; widths of convolutions where there are none; batch norm
            over vectors in batches of one.
        """
        check_square(self.name, shape, _BASE)
        if self.generator_kind == "mlp":
            if self.generator_widths != "doubling":
                raise ConfigError(
                    ("network", "dcgan", "generator_widths"),
                    f"{self.generator_widths!r} is not allowed with generator_kind mlp: it is for "
                    "convolutions",
                )
            if self.generator_norm == "batch" and batch_size == 1:
                raise ConfigError(
                    ("batch_size",),
                    "1 is not allowed with generator_kind mlp and generator_norm batch: must be "
                    ">= 2",
                )

    def generator(self, shape: Shape, noise_size: int) -> nn.Module:
        """Noise (N, noise_size) to images (N, C, H, W) in [-1, 1]."""
        if self.generator_kind == "mlp":
            return self._dense_generator(shape, noise_size)
        base, widths = _BASE[shape[1]], self._widths(shape[1])[::-1]
        if self.generator_widths == "constant":
            widths = [self.width] * len(widths)
        normed = self.generator_norm == "batch"

        def activated(channels: int) -> list[nn.Module]:
            return [*([nn.BatchNorm2d(channels)] if normed else []), nn.ReLU()]

        # A bias before batch norm has no gradient, only noise.
        layers = [
            nn.Linear(noise_size, widths[0] * base**2, bias=not normed),
            nn.Unflatten(1, (widths[0], base, base)),
        ]
        layers += activated(widths[0])
        for inputs, outputs in itertools.pairwise(widths):
            layers += [
                ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=not normed),
                *activated(outputs),
            ]
        return nn.Sequential(*layers, ConvTranspose2d(widths[-1], shape[0], 4, 2, 1), nn.Tanh())

    def critic(self, shape: Shape, norm: str) -> nn.Module:
        """Images (N, C, H, W) to scores (N,)."""
        channels, size = shape[0], shape[1]
        layers: list[nn.Module] = []
        for outputs in self._widths(shape[1]):
            size //= 2
            between = normalisation(norm, outputs, size) if layers else None
            layers.append(
                Conv2d(channels, outputs, 4, 2, 1, bias=not isinstance(between, nn.BatchNorm2d))
            )
            layers += [between] if between is not None else []
            layers.append(LeakyReLU(_SLOPE))
            channels = outputs
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * size**2, 1), Flat())

    def initialise(self, module: nn.Module, rng: torch.Generator) -> None:
        """N(0, .02) for every weight of a dense or convolutional layer, zero biases."""
        initialise_normal(module, rng)

    def _dense_generator(self, shape: Shape, noise_size: int) -> nn.Module:
        normed = self.generator_norm == "batch"
        layers: list[nn.Module] = []
        for inputs, outputs in itertools.pairwise([noise_size, *_HIDDEN]):
            layers.append(nn.Linear(inputs, outputs, bias=not normed))
            layers += [*([nn.BatchNorm1d(outputs)] if normed else []), nn.ReLU()]
        layers += [nn.Linear(_HIDDEN[-1], math.prod(shape)), nn.Unflatten(1, shape), nn.Tanh()]
        return nn.Sequential(*layers)

    def _widths(self, size: int) -> list[int]:
        """Channels of each layer, from the image inwards."""
        return [self.width * 2**layer for layer in range(int(math.log2(size // _BASE[size])))]
