"""Learning rates, critic warm-up, the generator's own optimizer and its moving average."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from small import DIGITS, contents, follow, never, same, small
from test_checkpoint import interrupted, uninterrupted

from wgan.components import ConfigError
from wgan.config import TrainConfig
from wgan.diagnostics import generate
from wgan.train import new_state, train


def rates(config) -> list[tuple[float, float]]:
    """The critic's and the generator's learning rate at each step."""
    state = new_state(config, DIGITS)
    optimizers = (state.critic_optimizer, state.generator_optimizer)
    return [
        tuple(optimizer.param_groups[0]["lr"] for optimizer in optimizers)
        for _ in train(config, DIGITS, state, never, log_every=1, evaluate_every=1)
    ][1:]


def test_a_linear_rate_falls_along_a_line_towards_0_at_the_last_step():
    config = small(
        steps=4,
        learning_rate="linear",
        optimizer={"adam": {"lr": 0.8}},
        generator_optimizer={"rmsprop": {"lr": 0.4}},
    )
    found = rates(config)
    assert [critic for critic, _ in found] == pytest.approx([0.8, 0.6, 0.4, 0.2])
    assert [generator for _, generator in found] == pytest.approx([0.4, 0.3, 0.2, 0.1])


def test_a_constant_rate_stays():
    assert rates(small(steps=3, optimizer={"adam": {"lr": 0.25}})) == [(0.25, 0.25)] * 3


def test_the_first_steps_of_a_linear_rate_are_those_of_a_constant_one_with_that_rate():
    linear = small(steps=2, learning_rate="linear", optimizer={"adam": {"lr": 1e-2}})
    constant = small(steps=1, optimizer={"adam": {"lr": 1e-2}})
    first, other = new_state(linear, DIGITS), new_state(constant, DIGITS)
    for pause in train(linear, DIGITS, first, lambda: True):
        if pause.state.step == 1:
            break
    follow(constant, other)
    assert same(contents(first)["generator"], contents(other)["generator"])


def updates(config) -> list[int]:
    """Critic updates made before each generator update."""
    state = new_state(config, DIGITS)
    counts = [
        pause.state.critic_updates
        for pause in train(config, DIGITS, state, never, log_every=1, evaluate_every=1)
    ]
    return [after - before for before, after in itertools.pairwise(counts)]


def test_the_warm_up_of_wgan_s_authors_is_two_fields():
    config = small(
        "wgan",
        steps=9,
        critic_steps=2,
        warm_up_steps=2,
        warm_up_every=4,
        warm_up_critic_steps=7,
    )
    # Steps 0 and 1 by warm_up_steps; 0, 4 and 8 by warm_up_every.
    assert updates(config) == [7, 7, 2, 2, 7, 2, 2, 2, 7]
    assert updates(small("wgan", steps=3, critic_steps=2)) == [2, 2, 2]


def test_the_images_of_a_warm_up_are_counted():
    config = small(steps=2, critic_steps=1, warm_up_steps=1, warm_up_critic_steps=5)
    state = new_state(config, DIGITS)
    follow(config, state)
    assert state.images_seen == (5 + 1) * config.batch_size


def test_the_generator_s_own_optimizer_moves_it_and_only_it():
    shared = small(steps=3, optimizer={"adam": {"lr": 1e-3}})
    own = small(
        steps=3,
        optimizer={"adam": {"lr": 1e-3}},
        generator_optimizer={"rmsprop": {"lr": 1e-12, "alpha": 0.5}},
    )
    begun = new_state(own, DIGITS)
    states = {}
    for name, config in (("shared", shared), ("own", own)):
        states[name] = new_state(config, DIGITS)
        follow(config, states[name])
    weight = "0.weight"

    def moved(state):
        return (state.generator.state_dict()[weight] - begun.generator.state_dict()[weight]).abs()

    assert isinstance(states["own"].generator_optimizer, torch.optim.RMSprop)
    assert isinstance(states["own"].critic_optimizer, torch.optim.Adam)
    assert moved(states["own"]).max() < 1e-9 < 1e-4 < moved(states["shared"]).max()


def test_same_is_the_word_for_no_optimizer_of_its_own():
    plain = small().to_plain()
    assert plain["generator_optimizer"] == "same"
    assert TrainConfig.from_plain(plain) == small()
    own = small(generator_optimizer="rmsprop")
    assert TrainConfig.from_plain(own.to_plain()) == own
    assert own.run_id != small().run_id
    with pytest.raises(ConfigError, match="unknown optimizer 'smae'"):
        TrainConfig.from_plain({"generator_optimizer": "smae"})


def test_the_average_is_the_recursion_of_the_generator_s_weights():
    decay, config = 0.75, small("gan", steps=6, ema=0.75)
    state = new_state(config, DIGITS)
    expected = {name: p.detach().clone() for name, p in state.generator.named_parameters()}
    for pause in train(config, DIGITS, state, never, log_every=1):
        if not pause.state.step:
            continue
        for name, parameter in state.generator.named_parameters():
            expected[name] = decay * expected[name] + (1 - decay) * parameter.detach()
        for name, kept in state.average.named_parameters():
            torch.testing.assert_close(kept, expected[name], rtol=1e-5, atol=1e-7)
        assert same(dict(state.average.named_buffers()), dict(state.generator.named_buffers()))
    assert not any(p.requires_grad for p in state.average.parameters())


def test_the_average_changes_no_weight_and_is_what_is_sampled():
    states = []
    for ema in (0.0, 0.9):
        config = small("gan", steps=6, ema=ema)
        states.append((config, new_state(config, DIGITS)))
        follow(*states[-1])
    plain, averaged = states[0][1], states[1][1]
    for part in ("generator", "critic", "generator_optimizer", "streams"):
        assert same(contents(plain)[part], contents(averaged)[part])
    samples = generate(*states[1], 16)
    assert not torch.equal(samples, generate(*states[0], 16))
    swapped = copy.copy(averaged)
    swapped.average, swapped.generator = None, averaged.average
    assert torch.equal(samples, generate(states[1][0], swapped, 16))


def test_going_on_with_all_of_them_gives_the_same_bits(tmp_path):
    config = small(
        "wgan_gp",
        steps=17,
        critic_steps=2,
        learning_rate="linear",
        ema=0.9,
        warm_up_steps=3,
        warm_up_critic_steps=4,
        generator_optimizer="rmsprop",
    )
    expected, found = uninterrupted(config), interrupted(config, tmp_path / "c.pt", {2, 8})
    assert same(contents(found[0]), contents(expected[0]))
    assert found[1][-1]["critic_loss"] == expected[1][-1]["critic_loss"]


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"ema": 1.0}, r"ema: 1.0 is not allowed: must be a number >= 0 and < 1"),
        ({"learning_rate": "cosine"}, r"unknown value 'cosine' \(allowed: constant, linear\)"),
        ({"warm_up_steps": -1}, "must be a whole number >= 0"),
        ({"ema": 0.5, "generator": "frozen"}, "not allowed with a frozen generator"),
    ],
)
def test_what_is_not_allowed_is_said(settings, match):
    with pytest.raises(ConfigError, match=match):
        small(**settings)
