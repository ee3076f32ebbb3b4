"""The network that is 1-Lipschitz by construction: its layers, its promise, and W1 by it."""

from __future__ import annotations

import math

import pytest
import torch
from bound_checks import assert_bounded, steepness
from small import DIGITS, follow, normal, rng, small
from torch import Tensor, nn

from wgan.components import ConfigError
from wgan.config import CRITIC_NORMS
from wgan.exact import exact_w1
from wgan.layers import GroupSort, effective_weight, linear_layers
from wgan.lipschitz import LipschitzNetwork
from wgan.networks import DCGAN, MLP, Network
from wgan.once import weights_computed_once
from wgan.operator_norms import layer_norms, lipschitz_upper_bound
from wgan.train import new_state

PLACES = [(MLP(width=16, depth=2), (1, 8, 8)), (DCGAN(width=4), (1, 8, 8)), (MLP(width=9), (2,))]


def critic_of(network: Network, shape: tuple[int, ...], **settings: int) -> nn.Module:
    critic = network.critic(shape, "none")
    network.initialise(critic, rng())
    return LipschitzNetwork(**settings).wrap(critic, shape)


def gap(critic: nn.Module, real: Tensor, fake: Tensor) -> float:
    with torch.no_grad():
        return (critic(real).mean() - critic(fake).mean()).item()


@pytest.mark.parametrize(("network", "shape"), PLACES)
def test_every_activation_is_replaced_and_every_layer_rebuilt(network, shape):
    critic = critic_of(network, shape, group_size=4)
    assert not any(isinstance(module, nn.ReLU | nn.LeakyReLU) for module in critic.modules())
    sorts = [module for module in critic.modules() if isinstance(module, GroupSort)]
    assert len(sorts) == len(linear_layers(critic)) - 1
    assert {sort.group_size for sort in sorts} == {4}
    assert all(hasattr(layer, "reparametrisation") for layer in linear_layers(critic).values())


@pytest.mark.parametrize(("network", "shape"), PLACES)
def test_every_layer_has_norm_at_most_1_and_dense_ones_have_1(network, shape):
    critic = critic_of(network, shape)
    norms = layer_norms(critic, shape)
    for name, layer in linear_layers(critic).items():
        least = 0.3 if isinstance(layer, nn.Conv2d) else 1 - 1e-6
        assert least <= norms[name] <= 1 + 1e-6
    assert lipschitz_upper_bound(critic, shape) == pytest.approx(math.prod(norms.values()))


def test_the_last_layer_is_its_weight_divided_by_its_length():
    critic = critic_of(MLP(width=8), (2,))
    *_, last = linear_layers(critic).values()
    torch.testing.assert_close(
        effective_weight(last), last.weight / last.weight.norm(), rtol=1e-6, atol=1e-7
    )


def test_a_critic_of_dense_layers_as_wide_as_its_input_loses_no_slope():
    """All its layers are orthogonal and GroupSort permutes: the slope is 1 everywhere."""
    critic = critic_of(MLP(width=6, depth=3), (6,), iterations=60).double()
    points = normal(50, 6).requires_grad_()
    (slopes,) = torch.autograd.grad(critic(points).sum(), points)
    norms = slopes.norm(dim=1)
    torch.testing.assert_close(norms, torch.ones_like(norms), rtol=1e-9, atol=0)


@pytest.mark.parametrize("network", [{"mlp": {"width": 8}}, {"dcgan": {"width": 4}}])
@pytest.mark.parametrize("optimizer", [{"adam": {"lr": 3.0}}, {"rmsprop": {"lr": 0.5}}])
def test_the_bound_survives_violent_training(network, optimizer):
    config = small(
        network=network,
        lipschitz="lipschitz_network",
        optimizer=optimizer,
        critic_steps=2,
        steps=6,
    )
    state = new_state(config, DIGITS)
    follow(config, state)
    fake = state.generator(torch.randn(8, config.noise_size, generator=rng(2))).detach()
    assert max(p.detach().abs().max() for p in state.critic.parameters()) > 1
    assert_bounded(state.critic, LipschitzNetwork().bound, DIGITS.batch(8, rng(1)), fake)
    assert all(norm <= 1 + 1e-6 for norm in layer_norms(state.critic, DIGITS.shape).values())


@pytest.mark.parametrize("value", [1e-30, 1e-6, 1e12])
def test_the_bound_holds_for_weights_of_any_size_and_of_deficient_rank(value):
    for network, shape in PLACES:
        critic = critic_of(network, shape)
        for layer in linear_layers(critic).values():
            nn.init.constant_(layer.weight, value)
        norms = layer_norms(critic, shape)
        assert all(norm <= 1 + 1e-6 for norm in norms.values()), norms


def test_normalisation_in_the_critic_is_refused():
    for norm in CRITIC_NORMS:
        if norm == "none":
            LipschitzNetwork().check(norm)
            continue
        with pytest.raises(ConfigError, match="would void its bound") as raised:
            LipschitzNetwork().check(norm)
        assert raised.value.path == ("critic_norm",)


def test_a_convolution_that_cannot_be_bounded_is_refused():
    for settings in ({"dilation": 2}, {"groups": 2}, {"padding_mode": "reflect", "padding": 1}):
        with pytest.raises(ConfigError, match="cannot be bounded"):
            LipschitzNetwork().wrap(nn.Sequential(nn.Conv2d(2, 2, 3, **settings)), (2, 8, 8))


def trained_to_tell(
    critic: nn.Module, real, fake, steps: int, lr: float = 1e-2, batch: int = 256
) -> nn.Module:
    """Adam with a rate that falls to 0 along a line, on E f(real) - E f(fake)."""
    draws = rng(4)
    optimizer = torch.optim.Adam(critic.parameters(), lr=lr, betas=(0.9, 0.99))
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = lr * (1 - step / steps)
        with weights_computed_once():
            loss = critic(fake(batch, draws)).mean() - critic(real(batch, draws)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return critic


def gaussian(mean: float, size: int):
    shift = torch.full((size,), mean / size**0.5)
    return lambda count, draws: torch.randn(count, size, generator=draws) + shift


def ring(count: int, draws: torch.Generator) -> Tensor:
    angles = torch.randint(8, (count,), generator=draws) * (math.pi / 4)
    return 2 * torch.stack([angles.cos(), angles.sin()], dim=1)


@pytest.mark.parametrize("size", [2, 16])
def test_shift_of_a_gaussian_is_estimated_to_5_percent(size):
    """W1 = |shift|. Tested on coupled samples, where each pair differs by at most |shift|."""
    real, fake = gaussian(2.0, size), gaussian(0.0, size)
    critic = critic_of(MLP(width=16, depth=2), (size,))
    trained_to_tell(critic, real, fake, steps=150, lr=0.02)
    estimate = gap(critic, real(4000, rng(1)), fake(4000, rng(1)))
    assert 0.95 * 2 < estimate <= 2 * (1 + 1e-5)


def test_the_estimate_never_exceeds_exact_w1_on_the_same_samples():
    real, fake = ring(200, rng(1)), gaussian(0.0, 2)(200, rng(2))
    exact = exact_w1(real, fake)
    critic = critic_of(MLP(width=16, depth=3), (2,), group_size=4)
    for _ in range(3):
        trained_to_tell(critic, lambda n, d: real, lambda n, d: fake, steps=40, lr=0.02)
        estimate = gap(critic, real, fake)
        assert 0.7 * exact < estimate <= exact + 1e-4


@pytest.mark.slow
@pytest.mark.parametrize(("size", "lr"), [(2, 1e-2), (16, 1e-2), (64, 1e-2)])
def test_shifts_in_more_dimensions_are_estimated_to_5_percent(size, lr):
    real, fake = gaussian(1.0, size), gaussian(0.0, size)
    critic = critic_of(MLP(width=64, depth=3), (size,), group_size=8)
    trained_to_tell(critic, real, fake, steps=600, lr=lr)
    estimate = gap(critic, real(20000, rng(1)), fake(20000, rng(1)))
    assert 0.95 < estimate <= 1 + 1e-5


@pytest.mark.slow
def test_noiseless_ring_is_estimated_to_5_percent():
    """Against N(0, I): W1 = E min_k |y - m_k| = .9665."""
    critic = critic_of(MLP(width=64, depth=3), (2,), group_size=8)
    trained_to_tell(critic, ring, gaussian(0.0, 2), steps=1200)
    estimate = gap(critic, ring(40000, rng(1)), gaussian(0.0, 2)(40000, rng(2)))
    assert 0.95 * 0.9665 < estimate < 1.01 * 0.9665


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["constant", "random"])
def test_shift_of_images_is_estimated_by_convolutions(kind):
    """|shift| = 2 along a constant image, which convolutions see well, and along a random one."""
    shift = (
        torch.ones(1, 16, 16) if kind == "constant" else torch.randn(1, 16, 16, generator=rng(9))
    )
    shift = 2 * shift / shift.norm()

    def noise(count: int, draws: torch.Generator) -> Tensor:
        return torch.randn(count, 1, 16, 16, generator=draws)

    critic = critic_of(DCGAN(width=16), (1, 16, 16))
    trained_to_tell(critic, lambda n, d: noise(n, d) + shift, noise, steps=600, batch=64)
    estimate = gap(critic, noise(2000, rng(1)) + shift, noise(2000, rng(1)))
    assert (0.95 if kind == "constant" else 0.8) * 2 < estimate <= 2 * (1 + 1e-5)
    found = steepness(critic, noise(16, rng(1)) + shift, noise(16, rng(2)))
    assert found.largest <= 1 + 1e-4
