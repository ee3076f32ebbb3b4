"""Weight clipping: the box."""

from __future__ import annotations

import torch
from small import DIGITS, follow, small
from torch import nn

from wgan.lipschitz import WeightClipping
from wgan.train import new_state


def test_after_step_is_the_projection_onto_the_box():
    layer = nn.Linear(2, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.5, -0.5], [0.05, -0.2]]))
        layer.bias.copy_(torch.tensor([0.1, -7.0]))
    WeightClipping(limit=0.1).after_step(layer)
    assert torch.equal(layer.weight, torch.tensor([[0.1, -0.1], [0.05, -0.1]]))
    assert torch.equal(layer.bias, torch.tensor([0.1, -0.1]))


def test_normalisation_layers_are_clipped_too():
    """As in the authors' code, which clips all of `netD.parameters()`."""
    state = new_state(small("wgan", critic_norm="layer"), DIGITS)
    WeightClipping(limit=0.01).after_step(state.critic)
    assert all(p.detach().abs().max() <= 0.01 for p in state.critic.parameters())


def test_the_critic_lies_in_its_box_at_every_pause():
    def look(pause):
        if pause.state.step > 0:
            widest = max(p.detach().abs().max() for p in pause.state.critic.parameters())
            assert widest <= torch.tensor(0.01)

    config = small("wgan")
    follow(config, new_state(config, DIGITS), look, log_every=1)


def test_the_generator_is_not_clipped():
    config = small("wgan")
    state = new_state(config, DIGITS)
    follow(config, state)
    assert max(p.detach().abs().max() for p in state.generator.parameters()) > 0.02
