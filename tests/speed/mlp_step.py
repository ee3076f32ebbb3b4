"""The step of a dense WGAN-GP on 32 x 32 images, batch 64, against the common tutorial's loop."""

from __future__ import annotations

import torch

from tests.speed.figure import Figure
from tests.speed.loops import CleanLoop, TutorialLoop, drawn_from, loaded_from
from tests.speed.networks import copy_weights, mlp_critic, mlp_generator
from tests.speed.ours import BATCH_SIZE, NOISE_SIZE, Ours, configured, random_images
from tests.speed.ratios import interleaved, ratios
from wgan.data import as_float

SHAPE, DEPTH = (3, 32, 32), 3
USUAL, WIDE = 128, 512  # the network `mlp` as it comes, and the width of the penalty's own paper
ROUNDS, STEPS = 7, {USUAL: 10, WIDE: 5}  # steps of each side in a round


def mlp_step(threads: int, rounds: int = ROUNDS) -> dict[str, Figure]:
    """At the usual width and at a larger one."""
    torch.set_num_threads(threads)
    found = measured(threads, rounds, USUAL)
    wide = measured(threads, rounds, WIDE)
    return {**found, **{f"{name}_{WIDE}": figure for name, figure in wide.items()}}


def measured(threads: int, rounds: int, width: int) -> dict[str, Figure]:
    """Against the tutorial's loop, and for comparison against the clean one."""
    data = random_images()
    config = configured(dataset="cifar10", network={"mlp": {"width": width, "depth": DEPTH}})
    ours = Ours(config, data)
    rivals = {}
    for kind in (TutorialLoop, CleanLoop):
        draws, noise, mixing = (torch.Generator().manual_seed(seed) for seed in range(3))
        generator = mlp_generator(SHAPE, width, DEPTH, NOISE_SIZE)
        critic = mlp_critic(SHAPE, width, DEPTH)
        copy_weights(ours.state.generator, generator)
        copy_weights(ours.state.critic, critic)
        draw = (
            loaded_from(data.train, BATCH_SIZE, draws)
            if kind is TutorialLoop
            else drawn_from(as_float(data.train), BATCH_SIZE, draws)
        )
        rivals[kind] = kind(
            generator, critic, draw, noise, mixing, batch_size=BATCH_SIZE, noise_size=NOISE_SIZE
        )
    steps = STEPS[width]
    sides = {
        "tutorial": lambda: rivals[TutorialLoop].run(steps),
        "clean": lambda: rivals[CleanLoop].run(steps),
        "ours": lambda: ours.run(steps),
    }
    for side in sides.values():
        side()
    seconds = interleaved(sides, rounds)
    return {
        name: Figure(
            ratios(seconds, rival, "ours"),
            {side: seconds[side] for side in (rival, "ours")},
            threads,
            remark=f"critic and generator of {DEPTH} hidden layers of {width}",
        )
        for name, rival in (("mlp_step_tutorial", "tutorial"), ("mlp_step_clean", "clean"))
    }
