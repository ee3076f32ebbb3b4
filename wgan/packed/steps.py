"""One update of k critics, one of k generators: `wgan.steps` with stacked weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from wgan.lipschitz import LipschitzMethod
from wgan.losses import Loss
from wgan.once import weights_computed_once
from wgan.packed.critics import StackedCritic
from wgan.packed.networks import StackedNetwork
from wgan.steps import CriticStep


def critic_step(
    critic: StackedCritic,
    optimizer: torch.optim.Optimizer,
    loss: Loss,
    methods: Sequence[LipschitzMethod],
    real: Tensor,
    fake: Tensor,
    streams: Mapping[str, Sequence[torch.Generator]],
    count: int,
) -> CriticStep:
    """One update of each critic, as `wgan.steps.critic_step` makes one of samples that it has.

    Args:
        loss: a `stacked` one.
        real, fake: (k, N, ...), without a graph.
        streams: holds the k streams `penalty:<name>` for each method.
        count: critic updates made before this one; decides whether a lazy penalty is due.
    """
    with weights_computed_once():
        # Score real and generated samples; take the gradients that the due penalties look at.
        due = [method for method in methods if count % method.every == 0]
        points = [m.packed_points(real, fake, streams[f"penalty:{m.name}"]) for m in due]
        asked = [batch for batch in points if batch is not None]
        (real_scores, fake_scores), gradients = critic.judge([real, fake], _join(asked))
        critic_loss = loss.critic_loss(real_scores, fake_scores)

        # Add the constraint's penalty.
        penalty = torch.zeros_like(critic_loss)
        norms = _split_norms(gradients, points)
        for method, seen in zip(due, norms, strict=True):
            added = method.packed_penalty(critic, seen)
            if added is not None:
                lazy = method.every > 1 and method.scale_by_every
                penalty = penalty + (added * method.every if lazy else added)

    # Update, then project back.
    critic.backward(critic_loss + penalty)
    optimizer.step()
    for method in methods:
        method.packed_after_step(critic)
    return CriticStep(
        critic_loss.detach(), penalty.detach(), real_scores.detach(), fake_scores.detach()
    )


def generator_step(
    critic: StackedCritic,
    generator: StackedNetwork,
    optimizer: torch.optim.Optimizer,
    loss: Loss,
    noise: Tensor,
    real: Tensor | None,
) -> Tensor:
    """One update of each generator; returns their losses (k,), detached.

    `real` is a batch for each where `loss.needs_real`, else None.
    """
    # The critics only pass gradients on; they collect none.
    critic.requires_grad_(False)

    # Score generated samples.
    with weights_computed_once():
        fake_scores = critic(generator(noise))
        real_scores = critic(real) if real is not None else None
        generator_loss = loss.generator_loss(fake_scores, real_scores)

    # Update.
    generator.backward(generator_loss)
    optimizer.step()
    critic.requires_grad_(True)
    return generator_loss.detach()


def _join(batches: Sequence[Tensor]) -> Tensor | None:
    """Batches (k, N, ...) one after another, or None."""
    if len(batches) < 2:
        return batches[0] if batches else None
    return torch.cat(list(batches), dim=1)


def _split_norms(gradients: Tensor | None, points: Sequence[Tensor | None]) -> list[Tensor | None]:
    """||gradient||_2 at each method's points, (k, N), and None for a method that asked for none."""
    if gradients is None:
        return [None for _ in points]
    norms = torch.linalg.vector_norm(gradients.flatten(2), dim=2)
    parts = iter(norms.split([batch.shape[1] for batch in points if batch is not None], dim=1))
    return [None if batch is None else next(parts) for batch in points]
