"""What a right update does, as checks that take the step function: `test_steps` passes the real
ones, `test_planted_bugs` shows that the bugs seen in public code fail.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from small import DIGITS, contents, normal, registered, rng, same, small
from torch import Tensor

from wgan.lipschitz import GradientPenalty, WeightClipping
from wgan.losses import Loss
from wgan.steps import CriticStep
from wgan.train import TrainState, new_state

Step = Callable[..., Any]
STREAMS = {f"penalty:{name}": rng() for name in ("weight_clipping", "gradient_penalty", "none")}


def beginning(critic_lr: float = 1e-3) -> tuple[TrainState, Tensor, Tensor]:
    """A state in float64 that SGD moves, with a batch of reals and one of noise."""
    config = small(network={"mlp": {"width": 16}}, precision="float64", seed=3)
    state = new_state(config, DIGITS)
    for name in ("critic", "generator"):
        moved = torch.optim.SGD(getattr(state, name).parameters(), lr=critic_lr)
        setattr(state, f"{name}_optimizer", moved)
    return state, DIGITS.batch(32, rng(1)).double(), normal(32, config.noise_size, seed=2)


def critic_update(
    step: Step, state: TrainState, loss: Loss, methods: Any, real: Tensor, noise: Tensor
) -> CriticStep:
    return step(
        state.critic,
        state.generator,
        state.critic_optimizer,
        loss,
        methods,
        real,
        noise,
        STREAMS,
        0,
    )


def scores(state: TrainState, real: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        return state.critic(real), state.critic(state.generator(noise))


def check_projection_follows_the_update(step: Step) -> None:
    """After the update every parameter lies in the box, though the update alone would leave it far
    behind.
    """
    for loss in registered(Loss):
        state, real, noise = beginning(critic_lr=10.0)
        critic_update(step, state, loss(), [WeightClipping(limit=0.05)], real, noise)
        sizes = torch.cat([p.detach().abs().flatten() for p in state.critic.parameters()])
        assert sizes.max() == 0.05, (
            "a parameter lies outside the box, or none was moved to its wall"
        )


def check_critic_learns_to_tell(step: Step) -> None:
    """A small step of the critic raises the distance on its batch, for every loss: high on real,
    low on fake.
    """
    for made in registered(Loss):
        loss = made()
        state, real, noise = beginning()
        before = loss.distance(*scores(state, real, noise))
        critic_update(step, state, loss, [], real, noise)
        assert loss.distance(*scores(state, real, noise)) > before


def check_critic_loss_is_without_penalty(step: Step) -> None:
    """The figures of a step: the loss alone, the penalty alone, the scores before the update."""
    for made in registered(Loss):
        loss = made()
        state, real, noise = beginning()
        real_scores, fake_scores = scores(state, real, noise)
        figures = critic_update(step, state, loss, [GradientPenalty(weight=7.0)], real, noise)
        torch.testing.assert_close(figures.real_scores, real_scores, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(figures.fake_scores, fake_scores, rtol=1e-12, atol=1e-12)
        expected = loss.critic_loss(real_scores, fake_scores)
        torch.testing.assert_close(figures.loss, expected, rtol=1e-12, atol=1e-12)
        assert figures.penalty > 0
        assert not any(figure.requires_grad for figure in figures)


def check_generator_raises_its_scores(step: Step) -> None:
    """A small step of the generator raises the critic's scores of its samples, for every loss."""
    for made in registered(Loss):
        state, real, noise = beginning()
        _, before = scores(state, real, noise)
        step(state.critic, state.generator, state.generator_optimizer, made(), noise, real)
        _, after = scores(state, real, noise)
        assert after.mean() > before.mean(), made.name


def check_each_step_moves_its_own_network(critic_step: Step, generator_step: Step) -> None:
    """The critic's step leaves the generator and its gradients alone, and the other way round."""
    loss = registered(Loss)[0]()
    state, real, noise = beginning()
    before = contents(state)
    critic_update(critic_step, state, loss, [GradientPenalty()], real, noise)
    after = contents(state)
    assert same(before["generator"], after["generator"])
    assert all(p.grad is None for p in state.generator.parameters())
    assert not same(before["critic"], after["critic"])

    gradients = copy.deepcopy([p.grad for p in state.critic.parameters()])
    generator_step(state.critic, state.generator, state.generator_optimizer, loss, noise, None)
    assert same(after["critic"], contents(state)["critic"])
    assert same(gradients, [p.grad for p in state.critic.parameters()])
    assert all(p.requires_grad for p in state.critic.parameters())
    assert not same(after["generator"], contents(state)["generator"])
