"""One iteration of k trainings at once: what `wgan.iteration.Eager` does, with stacked weights.

`compute` is device work alone and has one list of operations per `pattern`, so that it can be
captured as `Eager`'s can.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from wgan.config import TrainConfig
from wgan.data import Data
from wgan.iteration import Seen, due_methods
from wgan.once import weights_computed_once
from wgan.packed.norms import in_batches
from wgan.packed.state import PackedState
from wgan.packed.steps import critic_step, generator_step
from wgan.precision import DTYPES, computing_in

_AT_ONCE = 5  # generated batches that pass through the generators together


class Packed:
    """The iteration of a pack, with the interface of `Eager`; what it sees has a row per training.

    In `Seen` the losses, penalties and norms have shape (k,), the scores (k, N).
    """

    def __init__(self, config: TrainConfig, data: Data, state: PackedState) -> None:
        self.config, self.data, self.state = config, data, state
        self._dtype = DTYPES[config.precision]

    @property
    def streams(self) -> Mapping[str, Sequence[torch.Generator]]:
        """All that is drawn from."""
        return self.state.streams

    @property
    def weights(self) -> list[Tensor]:
        """Those of both stacks."""
        stacks = (self.state.critic.stack, self.state.generator.stack)
        return [weight for stack in stacks for weight in stack.parameters.values()]

    def __call__(self) -> None:
        """Train all networks once; `step` is the loop's to count."""
        self.record(self.compute())

    def pattern(self) -> tuple[tuple[str, ...], ...]:
        """For each critic update of the coming iteration the names of the methods that are due."""
        return due_methods(self.config, self.state.step, self.state.critic_updates)

    def compute(self) -> Seen:
        """Train the critics, then the generators, then the generators' averages."""
        device = self.streams["data"][0].device
        with computing_in(self.config.precision, device):
            return self._compute()

    def _compute(self) -> Seen:
        config, state = self.config, self.state

        # Train the critics; meanwhile the generators' weights stay as they are.
        steps = []
        with weights_computed_once():
            for update, fake in enumerate(self._generate(config.critic_steps_before(state.step))):
                step = critic_step(
                    state.critic,
                    state.critic_optimizer,
                    config.loss.stacked,
                    config.lipschitz,
                    self._draw_real("data"),
                    fake,
                    state.streams,
                    state.critic_updates + update,
                )
                steps.append(step)
        seen = Seen(steps, state.critic.gradient_norms())

        # Train the generators.
        if state.generator_optimizer is not None:
            loss = generator_step(
                state.critic,
                state.generator,
                state.generator_optimizer,
                config.loss.stacked,
                self._draw_noise(),
                self._draw_real("data:generator") if config.loss.needs_real else None,
            )
            seen = seen._replace(
                generator_loss=loss, generator_gradient=state.generator.gradient_norms()
            )
        if state.average is not None:
            state.average.move_towards(state.generator, 1 - config.ema)
        return seen

    def record(self, seen: Seen) -> None:
        """Add to the pack's window, and count `critic_updates`."""
        self.state.window.append(seen)
        self.state.critic_updates += len(seen.critic)

    def _generate(self, count: int) -> Iterator[Tensor]:
        """Generated batches (k, N, ...), several in one pass: the generators' graph is not needed.

        Each has the statistics of its own.
        """
        while count > 0:
            batches = min(count, _AT_ONCE)
            noise = torch.cat([self._draw_noise() for _ in range(batches)], dim=1)
            with torch.no_grad(), in_batches(batches):
                fakes: Tensor = self.state.generator(noise)
            yield from fakes.chunk(batches, dim=1)
            count -= batches

    def _draw_noise(self) -> Tensor:
        config = self.config
        return config.generator.draw_each(
            self.data,
            config.noise_size,
            config.batch_size,
            self.state.streams["noise"],
            self._dtype,
        )

    def _draw_real(self, purpose: str) -> Tensor:
        batches = self.data.batches(self.config.batch_size, self.state.streams[purpose])
        return batches.to(self._dtype)
