"""R1 and R2; their checks are proved in `test_planted_slope_bugs`."""

from __future__ import annotations

import pytest
import slope_checks
import torch
from small import normal, rng

from wgan.lipschitz import GradientPenalty
from wgan.lipschitz.r1 import R1
from wgan.lipschitz.r2 import R2


@pytest.mark.parametrize(("made", "own"), [(R1, 0), (R2, 1)], ids=["r1", "r2"])
@pytest.mark.parametrize(
    "check", slope_checks.ZERO_CENTRED_CHECKS, ids=lambda check: check.__name__
)
def test_zero_centred_penalty_passes(check, made, own):
    check(made, own)


def test_zero_centred_penalties_are_gradient_penalties_with_target_0():
    critic = slope_checks.Curved(normal(4, 4, seed=6))
    batches = normal(8, 4, seed=7), normal(8, 4, seed=8)
    for made, at in ((R1, "real"), (R2, "fake")):
        ours = made(weight=6.0).penalty(critic, *batches, rng())
        theirs = GradientPenalty(weight=3.0, target=0.0, at=at).penalty(critic, *batches, rng())
        torch.testing.assert_close(ours, theirs, rtol=1e-14, atol=0)
