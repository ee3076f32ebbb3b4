"""Normalisations of k networks at once; each sees nothing but its own rows."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class StackedFeatureNorm(nn.Module):
    """Layer or group norm over the features of each sample; weight and bias (k, features)."""

    def __init__(self, groups: int, epsilon: float, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.groups, self.epsilon = groups, epsilon
        self.weight, self.bias = weight, bias

    def forward(self, x: Tensor) -> Tensor:
        """Shape (k, N, features), kept."""
        groups = x.unflatten(2, (self.groups, -1))
        normed = F.layer_norm(groups, groups.shape[3:], eps=self.epsilon).flatten(2)
        return torch.addcmul(self.bias.unsqueeze(1), normed, self.weight.unsqueeze(1))


class StackedBatchNorm(nn.Module):
    """Batch norm, each network over its own batch; weight, bias and running means (k, features)."""

    def __init__(self, layer: nn.BatchNorm1d, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.epsilon, self.momentum = layer.eps, layer.momentum
        self.weight, self.bias = weight, bias
        self.running: tuple[Tensor, Tensor, Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Shape (k, N, features), kept; where there are running statistics they move."""
        variance, mean = torch.var_mean(x, dim=1, correction=0, keepdim=True)
        if self.running is not None:
            self._move(mean.detach().squeeze(1), variance.detach().squeeze(1), x.shape[1])
        normed = (x - mean) * torch.rsqrt(variance + self.epsilon)
        return torch.addcmul(self.bias.unsqueeze(1), normed, self.weight.unsqueeze(1))

    @torch.no_grad()
    def _move(self, mean: Tensor, variance: Tensor, count: int) -> None:
        assert self.running is not None
        assert self.momentum is not None
        means, variances, batches = self.running
        means.lerp_(mean, self.momentum)
        variances.lerp_(variance * (count / (count - 1)), self.momentum)
        batches.add_(1)
