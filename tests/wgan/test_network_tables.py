"""The networks of the papers: their tables at full width, their first weights, and their arithmetic
against the same written plainly.
"""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from small import normal, rng
from torch import Tensor, nn
from torch.nn import functional as F

from wgan.components import ConfigError
from wgan.networks import DCGAN, MLP, Network, Residual, ResNet, StandardCNN


def at_full_width(network: Network, shape: tuple[int, ...], noise_size: int = 128):
    """Generator and critic without memory, and the sizes of the critic's maps."""
    with torch.device("meta"):
        generator, critic = network.generator(shape, noise_size), network.critic(shape, "none")
        assert generator(torch.empty(2, noise_size)).shape == (2, *shape)
    return generator, critic


def weights(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def convolutions(module: nn.Module) -> list[tuple[int, int, int]]:
    """(channels out, kernel, stride) of each convolution of a chain."""
    kinds = nn.Conv2d | nn.ConvTranspose2d
    layers = [layer for layer in module.modules() if isinstance(layer, kinds)]
    return [(layer.out_channels, layer.kernel_size[0], layer.stride[0]) for layer in layers]


def conv(inputs: int, outputs: int, kernel: int, bias: bool = True) -> int:
    """How many weights a convolution has."""
    return outputs * (inputs * kernel**2 + bias)


# Miyato et al. 2018, Table 3.


@pytest.mark.parametrize(("size", "base"), [(32, 4), (48, 6), (64, 8)])
def test_standard_cnn_is_that_of_the_table(size, base):
    generator, critic = at_full_width(StandardCNN(), (3, size, size))
    table = [(64, 3, 1), (64, 4, 2), (128, 3, 1), (128, 4, 2), (256, 3, 1), (256, 4, 2)]
    assert convolutions(critic) == [*table, (512, 3, 1)]
    assert convolutions(generator) == [(256, 4, 2), (128, 4, 2), (64, 4, 2), (3, 3, 1)]
    assert generator[0].out_features == base**2 * 512
    assert critic[-2].in_features == base**2 * 512
    assert {m.negative_slope for m in critic if isinstance(m, nn.LeakyReLU)} == {0.1}

    channels = [3, 64, 64, 128, 128, 256, 256, 512]
    expected = sum(
        conv(inputs, outputs, 3 if index % 2 == 0 else 4)
        for index, (inputs, outputs) in enumerate(itertools.pairwise(channels))
    )
    assert weights(critic) == expected + base**2 * 512 + 1
    if size == 32:
        assert weights(critic) == 2_935_873


@pytest.mark.parametrize(("size", "halvings"), [(8, 2), (16, 2), (28, 2)])
def test_standard_cnn_has_one_halving_less_on_small_images(size, halvings):
    generator, critic = at_full_width(StandardCNN(width=4), (1, size, size))
    strides = [stride for _, _, stride in convolutions(critic)]
    assert strides == [1, 2] * halvings + [1]
    assert [out for out, _, _ in convolutions(generator)] == [8, 4, 1]


# Miyato et al. 2018, Tables 4 and 5; Miyato and Koyama 2018.


def block(inputs: int, hidden: int, outputs: int, shortcut: bool = True, bias: bool = True) -> int:
    skip = conv(inputs, outputs, 1, bias) if shortcut else 0
    return conv(inputs, hidden, 3, bias) + conv(hidden, outputs, 3, bias) + skip


def doubling(inputs: int, outputs: int) -> int:
    """A block of the generator: no biases, two batch norms."""
    return block(inputs, outputs, outputs, bias=False) + 2 * inputs + 2 * outputs


@pytest.mark.parametrize(
    ("size", "generator_widths", "critic_blocks"),
    [
        # (channels in, channels out, whether halved)
        (32, [256] * 4, [(3, 128, True), (128, 128, True), *[(128, 128, False)] * 2]),
        (
            48,
            [512, 256, 128, 64],
            [*zip((3, 64, 128, 256), (64, 128, 256, 512), [True] * 4, strict=True), (512, 1024, 0)],
        ),
        (
            64,
            [1024, 512, 256, 128, 64],
            [*zip((3, 64, 128, 256, 512), (64, 128, 256, 512, 1024), [True] * 5, strict=True)],
        ),
    ],
)
def test_resnet_is_that_of_the_tables(size, generator_widths, critic_blocks):
    generator, critic = at_full_width(ResNet(), (3, size, size))
    sizes, image = [], torch.empty(2, 3, size, size, device="meta")
    for part in critic[: len(critic_blocks)]:
        assert isinstance(part, Residual)
        image = part(image)
        sizes.append((image.shape[1], image.shape[2]))
    halved = itertools.accumulate((bool(down) for *_, down in critic_blocks))
    channels = [outputs for _, outputs, _ in critic_blocks]
    assert sizes == [(c, size // 2**n) for c, n in zip(channels, halved, strict=True)]

    # The first block's hidden maps have as many channels as leave it, the others' as enter.
    first, *others = critic_blocks
    expected = block(3, first[1], first[1]) + channels[-1] + 1
    expected += sum(block(i, i, o, shortcut=bool(down) or i != o) for i, o, down in others)
    assert weights(critic) == expected

    base = size // 2 ** (len(generator_widths) - 1)
    expected = 129 * base**2 * generator_widths[0] + conv(generator_widths[-1], 3, 3)
    expected += sum(itertools.starmap(doubling, itertools.pairwise(generator_widths)))
    assert weights(generator) == expected + 2 * generator_widths[-1]


def test_resnet_leaves_out_only_the_biases_that_batch_norm_takes_away():
    """With them Table 4 has 4,276,739 and 1,053,825 weights; 9 biases of 256 channels are idle."""
    generator, critic = at_full_width(ResNet(), (3, 32, 32))
    assert weights(critic) == 1_053_825
    assert weights(generator) == 4_276_739 - 9 * 256


def plain_critic(critic: nn.Module, x: Tensor) -> Tensor:
    """Table 4 in the order of the paper's figure: each shortcut convolves, then halves."""
    layers = iter([m for m in critic.modules() if isinstance(m, nn.Conv2d | nn.Linear)])

    def conv2d(x: Tensor) -> Tensor:
        layer = next(layers)
        return F.conv2d(x, layer.weight, layer.bias, padding=layer.kernel_size[0] // 2)

    x = F.avg_pool2d(conv2d(F.relu(conv2d(x))), 2) + F.avg_pool2d(conv2d(x), 2)
    x = F.avg_pool2d(conv2d(F.relu(conv2d(F.relu(x)))), 2) + F.avg_pool2d(conv2d(x), 2)
    for _ in range(2):
        x = conv2d(F.relu(conv2d(F.relu(x)))) + x
    last = next(layers)
    return F.linear(F.relu(x).sum((2, 3)), last.weight, last.bias).squeeze(1)


def plain_generator(generator: nn.Module, noise: Tensor) -> Tensor:
    """Table 4: each shortcut doubles, then convolves."""

    def normed(x: Tensor) -> Tensor:
        centred = x - x.mean((0, 2, 3), keepdim=True)
        return F.relu(centred / (x.var((0, 2, 3), correction=0, keepdim=True) + 1e-5).sqrt())

    def double(x: Tensor) -> Tensor:
        return x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)

    first, *layers = [m for m in generator.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    remaining = iter(layers)
    x = F.linear(noise, first.weight, first.bias).view(len(noise), -1, 4, 4)
    for _ in range(3):
        one, two, skip = (next(remaining).weight for _ in range(3))
        branch = F.conv2d(double(normed(x)), one, padding=1)
        x = F.conv2d(normed(branch), two, padding=1) + F.conv2d(double(x), skip)
    last = next(remaining)
    return torch.tanh(F.conv2d(normed(x), last.weight, last.bias, padding=1))


def test_resnet_computes_what_the_table_says():
    network = ResNet(width=2)
    generator, critic = network.generator((3, 32, 32), 6), network.critic((3, 32, 32), "none")
    for module in (generator, critic):
        network.initialise(module, rng())
        module.double()
    with torch.no_grad():
        for parameter in critic.parameters():
            parameter.add_(0.05)  # biases, too, are at work
        images, noise = normal(3, 3, 32, 32), normal(5, 6)
        torch.testing.assert_close(critic(images), plain_critic(critic, images))
        torch.testing.assert_close(generator(noise), plain_generator(generator, noise))


def test_resnet_weights_are_glorots_and_larger_in_a_branch():
    """Uniform within gain sqrt(6 / (fan in + fan out)), gain sqrt(2) in a branch, biases 0."""
    network = ResNet(width=16)
    for module in (network.critic((3, 32, 32), "none"), network.generator((3, 32, 32), 64)):
        network.initialise(module, rng())
        for name, layer in module.named_modules():
            if isinstance(layer, nn.Linear | nn.Conv2d):
                area = layer.weight[0, 0].numel()
                fans = area * (layer.weight.shape[0] + layer.weight.shape[1])
                limit = math.sqrt(6 / fans) * (math.sqrt(2) if "branch" in name else 1)
                assert 0.85 * limit < layer.weight.abs().max() <= limit, name
                if layer.weight.numel() > 5000:
                    deviation = layer.weight.std().item()
                    assert deviation == pytest.approx(limit / math.sqrt(3), rel=0.03), name
                assert layer.bias is None or not layer.bias.any()


# Gulrajani et al. 2017, figure 1: critics of 12 layers.


def test_an_mlp_of_twelve_layers_is_twelve_layers():
    network = MLP(width=32, depth=12)
    critic = network.critic((2,), "none")
    network.initialise(critic, rng())
    layers = [layer for layer in critic if isinstance(layer, nn.Linear)]
    assert [layer.out_features for layer in layers] == [32] * 12 + [1]
    x = torch.randn(50, 2, generator=rng())
    hidden = x
    for layer in layers[:-1]:
        hidden = (hidden @ layer.weight.T + layer.bias).clamp(min=0)
    expected = (hidden @ layers[-1].weight.T + layers[-1].bias).squeeze(1)
    torch.testing.assert_close(critic(x), expected)
    assert len([m for m in network.generator((2,), 6) if isinstance(m, nn.Linear)]) == 13


def test_scores_of_an_mlp_neither_fade_nor_explode_with_depth():
    """He's weights keep their size through 12 layers, so that such a critic trains."""
    x = torch.randn(200, 2, generator=rng())
    sizes = []
    for seed in range(10):
        network = MLP(width=128, depth=12)
        critic = network.critic((2,), "none")
        network.initialise(critic, rng(seed))
        sizes.append(critic(x).std().item())
    assert 0.1 < torch.tensor(sizes).median() < 10


# Arjovsky et al. 2017, section 4.3: weakened generators against DCGAN's critic.


def test_the_dense_generator_has_four_layers_of_512():
    network = DCGAN(generator_kind="mlp", generator_norm="none")
    generator, critic = at_full_width(network, (3, 64, 64), 100)
    kinds = [type(layer) for layer in generator]
    assert kinds == [nn.Linear, nn.ReLU] * 4 + [nn.Linear, nn.Unflatten, nn.Tanh]
    assert weights(generator) == 512 * 101 + 3 * 512 * 513 + 3 * 64 * 64 * 513
    assert weights(critic) == weights(at_full_width(DCGAN(), (3, 64, 64))[1])


def test_the_constant_generator_has_one_width():
    generator, critic = at_full_width(DCGAN(generator_widths="constant"), (3, 64, 64))
    assert [out for out, _, _ in convolutions(generator)] == [64, 64, 64, 3]
    assert generator[0].out_features == 64 * 4 * 4
    assert [out for out, _, _ in convolutions(critic)] == [64, 128, 256, 512]


def test_what_does_not_go_together_in_a_weakened_generator_is_refused():
    dense = DCGAN(generator_kind="mlp")
    dense.check((1, 8, 8), "none", 2)
    with pytest.raises(ConfigError, match=r"^batch_size: 1 is not allowed with generator_kind mlp"):
        dense.check((1, 8, 8), "none", 1)
    both = DCGAN(generator_kind="mlp", generator_widths="constant")
    with pytest.raises(ConfigError, match=r"generator_widths: 'constant' is not allowed"):
        both.check((1, 8, 8), "none", 64)


def test_new_fields_of_dcgan_are_neutral_until_used():
    assert set(DCGAN().to_plain(for_id=True)["dcgan"]) == {"width", "generator_norm"}


# Radford et al. 2015; He et al. 2015.


@pytest.mark.parametrize("made", [DCGAN, StandardCNN])
def test_first_weights_have_standard_deviation_002_and_no_bias(made):
    critic = made(width=64).critic((3, 32, 32), "none")
    made(width=64).initialise(critic, rng())
    for layer in (m for m in critic.modules() if isinstance(m, nn.Linear | nn.Conv2d)):
        assert layer.weight.std().item() == pytest.approx(0.02, rel=0.05)
        assert layer.weight.mean().item() == pytest.approx(0, abs=0.001)
        assert not layer.bias.any()


def test_mlp_weights_are_hes():
    """Var w = 2 / fan in, uniform (He et al. 2015, equation 10)."""
    network = MLP(width=200, depth=2)
    critic = network.critic((50,), "none")
    network.initialise(critic, rng())
    first, second = [m.weight.detach() for m in critic if isinstance(m, nn.Linear)][:2]
    assert first.var().item() == pytest.approx(2 / 50, rel=0.05)
    assert second.var().item() == pytest.approx(2 / 200, rel=0.05)
    assert first.abs().max().item() == pytest.approx((6 / 50) ** 0.5, rel=0.01)


@pytest.mark.parametrize(("size", "layers"), [(8, 2), (16, 2), (28, 2), (32, 3), (64, 4)])
def test_dcgan_halves_down_to_its_base_and_doubles_its_channels(size, layers):
    critic = DCGAN(width=4).critic((3, size, size), "none")
    assert [out for out, _, _ in convolutions(critic)] == [4 * 2**layer for layer in range(layers)]


@pytest.mark.parametrize(
    ("made", "sizes"),
    [
        (DCGAN, "8, 16, 28, 32, 48, 64"),
        (StandardCNN, "8, 16, 28, 32, 48, 64"),
        (ResNet, "8, 16, 28, 32, 48, 64"),
    ],
)
def test_networks_of_images_name_the_sizes_they_make(made, sizes):
    for shape in [(1, 8, 16), (1, 12, 12), (3, 128, 128), (2, 3), (2,)]:
        with pytest.raises(ConfigError, match=f"square images of {sizes} pixels only"):
            made().check(shape, "none", 64)
