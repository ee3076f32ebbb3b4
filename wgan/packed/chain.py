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

A convolution is a dense layer too, which is multiplied by in a way of its own (`products`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from wgan.packed.products import Product

_masked = torch.ops.aten.threshold_backward  # its first argument where the second is > 0, else 0
_leaking = torch.ops.aten.leaky_relu_backward  # there, elsewhere a share of it


@dataclass
class Chain:
    """The layers of k critics and their biases (k, out); the last is dense and its out is 1.

    `slope` is that of a leaky ReLU's negative piece, 0 of a ReLU's.
    """

    layers: Sequence[Product]
    biases: Sequence[Tensor]
    slope: float = 0.0

    def up(self, x: Tensor) -> list[Tensor]:
        """X and the hidden layers' values h_l, each (k, N, units), from x (k, N, d)."""
        values = [x]
        for layer, bias in zip(self.layers[:-1], self.biases[:-1], strict=True):
            before = layer.up(values[-1], bias)
            values.append(F.leaky_relu_(before, self.slope) if self.slope else before.relu_())
        return values

    def scores(self, values: Sequence[Tensor]) -> Tensor:
        """The scores (k, N) to what `up` gave."""
        return self.layers[-1].up(values[-1], self.biases[-1]).squeeze(2)

    def down(self, values: Sequence[Tensor]) -> list[Tensor]:
        """p_1 to p_L, each (k, N, units)."""
        last = torch.empty_like(values[-1])
        self._bend(self.layers[-1].operand.expand_as(last), values[-1], last)
        slopes = [last]
        for layer, value in zip(self.layers[-2:0:-1], values[-2:0:-1], strict=True):
            slopes.append(layer.down(slopes[-1]))
            self._bend(slopes[-1], value, slopes[-1])
        return slopes[::-1]

    def gradients(self, slopes: Sequence[Tensor], start: int = 0) -> Tensor:
        """p_0 (k, N - start, d) of the samples from `start` on."""
        return self.layers[0].down(slopes[0][:, start:])

    def weigh(
        self,
        values: Sequence[Tensor],
        slopes: Sequence[Tensor],
        by_score: Tensor,
        by_gradient: Tensor | None,
        into: tuple[Sequence[Tensor], Sequence[Tensor]],
    ) -> None:
        """Put the gradient of the loss in all operands and biases `into` tensors of their shapes.

        Args:
            by_score: s, (k, n), of the first n samples; no loss depends on the scores of the rest.
            by_gradient: r_0, (k, N - n, d), of the rest; None where there are none.
        """
        weights, biases = into
        count = by_score.shape[1]
        factors, rows = by_score.unsqueeze(2), by_score.unsqueeze(1)
        towards = by_gradient
        carried = _join(values[0][:, :count] * factors, towards)
        for number, (layer, slope) in enumerate(zip(self.layers[:-1], slopes, strict=True)):
            layer.weigh(slope, carried, weights[number])
            torch.bmm(rows, slope[:, :count], out=biases[number].unsqueeze(1))
            value = values[number + 1]
            carried = torch.empty_like(value)
            torch.mul(value[:, :count], factors, out=carried[:, :count])
            if towards is not None:
                moved = layer.up(towards)
                towards = carried[:, count:]
                self._bend(moved, value[:, count:], towards)
        torch.sum(carried, 1, keepdim=True, out=weights[-1])
        torch.sum(by_score, 1, keepdim=True, out=biases[-1])

    def _bend(self, gradient: Tensor, value: Tensor, into: Tensor) -> None:
        """Put D gradient, of a layer with this value, `into` a tensor, which may be the same."""
        if self.slope:
            _leaking.grad_input(gradient, value, self.slope, True, grad_input=into)
        else:
            _masked.grad_input(gradient, value, 0, grad_input=into)


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
