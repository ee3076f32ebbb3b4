"""One iteration: the critic's updates, then the generator's, each drawn from its own stream.

`train` calls it once per generator update. What else can make an iteration (the same work captured
or packed) gives the same numbers in less time, and is given to `train` in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from wgan.config import TrainConfig
from wgan.data import Data
from wgan.precision import DTYPES, computing_in
from wgan.state import TrainState
from wgan.steps import CriticStep, critic_step, generator_step

Iteration = Callable[[], None]


class Seen(NamedTuple):
    """What one iteration saw, detached and still on the device.

    `critic` has one entry for each critic update; the gradient norms, scalars, are those of the
    last update of each network. A frozen generator has neither loss nor gradient.
    """

    critic: list[CriticStep]
    critic_gradient: Tensor
    generator_loss: Tensor | None = None
    generator_gradient: Tensor | None = None


def due_methods(config: TrainConfig, step: int, updates: int) -> tuple[tuple[str, ...], ...]:
    """For each critic update of the iteration after `step` others the names of the methods due.

    Args:
        updates: critic updates made before it.
    """
    return tuple(
        tuple(method.name for method in config.lipschitz if count % method.every == 0)
        for count in range(updates, updates + config.critic_steps_before(step))
    )


class Eager:
    """The iteration as the algorithms state it, one operation after another.

    What computes is apart from what counts: `compute` may be captured, and iterations of one
    `pattern` are the same operations.
    """

    def __init__(self, config: TrainConfig, data: Data, state: TrainState) -> None:
        self.config, self.data, self.state = config, data, state
        self._dtype = DTYPES[config.precision]

    @property
    def streams(self) -> Mapping[str, torch.Generator]:
        """All that is drawn from."""
        return self.state.streams

    @property
    def weights(self) -> list[Tensor]:
        """Those of both networks."""
        return [*self.state.critic.parameters(), *self.state.generator.parameters()]

    def __call__(self) -> None:
        """Train both networks once; `step` is the loop's to count."""
        self.record(self.compute())

    def pattern(self) -> tuple[tuple[str, ...], ...]:
        """For each critic update of the coming iteration the names of the methods that are due."""
        return due_methods(self.config, self.state.step, self.state.critic_updates)

    def compute(self) -> Seen:
        """Train the critic, then the generator, then the generator's average."""
        with computing_in(self.config.precision, self.state.device):
            return self._compute()

    def _compute(self) -> Seen:
        config, state = self.config, self.state

        # Train the critic.
        steps = []
        for update in range(config.critic_steps_before(state.step)):
            step = critic_step(
                state.critic,
                state.generator,
                state.critic_optimizer,
                config.loss,
                config.lipschitz,
                self._draw_real("data"),
                self._draw_noise(),
                state.streams,
                state.critic_updates + update,
                together=config.scores_are_independent,
            )
            steps.append(step)
        seen = Seen(steps, gradient_norm(state.critic_optimizer))

        # Train the generator.
        if state.generator_optimizer is not None:
            loss = generator_step(
                state.critic,
                state.generator,
                state.generator_optimizer,
                config.loss,
                self._draw_noise(),
                self._draw_real("data:generator") if config.loss.needs_real else None,
            )
            seen = seen._replace(
                generator_loss=loss, generator_gradient=gradient_norm(state.generator_optimizer)
            )
        if state.average is not None:
            update_average(state.average, state.generator, config.ema)
        return seen

    def record(self, seen: Seen) -> None:
        """Add to the state's window, and count `critic_updates` and `images_seen`."""
        state = self.state
        state.window.critic += seen.critic
        state.window.critic_gradients.append(seen.critic_gradient)
        if seen.generator_loss is not None and seen.generator_gradient is not None:
            state.window.generator_losses.append(seen.generator_loss)
            state.window.generator_gradients.append(seen.generator_gradient)
        state.critic_updates += len(seen.critic)
        state.images_seen += len(seen.critic) * self.config.batch_size

    def _draw_noise(self) -> Tensor:
        config = self.config
        return config.generator.draw(
            self.data,
            config.noise_size,
            config.batch_size,
            self.state.streams["noise"],
            self._dtype,
        )

    def _draw_real(self, purpose: str) -> Tensor:
        return self.data.batch(self.config.batch_size, self.state.streams[purpose]).to(self._dtype)


@torch.no_grad()
def update_average(average: nn.Module, generator: nn.Module, decay: float) -> None:
    """Average = decay * average + (1 - decay) * generator, in place; buffers are copied.

    Karras et al. 2018, arXiv:1710.10196, section 6: the average of the weights gives better samples
    than the weights. It begins at the initial weights and is not corrected for that.
    """
    torch._foreach_lerp_(list(average.parameters()), list(generator.parameters()), 1 - decay)
    for kept, now in zip(average.buffers(), generator.buffers(), strict=True):
        kept.copy_(now)


def gradient_norm(optimizer: torch.optim.Optimizer) -> Tensor:
    """||gradient||_2 over all parameters that hold one.

    torch's get_total_norm gives the same bits in twice the time.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    norms = torch._foreach_norm([p.grad for p in parameters if p.grad is not None])
    total: Tensor = torch.linalg.vector_norm(torch.stack(norms))
    return total
