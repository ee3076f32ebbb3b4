"""What a right gradient penalty does, as checks that take the method's class.

`test_gradient_penalty` passes the real one through all of them; `test_planted_bugs` shows that each
bug seen in public code fails.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import scipy.stats
import torch
from small import Linear, normal, rng
from torch import Tensor, nn

from wgan.lipschitz import GradientPenalty

Made = Callable[..., GradientPenalty]
SHAPES = ((2,), (7,), (1, 8, 8), (3, 4, 4))


def expected_excess(norm: Tensor, target: float, sides: str) -> Tensor:
    return norm - target if sides == "two" else torch.relu(norm - target)


def check_linear_critic(made: Made) -> None:
    """weight * (|a| - target)^2 and its gradient 2 weight (|a| - target) a / |a| for f(x) = a.x."""
    for shape, sides, length, (weight, target) in itertools.product(
        SHAPES, ("two", "one"), (0.3, 1.7, 40.0), ((10.0, 1.0), (0.5, 0.0), (3.0, 2.5))
    ):
        slope = normal(*shape, seed=1)
        slope *= length / slope.norm()
        critic = Linear(slope)
        penalty = made(weight=weight, target=target, sides=sides).penalty(
            critic, normal(6, *shape, seed=2), normal(6, *shape, seed=3), rng()
        )
        excess = expected_excess(slope.norm(), target, sides)
        assert penalty.shape == ()
        assert penalty.item() == pytest.approx((weight * excess**2).item(), rel=1e-10, abs=1e-12)
        assert penalty.requires_grad, "the penalty's graph does not reach the critic"
        (gradient,) = torch.autograd.grad(penalty, critic.slope)
        torch.testing.assert_close(
            gradient, 2 * weight * excess * slope / slope.norm(), rtol=1e-10, atol=1e-12
        )


def check_flat_critic(made: Made) -> None:
    """f = 0: weight * target^2, or nothing on one side; the gradient stays finite."""
    for sides, expected in (("two", 22.5), ("one", 0.0)):
        critic = Linear(torch.zeros(5, dtype=torch.float64))
        penalty = made(weight=10.0, target=1.5, sides=sides).penalty(
            critic, normal(4, 5, seed=2), normal(4, 5, seed=3), rng()
        )
        assert penalty.item() == pytest.approx(expected, abs=1e-12)
        (gradient,) = torch.autograd.grad(penalty, critic.slope)
        assert gradient.isfinite().all()


class Curved(nn.Module):
    """f(x) = x'Ax / 2, whose gradient (A + A') x / 2 differs from point to point."""

    def __init__(self, form: Tensor) -> None:
        super().__init__()
        self.form = nn.Parameter(form.clone())

    def forward(self, x: Tensor) -> Tensor:
        points = x.flatten(1)
        return ((points @ self.form) * points).sum(1) / 2


def curved_penalty(form: Tensor, points: Tensor, weight: float, target: float) -> Tensor:
    gradients = points.flatten(1) @ (form + form.T) / 2
    return weight * (gradients.square().sum(1).sqrt() - target).square().mean()


def check_curved_critic(made: Made) -> None:
    """Where the slope varies, each sample has its own norm; value and gradient in closed form."""
    for shape in ((5,), (2, 2, 3)):
        points = normal(6, *shape, seed=4)
        size = points[0].numel()
        critic, form = Curved(normal(size, size, seed=5)), normal(size, size, seed=5)
        form.requires_grad_()
        # Real and fake coincide, so that the mixing weights do not matter.
        penalty = made(weight=2.0, target=1.0).penalty(critic, points, points.clone(), rng())
        expected = curved_penalty(form, points, 2.0, 1.0)
        torch.testing.assert_close(penalty, expected, rtol=1e-10, atol=1e-12)
        assert penalty.requires_grad, "the penalty's graph does not reach the critic"
        torch.testing.assert_close(
            torch.autograd.grad(penalty, critic.form),
            torch.autograd.grad(expected, form),
            rtol=1e-9,
            atol=1e-11,
        )


def check_batch_does_not_matter(made: Made) -> None:
    """Permuting the batch changes nothing, and the mean over two halves is the whole's."""
    method, critic, points = made(), Curved(normal(4, 4, seed=6)), normal(8, 4, seed=7)

    def penalty(part: Tensor) -> float:
        return method.penalty(critic, part, part.clone(), rng()).item()

    whole = penalty(points)
    assert penalty(points[torch.randperm(8, generator=rng(1))]) == pytest.approx(whole, rel=1e-12)
    halves = (penalty(points[:4]) + penalty(points[4:])) / 2
    assert halves == pytest.approx(whole, rel=1e-12)


def check_points_lie_on_segments(made: Made) -> None:
    """x = u real + (1 - u) fake with one u for each pair, all different, uniform on [0, 1]."""
    real, fake = normal(2000, 1, 2, 2, seed=8), normal(2000, 1, 2, 2, seed=9)
    critic = Linear(normal(1, 2, 2, seed=1))
    made().penalty(critic, real, fake, rng(3))
    (points,) = critic.seen
    along = (real - fake).flatten(1)
    mix = ((points - fake).flatten(1) * along).sum(1) / along.square().sum(1)
    rebuilt = fake.flatten(1) + mix[:, None] * along
    assert (points.flatten(1) - rebuilt).abs().max() < 1e-9, "points leave the segments"
    assert mix.unique().numel() == 2000, "pairs share a mixing weight"
    assert scipy.stats.kstest(mix.numpy(), "uniform").pvalue > 0.01


def check_own_stream(made: Made) -> None:
    """The mixing weights come from the given stream and from nothing else."""

    def points(own: int, everybodys: int) -> Tensor:
        critic = Linear(normal(3, seed=1))
        torch.manual_seed(everybodys)
        before = torch.get_rng_state()
        made().penalty(critic, normal(4, 3, seed=2), normal(4, 3, seed=3), rng(own))
        assert torch.equal(torch.get_rng_state(), before), "the global generator was drawn from"
        return critic.seen[0]

    with torch.random.fork_rng(devices=[]):
        assert torch.equal(points(0, 1), points(0, 2)), "the global generator matters"
        assert not torch.equal(points(0, 1), points(1, 1)), (
            "the method's own stream does not matter"
        )


CHECKS = (
    check_linear_critic,
    check_flat_critic,
    check_curved_critic,
    check_batch_does_not_matter,
    check_points_lie_on_segments,
    check_own_stream,
)
