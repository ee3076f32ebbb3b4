"""Every registered network on every shape: what it makes, or that it is refused when configured."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
import torch
from small import registered, rng, same, small
from torch import nn

from wgan.components import ConfigError
from wgan.config import CRITIC_NORMS, TrainConfig
from wgan.data import Density, Images
from wgan.networks import DCGAN, MLP, Network
from wgan.random import stream
from wgan.train import new_state

SHAPES = [(2,), (5,), *((c, size, size) for size in (8, 16, 28, 32, 64) for c in (1, 3))]
REFUSED = [(1, 8, 16), (1, 12, 12), (3, 128, 128), (2, 3)]
NOISE = 6


def narrow(made: type[Network]) -> Network:
    fields = {item.name for item in dataclasses.fields(made)}
    return made(**({"width": 16} if "width" in fields else {}))


def possible(network: Network, shape: tuple[int, ...], norm: str) -> bool:
    try:
        network.check(shape, norm, 64)
    except ConfigError:
        return False
    return True


CASES = [
    pytest.param(narrow(made), shape, norm, id=f"{made.name}-{shape}-{norm}")
    for made, shape, norm in itertools.product(registered(Network), SHAPES, CRITIC_NORMS)
    if possible(narrow(made), shape, norm)
]


@pytest.mark.parametrize(("network", "shape", "norm"), CASES)
def test_network_makes_its_shapes(network, shape, norm):
    generator, critic = network.generator(shape, NOISE), network.critic(shape, norm)
    network.initialise(generator, rng(1))
    network.initialise(critic, rng(2))
    before = {name: buffer.clone() for name, buffer in critic.state_dict().items()}

    samples = generator(torch.randn(4, NOISE, generator=rng(3)))
    assert samples.shape == (4, *shape)
    if len(shape) == 3:
        assert samples.abs().max() <= 1
    scores = critic(samples)
    assert scores.shape == (4,)
    assert scores.std() > 1e-8, "the critic is constant"
    scores.sum().backward()
    assert all(p.grad is not None for m in (generator, critic) for p in m.parameters())

    # A critic keeps no running statistics: neither a forward nor its mode changes what it says.
    assert same(before, dict(critic.state_dict()))
    assert not any("running" in name for name in critic.state_dict())
    assert torch.equal(critic.eval()(samples), scores)


@pytest.mark.parametrize("made", registered(Network), ids=lambda made: made.name)
def test_images_stay_in_range_whatever_the_weights(made):
    network = narrow(made)
    shape = next(s for s in SHAPES if len(s) == 3 and possible(network, s, "none"))
    generator = network.generator(shape, NOISE)
    network.initialise(generator, rng(1))
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.mul_(300)
    images = generator(torch.randn(16, NOISE, generator=rng(3)))
    assert 0.99 < images.abs().max() <= 1


@pytest.mark.parametrize("made", registered(Network), ids=lambda made: made.name)
def test_weights_depend_on_the_stream_alone(made):
    network = narrow(made)
    shape = next(shape for shape in SHAPES if possible(network, shape, "none"))

    def weights(seed: int) -> dict[str, torch.Tensor]:
        critic = network.critic(shape, "none")
        network.initialise(critic, rng(seed))
        return dict(critic.state_dict())

    assert same(weights(1), weights(1))
    assert not same(weights(1), weights(2))


def dense(module: nn.Module) -> list[torch.Tensor]:
    layers = (m for m in module.modules() if isinstance(m, nn.Linear | nn.Conv2d))
    return [layer.weight.detach() for layer in layers]


@pytest.mark.parametrize("network", [{"dcgan": {"width": 4}}, {"mlp": {"width": 16}}])
def test_equal_seeds_give_equal_layers_under_every_critic_norm(network):
    data = small().dataset.load()
    plain = None
    for norm in CRITIC_NORMS:
        if network.get("mlp") and norm == "instance":
            continue
        state = new_state(small(network=network, critic_norm=norm, seed=4), data)
        plain = plain or dense(state.critic)
        assert same(dense(state.critic), plain), norm


def test_new_state_leaves_the_global_generator_alone_and_does_not_depend_on_it():
    data, states = small().dataset.load(), []
    with torch.random.fork_rng(devices=[]):
        for seed in (1, 2):
            torch.manual_seed(seed)
            before = torch.get_rng_state()
            states.append(new_state(small("sngan"), data))
            assert torch.equal(torch.get_rng_state(), before)
    assert same(*(dict(state.critic.state_dict()) for state in states))
    assert same(*(dict(state.generator.state_dict()) for state in states))


def test_initial_weights_come_from_their_own_streams():
    state = new_state(small(network={"dcgan": {"width": 8}}, seed=7), small().dataset.load())
    first = torch.empty_like(state.critic[0].weight)
    nn.init.normal_(first, 0.0, 0.02, generator=stream(7, "init_critic"))
    assert torch.equal(state.critic[0].weight, first)
    first = torch.empty_like(state.generator[0].weight)
    nn.init.normal_(first, 0.0, 0.02, generator=stream(7, "init_generator"))
    assert torch.equal(state.generator[0].weight, first)


def test_dcgan_weights_have_standard_deviation_002_and_no_bias():
    critic = DCGAN(width=64).critic((3, 32, 32), "none")
    DCGAN(width=64).initialise(critic, rng())
    for layer in (m for m in critic.modules() if isinstance(m, nn.Linear | nn.Conv2d)):
        assert layer.weight.std().item() == pytest.approx(0.02, rel=0.05)
        assert layer.weight.mean().item() == pytest.approx(0, abs=0.001)
        assert not layer.bias.any()


def test_mlp_weights_are_hes():
    """Var w = 2 / fan in, uniform (He et al. 2015, equation 10)."""
    network = MLP(width=200, depth=2)
    critic = network.critic((50,), "none")
    network.initialise(critic, rng())
    first, second = dense(critic)[:2]
    assert first.var().item() == pytest.approx(2 / 50, rel=0.05)
    assert second.var().item() == pytest.approx(2 / 200, rel=0.05)
    assert first.abs().max().item() == pytest.approx((6 / 50) ** 0.5, rel=0.01)


@pytest.mark.parametrize(("size", "layers"), [(8, 2), (16, 2), (28, 2), (32, 3), (64, 4)])
def test_dcgan_halves_down_to_its_base_and_doubles_its_channels(size, layers):
    critic = DCGAN(width=4).critic((3, size, size), "none")
    widths = [m.out_channels for m in critic.modules() if isinstance(m, nn.Conv2d)]
    assert widths == [4 * 2**layer for layer in range(layers)]


def test_no_bias_stands_before_batch_norm():
    """Its gradient is zero but for rounding, which Adam turns into noise; every other layer has
    one.
    """
    for network in (DCGAN(width=4), MLP(width=4)):
        for module in (network.critic((1, 8, 8), "batch"), network.generator((1, 8, 8), NOISE)):
            layers = [layer for layer in module if not isinstance(layer, nn.Unflatten)]
            for layer, after in itertools.pairwise(layers):
                if hasattr(layer, "bias") and not isinstance(
                    layer, nn.modules.batchnorm._BatchNorm
                ):
                    normed = isinstance(after, nn.modules.batchnorm._BatchNorm)
                    assert (layer.bias is None) == normed


def test_a_critics_batch_norm_scores_with_the_statistics_of_its_batch():
    network = DCGAN(width=4)
    critic = network.critic((1, 8, 8), "batch")
    network.initialise(critic, rng())
    x = torch.randn(6, 1, 8, 8, generator=rng())
    inner = critic[:3](x)  # convolution, leaky ReLU, convolution
    normed = critic[3](inner)
    assert isinstance(critic[3], nn.BatchNorm2d)
    mean, variance = inner.mean((0, 2, 3)), inner.var((0, 2, 3), correction=0)
    expected = (inner - mean.view(1, -1, 1, 1)) / (variance.view(1, -1, 1, 1) + 1e-5).sqrt()
    torch.testing.assert_close(normed, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [*REFUSED, (2,)])
def test_dcgan_refuses_other_shapes_when_configured(shape):
    with pytest.raises(ConfigError, match=r"network: .*square images of 8, 16, 28, 32, 64 pixels"):
        DCGAN().check(shape, "none", 64)


def test_a_configuration_of_an_impossible_network_is_refused():
    with pytest.raises(ConfigError, match=r"^network: dcgan cannot make samples of shape \(2,\)"):
        TrainConfig.from_plain({"dataset": "ring8", "network": "dcgan"})
    with pytest.raises(ConfigError, match=r"^critic_norm: 'instance' is not allowed"):
        TrainConfig.from_plain({"network": "mlp", "critic_norm": "instance"})


def test_new_state_takes_the_shape_of_its_data():
    data = Images("tiny", torch.zeros(5, 3, 16, 16, dtype=torch.uint8), torch.zeros(2, 3, 16, 16))
    state = new_state(small(), data)
    assert state.generator(torch.randn(2, 6, generator=rng())).shape == (2, 3, 16, 16)
    points = Density("line", (3,), lambda count, rng: torch.zeros(count, 3))
    state = new_state(small(network="mlp"), points)
    assert state.generator(torch.randn(2, 6, generator=rng())).shape == (2, 3)
