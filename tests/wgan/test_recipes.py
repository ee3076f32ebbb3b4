"""Each recipe against an independent loop, written from its paper in plain torch: `plain_loops`."""

from __future__ import annotations

import math

import plain_loops
import pytest
import torch
from plain_loops import LOOPS, Plain, PlainCritic, plain_generator
from small import DIGITS, follow, largest_gap, small

from wgan.config import TrainConfig
from wgan.random import stream_seed
from wgan.recipes import RECIPES
from wgan.train import DTYPES, TrainState, new_state

LOG_EVERY = 4
STEPS = 20


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
    recipe: str, **settings: object
) -> tuple[TrainState, list[dict], Plain, TrainConfig]:
    config = small(recipe, network={"dcgan": {"width": plain_loops.WIDTH}}, seed=11, **settings)
    state = new_state(config, DIGITS)
    plain = beginning(config, state)
    rows = follow(config, state, log_every=LOG_EVERY)
    extra = {}
    if recipe == "sngan":
        adam = config.optimizer
        extra = {
            "alpha": adam.lr,
            "beta1": adam.beta1,
            "beta2": adam.beta2,
            "n_critic": config.critic_steps,
        }
    LOOPS[recipe](plain, config.steps, **extra)
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
    assert set(LOOPS) == set(RECIPES)


@pytest.mark.parametrize("recipe", RECIPES)
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
            "estimate_window": estimate(recipe, real, fake),
            "critic_gradient_norm": plain.gradient_norms[step - 1][0],
            "generator_gradient_norm": plain.gradient_norms[step - 1][1],
            "largest_score": max(real.abs().max().item(), fake.abs().max().item()),
        }
        for name, value in expected.items():
            assert row[name] == pytest.approx(value, rel=1e-7, abs=1e-9), (name, step)


def mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)


def estimate(recipe: str, real: torch.Tensor, fake: torch.Tensor) -> float:
    if recipe.startswith("wgan"):
        return (real.mean() - fake.mean()).item()
    entropy = -torch.sigmoid(real).log().mean() - (1 - torch.sigmoid(fake)).log().mean()
    return math.log(2) - entropy.item() / 2


@pytest.mark.parametrize("recipe", RECIPES)
def test_one_step_in_float32_equals_the_independent_loop(recipe):
    state, _, plain, _ = trained_twice(recipe, steps=1)
    assert gap(state, plain) < 1e-6
