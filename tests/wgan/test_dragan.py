"""DRAGAN's penalty; its checks are proved in `test_planted_slope_bugs`."""

from __future__ import annotations

import pytest
import slope_checks
import torch
from small import Linear, normal, rng

from wgan.lipschitz import GradientPenalty
from wgan.lipschitz.dragan import Dragan


@pytest.mark.parametrize("check", slope_checks.DRAGAN_CHECKS, ids=lambda check: check.__name__)
def test_dragan_passes(check):
    check(Dragan)


def test_dragan_without_noise_is_the_gradient_penalty_at_the_reals():
    critic = slope_checks.Curved(normal(4, 4, seed=6))
    real, fake = normal(8, 4, seed=7), normal(8, 4, seed=8)
    for sides in ("two", "one"):
        ours = Dragan(scale=0.0, sides=sides).penalty(critic, real, fake, rng())
        theirs = GradientPenalty(at="real", sides=sides).penalty(critic, real, fake, rng())
        torch.testing.assert_close(ours, theirs, rtol=1e-14, atol=0)


def test_a_batch_of_one_number_has_no_deviation_and_stays_where_it_is():
    critic = Linear(normal(1, seed=1))
    real = normal(1, 1, seed=2)
    penalty = Dragan().penalty(critic, real, real, rng())
    assert torch.equal(critic.seen[0], real)
    assert penalty.isfinite()
