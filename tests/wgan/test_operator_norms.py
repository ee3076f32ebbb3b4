"""Operator norms against the singular values of whole matrices; bounds against measured slopes."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from bound_checks import steepness
from dense_matrices import CONVOLUTIONS, dense_matrix, singular_values
from small import DIGITS, follow, normal, rng, small
from torch import nn

from wgan.components import ConfigError
from wgan.layers import GroupSort, LinearMap, linear_layers
from wgan.lipschitz import LipschitzMethod, SpectralNorm
from wgan.networks import DCGAN, MLP
from wgan.operator_norms import layer_norms, lipschitz_upper_bound, operator_norm
from wgan.train import new_state


@pytest.mark.parametrize(("inputs", "outputs"), [(1, 1), (3, 5), (2, 1)])
@pytest.mark.parametrize(("kernel", "stride", "padding"), CONVOLUTIONS)
@pytest.mark.parametrize("size", [(4, 4), (7, 6)])
def test_norm_of_a_convolution_is_that_of_its_whole_matrix(
    inputs, outputs, kernel, stride, padding, size
):
    layer = nn.Conv2d(inputs, outputs, kernel, stride, padding).double()
    exact = singular_values(layer, (inputs, *size))[0]
    assert operator_norm(layer, (inputs, *size)) == pytest.approx(exact.item(), rel=1e-9)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (5, 8), (80, 70)])
def test_norm_of_a_dense_layer_is_its_largest_singular_value(shape):
    layer = nn.Linear(*shape)
    exact = singular_values(layer, (shape[0],))[0]
    assert operator_norm(layer, (shape[0],)) == pytest.approx(exact.item(), rel=1e-6)


@pytest.mark.parametrize(("kernel", "stride", "padding"), CONVOLUTIONS)
def test_transpose_is_the_transposed_matrix(kernel, stride, padding):
    layer, shape = nn.Conv2d(3, 2, kernel, stride, padding, bias=False).double(), (3, 7, 6)
    linear = LinearMap.of(layer, shape)
    weight, samples = layer.weight.detach(), normal(4, *shape)
    images = linear.apply(weight, samples)
    torch.testing.assert_close(images, layer(samples).detach(), rtol=1e-12, atol=1e-12)
    back = linear.transpose(weight, images)
    expected = images.flatten(1) @ dense_matrix(layer, shape)
    torch.testing.assert_close(back.flatten(1), expected, rtol=1e-10, atol=1e-10)


def test_the_norm_of_a_box_filter_tends_to_its_sum():
    """Nine ones: at most 9 on the infinite plane, approached on constant images as they grow; the
    reshaped kernel has norm 3.
    """
    layer = nn.Conv2d(1, 1, 3, padding=1, bias=False)
    nn.init.ones_(layer.weight)
    norms = [operator_norm(layer, (1, size, size)) for size in (4, 8, 16, 32)]
    assert norms == sorted(norms)
    assert 8.9 < norms[-1] < 9


def test_a_layer_of_zeros_has_norm_0_and_a_broken_one_none():
    layer = nn.Conv2d(1, 2, 3)
    nn.init.zeros_(layer.weight)
    assert operator_norm(layer, (1, 12, 12)) == 0
    nn.init.constant_(layer.weight, torch.inf)
    assert math.isnan(operator_norm(layer, (1, 12, 12)))


@pytest.mark.parametrize(
    "settings",
    [{"dilation": 2}, {"groups": 2}, {"padding_mode": "reflect"}, {"padding": "same"}],
)
def test_a_convolution_without_a_known_norm_is_refused(settings):
    layer = nn.Conv2d(2, 2, 3, **{"padding": 1, **settings})
    with pytest.raises(ConfigError, match="no known norm"):
        operator_norm(layer, (2, 8, 8))


def test_norms_are_those_of_the_effective_weights_under_their_names():
    state = new_state(small("sngan", network={"mlp": {"width": 8, "depth": 2}}), DIGITS)
    assert list(layer_norms(state.critic, DIGITS.shape)) == ["1", "3", "5"]
    SpectralNorm(power_iterations=300).after_step(state.critic)
    norms = layer_norms(state.critic, DIGITS.shape)
    assert list(norms.values()) == pytest.approx([1, 1, 1], rel=1e-6)


def chain(*factors: float) -> nn.Sequential:
    """Dense layers on two numbers that are multiples of the identity."""
    layers = [nn.Linear(2, 2) for _ in factors]
    for layer, factor in zip(layers, factors, strict=True):
        nn.init.eye_(layer.weight)
        layer.weight.data.mul_(factor)
    return nn.Sequential(*layers)


class Both(nn.Module):
    """Residual: branch plus shortcut."""

    def __init__(self, branch: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.branch, self.shortcut = branch, shortcut

    def forward(self, x):
        return self.branch(x) + self.shortcut(x)


class Tripled(nn.Module):
    def forward(self, x):
        return 3 * x

    def lipschitz_constant(self, input_shape):
        return 1.5 * len(input_shape) * input_shape[0]


@pytest.mark.parametrize(
    ("critic", "bound"),
    [
        (chain(3, 0.5), 1.5),
        (nn.Sequential(chain(3), nn.ReLU(), chain(2), nn.Tanh(), GroupSort(2)), 6),
        (nn.Sequential(chain(2), nn.LeakyReLU(0.2), nn.Flatten(), nn.Identity()), 2),
        (nn.Sequential(chain(2), nn.LeakyReLU(-3.0)), 6),
        (Both(chain(3, 2), nn.Identity()), 7),
        (nn.Sequential(Both(chain(3), chain(2)), nn.ReLU(), Both(chain(1), chain(1))), 10),
        (nn.Sequential(chain(2), Tripled()), 6),
        (nn.Sequential(chain(2), nn.LayerNorm(2)), math.inf),
        (nn.Sequential(chain(0), nn.BatchNorm1d(2, track_running_stats=False)), math.inf),
        (nn.Sequential(chain(2), nn.Sigmoid()), math.inf),
        (nn.Sequential(chain(2), nn.Sequential()), 2),
    ],
)
def test_bound_of_a_tree_of_modules_is_known(critic, bound):
    before = copy.deepcopy(critic.state_dict())
    assert lipschitz_upper_bound(critic, (2,)) == pytest.approx(bound, rel=1e-6)
    assert all(torch.equal(value, before[name]) for name, value in critic.state_dict().items())


def test_bound_of_a_critic_with_normalisation_is_infinite():
    for norm in ("batch", "layer", "instance", "group"):
        critic = DCGAN(width=4).critic((1, 8, 8), norm)
        assert lipschitz_upper_bound(critic, (1, 8, 8)) == math.inf


@pytest.mark.parametrize("network", [MLP(width=16, depth=2), DCGAN(width=4)])
@pytest.mark.parametrize("method", ["none", "spectral_norm", "weight_normalization", "orthonormal"])
def test_no_slope_exceeds_the_upper_bound(network, method):
    """Of random critics and of critics trained to tell."""
    config = small(
        network=network.to_plain(),
        lipschitz=method,
        critic_steps=10,
        steps=2,
        optimizer={"adam": {"lr": 0.01}},
    )
    state = new_state(config, DIGITS)
    for training in (False, True):
        if training:
            follow(config, state)
        bound = lipschitz_upper_bound(state.critic, DIGITS.shape)
        product = math.prod(layer_norms(state.critic, DIGITS.shape).values())
        assert bound == pytest.approx(product, rel=1e-9)
        noise = torch.randn(8, config.noise_size, generator=rng(3))
        fake = state.generator(noise).detach()
        found = steepness(state.critic, DIGITS.batch(8, rng(1)), fake, rounds=10)
        assert 0.02 * bound < found.largest <= bound * (1 + 1e-6)


def test_bound_of_one_linear_layer_is_reached():
    critic = MLP(width=8, depth=1).critic((3,), "none")
    state = nn.Sequential(critic[0], critic[1])
    (layer,) = linear_layers(state).values()
    direction = torch.linalg.svd(layer.weight.detach()).Vh[:1]
    reached = (state(direction) - state(torch.zeros(1, 3))).norm().item()
    assert lipschitz_upper_bound(state, (3,)) == pytest.approx(reached, rel=1e-5)


def test_a_wrapper_that_is_not_known_has_no_bound():
    class Wrapper(nn.Module):
        def __init__(self, critic):
            super().__init__()
            self.critic = critic

        def forward(self, x):
            return self.critic(x) / 2

    critic = Wrapper(MLP(width=8).critic((3,), "none"))
    assert lipschitz_upper_bound(critic, (3,)) == math.inf
    assert len(layer_norms(critic, (3,))) == 4
    assert LipschitzMethod.named("none")().bound is None
