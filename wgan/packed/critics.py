"""Stacked critics: scores of several batches and gradients at further points, at once.

`judge` gives both as leaves or nodes of a graph in which losses and penalties are computed;
`backward` gives each critic's parameters the gradient of its own loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from wgan.layers import ReparametrisedLinear
from wgan.networks.base import Flat
from wgan.packed.chain import Chain, ScoresOfGenerated
from wgan.packed.networks import StackedLinear, StackedNetwork, leaves


class Judged(NamedTuple):
    """The scores (k, N) of each batch, and the gradients (k, M, ...) at the points, if any."""

    scores: list[Tensor]
    gradients: Tensor | None


class StackedCritic(StackedNetwork):
    """Critics of any layers that can be stacked, differentiated by autograd."""

    def judge(self, batches: Sequence[Tensor], points: Tensor | None) -> Judged:
        """Score each batch (k, N, ...) by itself; the gradients of the scores at `points`.

        All is differentiable in the parameters, not in batches and points.
        """
        scores = [self(batch) for batch in batches]
        if points is None:
            return Judged(scores, None)
        points = points.detach().requires_grad_()
        (gradients,) = torch.autograd.grad(self(points).sum(), points, create_graph=True)
        return Judged(scores, gradients)


class ChainedCritic(StackedCritic):
    """Critics of dense layers and ReLU, differentiated by hand."""

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        super().__init__(modules)
        self._dense = [layer for layer in self.layers if isinstance(layer, StackedLinear)]
        self._biases = [layer.bias for layer in self._dense if layer.bias is not None]
        # Without reparametrisation the weights' gradients are written where they are to be.
        self._plain = all(layer.reparametrisation is None for layer in self._dense)
        held = self.stack.gradients
        self._into = (held[::2], held[1::2]) if self._plain else None

    def forward(self, x: Tensor) -> Tensor:
        """(k, N, ...) to scores (k, N), differentiable in x alone."""
        with torch.no_grad():
            chain = self._chain([layer.effective_weight() for layer in self._dense])
        scores: Tensor = ScoresOfGenerated.apply(chain, x.flatten(2))  # type: ignore[no-untyped-call]
        return scores

    def judge(self, batches: Sequence[Tensor], points: Tensor | None) -> Judged:
        """Scores and gradients are leaves; what `backward` needs is kept."""
        joined = torch.cat([*batches, *([] if points is None else [points])], dim=1).flatten(2)
        count = sum(batch.shape[1] for batch in batches)
        weights = [layer.effective_weight() for layer in self._dense]
        chain = self._chain(weights)
        values = chain.up(joined)
        slopes = chain.down(values)
        scores = chain.scores([value[:, :count] for value in values]).requires_grad_()
        seen = [scores]
        if points is not None:
            seen.append(chain.gradients(slopes, count).requires_grad_())
        self._kept = chain, values, slopes, seen, weights
        return Judged(
            list(scores.split([batch.shape[1] for batch in batches], dim=1)),
            None if points is None else seen[1].view_as(points),
        )

    def backward(self, losses: Tensor) -> None:
        """As in `StackedNetwork`; only once after each `judge`."""
        chain, values, slopes, seen, weights = self._kept
        del self._kept
        parameters = list(self.stack.parameters.values())
        by_score, *rest = torch.autograd.grad(losses.sum(), [*seen, *parameters], allow_unused=True)
        by_gradient = rest[0] if len(seen) > 1 else None
        into = self._into or (
            [torch.empty_like(weight) for weight in weights],
            [torch.empty_like(bias) for bias in self._biases],
        )
        chain.weigh(values, slopes, by_score, by_gradient, into)
        if not self._plain:
            self._through_weights(weights, *into)
        # A penalty of the weights themselves has given them a gradient too.
        for held, added in zip(self.stack.gradients, rest[len(seen) - 1 :], strict=True):
            if added is not None:
                held.add_(added)

    def _chain(self, weights: Sequence[Tensor]) -> Chain:
        return Chain([w.detach() for w in weights], [bias.detach() for bias in self._biases])

    def _through_weights(
        self, weights: Sequence[Tensor], by_weight: Sequence[Tensor], by_bias: Sequence[Tensor]
    ) -> None:
        """Carry the gradient from the effective weights on to the raw parameters."""
        gradients = torch.autograd.grad(
            [*weights, *self._biases],
            list(self.stack.parameters.values()),
            [*by_weight, *by_bias],
        )
        torch._foreach_copy_(self.stack.gradients, gradients)


def stacked_critic(modules: Sequence[nn.Module]) -> StackedCritic:
    """The critics of `modules` as one."""
    kind = ChainedCritic if is_chain(modules[0]) else StackedCritic
    return kind(modules)


def is_chain(critic: nn.Module) -> bool:
    """Whether a critic is dense layers with ReLU between them, after flattening."""
    first, *layers, flat = (layer for _, layer in leaves(critic))
    if type(first) is not nn.Flatten or type(flat) is not Flat or len(layers) % 2 == 0:
        return False
    dense, between = layers[::2], layers[1::2]
    return all(isinstance(layer, nn.ReLU) for layer in between) and all(
        type(layer) in (nn.Linear, ReparametrisedLinear) and layer.bias is not None
        for layer in dense
    )
