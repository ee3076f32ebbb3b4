"""Gradient normalisation: closed forms, derivatives, and what its Lipschitz promise is worth."""

from __future__ import annotations

import normalization_checks
import pytest
import torch
from small import DIGITS, follow, normal, same, small
from test_planted_bugs import red
from torch import Tensor, nn

from wgan.components import ConfigError
from wgan.config import CRITIC_NORMS
from wgan.data import Ring8
from wgan.layers import Reparametrised
from wgan.lipschitz import GradientPenalty, SpectralNorm
from wgan.lipschitz.gradient_normalization import GradientNormalization, GradientNormalized
from wgan.train import new_state


@pytest.mark.parametrize("check", normalization_checks.CHECKS, ids=lambda check: check.__name__)
def test_gradient_normalization_passes(check):
    check(lambda critic: GradientNormalization().wrap(critic, ()))


class Broken(nn.Module):
    """The normalisation in pieces, so that each bug replaces one."""

    def __init__(self, critic: nn.Module) -> None:
        super().__init__()
        self.critic = critic

    def gradients(self, scores: Tensor, points: Tensor, learning: bool) -> Tensor:
        (found,) = torch.autograd.grad(scores.sum(), points, create_graph=learning)
        return found

    def norms(self, gradients: Tensor) -> Tensor:
        return gradients.flatten(1).norm(dim=1)

    def size(self, norms: Tensor, scores: Tensor) -> Tensor:
        return norms + scores.abs()

    def ratio(self, scores: Tensor, size: Tensor) -> Tensor:
        return scores / torch.where(size > 0, size, 1)

    def forward(self, x: Tensor) -> Tensor:
        wanted = x.requires_grad or any(weight.requires_grad for weight in self.parameters())
        learning = torch.is_grad_enabled() and wanted
        with torch.enable_grad():
            points = x if learning and x.requires_grad else x.detach().requires_grad_()
            scores = self.critic(points)
            norms = self.norms(self.gradients(scores, points, learning))
        scores = scores if learning else scores.detach()
        return self.ratio(scores, self.size(norms, scores))


class DetachedDenominator(Broken):
    def size(self, norms, scores):
        return super().size(norms, scores).detach()


class DetachedSlope(Broken):
    def size(self, norms, scores):
        return norms.detach() + scores.abs()


class NoCreateGraph(Broken):
    def gradients(self, scores, points, learning):
        (found,) = torch.autograd.grad(scores.sum(), points, retain_graph=True)
        return found


class MissingScore(Broken):
    def size(self, norms, scores):
        return norms


class ScoreWithoutItsSize(Broken):
    def size(self, norms, scores):
        return norms + scores


class NormOverTheBatch(Broken):
    def norms(self, gradients):
        return gradients.norm().expand(len(gradients))


class NormOverChannelsOnly(Broken):
    def norms(self, gradients):
        return gradients.norm(dim=1).flatten(1).mean(1) if gradients.dim() > 2 else gradients.norm()


class MeanOfTheScores(Broken):
    def gradients(self, scores, points, learning):
        return super().gradients(scores, points, learning) / len(scores)


class PlainUnderNoGrad(Broken):
    def forward(self, x):
        return super().forward(x) if torch.is_grad_enabled() else self.critic(x)


class PlainInEval(Broken):
    def forward(self, x):
        return super().forward(x) if self.training else self.critic(x)


class CutFromItsInput(Broken):
    def forward(self, x):
        return super().forward(x.detach().requires_grad_())


class ZeroByZero(Broken):
    def ratio(self, scores, size):
        return scores / size


class Epsilon(Broken):
    def ratio(self, scores, size):
        return scores / (size + 1e-3)


CLOSED, DERIVATIVES, ALONE = (
    "check_affine_critic",
    "check_derivatives",
    "check_samples_do_not_interact",
)
BUGS = {
    DetachedDenominator: {CLOSED, DERIVATIVES, "check_penalty_on_top"},
    DetachedSlope: {CLOSED, DERIVATIVES, "check_penalty_on_top"},
    NoCreateGraph: {CLOSED, DERIVATIVES, "check_penalty_on_top"},
    MissingScore: {CLOSED, "check_scores_lie_within_1"},
    ScoreWithoutItsSize: {CLOSED, "check_scores_lie_within_1"},
    NormOverTheBatch: {CLOSED, ALONE},
    NormOverChannelsOnly: {CLOSED, ALONE},
    MeanOfTheScores: {CLOSED, ALONE},
    PlainUnderNoGrad: {"check_looking_needs_no_graph"},
    PlainInEval: {"check_looking_needs_no_graph"},
    CutFromItsInput: {CLOSED, DERIVATIVES, "check_looking_needs_no_graph"},
    ZeroByZero: {"check_dead_critic"},
    Epsilon: {CLOSED, "check_scores_lie_within_1"},
}


def test_the_normalisation_in_pieces_is_right_before_a_bug_is_planted():
    assert red(normalization_checks.CHECKS, Broken) == set()


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_a_planted_bug_turns_its_checks_red(bug):
    concerned = [check for check in normalization_checks.CHECKS if check.__name__ in BUGS[bug]]
    assert red(concerned, bug) == BUGS[bug]


def test_batch_norm_in_the_critic_is_refused_and_every_other_is_not():
    with pytest.raises(ConfigError, match="batch norm makes a score depend") as caught:
        GradientNormalization().check("batch")
    assert caught.value.path == ("critic_norm",)
    for norm in set(CRITIC_NORMS) - {"batch"}:
        GradientNormalization().check(norm)
    GradientPenalty().check("batch")


def test_the_held_critic_keeps_its_weights_and_its_state_dict():
    critic = new_state(small(), DIGITS).critic
    weights, state = list(critic.parameters()), dict(critic.state_dict())
    module = GradientNormalization().wrap(critic, DIGITS.shape)
    assert all(x is y for x, y in zip(module.parameters(), weights, strict=True))
    assert same(dict(module.state_dict()), {f"critic.{name}": x for name, x in state.items()})


@pytest.mark.parametrize("norm", ["none", "layer", "instance", "group"])
def test_every_critic_it_is_allowed_on_scores_each_sample_alone(norm):
    module = (
        GradientNormalization()
        .wrap(new_state(small(critic_norm=norm), DIGITS).critic, DIGITS.shape)
        .double()
    )
    x = normal(5, *DIGITS.shape, seed=1)
    alone = torch.cat([module(sample[None]) for sample in x])
    torch.testing.assert_close(module(x), alone, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(
    "methods",
    [
        ["gradient_normalization", "gradient_penalty"],
        ["gradient_normalization", "r1"],
        ["gradient_normalization", "orthogonal_regularization"],
        ["gradient_normalization", "spectral_norm"],
        ["spectral_norm", "gradient_normalization"],
        ["gradient_normalization", "weight_clipping"],
    ],
    ids="+".join,
)
def test_it_trains_together_with_another_method(methods):
    config = small(lipschitz={"all": methods}, steps=3)
    state = new_state(config, DIGITS)
    before = [weight.detach().clone() for weight in state.critic.parameters()]
    rows = follow(config, state, log_every=1)
    assert all(row["largest_score"] <= 1 for row in rows)
    moved = zip(before, state.critic.parameters(), strict=True)
    assert not any(torch.equal(old, new) for old, new in moved)
    assert isinstance(state.critic, GradientNormalized)
    if "spectral_norm" in methods:
        normalised = [m for m in state.critic.modules() if isinstance(m, Reparametrised)]
        assert len(normalised) == 3
        SpectralNorm().after_step(state.critic)


def jump_and_slope(critic: nn.Module, steps: int) -> tuple[float, float, float]:
    """Along a line through the plane: the largest jump between neighbours, the largest ratio of a
    jump to its step, and the largest gradient norm.
    """
    start, end = torch.tensor([[-3.0, -2.5], [3.0, 2.0]], dtype=torch.float64)
    along = torch.linspace(0, 1, steps + 1, dtype=torch.float64)[:, None]
    points = (start + along * (end - start)).requires_grad_()
    scores = critic(points)
    (slopes,) = torch.autograd.grad(scores.sum(), points)
    jump = scores.detach().diff().abs().max().item()
    length = (end - start).norm().item() / steps
    return jump, jump / length, slopes.norm(dim=1).max().item()


def test_the_slope_is_at_most_1_within_pieces_but_at_kinks_the_score_jumps():
    """Why there is no `bound`: the finer the steps, the steeper the critic, without limit."""
    ring = Ring8().load()
    config = small(
        dataset="ring8",
        network={"mlp": {"width": 32, "depth": 2}},
        lipschitz="gradient_normalization",
        optimizer={"adam": {"lr": 1e-3, "beta1": 0.0, "beta2": 0.9}},
        precision="float64",
        batch_size=64,
        noise_size=8,
        steps=300,
    )
    state = new_state(config, ring)
    follow(config, state, data=ring, log_every=300, evaluate_every=300)

    found = [jump_and_slope(state.critic, steps) for steps in (10**3, 10**4, 10**5)]
    jumps, ratios, slopes = zip(*found, strict=True)
    assert max(slopes) <= 1 + 1e-9
    assert 0.1 < min(jumps) < max(jumps) < 0.5
    assert ratios[0] > 10
    assert ratios[1] == pytest.approx(10 * ratios[0], rel=0.3)
    assert ratios[2] == pytest.approx(10 * ratios[1], rel=0.1)
    assert GradientNormalization().bound is None
