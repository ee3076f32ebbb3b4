"""The checks of DRAGAN, R1 and R2 can fail: each planted bug turns its checks red."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import slope_checks
import torch
from test_planted_bugs import red
from torch import Tensor, nn

from wgan.lipschitz.dragan import Dragan
from wgan.lipschitz.r1 import R1

# A subclass without a name of its own registers nothing.


def slopes(critic: nn.Module, points: Tensor, **how: bool) -> Tensor:
    points = points.detach().requires_grad_()
    (found,) = torch.autograd.grad(critic(points).sum(), points, **how)
    return found.flatten(1)


@dataclass(frozen=True)
class BrokenR1(R1):
    """R1 in pieces, so that each bug replaces one."""

    def points(self, real, fake, rng):
        return real

    def slopes(self, critic, points):
        return slopes(critic, points, create_graph=True)

    def cost(self, found):
        return self.weight / 2 * found.square().sum(1).mean()

    def penalty(self, critic, real, fake, rng):
        return self.cost(self.slopes(critic, self.points(real, fake, rng)))


class AtTheFakes(BrokenR1):
    def points(self, real, fake, rng):
        return fake


class AtBoth(BrokenR1):
    def points(self, real, fake, rng):
        return torch.cat([real, fake])


class BetweenTheTwo(BrokenR1):
    def points(self, real, fake, rng):
        mix = torch.rand(len(real), *[1] * (real.dim() - 1), generator=rng, dtype=real.dtype)
        return mix * real + (1 - mix) * fake


class MissingHalf(BrokenR1):
    def cost(self, found):
        return self.weight * found.square().sum(1).mean()


class MissingSquare(BrokenR1):
    def cost(self, found):
        return self.weight / 2 * found.norm(dim=1).mean()


class MeanOverCoordinates(BrokenR1):
    def cost(self, found):
        return self.weight / 2 * found.square().mean()


class SumOverTheBatch(BrokenR1):
    def cost(self, found):
        return self.weight / 2 * found.square().sum()


class OneCentred(BrokenR1):
    def cost(self, found):
        return self.weight / 2 * (found.norm(dim=1) - 1).square().mean()


class NoCreateGraph(BrokenR1):
    def slopes(self, critic, points):
        return slopes(critic, points)


LINEAR, FLAT = "check_zero_centred_linear", "check_zero_centred_flat"
CURVED, BATCH = "check_zero_centred_curved", "check_zero_centred_batch"
R1_BUGS = {
    AtTheFakes: {CURVED, BATCH},
    AtBoth: {CURVED},
    BetweenTheTwo: {CURVED, "check_zero_centred_draws_nothing"},
    MissingHalf: {LINEAR, CURVED},
    MissingSquare: {LINEAR, CURVED},
    MeanOverCoordinates: {LINEAR, CURVED},
    SumOverTheBatch: {LINEAR, CURVED, BATCH},
    OneCentred: {LINEAR, FLAT, CURVED},
    NoCreateGraph: {LINEAR, FLAT, CURVED},
}


def red_r1(made) -> set[str]:
    def run(check):
        def with_reals(subject):
            check(subject, 0)

        with_reals.__name__ = check.__name__
        return with_reals

    return red([run(check) for check in slope_checks.ZERO_CENTRED_CHECKS], made)


def test_r1_in_pieces_is_right_before_a_bug_is_planted():
    assert red_r1(BrokenR1) == set()


@pytest.mark.parametrize("bug", R1_BUGS, ids=lambda bug: bug.__name__)
def test_r1_bug_turns_its_checks_red(bug):
    assert red_r1(bug) >= R1_BUGS[bug]


@dataclass(frozen=True)
class BrokenDragan(Dragan):
    """DRAGAN in pieces."""

    def mix(self, real, rng):
        shape = (len(real), *[1] * (real.dim() - 1))
        return torch.rand(shape, generator=rng, dtype=real.dtype)

    def step(self, real, rng):
        draw = torch.randn if self.noise == "gaussian" else torch.rand
        return draw(real.shape, generator=rng, dtype=real.dtype)

    def width(self, real):
        return self.scale * real.std(correction=0)

    def slopes(self, critic, points):
        return slopes(critic, points, create_graph=True)

    def center(self, real, fake):
        return real

    def penalty(self, critic, real, fake, rng):
        mix = self.mix(real, rng) if self.noise == "uniform" else 1
        points = self.center(real, fake) + mix * self.width(real) * self.step(real, rng)
        excess = self.slopes(critic, points).norm(dim=1) - self.target
        if self.sides == "one":
            excess = excess.clamp(min=0)
        return self.weight * excess.square().mean()


class TheGlobalGenerator(BrokenDragan):
    def step(self, real, rng):
        draw = torch.randn if self.noise == "gaussian" else torch.rand
        return draw(real.shape, dtype=real.dtype)


class MixPerPixel(BrokenDragan):
    def mix(self, real, rng):
        return torch.rand(real.shape, generator=rng, dtype=real.dtype)


class MixPerBatch(BrokenDragan):
    def mix(self, real, rng):
        return torch.rand((), generator=rng, dtype=real.dtype)


class StepPerSample(BrokenDragan):
    def step(self, real, rng):
        return super().step(real[:, :1, :1] if real.dim() == 3 else real, rng).expand_as(real)


class SymmetricStep(BrokenDragan):
    def step(self, real, rng):
        drawn = super().step(real, rng)
        return 2 * drawn - 1 if self.noise == "uniform" else drawn


class VarianceForDeviation(BrokenDragan):
    def width(self, real):
        return self.scale * real.var(correction=0)


class SizeForDeviation(BrokenDragan):
    def width(self, real):
        return self.scale * real.square().mean().sqrt()


class AbsoluteStep(BrokenDragan):
    def width(self, real):
        return self.scale


class AroundTheFakes(BrokenDragan):
    def center(self, real, fake):
        return fake


class DraganWithoutGraph(BrokenDragan):
    def slopes(self, critic, points):
        return slopes(critic, points)


UNIFORM, GAUSSIAN = "check_dragan_uniform_points", "check_dragan_gaussian_points"
DRAGAN_BUGS = {
    TheGlobalGenerator: {"check_dragan_own_stream"},
    MixPerPixel: {UNIFORM},
    MixPerBatch: {UNIFORM},
    StepPerSample: {UNIFORM, GAUSSIAN},
    SymmetricStep: {UNIFORM},
    VarianceForDeviation: {UNIFORM, GAUSSIAN},
    SizeForDeviation: {UNIFORM, GAUSSIAN},
    AbsoluteStep: {UNIFORM, GAUSSIAN},
    AroundTheFakes: {UNIFORM, GAUSSIAN, "check_dragan_without_noise"},
    DraganWithoutGraph: {"check_dragan_linear", "check_dragan_curved"},
}


def test_dragan_in_pieces_is_right_before_a_bug_is_planted():
    assert red(slope_checks.DRAGAN_CHECKS, BrokenDragan) == set()


@pytest.mark.parametrize("bug", DRAGAN_BUGS, ids=lambda bug: bug.__name__)
def test_dragan_bug_turns_its_checks_red(bug):
    assert red(slope_checks.DRAGAN_CHECKS, bug) >= DRAGAN_BUGS[bug]
