"""The arithmetic of a critic's update with the gradient penalty, counted as it runs: ours and stock
autograd's, with the gradients that both give.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tests.speed.arithmetic import Counted
from tests.speed.conv_step import clean_loop, config_of
from tests.speed.figure import Figure
from tests.speed.loops import CleanLoop
from tests.speed.ours import BATCH_SIZE, NOISE_SIZE, random_images
from wgan.config import TrainConfig
from wgan.data import as_float
from wgan.steps import critic_step
from wgan.train import new_state


def penalty_flops(threads: int, rounds: int = 1, width: int = 128) -> dict[str, Figure]:
    """Operations of one update over stock autograd's, with the gradients compared bit for bit."""
    del rounds  # a count is the same each time
    torch.set_num_threads(threads)
    config, data = config_of(width=width), random_images()
    state = new_state(config, data)
    clean = clean_loop(state, as_float(data.train), width)
    real, noise = as_float(data.train[:BATCH_SIZE]), torch.randn(BATCH_SIZE, NOISE_SIZE)
    stock, stock_gradients = stock_update(clean, real, noise)
    ours, our_gradients = our_update(config, state, real, noise)
    equal = all(map(torch.equal, our_gradients, stock_gradients))
    apart = max(
        float((a - b).abs().max() / b.abs().max())
        for a, b in zip(our_gradients, stock_gradients, strict=True)
    )
    said = "bit-equal" if equal else f"apart by {apart:.1e} of their largest entry"
    figure = Figure(
        [ours / stock],
        threads=threads,
        remark=f"{ours / 1e9:.1f} of {stock / 1e9:.1f} GFLOP; the gradients are {said}",
        sound=equal,
    )
    return {"penalty_flops": figure}


def our_update(
    config: TrainConfig, state, real: Tensor, noise: Tensor, seed: int = 0
) -> tuple[int, list[Tensor]]:
    """The operations of `critic_step`, and the gradients that it gave to its optimizer."""
    streams = {"penalty:gradient_penalty": torch.Generator().manual_seed(seed)}
    with Counted() as counted:
        critic_step(
            state.critic,
            state.generator,
            state.critic_optimizer,
            config.loss,
            config.lipschitz,
            real,
            noise,
            streams,
            0,
        )
    return counted.total, gradients(state.critic)


def stock_update(
    loop: CleanLoop, real: Tensor, noise: Tensor, seed: int = 0
) -> tuple[int, list[Tensor]]:
    """The same of the clean loop, on the same reals, noise and mixing."""
    loop.draw, loop._z = lambda: real, lambda: noise
    loop.mixing = torch.Generator().manual_seed(seed)
    with Counted() as counted:
        loop._train_critic()
    return counted.total, gradients(loop.critic)


def gradients(network: nn.Module) -> list[Tensor]:
    return [parameter.grad.clone() for parameter in network.parameters()]
