"""One update of the critic, one of the generator: the only callers of backward()."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from wgan.lipschitz import LipschitzMethod
from wgan.losses import Loss
from wgan.once import weights_computed_once
from wgan.precision import reduced

# Numbers in a batch up to which one pass of two batches is quicker than two: 3 to 11 % of the step
# for 64 points or digits, where operations cost more than their arithmetic. On 64 images of
# 3 x 32 x 32 it is 1 to 4 % slower on a CPU, whose cache the larger maps leave.
_SMALL = 2**13


class CriticStep(NamedTuple):
    """What one critic update saw, detached and still on the device.

    `loss` is without the penalty, a scalar; `penalty` a scalar; the scores, each (N,), are those
    before the update.
    """

    loss: Tensor
    penalty: Tensor
    real_scores: Tensor
    fake_scores: Tensor


def critic_step(
    critic: nn.Module,
    generator: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss: Loss,
    methods: Sequence[LipschitzMethod],
    real: Tensor,
    noise: Tensor,
    streams: Mapping[str, torch.Generator],
    count: int,
    *,
    together: bool = False,
) -> CriticStep:
    """One update of the critic.

    Source: Gulrajani et al. 2017, arXiv:1704.00028, Algorithm 1, lines 3 to 9.

    Args:
        real: (N, ...), noise: (N, noise_size).
        streams: holds `penalty:<name>` for each method.
        count: critic updates made before this one; decides whether a lazy penalty is due.
        together: whether reals and fakes may pass through the critic as one batch, which is the
            same where no score depends on its batch (with batch norm one does). Small ones do.
    """
    # Generate samples; the generator's graph is not needed here.
    with torch.no_grad(), reduced():
        fake = generator(noise)

    with weights_computed_once(), reduced():
        # Score real and generated samples.
        if together and real.numel() <= _SMALL:
            real_scores, fake_scores = critic(torch.cat([real, fake])).split(len(real))
        else:
            real_scores, fake_scores = critic(real), critic(fake)
        critic_loss = loss.critic_loss(real_scores, fake_scores)

        # Add the constraint's penalty.
        penalty = None
        for method in methods:
            if count % method.every == 0:
                added = method.penalty(critic, real, fake, streams[f"penalty:{method.name}"])
                if added is not None:
                    lazy = method.every > 1 and method.scale_by_every
                    added = added * method.every if lazy else added
                    penalty = added if penalty is None else penalty + added

    # Update, then project back.
    optimizer.zero_grad(set_to_none=True)
    total = critic_loss if penalty is None else critic_loss + penalty
    total.backward(inputs=trained_by(optimizer))
    optimizer.step()
    for method in methods:
        method.after_step(critic)
    return CriticStep(
        critic_loss.detach(),
        torch.zeros_like(critic_loss) if penalty is None else penalty.detach(),
        real_scores.detach(),
        fake_scores.detach(),
    )


def generator_step(
    critic: nn.Module,
    generator: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss: Loss,
    noise: Tensor,
    real: Tensor | None,
) -> Tensor:
    """One update of the generator (Algorithm 1, lines 11 and 12); returns its loss, detached.

    `real` is a batch where `loss.needs_real`, else None.
    """
    # The critic only passes gradients on; it collects none.
    trained = [parameter for parameter in critic.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)

    # Score generated samples.
    with weights_computed_once(), reduced():
        fake_scores = critic(generator(noise))
        real_scores = critic(real) if real is not None else None
        generator_loss = loss.generator_loss(fake_scores, real_scores)

    # Update.
    optimizer.zero_grad(set_to_none=True)
    generator_loss.backward(inputs=trained_by(optimizer))
    optimizer.step()
    for parameter in trained:
        parameter.requires_grad_(True)
    return generator_loss.detach()


def trained_by(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """The parameters that the optimizer moves: a backward pass has to find nothing else."""
    return [
        parameter
        for group in optimizer.param_groups
        for parameter in group["params"]
        if parameter.requires_grad
    ]
