"""The figures of one evaluation: what the critic says, how steep it is, what reaches the generator.

Cheap figures are always taken; `Looks` asks for the others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from wgan.config import TrainConfig
from wgan.data import Data
from wgan.diagnostics.gap import critic_gap
from wgan.diagnostics.samples import Seen, see
from wgan.diagnostics.slopes import ASCENT_PAIRS, LIPSCHITZ_POINTS, ascend, steepest, whole_batches
from wgan.diagnostics.weights import weight_figures
from wgan.once import weights_computed_once
from wgan.operator_norms import lipschitz_upper_bound
from wgan.precision import exactly
from wgan.random import stream
from wgan.train import TrainState

_ERROR_BLOCKS = 20


@dataclass(frozen=True)
class Looks:
    """What is looked at beyond the cheap figures.

    Attributes:
        ascent_steps: gradient-ascent steps of the measured Lipschitz constant; 0 for none.
        gap_updates: critic updates of the critic-optimality gap; 0 for none.
        upper_bound: whether the product of the layers' operator norms is computed.
    """

    ascent_steps: int = 0
    gap_updates: int = 0
    upper_bound: bool = False


@exactly
def diagnose(
    config: TrainConfig,
    state: TrainState,
    data: Data,
    fake: Tensor,
    count: int = 1000,
    looks: Looks = Looks(),
) -> dict[str, float]:
    """What the critic says and how steep it is, at this moment.

    Args:
        fake: generated samples as `generate` makes them, at least one batch of them.
        count: samples of each kind to score; fewer where the held-out split or `fake` has fewer.

    Returns:
        `estimate` and `estimate_held_out`: the loss's `distance` (no penalty) on equal counts of
        training and held-out reals against the same fakes; `estimate_held_out_error`, its standard
        error over 20 blocks of samples; `critic_accuracy`, the share of held-out reals and fakes on
        the right side of the best threshold, 1/2 to 1; `score_mean` and `score_std` over both;
        `fake_gradient_norm`, the mean length of the gradient of a fake's own generator loss: what
        reaches the generator; `known_w1`, the exact W1 of data and fakes, only against a frozen
        generator whose is known; `lipschitz_gradient`, `lipschitz_ratio`, `lipschitz_ascent` and
        `lipschitz_lower_bound` (see `wgan.diagnostics.slopes`); `estimate_per_lipschitz`, the
        held-out estimate over that measured constant, which bounds nothing, since the constant is
        itself only bounded from below; `lipschitz_upper_bound`, the product of operator norms, and
        `estimate_certified`, the held-out estimate over it: for the Wasserstein loss a lower bound
        of W1; both absent where the critic has no finite bound; `critic_gap` and
        `critic_gap_held_out` (see `wgan.diagnostics.gap`); `weight_bimodality` and, under weight
        clipping, `weights_at_limit` (see `wgan.diagnostics.weights`).

    With batch norm in the critic a score depends on its whole batch: slopes are then those of a
    batch's scores together, no Lipschitz constant.
    """
    # No weight changes meanwhile, and no gradient is asked for in one.
    with weights_computed_once():
        seen = see(config, state, data, fake, count)
        fake_gradient_norm = _fake_gradient_norm(config, state, seen)
        slopes = _slopes(config, state, seen, looks)
    both = torch.cat([seen.held_out_scores, seen.fake_scores])
    estimate = config.loss.distance(seen.held_out_scores, seen.fake_scores).item()
    figures = {
        "estimate": config.loss.distance(seen.train_scores, seen.fake_scores).item(),
        "estimate_held_out": estimate,
        "estimate_held_out_error": _standard_error(config, seen),
        "critic_accuracy": accuracy(seen.held_out_scores, seen.fake_scores),
        "score_mean": both.mean().item(),
        "score_std": both.std().item(),
        "fake_gradient_norm": fake_gradient_norm,
    }
    known_w1 = config.generator.known_w1(data)
    if known_w1 is not None:
        figures["known_w1"] = known_w1
    figures |= slopes
    figures["estimate_per_lipschitz"] = _over(estimate, figures["lipschitz_lower_bound"])
    if looks.upper_bound:
        bound = lipschitz_upper_bound(state.critic, data.shape)
        if math.isfinite(bound):
            figures["lipschitz_upper_bound"] = bound
            figures["estimate_certified"] = _over(estimate, bound)
    if looks.gap_updates:
        figures |= critic_gap(config, state, data, seen, looks.gap_updates)
    return figures | weight_figures(config, state.critic)


def lipschitz_protocol(looks: Looks) -> dict[str, Any]:
    """How the Lipschitz constant is measured, JSON-able, to be stated with it."""
    return {
        "norm": "Euclidean, over all coordinates",
        "points": f"gradient norms at {LIPSCHITZ_POINTS} held-out reals, as many fakes, and as "
        "many points between them",
        "pairs": f"score differences over distances of all {LIPSCHITZ_POINTS} x {LIPSCHITZ_POINTS} "
        "pairs of those reals and fakes",
        "ascent_steps": looks.ascent_steps,
        "ascent_pairs": ASCENT_PAIRS if looks.ascent_steps else 0,
    }


def accuracy(real_scores: Tensor, fake_scores: Tensor) -> float:
    """The share of samples on the right side of the best threshold; equal counts, shape (N,).

    The threshold is chosen, because a Wasserstein critic's scores may be shifted by any constant: 1
    means that the critic tells every sample (the perfect discriminator of Arjovsky and Bottou 2017,
    arXiv:1701.04862, section 2), 1/2 that it tells none.
    """
    reals, fakes = real_scores.sort().values, fake_scores.sort().values
    thresholds = torch.cat([reals, fakes])
    right = (
        len(reals)
        - torch.searchsorted(reals, thresholds, right=True)
        + torch.searchsorted(fakes, thresholds, right=True)
    )
    # Below all thresholds every sample counts as real.
    most = max(int(right.max()), len(reals))
    return most / (len(reals) + len(fakes))


def _over(estimate: float, constant: float) -> float:
    return estimate / constant if constant > 0 else math.nan


def _standard_error(config: TrainConfig, seen: Seen) -> float:
    """The standard error of the distance, from disjoint blocks; for losses that are means."""
    blocks = min(_ERROR_BLOCKS, len(seen.held_out_scores))
    distances = torch.stack(
        [
            config.loss.distance(real, fake)
            for real, fake in zip(
                seen.held_out_scores.tensor_split(blocks),
                seen.fake_scores.tensor_split(blocks),
                strict=True,
            )
        ]
    )
    return (distances.std() / blocks**0.5).item() if blocks > 1 else math.nan


def _fake_gradient_norm(config: TrainConfig, state: TrainState, seen: Seen) -> float:
    """Mean ||d l_i / d x_i||_2 over fakes, l_i the share of fake i in the generator's loss."""
    fake = whole_batches(seen.fake, seen.batch_size)
    real_scores = seen.held_out_scores[: len(fake)].split(seen.batch_size)
    norms = []
    for part, reals in zip(fake.split(seen.batch_size), real_scores, strict=True):
        at = part.detach().requires_grad_()
        with torch.enable_grad():
            loss = config.loss.generator_loss(state.critic(at), reals)
            (gradient,) = torch.autograd.grad(loss, at)
        norms.append(torch.linalg.vector_norm(gradient.flatten(1), dim=1) * len(part))
    return torch.cat(norms).mean().item()


def _slopes(config: TrainConfig, state: TrainState, seen: Seen, looks: Looks) -> dict[str, float]:
    rng = stream(config.seed, "evaluation:slopes", state.device)
    figures = steepest(state.critic, seen, rng)
    if looks.ascent_steps:
        figures["lipschitz_ascent"] = ascend(state.critic, seen, looks.ascent_steps)
    values = list(figures.values())
    # max() would pass over a NaN.
    broken = any(math.isnan(value) for value in values)
    figures["lipschitz_lower_bound"] = math.nan if broken else max(values)
    return figures
