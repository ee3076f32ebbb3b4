"""Edges of the core: bad configurations, foreign checkpoints, evaluations that touch nothing."""

from __future__ import annotations

import contextlib
import hashlib
import random
from dataclasses import dataclass

import pytest
import torch
from small import DIGITS, follow, small
from torch import nn

from wgan.checkpoint import CheckpointError, load, save
from wgan.components import ConfigError, setting
from wgan.config import TrainConfig
from wgan.data import Density, as_float
from wgan.diagnostics import diagnose, generate
from wgan.lipschitz import GradientPenalty, Unconstrained
from wgan.train import new_state, train


def test_any_sealed_rubbish_is_a_checkpoint_error(tmp_path):
    config, path = small("gan", steps=2), tmp_path / "c.pt"
    state = new_state(config, DIGITS)
    follow(config, state)
    save(path, state, {})
    head = path.read_bytes().split(b"\n")[0]
    dice = random.Random(0)
    rubbish = [b"abc", b"\x80\x02.", b"\x80\x04\x95\n"]
    rubbish += [bytes(dice.randrange(256) for _ in range(dice.randrange(30))) for _ in range(300)]
    for content in rubbish:
        path.write_bytes(
            head[:-64] + hashlib.sha256(content).hexdigest().encode() + b"\n" + content
        )
        with pytest.raises(CheckpointError):
            load(path, state)


@pytest.mark.parametrize("optimizer", [{"rmsprop": {}}, {"adam": {"lr": 0.01}}])
def test_a_checkpoint_of_another_optimizer_is_refused(tmp_path, optimizer):
    config = small("gan", steps=2)
    state = new_state(config, DIGITS)
    follow(config, state)
    save(tmp_path / "c.pt", state, {})
    with pytest.raises(CheckpointError):
        load(tmp_path / "c.pt", new_state(small("gan", steps=2, optimizer=optimizer), DIGITS))


@pytest.mark.parametrize(
    ("width", "norm"), [(8, "group"), (4, "group"), (1, "layer"), (2, "group")]
)
def test_no_normalisation_makes_an_mlp_critic_constant(width, norm):
    try:
        config = small(dataset="ring8", network={"mlp": {"width": width}}, critic_norm=norm)
    except ConfigError:
        return
    state = new_state(config, config.dataset.load())
    with torch.no_grad():
        assert state.critic(torch.randn(100, 2)).std() > 1e-6


@pytest.mark.parametrize("batch_size", [1, 255])
def test_batch_norm_over_a_vector_never_meets_a_batch_of_one(batch_size):
    try:
        config = small(
            dataset="ring8",
            network={"mlp": {"width": 8}},
            critic_norm="batch",
            batch_size=batch_size,
            steps=1,
        )
    except ConfigError:
        return
    data = config.dataset.load()
    state = new_state(config, data)
    follow(config, state, data=data)
    diagnose(config, state, data, generate(config, state, 1000))


def test_minus_zero_is_zero():
    ids = {small(optimizer={"adam": {"beta1": beta1}}).run_id for beta1 in (0, 0.0, -0.0)}
    assert len(ids) == 1


@pytest.mark.parametrize("plain", [None, [1], "abc", 3, [("steps", 3)]])
def test_what_is_no_mapping_is_a_config_error(plain):
    with pytest.raises(ConfigError):
        TrainConfig.from_plain(plain)


def test_a_number_beyond_all_floats_is_a_config_error():
    for plain in ({"steps": 10**400}, {"optimizer": {"adam": {"lr": 10**400}}}):
        with pytest.raises(ConfigError):
            TrainConfig.from_plain(plain)


@pytest.mark.parametrize("optimizer", ["rmsprop", "sgd", "optimistic_adam"])
def test_a_number_that_single_precision_cannot_hold_is_a_config_error(optimizer):
    with pytest.raises(ConfigError, match=r"1e\+300 is not allowed: .* > 0 and of size 1e\+30 at"):
        small(optimizer={optimizer: {"lr": 1e300}})
    config = small("wgan", optimizer={optimizer: {"lr": 1e30}}, steps=2)
    rows = follow(config, new_state(config, DIGITS), log_every=1)
    assert len(rows) == 1  # it diverges, which is a result


@pytest.mark.parametrize(
    "part",
    [
        {"network": {"mlp": {"depth": 10**18}}},
        {"network": {"mlp": {"width": 10**18}}},
        {"network": {"dcgan": {"width": 10**18}}},
        {"network": {"sn_cnn": {"width": 10**18}}},
        {"network": {"resnet": {"width": 10**18}}},
        {"lipschitz": {"spectral_norm": {"power_iterations": 10**18}}},
        {"dataset": {"point_mass": {"dimension": 10**18}}},
        {"dataset": {"shifted_gaussians": {"dimension": 10**18}}},
        {"batch_size": 10**18},
        {"noise_size": 10**18},
    ],
    ids=str,
)
def test_a_size_that_no_machine_can_hold_is_a_config_error(part):
    with pytest.raises(ConfigError, match=r"0 is not allowed: must be a whole number >= 1 and <="):
        small(**part)


def test_methods_given_as_no_tuple_are_refused_or_made_one():
    with pytest.raises(ConfigError):
        TrainConfig(lipschitz=GradientPenalty())
    assert hash(TrainConfig(lipschitz=[GradientPenalty()])) == hash(
        TrainConfig(lipschitz=(GradientPenalty(),))
    )


def test_none_beside_a_method_is_refused():
    with pytest.raises(ConfigError):
        TrainConfig(lipschitz=(Unconstrained(), GradientPenalty()))


def test_a_frozen_weight_of_the_critic_stays_frozen():
    config = small("gan", steps=2)
    state = new_state(config, DIGITS)
    first = next(state.critic.parameters()).requires_grad_(False)
    before = first.detach().clone()
    follow(config, state)
    assert torch.equal(first, before)
    assert not first.requires_grad


def test_as_float_leaves_floats_alone():
    x = torch.zeros(3)
    with contextlib.suppress(TypeError, ValueError):
        as_float(x)
    assert torch.equal(x, torch.zeros(3))


def test_reals_and_fakes_of_an_evaluation_share_no_random_bits():
    """A generator that hands its noise on, against the very distribution of the noise."""
    config = small(dataset="ring8", network="mlp", noise_size=2)
    gaussian = Density("g", (2,), lambda count, rng: torch.randn(count, 2, generator=rng))
    state, seen = new_state(config, gaussian), []

    class Spy(nn.Module):
        def forward(self, x):
            seen.append(x.detach())
            return x.sum(1)

    state.generator, state.critic = nn.Identity(), Spy()
    fake = generate(config, state, 800)
    diagnose(config, state, gaussian, fake, 800)
    for real in (torch.cat(seen)[:800], torch.cat(seen)[800:1600]):
        both = torch.stack([real.flatten(), fake.flatten()])
        assert abs(torch.corrcoef(both)[0, 1]) < 0.15


def test_a_diverged_pause_asks_for_no_evaluation():
    """No evaluation meets weights that are not finite: no metric can score NaN."""
    config = small("gan", steps=9)
    state = new_state(config, DIGITS)
    for pause in train(config, DIGITS, state, lambda: False, log_every=9, evaluate_every=2):
        finite = all(p.isfinite().all() for p in state.generator.parameters())
        assert finite or not pause.evaluate
        if state.step == 2:
            with torch.no_grad():
                next(state.critic.parameters()).fill_(torch.nan)


def test_plain_values_come_back_where_the_default_is_not_the_neutral_value():
    @dataclass(frozen=True)
    class Grown(TrainConfig):
        ema: float = setting(0.999, "a later default", low=0, below=1, neutral=0.0)

    old = Grown(ema=0.0)
    assert Grown.from_plain(old.to_plain()) == old
    assert old.run_id == TrainConfig().run_id
