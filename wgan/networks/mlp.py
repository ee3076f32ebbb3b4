"""A multilayer perceptron, for points and, flattened, for small images."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from wgan.components import ConfigError, setting
from wgan.networks.base import Flat, Network, Shape, normalisation
from wgan.piecewise import ReLU

_LEAST_WIDTH = 4  # units that are normalised together


@dataclass(frozen=True)
class MLP(Network):
    """Dense layers with ReLU; the generator ends linearly on points and with tanh on images.

    Weights begin as He et al. 2015 (arXiv:1502.01852, equation 10, uniform), biases at 0.
    """

    name: ClassVar[str] = "mlp"
    reference: ClassVar[str] = (
        "Gulrajani et al. 2017, arXiv:1704.00028, section 3 (toy critics of ReLU layers of 512)"
    )

    width: int = setting(128, "units of a hidden layer", unit="units", low=1, high=2**16)
    depth: int = setting(3, "hidden layers", unit="layers", low=1, high=1000)

    def check(self, shape: Shape, critic_norm: str, batch_size: int) -> None:
        """Every shape can be made.

        Raises:
            ConfigError: a normalisation over so few numbers that it leaves none but their signs.
        """
        if critic_norm == "instance":
            raise ConfigError(
                ("critic_norm",),
                "'instance' is not allowed with the network mlp: a unit has no extent",
            )
        if critic_norm in ("layer", "group") and self.width < _LEAST_WIDTH:
            raise ConfigError(
                ("network", "mlp", "width"),
                f"{self.width} is not allowed with critic_norm {critic_norm}: must be a whole "
                f"number >= {_LEAST_WIDTH}",
            )
        if critic_norm == "batch" and batch_size == 1:
            raise ConfigError(
                ("batch_size",), "1 is not allowed with critic_norm batch: must be >= 2"
            )

    def generator(self, shape: Shape, noise_size: int) -> nn.Module:
        """Noise to points (N, d), unbounded, or to images (N, C, H, W) in [-1, 1]."""
        layers = self._hidden(noise_size, norm="none")
        layers += [nn.Linear(self.width, math.prod(shape)), nn.Unflatten(1, shape)]
        return nn.Sequential(*layers, *([nn.Tanh()] if len(shape) == 3 else []))

    def critic(self, shape: Shape, norm: str) -> nn.Module:
        """Points or images to scores (N,)."""
        return nn.Sequential(
            nn.Flatten(), *self._hidden(math.prod(shape), norm), nn.Linear(self.width, 1), Flat()
        )

    def initialise(self, module: nn.Module, rng: torch.Generator) -> None:
        """He's uniform weights, zero biases."""
        for layer in module.modules():
            if isinstance(layer, nn.Linear):
                nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu", generator=rng)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def _hidden(self, inputs: int, norm: str) -> list[nn.Module]:
        layers: list[nn.Module] = []
        for fan_in, fan_out in itertools.pairwise([inputs, *[self.width] * self.depth]):
            between = normalisation(norm, fan_out, size=0)
            # A bias before batch norm has no gradient, only noise.
            layers.append(nn.Linear(fan_in, fan_out, bias=norm != "batch"))
            layers += [between] if between is not None else []
            layers.append(ReLU())
        return layers
