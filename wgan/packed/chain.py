"""k critics of dense layers and ReLU, differentiated by hand: all that a critic's step needs.

Such a critic is linear around each point: f(x) = p_0(x) . x + a constant. With the layers
h_l = relu(W_l h_{l-1} + b_l), h_0 = x, f = W h_L + b, going down from the score,

    p_L = W D_L,   p_{l-1} = p_l W_l D_{l-1},   p_0 = p_1 W_1,

p_l is the gradient of a score in layer l before its activation, and p_0 that in the point itself.
D_l is the activation's slope: 1 where h_l > 0, elsewhere 0, or that of a leaky ReLU. Let
s = d loss / d f and r_0 = d loss / d p_0, which the losses and penalties give. The gradient of the
loss goes up from r_0, r_l = D_l W_l r_{l-1}, and is, summed over the samples,

    d loss / d W_l = p_l (s h_{l-1} + r_{l-1})',   d loss / d b_l = s p_l,
    d loss / d W = s h_L + r_L,   d loss / d b = s.

So one pass down serves scores and gradients alike, nothing is computed twice, and the second
derivative of the activation, which is zero, is never pushed through the network: 10 matrix products
for a layer of a WGAN-GP step of which stock autograd makes 12.

A convolution on small maps is a dense layer whose matrix is made of its kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

_masked = torch.ops.aten.threshold_backward  # its first argument where the second is > 0, else 0
_leaking = torch.ops.aten.leaky_relu_backward  # there, elsewhere a share of it
_NARROW = 16  # inputs below which a transposed product is several times as fast (measured)


@dataclass
class Chain:
    """The weights (k, out, in) and biases (k, out) of k critics, the last layer's out being 1.

    `slope` is that of a leaky ReLU's negative piece, 0 of a ReLU's.
    """

    weights: Sequence[Tensor]
    biases: Sequence[Tensor]
    slope: float = 0.0

    def up(self, x: Tensor) -> list[Tensor]:
        """X and the hidden layers' values h_l, each (k, N, units), from x (k, N, d)."""
        values = [x]
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            before = _dense(values[-1], weight, bias)
            values.append(F.leaky_relu_(before, self.slope) if self.slope else before.relu_())
        return values

    def scores(self, values: Sequence[Tensor]) -> Tensor:
        """The scores (k, N) to what `up` gave."""
        return _dense(values[-1], self.weights[-1], self.biases[-1]).squeeze(2)

    def down(self, values: Sequence[Tensor]) -> list[Tensor]:
        """p_1 to p_L, each (k, N, units)."""
        slopes = [self._bent(self.weights[-1].expand_as(values[-1]), values[-1])]
        for weight, value in zip(self.weights[-2:0:-1], values[-2:0:-1], strict=True):
            slopes.append(self._bent(torch.bmm(slopes[-1], weight), value))
        return slopes[::-1]

    def gradients(self, slopes: Sequence[Tensor], start: int = 0) -> Tensor:
        """p_0 (k, N - start, d) of the samples from `start` on."""
        return torch.bmm(slopes[0][:, start:], self.weights[0])

    def weigh(
        self,
        values: Sequence[Tensor],
        slopes: Sequence[Tensor],
        by_score: Tensor,
        by_gradient: Tensor | None,
        into: tuple[Sequence[Tensor], Sequence[Tensor]],
    ) -> None:
        """Put the gradient of the loss in all weights and biases `into` tensors of their shapes.

        Args:
            by_score: s, (k, n), of the first n samples; no loss depends on the scores of the rest.
            by_gradient: r_0, (k, N - n, d), of the rest; None where there are none.
        """
        weights, biases = into
        count = by_score.shape[1]
        factors, rows = by_score.unsqueeze(2), by_score.unsqueeze(1)
        towards = by_gradient
        carried = _join(values[0][:, :count] * factors, towards)
        for layer, slope in enumerate(slopes):
            _outer(slope, carried, weights[layer])
            torch.bmm(rows, slope[:, :count], out=biases[layer].unsqueeze(1))
            value = values[layer + 1]
            carried = torch.empty_like(value)
            torch.mul(value[:, :count], factors, out=carried[:, :count])
            if towards is not None:
                moved = torch.bmm(towards, self.weights[layer].transpose(1, 2))
                towards = carried[:, count:]
                self._bend(moved, value[:, count:], towards)
        torch.sum(carried, 1, keepdim=True, out=weights[-1])
        torch.sum(by_score, 1, keepdim=True, out=biases[-1])

    def _bent(self, gradient: Tensor, value: Tensor) -> Tensor:
        """D gradient, of a layer with this value."""
        bent: Tensor = (
            _leaking(gradient, value, self.slope, True)
            if self.slope
            else _masked(gradient, value, 0)
        )
        return bent

    def _bend(self, gradient: Tensor, value: Tensor, into: Tensor) -> None:
        if self.slope:
            _leaking.grad_input(gradient, value, self.slope, True, grad_input=into)
        else:
            _masked.grad_input(gradient, value, 0, grad_input=into)


def _dense(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return torch.baddbmm(bias.unsqueeze(1), x, weight.transpose(1, 2))


def _outer(left: Tensor, right: Tensor, into: Tensor) -> None:
    """Left' right, (k, out, in), summed over the samples."""
    if right.shape[2] < _NARROW:
        into.copy_(torch.bmm(right.transpose(1, 2), left).transpose(1, 2))
    else:
        torch.bmm(left.transpose(1, 2), right, out=into)


def _join(scored: Tensor, rest: Tensor | None) -> Tensor:
    return scored if rest is None else torch.cat([scored, rest], dim=1)


class ScoresOfGenerated(torch.autograd.Function):
    """The scores (k, N) of points (k, N, d), differentiable in the points alone."""

    @staticmethod
    def forward(ctx: Any, chain: Chain, points: Tensor) -> Tensor:
        """`chain` stays constant."""
        values = chain.up(points)
        ctx.save_for_backward(chain.gradients(chain.down(values)))
        return chain.scores(values)

    @staticmethod
    def backward(ctx: Any, by_score: Tensor) -> tuple[None, Tensor]:
        """S p_0."""
        (gradients,) = ctx.saved_tensors
        return None, by_score.unsqueeze(2) * gradients
