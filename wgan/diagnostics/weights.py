"""The critic's weights: how many stand at the clipping limit, and whether they form two heaps."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from wgan.config import TrainConfig

_AT = 1 - 1e-6  # of the limit: rounding may leave a clipped weight a bit below it


def critic_weights(critic: nn.Module) -> Tensor:
    """All weights of dense and convolutional layers as one vector, biases and norms left out."""
    parts = [p.detach().flatten() for p in critic.parameters() if p.dim() >= 2]
    return torch.cat(parts) if parts else torch.empty(0)


def weight_limit(config: TrainConfig) -> float | None:
    """The smallest box that the methods keep every weight in, or None."""
    limits = [m.weight_limit for m in config.lipschitz if m.weight_limit is not None]
    return min(limits, default=None)


def weight_figures(config: TrainConfig, critic: nn.Module) -> dict[str, float]:
    """Figures of the trained weights themselves, before any normalisation of a layer.

    Returns:
        `weight_bimodality`, Sarle's coefficient (g^2 + 1) / k with skewness g and kurtosis k
        (Knapp 2007, doi 10.22237/jmasm/1177992120): 1/3 for a normal distribution, 5/9 for a
        uniform one, 1 for two equal points; `weights_at_limit`, the share of weights on the wall of
        the clipping box (only where there is one). Gulrajani et al. 2017, arXiv:1704.00028, figure
        1: clipped weights pile up at both walls.
    """
    weights = critic_weights(critic).double()
    if not len(weights):
        return {}
    figures = {"weight_bimodality": bimodality(weights)}
    limit = weight_limit(config)
    if limit is not None:
        figures["weights_at_limit"] = (weights.abs() >= limit * _AT).double().mean().item()
    return figures


def bimodality(values: Tensor) -> float:
    """Sarle's coefficient of a sample, from its central moments; NaN for a constant one."""
    centred = values - values.mean()
    variance = centred.square().mean()
    skewness = centred.pow(3).mean() / variance.pow(1.5)
    kurtosis = centred.pow(4).mean() / variance.square()
    return ((skewness.square() + 1) / kurtosis).item()
