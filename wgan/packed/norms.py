"""Normalisations of k networks at once; each sees nothing but its own rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wgan.packed.blocks import ALIGNED
from wgan.piecewise import is_differentiated_twice

_batches: ContextVar[int] = ContextVar("_batches", default=1)


@contextmanager
def in_batches(count: int) -> Iterator[None]:
    """Within it, the samples that pass through critics are `count` batches one after another.

    They have no running statistics.
    """
    token = _batches.set(count)
    try:
        yield
    finally:
        _batches.reset(token)


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

        Within `in_batches` each of the batches that pass together has statistics of its own.
        """
        maps = x.flatten(3) if x.dim() > 3 else x.unsqueeze(3)
        batches = maps.unflatten(1, (_batches.get(), -1))
        whole = self.weight.shape[1] * x.element_size() % ALIGNED == 0
        one = whole and not is_differentiated_twice()
        normed = self._as_one(batches) if one else self._written_out(batches)
        return normed.reshape(x.shape)

    def _as_one(self, x: Tensor) -> Tensor:
        """By torch's own batch norm, to which networks and batches (k, B, N, C, P) are channels.

        With channels next to each other it takes a sixth of the time of one written out. Where they
        fill whole vectors the bits do not depend on their place; in torch's second derivative they
        would, whose sums take four vectors at once.
        """
        assert self.momentum is not None
        means, variances = None, None
        if self.running is not None:
            means, variances, count = self.running
            count.add_(1)
        k, batches, samples, channels, _ = x.shape
        to_all = (k, batches, channels)
        rows = x.permute(2, 4, 0, 1, 3)
        normed = F.batch_norm(
            rows.reshape(-1, k * batches * channels),
            None if means is None else means.view(-1),
            None if variances is None else variances.view(-1),
            self.weight.unsqueeze(1).expand(to_all).flatten(),
            self.bias.unsqueeze(1).expand(to_all).flatten(),
            training=True,
            momentum=self.momentum,
            eps=self.epsilon,
        )
        return normed.view(samples, -1, *to_all).permute(2, 3, 0, 4, 1)

    def _written_out(self, x: Tensor) -> Tensor:
        """(k, B, N, C, P) by arithmetic of single numbers."""
        variance, mean = torch.var_mean(x, dim=(2, 4), correction=0, keepdim=True)
        if self.running is not None:
            self._move(
                mean.detach().flatten(1), variance.detach().flatten(1), x[0, 0, :, 0].numel()
            )
        normed = (x - mean) * torch.rsqrt(variance + self.epsilon)
        bias, weight = (held[:, None, None, :, None] for held in (self.bias, self.weight))
        return torch.addcmul(bias, normed, weight)

    @torch.no_grad()
    def _move(self, mean: Tensor, variance: Tensor, count: int) -> None:
        assert self.running is not None
        assert self.momentum is not None
        means, variances, batches = self.running
        means.lerp_(mean, self.momentum)
        variances.lerp_(variance * (count / (count - 1)), self.momentum)
        batches.add_(1)
