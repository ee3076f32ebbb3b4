"""The state of k trainings as one: stacked networks, optimizers over them, every stream.

The states of the single trainings are lent the memory of their rows while the pack trains, so that
each can be looked at as if it trained alone, and are given memory of their own when they leave.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from wgan.config import TrainConfig
from wgan.iteration import Seen
from wgan.packed.critics import stacked_critic
from wgan.packed.networks import StackedNetwork
from wgan.packed.stack import own_memory
from wgan.state import TrainState
from wgan.steps import CriticStep


class PackedState:
    """`states` stacked, filled up to `size` with copies of the first.

    Attributes:
        window: what the iterations since the last row saw, a row per training.
    """

    def __init__(self, config: TrainConfig, states: Sequence[TrainState], size: int) -> None:
        self.states: list[TrainState | None] = list(states)
        filled = [*states, *[states[0]] * (size - len(states))]
        self.critic = stacked_critic([state.critic for state in filled])
        self.generator = StackedNetwork([state.generator for state in filled])
        averages = [state.average for state in filled if state.average is not None]
        self.average = StackedNetwork(averages) if averages else None
        self.critic_optimizer = config.optimizer.build([self.critic.stack.block])
        _stack_steps(
            self.critic_optimizer, self.critic, [(s.critic, s.critic_optimizer) for s in filled]
        )
        self.generator_optimizer: torch.optim.Optimizer | None = None
        if config.generator.trains:
            chosen = config.generator_optimizer or config.optimizer
            self.generator_optimizer = chosen.build([self.generator.stack.block])
            _stack_steps(
                self.generator_optimizer,
                self.generator,
                [(s.generator, s.generator_optimizer) for s in filled],
            )
        self.streams = {
            purpose: [s.streams[purpose] for s in states]
            + [states[0].streams[purpose].clone_state() for _ in range(size - len(states))]
            for purpose in states[0].streams
        }
        self.step, self.critic_updates = states[0].step, states[0].critic_updates
        self.window: list[Seen] = []
        for index, state in enumerate(states):
            for stacked, module in self._networks(state):
                stacked.stack.lend(index, module)
        self.lend_steps()

    def present(self) -> Iterator[tuple[int, TrainState]]:
        """The trainings that have not left, each with its row."""
        return ((index, state) for index, state in enumerate(self.states) if state is not None)

    def lend_steps(self) -> None:
        """Let each training's optimizers hold their rows of what the stacked ones hold.

        Numbers are copied: to be called before anybody looks.
        """
        for index, state in self.present():
            for optimizer, stacked, module, alone in self._optimizers(state):
                for group, own in zip(optimizer.param_groups, alone.param_groups, strict=True):
                    rate = group["lr"]
                    own["lr"] = rate.clone() if isinstance(rate, Tensor) else rate
                held = optimizer.state.get(stacked.stack.block, {})
                for name, parameter in module.named_parameters() if held else ():
                    place = stacked.stack.places[name]
                    alone.state[parameter].update(
                        {
                            key: place.of_row(value, index)
                            if _is_stacked(value, stacked)
                            else value
                            for key, value in held.items()
                        }
                    )

    def hand_out_window(self) -> None:
        """Move what the window holds to the trainings' own windows; count what they count."""
        for index, state in self.present():
            window = state.window
            for seen in self.window:
                window.critic += [CriticStep(*(part[index] for part in s)) for s in seen.critic]
                window.critic_gradients.append(seen.critic_gradient[index])
                if seen.generator_loss is not None and seen.generator_gradient is not None:
                    window.generator_losses.append(seen.generator_loss[index])
                    window.generator_gradients.append(seen.generator_gradient[index])
        self.window = []

    def release(self, index: int) -> None:
        """Give a training memory of its own; its row trains on as ballast."""
        state = self.states[index]
        if state is None:
            return
        for _, module in self._networks(state):
            own_memory(module)
        for _, _, module, alone in self._optimizers(state):
            for parameter in module.parameters():
                held = alone.state.get(parameter, {})
                for key, value in held.items():
                    if isinstance(value, Tensor):
                        held[key] = value.clone(memory_format=torch.contiguous_format)
        # The pack's own streams may be part of a CUDA graph: who leaves takes copies.
        state.streams = {name: rng.clone_state() for name, rng in state.streams.items()}
        self.states[index] = None

    def _networks(self, state: TrainState) -> Iterator[tuple[StackedNetwork, nn.Module]]:
        yield self.critic, state.critic
        yield self.generator, state.generator
        if self.average is not None and state.average is not None:
            yield self.average, state.average

    def _optimizers(
        self, state: TrainState
    ) -> Iterator[tuple[torch.optim.Optimizer, StackedNetwork, nn.Module, torch.optim.Optimizer]]:
        yield self.critic_optimizer, self.critic, state.critic, state.critic_optimizer
        if self.generator_optimizer is not None and state.generator_optimizer is not None:
            yield (
                self.generator_optimizer,
                self.generator,
                state.generator,
                state.generator_optimizer,
            )


def _is_stacked(value: object, network: StackedNetwork) -> bool:
    return isinstance(value, Tensor) and value.shape == network.stack.block.shape


def _stack_steps(
    optimizer: torch.optim.Optimizer,
    network: StackedNetwork,
    alone: Sequence[tuple[nn.Module, Any]],
) -> None:
    """Put what the optimizers of the single trainings hold into the stacked one's state."""
    stack = network.stack
    for index, (module, single) in enumerate(alone):
        for name, parameter in module.named_parameters():
            for key, value in single.state.get(parameter, {}).items():
                held = optimizer.state[stack.block]
                if isinstance(value, Tensor) and value.shape == parameter.shape:
                    if key not in held:
                        held[key] = torch.zeros_like(stack.block)
                    stack.places[name].of_row(held[key], index).copy_(value)
                else:
                    held[key] = value.clone() if isinstance(value, Tensor) else value
