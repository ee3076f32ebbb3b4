"""Weight normalisation against its closed form and against torch's own."""

from __future__ import annotations

import copy

import pytest
import torch
from small import DIGITS, follow, largest_gap, normal, rng, small
from torch import nn
from torch.nn.utils import parametrizations

from wgan.layers import effective_weight, linear_layers
from wgan.lipschitz import WeightNormalization
from wgan.networks import DCGAN, MLP
from wgan.train import new_state

LAYERS = [
    (nn.Linear(7, 5), (4, 7)),
    (nn.Linear(3, 1, bias=False), (4, 3)),
    (nn.Conv2d(3, 6, 4, 2, 1), (2, 3, 8, 8)),
]


def wrapped(layer: nn.Module, form: str = "learned") -> nn.Module:
    critic = nn.Sequential(copy.deepcopy(layer).double())
    return WeightNormalization(form=form).wrap(critic, ())[0]


def rows(weight: torch.Tensor) -> torch.Tensor:
    return weight.flatten(1).norm(dim=1)


@pytest.mark.parametrize("network", [MLP(width=8), DCGAN(width=4)])
def test_with_learned_lengths_the_critic_begins_as_it_was(network):
    critic = network.critic(DIGITS.shape, "none").double()
    network.initialise(critic, rng())
    normalised = WeightNormalization().wrap(copy.deepcopy(critic), DIGITS.shape)
    x = DIGITS.batch(8, rng(1)).double()
    torch.testing.assert_close(normalised(x), critic(x), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("layer", "shape"), LAYERS)
def test_effective_weight_is_g_v_over_the_length_of_v(layer, shape):
    ours, length = wrapped(layer), rows(layer.weight.detach().double())
    with torch.no_grad():
        ours.weight.mul_(3.7)
        ours.reparametrisation.gain.copy_(2 * length + 1)
    expected = layer.weight.double() * ((2 * length + 1) / length).view(
        -1, *[1] * (layer.weight.dim() - 1)
    )
    torch.testing.assert_close(effective_weight(ours), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("layer", "shape"), LAYERS)
def test_value_and_gradients_equal_torchs(layer, shape):
    ours, x = wrapped(layer), normal(*shape)
    theirs = parametrizations.weight_norm(copy.deepcopy(layer).double())
    with torch.no_grad():
        ours.reparametrisation.gain.mul_(1.5)
        theirs.parametrizations.weight.original0.mul_(1.5)
    target = normal(*ours(x).shape, seed=7)
    for module in (ours, theirs):
        (module(x) - target).square().sum().backward()
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-10, atol=1e-12)
    gain, direction = (
        theirs.parametrizations.weight.original0,
        theirs.parametrizations.weight.original1,
    )
    assert largest_gap([ours.weight.grad], [direction.grad]) < 1e-10
    assert largest_gap([ours.reparametrisation.gain.grad], [gain.grad.flatten()]) < 1e-10


@pytest.mark.parametrize(("layer", "shape"), LAYERS)
def test_with_unit_lengths_every_row_has_length_1_whatever_the_raw_weight(layer, shape):
    ours = wrapped(layer, "unit")
    with torch.no_grad():
        ours.weight.mul_(torch.rand(len(ours.weight), *[1] * (ours.weight.dim() - 1)) + 0.1)
    weight = effective_weight(ours)
    torch.testing.assert_close(rows(weight), torch.ones_like(rows(weight)), rtol=1e-12, atol=0)
    # The squared singular values sum to the number of rows.
    squares = torch.linalg.svdvals(weight.flatten(1)).square().sum()
    assert squares.item() == pytest.approx(len(weight), rel=1e-10)
    assert [name for name, _ in ours.named_parameters() if "gain" in name] == []


def test_equal_rows_show_why_no_bound_is_promised():
    for form in ("learned", "unit"):
        assert WeightNormalization(form=form).bound is None
    layer = nn.Linear(4, 9)
    nn.init.ones_(layer.weight)
    norm = torch.linalg.matrix_norm(effective_weight(wrapped(layer, "unit")), 2)
    assert norm.item() == pytest.approx(3, rel=1e-10)


def test_a_row_of_zeros_stays_zero_with_a_finite_gradient():
    for form in ("learned", "unit"):
        layer = wrapped(nn.Linear(3, 2), form)
        with torch.no_grad():
            layer.weight[0] = 0
        layer(torch.ones(1, 3, dtype=torch.float64)).sum().backward()
        assert not effective_weight(layer)[0].any()
        assert layer.weight.grad.isfinite().all()


def test_lengths_are_trained_and_saved_with_the_critic():
    config = small(lipschitz="weight_normalization")
    state = new_state(config, DIGITS)
    before = copy.deepcopy(state.critic.state_dict())
    follow(config, state)
    gains = [name for name in before if name.endswith("gain")]
    assert len(gains) == len(linear_layers(state.critic))
    for name in gains:
        assert not torch.equal(before[name], state.critic.state_dict()[name])
