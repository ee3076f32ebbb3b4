"""The losses against torch's own, known divergences, and the directions in which they pull."""

from __future__ import annotations

import math

import pytest
import torch
from small import normal, registered
from torch.nn import functional as F

from wgan.losses import Hinge, Loss, Minimax, NonSaturating, Wasserstein

LOSSES = registered(Loss)
REAL, FAKE = 3 * normal(64, seed=1), 3 * normal(64, seed=2) - 1
ONES, ZEROS = torch.ones_like(REAL), torch.zeros_like(REAL)
named = pytest.mark.parametrize("made", LOSSES, ids=lambda made: made.name)


def close(found, expected):
    assert found.shape == ()
    assert found.item() == pytest.approx(float(expected), rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("made", [NonSaturating, Minimax])
def test_cross_entropy_critic_loss_equals_torchs(made):
    logits, labels = torch.cat([REAL, FAKE]), torch.cat([ONES, ZEROS])
    expected = 2 * F.binary_cross_entropy_with_logits(logits, labels)
    close(made().critic_loss(REAL, FAKE), expected)


def test_generator_losses_equal_torchs():
    entropy = F.binary_cross_entropy_with_logits
    close(NonSaturating().generator_loss(FAKE), entropy(FAKE, ONES))
    close(Minimax().generator_loss(FAKE), -entropy(FAKE, ZEROS))
    close(Wasserstein().generator_loss(FAKE), -FAKE.mean())
    close(Hinge().generator_loss(FAKE), -FAKE.mean())


def test_minimax_is_a_zero_sum_game():
    """Generator loss plus critic loss does not depend on the fakes (Goodfellow et al. 2014,
    equation 1).
    """
    for fake in (FAKE, FAKE + 5):
        total = Minimax().generator_loss(fake) + Minimax().critic_loss(REAL, fake)
        close(total, F.softplus(-REAL).mean())


def test_wasserstein_equals_the_form_with_labels():
    """+1 for real and -1 for fake: -mean over each half of label * score."""
    scores, labels = torch.cat([REAL, FAKE]), torch.cat([ONES, -ONES])
    close(Wasserstein().critic_loss(REAL, FAKE), -2 * (labels * scores).mean())
    close(Wasserstein().critic_loss(REAL, FAKE), FAKE.mean() - REAL.mean())


def test_hinge_critic_loss_equals_torchs_margin_loss():
    """torch's hinge embedding: x for label 1, max(0, margin - x) for label -1."""
    expected = F.hinge_embedding_loss(REAL, -ONES, margin=1.0) + F.hinge_embedding_loss(
        -FAKE, -ONES, margin=1.0
    )
    close(Hinge().critic_loss(REAL, FAKE), expected)


@named
def test_distance_of_a_blind_critic_is_zero(made):
    for score in (0.0, 0.3) if made is Wasserstein else (0.0,):
        constant = torch.full((9,), score, dtype=torch.float64)
        close(made().distance(constant, constant), 0)


@named
def test_distance_is_positive_when_the_critic_works_and_negative_when_it_is_inverted(made):
    assert made().distance(REAL.abs() + 0.1, -FAKE.abs() - 0.1) > 0
    assert made().distance(-REAL.abs() - 0.1, FAKE.abs() + 0.1) < 0


@named
def test_distance_falls_as_the_critic_loss_rises(made):
    """The distance is what the critic's loss bounds: the two have opposite gradients."""
    real, fake = REAL.clone().requires_grad_(), FAKE.clone().requires_grad_()
    up = torch.autograd.grad(made().distance(real, fake), (real, fake))
    down = torch.autograd.grad(made().critic_loss(real, fake), (real, fake))
    scale = {"W1": 1.0, "JS": 0.5, "TV": 0.5}[made.distance_name]
    for one, other in zip(up, down, strict=True):
        torch.testing.assert_close(one, -scale * other, rtol=1e-12, atol=0)


def test_perfect_critics_reach_log_2_and_1():
    sure = torch.full((5,), 60.0, dtype=torch.float64)
    close(NonSaturating().distance(sure, -sure), math.log(2))
    close(Minimax().distance(sure, -sure), math.log(2))
    close(Hinge().distance(sure, -sure), 1)


# Two coins: real shows heads with probability .75, fake with .25. Scores for heads and tails of the
# best critic are known.
REAL_COIN, FAKE_COIN = (3, 1), (1, 3)  # counts of heads and tails among four


def tossed(heads: float, tails: float, counts: tuple[int, int]) -> torch.Tensor:
    return torch.tensor([heads] * counts[0] + [tails] * counts[1], dtype=torch.float64)


@pytest.mark.parametrize(
    ("made", "best", "divergence"),
    [
        # JS(p, q) = KL(p, m) / 2 + KL(q, m) / 2 with m the fair coin; the best D is p / (p + q).
        (NonSaturating, math.log(3), 0.75 * math.log(1.5) + 0.25 * math.log(0.5)),
        (Minimax, math.log(3), 0.75 * math.log(1.5) + 0.25 * math.log(0.5)),
        (Hinge, 1.0, 0.5),  # total variation
        (Wasserstein, 0.5, 0.5),  # heads and tails lie 1 apart; slope 1
    ],
)
def test_best_critic_of_two_coins_reads_the_divergence_and_no_critic_more(made, best, divergence):
    def read(heads: float, tails: float) -> float:
        real, fake = tossed(heads, tails, REAL_COIN), tossed(heads, tails, FAKE_COIN)
        return made().distance(real, fake).item()

    assert read(best, -best) == pytest.approx(divergence, rel=1e-12)
    for nudge in (-0.3, 0.3):
        steeper_is_allowed = made is not Wasserstein
        if steeper_is_allowed or nudge < 0:
            assert read(best + nudge, -best) < divergence + 1e-12
            assert read(best + nudge, -best - nudge) < divergence + 1e-12


@named
def test_critic_gradients_push_reals_up_and_fakes_down(made):
    real, fake = ZEROS.clone().requires_grad_(), ZEROS.clone().requires_grad_()
    made().critic_loss(real, fake).backward()
    assert (real.grad < 0).all()
    assert (fake.grad > 0).all()


@named
def test_generator_gradients_push_fakes_up(made):
    fake = FAKE.clone().requires_grad_()
    made().generator_loss(fake, REAL).backward()
    assert (fake.grad < 0).all()


def test_only_minimax_saturates_where_the_critic_is_sure():
    slopes = {}
    for made in LOSSES:
        fake = torch.full((1,), -30.0, dtype=torch.float64, requires_grad=True)
        made().generator_loss(fake, ONES[:1]).backward()
        slopes[made.name] = -fake.grad.item()
    assert slopes.pop("minimax") < 1e-12
    assert all(0.999 < slope <= 1 for slope in slopes.values())


@named
@pytest.mark.parametrize("shape", [(64, 1), (), (1, 64)])
def test_anything_but_vectors_is_refused(made, shape):
    wrong = torch.zeros(shape, dtype=torch.float64)
    for call in (
        lambda: made().critic_loss(REAL, wrong),
        lambda: made().critic_loss(wrong, FAKE),
        lambda: made().distance(wrong, FAKE),
        lambda: made().distance(REAL, wrong),
        lambda: made().generator_loss(wrong),
    ):
        with pytest.raises(ValueError, match=r"scores must have shape \(N,\), not"):
            call()


@named
def test_large_scores_stay_finite(made):
    huge = torch.full((4,), 1e6)
    for real, fake in ((huge, -huge), (-huge, huge)):
        assert made().critic_loss(real, fake).isfinite()
        assert made().distance(real, fake).isfinite()
        assert made().generator_loss(fake).isfinite()


@named
def test_a_loss_describes_itself(made):
    assert made.reference
    assert made.bounds
    assert made.distance_name
    assert made.needs_real is False
