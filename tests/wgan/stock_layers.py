"""Critics of torch's own layers alone, to compare ours with."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wgan.config import TrainConfig
from wgan.networks.base import Downsample
from wgan.once import weights_computed_once
from wgan.piecewise import LeakyReLU, ReLU
from wgan.steps import critic_step
from wgan.train import TrainState


class StockPool(Downsample):
    """torch's pooling, whose second derivative is a tensor of zeros."""

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, 2)


_STOCK = {ReLU: nn.ReLU, LeakyReLU: nn.LeakyReLU, Downsample: StockPool}


def with_stock_layers(critic: nn.Module) -> nn.Module:
    """A copy with the same weights."""
    critic = copy.deepcopy(critic)
    for module in critic.modules():
        module.__class__ = _STOCK.get(type(module), type(module))
    return critic


def replaced(critic: nn.Module) -> int:
    """How many layers `with_stock_layers` changes."""
    return sum(type(module) in _STOCK for module in critic.modules())


def stock_gradients(
    critic: nn.Module,
    config: TrainConfig,
    real: Tensor,
    fake: Tensor,
    streams: dict[str, torch.Generator],
) -> list[Tensor | None]:
    """What plain backward gives to each parameter of a critic of torch's own layers."""
    critic = with_stock_layers(critic)
    # A weight that is made once gathers its gradient in another order than one made each time.
    with weights_computed_once():
        total = config.loss.critic_loss(critic(real), critic(fake))
        for method in config.lipschitz:
            added = method.penalty(critic, real, fake, streams[f"penalty:{method.name}"])
            total = total if added is None else total + added
    total.backward()
    return [parameter.grad for parameter in critic.parameters()]


def our_gradients(
    state: TrainState,
    config: TrainConfig,
    real: Tensor,
    noise: Tensor,
    streams: dict[str, torch.Generator],
) -> list[Tensor | None]:
    """What `critic_step` gives to each parameter, before its optimizer's step."""
    found: list[Tensor | None] = []

    def keep(optimizer: torch.optim.Optimizer, arguments: object, named: object) -> None:
        found.extend(None if p.grad is None else p.grad.clone() for p in state.critic.parameters())

    handle = state.critic_optimizer.register_step_pre_hook(keep)
    critic_step(
        state.critic,
        state.generator,
        state.critic_optimizer,
        config.loss,
        config.lipschitz,
        real,
        noise,
        streams,
        0,
    )
    handle.remove()
    return found
