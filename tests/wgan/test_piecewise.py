"""Piecewise linear layers that push no zeros: every bit is as torch's own layers give it."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from small import DIGITS, normal, rng, same, small
from stock_layers import our_gradients, replaced, stock_gradients, with_stock_layers
from torch import nn

from wgan.components import ConfigError
from wgan.config import CRITIC_NORMS, TrainConfig
from wgan.diagnostics.cost import Flops
from wgan.lipschitz import LipschitzMethod
from wgan.lipschitz.gradient_penalty import gradient_norms
from wgan.networks import DCGAN, MLP, Network, ResNet, StandardCNN
from wgan.networks.base import Downsample
from wgan.piecewise import LeakyReLU, ReLU, differentiated_twice
from wgan.train import new_state

METHODS = sorted(LipschitzMethod.registry)
NETWORKS = sorted(Network.registry)
PENALTIES = ("gradient_penalty", "gradient_normalization", "dragan")


def configured(method: str, network: str, critic_norm: str, **settings: object) -> TrainConfig:
    return small(
        lipschitz=method,
        network={network: {"width": 8}},
        critic_norm=critic_norm,
        seed=3,
        **settings,
    )


def allowed(*combination: str) -> bool:
    try:
        configured(*combination)
    except ConfigError:
        return False
    return True


NORMED = [
    combination
    for combination in itertools.product(PENALTIES, NETWORKS, set(CRITIC_NORMS) - {"none"})
    if allowed(*combination)
]


def both(*combination: str, **settings: object):
    """The gradients of one critic update: ours, and stock autograd's."""
    config = configured(*combination, **settings)
    state = new_state(config, DIGITS)
    dtype = next(state.critic.parameters()).dtype
    real = DIGITS.batch(8, rng(1)).to(dtype)
    noise = torch.randn(8, config.noise_size, generator=rng(2), dtype=dtype)
    with torch.no_grad():
        fake = copy.deepcopy(state.generator)(noise)
    stock = stock_gradients(state.critic, config, real, fake, {f"penalty:{config.method}": rng(4)})
    return our_gradients(state, config, real, noise, {f"penalty:{config.method}": rng(4)}), stock


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("method", METHODS)
def test_an_update_s_gradients_are_stock_autograd_s_bit_for_bit(method, network):
    ours, stock = both(method, network, "none")
    assert same(ours, stock)
    # No optimizer passes a parameter by that it would have moved.
    assert not any(gradient is None for gradient in ours)


def test_they_are_under_every_normalisation():
    assert len(NORMED) > 30
    for combination in sorted(NORMED):
        ours, stock = both(*combination)
        assert same(ours, stock), combination
        assert not any(gradient is None for gradient in ours), combination


@pytest.mark.parametrize("method", PENALTIES)
def test_they_are_in_double_precision(method):
    assert same(*both(method, "resnet", "none", precision="float64"))


def applied(layer: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    """The layer's values, its slope and two further derivatives, of some smooth function of it."""
    x = x.detach().requires_grad_()
    outside = 1.3 * x  # not a leaf, as between layers
    derivatives = [layer(outside)]
    value = (derivatives[0] ** 3).sum()
    for _ in range(3):
        (slope,) = torch.autograd.grad(value, x, create_graph=True)
        derivatives.append(slope)
        value = (slope**2).sum()
    return [derivative.detach() for derivative in derivatives]


LAYERS = [
    (ReLU(), nn.ReLU()),
    (LeakyReLU(0.2), nn.LeakyReLU(0.2)),
    (LeakyReLU(0.0), nn.LeakyReLU(0.0)),
    (LeakyReLU(-0.5), nn.LeakyReLU(-0.5)),
    (Downsample(), nn.AvgPool2d(2)),
]


@pytest.mark.parametrize(("ours", "stock"), LAYERS)
@pytest.mark.parametrize("shape", [(3, 2, 4, 4), (2, 3, 5, 7), (1, 1, 2, 3)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_derivatives_up_to_the_third_are_torch_s_bit_for_bit(ours, stock, shape, dtype):
    x = normal(*shape).to(dtype)
    x[0, 0, 0] = 0.0  # at the kink
    with differentiated_twice():
        found = applied(ours, x)
    assert same(found, applied(stock, x))


@pytest.mark.parametrize("layer", [ours for ours, _ in LAYERS])
def test_derivatives_up_to_the_third_are_those_of_differences(layer):
    x = normal(2, 2, 4, 4, seed=1).requires_grad_()

    def sparing(at):
        with differentiated_twice():
            return layer(at) ** 3

    def slope(at):
        return torch.autograd.grad(sparing(at).sum(), at, create_graph=True)[0]

    torch.autograd.gradcheck(sparing, x)
    torch.autograd.gradgradcheck(sparing, x)
    torch.autograd.gradgradcheck(slope, x)


@pytest.mark.parametrize(("ours", "stock"), LAYERS)
def test_what_is_not_a_number_stays_none(ours, stock):
    x = torch.tensor([float("nan"), float("inf"), -float("inf"), -0.0]).view(1, 1, 2, 2)
    with differentiated_twice():
        found = applied(ours, x)
    for left, right in zip(found, applied(stock, x), strict=True):
        torch.testing.assert_close(left, right, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize(("ours", "stock"), LAYERS)
def test_without_a_second_derivative_the_layers_are_torch_s_own(ours, stock):
    x = normal(2, 2, 4, 4).requires_grad_()
    assert type(ours(x).grad_fn) is type(stock(x).grad_fn)
    with differentiated_twice(), torch.no_grad():
        assert not ours(x).requires_grad


@pytest.mark.parametrize(("ours", "stock"), LAYERS)
def test_vmap_sees_torch_s_own_layers(ours, stock):
    x = normal(3, 2, 2, 4, 4)
    with differentiated_twice():
        found = torch.func.vmap(torch.func.grad(lambda at: (ours(at) ** 2).sum()))(x)
    assert torch.equal(
        found, torch.func.vmap(torch.func.grad(lambda at: (stock(at) ** 2).sum()))(x)
    )


def test_a_copy_and_a_state_dict_hold_what_torch_s_layers_hold():
    critic = DCGAN(width=4).critic((1, 8, 8), "none")
    stock = with_stock_layers(critic)
    assert list(critic.state_dict()) == list(stock.state_dict())
    assert repr(copy.deepcopy(critic)) == repr(critic)


def arithmetic(critic: nn.Module, shape: tuple[int, ...], inputs: list[nn.Parameter] | None) -> int:
    """What an update counts, its fakes given: two scores, a penalty, and the way back from both."""
    real, fake = torch.rand(2, *shape), torch.rand(2, *shape)
    with Flops() as flops:
        loss = critic(fake).mean() - critic(real).mean()
        (loss + (gradient_norms(critic, real) - 1).square().mean()).backward(inputs=inputs)
    return flops.total


# A pass forward costs F; stock: 3 F forward, 4 F back, F for the slope, 2 F back from it and 2 F of
# zeros; what is not needed is a sixth. The first layer of a dense critic is most of it, and the
# zeros' way to the points, which nobody asks for, then counts more.
SHARES = [
    (DCGAN(width=128), "none", 0.833),
    (StandardCNN(), "none", 0.833),
    (ResNet(), "none", 0.833),
    (MLP(width=512), "none", 0.810),
    (MLP(width=64), "none", 0.802),
    (ResNet(), "layer", 0.993),  # a norm's slope moves with its input
]


@pytest.mark.parametrize(("network", "norm", "share"), SHARES)
def test_an_update_with_a_penalty_needs_this_share_of_stock_arithmetic(network, norm, share):
    critic = network.critic((3, 32, 32), norm)
    stock = with_stock_layers(critic)
    assert replaced(critic) > 2
    assert replaced(stock) == 0
    ours = arithmetic(critic, (3, 32, 32), list(critic.parameters()))
    assert ours / arithmetic(stock, (3, 32, 32), None) == pytest.approx(share, abs=1e-3)
