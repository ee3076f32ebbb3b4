"""The step of a convolutional WGAN-GP: critic 128-256-512 at 32 x 32, batch 64, five to one.

Against the clean loop in float32; in bfloat16 against that and against our own float32; and as a
share of the fastest convolution that this machine makes of the network's own shapes, measured in
the same rounds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from tests.speed.arithmetic import Passes, needed_of_a_step
from tests.speed.figure import Figure
from tests.speed.loops import CleanLoop, drawn_from
from tests.speed.networks import copy_weights, dcgan_critic, dcgan_generator
from tests.speed.ours import BATCH_SIZE, NOISE_SIZE, configured, random_images
from tests.speed.ratios import interleaved, ratios
from tests.speed.told import Told
from wgan.components import ConfigError
from wgan.config import TrainConfig
from wgan.data import Images, as_float
from wgan.train import TrainState, new_state

SHAPE, WIDTH, BASE = (3, 32, 32), 128, 4
ROUNDS = 7


def config_of(precision: str = "float32", width: int = WIDTH) -> TrainConfig:
    return configured(dataset="cifar10", network={"dcgan": {"width": width}}, precision=precision)


def clean_loop(
    state: TrainState, images: Tensor, width: int = WIDTH, dtype: torch.dtype = torch.float32
) -> CleanLoop:
    """The rival with the weights of `state`, on float images in memory."""
    generator = dcgan_generator(SHAPE, width, BASE, NOISE_SIZE).to(dtype)
    critic = dcgan_critic(SHAPE, width, BASE).to(dtype)
    copy_weights(state.generator, generator)
    copy_weights(state.critic, critic)
    streams = [torch.Generator().manual_seed(seed) for seed in range(3)]
    return CleanLoop(
        generator,
        critic,
        drawn_from(images, BATCH_SIZE, streams[0]),
        *streams[1:],
        batch_size=BATCH_SIZE,
        noise_size=NOISE_SIZE,
    )


def conv_step(threads: int, rounds: int = ROUNDS, width: int = WIDTH) -> dict[str, Figure]:
    """All figures of this step; without those in bfloat16 where the tree or the machine has none.

    Each side is a process, and makes one whole step a round: five updates of the critic and one of
    the generator.
    """
    torch.set_num_threads(threads)
    data = random_images()
    clean = clean_loop(new_state(config_of(width=width), data), as_float(data.train), width)
    peak = Peak(clean.critic)
    kinds = {"clean": "clean", "ours": "float32"}
    lacking = without_bf16()
    if not lacking:
        kinds["ours bf16"] = "bf16"
    module = ["-m", "tests.speed.conv_side"]
    told = {
        name: Told([*module, kind, str(threads), str(width)], threads)
        for name, kind in kinds.items()
    }
    sides: dict[str, Callable[[], object]] = {
        **{name: partial(side.run, 1) for name, side in told.items()},
        "peak": peak.measure,
    }
    try:
        for side in told.values():
            side.wait()
        peak.measure()
        peak.best.clear()
        seconds = interleaved(sides, rounds)
    finally:
        for side in told.values():
            side.close()
    peak_seconds = seconds.pop("peak")
    del peak_seconds

    def figure(slow: str, fast: str) -> Figure:
        remark = "each side is a process; ours keeps the memory that it frees, as a run's does"
        pair = {side: seconds[side] for side in (slow, fast)}
        return Figure(ratios(seconds, slow, fast), pair, threads, remark=remark)

    needed = needed_of_a_step(*passes(clean), clean.critic_steps)
    shares = [needed / best / took for best, took in zip(peak.best, seconds["ours"], strict=True)]
    found = {
        "conv_step": figure("clean", "ours"),
        "conv_peak_share": Figure(
            shares,
            {"ours": seconds["ours"]},
            threads,
            remark=f"{needed / 1e9:.0f} GFLOP a step are needed; the fastest convolution of these "
            f"shapes made {min(peak.best) / 1e9:.0f} to {max(peak.best) / 1e9:.0f} GFLOP/s",
        ),
    }
    if not lacking:
        found["conv_step_bf16"] = figure("clean", "ours bf16")
        found["conv_step_bf16_ours"] = figure("ours", "ours bf16")
    return found


def without_bf16() -> str:
    """Why there is no training in bfloat16 here, in a sentence; empty: there is."""
    try:
        config_of("bf16")
    except ConfigError as error:
        return f"not built in this tree: {error}"
    supported = ("avx512_bf16", "amx_bf16")
    if not any(name in _processor_flags() for name in supported):
        return "this processor has no bfloat16 instructions"
    return ""


def _processor_flags() -> list[str]:
    from pathlib import Path

    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    return next((line.split() for line in lines if line.startswith("flags")), [])


def passes(loop: CleanLoop) -> tuple[Passes, Passes]:
    """Of its generator and of its critic, for one batch."""
    with torch.no_grad():
        noise = torch.zeros(loop.batch_size, loop.noise_size, dtype=loop.dtype)
        fake = loop.generator(noise)
    return Passes.of(loop.generator, noise), Passes.of(loop.critic, fake)


class Peak:
    """The fastest convolution of a critic's own shapes: forward, or back to inputs or weights.

    In torch's usual layout and in channels_last: the machine's best counts, not the one that is
    used.
    """

    def __init__(self, critic: nn.Module, batch: int = BATCH_SIZE, repeats: int = 3) -> None:
        self.repeats, self.work, self.best = repeats, [], []
        x = torch.randn(batch, *SHAPE)
        for layer in critic:
            if isinstance(layer, nn.Conv2d):
                for layout in (torch.contiguous_format, torch.channels_last):
                    self.work += list(_passes_of(layer, x.to(memory_format=layout), layout))
            if not isinstance(layer, nn.Flatten):
                with torch.no_grad():
                    x = layer(x)
            else:
                break

    def measure(self) -> None:
        """Add the highest rate of this round, in operations per second, to `best`."""
        rates = []
        for operations, work in self.work:
            for _ in range(self.repeats):
                started = time.perf_counter()
                work()
                rates.append(operations / (time.perf_counter() - started))
        self.best.append(max(rates))


def _passes_of(layer: nn.Conv2d, x: Tensor, layout: torch.memory_format):
    """(operations, work) of the three passes of a convolution."""
    weight = layer.weight.detach().to(memory_format=layout)
    out = nn.functional.conv2d(x, weight, None, layer.stride, layer.padding)
    operations = 2 * out.numel() * weight[0].numel()
    gradient = torch.randn_like(out)

    def forward() -> None:
        nn.functional.conv2d(x, weight, None, layer.stride, layer.padding)

    def backward(inputs: bool, weights: bool) -> None:
        torch.ops.aten.convolution_backward(
            gradient, x, weight, None, layer.stride, layer.padding, (1, 1), False, (0, 0), 1,
            (inputs, weights, False),
        )  # fmt: skip

    yield operations, forward
    yield operations, lambda: backward(True, False)
    yield operations, lambda: backward(False, True)


def used(data: Images) -> Tensor:
    """Float images of a set's pixels, as the clean loop holds them."""
    return as_float(data.train)
