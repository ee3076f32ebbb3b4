"""One update of either network; the checks themselves are proved in `test_planted_bugs`."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import step_checks as checks
import torch
from small import rng

from wgan.lipschitz import GradientPenalty, LipschitzMethod
from wgan.losses import Wasserstein
from wgan.steps import critic_step, generator_step


@pytest.mark.parametrize(
    "check",
    [
        checks.check_projection_follows_the_update,
        checks.check_critic_learns_to_tell,
        checks.check_critic_loss_is_without_penalty,
    ],
)
def test_critic_step_passes(check):
    check(critic_step)


def test_generator_step_raises_its_scores():
    checks.check_generator_raises_its_scores(generator_step)


def test_each_step_moves_its_own_network_only():
    checks.check_each_step_moves_its_own_network(critic_step, generator_step)


def test_penalty_of_a_step_is_that_of_the_critic_before_the_update():
    state, real, noise = checks.beginning()
    method = GradientPenalty(weight=7.0)
    with torch.no_grad():
        fake = state.generator(noise)
    expected = method.penalty(state.critic, real, fake, rng(4)).item()
    found = critic_step(
        state.critic,
        state.generator,
        state.critic_optimizer,
        Wasserstein(),
        [method],
        real,
        noise,
        {"penalty:gradient_penalty": rng(4)},
        0,
    ).penalty.item()
    assert found == pytest.approx(expected, rel=1e-12)


def test_fakes_of_the_critic_step_carry_no_graph():
    state, real, noise = checks.beginning()
    seen = []
    state.critic.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    checks.critic_update(critic_step, state, Wasserstein(), [], real, noise)
    assert len(seen) == 2
    assert not any(batch.requires_grad for batch in seen)


@dataclass(frozen=True)
class Counted(LipschitzMethod):
    """Penalty 1 on every call; a subclass without a name registers nothing."""

    def penalty(self, critic, real, fake, rng):
        return 0 * critic(real).sum() + 1


@pytest.mark.parametrize(
    ("every", "scaled", "expected"),
    [
        (1, True, [1, 1, 1, 1, 1]),
        (2, True, [2, 0, 2, 0, 2]),
        (2, False, [1, 0, 1, 0, 1]),
        (4, True, [4, 0, 0, 0, 4]),
    ],
)
def test_a_lazy_penalty_is_due_at_every_kth_update(monkeypatch, every, scaled, expected):
    monkeypatch.setattr(Counted, "name", "none", raising=False)
    state, real, noise = checks.beginning()
    method = Counted(every=every, scale_by_every=scaled)
    found = [
        critic_step(
            state.critic,
            state.generator,
            state.critic_optimizer,
            Wasserstein(),
            [method],
            real,
            noise,
            checks.STREAMS,
            count,
        ).penalty.item()
        for count in range(5)
    ]
    assert found == expected


def test_penalties_of_several_methods_add_up(monkeypatch):
    monkeypatch.setattr(Counted, "name", "none", raising=False)
    state, real, noise = checks.beginning()
    methods = [Counted(), Counted()]
    figures = checks.critic_update(critic_step, state, Wasserstein(), methods, real, noise)
    assert figures.penalty.item() == 2


def test_scores_of_shape_n_by_1_are_refused_in_a_step():
    state, real, noise = checks.beginning()
    state.critic = state.critic[:-1]  # without the layer that makes (N, 1) into (N,)
    with pytest.raises(ValueError, match=r"shape \(N,\), not \(32, 1\)"):
        checks.critic_update(critic_step, state, Wasserstein(), [], real, noise)
