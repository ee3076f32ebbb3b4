"""Stacked critics: scores of several batches and gradients at further points, at once.

`judge` gives both as leaves or nodes of a graph in which losses and penalties are computed;
`backward` gives each critic's parameters the gradient of its own loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from wgan.networks.base import Flat
from wgan.packed.chain import Chain, ScoresOfGenerated
from wgan.packed.networks import StackedNetwork, leaves


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
        held = list(self.stack.parameters.values())
        self.chain = Chain([w.detach() for w in held[::2]], [b.detach() for b in held[1::2]])
        self._into = (self.stack.gradients[::2], self.stack.gradients[1::2])

    def forward(self, x: Tensor) -> Tensor:
        """(k, N, ...) to scores (k, N), differentiable in x alone."""
        scores: Tensor = ScoresOfGenerated.apply(self.chain, x.flatten(2))
        return scores

    def judge(self, batches: Sequence[Tensor], points: Tensor | None) -> Judged:
        """Scores and gradients are leaves; what `backward` needs is kept."""
        joined = torch.cat([*batches, *([] if points is None else [points])], dim=1).flatten(2)
        count = sum(batch.shape[1] for batch in batches)
        values = self.chain.up(joined)
        slopes = self.chain.down(values)
        scores = self.chain.scores([value[:, :count] for value in values]).requires_grad_()
        gradients = None
        if points is not None:
            gradients = self.chain.gradients(slopes, count).requires_grad_()
        self._kept = values, slopes, scores, gradients
        return Judged(
            list(scores.split([batch.shape[1] for batch in batches], dim=1)),
            None if gradients is None or points is None else gradients.view_as(points),
        )

    def backward(self, losses: Tensor) -> None:
        """As in `StackedNetwork`; only once after each `judge`."""
        values, slopes, scores, gradients = self._kept
        del self._kept
        by_score, *by_gradient = torch.autograd.grad(
            losses.sum(), [scores, *([] if gradients is None else [gradients])]
        )
        self.chain.weigh(
            values, slopes, by_score, by_gradient[0] if by_gradient else None, self._into
        )


def stacked_critic(modules: Sequence[nn.Module]) -> StackedCritic:
    """The critics of `modules` as one."""
    kind = ChainedCritic if is_chain(modules[0]) else StackedCritic
    return kind(modules)


def is_chain(critic: nn.Module) -> bool:
    """Whether a critic is dense layers with ReLU between them, after flattening."""
    first, *layers, flat = (layer for _, layer in leaves(critic))
    if type(first) is not nn.Flatten or type(flat) is not Flat or len(layers) % 2 == 0:
        return False
    return all(
        type(layer) is (nn.ReLU if index % 2 else nn.Linear)
        and (index % 2 == 1 or getattr(layer, "bias", None) is not None)
        for index, layer in enumerate(layers)
    )
