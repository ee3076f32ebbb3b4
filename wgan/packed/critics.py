"""Stacked critics: scores of several batches and gradients at further points, at once.

`judge` gives both as leaves or nodes of a graph in which losses and penalties are computed;
`backward` gives each critic's parameters the gradient of its own loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from wgan.convolution import Conv2d
from wgan.forms import flat, unflat
from wgan.layers import ReparametrisedConv2d, ReparametrisedLinear
from wgan.networks.base import Flat
from wgan.packed.chain import Chain, ScoresOfGenerated
from wgan.packed.convolutions import StackedConv2d
from wgan.packed.networks import StackedLinear, StackedNetwork, leaves
from wgan.packed.norms import in_batches
from wgan.packed.products import Product
from wgan.piecewise import LeakyReLU, ReLU, differentiated_twice


class Judged(NamedTuple):
    """The scores (k, N) of each batch, and the gradients (k, M, ...) at the points, if any."""

    scores: list[Tensor]
    gradients: Tensor | None


class StackedCritic(StackedNetwork):
    """Critics of any layers that can be stacked, differentiated by autograd."""

    def judge(self, batches: Sequence[Tensor], points: Tensor | None) -> Judged:
        """Score each batch (k, N, ...) by itself; the gradients of the scores at `points`.

        Batches have one size. All is differentiable in the parameters, not in batches and points.
        """
        with in_batches(len(batches)):
            together: Tensor = self(torch.cat(list(batches), dim=1))
        scores = list(together.chunk(len(batches), dim=1))
        if points is None:
            return Judged(scores, None)
        points = points.detach().requires_grad_()
        with differentiated_twice():
            total = self(points).sum()
        (gradients,) = torch.autograd.grad(total, points, create_graph=True)
        return Judged(scores, gradients)


class ChainedCritic(StackedCritic):
    """Critics of dense layers, or convolutions that are a matrix, and ReLU, leaky or not.

    They are differentiated by hand.
    """

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        super().__init__(modules)
        self._slope = slope_of(modules[0]) or 0.0
        self._dense = [
            layer for layer in self.layers if isinstance(layer, StackedLinear | StackedConv2d)
        ]
        self._on_maps = isinstance(self._dense[0], StackedConv2d)

    def forward(self, x: Tensor) -> Tensor:
        """(k, N, ...) to scores (k, N), differentiable in x alone."""
        with torch.no_grad():
            chain = self._chain(*self._layers_and_biases(x))
        scores: Tensor = ScoresOfGenerated.apply(chain, self._flat(x))  # type: ignore[no-untyped-call]
        return scores

    def judge(self, batches: Sequence[Tensor], points: Tensor | None) -> Judged:
        """Scores and gradients are leaves; what `backward` needs is kept."""
        joined = torch.cat([*batches, *([] if points is None else [points])], dim=1)
        count = sum(batch.shape[1] for batch in batches)
        layers, biases = self._layers_and_biases(joined)
        chain = self._chain(layers, biases)
        values = chain.up(self._flat(joined))
        slopes = chain.down(values)
        scores = chain.scores([value[:, :count] for value in values]).requires_grad_()
        seen = [scores]
        if points is not None:
            seen.append(chain.gradients(slopes, count).requires_grad_())
        self._kept = chain, values, slopes, seen, ([layer.operand for layer in layers], biases)
        return Judged(
            list(scores.split([batch.shape[1] for batch in batches], dim=1)),
            None if points is None else self._as(points, seen[1]),
        )

    def backward(self, losses: Tensor) -> None:
        """As in `StackedNetwork`; only once after each `judge`."""
        chain, values, slopes, seen, computed = self._kept
        del self._kept
        parameters = list(self.stack.parameters.values())
        by_score, *rest = torch.autograd.grad(losses.sum(), [*seen, *parameters], allow_unused=True)
        by_gradient = rest[0] if len(seen) > 1 else None
        # What is a view of the parameters has its gradient written where it is to be.
        through: list[tuple[Tensor, Tensor]] = []
        into = [[self._place_of(held, through) for held in kind] for kind in computed]
        chain.weigh(values, slopes, by_score, by_gradient, (into[0], into[1]))
        if through:
            self._through_weights(through)
        # A penalty of the weights themselves has given them a gradient too.
        for held, added in zip(self.stack.gradients, rest[len(seen) - 1 :], strict=True):
            if added is not None:
                held.add_(added)

    def _layers_and_biases(self, x: Tensor) -> tuple[list[Product], list[Tensor]]:
        """Of critics that score x (k, N, ...)."""
        layers, biases, maps = [], [], tuple(x.shape[3:]) if self._on_maps else ()
        for dense in self._dense:
            layer, bias, maps = dense.as_product(maps)
            assert bias is not None
            layers.append(layer)
            biases.append(bias)
        return layers, biases

    def _chain(self, layers: Sequence[Product], biases: Sequence[Tensor]) -> Chain:
        constant = [layer.constant() for layer in layers]
        return Chain(constant, [bias.detach() for bias in biases], self._slope)

    def _flat(self, x: Tensor) -> Tensor:
        """(k, N, units), as the first layer takes them."""
        return flat(x) if self._on_maps else x.flatten(2)

    def _as(self, x: Tensor, values: Tensor) -> Tensor:
        """What `_flat` would make these values of, in the shape of x."""
        return unflat(values, x.shape[3:]) if self._on_maps else values.view_as(x)

    def _place_of(self, held: Tensor, through: list[tuple[Tensor, Tensor]]) -> Tensor:
        """Where to write a gradient; what must go `through` to the raw parameters is noted."""
        place = self.stack.gradient_of(held)
        if place is None:
            place = torch.empty_like(held, memory_format=torch.contiguous_format)
            through.append((held, place))
        return place

    def _through_weights(self, through: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Carry gradients from effective weights and biases on to the raw parameters."""
        found = torch.autograd.grad(
            [held for held, _ in through],
            list(self.stack.parameters.values()),
            [gradient for _, gradient in through],
            allow_unused=True,
        )
        pairs = zip(self.stack.gradients, found, strict=True)
        reached = [(into, gradient) for into, gradient in pairs if gradient is not None]
        torch._foreach_copy_([into for into, _ in reached], [gradient for _, gradient in reached])


def stacked_critic(modules: Sequence[nn.Module]) -> StackedCritic:
    """The critics of `modules` as one."""
    kind = StackedCritic if slope_of(modules[0]) is None else ChainedCritic
    return kind(modules)


_DENSE = (nn.Linear, ReparametrisedLinear, nn.Conv2d, Conv2d, ReparametrisedConv2d)


def slope_of(critic: nn.Module) -> float | None:
    """The slope below 0 of the one activation of a critic that is a chain, else None.

    A chain is dense layers and convolutions, all with biases, and ReLU, leaky or not, between them;
    flattening is nothing to it.
    """
    *layers, flat = (layer for _, layer in leaves(critic) if type(layer) is not nn.Flatten)
    dense, between = layers[::2], layers[1::2]
    slopes = {_slope(layer) for layer in between} or {0.0}
    is_chain = (
        type(flat) is Flat
        and len(layers) % 2 == 1
        and len(slopes) == 1
        and all(type(layer) in _DENSE and layer.bias is not None for layer in dense)
    )
    return slopes.pop() if is_chain else None


def _slope(layer: nn.Module) -> float | None:
    """Of ReLU, leaky or not; None: it is neither, or one that turns signs."""
    if type(layer) in (nn.ReLU, ReLU):
        return 0.0
    if type(layer) not in (nn.LeakyReLU, LeakyReLU):
        return None
    assert isinstance(layer, nn.LeakyReLU)
    return layer.negative_slope if layer.negative_slope > 0 else None
