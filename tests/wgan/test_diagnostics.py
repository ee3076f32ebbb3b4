"""Diagnostics against critics whose answers are known; and they touch nothing."""

from __future__ import annotations

import copy
import importlib
import math
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from small import (
    DIGITS,
    EACH_RECIPE,
    RECIPE_NAMES,
    Linear,
    allows,
    contents,
    follow,
    normal,
    rng,
    same,
    small,
)
from torch import nn

from wgan.data import Density, Images, Ring8, as_float
from wgan.diagnostics import Looks, diagnose, generate, make_profile
from wgan.layers import Reparametrised, linear_layers
from wgan.losses import Loss
from wgan.networks.base import Flat
from wgan.random import stream
from wgan.train import new_state, train

NAMES = {
    "estimate",
    "estimate_held_out",
    "estimate_held_out_error",
    "lipschitz_gradient",
    "lipschitz_ratio",
    "lipschitz_lower_bound",
    "estimate_per_lipschitz",
    "critic_accuracy",
    "fake_gradient_norm",
    "weight_bimodality",
    "score_mean",
    "score_std",
}
ASKED = {"lipschitz_ascent", "critic_gap", "critic_gap_held_out"}
LOOKS = Looks(ascent_steps=2, gap_updates=2, upper_bound=True)
RING = Ring8().load()


def with_critic(critic: nn.Module, data=RING, **settings):
    settings = {"dataset": "ring8", "network": {"mlp": {"width": 8}}, **settings}
    config = small(precision="float64", **settings)
    state = new_state(config, data)
    state.critic = critic
    return config, state


def few_digits(count: int = 24) -> Images:
    """As many training as held-out images: `count` of either is all of them in some order."""
    return Images("few", DIGITS.train[:count], DIGITS.held_out[:count])


@pytest.mark.parametrize("loss", sorted(Loss.registry))
def test_estimates_equal_those_computed_by_hand(loss):
    data = few_digits()
    critic = Linear(normal(1, 8, 8, seed=1))
    config, state = with_critic(critic, data, dataset="digits", loss=loss)
    fake = normal(24, 1, 8, 8, seed=2).clamp(-1, 1).float()
    found = diagnose(config, state, data, fake, count=1000)

    def scores(x):
        return x.double().flatten(1) @ critic.slope.detach().flatten()

    by_hand = {
        "wasserstein": lambda r, f: r.mean() - f.mean(),
        "nonsaturating": lambda r, f: (
            math.log(2) + (torch.sigmoid(r).log().mean() + torch.sigmoid(-f).log().mean()) / 2
        ),
        "hinge": lambda r, f: 1 - ((1 - r).clamp(0).mean() + (1 + f).clamp(0).mean()) / 2,
        "least_squares": lambda r, f: 2 - 4 * ((1 - r).pow(2).mean() + f.pow(2).mean()),
        "relativistic": lambda r, f: math.log(2) + torch.sigmoid(r - f).log().mean(),
    }
    by_hand["minimax"] = by_hand["nonsaturating"]
    # All reals, in the order in which the critic saw them: it decides who is whose pair.
    train_scores, held_out = scores(torch.cat(critic.seen)[:48]).split(24)
    for name, real, pixels in (
        ("estimate", train_scores, data.train),
        ("estimate_held_out", held_out, data.held_out),
    ):
        torch.testing.assert_close(real.sort().values, scores(as_float(pixels)).sort().values)
        expected = by_hand[loss](real, scores(fake)).item()
        assert found[name] == pytest.approx(expected, rel=1e-9, abs=1e-12)
    both = torch.cat([held_out, scores(fake)])
    assert found["score_mean"] == pytest.approx(both.mean().item(), rel=1e-9)
    assert found["score_std"] == pytest.approx(both.std().item(), rel=1e-9)


def test_estimates_hold_no_penalty():
    """The weight of the penalty changes nothing that is estimated."""
    found = []
    for weight in (0, 1e6):
        lipschitz = {"gradient_penalty": {"weight": weight}}
        config, state = with_critic(Linear(normal(2, seed=1)), lipschitz=lipschitz)
        found.append(diagnose(config, state, RING, generate(config, state, 64), 64))
    assert found[0] == found[1]


@pytest.mark.parametrize("length", [0.01, 1.0, 250.0])
def test_a_linear_critic_has_its_slope_as_constant(length):
    slope = normal(2, seed=3)
    slope *= length / slope.norm()
    config, state = with_critic(Linear(slope))
    # Real and fake differ along the slope only, where the ratio reaches the constant.
    line = Density(
        "line", (2,), lambda count, rng: torch.randn(count, 1, generator=rng) * slope.float()
    )
    fake = (normal(300, 1, seed=5) * slope).float()
    found = diagnose(config, state, line, fake, 300)
    assert found["lipschitz_gradient"] == pytest.approx(length, rel=1e-9)
    assert found["lipschitz_ratio"] == pytest.approx(length, rel=1e-4)
    assert found["lipschitz_lower_bound"] == pytest.approx(length, rel=1e-4)
    # Across the slope it stays below.
    across = diagnose(config, state, RING, normal(300, 2, seed=6).float(), 300)
    assert 0.5 * length < across["lipschitz_ratio"] <= length * (1 + 1e-9)


def test_the_norm_is_euclidean_over_all_coordinates_of_an_image():
    data, slope = few_digits(), torch.ones(1, 8, 8, dtype=torch.float64)
    config, state = with_critic(Linear(slope), data, dataset="digits")
    found = diagnose(config, state, data, torch.zeros(24, 1, 8, 8), 24)
    assert found["lipschitz_gradient"] == pytest.approx(8.0, rel=1e-12)
    assert found["lipschitz_ratio"] <= 8.0 * (1 + 1e-12)


def test_one_steep_point_among_many_is_found():
    """f(x) = |x|^2 / 2 has slope |x|: one fake lies far out, all else near the origin."""

    class Bowl(nn.Module):
        def forward(self, x):
            return x.square().sum(1) / 2

    config, state = with_critic(Bowl())
    fake = torch.zeros(40, 2)
    fake[17] = torch.tensor([60.0, 80.0])
    found = diagnose(config, state, RING, fake, 40)
    assert found["lipschitz_gradient"] == pytest.approx(100, rel=1e-9)


def test_the_ratio_finds_a_jump_that_no_gradient_sees():
    class Step(nn.Module):
        def forward(self, x):
            return (x[:, 0] > 10).to(x.dtype) + 0 * x[:, 0]

    config, state = with_critic(Step())
    fake = torch.tensor([[14.0, 0.0]]).expand(40, 2)
    found = diagnose(config, state, RING, fake, 40)
    assert found["lipschitz_gradient"] == 0
    nearest = 1 / found["lipschitz_ratio"]
    assert 11.9 < nearest < 12.1  # the mode at (2, 0)
    assert found["lipschitz_lower_bound"] == found["lipschitz_ratio"]


def test_equal_points_give_no_infinite_ratio():
    data = few_digits()
    config, state = with_critic(Linear(normal(1, 8, 8, seed=1)), data, dataset="digits")
    found = diagnose(config, state, data, as_float(data.held_out), 24)
    assert math.isfinite(found["lipschitz_ratio"])
    assert found["estimate_held_out"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_the_lower_bound_never_exceeds_the_true_constant(seed):
    """A dense ReLU network of one hidden layer in the plane: its constant is at most the product of
    the layers' norms, and the
    gradient on a fine grid of activation patterns reaches the true one."""
    critic = nn.Sequential(nn.Linear(2, 6), nn.ReLU(), nn.Linear(6, 1), Flat()).double()
    with torch.no_grad():
        for index, parameter in enumerate(critic.parameters()):
            parameter.copy_(normal(*parameter.shape, seed=10 * seed + index))
    config, state = with_critic(critic)
    found = diagnose(config, state, RING, 3 * normal(256, 2, seed=seed).float(), 256)
    ticks = torch.linspace(-60, 60, 600, dtype=torch.float64)
    grid = torch.cartesian_prod(ticks, ticks).requires_grad_()
    (slopes,) = torch.autograd.grad(critic(grid).sum(), grid)
    true = slopes.norm(dim=1).max().item()
    assert 0.3 * true < found["lipschitz_lower_bound"] <= true * (1 + 1e-6)
    first, last = critic[0].weight, critic[2].weight
    product = torch.linalg.matrix_norm(first, 2) * torch.linalg.matrix_norm(last, 2)
    assert found["lipschitz_lower_bound"] <= product * (1 + 1e-9)


def test_the_standard_error_is_that_of_a_difference_of_means():
    """For f(x) = x_1 on N(0, 1) against N(0, 4): sqrt(1 / n + 4 / n); the mean square over 60 seeds
    is known to 5 %.
    """
    slope, count = torch.tensor([1.0, 0.0], dtype=torch.float64), 400
    gaussian = Density("gaussian", (2,), lambda count, rng: torch.randn(count, 2, generator=rng))
    squares = []
    for seed in range(60):
        config, state = with_critic(Linear(slope), gaussian, seed=seed)
        fake = 2 * normal(count, 2, seed=1000 + seed).float()
        squares.append(
            diagnose(config, state, gaussian, fake, count)["estimate_held_out_error"] ** 2
        )
    used = count // config.batch_size * config.batch_size
    assert sum(squares) / 60 == pytest.approx(5 / used, rel=0.15)


@pytest.mark.parametrize("recipe", EACH_RECIPE)
@pytest.mark.parametrize("critic_norm", ["none", "batch"])
def test_looking_touches_nothing(recipe, critic_norm):
    if not allows(recipe, critic_norm):
        pytest.skip(f"{recipe} refuses {critic_norm} norm")
    config = small(recipe, steps=5, critic_norm=critic_norm)
    state = new_state(config, DIGITS)
    for pause in train(config, DIGITS, state, lambda: state.step == 3, log_every=4):
        if pause.state.step == 3:
            break

    def everything():
        modules = {"generator": state.generator, "critic": state.critic}
        return {
            **contents(state),
            "modes": {
                f"{name}.{inner}": module.training
                for name, network in modules.items()
                for inner, module in network.named_modules()
            },
            "gradients": [
                [p.grad, p.requires_grad] for m in modules.values() for p in m.parameters()
            ],
            "global": torch.get_rng_state(),
            "data": [DIGITS.train, DIGITS.held_out],
        }

    before = copy.deepcopy(everything())
    fake = generate(config, state, 20)
    kept = fake.clone()
    first = diagnose(config, state, DIGITS, fake, 20, LOOKS)
    profiles = [
        make_profile(name, config, state, DIGITS, fake, 20)
        for name in ("layer_gradients", "weight_histogram")
    ]
    assert same(before, everything())
    assert torch.equal(fake, kept)
    # Looking again shows the same.
    assert torch.equal(generate(config, state, 20), fake)
    assert diagnose(config, state, DIGITS, fake, 20, LOOKS) == first
    assert profiles[0] == make_profile("layer_gradients", config, state, DIGITS, fake, 20)
    # Neither batch norm nor a score divided by its own slope has a known bound.
    bounded = critic_norm == "none" and recipe != "gngan"
    bounds = {"lipschitz_upper_bound", "estimate_certified"} if bounded else set()
    assert set(first) - {"weights_at_limit"} == NAMES | ASKED | bounds
    assert ("weights_at_limit" in first) == (recipe == "wgan")
    assert all(type(value) is float and math.isfinite(value) for value in first.values())


@pytest.mark.parametrize("method", ["orthonormal", "spectral_norm", "gradient_penalty"])
def test_weights_made_of_raw_ones_are_made_twice_however_often_the_critic_is_asked(
    method, monkeypatch
):
    """Once with a graph and once without; the figures are those of weights made each time."""
    config = small(lipschitz=method)
    state = new_state(config, DIGITS)
    fake = generate(config, state, 20)
    made = []
    for layer in linear_layers(state.critic).values():
        if isinstance(layer, Reparametrised):
            layer.reparametrisation.register_forward_hook(
                lambda *_, layer=layer: made.append(layer)
            )
    looks = Looks(ascent_steps=2, gap_updates=2)
    figures = diagnose(config, state, DIGITS, fake, 20, replace(looks, gap_updates=0))
    assert all(made.count(layer) <= 2 for layer in made)
    assert bool(made) == (method != "gradient_penalty")
    kept = diagnose(config, state, DIGITS, fake, 20, looks)
    module = importlib.import_module("wgan.diagnostics.diagnose")
    monkeypatch.setattr(module, "weights_computed_once", nullcontext)
    assert kept == diagnose(config, state, DIGITS, fake, 20, looks)
    assert figures.items() <= kept.items()


def test_samples_come_from_the_seeds_fixed_noise_and_running_statistics():
    # torch fills normals in blocks of 16: with other lengths the last noise vectors depend on how
    # many there are.
    config = small("gan", steps=4, noise_size=16)
    state = new_state(config, DIGITS)
    follow(config, state)
    fake = generate(config, state, 9)
    assert fake.shape == (9, 1, 8, 8)
    assert fake.dtype == torch.float32
    assert fake.abs().max() <= 1
    # A sample does not depend on its neighbours, nor on how many there are.
    torch.testing.assert_close(generate(config, state, 3), fake[:3], rtol=1e-5, atol=1e-6)
    noise = torch.randn(9, config.noise_size, generator=stream(config.seed, "evaluation"))
    generator = copy.deepcopy(state.generator).eval()
    torch.testing.assert_close(fake, generator(noise).detach(), rtol=1e-5, atol=1e-6)


def test_equal_seeds_show_every_recipe_the_same_noise():
    begun = [generate(small(r), new_state(small(r), DIGITS), 5) for r in RECIPE_NAMES]
    assert all(torch.equal(fake, begun[0]) for fake in begun)
    other = small(seed=1)
    assert not torch.equal(generate(other, new_state(other, DIGITS), 5), begun[0])


def test_many_samples_are_made_in_parts_that_fit_together():
    config = small()
    state = new_state(config, DIGITS)
    many = generate(config, state, 1203)
    assert many.shape == (1203, 1, 8, 8)
    assert many.unique(dim=0).shape[0] == 1203


def test_the_held_out_estimate_sees_held_out_reals_only():
    """White training images, black held-out ones: a critic that reads the brightness tells which it
    was shown.
    """
    white = torch.full((16, 1, 8, 8), 255, dtype=torch.uint8)
    data = Images("two", white, torch.zeros_like(white))
    brightness = Linear(torch.full((1, 8, 8), 1 / 64, dtype=torch.float64))
    config, state = with_critic(brightness, data, dataset="digits")
    found = diagnose(config, state, data, torch.zeros(16, 1, 8, 8), 16)
    assert found["estimate"] == pytest.approx(1, abs=1e-6)
    assert found["estimate_held_out"] == pytest.approx(-1, abs=1e-6)


def test_a_critic_with_batch_norm_scores_as_it_trains():
    """Whole batches of the training's size, so that an overfitted batch statistic is not mistaken
    for a score.
    """
    config = small("gan", critic_norm="batch")
    state = new_state(config, DIGITS)
    sizes = []
    state.critic.register_forward_pre_hook(lambda module, inputs: sizes.append(len(inputs[0])))
    diagnose(config, state, DIGITS, generate(config, state, 45), count=45)
    assert set(sizes) == {config.batch_size}
    assert state.critic.training


def test_a_broken_critic_is_reported_not_hidden():
    config, state = with_critic(Linear(torch.tensor([math.nan, 1.0], dtype=torch.float64)))
    found = diagnose(config, state, RING, generate(config, state, 64), 64)
    for name in ("estimate", "estimate_held_out", "lipschitz_gradient", "lipschitz_lower_bound"):
        assert math.isnan(found[name]), name


def test_fewer_samples_than_asked_are_scored_alike_for_real_and_fake():
    seen = []

    class Counting(nn.Module):
        def forward(self, x):
            seen.append(len(x))
            return x.flatten(1).sum(1)

    config, state = with_critic(Counting(), DIGITS, dataset="digits")
    fake = torch.rand(1000, 1, 8, 8, generator=rng())
    with torch.no_grad():
        state.critic(fake[:1])
    seen.clear()
    diagnose(config, state, DIGITS, fake, count=1000)
    # 360 held-out images are the fewest: three kinds of 360, then the gradient at 256 fakes and the
    # slopes at three kinds of 256.
    assert sum(seen) == 3 * 360 + 256 + 3 * 256
