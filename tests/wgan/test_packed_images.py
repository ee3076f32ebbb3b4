"""DCGANs on digits in a pack are those DCGANs alone: convolutions as matrices, norms of maps."""

import pytest
import torch
from torch import nn

from tests.wgan.packs import TOLERANCE, check_pack_of, images
from tests.wgan.small import normal, registered, small
from wgan.components import ConfigError
from wgan.convolution import Conv2d, ConvTranspose2d, convolved_by_torch
from wgan.layers import input_shapes
from wgan.lipschitz import LipschitzMethod
from wgan.packed import unpackable
from wgan.packed.critics import ChainedCritic, StackedCritic, stacked_critic
from wgan.packed.networks import StackedNetwork, leaves
from wgan.packed.norms import in_batches
from wgan.packed.rules import _shape_after
from wgan.piecewise import LeakyReLU
from wgan.recipes import recipe_settings

METHODS = [made.name for made in registered(LipschitzMethod) if made.packable]
NORMS = ("none", "batch", "layer", "group", "instance")


def allowed():
    """Each packable method beside each normalisation that it stands."""
    for method in METHODS:
        for norm in NORMS:
            try:
                images(lipschitz=method, critic_norm=norm)
            except ConfigError:
                continue
            yield pytest.param(method, norm, id=f"{method}-{norm}")


@pytest.mark.parametrize("method", METHODS)
def test_a_short_training_by_each_method_is_as_alone(method):
    check_pack_of(images(lipschitz=method, steps=6))


@pytest.mark.parametrize("method", METHODS)
def test_a_short_training_in_strips_by_each_method_is_as_alone(method):
    check_pack_of(images(lipschitz=method, network={"dcgan": {"width": 40}}, steps=3))


@pytest.mark.slow
@pytest.mark.parametrize(("method", "norm"), list(allowed()))
def test_each_method_with_each_normalisation_trains_as_alone(method, norm):
    check_pack_of(images(lipschitz=method, critic_norm=norm))


@pytest.mark.parametrize("norm", [norm for norm in NORMS if norm != "none"])
def test_a_short_training_with_each_normalisation_is_as_alone(norm):
    check_pack_of(images(critic_norm=norm, lipschitz="r1", steps=6))


@pytest.mark.slow
@pytest.mark.parametrize("width", [4, 16, 40])
@pytest.mark.parametrize("recipe", ["gan", "wgan", "wgan_gp", "sngan", "r3gan"])
def test_each_recipe_trains_as_alone(recipe, width):
    settings = {**recipe_settings(recipe), "critic_steps": 2}
    check_pack_of(images(**settings, network={"dcgan": {"width": width}}))


@pytest.mark.parametrize(
    "settings",
    [
        {"network": {"dcgan": {"width": 4}}},
        {"network": {"dcgan": {"width": 8, "generator_norm": "none"}}},
        {"network": {"dcgan": {"width": 8, "generator_widths": "constant"}}},
        {"network": {"dcgan": {"width": 8, "generator_kind": "mlp"}}},
        {"loss": "relativistic", "ema": 0.5},
        {"lipschitz": {"all": ["spectral_norm", "gradient_penalty"]}},
        {"lipschitz": {"all": ["orthogonal_regularization", "weight_normalization"]}},
        {"lipschitz": {"gradient_penalty": {"every": 3}}},
        # More generated batches than pass through the generators together.
        {"critic_steps": 7, "steps": 3},
        {"critic_steps": 11, "steps": 2, "critic_norm": "batch", "lipschitz": "weight_clipping"},
    ],
    ids=str,
)
def test_what_else_a_short_training_has_is_as_alone(settings):
    check_pack_of(images(**{"steps": 6, "lipschitz": "gradient_penalty", **settings}))


# Layers by themselves, against torch's own convolutions.


def stacked_as_alone(networks, x):
    """What the stack makes of x, and the most by which it differs from each network's own."""
    with convolved_by_torch():
        expected = torch.stack([network(each) for network, each in zip(networks, x, strict=True)])
    made = StackedNetwork(networks)(x)
    assert made.shape == expected.shape
    assert (made - expected).abs().max() < TOLERANCE


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "maps"),
    [(4, 2, 1, (4, 6)), (3, 1, 1, (3, 5)), ((2, 3), (1, 2), (0, 1), (4, 5)), (1, 1, 0, (2, 2))],
)
def test_a_convolution_of_any_geometry_is_as_alone(kernel, stride, padding, maps, bias):
    networks = [
        nn.Sequential(Conv2d(3, 5, kernel, stride, padding, bias=bias)).double() for _ in range(3)
    ]
    stacked_as_alone(networks, normal(3, 4, 3, *maps))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "maps"),
    [(4, 2, 1, (2, 3)), (3, 1, 1, (3, 5)), ((2, 3), (1, 2), (0, 1), (4, 5))],
)
def test_a_transposed_convolution_of_any_geometry_is_as_alone(kernel, stride, padding, maps, bias):
    networks = [
        nn.Sequential(ConvTranspose2d(3, 5, kernel, stride, padding, bias=bias)).double()
        for _ in range(3)
    ]
    stacked_as_alone(networks, normal(3, 4, 3, *maps))


@pytest.mark.parametrize("channels", [3, 8])
@pytest.mark.parametrize("maps", [(), (3, 2)])
def test_batches_that_pass_together_have_statistics_of_their_own(channels, maps):
    made = nn.BatchNorm2d if maps else nn.BatchNorm1d
    norms = [nn.Sequential(made(channels, track_running_stats=False)).double() for _ in range(3)]
    for norm in norms:
        nn.init.normal_(norm[0].weight)
        nn.init.normal_(norm[0].bias)
    left, right = normal(3, 4, channels, *maps), 3 * normal(3, 4, channels, *maps, seed=1) + 2
    stack = StackedNetwork(norms)
    with in_batches(2):
        together = stack(torch.cat([left, right], dim=1))
    assert (together - torch.cat([stack(left), stack(right)], dim=1)).abs().max() < TOLERANCE
    for index, norm in enumerate(norms):
        assert (stack(left)[index] - norm(left[index])).abs().max() < TOLERANCE


@pytest.mark.parametrize("together", [1, 2, 3])
@pytest.mark.parametrize("channels", [3, 8])
def test_running_statistics_move_as_alone(channels, together):
    norms = [nn.Sequential(nn.BatchNorm2d(channels, momentum=0.3)).double() for _ in range(3)]
    stack = StackedNetwork(norms)
    batches = [(1 + seed) * normal(3, 4, channels, 3, 2, seed=seed) + seed for seed in range(6)]
    for start in range(0, 6, together):
        with in_batches(together):
            made = stack(torch.cat(batches[start : start + together], dim=1))
        for x, found in zip(batches[start:], made.chunk(together, dim=1), strict=False):
            each = torch.stack([norm(row) for norm, row in zip(norms, x, strict=True)])
            assert (found - each).abs().max() < TOLERANCE
    for name, buffer in stack.stack.buffers.items():
        expected = torch.stack([norm.get_buffer(name) for norm in norms])
        assert torch.allclose(buffer, expected, rtol=0, atol=TOLERANCE)


# How critics are differentiated.


@pytest.mark.parametrize(
    ("norm", "kind"), [("none", ChainedCritic), ("batch", StackedCritic), ("group", StackedCritic)]
)
def test_a_critic_of_convolutions_and_leaky_relu_is_differentiated_by_hand(norm, kind):
    networks = [images().network.critic((1, 8, 8), norm).double() for _ in range(2)]
    assert type(stacked_critic(networks)) is kind


@pytest.mark.parametrize("width", [4, 40])
def test_by_hand_maps_of_several_channels_have_the_scores_and_slopes_of_each_alone(width):
    config = images(network={"dcgan": {"width": width}})
    networks = [config.network.critic((3, 8, 8), "none").double() for _ in range(3)]
    stacked = stacked_critic(networks)
    assert type(stacked) is ChainedCritic
    real, fake, points = (normal(3, 4, 3, 8, 8, seed=seed) for seed in range(3))
    judged = stacked.judge([real, fake], points)
    points = points.clone().requires_grad_()
    (slopes,) = torch.autograd.grad(stacked(points).sum(), points)
    assert (slopes - judged.gradients).abs().max() < TOLERANCE
    with convolved_by_torch():
        for index, network in enumerate(networks):
            for scores, batch in zip(judged.scores, (real, fake), strict=True):
                assert (scores[index] - network(batch[index])).abs().max() < TOLERANCE
            (slope,) = torch.autograd.grad(network(points[index]).sum(), points)
            assert (slope[index] - judged.gradients[index]).abs().max() < TOLERANCE


@pytest.mark.parametrize(
    "change",
    [
        lambda layers: layers.__setitem__(1, LeakyReLU(0.1)),
        lambda layers: layers.__setitem__(1, nn.Tanh()),
        lambda layers: layers.__setitem__(3, LeakyReLU(-0.2)),
        lambda layers: layers.__setitem__(2, Conv2d(8, 16, 4, 2, 1, bias=False)),
    ],
    ids=["two slopes", "tanh", "negative slope", "no bias"],
)
def test_a_critic_that_is_no_chain_of_one_slope_is_differentiated_by_autograd(change):
    networks = [images().network.critic((1, 8, 8), "none").double() for _ in range(2)]
    for network in networks:
        change(network)
    stacked = stacked_critic(networks)
    assert type(stacked) is StackedCritic


def test_a_penalty_under_autograd_pushes_no_zeros_through_the_critic():
    networks = [images().network.critic((1, 8, 8), "group").double() for _ in range(2)]
    stacked = stacked_critic(networks)
    judged = stacked.judge([normal(2, 3, 1, 8, 8)] * 2, normal(2, 3, 1, 8, 8))
    seen, waiting = set(), [judged.gradients.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            waiting += [after for after, _ in node.next_functions]
    names = {node.name() for node in seen}
    assert any("_Rectified" in name for name in names)
    assert "LeakyReluBackward0" not in names


# What cannot be packed says why.


def why(**settings):
    return unpackable(small(**{"batch_size": 64, "noise_size": 64, **settings}))


def test_a_convolution_that_is_no_small_matrix_is_named_with_its_maps():
    reason = why(network={"dcgan": {"width": 256}})
    assert "the critic's 0, Conv2d, cannot be stacked" in reason
    assert "8 x 8 and 1 channels become 256" in reason
    assert "8 x 8 and 1 channels become 16" in why(network={"sn_cnn": {"width": 16}})
    assert "a layer that cannot be stacked: Residual" in why(network="resnet")
    assert why(network={"dcgan": {"width": 32}}) is None
    assert why(network={"dcgan": {"width": 64}}) is None


def test_kernels_that_fill_no_whole_vectors_are_refused():
    assert "does not fill whole vectors" in why(network={"dcgan": {"width": 3}}, noise_size=5)
    assert "batches of 16" in why(network={"dcgan": {"width": 16}}, batch_size=16)


# On a GPU, where a stack's convolutions are matrices too though a single network's are not.


@pytest.mark.gpu
@pytest.mark.parametrize("recipe", ["gan", "wgan_gp", "sngan"])
def test_each_kind_of_recipe_trains_on_a_gpu_as_alone(recipe):
    settings = {**recipe_settings(recipe), "critic_steps": 2, "steps": 30}
    check_pack_of(images(**settings), "cuda")


# What is asked before anything is built.


@pytest.mark.parametrize("width", [4, 24, 64])
@pytest.mark.parametrize("kind", ["convolutional", "mlp"])
def test_shapes_are_reckoned_as_a_pass_finds_them(width, kind):
    network = images(network={"dcgan": {"width": width, "generator_kind": kind}}).network
    for module, shape in (
        (network.generator((1, 8, 8), 8), (8,)),
        (network.critic((1, 8, 8), "layer"), (1, 8, 8)),
    ):
        passed = input_shapes(module, shape)
        for _, layer in leaves(module):
            assert shape == tuple(passed[layer])
            shape = _shape_after(layer, shape)
