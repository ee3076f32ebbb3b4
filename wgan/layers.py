"""Layers that compute with a weight made from their raw one, and what layers do to one sample.

A method that reparametrises layers writes one small module, raw weight in, effective weight out,
and gives it to `reparametrise`. The raw weight stays the parameter it was: same object, name and
value. A forward computes the effective weight once and changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.grad import conv2d_input

from wgan.components import ConfigError
from wgan.convolution import Conv2d
from wgan.networks.base import Shape
from wgan.once import once
from wgan.precision import unreduced

LinearLayer = nn.Linear | nn.Conv2d


class Reparametrised(nn.Module):
    """A layer with weight `reparametrisation(weight)`.

    A reparametrisation that has `costly = True` is computed once where `weights_computed_once`.
    """

    weight: Tensor
    reparametrisation: nn.Module

    def effective_weight(self) -> Tensor:
        """The weight that the layer computes with, differentiable in the raw one."""
        if getattr(self.reparametrisation, "costly", False):
            return once((self, "weight"), self._compute_weight)
        return self._compute_weight()

    def _compute_weight(self) -> Tensor:
        with unreduced():
            weight: Tensor = self.reparametrisation(self.weight)
        return weight


@runtime_checkable
class StackableReparametrisation(Protocol):
    """A reparametrisation that can be made for the layers of k critics at once."""

    def stacked(self, held: Mapping[str, Tensor]) -> nn.Module:
        """The module that maps raw weights to effective ones: (k, out, in) or (k, O, C, h, w).

        They may lie in memory in any way, and are given back as they lie.

        Args:
            held: this module's parameters and buffers by name, stacked, (k, ...).
        """
        ...


class ReparametrisedLinear(Reparametrised, nn.Linear):
    """A dense layer under a reparametrisation."""

    def forward(self, input: Tensor) -> Tensor:
        """Shape (N, in) to (N, out)."""
        return F.linear(input, self.effective_weight(), self.bias)


class ReparametrisedConv2d(Reparametrised, Conv2d):
    """A convolution under a reparametrisation."""

    def forward(self, input: Tensor) -> Tensor:
        """Shape (N, in, H, W) to (N, out, H', W')."""
        return self.convolve(input, self.effective_weight())


_REPARAMETRISED: dict[type[nn.Module], type[Reparametrised]] = {
    nn.Linear: ReparametrisedLinear,
    nn.Conv2d: ReparametrisedConv2d,
    Conv2d: ReparametrisedConv2d,
}


def reparametrise(layer: LinearLayer, reparametrisation: nn.Module) -> None:
    """Let a dense or convolutional layer compute with `reparametrisation(weight)`, in place.

    Raises:
        ConfigError: the layer is under a reparametrisation already.
    """
    if type(layer) not in _REPARAMETRISED:
        raise ConfigError(
            ("lipschitz",), "two methods that each reparametrise the layers do not go together"
        )
    # The layer keeps its parameters and settings, only its forward changes.
    layer.__class__ = _REPARAMETRISED[type(layer)]  # type: ignore[assignment]
    layer.reparametrisation = reparametrisation


def linear_layers(critic: nn.Module) -> dict[str, LinearLayer]:
    """Each dense and convolutional layer under its name, in order."""
    return {
        name: layer
        for name, layer in critic.named_modules()
        if isinstance(layer, nn.Linear | nn.Conv2d)
    }


def effective_weight(layer: LinearLayer) -> Tensor:
    """The weight that a dense or convolutional layer computes with, reparametrised or not."""
    return layer.effective_weight() if isinstance(layer, Reparametrised) else layer.weight


@dataclass(frozen=True)
class LinearMap:
    """What a layer does to samples of one shape, bias left out: linear in the sample.

    For a convolution this is the operator itself, with stride and zero padding, on maps of the
    given size; not its reshaped kernel.

    Attributes:
        input_shape: of one sample, (in,) or (in, H, W).
        stride, padding: of the convolution, None for a dense layer.
    """

    input_shape: Shape
    stride: Shape | None = None
    padding: Shape | None = None

    @classmethod
    def of(cls, layer: LinearLayer, input_shape: Shape) -> LinearMap:
        """The map of `layer`.

        Raises:
            ConfigError: a convolution that is dilated, grouped, or padded otherwise than by zeros.
        """
        if isinstance(layer, nn.Linear):
            return cls(tuple(input_shape))
        plain = (
            layer.groups == 1
            and set(layer.dilation) == {1}
            and layer.padding_mode == "zeros"
            and not isinstance(layer.padding, str)
        )
        if not plain:
            raise ConfigError(
                ("network",), f"{layer} has no known norm: only plain zero-padded convolutions do"
            )
        return cls(tuple(input_shape), tuple(layer.stride), tuple(layer.padding))  # type: ignore[arg-type]

    def apply(self, weight: Tensor, samples: Tensor) -> Tensor:
        """(N, *input_shape) to (N, out) or (N, out, H', W')."""
        if self.stride is None or self.padding is None:
            return F.linear(samples, weight)
        return F.conv2d(samples, weight, stride=self.stride, padding=self.padding)

    def transpose(self, weight: Tensor, images: Tensor) -> Tensor:
        """(N, out) or (N, out, H', W') back to (N, *input_shape), by the transposed matrix."""
        if self.stride is None or self.padding is None:
            return images @ weight
        samples: Tensor = conv2d_input(
            (len(images), *self.input_shape), weight, images, self.stride, self.padding
        )
        return samples


@torch.no_grad()
def input_shapes(critic: nn.Module, sample_shape: Shape) -> dict[nn.Module, Shape]:
    """The shape of one sample where it enters each module, batch dimension left out.

    One batch of zeros passes through the critic, whose forward changes nothing.
    """
    shapes: dict[nn.Module, Shape] = {}

    def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        shapes[module] = tuple(inputs[0].shape[1:])

    hooks = [module.register_forward_pre_hook(note) for module in critic.modules()]
    like = next(critic.parameters())
    try:
        # Two samples, as batch norm refuses one.
        critic(torch.zeros(2, *sample_shape, dtype=like.dtype, device=like.device))
    finally:
        for hook in hooks:
            hook.remove()
    return shapes


class GroupSort(nn.Module):
    """Sorts each group of `group_size` neighbouring channels, smallest first.

    With groups of 2 it is MaxMin. It permutes its input, so it is 1-Lipschitz and keeps norms.
    Where `group_size` does not divide the channels the last group is smaller, so that any width
    serves.

    Source: Anil et al. 2019, arXiv:1811.05381.
    """

    def __init__(self, group_size: int) -> None:
        super().__init__()
        self.group_size = group_size

    def forward(self, x: Tensor) -> Tensor:
        """Shape (N, C, ...), kept."""
        whole = x.shape[1] // self.group_size * self.group_size
        groups = x[:, :whole].unflatten(1, (-1, self.group_size)) if whole else x[:, :0]
        sorted_groups = groups.sort(dim=2).values.flatten(1, 2) if whole else groups
        if whole == x.shape[1]:
            return sorted_groups
        return torch.cat([sorted_groups, x[:, whole:].sort(dim=1).values], dim=1)

    def extra_repr(self) -> str:
        """What `print` shows."""
        return f"group_size={self.group_size}"
