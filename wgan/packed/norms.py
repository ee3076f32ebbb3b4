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
    """Within it, the samples that pass through networks are `count` batches one after another.

    Running statistics move by one batch after another.
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
        normed = self._as_one(batches) if one else self._written_out(batches).flatten(1, 2)
        return normed.reshape(x.shape)

    def _as_one(self, x: Tensor) -> Tensor:
        """By torch's own batch norm, to which networks and batches (k, B, N, C, P) are channels.

        What is made, (k, B N, C, P), lies with its channels next to each other, as convolutions
        want them.

        With channels next to each other it takes a sixth of the time of one written out. Where they
        fill whole vectors the bits do not depend on their place; in torch's second derivative they
        would, whose sums take four vectors at once.
        """
        k, batches, samples, channels, _ = x.shape
        to_all = (k, batches, channels)
        rows = x.permute(2, 4, 0, 1, 3).reshape(-1, k * batches * channels)
        # At a momentum of 1 what it moves becomes the batch's own mean and unbiased variance.
        moved = None if self.running is None else rows.new_zeros(2, rows.shape[1])
        normed = F.batch_norm(
            rows,
            None if moved is None else moved[0],
            None if moved is None else moved[1],
            self.weight.unsqueeze(1).expand(to_all).flatten(),
            self.bias.unsqueeze(1).expand(to_all).flatten(),
            training=True,
            momentum=1.0,
            eps=self.epsilon,
        )
        if moved is not None:
            self._move(*moved.view(2, *to_all))
        made = normed.view(samples, -1, *to_all).permute(2, 3, 0, 1, 4)
        return made.flatten(1, 2).transpose(2, 3)

    def _written_out(self, x: Tensor) -> Tensor:
        """(k, B, N, C, P) by arithmetic of single numbers."""
        variance, mean = torch.var_mean(x, dim=(2, 4), correction=0, keepdim=True)
        if self.running is not None:
            count = x[0, 0, :, 0].numel()
            to_all = (len(x), x.shape[1], -1)
            unbiased = variance.detach() * (count / (count - 1))
            self._move(mean.detach().view(to_all), unbiased.view(to_all))
        normed = (x - mean) * torch.rsqrt(variance + self.epsilon)
        bias, weight = (held[:, None, None, :, None] for held in (self.bias, self.weight))
        return torch.addcmul(bias, normed, weight)

    @torch.no_grad()
    def _move(self, means: Tensor, variances: Tensor) -> None:
        """The running statistics towards those of each batch, (k, B, C)."""
        assert self.running is not None
        assert self.momentum is not None
        running_means, running_variances, count = self.running
        for mean, variance in zip(means.unbind(1), variances.unbind(1), strict=True):
            running_means.lerp_(mean, self.momentum)
            running_variances.lerp_(variance, self.momentum)
            count.add_(1)
