"""Which trainings can be packed, and which it pays to pack."""

from __future__ import annotations

import torch

from wgan.config import TrainConfig
from wgan.packed.networks import STACKED, leaves


def unpackable(config: TrainConfig) -> str | None:
    """Why runs of this configuration cannot train as one stacked model, in words, or None."""
    for method in config.lipschitz:
        reason = method.unpackable()
        if reason is not None:
            return reason
    with torch.device("meta"):
        shape = config.dataset.shape
        networks = {
            "critic": config.network.critic(shape, config.critic_norm),
            "generator": config.generator.build(config.network, shape, config.noise_size),
        }
    for part, network in networks.items():
        for _, layer in leaves(network):
            if type(layer) not in STACKED:
                return f"the {part} has a layer that cannot be stacked: {type(layer).__name__}"
    return None


def pays(config: TrainConfig, device: str) -> int:
    """The largest pack size that was measured to pay on this kind of device; 1: none does."""
    return 1 if unpackable(config) else 16
