"""16 seeds of a toy MLP: one stacked model, against the same trainings in plain loops.

One after another in one process, and shared between two worker processes that have torch's default
threads; ours are then two packs of 8 in two processes of one thread, as the harness's slots are.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from tests.speed.figure import Figure
from tests.speed.loops import CleanLoop
from tests.speed.networks import copy_weights, mlp_critic, mlp_generator
from tests.speed.ours import BATCH_SIZE, configured
from tests.speed.ratios import interleaved, ratios
from tests.speed.told import Told
from wgan.config import TrainConfig
from wgan.packed import train_packed
from wgan.train import TrainState, new_state

ROOT = Path(__file__).resolve().parents[2]
SEEDS, DEPTH, NOISE = 16, 3, 2
WIDTHS = (64, 128, 512)
ROUNDS = 7
STEPS = {64: 20, 128: 20, 512: 5}  # of each training in a round


def configs_of(width: int, count: int) -> list[TrainConfig]:
    config = configured(
        dataset="ring8", network={"mlp": {"width": width, "depth": DEPTH}}, noise_size=NOISE
    )
    return [config.with_seed(seed) for seed in range(count)]


class Plain:
    """So many clean loops, one after another."""

    def __init__(self, width: int, count: int) -> None:
        self.loops = []
        for config in configs_of(width, count):
            data = config.dataset.load()
            self.loops.append(plain_loop(width, new_state(config, data), data))

    def run(self, steps: int) -> None:
        for loop in self.loops:
            loop.run(steps)


def plain_loop(width: int, state: TrainState, data, dtype=torch.float32) -> CleanLoop:
    """A clean loop with the weights of `state`, drawing from the density as we do."""
    generator = mlp_generator(data.shape, width, DEPTH, NOISE).to(dtype)
    critic = mlp_critic(data.shape, width, DEPTH).to(dtype)
    copy_weights(state.generator, generator)
    copy_weights(state.critic, critic)
    draws, noise, mixing = (torch.Generator().manual_seed(seed) for seed in range(3))
    return CleanLoop(
        generator,
        critic,
        lambda: data.batch(BATCH_SIZE, draws).to(dtype),
        noise,
        mixing,
        batch_size=BATCH_SIZE,
        noise_size=NOISE,
    )


class Packed:
    """The same as one stacked model, by `train_packed`."""

    def __init__(self, width: int, count: int) -> None:
        configs = configs_of(width, count)
        data = configs[0].dataset.load()
        self.states = [new_state(config, data) for config in configs]
        self._until = 0
        self._pauses = train_packed(
            configs,
            data,
            self.states,
            lambda: self.states[0].step >= self._until,
            size=count,
            log_every=50,
            evaluate_every=10**9,
        )

    def run(self, steps: int) -> None:
        self._until = self.states[0].step + steps
        while self.states[0].step < self._until:
            next(self._pauses)


def packs(threads: int, rounds: int = ROUNDS, count: int = SEEDS) -> dict[str, Figure]:
    """One pack against the plain loops one after another, for each width."""
    torch.set_num_threads(threads)
    found = {}
    for width in WIDTHS:
        sides = {"plain": Plain(width, count), "packed": Packed(width, count)}
        steps = STEPS[width]
        for side in sides.values():
            side.run(3)
        seconds = interleaved(
            {name: partial(side.run, steps) for name, side in sides.items()}, rounds
        )
        remark = f"{steps} steps of {count} seeds a round"
        found[f"pack_{width}"] = Figure(
            ratios(seconds, "plain", "packed"), seconds, threads, remark=remark
        )
    return found


class Crew:
    """Two processes that share the seeds, ready to run; a round lasts until both are through."""

    def __init__(self, kind: str, width: int, threads: int | None, count: int = SEEDS) -> None:
        words = ["-m", "tests.speed.pack_worker", kind, str(width), str(count // 2)]
        self.workers = [Told(words, threads) for _ in range(2)]
        for worker in self.workers:
            worker.wait()

    def run(self, steps: int) -> None:
        for worker in self.workers:
            worker.tell(steps)
        for worker in self.workers:
            worker.wait()

    def close(self) -> None:
        for worker in self.workers:
            worker.close()


def pack_workers(threads: int, rounds: int = ROUNDS) -> dict[str, Figure]:
    """Two packs of 8 in two processes of one thread, against two workers with default threads."""
    del threads  # each side has its own
    found = {}
    for width in WIDTHS:
        crews = {"two workers": Crew("plain", width, None), "two packs": Crew("packed", width, 1)}
        try:
            works: dict[str, Callable[[], None]] = {
                name: partial(crew.run, STEPS[width]) for name, crew in crews.items()
            }
            for work in works.values():
                work()
            seconds = interleaved(works, rounds)
        finally:
            for crew in crews.values():
                crew.close()
        found[f"pack_workers_{width}"] = Figure(
            ratios(seconds, "two workers", "two packs"),
            seconds,
            1,
            remark=f"{STEPS[width]} steps of {SEEDS} seeds a round; each worker has torch's "
            f"default threads, each pack one",
        )
    return found
