"""What is counted or timed of a cell in this process: arithmetic, batches, a checkpoint, a picture.

Wall times of training and evaluation are not taken here: those come from trials.
"""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bench.samples import picture
from bench.spec import RunSpec
from bench.speed.peaks import best_seconds
from wgan import checkpoint
from wgan.config import TrainConfig
from wgan.convolution import convolved_by_torch
from wgan.data import Data
from wgan.diagnostics import Flops, generate, make_profile
from wgan.iteration import Eager
from wgan.state import TrainState, new_state

_LONGEST = 16  # iterations that are counted where penalties are lazy


class Inside(NamedTuple):
    """Operations of one iteration and of one further critic update; seconds of the rest.

    `convolutional` is the share of the operations that convolutions make; `beside` a picture and
    the profiles of an evaluation, which a run's own rows do not time.
    """

    flops: float
    update_flops: float
    convolutional: float
    batches: float
    checkpoint: float
    beside: float


def look_inside(spec: RunSpec, device: str) -> Inside:
    """Make a few iterations of a run here, with torch's present threads.

    Raises:
        RuntimeError, MemoryError, DataError: it cannot be trained here.
    """
    config = dataclasses.replace(spec.config, warm_up_steps=0, warm_up_every=0)
    data = config.dataset.load().to(device)
    more = dataclasses.replace(config, critic_steps=config.critic_steps + 1)
    state = new_state(config, data, device)
    flops, convolutional = _counted(config, data, state)
    further, _ = _counted(more, data, new_state(more, data, device))
    return Inside(
        flops,
        max(0.0, further - flops),
        convolutional,
        best_seconds(lambda: _draw(config, data, state), device, 0.05),
        _saving(state),
        _beside(spec, config, data, state),
    )


def _counted(config: TrainConfig, data: Data, state: TrainState) -> tuple[float, float]:
    """Operations of an iteration and the share of convolutions; the mean where some differ.

    Convolutions count as such, in whatever form they are made: what is strictly needed.
    """
    rarest = max(method.every for method in config.lipschitz)
    times = min(_LONGEST, -(-rarest // config.critic_steps))
    iterate = Eager(config, data, state)
    with convolved_by_torch(), Flops() as flops:
        for _ in range(times):
            iterate()
    return flops.total / times, flops.convolutions / max(1, flops.total)


def _draw(config: TrainConfig, data: Data, state: TrainState) -> None:
    """The batches of reals of one iteration."""
    for _ in range(config.critic_steps):
        data.batch(config.batch_size, state.streams["data"])


def _saving(state: TrainState) -> float:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "step.ckpt"
        return min(_seconds(lambda: checkpoint.save(path, state, {})) for _ in range(3))


def _beside(spec: RunSpec, config: TrainConfig, data: Data, state: TrainState) -> float:
    fake = generate(config, state, spec.evaluate.samples, data)

    def look() -> None:
        for name in spec.evaluate.profiles:
            make_profile(name, config, state, data, fake, spec.evaluate.critic_samples)
        picture(fake, data)

    return min(_seconds(look) for _ in range(2))


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
