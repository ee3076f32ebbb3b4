"""Spectral normalisation, of kernels and of operators, against singular values and torch's own."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch
from dense_matrices import singular_values
from small import DIGITS, follow, largest_gap, normal, rng, small
from torch import nn
from torch.nn.utils import parametrizations

from wgan.layers import effective_weight, linear_layers
from wgan.lipschitz import SpectralNorm
from wgan.lipschitz.spectral_norm import DividedByKernel
from wgan.once import weights_computed_once
from wgan.operator_norms import layer_norms
from wgan.steps import critic_step, generator_step
from wgan.train import new_state

LAYERS = [
    (nn.Linear(7, 5), (4, 7)),
    (nn.Linear(3, 1, bias=False), (4, 3)),
    (nn.Conv2d(3, 6, 4, 2, 1), (2, 3, 8, 8)),
    (nn.Conv2d(2, 4, 3, padding=1, bias=False), (2, 2, 5, 5)),
]


def wrapped(layer: nn.Module) -> nn.Module:
    critic = nn.Sequential(copy.deepcopy(layer).double())
    return SpectralNorm().wrap(critic, ())


def vectors_of(layer: nn.Module) -> nn.Module:
    return layer.reparametrisation


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
        estimated = (
            vectors_of(layer).left @ layer.weight.detach().flatten(1) @ vectors_of(layer).right
        )
        assert 0.95 * sigma <= estimated <= 1.00001 * sigma


@pytest.mark.parametrize(("layer", "shape"), LAYERS)
def test_value_and_gradient_equal_torchs_with_the_same_vectors(layer, shape):
    """Equation 9 holds u and v fixed; so does torch in eval mode, where they do not advance."""
    ours, x = wrapped(layer), normal(*shape)
    theirs = parametrizations.spectral_norm(copy.deepcopy(layer).double(), eps=1e-30).eval()
    norm = theirs.parametrizations.weight[0]
    with torch.no_grad():
        norm._u.copy_(vectors_of(ours[0]).left)
        norm._v.copy_(vectors_of(ours[0]).right)

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
    u = vectors_of(critic[0]).left.clone()
    SpectralNorm(power_iterations=iterations).after_step(critic)
    for _ in range(iterations):
        v = matrix.T @ u / (matrix.T @ u).norm()
        u = matrix @ v / (matrix @ v).norm()
    torch.testing.assert_close(vectors_of(critic[0]).left, u, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(vectors_of(critic[0]).right, v, rtol=1e-12, atol=1e-14)


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
        torch.testing.assert_close(vectors_of(layer).right, right, rtol=1e-12, atol=1e-14)


def test_every_dense_and_convolutional_layer_is_normalised():
    for network in ({"mlp": {"width": 8}}, {"dcgan": {"width": 4}}):
        state = new_state(small("sngan", network=network, critic_norm="layer"), DIGITS)
        layers = [m for m in state.critic.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
        assert len(layers) in (3, 4)
        assert all(isinstance(vectors_of(layer), DividedByKernel) for layer in layers)
        assert not any(isinstance(m, DividedByKernel) for m in state.generator.modules())


def test_scaling_a_weight_changes_no_score():
    """W / sigma(W) does not depend on the size of W."""
    critic = SpectralNorm().wrap(
        nn.Sequential(nn.Linear(4, 8, bias=False), nn.Linear(8, 1)).double(), (4,)
    )
    x = normal(5, 4)
    before = critic(x)
    with torch.no_grad():
        critic[0].weight.mul_(37.0)
    torch.testing.assert_close(critic(x), before, rtol=1e-12, atol=0)


# Of the operator.


def of_operator(layer: nn.Module, shape: tuple[int, ...], dtype=torch.float64) -> nn.Module:
    critic = nn.Sequential(copy.deepcopy(layer).to(dtype))
    return SpectralNorm(of="operator").wrap(critic, shape)[0]


@pytest.mark.parametrize(("layer", "shape"), LAYERS)
def test_a_layer_is_divided_by_the_norm_of_its_whole_matrix(layer, shape):
    ours, plain = of_operator(layer, shape[1:]), copy.deepcopy(layer).double()
    sigma = singular_values(plain, shape[1:])[0]
    torch.testing.assert_close(effective_weight(ours), plain.weight / sigma, rtol=1e-6, atol=1e-12)
    assert singular_values(ours, shape[1:])[0].item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(("layer", "shape"), LAYERS)
def test_the_gradient_is_that_through_the_exact_norm(layer, shape):
    """With the vectors converged, holding them fixed changes nothing (the envelope theorem)."""
    ours = of_operator(layer, shape[1:])
    SpectralNorm(of="operator", power_iterations=120).after_step(ours)
    weight = copy.deepcopy(ours.weight)
    size = torch.zeros(shape[1:]).numel()
    units = torch.eye(size, dtype=torch.float64).view(size, *shape[1:])
    images = ours.reparametrisation.linear.apply(weight, units)
    exact = weight / torch.linalg.matrix_norm(images.flatten(1), 2)
    target = normal(*weight.shape, seed=5)
    (expected,) = torch.autograd.grad((exact * target).sum(), weight)
    (found,) = torch.autograd.grad((effective_weight(ours) * target).sum(), ours.weight)
    assert largest_gap([found], [expected]) < 1e-6 * expected.abs().max()


def test_operator_and_kernel_agree_on_dense_layers():
    layer = nn.Linear(6, 9)
    kernel = wrapped(layer)[0]
    for _ in range(300):
        kernel.reparametrisation.iterate(kernel.weight, 1)
    torch.testing.assert_close(
        effective_weight(kernel), effective_weight(of_operator(layer, (6,))), rtol=1e-6, atol=0
    )


def test_the_norm_is_followed_when_another_singular_value_overtakes():
    """One vector would stay where it was: it is a singular vector of the new weight, too."""
    layer = nn.Linear(12, 12, bias=False)
    layer.weight.data = torch.diag(torch.linspace(2, 1, 12))
    ours = of_operator(layer, (12,))
    for place in (11, 5, 0):
        with torch.no_grad():
            ours.weight.fill_diagonal_(1.0)
            ours.weight[place, place] = 1.5
        SpectralNorm(of="operator").after_step(ours)
        assert singular_values(ours, (12,))[0].item() == pytest.approx(1, abs=1e-6)


def check_layer_norms(method: SpectralNorm, network: dict, lr: float) -> None:
    """Every layer's operator has norm 1 after every step."""
    config = small(network=network, optimizer={"adam": {"lr": lr}}, steps=8)
    config = dataclasses.replace(config, lipschitz=(method,))

    def look(pause):
        norms = layer_norms(pause.state.critic, DIGITS.shape)
        assert all(1 - 1e-5 < norm < 1 + 1e-5 for norm in norms.values()), norms

    follow(config, new_state(config, DIGITS), look, log_every=1)


@pytest.mark.parametrize("lr", [0.3, 1e-3])
@pytest.mark.parametrize("network", [{"mlp": {"width": 16}}, {"dcgan": {"width": 8}}])
def test_no_layers_norm_exceeds_1_after_any_step(network, lr):
    check_layer_norms(SpectralNorm(of="operator"), network, lr)


@dataclasses.dataclass(frozen=True)
class OneIteration(SpectralNorm):
    """Of a single vector, as for kernels. Without a name of its own it registers nothing."""

    of: str = "operator"

    @torch.no_grad()
    def after_step(self, critic):
        for layer in linear_layers(critic).values():
            part = layer.reparametrisation
            image = part.linear.apply(layer.weight, part.right[:1])
            moved = part.linear.transpose(layer.weight, image)
            part.right[:1] = moved / moved.norm()
            image = part.linear.apply(layer.weight, part.right[:1])
            part.left.copy_(image / image.norm())


@dataclasses.dataclass(frozen=True)
class OfTheKernel(SpectralNorm):
    """Converged, but the norm of another matrix."""

    power_iterations: int = 200


@pytest.mark.parametrize("method", [OneIteration(), OfTheKernel()])
@pytest.mark.parametrize("lr", [0.3, 1e-3])
def test_norms_that_are_not_converged_or_not_the_operators_are_found(method, lr):
    with pytest.raises(AssertionError):
        check_layer_norms(method, {"dcgan": {"width": 8}}, lr)


def test_vectors_of_operators_move_in_after_step_only():
    critic = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(144, 1))
    method = SpectralNorm(of="operator")
    critic = method.wrap(critic, (1, 8, 8))
    begun = vectors(critic)
    critic(torch.randn(3, 1, 8, 8, generator=rng())).sum().backward()
    assert largest_gap(begun, vectors(critic)) == 0
    with torch.no_grad():
        critic[0].weight.add_(torch.randn(critic[0].weight.shape, generator=rng()))
    method.after_step(critic)
    assert largest_gap(begun, vectors(critic)) > 0.01


def test_a_diverged_weight_raises_nothing():
    ours = of_operator(nn.Conv2d(1, 2, 3), (1, 6, 6), torch.float32)
    for value in (torch.nan, torch.inf, 1e38):
        nn.init.constant_(ours.weight, value)
        SpectralNorm(of="operator").after_step(ours)


def test_only_the_operators_norm_earns_a_bound_and_the_old_form_keeps_its_ids():
    assert SpectralNorm().bound is None
    assert SpectralNorm(of="operator").bound == 1
    assert SpectralNorm().to_plain(for_id=True) == {"spectral_norm": {"power_iterations": 1}}
    ids = {
        small(lipschitz={"spectral_norm": fields}).run_id
        for fields in ({}, {"of": "kernel"}, {"of": "operator"})
    }
    assert len(ids) == 2


def test_a_norm_is_computed_once_in_a_critic_step():
    (layer,) = linear_layers(wrapped(nn.Linear(5, 4))).values()
    with weights_computed_once():
        assert layer.effective_weight() is layer.effective_weight()
    assert layer.effective_weight() is not layer.effective_weight()
