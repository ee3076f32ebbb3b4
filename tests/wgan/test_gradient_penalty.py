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


TAKEN_AT = {"real": (0,), "fake": (1,), "both": (0, 1)}


@pytest.mark.parametrize("at", TAKEN_AT)
@pytest.mark.parametrize("count", [1, 6])
def test_gradient_is_taken_at_the_samples_themselves(at, count):
    """One sample of each kind, or six: what the critic was asked about is the batches, bit by
    bit.
    """
    batches = normal(count, 2, 3, seed=2), normal(count, 2, 3, seed=3)
    critic, stream = Linear(normal(2, 3, seed=1)), rng()
    before = stream.get_state()
    GradientPenalty(at=at).penalty(critic, *batches, stream)
    assert torch.equal(
        torch.cat(critic.seen), torch.cat([batches[number] for number in TAKEN_AT[at]])
    )
    assert all(len(points) == count for points in critic.seen), "two kinds in one batch"
    assert torch.equal(stream.get_state(), before), "a random number was drawn"


@pytest.mark.parametrize("at", TAKEN_AT)
@pytest.mark.parametrize("sides", ["two", "one"])
def test_penalty_at_the_samples_is_known(at, sides):
    """f(x) = x'Ax / 2, over all points that `at` names; the gradient too."""
    batches = normal(6, 4, seed=2), normal(6, 4, seed=3)
    critic, form = penalty_checks.Curved(normal(4, 4, seed=5)), normal(4, 4, seed=5)
    form.requires_grad_()
    penalty = GradientPenalty(weight=3.0, sides=sides, at=at).penalty(critic, *batches, rng())

    points = torch.cat([batches[number] for number in TAKEN_AT[at]])
    norms = (points @ (form + form.T) / 2).square().sum(1).sqrt()
    expected = 3.0 * penalty_checks.expected_excess(norms, 1.0, sides).square().mean()
    torch.testing.assert_close(penalty, expected, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(
        torch.autograd.grad(penalty, critic.form),
        torch.autograd.grad(expected, form),
        rtol=1e-9,
        atol=1e-11,
    )


def test_the_place_of_the_gradient_does_not_change_an_old_run_s_id():
    """`at` came later: between real and fake is what all earlier runs did."""
    assert "at" not in GradientPenalty().to_plain(for_id=True)["gradient_penalty"]
    assert GradientPenalty(at="real").to_plain(for_id=True)["gradient_penalty"]["at"] == "real"
