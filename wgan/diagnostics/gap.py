"""The critic-optimality gap: how far the critic lags behind its generator."""

from __future__ import annotations

import copy

import torch
from torch import nn

from wgan.config import TrainConfig
from wgan.data import Data
from wgan.diagnostics.samples import Seen
from wgan.optimizers import stepped_eagerly
from wgan.precision import computing_in
from wgan.random import stream
from wgan.steps import critic_step
from wgan.train import DTYPES, TrainState


def critic_gap(
    config: TrainConfig, state: TrainState, data: Data, seen: Seen, updates: int
) -> dict[str, float]:
    """How much the estimate rises when a copy of the critic trains on, with the generator frozen.

    A critic's loss says something about the distance only as far as the critic is optimal for the
    present generator (Arjovsky et al. 2017, arXiv:1701.07875, section 3); a gap near 0 says that
    `updates` more of its own updates would not find a better one.

    Returns:
        `critic_gap` and `critic_gap_held_out`: the estimate after `updates` further critic updates
        minus the estimate now, on the same training (held-out) reals and the same fakes. The first
        tells optimality, the second may fall where the critic learns its training data by heart.
    """
    critic = trained_on(config, state, data, updates, "evaluation:gap")
    with torch.no_grad():
        train, held_out, fake = (
            torch.cat([critic(part) for part in samples.split(seen.batch_size)])
            for samples in (seen.train, seen.held_out, seen.fake)
        )
    distance = config.loss.distance
    return {
        name: (distance(after, fake) - distance(before, seen.fake_scores)).item()
        for name, after, before in (
            ("critic_gap", train, seen.train_scores),
            ("critic_gap_held_out", held_out, seen.held_out_scores),
        )
    }


def trained_on(
    config: TrainConfig, state: TrainState, data: Data, updates: int, purpose: str
) -> nn.Module:
    """A copy of the critic after `updates` further updates of its own, the generator frozen.

    Args:
        purpose: what the streams that it draws from are called; the training's are left alone.
    """
    # One deep copy, so that the optimizer's copy points at the critic's copy.
    critic, optimizer = copy.deepcopy((state.critic, state.critic_optimizer))
    stepped_eagerly(optimizer)
    generator = copy.deepcopy(state.generator)
    purposes = ["data", "noise", *(f"penalty:{method.name}" for method in config.lipschitz)]
    streams = {p: stream(config.seed, f"{purpose}:{p}", state.device) for p in purposes}
    size, dtype = config.batch_size, DTYPES[config.precision]

    with computing_in(config.precision, state.device):
        for update in range(updates):
            critic_step(
                critic,
                generator,
                optimizer,
                config.loss,
                config.lipschitz,
                data.batch(size, streams["data"]).to(dtype),
                config.generator.draw(data, config.noise_size, size, streams["noise"], dtype),
                streams,
                state.critic_updates + update,
                together=config.scores_are_independent,
            )
    return critic
