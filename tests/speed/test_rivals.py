"""The rivals train what we train: equal losses and weights in float64 over 50 steps."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.speed import choices, loops
from tests.speed.loops import CleanLoop, TutorialLoop, drawn_from, loaded_from
from tests.speed.networks import (
    copy_weights,
    dcgan_critic,
    dcgan_generator,
    mlp_critic,
    mlp_generator,
)
from tests.speed.ours import configured
from wgan.config import TrainConfig
from wgan.data import Data, Images, as_float
from wgan.random import training_streams
from wgan.train import TrainState, new_state, train

STEPS, BATCH, NOISE = 50, 8, 6
CONV = {"dcgan": {"width": 4}}
DENSE = {"mlp": {"width": 16, "depth": 3}}


def config_of(network: dict, dataset: str = "digits") -> TrainConfig:
    return configured(
        dataset=dataset,
        network=network,
        batch_size=BATCH,
        noise_size=NOISE,
        precision="float64",
        steps=STEPS,
    )


def black_and_white() -> Images:
    """Pixels of 0 and 255, which every way to scale them makes the same numbers of."""
    rng = torch.Generator().manual_seed(1)
    pixels = 255 * torch.randint(2, (64, 1, 8, 8), generator=rng, dtype=torch.uint8)
    return Images("digits", pixels, pixels)


def rival(kind: type[CleanLoop], network: dict, state: TrainState, data: Data) -> CleanLoop:
    """With the weights of `state`, drawing what our training will draw."""
    if "dcgan" in network:
        generator = dcgan_generator(data.shape, 4, 2, NOISE)
        critic = dcgan_critic(data.shape, 4, 2)
    else:
        generator = mlp_generator(data.shape, 16, 3, NOISE)
        critic = mlp_critic(data.shape, 16, 3)
    generator, critic = generator.double(), critic.double()
    copy_weights(state.generator, generator)
    copy_weights(state.critic, critic)
    streams = training_streams(0, ["gradient_penalty"])
    draws = streams["data"]
    if kind is TutorialLoop:
        draw = loaded_from(data.train, BATCH, draws, torch.float64)
    elif isinstance(data, Images):
        draw = drawn_from(as_float(data.train).double(), BATCH, draws)
    else:
        draw = lambda: data.batch(BATCH, draws).double()  # noqa: E731
    return kind(
        generator,
        critic,
        draw,
        streams["noise"],
        streams["penalty:gradient_penalty"],
        batch_size=BATCH,
        noise_size=NOISE,
    )


def gaps(kind: type[CleanLoop], network: dict, data: Data, dataset: str = "digits") -> list[float]:
    """The largest differences of critic's losses, generator's losses and all weights."""
    config = config_of(network, dataset)
    state = new_state(config, data)
    loop = rival(kind, network, state, data)
    rows = [
        row
        for pause in train(config, data, state, lambda: False, log_every=1, evaluate_every=1000)
        for row in pause.rows
    ]
    loop.run(STEPS)
    critic = torch.stack(loop.critic_losses).view(STEPS, -1).mean(1)
    generator = torch.stack(loop.generator_losses)
    assert len(rows) == STEPS
    return [
        (critic - column(rows, "critic_loss")).abs().max().item(),
        (generator - column(rows, "generator_loss")).abs().max().item(),
        apart(loop.critic, state.critic),
        apart(loop.generator, state.generator),
    ]


def column(rows: list[dict], name: str) -> torch.Tensor:
    return torch.tensor([row[name] for row in rows], dtype=torch.float64)


def apart(left: nn.Module, right: nn.Module) -> float:
    pairs = zip(left.parameters(), right.parameters(), strict=True)
    return max((a - b).abs().max().item() for a, b in pairs)


@pytest.mark.parametrize("network", [CONV, DENSE], ids=["conv", "dense"])
@pytest.mark.parametrize("kind", [CleanLoop, TutorialLoop])
def test_the_loops_train_what_we_train(kind, network):
    assert max(gaps(kind, network, black_and_white())) < 1e-8


def test_the_clean_loop_trains_what_we_train_on_digits_and_on_a_toy():
    config = config_of(DENSE, "ring8")
    assert max(gaps(CleanLoop, DENSE, config.dataset.load(), "ring8")) < 1e-8
    assert max(gaps(CleanLoop, CONV, config_of(CONV).dataset.load())) < 1e-8


@pytest.mark.parametrize(("name", "value"), [("PENALTY_WEIGHT", 10.01), ("ADAM", {"lr": 1.001e-4})])
def test_another_setting_in_a_rival_is_told_apart(name, value, monkeypatch):
    monkeypatch.setattr(loops, name, {**loops.ADAM, **value} if name == "ADAM" else value)
    assert max(gaps(CleanLoop, DENSE, black_and_white())) > 1e-6


def test_weights_of_other_networks_are_refused():
    with pytest.raises(ValueError, match="other networks"):
        copy_weights(mlp_critic((2,), 8, 2), mlp_critic((2,), 9, 2))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # torch-fidelity's, for the reals
def test_the_script_s_scores_are_the_harness_s(tmp_path):
    import numpy as np

    from bench.evaluate import Evaluator
    from bench.spec import EvaluateSpec
    from tests.speed import script
    from wgan.data import Digits

    if "digits_cnn" not in script.torch_fidelity.registry.FEATURE_EXTRACTORS_REGISTRY:
        script.torch_fidelity.register_feature_extractor("digits_cnn", script.DigitsFeatures)
    data = Digits().load()
    training = script.Training("wgan_gp", 0, as_float(data.train))
    found = script.evaluate(training.generator, data, 200, tmp_path)
    noise = torch.from_numpy(np.random.RandomState(2020).randn(200, script.NOISE_SIZE)).float()
    with torch.no_grad():
        fake = training.generator.eval()(noise)
    ours = Evaluator(EvaluateSpec(samples=200), Digits(), data, tmp_path / "ours").score(fake)
    names = {
        "frechet_inception_distance": "fid",
        "kernel_inception_distance_mean": "kid",
        "inception_score_mean": "inception_score",
        "precision": "precision",
        "recall": "recall",
    }
    for theirs, name in names.items():
        assert found[theirs] == pytest.approx(ours[name], rel=1e-4, abs=1e-6), name


@pytest.mark.parametrize("recipe", ["gan", "wgan", "wgan_gp", "sngan"])
def test_the_script_s_recipes_are_the_harness_s(recipe):
    from tests.speed import script
    from wgan.data import Digits

    config = TrainConfig.from_plain(
        {**configured(recipe).to_plain(), "network": {"dcgan": {"width": script.WIDTH}}}
    )
    state = new_state(config, Digits().load())
    training = script.Training(recipe, 0, torch.zeros(4, 1, 8, 8))
    assert training.critic_steps == config.critic_steps
    ours = (state.critic_optimizer, state.generator_optimizer)
    for theirs, mine in zip(training.optimizers, ours, strict=True):
        assert type(theirs).__name__ == type(mine).__name__
        for key in ("lr", "betas", "alpha", "eps", "momentum"):
            assert theirs.defaults.get(key) == mine.defaults.get(key), key
    counts = [sum(p.numel() for p in net.parameters()) for net in (training.critic, state.critic)]
    assert counts[0] == counts[1]
    if recipe == "wgan":
        training.step()
        largest = max(p.abs().max().item() for p in training.critic.parameters())
        assert largest == pytest.approx(config.lipschitz[0].limit)


@pytest.mark.slow
def test_what_the_choices_rest_on_can_be_measured():
    """The figures themselves are for a quiet machine."""
    assert 0.2 < choices.forms("wgan_gp", 8, rounds=1, steps=1) < 20
    assert set(choices.packs("sngan", 8, [2], rounds=1, steps=1)) == {2}
    times = choices.methods("mlp_64", rounds=1, steps=1)
    assert {"gradient_penalty", "spectral_norm"} <= set(times)
    assert "none" not in times
