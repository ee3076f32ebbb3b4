"""The recipes written once more, straight from the papers, with plain torch and nothing of `wgan`
but the seeds of its streams.

Each loop trains the networks of `plain_training` and notes what it saw. It is the oracle of
`test_recipes`. The constants of a paper are arguments, so that a test can show that another one is
told apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from plain_layers import (
    train_gngan,
    train_lipschitz_wgan,
    train_orthonormal_gan,
    train_sngan,
    train_sngan_hinge,
    train_wgan_sn,
)
from plain_penalties import train_dragan, train_gan_gp, train_r3gan, train_wgan_gp, train_wgan_lp
from plain_training import Plain, adams, alternate, restore
from torch import Tensor


def train_gan(plain: Plain, steps: int) -> None:
    """Goodfellow et al. 2014, non-saturating; Adam of Radford et al. 2015."""
    d_adam = torch.optim.Adam(plain.critic.parameters(), lr=2e-4, betas=(0.5, 0.999))
    g_adam = torch.optim.Adam(plain.generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    one = torch.ones(plain.batch_size, dtype=plain.dtype)
    zero = torch.zeros(plain.batch_size, dtype=plain.dtype)
    for _ in range(steps):
        real, fake = plain.real(), plain.generator(plain.z()).detach()
        real_scores, fake_scores = plain.critic(real), plain.critic(fake)
        loss = F.binary_cross_entropy_with_logits(
            real_scores, one
        ) + F.binary_cross_entropy_with_logits(fake_scores, zero)
        d_adam.zero_grad()
        loss.backward()
        d_adam.step()
        plain.note_critic(loss, None, real_scores, fake_scores)

        kept = [p.grad.clone() for p in plain.critic.parameters()]
        loss = F.binary_cross_entropy_with_logits(plain.critic(plain.generator(plain.z())), one)
        g_adam.zero_grad()
        loss.backward()
        g_adam.step()
        restore(plain.critic, kept)
        plain.note_generator(loss)


def train_minimax_gan(
    plain: Plain, steps: int, alpha: float = 2e-4, beta1: float = 0.5, beta2: float = 0.999
) -> None:
    """Goodfellow et al. 2014, Algorithm 1: D ascends log D(x) + log(1 - D(G(z))), G descends
    log(1 - D(G(z))).
    """
    alternate(
        plain,
        steps,
        1,
        *adams(plain, alpha, beta1, beta2),
        critic_loss=lambda real, fake: (
            -(torch.sigmoid(real).log().mean() + (1 - torch.sigmoid(fake)).log().mean())
        ),
        generator_loss=lambda fake: (1 - torch.sigmoid(fake)).log().mean(),
    )


def train_lsgan(
    plain: Plain,
    steps: int,
    alpha: float = 2e-4,
    a: float = 0.0,
    b: float = 1.0,
    c: float = 1.0,
) -> None:
    """Mao et al. 2016, equation 2 without its halves: a is the label of fakes, b of reals, c what
    the generator wants.
    """
    alternate(
        plain,
        steps,
        1,
        *adams(plain, alpha, 0.5, 0.999),
        critic_loss=lambda real, fake: ((real - b) ** 2).mean() + ((fake - a) ** 2).mean(),
        generator_loss=lambda fake: ((fake - c) ** 2).mean(),
    )


def train_hinge_gan(plain: Plain, steps: int, alpha: float = 2e-4, margin: float = 1.0) -> None:
    """Lim and Ye 2017: the critic minimises the soft-margin SVM's hinges, the generator moves
    along the normal of its hyperplane. RMSprop of their code.
    """
    alternate(
        plain,
        steps,
        1,
        torch.optim.RMSprop(plain.critic.parameters(), lr=alpha),
        torch.optim.RMSprop(plain.generator.parameters(), lr=alpha),
        critic_loss=lambda real, fake: (
            (margin - real).clip(min=0).mean() + (margin + fake).clip(min=0).mean()
        ),
        generator_loss=lambda fake: -fake.mean(),
    )


def train_wgan(plain: Plain, steps: int) -> None:
    """Arjovsky et al. 2017, Algorithm 1, with its signs turned to descent."""
    alpha, c, n_critic = 5e-5, 0.01, 5
    d_rms = torch.optim.RMSprop(plain.critic.parameters(), lr=alpha)
    g_rms = torch.optim.RMSprop(plain.generator.parameters(), lr=alpha)
    for _ in range(steps):
        for _ in range(n_critic):
            x, z = plain.real(), plain.z()
            fx, fgz = plain.critic(x), plain.critic(plain.generator(z).detach())
            d_rms.zero_grad()
            loss = -(fx.mean() - fgz.mean())
            loss.backward()
            d_rms.step()
            with torch.no_grad():
                for w in plain.critic.parameters():
                    w.copy_(w.clip(-c, c))
            plain.note_critic(loss, None, fx, fgz)
        kept = [p.grad.clone() for p in plain.critic.parameters()]
        g_rms.zero_grad()
        loss = -plain.critic(plain.generator(plain.z())).mean()
        loss.backward()
        g_rms.step()
        restore(plain.critic, kept)
        plain.note_generator(loss)


def wasserstein(real: Tensor, fake: Tensor) -> Tensor:
    return real.mean() - fake.mean()


def jensen_shannon(real: Tensor, fake: Tensor) -> Tensor:
    """The mean cross-entropy of telling the two, subtracted from that of a coin, log 2."""
    entropy = -torch.sigmoid(real).log().mean() - (1 - torch.sigmoid(fake)).log().mean()
    return math.log(2) - entropy / 2


def total_variation(real: Tensor, fake: Tensor) -> Tensor:
    """For scores within the margin half their difference; what is beyond does not count."""
    return (real.clip(max=1).mean() - fake.clip(min=-1).mean()) / 2


def triangular(real: Tensor, fake: Tensor) -> Tensor:
    return 2 - 4 * ((1 - real) ** 2).mean() - 4 * (fake**2).mean()


def jensen_shannon_of_pairs(real: Tensor, fake: Tensor) -> Tensor:
    return math.log(2) + torch.sigmoid(real - fake).log().mean()


LOOPS: dict[str, Callable[..., None]] = {
    "gan": train_gan,
    "minimax_gan": train_minimax_gan,
    "lsgan": train_lsgan,
    "hinge_gan": train_hinge_gan,
    "wgan": train_wgan,
    "wgan_gp": train_wgan_gp,
    "wgan_lp": train_wgan_lp,
    "dragan": train_dragan,
    "sngan": train_sngan,
    "sngan_hinge": train_sngan_hinge,
    "wgan_sn": train_wgan_sn,
    "gan_gp": train_gan_gp,
    "r3gan": train_r3gan,
    "gngan": train_gngan,
    "orthonormal_gan": train_orthonormal_gan,
    "lipschitz_wgan": train_lipschitz_wgan,
}
# What each critic's loss estimates, which is in the rows.
DISTANCES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "gan": jensen_shannon,
    "minimax_gan": jensen_shannon,
    "lsgan": triangular,
    "hinge_gan": total_variation,
    "wgan": wasserstein,
    "wgan_gp": wasserstein,
    "wgan_lp": wasserstein,
    "dragan": jensen_shannon,
    "sngan": jensen_shannon,
    "sngan_hinge": total_variation,
    "wgan_sn": wasserstein,
    "gan_gp": jensen_shannon,
    "r3gan": jensen_shannon_of_pairs,
    "gngan": jensen_shannon,
    "orthonormal_gan": jensen_shannon,
    "lipschitz_wgan": wasserstein,
}
