"""The contract of a network family: a generator, a critic, and the shapes it can make.

Weights are initialised from an explicit stream, layer by layer in the order of `modules()`, never
from torch's global generator. Layers of one shape therefore begin equal whatever normalisation
stands between them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from wgan.components import Component

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Network(Component, family="network"):
    """A generator (N, noise_size) -> (N, *shape) and a critic (N, *shape) -> scores (N,)."""

    def check(self, shape: Shape, critic_norm: str, batch_size: int) -> None:
        """Refuse a shape or a normalisation that the network cannot make or train.

        Raises:
            ConfigError: with what it can.
        """
        raise NotImplementedError

    def critic_bound(self, shape: Shape) -> float:
        """The Lipschitz constant of a critic without normalisation whose layers' are at most 1."""
        return 1.0

    def generator(self, shape: Shape, noise_size: int) -> nn.Module:
        """An uninitialised generator for samples of `shape`."""
        raise NotImplementedError

    def critic(self, shape: Shape, norm: str) -> nn.Module:
        """An uninitialised critic for samples of `shape`, with `norm` between its layers."""
        raise NotImplementedError

    def initialise(self, module: nn.Module, rng: torch.Generator) -> None:
        """Give every weight of `module` its first value, from `rng`, in place."""
        raise NotImplementedError


class Flat(nn.Module):
    """(N, 1, ...) or (N, 1) to score vectors (N,)."""

    def forward(self, x: Tensor) -> Tensor:
        """All dimensions but the first must hold one element."""
        return x.flatten(1).squeeze(1)


def normalisation(norm: str, channels: int, size: int) -> nn.Module | None:
    """The critic's normalisation of (N, channels, size, size); None for "none".

    Where `size` is 0 it is that of (N, channels).

    Batch norm keeps no running statistics: a critic's forward changes nothing and scores as it
    trains.
    """
    spatial = size > 0
    if norm == "batch":
        made = nn.BatchNorm2d if spatial else nn.BatchNorm1d
        return made(channels, track_running_stats=False)
    if norm == "layer":
        return nn.GroupNorm(1, channels) if spatial else nn.LayerNorm(channels)
    if norm == "instance":
        return nn.GroupNorm(channels, channels)
    if norm == "group":
        return nn.GroupNorm(_groups(channels), channels)
    return None


def _groups(channels: int) -> int:
    """At most 8 groups, of at least 8 channels: of one or two nothing but signs is left."""
    fitting = (n for n in (8, 4, 2) if channels % n == 0 and channels // n >= 8)
    return next(fitting, 1)
