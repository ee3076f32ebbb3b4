"""The checks can fail: each bug seen in public code (STYLE, REFERENCE section 3) is planted and
turns its checks red.
"""

from __future__ import annotations

from dataclasses import dataclass

import penalty_checks as penalties
import pytest
import step_checks as steps
import torch
from torch import Tensor, nn

from wgan.lipschitz import GradientPenalty
from wgan.losses import Loss
from wgan.steps import critic_step, generator_step

# A subclass without a name of its own registers nothing.


@dataclass(frozen=True)
class Broken(GradientPenalty):
    """The penalty in pieces, so that each bug replaces one."""

    def mix(self, real: Tensor, rng: torch.Generator) -> Tensor:
        shape = (len(real), *[1] * (real.dim() - 1))
        return torch.rand(shape, generator=rng, dtype=real.dtype)

    def gradients(self, critic: nn.Module, points: Tensor) -> Tensor:
        (found,) = torch.autograd.grad(critic(points).sum(), points, create_graph=True)
        return found

    def norms(self, gradients: Tensor) -> Tensor:
        return gradients.flatten(1).norm(dim=1)

    def one_sided(self, excess: Tensor) -> Tensor:
        return excess.clamp(min=0)

    def cost(self, excess: Tensor) -> Tensor:
        return excess.square().mean()

    def penalty(self, critic, real, fake, rng):
        mix = self.mix(real, rng)
        points = (mix * real + (1 - mix) * fake).requires_grad_()
        excess = self.norms(self.gradients(critic, points)) - self.target
        return self.weight * self.cost(self.one_sided(excess) if self.sides == "one" else excess)


class NormOverTheBatch(Broken):
    def norms(self, gradients):
        return gradients.norm()


class NormAlongTheBatch(Broken):
    def norms(self, gradients):
        return gradients.norm(dim=0)


class NormOverChannelsOnly(Broken):
    def norms(self, gradients):
        return gradients.norm(dim=1)


class NoCreateGraph(Broken):
    def gradients(self, critic, points):
        (found,) = torch.autograd.grad(critic(points).sum(), points)
        return found


class TheGlobalGenerator(Broken):
    def mix(self, real, rng):
        return torch.rand(len(real), *[1] * (real.dim() - 1), dtype=real.dtype)


class MixPerPixel(Broken):
    def mix(self, real, rng):
        return torch.rand(real.shape, generator=rng, dtype=real.dtype)


class MixPerBatch(Broken):
    def mix(self, real, rng):
        return torch.rand((), generator=rng, dtype=real.dtype)


class MissingSquare(Broken):
    def cost(self, excess):
        return excess.abs().mean()


class SquareOfTheMean(Broken):
    def cost(self, excess):
        return excess.mean().square()


class ClampOnTheWrongSide(Broken):
    def one_sided(self, excess):
        return excess.clamp(max=0)


PENALTY_BUGS = {
    NormOverTheBatch: {"check_linear_critic", "check_curved_critic", "check_batch_does_not_matter"},
    NormAlongTheBatch: {"check_linear_critic"},
    NormOverChannelsOnly: {"check_linear_critic", "check_curved_critic"},
    NoCreateGraph: {"check_linear_critic", "check_curved_critic"},
    TheGlobalGenerator: {"check_own_stream"},
    MixPerPixel: {"check_points_lie_on_segments"},
    MixPerBatch: {"check_points_lie_on_segments"},
    MissingSquare: {"check_linear_critic", "check_flat_critic", "check_curved_critic"},
    SquareOfTheMean: {"check_curved_critic", "check_batch_does_not_matter"},
    ClampOnTheWrongSide: {"check_linear_critic"},
}


def red(checks, subject) -> set[str]:
    """The names of the checks that `subject` fails."""
    failed = set()
    for check in checks:
        try:
            check(subject)
        except (AssertionError, RuntimeError):
            failed.add(check.__name__)
    return failed


def test_the_penalty_in_pieces_is_right_before_a_bug_is_planted():
    assert red(penalties.CHECKS, Broken) == set()


@pytest.mark.parametrize("bug", PENALTY_BUGS, ids=lambda bug: bug.__name__)
def test_penalty_bug_turns_its_checks_red(bug):
    assert red(penalties.CHECKS, bug) >= PENALTY_BUGS[bug]


class Without:
    """A method with its projection taken out."""

    def __init__(self, method) -> None:
        self.method = method

    def __getattr__(self, name):
        return getattr(self.method, name)

    def after_step(self, critic):
        pass


def clipping_before_the_step(critic, generator, optimizer, loss, methods, *batch):
    for method in methods:
        method.after_step(critic)
    return critic_step(
        critic, generator, optimizer, loss, [Without(method) for method in methods], *batch
    )


def clipping_forgotten(critic, generator, optimizer, loss, methods, *batch):
    return critic_step(
        critic, generator, optimizer, loss, [Without(method) for method in methods], *batch
    )


def critic_low_on_real(critic, generator, optimizer, loss, methods, *batch):
    optimizer.param_groups[0]["maximize"] = True
    return critic_step(critic, generator, optimizer, loss, methods, *batch)


def loss_with_the_penalty_in_it(*arguments):
    figures = critic_step(*arguments)
    return figures._replace(loss=figures.loss + figures.penalty)


def generator_trained_the_wrong_way(critic, generator, optimizer, loss, noise, real):
    optimizer.param_groups[0]["maximize"] = True
    return generator_step(critic, generator, optimizer, loss, noise, real)


def generator_step_that_moves_the_critic(critic, generator, optimizer, loss, noise, real):
    generator_loss = loss.generator_loss(critic(generator(noise)))
    generator_loss.backward()
    optimizer.step()
    return generator_loss.detach()


@pytest.mark.parametrize(
    ("bug", "check"),
    [
        (clipping_before_the_step, steps.check_projection_follows_the_update),
        (clipping_forgotten, steps.check_projection_follows_the_update),
        (critic_low_on_real, steps.check_critic_learns_to_tell),
        (loss_with_the_penalty_in_it, steps.check_critic_loss_is_without_penalty),
        (generator_trained_the_wrong_way, steps.check_generator_raises_its_scores),
    ],
)
def test_step_bug_turns_its_check_red(bug, check):
    with pytest.raises(AssertionError):
        check(bug)


def test_critic_gradients_in_the_generator_step_turn_the_check_red():
    with pytest.raises(AssertionError):
        steps.check_each_step_moves_its_own_network(
            critic_step, generator_step_that_moves_the_critic
        )


def test_a_loss_with_the_generator_wrong_way_round_turns_the_check_red(monkeypatch):
    wasserstein = Loss.registry["wasserstein"]
    monkeypatch.setattr(wasserstein, "generator_loss", lambda self, fake, real=None: fake.mean())
    with pytest.raises(AssertionError, match="wasserstein"):
        steps.check_generator_raises_its_scores(generator_step)
