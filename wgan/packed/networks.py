"""Networks of stacked weights: (k, N, ...) in, (k, N, ...) out, each row by weights of its own.

A chain of layers is stacked layer by layer, from the table below. What is not in the table cannot
be stacked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from wgan.convolution import Conv2d, ConvTranspose2d
from wgan.forms import affine
from wgan.layers import (
    Reparametrised,
    ReparametrisedConv2d,
    ReparametrisedLinear,
    StackableReparametrisation,
)
from wgan.networks.base import Flat
from wgan.once import once
from wgan.packed.convolutions import KERNELS, StackedConv2d, StackedConvTranspose2d
from wgan.packed.norms import StackedBatchNorm, StackedFeatureNorm
from wgan.packed.products import Dense, Product
from wgan.packed.stack import Stack
from wgan.piecewise import LeakyReLU, ReLU


class StackedLinear(nn.Module):
    """k dense layers: weight (k, out, in), bias (k, out) or None.

    `reparametrisation`, if any, makes of the stacked raw weights those to compute with.
    """

    def __init__(
        self,
        weight: nn.Parameter,
        bias: nn.Parameter | None,
        reparametrisation: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.weight, self.bias = weight, bias
        self.reparametrisation = reparametrisation

    def effective_weight(self) -> Tensor:
        """The weights that the layers compute with, differentiable in the raw ones."""
        if self.reparametrisation is None:
            return self.weight
        return once((self, "weight"), lambda: self.reparametrisation(self.weight))  # type: ignore[misc]

    def raw_matrix(self) -> Tensor:
        """The raw weights, (k, out, in)."""
        return self.weight

    def as_product(self, maps: Sequence[int]) -> tuple[Product, Tensor | None, tuple[int, ...]]:
        """As `StackedConv2d`; a flat map of so many pixels comes with its channels innermost."""
        weight = self.effective_weight()
        if maps:
            weight = weight.unflatten(2, (-1, math.prod(maps))).transpose(2, 3).flatten(2)
        return Dense(weight), self.bias, ()

    def forward(self, x: Tensor) -> Tensor:
        """Shape (k, N, in) to (k, N, out)."""
        return affine(x, self.effective_weight(), self.bias)


class StackedFlat(nn.Module):
    """(k, N, 1) to score vectors (k, N)."""

    def forward(self, x: Tensor) -> Tensor:
        """All dimensions but the first two must hold one element."""
        return x.flatten(2).squeeze(2)


Held = Mapping[str, Tensor]  # the stacked parameters and buffers of one layer, by their names in it


def _linear(layer: nn.Module, held: Held) -> nn.Module:
    return StackedLinear(held["weight"], held.get("bias"))  # type: ignore[arg-type]


def _convolution(layer: nn.Module, held: Held) -> nn.Module:
    assert isinstance(layer, nn.Conv2d)
    return StackedConv2d(layer, held["weight"], held.get("bias"))  # type: ignore[arg-type]


def _transposed(layer: nn.Module, held: Held) -> nn.Module:
    assert isinstance(layer, nn.ConvTranspose2d)
    return StackedConvTranspose2d(layer, held["weight"], held.get("bias"))  # type: ignore[arg-type]


def _reparametrised(layer: nn.Module, held: Held) -> nn.Module:
    assert isinstance(layer, Reparametrised)
    inner = layer.reparametrisation
    assert isinstance(inner, StackableReparametrisation)
    prefix = "reparametrisation."
    own = {key.removeprefix(prefix): held[key] for key in held if key.startswith(prefix)}
    stacked = _convolution(layer, held) if isinstance(layer, nn.Conv2d) else _linear(layer, held)
    stacked.reparametrisation = inner.stacked(own)
    return stacked


def _layer_norm(layer: nn.Module, held: Held) -> nn.Module:
    assert isinstance(layer, nn.LayerNorm)
    return StackedFeatureNorm(1, layer.eps, held["weight"], held["bias"])


def _group_norm(layer: nn.Module, held: Held) -> nn.Module:
    assert isinstance(layer, nn.GroupNorm)
    return StackedFeatureNorm(layer.num_groups, layer.eps, held["weight"], held["bias"])


def _batch_norm(layer: nn.Module, held: Held) -> nn.Module:
    assert isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d)
    stacked = StackedBatchNorm(layer, held["weight"], held["bias"])
    if layer.track_running_stats:
        stacked.running = (
            held["running_mean"],
            held["running_var"],
            held["num_batches_tracked"],
        )
    return stacked


def _unflatten(layer: nn.Module, held: Held) -> nn.Module:
    assert isinstance(layer, nn.Unflatten)
    return nn.Unflatten(2, layer.unflattened_size)


# What stacks a layer of exactly this type.
STACKED: dict[type[nn.Module], Callable[[nn.Module, Held], nn.Module]] = {
    nn.Linear: _linear,
    ReparametrisedLinear: _reparametrised,
    nn.Conv2d: _convolution,
    Conv2d: _convolution,
    ReparametrisedConv2d: _reparametrised,
    nn.ConvTranspose2d: _transposed,
    ConvTranspose2d: _transposed,
    nn.LayerNorm: _layer_norm,
    nn.GroupNorm: _group_norm,
    nn.BatchNorm1d: _batch_norm,
    nn.BatchNorm2d: _batch_norm,
    nn.Flatten: lambda layer, held: nn.Flatten(2),
    nn.Unflatten: _unflatten,
    nn.ReLU: lambda layer, held: layer,
    ReLU: lambda layer, held: layer,
    nn.LeakyReLU: lambda layer, held: layer,
    LeakyReLU: lambda layer, held: layer,
    nn.Tanh: lambda layer, held: layer,
    nn.Identity: lambda layer, held: layer,
    Flat: lambda layer, held: StackedFlat(),
}


def leaves(module: nn.Module, name: str = "") -> Iterator[tuple[str, nn.Module]]:
    """The layers of a chain in order, each under its name."""
    if type(module) is not nn.Sequential:
        yield name, module
        return
    for key, part in module.named_children():
        yield from leaves(part, f"{name}.{key}" if name else key)


class StackedNetwork(nn.Module):
    """k networks as one: its parameters, shape (k, ...), are those of `stack`."""

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        super().__init__()
        named = list(leaves(modules[0]))
        convolutions = (nn.Conv2d, nn.ConvTranspose2d)
        orders = {
            f"{name}.weight": KERNELS for name, layer in named if isinstance(layer, convolutions)
        }
        self.stack = Stack(modules, orders)
        layers = [STACKED[type(layer)](layer, self.stack.held_by(name)) for name, layer in named]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """(k, N, ...) to (k, N, ...) or, of critics, to scores (k, N)."""
        y: Tensor = self.layers(x)
        return y

    def backward(self, losses: Tensor) -> None:
        """Give each network the gradient of its own loss, losses (k,).

        Row i of the losses depends on row i of the weights alone, so that the gradient of their sum
        is each one's own.
        """
        gradients = torch.autograd.grad(losses.sum(), list(self.stack.parameters.values()))
        torch._foreach_copy_(self.stack.gradients, gradients)

    def gradient_norms(self) -> Tensor:
        """||gradient||_2 of each network over all its parameters, shape (k,)."""
        assert self.stack.block.grad is not None
        norms: Tensor = torch.linalg.vector_norm(self.stack.block.grad, dim=1)
        return norms

    def matrices(self) -> list[Tensor]:
        """The raw weights of the dense and convolutional layers, each (k, out, in)."""
        return [
            layer.raw_matrix()
            for layer in self.layers
            if isinstance(layer, StackedLinear | StackedConv2d)
        ]

    @torch.no_grad()
    def move_towards(self, other: StackedNetwork, share: float) -> None:
        """Move each weight by `share` of the way to the other's; buffers are copied."""
        self.stack.block.lerp_(other.stack.block, share)
        for name, buffer in self.stack.buffers.items():
            buffer.copy_(other.stack.buffers[name])
