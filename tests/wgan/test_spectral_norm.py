"""Spectral normalisation against singular values and against torch's own."""

from __future__ import annotations

import copy

import pytest
import torch
from small import DIGITS, largest_gap, normal, rng, small
from torch import nn
from torch.nn.utils import parametrizations

from wgan.lipschitz import SpectralNorm
from wgan.steps import critic_step, generator_step
from wgan.train import new_state

LAYERS = [
    (nn.Linear(7, 5), (4, 7)),
    (nn.Linear(3, 1, bias=False), (4, 3)),
    (nn.Conv2d(3, 6, 4, 2, 1), (2, 3, 8, 8)),
    (nn.Conv2d(2, 4, 3, padding=1, bias=False), (2, 2, 5, 5)),
]


def wrapped(layer: nn.Module) -> nn.Module:
    return SpectralNorm().wrap(nn.Sequential(copy.deepcopy(layer).double()))


def vectors(module: nn.Module) -> list[torch.Tensor]:
    return [buffer.clone() for name, buffer in module.named_buffers()]


@pytest.mark.parametrize(("layer", "shape"), LAYERS)
def test_converged_layer_is_the_layer_divided_by_its_largest_singular_value(layer, shape):
    critic, x = wrapped(layer), normal(*shape)
    SpectralNorm(power_iterations=500).after_step(critic)
    weight = layer.weight.detach().double()
    sigma = torch.linalg.svdvals(weight.flatten(1))[0]
    plain = copy.deepcopy(layer).double()
    with torch.no_grad():
        plain.weight.div_(sigma)
        torch.testing.assert_close(critic(x), plain(x), rtol=1e-9, atol=1e-12)


def test_the_first_norms_are_right_to_a_few_percent():
    state = new_state(small("sngan", network={"dcgan": {"width": 32}}), DIGITS)
    for layer in (state.critic[0], state.critic[2], state.critic[-2]):
        sigma = torch.linalg.svdvals(layer.weight.detach().flatten(1))[0]
        estimated = layer.left @ layer.weight.detach().flatten(1) @ layer.right
        assert 0.95 * sigma <= estimated <= 1.00001 * sigma


@pytest.mark.parametrize(("layer", "shape"), LAYERS)
def test_value_and_gradient_equal_torchs_with_the_same_vectors(layer, shape):
    """Equation 9 holds u and v fixed; so does torch in eval mode, where they do not advance."""
    ours, x = wrapped(layer), normal(*shape)
    theirs = parametrizations.spectral_norm(copy.deepcopy(layer).double(), eps=1e-30).eval()
    norm = theirs.parametrizations.weight[0]
    with torch.no_grad():
        norm._u.copy_(ours[0].left)
        norm._v.copy_(ours[0].right)

    target = normal(*ours(x).shape, seed=7)
    losses = [(module(x) - target).square().sum() for module in (ours, theirs)]
    assert losses[0].item() == pytest.approx(losses[1].item(), rel=1e-10)
    for loss in losses:
        loss.backward()
    theirs_weight = theirs.parametrizations.weight.original
    assert largest_gap([ours[0].weight.grad], [theirs_weight.grad]) < 1e-10
    if layer.bias is not None:
        assert largest_gap([ours[0].bias.grad], [theirs.bias.grad]) < 1e-10


@pytest.mark.parametrize("iterations", [1, 3])
def test_vectors_move_as_miyatos_algorithm_1_says(iterations):
    critic = wrapped(nn.Linear(6, 4))
    matrix = critic[0].weight.detach()
    u = critic[0].left.clone()
    SpectralNorm(power_iterations=iterations).after_step(critic)
    for _ in range(iterations):
        v = matrix.T @ u / (matrix.T @ u).norm()
        u = matrix @ v / (matrix @ v).norm()
    torch.testing.assert_close(critic[0].left, u, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(critic[0].right, v, rtol=1e-12, atol=1e-14)


def test_vectors_move_once_per_critic_step_and_at_nothing_else(monkeypatch):
    config = small("sngan", precision="float64")
    state = new_state(config, DIGITS)
    calls = []
    after_step = SpectralNorm.after_step
    monkeypatch.setattr(
        SpectralNorm, "after_step", lambda self, critic: (calls.append(1), after_step(self, critic))
    )
    real, noise = DIGITS.batch(8, rng(1)).double(), normal(8, config.noise_size)
    begun = vectors(state.critic)
    state.critic(real)
    generator_step(
        state.critic, state.generator, state.generator_optimizer, config.loss, noise, None
    )
    assert largest_gap(begun, vectors(state.critic)) == 0

    critic_step(
        state.critic,
        state.generator,
        state.critic_optimizer,
        config.loss,
        config.lipschitz,
        real,
        noise,
        state.streams,
        0,
    )
    assert calls == [1]
    moved = vectors(state.critic)
    many = [(old, new) for old, new in zip(begun, moved, strict=True) if len(old) > 1]
    assert len(many) == 5  # two for each of three layers, but a layer with one output has u = +-1
    assert not any(torch.equal(old, new) for old, new in many)
    # One power iteration from the old vectors on the *updated* weights.
    for layer, old in ((state.critic[0], begun[0]), (state.critic[2], begun[2])):
        matrix = layer.weight.detach().flatten(1)
        right = matrix.T @ old / (matrix.T @ old).norm()
        torch.testing.assert_close(layer.right, right, rtol=1e-12, atol=1e-14)


def test_every_dense_and_convolutional_layer_is_normalised():
    for network in ({"mlp": {"width": 8}}, {"dcgan": {"width": 4}}):
        state = new_state(small("sngan", network=network, critic_norm="layer"), DIGITS)
        layers = [m for m in state.critic.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
        assert len(layers) in (3, 4)
        assert all(hasattr(layer, "normalised_weight") for layer in layers)
        assert not any(hasattr(m, "normalised_weight") for m in state.generator.modules())


def test_scaling_a_weight_changes_no_score():
    """W / sigma(W) does not depend on the size of W."""
    critic = SpectralNorm().wrap(
        nn.Sequential(nn.Linear(4, 8, bias=False), nn.Linear(8, 1)).double()
    )
    x = normal(5, 4)
    before = critic(x)
    with torch.no_grad():
        critic[0].weight.mul_(37.0)
    torch.testing.assert_close(critic(x), before, rtol=1e-12, atol=0)
