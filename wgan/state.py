"""What changes while training: networks, optimizers, streams, counters, and the open window."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from wgan.config import TrainConfig
from wgan.data import Data
from wgan.precision import DTYPES, check_precision
from wgan.random import stream, training_streams
from wgan.steps import CriticStep


@dataclass
class Window:
    """What the steps since the last row saw; on the device until the row is made.

    `critic_gradients` and `generator_gradients` hold one norm for each step, of the networks' last
    updates: a norm takes 20 microseconds, which at every critic update would cost a toy 2 %.
    """

    critic: list[CriticStep] = field(default_factory=list)
    generator_losses: list[Tensor] = field(default_factory=list)
    critic_gradients: list[Tensor] = field(default_factory=list)
    generator_gradients: list[Tensor] = field(default_factory=list)


@dataclass
class TrainState:
    """Everything that changes while training; what a checkpoint holds.

    `step` counts generator updates, `images_seen` real images shown to the critic,
    `training_seconds` the time inside the loop, pauses excluded. `run_id` is the configuration's;
    `begun` tells that the pause at step 0 has been made. `average` is the generator's moving
    average where the configuration keeps one; a frozen generator has no optimizer.
    """

    generator: nn.Module
    critic: nn.Module
    generator_optimizer: torch.optim.Optimizer | None
    critic_optimizer: torch.optim.Optimizer
    streams: dict[str, torch.Generator]
    device: torch.device
    run_id: str
    average: nn.Module | None = None
    step: int = 0
    critic_updates: int = 0
    images_seen: int = 0
    training_seconds: float = 0.0
    begun: bool = False
    window: Window = field(default_factory=Window)


def new_state(config: TrainConfig, data: Data, device: torch.device | str = "cpu") -> TrainState:
    """Networks, optimizers and streams at the beginning of the training `config`.

    The weights are drawn on the CPU, so that they are equal on every device, and from streams of
    their own, so that equal seeds give equal weights to every method.

    Raises:
        ConfigError: a precision that the device does not have.
    """
    check_precision(config.precision, device)
    device, dtype = torch.device(device), DTYPES[config.precision]
    # Constructors draw weights from torch's global generator; these are thrown away, and its state
    # is left as it was.
    with torch.random.fork_rng(devices=[]):
        generator = config.generator.build(config.network, data.shape, config.noise_size)
        critic = config.network.critic(data.shape, config.critic_norm)
    config.network.initialise(generator, stream(config.seed, "init_generator"))
    config.network.initialise(critic, stream(config.seed, "init_critic"))

    generator, critic = generator.to(device, dtype), critic.to(device, dtype)
    for method in config.lipschitz:
        critic = method.wrap(critic, data.shape)
    trains = config.generator.trains
    chosen = config.generator_optimizer or config.optimizer
    return TrainState(
        generator=generator,
        critic=critic,
        generator_optimizer=chosen.build(generator.parameters()) if trains else None,
        critic_optimizer=config.optimizer.build(critic.parameters()),
        streams=training_streams(config.seed, [m.name for m in config.lipschitz], device),
        device=device,
        run_id=config.run_id,
        average=copy.deepcopy(generator).requires_grad_(False) if config.ema else None,
    )
