"""The training loop of a pack: `wgan.train` for trainings that differ in their seed alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from wgan.config import TrainConfig
from wgan.cuda_graph import captured
from wgan.data import Data
from wgan.packed.iteration import Packed
from wgan.packed.rules import unpackable
from wgan.packed.state import PackedState
from wgan.state import TrainState
from wgan.train import Pause, Row, _close_window, _set_learning_rates, _weight_norm


@dataclass(frozen=True)
class PackedPause:
    """Where the loop stops to let its consumer look at every training.

    Attributes:
        pauses: one for each given training, None for one that has left.
    """

    pauses: tuple[Pause | None, ...]
    _left: set[int]

    def leave(self, index: int) -> None:
        """This training goes on no further; its pause can still be looked at.

        Raises:
            IndexError: there is no such training.
        """
        if not 0 <= index < len(self.pauses):
            raise IndexError(f"training {index} of {len(self.pauses)}")
        self._left.add(index)


def train_packed(
    configs: Sequence[TrainConfig],
    data: Data,
    states: Sequence[TrainState],
    stop: Callable[[], bool],
    *,
    size: int,
    log_every: int = 50,
    evaluate_every: int = 200,
) -> Iterator[PackedPause]:
    """Train `states` in place as one stacked model, yielding pauses as `train` does.

    While it runs every state's parameters, buffers and optimizer tensors are views of stacked ones;
    when the generator ends or is closed, or a training leaves, they own their memory again.

    The stack is filled up to `size` with copies that train along and are thrown away: the bits of a
    training depend on `size`, not on who else is in the pack. A row's `training_seconds` is the
    pack's time divided by the number of trainings that were given.

    Args:
        configs: they differ in their seed alone.
        states: what `new_state` or `checkpoint.load` gives, all at one step.

    Raises:
        ValueError: configurations that cannot be packed together, states that are not at one step,
            a size below their number.
    """
    _check(configs, states, size)
    return _train(configs[0], data, list(states), stop, size, log_every, evaluate_every)


def _train(
    config: TrainConfig,
    data: Data,
    states: list[TrainState],
    stop: Callable[[], bool],
    size: int,
    log_every: int,
    evaluate_every: int,
) -> Iterator[PackedPause]:
    pack = PackedState(config, states, size)
    try:
        # Score the untrained generators first.
        if not all(state.begun for state in states):
            first = [Pause(state, [], evaluate=not state.begun) for state in states]
            for state in states:
                state.begun = True
            yield from _yield(pack, first)

        iterate = captured(Packed(config, data, pack))
        while pack.step < config.steps and any(True for _ in pack.present()):
            started = time.perf_counter()
            _set_learning_rates(config, pack)  # type: ignore[arg-type]
            before = pack.critic_updates
            iterate()
            pack.step += 1
            for _, state in pack.present():
                state.step = pack.step
                state.critic_updates = pack.critic_updates
                state.images_seen += (pack.critic_updates - before) * config.batch_size

            # Close the windows.
            last = pack.step == config.steps
            closed: dict[int, tuple[Row, str | None]] = {}
            if last or pack.step % log_every == 0:
                pack.hand_out_window()
                closed = {i: _close_window(config, state) for i, state in pack.present()}
            share = (time.perf_counter() - started) / len(states)
            for index, state in pack.present():
                state.training_seconds += share
                if index in closed:
                    closed[index][0]["training_seconds"] = state.training_seconds

            # Pause where there is something to record, or somebody asks for it.
            due = last or pack.step % evaluate_every == 0
            if not (closed or due or stop()):
                continue
            pauses = [
                None if state is None else _pause(state, closed.get(index), due)
                for index, state in enumerate(pack.states)
            ]
            yield from _yield(pack, pauses)
    finally:
        for index in range(len(states)):
            pack.release(index)


def _yield(pack: PackedState, pauses: Sequence[Pause | None]) -> Iterator[PackedPause]:
    pack.hand_out_window()
    pack.lend_steps()
    left = {index for index, pause in enumerate(pauses) if pause is not None and pause.diverged}
    yield PackedPause(tuple(pauses), left)
    for index in left:
        pack.release(index)


def _pause(state: TrainState, closed: tuple[Row, str | None] | None, due: bool) -> Pause:
    """The pause of one training, as `train` would make it."""
    row, diverged = closed or (None, None)
    rows = [row] if row is not None else []
    evaluate = due and diverged is None
    if evaluate and not rows and not bool(_weight_norm(state.critic, state.generator).isfinite()):
        evaluate, diverged = False, f"weights were not finite at step {state.step}"
    return Pause(state, rows, evaluate, diverged)


def _check(configs: Sequence[TrainConfig], states: Sequence[TrainState], size: int) -> None:
    if not configs or len(configs) != len(states):
        raise ValueError(f"{len(configs)} configurations and {len(states)} states make no pack")
    if size < len(states):
        raise ValueError(f"a pack of size {size} cannot hold {len(states)} trainings")
    for config in configs[1:]:
        if config.with_seed(configs[0].seed) != configs[0]:
            raise ValueError("trainings that differ in more than their seed cannot be packed")
    reason = unpackable(configs[0])
    if reason is not None:
        raise ValueError(f"{configs[0].method}: {reason}")
    steps = sorted({state.step for state in states})
    if len(steps) > 1:
        raise ValueError(f"a pack's trainings must be at one step, not at {steps}")
