"""The losses against torch's own, known divergences, and the directions in which they pull."""

from __future__ import annotations

import math

import pytest
import torch
from small import normal, registered
from torch.nn import functional as F

from wgan.losses import (
    Hinge,
    LeastSquares,
    Loss,
    Minimax,
    NonSaturating,
    Relativistic,
    Wasserstein,
)

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


def test_wasserstein_equals_the_form_with_labels_in_value_and_gradient():
    """+1 for real and -1 for fake: -mean over each half of label * score."""
    scores, labels = torch.cat([REAL, FAKE]).requires_grad_(), torch.cat([ONES, -ONES])
    labelled = -2 * (labels * scores).mean()
    real, fake = REAL.clone().requires_grad_(), FAKE.clone().requires_grad_()
    ours = Wasserstein().critic_loss(real, fake)
    close(ours, labelled.detach())
    close(ours, FAKE.mean() - REAL.mean())
    (expected,) = torch.autograd.grad(labelled, scores)
    found = torch.cat(torch.autograd.grad(ours, (real, fake)))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)


def test_hinge_critic_loss_equals_torchs_margin_loss():
    """torch's hinge embedding: x for label 1, max(0, margin - x) for label -1."""
    expected = F.hinge_embedding_loss(REAL, -ONES, margin=1.0) + F.hinge_embedding_loss(
        -FAKE, -ONES, margin=1.0
    )
    close(Hinge().critic_loss(REAL, FAKE), expected)


def test_least_squares_equals_torchs():
    loss, squares = LeastSquares(), F.mse_loss
    close(loss.critic_loss(REAL, FAKE), squares(REAL, ONES) + squares(FAKE, ZEROS))
    close(loss.generator_loss(FAKE), squares(FAKE, ONES))


def test_relativistic_loss_equals_torchs_cross_entropy_of_differences():
    loss, entropy = Relativistic(), F.binary_cross_entropy_with_logits
    close(loss.critic_loss(REAL, FAKE), entropy(REAL - FAKE, ONES))
    close(loss.generator_loss(FAKE, REAL), entropy(FAKE - REAL, ONES))
    close(loss.generator_loss(FAKE, REAL), loss.critic_loss(FAKE, REAL))


@pytest.mark.parametrize("made", [Relativistic, Wasserstein])
def test_a_loss_of_differences_does_not_see_a_shift(made):
    """Whatever is added to every score, real and fake, changes nothing."""
    close(made().critic_loss(REAL + 7, FAKE + 7), made().critic_loss(REAL, FAKE))
    close(made().distance(REAL + 7, FAKE + 7), made().distance(REAL, FAKE))


def test_a_relativistic_loss_refuses_what_makes_no_pairs():
    loss = Relativistic()
    for call in (loss.critic_loss, loss.distance, loss.generator_loss):
        with pytest.raises(ValueError, match=r"real and \d+ fake scores make no pairs"):
            call(REAL, FAKE[:1])
    with pytest.raises(ValueError, match="needs the scores of reals"):
        loss.generator_loss(FAKE)


# What the best critic says of samples that it cannot tell apart; any score where only differences
# count.
BLIND = {"least_squares": (0.5,), "relativistic": (0.0, 0.3), "wasserstein": (0.0, 0.3)}


@named
def test_distance_of_a_blind_critic_is_zero(made):
    for score in BLIND.get(made.name, (0.0,)):
        constant = torch.full((9,), score, dtype=torch.float64)
        close(made().distance(constant, constant), 0)


@named
def test_distance_is_positive_when_the_critic_works_and_negative_when_it_is_inverted(made):
    middle = BLIND.get(made.name, (0.0,))[0]
    up, down = middle + REAL.abs().clamp(0.01, 0.4), middle - FAKE.abs().clamp(0.01, 0.4)
    assert made().distance(up, down) > 0
    assert made().distance(down, up) < 0


@named
def test_distance_falls_as_the_critic_loss_rises(made):
    """The distance is what the critic's loss bounds: the two have opposite gradients."""
    real, fake = REAL.clone().requires_grad_(), FAKE.clone().requires_grad_()
    up = torch.autograd.grad(made().distance(real, fake), (real, fake))
    down = torch.autograd.grad(made().critic_loss(real, fake), (real, fake))
    rates = {"W1": 1.0, "JS": 0.5, "TV": 0.5, "triangular discrimination": 4.0, "JS of pairs": 1.0}
    for one, other in zip(up, down, strict=True):
        torch.testing.assert_close(one, -rates[made.distance_name] * other, rtol=1e-12, atol=0)


def test_perfect_critics_reach_the_largest_distance():
    sure = torch.full((5,), 60.0, dtype=torch.float64)
    close(NonSaturating().distance(sure, -sure), math.log(2))
    close(Minimax().distance(sure, -sure), math.log(2))
    close(Relativistic().distance(sure, -sure), math.log(2))
    close(Hinge().distance(sure, -sure), 1)
    close(LeastSquares().distance(ONES, ZEROS), 2)


# Two distributions on four places of a line, in eighths, so that every expectation is a mean over a
# batch: of 8 reals and 8 fakes, or of all 64 pairs of them.
PLACES = torch.tensor([0.0, 1.0, 3.0, 7.0], dtype=torch.float64)
EIGHTHS = torch.tensor([[4, 2, 1, 1], [1, 1, 2, 4]])
P, Q = EIGHTHS.double() / 8


def relative_entropy(p: torch.Tensor, q: torch.Tensor) -> float:
    return (p * (p / q).log()).sum().item()


def jensen_shannon(p: torch.Tensor, q: torch.Tensor) -> float:
    return (relative_entropy(p, (p + q) / 2) + relative_entropy(q, (p + q) / 2)) / 2


def pairs(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    return torch.outer(p, q).flatten()


# For each loss: the score of its best critic at each place, and what that critic must read, by the
# definition of the divergence.
LIKELIER = torch.where(P > Q, 1.0, -1.0).double()
BEST = {
    "nonsaturating": ((P / Q).log(), jensen_shannon(P, Q)),
    "minimax": ((P / Q).log(), jensen_shannon(P, Q)),
    "relativistic": ((P / Q).log(), jensen_shannon(pairs(P, Q), pairs(Q, P))),
    "hinge": (LIKELIER, (P - Q).abs().sum().item() / 2),
    "least_squares": (P / (P + Q), ((P - Q) ** 2 / (P + Q)).sum().item()),
    # On a line W1 is the area between the distribution functions, and f falls with slope 1 where
    # the reals' lies above.
    "wasserstein": (
        -PLACES,
        ((P.cumsum(0) - Q.cumsum(0)).abs()[:-1] * PLACES.diff()).sum().item(),
    ),
}


def read(made: type[Loss], critic: torch.Tensor) -> float:
    """The distance that a critic with these scores of the four places reads over all 64 pairs."""
    real, fake = (critic.repeat_interleave(counts) for counts in EIGHTHS)
    return made().distance(real.repeat_interleave(8), fake.repeat(8)).item()


@named
def test_the_best_critic_reads_the_divergence(made):
    critic, divergence = BEST[made.name]
    assert read(made, critic) == pytest.approx(divergence, rel=1e-12)
    assert divergence > 0.1


@named
def test_no_critic_reads_more_than_the_divergence(made):
    """Neither a neighbour of the best one nor any other; for W1 among those of slope 1."""
    best, divergence = BEST[made.name]
    for seed in range(300):
        noise = normal(4, seed=seed)
        critic = best + noise * 10 ** -(seed % 5) if seed % 2 else 3 * noise
        if made is Wasserstein:
            slopes = (critic.diff() / PLACES.diff()).clamp(-1, 1)
            critic = torch.cat([critic[:1], critic[:1] + (slopes * PLACES.diff()).cumsum(0)])
        assert read(made, critic) <= divergence + 1e-12


def test_pairs_tell_more_than_single_samples_and_squares_less_than_signs():
    """JS of pairs is at least JS; triangular discrimination lies between 2 TV^2 and 2 TV."""
    divergence = {name: value for name, (_, value) in BEST.items()}
    assert divergence["relativistic"] > divergence["minimax"]
    total = divergence["hinge"]
    assert 2 * total**2 < divergence["least_squares"] < 2 * total


@named
def test_critic_gradients_push_reals_up_and_fakes_down(made):
    blind = torch.full_like(ZEROS, BLIND.get(made.name, (0.0,))[0])
    real, fake = blind.clone().requires_grad_(), blind.clone().requires_grad_()
    made().critic_loss(real, fake).backward()
    assert (real.grad < 0).all()
    assert (fake.grad > 0).all()


@named
def test_generator_gradients_push_fakes_up(made):
    """Least squares pull them to their label, 1, from either side."""
    below_the_label = FAKE.clamp(max=0.9) if made is LeastSquares else FAKE
    fake = below_the_label.clone().requires_grad_()
    made().generator_loss(fake, REAL).backward()
    assert (fake.grad < 0).all()


def test_only_minimax_saturates_where_the_critic_is_sure():
    slopes = {}
    for made in LOSSES:
        fake = torch.full((1,), -30.0, dtype=torch.float64, requires_grad=True)
        made().generator_loss(fake, ONES[:1]).backward()
        slopes[made.name] = -fake.grad.item()
    assert slopes.pop("minimax") < 1e-12
    assert slopes.pop("least_squares") == pytest.approx(62)  # twice the way to the label
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
        assert made().generator_loss(fake, real).isfinite()


@named
def test_a_loss_describes_itself(made):
    assert made.reference
    assert made.bounds
    assert made.distance_name
    if not made.needs_real:
        assert torch.equal(made().generator_loss(FAKE), made().generator_loss(FAKE, REAL))
