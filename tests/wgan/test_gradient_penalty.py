"""The gradient penalty against closed forms; the checks themselves are proved in
`test_planted_bugs`.
"""

from __future__ import annotations

import penalty_checks
import pytest
import torch
from small import Linear, normal, rng

from wgan.lipschitz import GradientPenalty
from wgan.lipschitz.gradient_penalty import gradient_norms


@pytest.mark.parametrize("check", penalty_checks.CHECKS, ids=lambda check: check.__name__)
def test_gradient_penalty_passes(check):
    check(GradientPenalty)


def test_gradient_norms_of_a_linear_critic_are_its_slope():
    critic = Linear(normal(3, 2, 2, seed=1))
    points = normal(5, 3, 2, 2, seed=2).requires_grad_()
    norms = gradient_norms(critic, points)
    assert norms.shape == (5,)
    torch.testing.assert_close(norms, critic.slope.detach().norm().expand(5), rtol=1e-12, atol=0)


def test_penalty_leaves_the_batch_and_the_gradients_alone():
    critic, real, fake = Linear(normal(3, seed=1)), normal(4, 3, seed=2), normal(4, 3, seed=3)
    copies = real.clone(), fake.clone()
    GradientPenalty().penalty(critic, real, fake, rng())
    assert torch.equal(real, copies[0])
    assert torch.equal(fake, copies[1])
    assert not real.requires_grad
    assert not fake.requires_grad
    assert critic.slope.grad is None


def test_penalty_is_the_mean_over_its_mixing_weights():
    """f(x) = |x|^2 / 2 has gradient x, so the penalty can be written down from the stream's own
    draws.
    """
    real, fake, weight, target = normal(64, 3, seed=2), normal(64, 3, seed=3), 4.0, 1.0
    u = torch.rand(64, generator=rng(5), dtype=torch.float64)[:, None]
    norms = (u * real + (1 - u) * fake).norm(dim=1)
    for sides, excess in (("two", norms - target), ("one", (norms - target).clamp(min=0))):
        penalty = GradientPenalty(weight=weight, target=target, sides=sides).penalty(
            penalty_checks.Curved(torch.eye(3, dtype=torch.float64)), real, fake, rng(5)
        )
        assert penalty.item() == pytest.approx(weight * excess.square().mean().item(), rel=1e-12)
