"""The machinery under the methods that reparametrise layers, and GroupSort."""

from __future__ import annotations

import copy

import pytest
import torch
from small import DIGITS, largest_gap, normal, rng
from torch import nn

from wgan.components import ConfigError
from wgan.convolution import Conv2d
from wgan.layers import (
    GroupSort,
    effective_weight,
    input_shapes,
    linear_layers,
    reparametrise,
)
from wgan.lipschitz import GradientPenalty, LipschitzNetwork, Orthonormal
from wgan.networks import DCGAN, MLP
from wgan.once import weights_computed_once


class Doubled(nn.Module):
    """Counts how often it is asked."""

    def __init__(self, costly: bool = False) -> None:
        super().__init__()
        self.costly, self.asked = costly, 0

    def forward(self, weight):
        self.asked += 1
        return 2 * weight


@pytest.mark.parametrize(
    ("layer", "shape"), [(nn.Linear(3, 2), (4, 3)), (Conv2d(3, 2, 3, 2, 1), (4, 3, 5, 5))]
)
def test_a_layer_computes_with_its_effective_weight(layer, shape):
    plain, x = copy.deepcopy(layer), torch.randn(shape, generator=rng())
    raw, bias = layer.weight, layer.bias
    assert effective_weight(layer) is raw
    reparametrise(layer, Doubled())
    with torch.no_grad():
        plain.weight.mul_(2)
    assert torch.equal(effective_weight(layer), plain.weight)
    assert torch.equal(layer(x), plain(x))
    assert layer.weight is raw
    assert layer.bias is bias
    assert list(dict(layer.named_parameters())) == ["weight", "bias"]
    layer(x).sum().backward()
    plain(x).sum().backward()
    torch.testing.assert_close(raw.grad, 2 * plain.weight.grad)


def test_two_reparametrisations_are_refused():
    layer = nn.Linear(2, 2)
    reparametrise(layer, Doubled())
    with pytest.raises(ConfigError, match="do not go together"):
        reparametrise(layer, Doubled())


def test_a_weight_is_computed_once_per_forward():
    layer, x = nn.Linear(2, 2), torch.ones(1, 2)
    doubled = Doubled()
    reparametrise(layer, doubled)
    for count in (1, 2):
        layer(x)
        assert doubled.asked == count


def test_costly_weights_are_computed_once_in_a_stretch_and_anew_after_it():
    for costly, asked in ((True, 3), (False, 5)):
        layer, x = nn.Linear(2, 2), torch.ones(1, 2)
        doubled = Doubled(costly)
        reparametrise(layer, doubled)
        with weights_computed_once():
            first = layer(x)
            assert torch.equal(layer(x), first)
            with torch.no_grad():
                assert torch.equal(layer(x), first)
                layer(x)
        assert doubled.asked == asked - 1
        with torch.no_grad():
            layer.weight.mul_(3)
        assert not torch.equal(layer(x), first)
        assert doubled.asked == asked


def test_a_look_without_gradients_does_not_take_the_graph_from_the_next():
    layer, x = nn.Linear(2, 2), torch.ones(1, 2)
    reparametrise(layer, Doubled(costly=True))
    with weights_computed_once():
        with torch.no_grad():
            layer(x)
        layer(x).sum().backward()
    assert layer.weight.grad.any()


@pytest.mark.parametrize("network", [MLP(width=8), DCGAN(width=4)])
def test_gradients_are_the_same_with_weights_computed_once(network):
    """Of a whole critic step, gradient penalty included."""
    critic = network.critic(DIGITS.shape, "none")
    network.initialise(critic, rng())
    critic = LipschitzNetwork().wrap(critic.double(), DIGITS.shape)
    real, fake = normal(6, *DIGITS.shape, seed=1), normal(6, *DIGITS.shape, seed=2)

    def gradients() -> list[torch.Tensor]:
        loss = critic(fake).mean() - critic(real).mean()
        loss = loss + GradientPenalty().penalty(critic, real, fake, rng(3))
        return list(torch.autograd.grad(loss, list(critic.parameters()), allow_unused=True))[:-1]

    separate = gradients()
    with weights_computed_once():
        shared = gradients()
    assert largest_gap(separate, shared) < 1e-12
    assert all(gradient.any() for gradient in shared)


def test_shapes_are_those_of_one_sample_where_it_enters():
    critic = DCGAN(width=4).critic((1, 8, 8), "batch")
    before = copy.deepcopy(critic.state_dict())
    everybodys = torch.get_rng_state()
    shapes = input_shapes(critic, (1, 8, 8))
    assert torch.equal(torch.get_rng_state(), everybodys)
    layers = linear_layers(critic)
    assert [shapes[layer] for layer in layers.values()] == [(1, 8, 8), (4, 4, 4), (32,)]
    assert shapes[critic] == (1, 8, 8)
    assert all(torch.equal(value, before[name]) for name, value in critic.state_dict().items())
    assert not any(module._forward_pre_hooks for module in critic.modules())


def test_maxmin_is_the_smaller_and_the_larger_of_neighbours():
    x = torch.tensor([[3.0, 1.0, -1.0, 2.0]])
    assert torch.equal(GroupSort(2)(x), torch.tensor([[1.0, 3.0, -1.0, 2.0]]))


@pytest.mark.parametrize("shape", [(5, 1), (5, 6), (5, 7), (5, 8, 3, 3), (5, 9, 2, 2)])
@pytest.mark.parametrize("group_size", [2, 3, 4, 100])
def test_groupsort_permutes_within_groups(shape, group_size):
    """Every width serves: where the groups do not fit, the last one is smaller."""
    x = normal(*shape)
    y = GroupSort(group_size)(x)
    assert y.shape == x.shape
    for old, new in zip(x.split(group_size, dim=1), y.split(group_size, dim=1), strict=True):
        assert torch.equal(old.sort(dim=1).values, new)


@pytest.mark.parametrize("shape", [(64, 7), (64, 6, 2, 2)])
@pytest.mark.parametrize("group_size", [2, 4])
def test_groupsort_keeps_norms_of_points_and_gradients_and_no_distance_grows(shape, group_size):
    sort, x, y = GroupSort(group_size), normal(*shape).requires_grad_(), normal(*shape, seed=1)
    out = sort(x)
    torch.testing.assert_close(out.flatten(1).norm(dim=1), x.flatten(1).norm(dim=1))
    distances = (out - sort(y)).flatten(1).norm(dim=1)
    assert (distances <= (x - y).flatten(1).norm(dim=1) * (1 + 1e-12)).all()
    upstream = normal(*shape, seed=2)
    (gradient,) = torch.autograd.grad(out, x, upstream)
    torch.testing.assert_close(
        gradient.flatten(1).norm(dim=1), upstream.flatten(1).norm(dim=1), rtol=1e-12, atol=0
    )


def test_a_deep_copy_of_a_reparametrised_critic_computes_with_its_own_weights():
    critic = Orthonormal().wrap(MLP(width=8).critic((3,), "none"), (3,))
    copied, x = copy.deepcopy(critic), torch.randn(4, 3, generator=rng())
    with torch.no_grad():
        for parameter in copied.parameters():
            parameter.add_(0.5)
    assert not torch.equal(copied(x), critic(x))
