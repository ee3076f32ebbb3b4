"""What the harness costs over a bare loop of the same networks, updates and optimizers.

The bare loop holds our networks, differentiated twice as they are, and fused optimizers, so that
nothing but the harness differs: the streams, the checks, the window of figures, rows, lease,
heartbeat, checkpoint, and of the evaluations the least there can be (100 samples at step 0 and at
the end).
"""

from __future__ import annotations

import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import torch

from bench.spec import EvaluateSpec, RunSpec
from bench.store import Store
from bench.worker import run
from tests.speed.figure import Figure
from tests.speed.loops import PENALTY_WEIGHT
from tests.speed.ours import Ours, configured
from tests.speed.ratios import interleaved, ratios
from wgan.config import TrainConfig
from wgan.data import Data, as_float
from wgan.piecewise import differentiated_twice
from wgan.train import TrainState, new_state

ROUNDS = 7


class Bare:
    """WGAN-GP as one would write it in a script, and nothing kept."""

    def __init__(self, config: TrainConfig, data: Data, state: TrainState) -> None:
        self.config, self.data, self.state = config, data, state
        self.draws, self.noise, self.mixing = (torch.Generator() for _ in range(3))

    def run(self, steps: int) -> None:
        state, config = self.state, self.config
        generator, critic, size = state.generator, state.critic, config.batch_size
        for _ in range(steps):
            for _ in range(config.critic_steps):
                x = self._real(size)
                with torch.no_grad():
                    fake = generator(self._z(size))
                loss = critic(fake).mean() - critic(x).mean()
                u = torch.rand(size, *[1] * (x.dim() - 1), generator=self.mixing)
                between = (u * x + (1 - u) * fake).requires_grad_()
                with differentiated_twice():
                    scores = critic(between)
                (slope,) = torch.autograd.grad(scores.sum(), between, create_graph=True)
                penalty = PENALTY_WEIGHT * (slope.flatten(1).norm(dim=1) - 1).square().mean()
                state.critic_optimizer.zero_grad(set_to_none=True)
                (loss + penalty).backward()
                state.critic_optimizer.step()
            for parameter in critic.parameters():
                parameter.requires_grad_(False)
            loss = -critic(generator(self._z(size))).mean()
            state.generator_optimizer.zero_grad(set_to_none=True)
            loss.backward()
            state.generator_optimizer.step()
            for parameter in critic.parameters():
                parameter.requires_grad_(True)

    def _real(self, size: int) -> torch.Tensor:
        if self.data.kind != "images":
            return self.data.batch(size, self.draws)
        chosen = torch.randint(len(self.data.train), (size,), generator=self.draws)
        return as_float(self.data.train[chosen])

    def _z(self, size: int) -> torch.Tensor:
        return torch.randn(size, self.config.noise_size, generator=self.noise)


class WholeRun:
    """A run of so many steps from its frozen folder to its last word, in this process."""

    def __init__(self, place: Path, **settings: object) -> None:
        self.place, self.settings, self.made = place, settings, 0

    def run(self, steps: int) -> None:
        (folder,) = self.folders.pop(steps)
        run([folder])

    def prepare(self, steps: int) -> None:
        """Freeze the folder of the next run, which is planning's cost and not the run's."""
        self.made += 1
        config = configured(**{**self.settings, "steps": steps, "seed": self.made})
        spec = RunSpec(
            sweep="speed",
            label="run",
            config=config,
            evaluate=EvaluateSpec(every=10**6, samples=100, metrics=()),
            recipe="wgan_gp",
        )
        store = Store(self.place / str(self.made), "speed")
        planned = store.plan([spec])
        store.freeze(planned, "What does a run cost?", "name: speed\n")
        self.folders = {steps: [item.folder for item in planned]}


def measured(threads: int, rounds: int, steps: int, **settings: object) -> dict[str, Figure]:
    """The whole run, and the loop alone, over the bare loop, in CPU time."""
    torch.set_num_threads(threads)
    config = configured(**settings)
    data = config.dataset.load()
    bare, loop = Bare(config, data, new_state(config, data)), Ours(config, data)
    place = Path(tempfile.mkdtemp())
    try:
        whole = WholeRun(place, **settings)
        bare.run(50)  # warm: allocator, optimizer state
        loop.run(50)
        whole.prepare(1)
        whole.run(1)  # warm: whatever is loaded at the first run
        sides: dict[str, Any] = {"whole": whole, "loop": loop, "bare": bare}
        works = {name: partial(side.run, steps) for name, side in sides.items()}
        seconds = interleaved(works, rounds, "cpu", before=partial(whole.prepare, steps))
    finally:
        shutil.rmtree(place)
    return {
        name: Figure(
            ratios(seconds, name, "bare"),
            {side: seconds[side] for side in (name, "bare")},
            threads=threads,
            clock="cpu",
            remark=f"runs of {steps} steps",
        )
        for name in ("whole", "loop")
    }


def harness_conv(threads: int, rounds: int = ROUNDS) -> dict[str, Figure]:
    found = measured(threads, rounds, 100, dataset="digits", network={"dcgan": {"width": 64}})
    return {"harness_conv": found["whole"], "loop_conv": found["loop"]}


def harness_toy(threads: int, rounds: int = ROUNDS) -> dict[str, Figure]:
    found = measured(
        threads, rounds, 600, dataset="ring8", network={"mlp": {"width": 128}}, noise_size=2
    )
    return {"harness_toy": found["whole"], "loop_toy": found["loop"]}
