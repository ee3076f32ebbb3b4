"""What the loop costs over a bare one: the same two networks, updates and optimizers, the penalty
inlined, no figure kept.

Run it on a quiet machine: `python -m pytest -m bench tests/bench/test_loop_overhead.py -s`. Loops
run in turn (A B A B ...), each pair of CPU times gives one ratio, and the median ratio is judged.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import pytest
import torch

from wgan.config import TrainConfig
from wgan.data import Data, as_float
from wgan.piecewise import differentiated_twice
from wgan.recipes import recipe_settings
from wgan.train import TrainState, new_state, train

pytestmark = [pytest.mark.bench, pytest.mark.timeout(1800)]
LOG_EVERY = 50
_LAMBDA = 10.0


def ours(config: TrainConfig, data: Data, state: TrainState, steps: int) -> None:
    """`train` itself, with a row at every 50 steps."""
    until = state.step + steps
    for pause in train(
        config, data, state, lambda: False, log_every=LOG_EVERY, evaluate_every=10**9
    ):
        if pause.state.step == until:
            break


def bare(config: TrainConfig, data: Data, state: TrainState, steps: int) -> None:
    """WGAN-GP as one would write it in a script."""
    generator, critic, size = state.generator, state.critic, config.batch_size
    images = data.kind == "images"
    draw, noise, mixing = torch.Generator(), torch.Generator(), torch.Generator()

    def real() -> torch.Tensor:
        if not images:
            return data.batch(size, draw)
        return as_float(data.train[torch.randint(len(data.train), (size,), generator=draw)])

    for _ in range(steps):
        for _ in range(config.critic_steps):
            x = real()
            with torch.no_grad():
                fake = generator(torch.randn(size, config.noise_size, generator=noise))
            loss = critic(fake).mean() - critic(x).mean()
            u = torch.rand(size, *[1] * (x.dim() - 1), generator=mixing)
            between = (u * x + (1 - u) * fake).requires_grad_()
            with differentiated_twice():
                scores = critic(between)
            (slope,) = torch.autograd.grad(scores.sum(), between, create_graph=True)
            penalty = _LAMBDA * (slope.flatten(1).norm(dim=1) - 1).square().mean()
            state.critic_optimizer.zero_grad(set_to_none=True)
            (loss + penalty).backward()
            state.critic_optimizer.step()
        for parameter in critic.parameters():
            parameter.requires_grad_(False)
        loss = -critic(generator(torch.randn(size, config.noise_size, generator=noise))).mean()
        state.generator_optimizer.zero_grad(set_to_none=True)
        loss.backward()
        state.generator_optimizer.step()
        for parameter in critic.parameters():
            parameter.requires_grad_(True)


def cpu_seconds(loop: Callable[..., None], *arguments: object) -> float:
    started = time.process_time()
    loop(*arguments)
    return time.process_time() - started


def measured(name: str, config: TrainConfig, steps: int, pairs: int) -> float:
    """The median over pairs of the loop's CPU time divided by the bare loop's."""
    data = config.dataset.load()
    states = {loop: new_state(config, data) for loop in (ours, bare)}
    for loop, state in states.items():
        loop(config, data, state, LOG_EVERY)  # warm: thread pools, allocator, optimizer state
    ratios, seconds = [], {ours: [], bare: []}
    for pair in range(pairs):
        order = (ours, bare) if pair % 2 == 0 else (bare, ours)
        took = {loop: cpu_seconds(loop, config, data, states[loop], steps) for loop in order}
        ratios.append(took[ours] / took[bare])
        for loop in order:
            seconds[loop].append(took[loop])
    ratio = statistics.median(ratios)
    per_step = {loop: 1e3 * statistics.median(taken) / steps for loop, taken in seconds.items()}
    sys.stdout.write(
        f"\n{name}: {ratio:.3f} times the bare loop's CPU time (median of {pairs} pairs, "
        f"{min(ratios):.3f} to {max(ratios):.3f}; {per_step[ours]:.2f} against "
        f"{per_step[bare]:.2f} ms per step)\n"
    )
    return ratio


def configured(**settings: object) -> TrainConfig:
    return TrainConfig.from_plain(
        {**recipe_settings("wgan_gp"), "steps": 10**6, "score_limit": 1e30, **settings}
    )


def test_the_loop_costs_at_most_2_percent_on_digits():
    assert measured("digits, dcgan of width 64, wgan_gp", configured(), 50, 9) <= 1.02


def test_the_loop_costs_at_most_5_percent_on_a_toy():
    toy = configured(dataset="ring8", network={"mlp": {"width": 128}}, noise_size=2)
    assert measured("ring8, mlp of width 128, wgan_gp", toy, 200, 11) <= 1.05
