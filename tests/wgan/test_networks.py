"""Every registered network on every shape: what it makes, or that it is refused when configured.

A new network's file is found and tested by what stands here; the papers' own numbers are in
`test_network_tables`.
"""

from __future__ import annotations

import copy
import dataclasses
import itertools

import pytest
import torch
from small import DIGITS, changed_singly, contents, follow, registered, rng, same, small
from torch import Tensor, nn

from wgan.components import ConfigError
from wgan.config import CRITIC_NORMS, TrainConfig
from wgan.convolution import Conv2d
from wgan.data import Density, Images
from wgan.networks import DCGAN, MLP, Network, ResNet, Shape, StandardCNN
from wgan.piecewise import LeakyReLU, ReLU
from wgan.random import stream
from wgan.train import new_state

IMAGES = [(1, 8, 8), (3, 16, 16), (1, 28, 28), (3, 32, 32), (3, 48, 48), (3, 64, 64)]
SHAPES = [(2,), (5,), *IMAGES]
NOISE = 6
every = pytest.mark.parametrize("made", registered(Network), ids=lambda made: made.name)


def narrow(network: Network) -> Network:
    """The same network with 8 units or channels where the default has 64 or more."""
    has_width = "width" in {item.name for item in dataclasses.fields(network)}
    return dataclasses.replace(network, width=8) if has_width else network


def possible(network: Network, shape: Shape, norm: str) -> bool:
    try:
        network.check(shape, norm, 64)
    except ConfigError:
        return False
    return True


def smallest(network: Network, images: bool = False) -> Shape:
    return next(s for s in SHAPES if possible(network, s, "none") and (len(s) == 3 or not images))


# Weights known to have no gradient, which to mend would orphan results: DCGAN's critic keeps its
# biases before instance norm; an MLP critic has batch norm after its first layer, too, and so sees
# no shift of a whole batch, such as the generator's last bias makes.
IDLE = {("dcgan", "instance"), ("mlp", "batch")}

# Each network on all its shapes with each norm; each of its fields changed, on the smallest.
CASES = [
    pytest.param(narrow(made()), shape, norm, id=f"{made.name}-{shape}-{norm}")
    for made, shape, norm in itertools.product(registered(Network), SHAPES, CRITIC_NORMS)
    if possible(narrow(made()), shape, norm)
] + [
    pytest.param(narrow(changed), smallest(changed, images=True), "none", id=f"{changed}")
    for made in registered(Network)
    for field, changed in changed_singly(made).items()
    if field != "width"
]


def begun(network: Network, shape: Shape, norm: str) -> tuple[nn.Module, nn.Module]:
    """A generator and a critic in float64."""
    generator, critic = network.generator(shape, NOISE), network.critic(shape, norm)
    network.initialise(generator, rng(1))
    network.initialise(critic, rng(2))
    return generator.double(), critic.double()


def noise(count: int, seed: int = 3) -> Tensor:
    return torch.randn(count, NOISE, generator=rng(seed), dtype=torch.float64)


@pytest.mark.parametrize(("network", "shape", "norm"), CASES)
def test_network_makes_its_shapes(network, shape, norm):
    generator, critic = begun(network, shape, norm)
    before = copy.deepcopy(critic.state_dict())

    samples = generator(noise(4))
    assert samples.shape == (4, *shape)
    assert samples.dtype == torch.float64
    if len(shape) == 3:
        assert samples.abs().max() <= 1
    scores = critic(samples)
    assert scores.shape == (4,)
    assert scores.std() > 1e-8, "the critic is constant"

    # No weight is there for nothing: where a true gradient is zero, only rounding would train it.
    (scores * torch.linspace(1, 2, 4, dtype=torch.float64)).sum().backward()
    for module in (generator, critic):
        sizes = {name: p.grad.norm().item() for name, p in module.named_parameters()}
        idle = {name for name, size in sizes.items() if size <= 1e-11 * max(sizes.values())}
        if (network.name, norm) in IDLE:
            idle = {name for name in idle if not name.endswith("bias")}
        assert not idle

    # A critic keeps no running statistics: neither a forward nor its mode changes what it says.
    assert same(before, critic.state_dict())
    assert not any("running" in name for name in critic.state_dict())
    assert torch.equal(critic.eval()(samples), scores)

    # A score is of one sample, unless batch norm couples them.
    with torch.no_grad():
        alone = critic.train()(torch.cat([samples[:1], -samples[1:]]))[0]
    assert (abs(alone - scores[0]) < 1e-10 * scores.abs().max()) == (norm != "batch")


@every
def test_images_stay_in_range_whatever_the_weights(made):
    network = narrow(made())
    generator, _ = begun(network, smallest(network, images=True), "none")
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.mul_(300)
    images = generator(noise(16))
    assert 0.99 < images.abs().max() <= 1


@every
def test_weights_depend_on_the_stream_alone(made):
    """Every weight of a layer comes from the stream, and the global generator is left as it is."""
    network = narrow(made())
    shape = smallest(network)

    def weights(seed: int) -> dict[str, Tensor]:
        networks = nn.ModuleList([network.generator(shape, NOISE), network.critic(shape, "none")])
        everybodys = torch.get_rng_state()
        network.initialise(networks, rng(seed))
        assert torch.equal(torch.get_rng_state(), everybodys)
        return dict(networks.state_dict())

    first, second = weights(1), weights(2)
    assert same(first, weights(1))
    matrices = [name for name, weight in first.items() if weight.dim() >= 2]
    assert len(matrices) > 3
    assert not any(torch.equal(first[name], second[name]) for name in matrices)


@every
def test_equal_seeds_give_equal_layers_under_every_critic_norm(made):
    network, plain = narrow(made()), None
    shape = smallest(network, images=True)
    for norm in CRITIC_NORMS:
        if possible(network, shape, norm):
            critic = network.critic(shape, norm)
            network.initialise(critic, rng(4))
            layers = [m for m in critic.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
            plain = plain or [layer.weight for layer in layers]
            assert same([layer.weight for layer in layers], plain), norm
    assert possible(network, shape, "batch"), "compared with nothing"


@every
def test_a_network_says_what_it_cannot_make(made):
    """Any shape is made or refused by `check`, in a sentence; none fails while it is built."""
    for shape in [(1, 8, 16), (1, 12, 12), (3, 128, 128), (2, 3), (2,), (1, 9, 9)]:
        if possible(made(), shape, "none"):
            assert narrow(made()).generator(shape, NOISE)(noise(2).float()).shape == (2, *shape)
        else:
            with pytest.raises(ConfigError, match=rf"^network: {made.name} cannot make .*only$"):
                made().check(shape, "none", 64)
    for norm in CRITIC_NORMS:
        if not possible(made(), smallest(made()), norm):
            with pytest.raises(ConfigError, match=f"^critic_norm: '{norm}' is not allowed"):
                made().check(smallest(made()), norm, 64)


@pytest.mark.parametrize("made", [DCGAN, ResNet, StandardCNN])
def test_networks_of_images_know_every_norm(made):
    assert all(possible(made(), (3, 32, 32), norm) for norm in CRITIC_NORMS)


def normed(module: nn.Module) -> int:
    return sum(isinstance(layer, nn.GroupNorm) for layer in module.modules())


@pytest.mark.parametrize("made", [DCGAN, StandardCNN])
def test_all_layers_of_a_critic_are_normalised_but_the_first_and_the_last(made):
    critic = made(width=4).critic((3, 32, 32), "layer")
    kinds = [type(layer) for layer in critic]
    assert kinds[:3] == [Conv2d, LeakyReLU, Conv2d]
    assert kinds[2:-3] == [Conv2d, nn.GroupNorm, LeakyReLU] * (len(kinds[2:-3]) // 3)
    assert normed(critic) == kinds.count(Conv2d) - 1


def test_all_blocks_of_a_resnet_critic_are_normalised_but_the_first():
    """Before both of their activations."""
    critic = ResNet(width=4).critic((3, 48, 48), "layer")
    assert [normed(part) for part in critic] == [0, 2, 2, 2, 2, *[0] * 4]
    for part in critic[1:5]:
        kinds = [type(layer) for layer in part.branch]
        assert kinds[:6] == [nn.GroupNorm, ReLU, Conv2d] * 2


@every
@pytest.mark.parametrize("recipe", ["wgan_gp", "sngan"])
def test_every_network_trains(made, recipe):
    """Two steps move every weight; the penalty reaches through each layer twice."""
    config = small(recipe, network={made.name: {"width": 4}}, steps=2, critic_steps=2)
    state = new_state(config, DIGITS)
    before = contents(state)
    follow(config, state)
    for name, module in (("generator", state.generator), ("critic", state.critic)):
        for key, weight in module.named_parameters():
            still = torch.equal(weight, before[name][key])
            # What is added to every score changes neither distance nor penalty.
            assert still == (recipe == "wgan_gp" and weight is last_bias(state.critic)), key


def last_bias(critic: nn.Module) -> Tensor:
    return list(critic.parameters())[-1]


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


@pytest.mark.parametrize("made", [DCGAN, MLP, StandardCNN])
def test_no_bias_stands_before_batch_norm(made):
    """Its gradient is zero but for rounding, which Adam turns into noise; every other layer of a
    chain has one.
    """
    network = made(width=4)
    for module in (network.critic((1, 8, 8), "batch"), network.generator((1, 8, 8), NOISE)):
        layers = [layer for layer in module if not isinstance(layer, nn.Unflatten)]
        for layer, after in itertools.pairwise(layers):
            if hasattr(layer, "bias") and not isinstance(layer, nn.modules.batchnorm._BatchNorm):
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
