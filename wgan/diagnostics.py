"""Looking at a training without touching it: generated samples, estimates, the critic's slope.

Everything here draws from two streams, `evaluation` and `evaluation:reals`, begun anew at each
call, so that each evaluation of a run, and of every run with the same seed, sees the same noise and
the same reals. Networks, buffers and training streams are left as they were.
"""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn

from wgan.config import TrainConfig
from wgan.data import Data, Images, as_float
from wgan.random import stream
from wgan.train import DTYPES, TrainState

LIPSCHITZ_POINTS = 256  # of each kind: real, fake, between; in whole batches, at least one
_ERROR_BLOCKS = 20
_CHUNK = 500


@torch.no_grad()
def generate(config: TrainConfig, state: TrainState, count: int) -> Tensor:
    """`count` samples of the generator from the seed's fixed evaluation noise.

    Batch norm uses its running statistics, so that a sample does not depend on its neighbours.

    Returns:
        float32, (count, C, H, W) in [-1, 1] or (count, d), on the training's device.
    """
    generator = copy.deepcopy(state.generator).eval()
    rng = stream(config.seed, "evaluation", state.device)
    dtype = DTYPES[config.precision]
    noise = torch.randn(count, config.noise_size, generator=rng, device=state.device, dtype=dtype)
    return torch.cat([generator(part) for part in noise.split(_CHUNK)]).float()


def diagnose(
    config: TrainConfig, state: TrainState, data: Data, fake: Tensor, count: int = 1000
) -> dict[str, float]:
    """What the critic says and how steep it is, at this moment.

    Args:
        fake: generated samples as `generate` makes them, at least one batch of them.
        count: samples of each kind to score; fewer where the held-out split or `fake` has fewer.

    Returns:
        `estimate` and `estimate_held_out`: the loss's `distance` (no penalty) on equal counts of
        training and held-out reals against the same fakes; `estimate_held_out_error`, its standard
        error over 20 blocks of samples; `lipschitz_gradient`, the largest gradient norm at 256
        reals, 256 fakes and 256 points between them; `lipschitz_ratio`, the largest |f(x) - f(y)| /
        ||x - y||_2 over the 256 x 256 pairs of real and fake; `lipschitz_lower_bound`, the larger
        of the two: a lower bound of the critic's Lipschitz constant; `score_mean` and `score_std`
        over held-out reals and fakes.

    With batch norm in the critic a score depends on its whole batch: batches here are of one kind,
    as in training, and the slopes are those of a batch's scores together, no Lipschitz constant.
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
    both = torch.cat([held_out_scores, fake_scores])
    gradient = _largest_gradient(config, state.critic, held_out, fake, rng)
    ratio = _largest_ratio(held_out, fake, held_out_scores, fake_scores)
    return {
        "estimate": config.loss.distance(train_scores, fake_scores).item(),
        "estimate_held_out": config.loss.distance(held_out_scores, fake_scores).item(),
        "estimate_held_out_error": _standard_error(config, held_out_scores, fake_scores),
        "lipschitz_gradient": gradient,
        "lipschitz_ratio": ratio,
        "lipschitz_lower_bound": math.nan if gradient != gradient else max(gradient, ratio),
        "score_mean": both.mean().item(),
        "score_std": both.std().item(),
    }


def _sample_count(config: TrainConfig, data: Data, fake: Tensor, count: int) -> int:
    """As many as all sources have, in whole batches: batch norm then scores as it trains."""
    available = min(count, len(fake))
    if isinstance(data, Images):
        available = min(available, len(data.held_out), len(data.train))
    return max(
        available // config.batch_size * config.batch_size, min(available, config.batch_size)
    )


def _reals(data: Data, count: int, rng: torch.Generator, *, held_out: bool) -> Tensor:
    """`count` distinct reals: a fixed part, since a fresh draw would add noise to estimates."""
    if isinstance(data, Images):
        pixels = data.held_out if held_out else data.train
        chosen = torch.randperm(len(pixels), generator=rng, device=rng.device)[:count]
        return as_float(pixels[chosen])
    return data.held_out_batch(count, rng) if held_out else data.batch(count, rng)


def _standard_error(config: TrainConfig, real_scores: Tensor, fake_scores: Tensor) -> float:
    """The standard error of the distance, from disjoint blocks; for losses that are means."""
    blocks = min(_ERROR_BLOCKS, len(real_scores))
    distances = torch.stack(
        [
            config.loss.distance(real, fake)
            for real, fake in zip(
                real_scores.tensor_split(blocks), fake_scores.tensor_split(blocks), strict=True
            )
        ]
    )
    return (distances.std() / blocks**0.5).item() if blocks > 1 else math.nan


def _largest_gradient(
    config: TrainConfig, critic: nn.Module, real: Tensor, fake: Tensor, rng: torch.Generator
) -> float:
    # Whole batches, as batch norm needs them.
    points = max(LIPSCHITZ_POINTS // config.batch_size * config.batch_size, config.batch_size)
    real, fake = real[:points], fake[:points]
    mix = torch.rand(len(real), generator=rng, device=rng.device, dtype=real.dtype)
    mix = mix.view(-1, *[1] * (real.dim() - 1))
    largest = []
    for kind in (real, fake, mix * real + (1 - mix) * fake):
        for part in kind.split(config.batch_size):
            at = part.detach().requires_grad_()
            (gradients,) = torch.autograd.grad(critic(at).sum(), at)
            largest.append(torch.linalg.vector_norm(gradients.flatten(1), dim=1).amax())
    return torch.stack(largest).amax().item()


def _largest_ratio(real: Tensor, fake: Tensor, real_scores: Tensor, fake_scores: Tensor) -> float:
    real, fake = real[:LIPSCHITZ_POINTS].flatten(1), fake[:LIPSCHITZ_POINTS].flatten(1)
    rises = (real_scores[: len(real), None] - fake_scores[None, : len(fake)]).abs()
    runs = torch.cdist(real, fake, compute_mode="donot_use_mm_for_euclid_dist")
    return torch.where(runs > 0, rises / runs, 0.0).amax().item()
