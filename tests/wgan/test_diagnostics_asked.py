"""The figures that are asked for, and the profiles, against critics whose answers are known."""

from __future__ import annotations

import copy
import dataclasses
import json
import math

import numpy as np
import pytest
import scipy.stats
import torch
from small import DIGITS, Linear, contents, follow, normal, same, small
from test_diagnostics import RING, with_critic
from torch import nn

from wgan.data import Density
from wgan.diagnostics import PROFILES, Looks, diagnose, generate, make_profile
from wgan.diagnostics.diagnose import accuracy
from wgan.diagnostics.gap import critic_gap
from wgan.diagnostics.samples import see
from wgan.diagnostics.weights import bimodality
from wgan.networks.base import Flat
from wgan.train import new_state


def far_fakes(distance: float, count: int = 64) -> torch.Tensor:
    return (
        torch.tensor([[distance, 0.0]]).expand(count, 2) + 0.01 * normal(count, 2, seed=1).float()
    )


# The share of samples on the right side.


@pytest.mark.parametrize("seed", range(5))
def test_the_accuracy_is_that_of_the_best_of_all_thresholds(seed):
    reals, fakes = normal(30, seed=seed) + 0.7, normal(30, seed=seed + 100)
    reals[:5] = fakes[:5]  # ties
    by_hand = max(
        ((reals > t).sum() + (fakes <= t).sum()).item() / 60
        for t in [-math.inf, *reals.tolist(), *fakes.tolist()]
    )
    assert accuracy(reals, fakes) == by_hand


def test_the_accuracy_knows_the_perfect_and_the_blind_critic():
    ramp = torch.arange(10.0)
    assert accuracy(ramp + 100, ramp) == 1.0
    assert accuracy(ramp + 1e6 + 100, ramp + 1e6) == 1.0  # a shift of all scores is no error
    assert accuracy(torch.zeros(10), torch.zeros(10)) == 0.5
    assert accuracy(ramp, ramp + 100) == 0.5  # never below: all real, or all fake


# What reaches the generator.


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ("wasserstein", lambda score: 1.0),
        ("hinge", lambda score: 1.0),
        ("minimax", lambda score: 1 / (1 + math.exp(-score))),
        ("nonsaturating", lambda score: 1 / (1 + math.exp(score))),
    ],
)
def test_the_gradient_at_a_fake_is_the_loss_s_slope_times_the_critic_s(loss, expected):
    slope = torch.tensor([3.0, 4.0], dtype=torch.float64)
    config, state = with_critic(Linear(slope), loss=loss)
    fake = torch.tensor([[-0.5, 0.2]]).expand(64, 2)
    found = diagnose(config, state, RING, fake, 64)["fake_gradient_norm"]
    score = -0.5 * 3 + 0.2 * 4
    assert found == pytest.approx(5 * expected(score), rel=1e-6)


# The measured constant by ascent.


class Spike(nn.Module):
    """Slope 1 everywhere but in a short steep stretch about x = 5, where it is `steepness`."""

    def __init__(self, steepness: float) -> None:
        super().__init__()
        self.steepness = steepness

    def forward(self, x):
        along = x[:, 0]
        return along + (self.steepness - 1) * (along - 4).clamp(0, 2)


def test_ascent_finds_a_steep_stretch_that_lies_between_the_samples():
    config, state = with_critic(Spike(7.0))
    fake = far_fakes(10.0)
    plain = diagnose(config, state, RING, fake, 64)
    found = diagnose(config, state, RING, fake, 64, Looks(ascent_steps=60))
    assert plain["lipschitz_ratio"] < 3.5
    assert found["lipschitz_ascent"] == pytest.approx(7.0, rel=0.02)
    assert found["lipschitz_lower_bound"] == max(
        found["lipschitz_ascent"], plain["lipschitz_lower_bound"]
    )


@pytest.mark.parametrize("seed", range(3))
def test_ascent_rises_and_never_exceeds_the_true_constant(seed):
    critic = nn.Sequential(nn.Linear(2, 6), nn.ReLU(), nn.Linear(6, 1), Flat()).double()
    with torch.no_grad():
        for index, parameter in enumerate(critic.parameters()):
            parameter.copy_(normal(*parameter.shape, seed=10 * seed + index))
    config, state = with_critic(critic)
    fake = 3 * normal(64, 2, seed=seed).float()
    steps = (1, 20, 100)
    found = [
        diagnose(config, state, RING, fake, 64, Looks(ascent_steps=n))["lipschitz_ascent"]
        for n in steps
    ]
    assert found == sorted(found)
    # The steepest of all activation patterns of 6 units bounds every slope.
    first, last = critic[0].weight.detach(), critic[2].weight.detach()[0]
    patterns = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * 6)
    steepest = ((patterns * last) @ first).norm(dim=1).max().item()
    assert found[-1] <= steepest * (1 + 1e-9)


def test_ascent_of_a_linear_critic_stays_at_its_slope():
    slope = torch.tensor([0.6, -0.8], dtype=torch.float64)
    config, state = with_critic(Linear(slope))
    found = diagnose(config, state, RING, far_fakes(3.0), 64, Looks(ascent_steps=10))
    assert found["lipschitz_ascent"] == pytest.approx(1.0, rel=1e-9)


def test_the_estimate_over_the_measured_constant_forgets_the_critic_s_scale():
    found = []
    for scale in (1.0, 250.0):
        config, state = with_critic(Linear(scale * torch.tensor([0.6, 0.8], dtype=torch.float64)))
        found.append(diagnose(config, state, RING, far_fakes(3.0), 64)["estimate_per_lipschitz"])
    assert found[0] == pytest.approx(found[1], rel=1e-9)
    config, state = with_critic(Linear(torch.zeros(2, dtype=torch.float64)))
    assert math.isnan(diagnose(config, state, RING, far_fakes(3.0), 64)["estimate_per_lipschitz"])


# The critic-optimality gap.


def test_the_gap_is_what_training_on_against_a_frozen_generator_gains():
    config = small("wgan_gp", steps=6, optimizer={"adam": {"lr": 1e-3}})
    state = new_state(config, DIGITS)
    follow(config, state)
    fake = generate(config, state, 64)
    seen = see(config, state, DIGITS, fake, 64)
    gains = [critic_gap(config, state, DIGITS, seen, n)["critic_gap"] for n in (0, 1, 40, 200)]
    assert gains[0] == 0
    assert gains[1] != 0
    assert gains[1] < gains[2] < gains[3]


def test_the_gap_starts_from_the_critic_s_own_optimizer_and_changes_neither():
    config = small("wgan", steps=6, optimizer={"rmsprop": {"lr": 1e-3}})
    state = new_state(config, DIGITS)
    follow(config, state)
    seen = see(config, state, DIGITS, generate(config, state, 64), 64)
    before = contents(state)
    found = critic_gap(config, state, DIGITS, seen, 5)
    assert same(before, contents(state))
    fresh = copy.copy(state)
    fresh.critic_optimizer = config.optimizer.build(state.critic.parameters())
    assert critic_gap(config, fresh, DIGITS, seen, 5) != found


def test_an_optimal_critic_has_no_gap():
    """Two Gaussians shifted along a line: a linear critic of slope 1 is optimal under the penalty's
    one-sided form, which costs it nothing."""
    gaussian = Density("gaussian", (2,), lambda count, rng: torch.randn(count, 2, generator=rng))
    slope = torch.tensor([1.0, 0.0], dtype=torch.float64)
    config, state = with_critic(
        Linear(slope),
        gaussian,
        lipschitz={"gradient_penalty": {"sides": "one", "weight": 1e4}},
        optimizer={"rmsprop": {"lr": 1e-5}},
        generator={"frozen": {"fakes": "shifted_data", "shift": -3.0}},
    )
    state.critic_optimizer = config.optimizer.build(state.critic.parameters())
    fake = generate(config, state, 256, gaussian)
    found = diagnose(config, state, gaussian, fake, 256, Looks(gap_updates=50))
    assert found["estimate"] == pytest.approx(3, abs=0.3)
    assert abs(found["critic_gap"]) < 0.01
    # Half as steep, it has half of the distance still to find.
    lazy = Linear(slope / 2)
    state.critic, state.critic_optimizer = lazy, torch.optim.SGD(lazy.parameters(), lr=1e-3)
    found = diagnose(config, state, gaussian, fake, 256, Looks(gap_updates=400))
    assert found["critic_gap"] == pytest.approx(found["estimate"], rel=0.05)


# Weights.


def test_bimodality_of_known_distributions():
    ladder = (torch.arange(100_000, dtype=torch.float64) + 0.5) / 100_000
    normal_quantiles = torch.from_numpy(scipy.stats.norm.ppf(ladder.numpy()))
    assert bimodality(normal_quantiles) == pytest.approx(1 / 3, abs=1e-3)
    assert bimodality(ladder) == pytest.approx(5 / 9, abs=1e-6)
    assert bimodality(torch.tensor([-1.0, 1.0]).double().repeat(50)) == pytest.approx(1)
    skewed = normal_quantiles.exp()
    g, k = scipy.stats.skew(skewed.numpy()), scipy.stats.kurtosis(skewed.numpy(), fisher=False)
    assert bimodality(skewed) == pytest.approx((g**2 + 1) / k, rel=1e-9)


def test_the_share_at_the_limit_counts_weights_on_both_walls_and_no_bias():
    config = small("wgan", lipschitz={"weight_clipping": {"limit": 0.5}})
    state = new_state(config, DIGITS)
    with torch.no_grad():
        for parameter in state.critic.parameters():
            parameter.zero_()
        weights = [p for p in state.critic.parameters() if p.dim() >= 2]
        weights[0].view(-1)[:10] = 0.5
        weights[-1].view(-1)[:10] = -0.5
        state.critic[0].bias.fill_(0.5)
    total = sum(p.numel() for p in weights)
    found = diagnose(config, state, DIGITS, generate(config, state, 20), 20)
    assert found["weights_at_limit"] == pytest.approx(20 / total)
    assert "weights_at_limit" not in diagnose(
        small("wgan_gp"), state, DIGITS, generate(config, state, 20), 20
    )


def test_training_under_clipping_leads_weights_to_the_walls():
    config = small("wgan", steps=40, optimizer={"rmsprop": {"lr": 1e-2}}, critic_norm="none")
    state = new_state(config, DIGITS)
    follow(config, state)
    found = diagnose(config, state, DIGITS, generate(config, state, 20), 20)
    assert found["weights_at_limit"] > 0.5
    assert found["weight_bimodality"] > 0.6


# Profiles.


def test_layer_gradients_equal_the_chain_rule_s():
    """f(x) = c.(B (A x)): the loss's gradient at A's output is B'c and at B's output c."""
    a, b, c = normal(3, 2, seed=1), normal(4, 3, seed=2), normal(1, 4, seed=3)
    critic = nn.Sequential(
        nn.Linear(2, 3, bias=False),
        nn.Linear(3, 4, bias=False),
        nn.Linear(4, 1, bias=False),
        Flat(),
    ).double()
    with torch.no_grad():
        for layer, weight in zip(critic, (a, b, c), strict=False):
            layer.weight.copy_(weight)
    config, state = with_critic(critic)
    found = make_profile("layer_gradients", config, state, RING, far_fakes(3.0), 64)
    assert found["layers"] == ["0", "1", "2"]
    expected = [(b.T @ c[0]).norm().item(), c.norm().item(), 1.0]
    assert found["gradient_norms"] == pytest.approx(expected, rel=1e-9)


def test_a_gradient_whose_square_is_zero_in_single_precision_is_measured():
    """f(x) = c.(s B (A x)): the loss's gradient at A's output is s B'c, s = 1e-30."""
    a, b, c = normal(3, 2, seed=1), normal(4, 3, seed=2), normal(1, 4, seed=3)
    critic = nn.Sequential(
        nn.Linear(2, 3, bias=False),
        nn.Linear(3, 4, bias=False),
        nn.Linear(4, 1, bias=False),
        Flat(),
    )
    with torch.no_grad():
        for layer, weight in zip(critic, (a, 1e-30 * b, c), strict=False):
            layer.weight.copy_(weight)
    config, state = with_critic(critic)
    config = dataclasses.replace(config, precision="float32")
    found = make_profile("layer_gradients", config, state, RING, far_fakes(3.0), 64)
    assert found["gradient_norms"] == pytest.approx(
        [1e-30 * (b.T @ c[0]).norm().item(), c.norm().item(), 1.0], rel=1e-5, abs=0
    )


def test_the_weight_histogram_counts_every_weight_once():
    config = small("wgan")
    state = new_state(config, DIGITS)
    found = make_profile("weight_histogram", config, state, DIGITS, generate(config, state, 20), 20)
    weights = torch.cat([p.flatten() for p in state.critic.parameters() if p.dim() >= 2])
    counts, edges = np.histogram(
        weights.detach().double().numpy(),
        bins=60,
        range=(-weights.abs().max().item(), weights.abs().max().item()),
    )
    assert found["counts"] == counts.tolist()
    assert found["edges"] == pytest.approx(edges.tolist())
    assert found["limit"] == 0.01


def test_the_value_surface_lies_the_right_way_round():
    """f = 10 x + y: columns go with x, rows with y."""
    slope = torch.tensor([10.0, 1.0], dtype=torch.float64)
    config, state = with_critic(Linear(slope))
    found = make_profile("value_surface", config, state, RING, far_fakes(3.0), 64)
    scores = np.array(found["scores"])
    expected = 10 * np.array(found["x"])[None, :] + np.array(found["y"])[:, None]
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    assert min(found["x"]) < -2 < 2 < max(found["x"])
    assert len(found["real"]) == len(found["fake"]) == 64


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("method", ["none", "weight_clipping", "spectral_norm"])
def test_every_profile_of_every_critic_is_json(name, method):
    config = small(dataset="ring8", network={"mlp": {"width": 8}}, lipschitz=method)
    state = new_state(config, RING)
    found = make_profile(name, config, state, RING, generate(config, state, 32), 32)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


# The product of the layers' norms.


def test_the_upper_bound_is_the_product_of_norms_and_holds_the_estimate_below_w1():
    config, state = with_critic(
        nn.Sequential(nn.Linear(2, 6), nn.ReLU(), nn.Linear(6, 1), Flat()).double()
    )
    norms = [torch.linalg.matrix_norm(layer.weight, 2).item() for layer in state.critic[0:3:2]]
    found = diagnose(config, state, RING, far_fakes(3.0), 64, Looks(upper_bound=True))
    product = norms[0] * norms[1]
    assert found["lipschitz_upper_bound"] == pytest.approx(product, rel=1e-9)
    assert found["estimate_certified"] == pytest.approx(
        found["estimate_held_out"] / product, rel=1e-9
    )
    assert found["lipschitz_lower_bound"] <= found["lipschitz_upper_bound"]


def test_a_critic_without_a_bound_has_no_column_of_it():
    config = small(critic_norm="layer")
    state = new_state(config, DIGITS)
    fake = generate(config, state, 20)
    found = diagnose(config, state, DIGITS, fake, 20, Looks(upper_bound=True))
    assert "lipschitz_upper_bound" not in found
    assert "estimate_certified" not in found
