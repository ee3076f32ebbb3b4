"""What diagnostics look at: generated samples from fixed noise, and fixed reals."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from wgan.config import TrainConfig
from wgan.data import Data, Images, as_float, pick
from wgan.precision import exactly
from wgan.random import stream
from wgan.train import DTYPES, TrainState

_CHUNK = 500


@exactly
@torch.no_grad()
def generate(
    config: TrainConfig,
    state: TrainState,
    count: int,
    data: Data | None = None,
    rng: torch.Generator | None = None,
) -> Tensor:
    """`count` samples of the generator, from the seed's fixed evaluation noise unless told.

    Batch norm uses its running statistics, so that a sample does not depend on its neighbours.
    Where the configuration keeps a moving average of the generator, the average is sampled.

    Args:
        data: what a frozen generator draws from; a trained one needs none.
        rng: where other noise comes from, on the training's device.

    Returns:
        float32, (count, C, H, W) in [-1, 1] or (count, d), on the training's device.
    """
    generator = state.generator if state.average is None else state.average
    generator = copy.deepcopy(generator).eval()
    rng = stream(config.seed, "evaluation", state.device) if rng is None else rng
    assert data is not None or config.generator.trains
    noise = config.generator.draw(
        data,  # type: ignore[arg-type]
        config.noise_size,
        count,
        rng,
        DTYPES[config.precision],
    )
    return torch.cat([generator(part) for part in noise.split(_CHUNK)]).float()


def fresh_sets(
    config: TrainConfig, state: TrainState, sets: int, count: int, data: Data
) -> Iterator[Tensor]:
    """`sets` further sets of `count` samples, one after another, disjoint from all others.

    Their noise is the beginning of the seed's stream `evaluation:fresh`: more sets begin with those
    of fewer. The differences between them are what one model's score owes to its samples alone.
    """
    rng = stream(config.seed, "evaluation:fresh", state.device)
    for _ in range(sets):
        yield generate(config, state, count, data, rng)


@dataclass(frozen=True)
class Seen:
    """Samples of equal counts with the critic's scores of them.

    Attributes:
        train, held_out, fake: shape (N, ...), in the training's number format.
        train_scores, held_out_scores, fake_scores: shape (N,), without a graph.
        batch_size: samples that were scored together.
    """

    train: Tensor
    held_out: Tensor
    fake: Tensor
    train_scores: Tensor
    held_out_scores: Tensor
    fake_scores: Tensor
    batch_size: int


def see(config: TrainConfig, state: TrainState, data: Data, fake: Tensor, count: int) -> Seen:
    """The critic's scores of training reals, held-out reals and fakes.

    With batch norm in the critic a score depends on its whole batch: batches here are of one kind,
    as in training.

    Args:
        fake: generated samples as `generate` makes them, at least one batch of them.
        count: samples of each kind; fewer where the held-out split or `fake` has fewer. Where the
            training split has fewer its images are taken again, in the same order.
    """
    dtype = DTYPES[config.precision]
    rng = stream(config.seed, "evaluation:reals", state.device)
    count = _sample_count(config, data, fake, count)
    train = _reals(data, count, rng, held_out=False).to(dtype)
    held_out = _reals(data, count, rng, held_out=True).to(dtype)
    fake = fake[:count].to(dtype)
    with torch.no_grad():
        train_scores, held_out_scores, fake_scores = (
            torch.cat([state.critic(part) for part in samples.split(config.batch_size)])
            for samples in (train, held_out, fake)
        )
    return Seen(
        train, held_out, fake, train_scores, held_out_scores, fake_scores, config.batch_size
    )


def _sample_count(config: TrainConfig, data: Data, fake: Tensor, count: int) -> int:
    """As many as all sources have, in whole batches: batch norm then scores as it trains."""
    available = min(count, len(fake))
    if isinstance(data, Images):
        available = min(available, len(data.held_out))
    return max(
        available // config.batch_size * config.batch_size, min(available, config.batch_size)
    )


def _reals(data: Data, count: int, rng: torch.Generator, *, held_out: bool) -> Tensor:
    """`count` reals: a fixed part, since a fresh draw would add noise to estimates.

    They are distinct where there are so many. Of a set that trains on a part of itself the order
    is drawn for the whole, so that the draw after it, of held-out reals, is the whole set's.
    """
    if isinstance(data, Images):
        pixels, whole = data.train, data.scored_against.train
        if held_out:
            pixels = whole = data.held_out
        order = torch.randperm(len(whole), generator=rng, device=rng.device)
        order = order[order < len(pixels)]
        chosen = order.repeat(-(-count // len(order)))[:count]
        return as_float(pick(pixels, chosen))
    return data.held_out_batch(count, rng) if held_out else data.batch(count, rng)
