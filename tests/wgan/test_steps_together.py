"""Reals and fakes that pass through the critic as one batch: the numbers of two."""

from __future__ import annotations

import copy

import pytest
import torch
from small import DIGITS, follow, largest_gap, rng, same, small

from wgan.components import ConfigError
from wgan.config import CRITIC_NORMS
from wgan.iteration import Eager
from wgan.lipschitz import LipschitzMethod
from wgan.losses import Loss
from wgan.networks import Network
from wgan.steps import critic_step
from wgan.train import new_state

METHODS = sorted(LipschitzMethod.registry)


def updated(config, *, together: bool, steps: int):
    """The critic after some updates, and what the last of them saw."""
    state = new_state(config, DIGITS)
    streams = {name: rng(4) for name in state.streams}
    for count in range(steps):
        seen = critic_step(
            state.critic,
            state.generator,
            state.critic_optimizer,
            config.loss,
            config.lipschitz,
            DIGITS.batch(8, rng(count)).to(next(state.critic.parameters()).dtype),
            torch.randn(8, 6, generator=rng(count)).to(next(state.critic.parameters()).dtype),
            streams,
            count,
            together=together,
        )
    return state.critic, seen


def check(config) -> None:
    """Figures after one update in float32 to 1e-5, and weights after 50 in float64 to 1e-8."""
    # Adam divides a gradient by itself: a rounding in one that is nearly 0 would turn a step.
    descent = type(config).from_plain({**config.to_plain(), "optimizer": {"sgd": {"lr": 0.01}}})
    (one, seen), (two, expected) = (updated(descent, together=t, steps=1) for t in (True, False))
    for found, wanted in zip(seen, expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)
    for found, wanted in zip(one.parameters(), two.parameters(), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)

    double = type(config).from_plain({**config.to_plain(), "precision": "float64"})
    (one, _), (two, _) = (updated(double, together=t, steps=50) for t in (True, False))
    assert largest_gap(one.parameters(), two.parameters()) < 1e-8


@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains_alike(method):
    check(small(lipschitz=method))


@pytest.mark.parametrize("loss", sorted(Loss.registry))
def test_every_loss_trains_alike(loss):
    check(small(loss=loss, lipschitz="gradient_penalty"))


@pytest.mark.parametrize("critic_norm", sorted(set(CRITIC_NORMS) - {"batch"}))
@pytest.mark.parametrize("network", sorted(Network.registry))
def test_every_network_whose_scores_are_independent_trains_alike(network, critic_norm):
    try:
        config = small(network={network: {"width": 8}}, critic_norm=critic_norm)
    except ConfigError:
        return
    assert config.scores_are_independent
    check(config)


@pytest.mark.parametrize("network", sorted(Network.registry))
def test_under_batch_norm_reals_and_fakes_pass_alone(network):
    config = small(network={network: {"width": 8}}, critic_norm="batch", critic_steps=1)
    state, sizes = new_state(config, DIGITS), []
    handle = state.critic.register_forward_pre_hook(lambda part, given: sizes.append(len(given[0])))
    Eager(config, DIGITS, copy.copy(state)).compute()
    handle.remove()
    assert sizes == [8, 8, 8]
    # Together they would score otherwise.
    (_, one), (_, two) = (updated(config, together=t, steps=1) for t in (True, False))
    assert not torch.allclose(one.real_scores, two.real_scores, rtol=1e-3)


def test_a_training_passes_them_together():
    config = small("wgan_gp", critic_steps=1)
    state, sizes = new_state(config, DIGITS), []
    state.critic.register_forward_pre_hook(lambda part, given: sizes.append(len(given[0])))
    Eager(config, DIGITS, state).compute()
    assert sizes == [16, 8, 8]  # both, the points of the penalty, the generator's


def test_training_together_is_repeatable():
    config = small("wgan_gp", steps=3)
    twins = [new_state(config, DIGITS) for _ in range(2)]
    for twin in twins:
        follow(config, twin)
    assert same(*(twin.critic.state_dict() for twin in twins))
