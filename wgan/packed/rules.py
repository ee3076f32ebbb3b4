"""Which trainings can be packed, and which it pays to pack."""

from __future__ import annotations

import torch

from wgan.config import TrainConfig
from wgan.packed.blocks import ALIGNED
from wgan.packed.networks import STACKED, leaves
from wgan.precision import DTYPES


def unpackable(config: TrainConfig) -> str | None:
    """Why runs of this configuration cannot train as one stacked model, in words, or None."""
    for method in config.lipschitz:
        reason = method.unpackable()
        if reason is not None:
            return reason
    if config.precision == "bf16":
        return "stacked layers have not been tried in bf16"
    with torch.device("meta"):
        shape = config.dataset.shape
        networks = {
            "critic": config.network.critic(shape, config.critic_norm),
            "generator": config.generator.build(config.network, shape, config.noise_size),
        }
    # Matrix products give other bits at another alignment; torch's loops over single numbers go by
    # two vectors of 64 bytes at once, and what is left at the end is computed by other code.
    step = ALIGNED // DTYPES[config.precision].itemsize
    if config.batch_size % (2 * step):
        return (
            f"batches of {config.batch_size} do not fill whole vectors, so that the bits of a "
            f"training would depend on its place in the pack: {2 * step} and its multiples do"
        )
    for part, network in networks.items():
        for name, weight in network.named_parameters():
            if weight.dim() > 1 and weight.numel() % step:
                return (
                    f"the {part}'s {name} of {weight.numel()} numbers does not fill whole vectors, "
                    f"so that the bits of a training would depend on its place in the pack: widths "
                    f"of {step} and its multiples do"
                )
        for _, layer in leaves(network):
            if type(layer) not in STACKED:
                return f"the {part} has a layer that cannot be stacked: {type(layer).__name__}"
    return None


def pays(config: TrainConfig, device: str) -> int:
    """The largest pack size that was measured to pay on this kind of device; 1: none does."""
    return 1 if unpackable(config) else 16
