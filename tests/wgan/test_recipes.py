"""Each recipe against an independent loop, written from its paper in plain torch: `plain_loops`."""

from __future__ import annotations

import math

import pytest
import torch
from plain_loops import DISTANCES, LOOPS
from plain_training import WIDTH, Plain, PlainCritic, leaky_relu, plain_generator
from small import DIGITS, follow, largest_gap, small
from torch import nn

from wgan.config import TrainConfig
from wgan.random import stream_seed
from wgan.recipes import RECIPES
from wgan.train import DTYPES, TrainState, new_state

LOG_EVERY = 4
STEPS = 20


def steep(critic: nn.Module) -> None:
    """Slopes on both sides of 1; DCGAN's first weights give some hundredths of that."""
    for parameter in critic.parameters():
        parameter.mul_(13.0)


def at_the_margin(critic: nn.Module) -> None:
    """Reals that score about 1, so that the hinge bends between them."""
    *_, last_bias = critic.parameters()
    last_bias.fill_(1.0)


def unequal_biases(critic: nn.Module) -> None:
    """With equal ones MaxMin sorts some pairs of channels alike in every sample. Their biases then
    have no gradient but rounding noise, of which Adam makes steps.
    """
    for parameter in critic.parameters():
        if parameter.dim() == 1:
            parameter.copy_(torch.linspace(-0.1, 0.1, len(parameter)))


# Where a recipe's loop would not meet what sets it apart, the critic begins elsewhere.
BEGINNINGS = {
    "hinge_gan": at_the_margin,
    "sngan_hinge": at_the_margin,
    "wgan_lp": steep,
    "r3gan": steep,
    "lipschitz_wgan": unequal_biases,
}

# For each recipe a constant of its loop and a value that it must not have. The loops of gan, wgan
# and wgan_gp are written out, with their constants inside.
WRONG: list[tuple[str, str, object]] = [
    ("minimax_gan", "beta1", 0.4),
    ("lsgan", "a", -1.0),
    ("lsgan", "c", 0.0),
    ("hinge_gan", "alpha", 1e-4),
    ("hinge_gan", "margin", 2.0),
    ("wgan_lp", "lambda_", 5.0),
    ("wgan_lp", "one_sided", False),
    ("dragan", "lambda_", 5.0),
    ("dragan", "c", 1.0),
    ("sngan", "beta2", 0.999),
    ("sngan_hinge", "margin", 2.0),
    ("sngan_hinge", "iterations", 2),
    ("wgan_sn", "beta1", 0.0),
    ("gan_gp", "k", 0.0),
    ("gan_gp", "lambda_", 5.0),
    ("r3gan", "gamma1", 1.0),
    ("r3gan", "gamma2", 1.0),
    ("gngan", "zeta", 0.5),
    ("orthonormal_gan", "iterations", 5),
    ("lipschitz_wgan", "g_alpha", 2e-3),
    ("lipschitz_wgan", "activation", leaky_relu),
]


def seeded(config: TrainConfig, purpose: str) -> torch.Generator:
    return torch.Generator().manual_seed(stream_seed(config.seed, purpose))


def beginning(config: TrainConfig, state: TrainState) -> Plain:
    """The plain networks with the same initial weights, and streams with the same seeds."""
    dtype = DTYPES[config.precision]
    plain = Plain(
        plain_generator(config.noise_size).to(dtype),
        PlainCritic(config.critic_norm == "batch").to(dtype),
        DIGITS.train,
        seeded(config, "data"),
        seeded(config, "noise"),
        seeded(config, f"penalty:{config.method}"),
        seeded(config, "data:generator"),
        config.batch_size,
        config.noise_size,
        dtype,
    )
    with torch.no_grad():
        for mine, theirs in ((plain.generator, state.generator), (plain.critic, state.critic)):
            for parameter, given in zip(mine.parameters(), theirs.parameters(), strict=True):
                parameter.copy_(given)
    for layer in state.critic.modules():
        if hasattr(layer, "left"):
            plain.singular.append((layer.left.clone(), layer.right.clone()))
    return plain


def trained_twice(
    recipe: str, constants: dict[str, object] | None = None, **settings: object
) -> tuple[TrainState, list[dict], Plain, TrainConfig]:
    """A recipe trained by the core and by its loop, which may be given other `constants`."""
    config = small(recipe, network={"dcgan": {"width": WIDTH}}, seed=11, **settings)
    state = new_state(config, DIGITS)
    if recipe in BEGINNINGS:
        with torch.no_grad():
            BEGINNINGS[recipe](state.critic)
    plain = beginning(config, state)
    rows = follow(config, state, log_every=LOG_EVERY)
    LOOPS[recipe](plain, config.steps, **(constants or {}))
    return state, rows, plain, config


def gap(state: TrainState, plain: Plain) -> float:
    return max(
        largest_gap(state.generator.parameters(), plain.generator.parameters()),
        largest_gap(state.critic.parameters(), plain.critic.parameters()),
        largest_gap(state.generator.buffers(), plain.generator.buffers()),
    )


def moved(config: TrainConfig, state: TrainState) -> float:
    begun = new_state(config, DIGITS)
    return min(
        largest_gap(begun.generator.parameters(), state.generator.parameters()),
        largest_gap(begun.critic.parameters(), state.critic.parameters()),
    )


def test_every_recipe_has_an_independent_loop():
    assert list(LOOPS) == list(RECIPES)
    assert list(DISTANCES) == list(RECIPES)
    assert {recipe for recipe, _, _ in WRONG} | {"gan", "wgan", "wgan_gp"} == set(RECIPES)


# Put together anew from what the loops of others prove: these walk one step each time, and twenty
# among the slow tests.
OF_KNOWN_PARTS = ("gan_gp", "minimax_gan", "sngan_hinge", "wgan_lp", "wgan_sn")


@pytest.mark.parametrize(
    "recipe",
    [
        pytest.param(name, marks=pytest.mark.slow if name in OF_KNOWN_PARTS else ())
        for name in RECIPES
    ],
)
def test_twenty_steps_equal_the_independent_loop_and_its_rows(recipe):
    state, rows, plain, config = trained_twice(recipe, precision="float64", steps=STEPS)
    assert gap(state, plain) < 1e-8
    assert moved(config, state) > 1e-4

    assert [row["step"] for row in rows] == list(range(LOG_EVERY, STEPS + 1, LOG_EVERY))
    for row in rows:
        step, per_step = row["step"], config.critic_steps
        window = slice((step - LOG_EVERY) * per_step, step * per_step)
        real, fake = torch.cat(plain.real_scores[window]), torch.cat(plain.fake_scores[window])
        expected = {
            "images_seen": step * per_step * config.batch_size,
            "critic_loss": mean(plain.critic_losses[window]),
            "penalty": mean(plain.penalties[window]),
            "generator_loss": mean(plain.generator_losses[step - LOG_EVERY : step]),
            "estimate_window": DISTANCES[recipe](real, fake).item(),
            "critic_gradient_norm": plain.gradient_norms[step - 1][0],
            "generator_gradient_norm": plain.gradient_norms[step - 1][1],
            "largest_score": max(real.abs().max().item(), fake.abs().max().item()),
        }
        for name, value in expected.items():
            assert row[name] == pytest.approx(value, rel=1e-7, abs=1e-9), (name, step)


def mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)


@pytest.mark.parametrize("recipe", RECIPES)
def test_one_step_in_float32_equals_the_independent_loop(recipe):
    state, _, plain, _ = trained_twice(recipe, steps=1)
    assert gap(state, plain) < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize(("recipe", "constant", "value"), WRONG)
def test_a_loop_with_another_constant_is_told_apart(recipe, constant, value):
    state, _, plain, _ = trained_twice(recipe, {constant: value}, precision="float64", steps=3)
    assert gap(state, plain) > 1e-6
