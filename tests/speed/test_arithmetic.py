"""What a step needs, against what stock autograd is counted to compute."""

from __future__ import annotations

import pytest
import torch

from tests.speed.arithmetic import (
    Counted,
    Passes,
    needed_of_a_critic_update,
    needed_of_a_generator_update,
    needed_of_a_step,
)
from tests.speed.loops import CleanLoop
from tests.speed.networks import dcgan_critic, dcgan_generator, mlp_critic, mlp_generator

BATCH, NOISE = 4, 6
SHAPES = {"conv": (3, 16, 16), "dense": (1, 8, 8)}


def loop_of(kind: str) -> CleanLoop:
    shape = SHAPES[kind]
    if kind == "conv":
        networks = dcgan_generator(shape, 4, 4, NOISE), dcgan_critic(shape, 4, 4)
    else:
        networks = mlp_generator(shape, 16, 3, NOISE), mlp_critic(shape, 16, 3)
    streams = (torch.Generator(), torch.Generator())
    return CleanLoop(
        *networks, lambda: torch.zeros(BATCH, *shape), *streams, batch_size=BATCH, noise_size=NOISE
    )


def passes_of(loop: CleanLoop) -> tuple[Passes, Passes]:
    noise = torch.zeros(BATCH, NOISE)
    return Passes.of(loop.generator, noise), Passes.of(loop.critic, loop.draw())


@pytest.mark.parametrize("kind", SHAPES)
def test_a_forward_pass_is_what_is_counted(kind):
    loop = loop_of(kind)
    for network, batch, passes in zip(
        (loop.generator, loop.critic),
        (torch.zeros(BATCH, NOISE), loop.draw()),
        passes_of(loop),
        strict=True,
    ):
        with Counted() as counted, torch.no_grad():
            network(batch)
        assert counted.total == passes.whole > 0


@pytest.mark.parametrize("kind", SHAPES)
def test_stock_autograd_computes_what_is_needed_and_the_zeros_that_it_sends_back(kind):
    """In the penalty's double backward it sends zeros back through all layers but the last: to the
    weights and to the inputs.
    """
    loop = loop_of(kind)
    generator, critic = passes_of(loop)
    with Counted() as counted:
        loop._train_critic()
    wasted = 2 * (critic.whole - critic.last)
    assert counted.total == needed_of_a_critic_update(generator, critic) + wasted


@pytest.mark.parametrize("kind", SHAPES)
def test_the_generator_s_update_is_what_is_counted(kind):
    loop = loop_of(kind)
    with Counted() as counted:
        loop._train_generator()
    assert counted.total == needed_of_a_generator_update(*passes_of(loop))


def test_a_step_is_its_updates():
    generator, critic = Passes(100, 10, 20), Passes(1000, 300, 50)
    one = 100 + 2 * (3000 - 300) + 4000 - 50
    assert needed_of_a_step(generator, critic, 5) == 5 * one + 2000 + 300 - 10
