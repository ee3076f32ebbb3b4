"""Measures what choices in the code rest on, which no row of the table is about.

    python -m tests.speed.choices forms RECIPE WIDTH         torch's convolutions over ours, digits
    python -m tests.speed.choices packs RECIPE WIDTH SIZE..  alone over a pack's share, digits
    python -m tests.speed.choices methods NETWORK            a critic's update over one unheld
    python -m tests.speed.choices memory float32|bf16        malloc's own ways over kept memory
    python -m tests.speed.choices share float32|bf16         convolutions' share of a step's time

The first three by CPU time on one thread, of a DCGAN or of what NETWORK is: dcgan_32 on digits,
mlp_64 or mlp_512 on ring8. The others by the clock on two threads, the convolutional step of the
table. Each is the median over rounds, A B A B.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch

from tests.speed.conv_step import config_of
from tests.speed.ours import Ours, configured, random_images
from tests.speed.ratios import interleaved, ratios
from tests.speed.told import Told, obey
from wgan.components import ConfigError
from wgan.config import TrainConfig
from wgan.convolution import convolved_by_torch
from wgan.iteration import Eager
from wgan.lipschitz import LipschitzMethod
from wgan.memory import keep_freed_memory
from wgan.packed.iteration import Packed
from wgan.packed.state import PackedState
from wgan.state import Window, new_state

ROUNDS, STEPS, THREADS = 7, 10, 2


def digits(recipe: str, width: int) -> TrainConfig:
    return configured(recipe, dataset="digits", network={"dcgan": {"width": width}})


def forms(recipe: str, width: int, rounds: int = ROUNDS, steps: int = STEPS) -> float:
    """How many times as long a step takes by torch's convolutions as by ours."""
    torch.set_num_threads(1)
    config = digits(recipe, width)
    data = config.dataset.load()
    ours, other = Ours(config, data), Ours(config, data)

    def by_torch() -> None:
        with convolved_by_torch():
            other.run(steps)

    return median({"torch": by_torch, "ours": partial(ours.run, steps)}, "torch", "ours", rounds)


def packs(
    recipe: str, width: int, sizes: list[int], rounds: int = ROUNDS, steps: int = STEPS
) -> dict[int, float]:
    """For each size how many times as long a step alone takes as its share of a pack's."""
    torch.set_num_threads(1)
    keep_freed_memory()
    config = digits(recipe, width)
    data = config.dataset.load()
    alone = new_state(config, data)
    works = {"alone": _pieces(alone, Eager(config, data, alone), steps)}
    for size in sizes:
        states = [new_state(config.with_seed(seed), data) for seed in range(size)]
        state = PackedState(config, states, size)
        works[f"pack of {size}"] = _pieces(state, Packed(config, data, state), steps)
    return {
        size: size * median({name: works[name] for name in ("alone", pack)}, "alone", pack, rounds)
        for size, pack in ((size, f"pack of {size}") for size in sizes)
    }


def methods(network: str, rounds: int = ROUNDS, steps: int = STEPS) -> dict[str, float]:
    """By method, how many times as long a critic's update takes as one without a constraint.

    Of an iteration a generator's update, which takes about as long as the latter, is left out.
    """
    torch.set_num_threads(1)
    keep_freed_memory()
    kind, width = network.split("_")
    data_set = {"dcgan": "digits", "mlp": "ring8"}[kind]
    settings = {"dataset": data_set, "network": {kind: {"width": int(width)}}}
    works: dict[str, Callable[[], None]] = {}
    for name in sorted(LipschitzMethod.registry):
        try:
            config = configured("wgan_gp", **settings, lipschitz=name, critic_norm="none")
            works[name] = partial(Ours(config, config.dataset.load()).run, steps)
        except ConfigError:
            continue  # no method for this network
    plain, updates = works.pop("none"), configured("wgan_gp").critic_steps + 1
    return {
        name: (updates * median({name: work, "none": plain}, name, "none", rounds) - 1)
        / (updates - 1)
        for name, work in works.items()
    }


def _pieces(state: Any, iterate: Callable[[], None], steps: int) -> Callable[[], None]:
    def run() -> None:
        for _ in range(steps):
            iterate()
            state.step += 1
        state.window = [] if isinstance(state, PackedState) else Window()

    return run


def memory(precision: str, rounds: int = ROUNDS) -> float:
    """How many times as long a step takes in a process that gives back what it frees."""
    words = ["-m", "tests.speed.choices", "side", precision]
    told = {name: Told([*words, name], THREADS) for name in ("given back", "kept")}
    try:
        for side in told.values():
            side.wait()
        works = {name: partial(side.run, 1) for name, side in told.items()}
        return median(works, "given back", "kept", rounds, clock="wall")
    finally:
        for side in told.values():
            side.close()


def be_side(precision: str, name: str) -> None:
    """One of the two processes of `memory`."""
    if name == "kept":
        keep_freed_memory()
    ours = Ours(config_of(precision), random_images())
    ours.run(1)
    obey(ours.run)


def share(precision: str) -> float:
    """The convolutions' and their gradients' part of the time of a step."""
    torch.set_num_threads(THREADS)
    ours = Ours(config_of(precision), random_images())
    ours.run(1)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        ours.run(1)
    events = profile.key_averages()
    of_convolutions = sum(
        event.cpu_time_total
        for event in events
        if event.key in ("aten::_convolution", "aten::convolution_backward")
    )
    return float(of_convolutions / sum(event.self_cpu_time_total for event in events))


def median(
    works: Mapping[str, Callable[[], object]], slow: str, fast: str, rounds: int, clock: str = "cpu"
) -> float:
    """Of the ratios over rounds, after a warm one."""
    interleaved(works, 1, clock)
    return statistics.median(ratios(interleaved(works, rounds, clock), slow, fast))


def main(words: list[str]) -> None:
    match words:
        case ["forms", recipe, width]:
            told = f"{forms(recipe, int(width)):.2f}"
        case ["packs", recipe, width, *sizes] if sizes:
            found = packs(recipe, int(width), [int(size) for size in sizes])
            told = "  ".join(f"{size}: {ratio:.2f}" for size, ratio in found.items())
        case ["methods", "dcgan_32" | "mlp_64" | "mlp_512" as network]:
            found_times = methods(network)
            told = "  ".join(f"{name}: {ratio:.2f}" for name, ratio in found_times.items())
        case ["memory", precision]:
            told = f"{memory(precision):.3f}"
        case ["side", precision, name]:
            be_side(precision, name)
            return
        case ["share", precision]:
            told = f"{share(precision):.2f}"
        case _:
            sys.exit(__doc__)
    sys.stdout.write(f"{told}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
