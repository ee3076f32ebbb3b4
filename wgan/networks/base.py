"""The contract of a network family: a generator, a critic, and the shapes it can make.

Weights are initialised from an explicit stream, layer by layer in the order of `modules()`, never
from torch's global generator. Layers of one shape therefore begin equal whatever normalisation
stands between them.

A critic is made of `nn.Sequential` chains, `Residual` sums, dense and convolutional layers,
activations of slope at most 1, and poolings that state their `lipschitz_constant`: from these its
Lipschitz constant can be bounded.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from wgan.components import Component, ConfigError
from wgan.piecewise import mean_pool

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

    def generator(self, shape: Shape, noise_size: int) -> nn.Module:
        """An uninitialised generator for samples of `shape`."""
        raise NotImplementedError

    def critic(self, shape: Shape, norm: str) -> nn.Module:
        """An uninitialised critic for samples of `shape`, with `norm` between its layers."""
        raise NotImplementedError

    def initialise(self, module: nn.Module, rng: torch.Generator) -> None:
        """Give every weight of `module` its first value, from `rng`, in place."""
        raise NotImplementedError

    def critic_bound(self, shape: Shape) -> float:
        """The Lipschitz constant of the critic without normalisation, for layers of norm at most 1.

        That is: were the operator norm (Euclidean, at the size of its input) of every dense and
        convolutional layer at most 1, no slope of the critic would exceed this number. 1 for a
        chain of layers; sums add their two sides, poolings multiply by their own constant.
        """
        with torch.device("meta"):
            bound, _ = _bound(self.critic(shape, "none"), torch.empty(1, *shape))
        return bound


def _bound(module: nn.Module, x: Tensor) -> tuple[float, Tensor]:
    """The constant of `module`, as `critic_bound` counts it, and what it makes of `x`."""
    if isinstance(module, nn.Sequential):
        product = 1.0
        for part in module:
            factor, x = _bound(part, x)
            product *= factor
        return product, x
    if isinstance(module, Residual):
        (branch, left), (shortcut, right) = _bound(module.branch, x), _bound(module.shortcut, x)
        return branch + shortcut, left + right
    constant = module.lipschitz_constant(x.shape) if isinstance(module, Pooling) else 1.0
    return constant, module(x)


class Residual(nn.Module):
    """branch(x) + shortcut(x). Its Lipschitz constant is at most the sum of its sides'."""

    def __init__(self, branch: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Both sides must give one shape."""
        total: Tensor = self.branch(x) + self.shortcut(x)
        return total


class Pooling(nn.Module):
    """A linear layer without weights that states its own operator norm."""

    def lipschitz_constant(self, input_shape: Iterable[int]) -> float:
        """The norm of the operator on inputs of `input_shape`, (..., H, W)."""
        raise NotImplementedError


class Downsample(Pooling):
    """Means over 2 x 2 pixels, (N, C, H, W) to (N, C, H/2, W/2)."""

    def forward(self, x: Tensor) -> Tensor:
        """A last odd row or column is left out."""
        return mean_pool(x)

    def lipschitz_constant(self, input_shape: Iterable[int]) -> float:
        """1/2: |(a + b + c + d) / 4| is at most half the Euclidean norm of the four."""
        return 0.5


class SumPool(Pooling):
    """Sums over space, (N, C, H, W) to (N, C)."""

    def forward(self, x: Tensor) -> Tensor:
        """The sum of each map."""
        return x.sum((2, 3))

    def lipschitz_constant(self, input_shape: Iterable[int]) -> float:
        """sqrt(H W): the sum of n numbers is at most sqrt(n) times their Euclidean norm."""
        *_, height, width = input_shape
        return math.sqrt(height * width)


class Flat(nn.Module):
    """(N, 1, ...) or (N, 1) to score vectors (N,)."""

    def forward(self, x: Tensor) -> Tensor:
        """All dimensions but the first must hold one element; bf16 scores become float32."""
        scores = x.flatten(1).squeeze(1)
        return scores.float() if scores.dtype == torch.bfloat16 else scores


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


def keeps_bias(norm: nn.Module | None) -> bool:
    """Whether a bias in the layer before `norm` does anything.

    Batch norm and instance norm centre each channel: a bias before them has no gradient but
    rounding noise, which Adam turns into steps.
    """
    centred = isinstance(norm, nn.GroupNorm) and norm.num_groups == norm.num_channels
    return not (centred or isinstance(norm, nn.modules.batchnorm._BatchNorm))


def check_square(name: str, shape: Shape, sizes: Iterable[int]) -> None:
    """Refuse any shape but (C, size, size) with one of `sizes`.

    Raises:
        ConfigError: any other shape, with the sizes that the network `name` can make.
    """
    known = list(sizes)
    if len(shape) != 3 or shape[1] != shape[2] or shape[1] not in known:
        raise ConfigError(
            ("network",),
            f"{name} cannot make samples of shape {shape}: square images of "
            f"{', '.join(map(str, known))} pixels only",
        )


def _groups(channels: int) -> int:
    """At most 8 groups, of at least 8 channels: of one or two nothing but signs is left."""
    fitting = (n for n in (8, 4, 2) if channels % n == 0 and channels // n >= 8)
    return next(fitting, 1)


def initialise_normal(module: nn.Module, rng: torch.Generator) -> None:
    """Give each dense and convolutional layer weights of N(0, .02^2) and zero biases, in place.

    Radford et al. 2015 (DCGAN), arXiv:1511.06434, section 4.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0.0, 0.02, generator=rng)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
