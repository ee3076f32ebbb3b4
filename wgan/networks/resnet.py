"""Residual networks of Miyato's and Gulrajani's papers, made of pre-activation blocks."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from wgan.components import setting
from wgan.convolution import Conv2d
from wgan.networks.base import (
    Downsample,
    Flat,
    Network,
    Residual,
    Shape,
    SumPool,
    check_square,
    keeps_bias,
    normalisation,
)
from wgan.piecewise import ReLU


@dataclass(frozen=True)
class Plan:
    """The blocks for one image size.

    Attributes:
        base: the size of the generator's first feature map.
        generator: channels of that map and after each block, in units of `width`.
        critic: channels after each block, in units of `width`.
        halvings: how many of the critic's blocks, from the image on, halve the size.
    """

    base: int
    generator: tuple[int, ...]
    critic: tuple[int, ...]
    halvings: int


_PLANS = {
    8: Plan(2, (4, 4, 4), (2, 2, 2, 2), 2),
    16: Plan(4, (4, 4, 4), (2, 2, 2, 2), 2),
    28: Plan(7, (4, 4, 4), (2, 2, 2, 2), 2),
    32: Plan(4, (4, 4, 4, 4), (2, 2, 2, 2), 2),
    48: Plan(6, (8, 4, 2, 1), (1, 2, 4, 8, 16), 4),
    64: Plan(4, (16, 8, 4, 2, 1), (1, 2, 4, 8, 16), 5),
}


@dataclass(frozen=True)
class ResNet(Network):
    """Blocks of norm, ReLU, 3 x 3, norm, ReLU, 3 x 3 beside a shortcut; ReLU, no other activation.

    With `width` 64: at 32 pixels Miyato's Table 4 (128 channels in the critic, 256 in the
    generator; WGAN-GP's has 128 in both), at 48 its Table 5, at 64 the networks of Miyato and
    Koyama 2018 (arXiv:1802.05637, their code). 8, 16 and 28 pixels have the blocks of 32, the
    generator one less.

    The critic ends in ReLU, a sum over space and one dense layer (Miyato; WGAN-GP takes the mean).
    Its normalisation, if any, stands before every ReLU of a block but the first block's, as in
    WGAN-GP's code; its first block has no activation at its start. Halving is a mean over 2 x 2
    pixels, doubling repeats them. In a shortcut the 1 x 1 convolution is computed on the smaller
    side: it commutes with both.

    Weights begin as Glorot's (uniform), in a block's 3 x 3 convolutions sqrt(2) times that, as in
    the authors' code; biases at 0. The generator's blocks have no biases: whatever they added to a
    channel, some later batch norm would take away.
    """

    name: ClassVar[str] = "resnet"
    reference: ClassVar[str] = (
        "Miyato et al. 2018, arXiv:1802.05957, Tables 4 and 5; "
        "Gulrajani et al. 2017, arXiv:1704.00028, the CIFAR-10 ResNet and its code"
    )

    width: int = setting(
        64,
        "channels of the critic's first block at 48 and 64 pixels, half of them at the others",
        unit="channels",
        low=1,
        high=4096,
    )

    def check(self, shape: Shape, critic_norm: str, batch_size: int) -> None:
        """Square images of 8, 16, 28, 32, 48 or 64 pixels; every normalisation.

        Raises:
            ConfigError: any other shape.
        """
        check_square(self.name, shape, _PLANS)

    def generator(self, shape: Shape, noise_size: int) -> nn.Module:
        """Noise (N, noise_size) to images (N, C, H, W) in [-1, 1]."""
        base = _PLANS[shape[1]].base
        widths = [self.width * factor for factor in _PLANS[shape[1]].generator]
        return nn.Sequential(
            nn.Linear(noise_size, widths[0] * base**2),
            nn.Unflatten(1, (widths[0], base, base)),
            *(_doubling_block(inputs, outputs) for inputs, outputs in itertools.pairwise(widths)),
            nn.BatchNorm2d(widths[-1]),
            nn.ReLU(),
            Conv2d(widths[-1], shape[0], 3, padding=1),
            nn.Tanh(),
        )

    def critic(self, shape: Shape, norm: str) -> nn.Module:
        """Images (N, C, H, W) to scores (N,)."""
        plan, size = _PLANS[shape[1]], shape[1]
        first, *widths = (self.width * factor for factor in plan.critic)
        blocks = [_first_block(shape[0], first)]
        for index, (inputs, outputs) in enumerate(itertools.pairwise([first, *widths]), 1):
            size //= 2 if index <= plan.halvings else 1
            blocks.append(_critic_block(inputs, outputs, norm, size, index < plan.halvings))
        return nn.Sequential(
            *blocks, ReLU(), SumPool(), nn.Linear(self.width * plan.critic[-1], 1), Flat()
        )

    def initialise(self, module: nn.Module, rng: torch.Generator) -> None:
        """Glorot's uniform weights, sqrt(2) times as large in a block's branch; zero biases."""
        branches = {
            layer
            for block in module.modules()
            if isinstance(block, Residual)
            for layer in block.branch.modules()
        }
        for layer in module.modules():
            if isinstance(layer, nn.Linear | nn.Conv2d):
                gain = math.sqrt(2) if layer in branches else 1.0
                nn.init.xavier_uniform_(layer.weight, gain, generator=rng)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)


def _first_block(inputs: int, outputs: int) -> Residual:
    """The critic's block at the image, which it halves; no activation before its first layer."""
    return Residual(
        nn.Sequential(
            Conv2d(inputs, outputs, 3, padding=1),
            ReLU(),
            Conv2d(outputs, outputs, 3, padding=1),
            Downsample(),
        ),
        nn.Sequential(Downsample(), Conv2d(inputs, outputs, 1)),
    )


def _critic_block(inputs: int, outputs: int, norm: str, size: int, halving: bool) -> Residual:
    """A block on maps of `size` pixels; the shortcut is the identity where it can be."""

    def activated() -> list[nn.Module]:
        between = normalisation(norm, inputs, size)
        return [*([between] if between is not None else []), ReLU()]

    down = [Downsample()] if halving else []
    biased = keeps_bias(normalisation(norm, inputs, size))
    branch = nn.Sequential(
        *activated(),
        Conv2d(inputs, inputs, 3, padding=1, bias=biased),
        *activated(),
        Conv2d(inputs, outputs, 3, padding=1),
        *down,
    )
    plain = inputs == outputs and not halving
    return Residual(
        branch, nn.Identity() if plain else nn.Sequential(*down, Conv2d(inputs, outputs, 1))
    )


def _doubling_block(inputs: int, outputs: int) -> Residual:
    """A block of the generator, from maps of one size to maps of twice that size."""
    return Residual(
        nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.ReLU(),
            nn.Upsample(scale_factor=2),
            Conv2d(inputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            Conv2d(outputs, outputs, 3, padding=1, bias=False),
        ),
        nn.Sequential(Conv2d(inputs, outputs, 1, bias=False), nn.Upsample(scale_factor=2)),
    )
