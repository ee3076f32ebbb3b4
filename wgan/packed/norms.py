"""Normalisations of k networks at once; each sees nothing but its own rows."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class StackedFeatureNorm(nn.Module):
    """Layer, group or instance norm of each sample's channels; weight and bias (k, channels)."""

    def __init__(self, groups: int, epsilon: float, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.groups, self.epsilon = groups, epsilon
        self.weight, self.bias = weight, bias

    def forward(self, x: Tensor) -> Tensor:
        """Shape (k, N, C, ...), kept."""
        groups = x.flatten(2).unflatten(2, (self.groups, -1))
        normed = F.layer_norm(groups, groups.shape[3:], eps=self.epsilon).view_as(x)
        to_channels = (len(x), 1, -1, *[1] * (x.dim() - 3))
        return torch.addcmul(self.bias.view(to_channels), normed, self.weight.view(to_channels))


class StackedBatchNorm(nn.Module):
    """Batch norm, each network over its own batch; weight, bias and running means (k, channels)."""

    def __init__(
        self, layer: nn.BatchNorm1d | nn.BatchNorm2d, weight: Tensor, bias: Tensor
    ) -> None:
        super().__init__()
        self.epsilon, self.momentum = layer.eps, layer.momentum
        self.weight, self.bias = weight, bias
        self.running: tuple[Tensor, Tensor, Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Shape (k, N, C, ...), kept; where there are running statistics they move.

        To torch they are k times as many channels of one batch: its own batch norm takes a third
        of the time of one written out.
        """
        assert self.momentum is not None
        means, variances = None, None
        if self.running is not None:
            means, variances, batches = self.running
            means, variances = means.view(-1), variances.view(-1)
            batches.add_(1)
        normed = F.batch_norm(
            x.transpose(0, 1).flatten(1, 2),
            means,
            variances,
            self.weight.flatten(),
            self.bias.flatten(),
            training=True,
            momentum=self.momentum,
            eps=self.epsilon,
        )
        return normed.unflatten(1, (len(x), -1)).transpose(0, 1)
