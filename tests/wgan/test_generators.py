"""Frozen generators: fakes whose distribution is known and stands still."""

from __future__ import annotations

import pytest
import torch
from small import DIGITS, contents, follow, never, registered, rng, same, small
from test_checkpoint import interrupted, uninterrupted

from wgan.components import ConfigError
from wgan.config import TrainConfig
from wgan.data import Density, Ring8
from wgan.diagnostics import generate
from wgan.generators import Frozen, GeneratorKind, Trained
from wgan.train import new_state, train

RING = Ring8().load()
PAIR = Density(
    "pair",
    (2,),
    lambda count, stream: torch.randn(count, 2, generator=stream),
    counterpart=lambda count, stream: 5 + torch.rand(count, 2, generator=stream),
)


def frozen(**fields) -> TrainConfig:
    return small(
        dataset="ring8", network={"mlp": {"width": 8}}, generator={"frozen": fields}, steps=4
    )


def test_noisy_data_are_the_data_and_gaussian_noise():
    drawn = Frozen(noise=0.5).draw(RING, 6, 20_000, rng(1), torch.float64)
    assert drawn.dtype == torch.float64
    variance = drawn.var(dim=0)
    # The ring has a variance of radius^2 / 2 = 2 in each coordinate, plus .02^2.
    assert variance.tolist() == pytest.approx([2 + 0.02**2 + 0.25] * 2, rel=0.03)
    clean = Frozen(noise=0.0).draw(RING, 6, 100, rng(1), torch.float32)
    assert torch.equal(clean, RING.batch(100, rng(1)))


def test_shifted_data_are_the_data_moved_along_the_first_coordinate():
    moved = Frozen(fakes="shifted_data", shift=-3.0).draw(RING, 6, 50, rng(2), torch.float32)
    data = RING.batch(50, rng(2))
    assert torch.equal(moved, data + torch.tensor([-3.0, 0.0]))
    images = Frozen(fakes="shifted_data", shift=2.0).draw(DIGITS, 6, 5, rng(3), torch.float32)
    difference = (images - DIGITS.batch(5, rng(3))).flatten(1)
    assert torch.equal(difference[:, 1:], torch.zeros(5, 63))
    assert difference[:, 0].tolist() == pytest.approx([2.0] * 5)


def test_the_counterpart_is_the_density_s_own():
    drawn = Frozen(fakes="counterpart").draw(PAIR, 6, 50, rng(4), torch.float64)
    assert torch.equal(drawn, PAIR.counterpart(50, rng(4)).double())


@pytest.mark.parametrize("kind", registered(GeneratorKind), ids=lambda kind: kind.name)
def test_every_kind_draws_from_its_stream_alone(kind):
    everybodys = torch.get_rng_state()
    first, again = (kind().draw(RING, 6, 8, rng(5), torch.float32) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, kind().draw(RING, 6, 8, rng(6), torch.float32))
    assert torch.equal(torch.get_rng_state(), everybodys)


def test_only_the_critic_trains_against_a_frozen_generator():
    config = frozen()
    state = new_state(config, RING)
    before = contents(state)
    rows = follow(config, state, data=RING)
    assert state.generator_optimizer is None
    assert list(state.generator.parameters()) == []
    assert not same(before["critic"], contents(state)["critic"])
    assert state.step == 4
    assert state.critic_updates == 4 * config.critic_steps
    for row in rows:
        assert "generator_loss" not in row
        assert "generator_gradient_norm" not in row
        assert row["critic_gradient_norm"] > 0


def test_the_critic_sees_the_same_reals_as_against_a_trained_generator():
    trained = small(dataset="ring8", network={"mlp": {"width": 8}}, steps=4)
    states = []
    for config in (trained, frozen()):
        states.append(new_state(config, RING))
        follow(config, states[-1], data=RING)
    assert same(states[0].streams["data"].get_state(), states[1].streams["data"].get_state())


def test_fakes_differ_from_batch_to_batch_and_from_the_reals():
    config, seen = frozen(noise=0.0), []
    state = new_state(config, RING)
    state.critic.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].clone()))
    for _ in train(config, RING, state, never):
        pass
    # Reals and fakes pass together.
    assert len(seen) == config.steps * config.critic_steps
    batches = [half for batch in seen for half in batch.split(config.batch_size)]
    assert len(batches) == 2 * len(seen)
    assert len({tuple(batch.flatten().tolist()) for batch in batches}) == len(batches)


def test_generate_gives_what_the_frozen_generator_gives_from_a_fixed_stream():
    config = frozen(fakes="shifted_data", shift=10.0)
    state = new_state(config, RING)
    samples = generate(config, state, 600, RING)
    assert samples.shape == (600, 2)
    assert torch.equal(samples, generate(config, state, 600, RING))
    assert samples.mean(dim=0).tolist() == pytest.approx([10, 0], abs=0.25)


def test_going_on_against_a_frozen_generator_gives_the_same_bits(tmp_path):
    config = small(generator="frozen", steps=17)
    expected, found = uninterrupted(config), interrupted(config, tmp_path / "c.pt", {2, 8})
    assert same(contents(found[0]), contents(expected[0]))


def test_a_trained_generator_is_the_neutral_value():
    assert small(generator="trained").run_id == small().run_id
    assert TrainConfig().generator == Trained()
    assert frozen().run_id != frozen(noise=0.5).run_id


def test_a_counterpart_needs_a_pair():
    with pytest.raises(ConfigError, match="'counterpart' is not allowed with the dataset ring8"):
        frozen(fakes="counterpart")
