"""Profiles: what an evaluation sees that is no single number. Each is asked for by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from wgan.config import TrainConfig
from wgan.data import Data
from wgan.diagnostics.samples import see
from wgan.diagnostics.slopes import whole_batches
from wgan.diagnostics.weights import critic_weights, weight_limit
from wgan.precision import exactly
from wgan.train import DTYPES, TrainState

Profile = dict[str, Any]  # JSON-able: numbers, words, and lists of them
BINS = 60
SURFACE_SIDE = 96  # points along each axis of a value surface
_MARGIN = 0.25  # of the data's extent, shown around it


@exactly
def make_profile(
    name: str, config: TrainConfig, state: TrainState, data: Data, fake: Tensor, count: int = 1000
) -> Profile:
    """The profile `name` of this moment; the arguments are those of `diagnose`."""
    return PROFILES[name](config, state, data, fake, count)


def layer_gradients(
    config: TrainConfig, state: TrainState, data: Data, fake: Tensor, count: int
) -> Profile:
    """The gradient that reaches each layer of the critic from its loss.

    Gulrajani et al. 2017, arXiv:1704.00028, figure 1(b): clipped critics let it vanish or explode
    from layer to layer.

    Returns:
        `layers`, the names of the dense and convolutional layers from the input on, and
        `gradient_norms`, for each the mean over samples of ||dL_i / dh||_2, h the layer's output
        and L_i the sample's own share of the critic's loss without penalty.
    """
    seen = see(config, state, data, fake, count)
    real = whole_batches(seen.train, seen.batch_size)[: seen.batch_size]
    fake = seen.fake[: len(real)]
    names, outputs, hooks = [], [], []
    for name, layer in state.critic.named_modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            names.append(name)
            hooks.append(layer.register_forward_hook(lambda m, i, o: outputs.append(o)))
    try:
        with torch.enable_grad():
            # As inputs that require a gradient, so that a wrapper's own gradients have a graph.
            real_scores = state.critic(real.requires_grad_())
            fake_scores = state.critic(fake.detach().requires_grad_())
            loss = config.loss.critic_loss(real_scores, fake_scores)
            gradients = torch.autograd.grad(loss, outputs)
    finally:
        for hook in hooks:
            hook.remove()
    # In double: the square of a gradient below 1e-22 is 0 in single.
    norms = torch.stack(
        [
            torch.linalg.vector_norm(g.flatten(1).double(), dim=1).mean() * len(real)
            for g in gradients
        ]
    )
    # The critic ran twice: first over the reals, then over the fakes.
    return {
        "layers": names,
        "gradient_norms": norms.view(2, len(names)).mean(dim=0).tolist(),
    }


def weight_histogram(
    config: TrainConfig, state: TrainState, data: Data, fake: Tensor, count: int
) -> Profile:
    """The distribution of the critic's trained weights.

    Returns:
        `edges` (61 numbers) and `counts` (60) of the histogram over the range of all weights of
        dense and convolutional layers, and `limit`, the clipping box or None.
    """
    weights = critic_weights(state.critic).double().cpu()
    reach = max(weights.abs().max().item(), 1e-12)
    counts, edges = torch.histogram(weights, bins=BINS, range=(-reach, reach))
    return {
        "edges": edges.tolist(),
        "counts": [int(value) for value in counts.tolist()],
        "limit": weight_limit(config),
    }


def value_surface(
    config: TrainConfig, state: TrainState, data: Data, fake: Tensor, count: int
) -> Profile:
    """The critic's scores over the plane, for data in two dimensions.

    Gulrajani et al. 2017, arXiv:1704.00028, figure 1(a).

    Returns:
        `x` and `y`, the coordinates of the grid's columns and rows; `scores`, a list of rows;
        `real` and `fake`, 200 points of each.
    """
    seen = see(config, state, data, fake, count)
    low, high = seen.train.amin(dim=0), seen.train.amax(dim=0)
    low, high = low - _MARGIN * (high - low), high + _MARGIN * (high - low)
    x, y = (
        torch.linspace(float(low[k]), float(high[k]), SURFACE_SIDE, device=state.device)
        for k in (0, 1)
    )
    points = torch.cartesian_prod(y, x).flip(1).to(DTYPES[config.precision])
    with torch.no_grad():
        scores = torch.cat([state.critic(part) for part in points.split(config.batch_size)])
    return {
        "x": x.tolist(),
        "y": y.tolist(),
        "scores": scores.view(SURFACE_SIDE, SURFACE_SIDE).double().tolist(),
        "real": seen.train[:200].double().tolist(),
        "fake": seen.fake[:200].double().tolist(),
    }


PROFILES: dict[str, Callable[[TrainConfig, TrainState, Data, Tensor, int], Profile]] = {
    "layer_gradients": layer_gradients,
    "weight_histogram": weight_histogram,
    "value_surface": value_surface,
}
