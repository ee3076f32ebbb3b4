"""The networks of the rivals, in stock torch modules: equal in shape to those of `wgan.networks`.

`copy_weights` puts the weights of one into the other, parameter by parameter in their order, so
that both train the same model.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import nn


class Scores(nn.Module):
    """(N, 1) to (N,)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.squeeze(1)


def dcgan_critic(shape: tuple[int, ...], width: int, base: int, norm: bool = False) -> nn.Module:
    """Radford et al. 2015: kernel 4, stride 2; with `norm` batch norm after all but the first."""
    channels, size, layers = shape[0], shape[1], []
    outputs = width
    while size > base:
        normed = norm and bool(layers)
        layers.append(nn.Conv2d(channels, outputs, 4, 2, 1, bias=not normed))
        if normed:
            layers.append(nn.BatchNorm2d(outputs, track_running_stats=False))
        layers.append(nn.LeakyReLU(0.2))
        channels, outputs, size = outputs, 2 * outputs, size // 2
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * size**2, 1), Scores())


def dcgan_generator(shape: tuple[int, ...], width: int, base: int, noise_size: int) -> nn.Module:
    """Its mirror, with batch norm."""
    halvings = int(math.log2(shape[1] // base))
    widths = [width * 2**layer for layer in reversed(range(halvings))]
    layers: list[nn.Module] = [
        nn.Linear(noise_size, widths[0] * base**2, bias=False),
        nn.Unflatten(1, (widths[0], base, base)),
        nn.BatchNorm2d(widths[0]),
        nn.ReLU(),
    ]
    for inputs, outputs in itertools.pairwise(widths):
        layers += [
            nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers, nn.ConvTranspose2d(widths[-1], shape[0], 4, 2, 1), nn.Tanh())


def mlp_critic(shape: tuple[int, ...], width: int, depth: int) -> nn.Module:
    layers: list[nn.Module] = [nn.Flatten()]
    for inputs, outputs in itertools.pairwise([math.prod(shape), *[width] * depth]):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(width, 1), Scores())


def mlp_generator(shape: tuple[int, ...], width: int, depth: int, noise_size: int) -> nn.Module:
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise([noise_size, *[width] * depth]):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    layers += [nn.Linear(width, math.prod(shape)), nn.Unflatten(1, shape)]
    return nn.Sequential(*layers, *([nn.Tanh()] if len(shape) == 3 else []))


@torch.no_grad()
def copy_weights(source: nn.Module, target: nn.Module) -> None:
    """Parameters in their order; both must have the same shapes."""
    for theirs, ours in zip(target.parameters(), source.parameters(), strict=True):
        if theirs.shape != ours.shape:
            raise ValueError(f"{tuple(theirs.shape)} is not {tuple(ours.shape)}: other networks")
        theirs.copy_(ours)
