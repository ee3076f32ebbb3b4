"""The plain loops of the recipes that punish the critic's slope, sample by sample as it is
written.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from plain_training import Plain, adams, alternate, cross_entropy, restore
from torch import Tensor


def train_wgan_gp(plain: Plain, steps: int) -> None:
    """Gulrajani et al. 2017, Algorithm 1; the samples of a batch one by one, as it is written."""
    lambda_, n_critic = 10, 5
    d_adam = torch.optim.Adam(plain.critic.parameters(), lr=1e-4, betas=(0.0, 0.9))
    g_adam = torch.optim.Adam(plain.generator.parameters(), lr=1e-4, betas=(0.0, 0.9))
    m = plain.batch_size
    for _ in range(steps):
        for _ in range(n_critic):
            x, x_tilde = plain.real(), plain.generator(plain.z()).detach()
            epsilon = torch.rand(m, generator=plain.penalty, dtype=plain.dtype)
            punished = []
            for i in range(m):
                x_hat = epsilon[i] * x[i] + (1 - epsilon[i]) * x_tilde[i]
                x_hat.requires_grad_()
                score = plain.critic(x_hat[None])[0]
                (slope,) = torch.autograd.grad(score, x_hat, create_graph=True)
                punished.append(lambda_ * (slope.square().sum().sqrt() - 1) ** 2)
            penalty = sum(punished) / m
            real_scores, fake_scores = plain.critic(x), plain.critic(x_tilde)
            loss = fake_scores.mean() - real_scores.mean()
            d_adam.zero_grad()
            (loss + penalty).backward()
            d_adam.step()
            plain.note_critic(loss, penalty, real_scores, fake_scores)
        kept = [p.grad.clone() for p in plain.critic.parameters()]
        loss = -plain.critic(plain.generator(plain.z())).mean()
        g_adam.zero_grad()
        loss.backward()
        g_adam.step()
        restore(plain.critic, kept)
        plain.note_generator(loss)


def squared_slope(plain: Plain, point: Tensor) -> Tensor:
    """The sum of the squared partial derivatives of the critic at one sample."""
    point = point.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(plain.critic(point[None])[0], point, create_graph=True)
    return (gradient**2).sum()


def between(plain: Plain, cost: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """The mean cost of the slope at points drawn between pairs of real and fake."""

    def penalty(real: Tensor, fake: Tensor) -> Tensor:
        epsilon = torch.rand(plain.batch_size, generator=plain.penalty, dtype=plain.dtype)
        costs = [
            cost(squared_slope(plain, e * x + (1 - e) * y).sqrt())
            for e, x, y in zip(epsilon, real, fake, strict=True)
        ]
        return sum(costs) / len(costs)

    return penalty


def train_wgan_lp(
    plain: Plain, steps: int, lambda_: float = 10.0, alpha: float = 1e-4, one_sided: bool = True
) -> None:
    """Petzka et al. 2018, equation 8: only slopes above 1 cost anything."""

    def cost(slope: Tensor) -> Tensor:
        free = one_sided and slope <= 1
        return 0 * slope if free else lambda_ * (slope - 1) ** 2

    alternate(
        plain,
        steps,
        5,
        *adams(plain, alpha, 0.0, 0.9),
        critic_loss=lambda real, fake: fake.mean() - real.mean(),
        generator_loss=lambda fake: -fake.mean(),
        penalty=between(plain, cost),
    )


def train_gan_gp(
    plain: Plain, steps: int, lambda_: float = 10.0, k: float = 1.0, alpha: float = 1e-4
) -> None:
    """Fedus et al. 2017: the non-saturating loss with the penalty of Gulrajani et al. 2017; Adam
    of Miyato et al. 2018, Table 1, A.
    """
    alternate(
        plain,
        steps,
        5,
        *adams(plain, alpha, 0.5, 0.9),
        critic_loss=cross_entropy,
        generator_loss=lambda fake: -F.logsigmoid(fake).mean(),
        penalty=between(plain, lambda slope: lambda_ * (slope - k) ** 2),
    )


def train_dragan(
    plain: Plain, steps: int, lambda_: float = 10.0, c: float = 0.5, alpha: float = 1e-4
) -> None:
    """Kodali et al. 2017, the authors' code: around each real, c standard deviations of the batch
    times noise in [0, 1], at a fraction alpha of the way.
    """

    def penalty(real: Tensor, fake: Tensor) -> Tensor:
        deviation = ((real - real.mean()) ** 2).mean().sqrt()
        drawn = {"generator": plain.penalty, "dtype": plain.dtype}
        perturbed = real + c * deviation * torch.rand(real.shape, **drawn)
        fractions = torch.rand(plain.batch_size, **drawn)
        costs = [
            lambda_ * (squared_slope(plain, x + u * (x_p - x)).sqrt() - 1) ** 2
            for u, x, x_p in zip(fractions, real, perturbed, strict=True)
        ]
        return sum(costs) / len(costs)

    alternate(
        plain,
        steps,
        1,
        *adams(plain, alpha, 0.5, 0.9),
        critic_loss=cross_entropy,
        generator_loss=lambda fake: -F.logsigmoid(fake).mean(),
        penalty=penalty,
    )


def train_r3gan(
    plain: Plain, steps: int, gamma1: float = 2.0, gamma2: float = 2.0, alpha: float = 2e-4
) -> None:
    """Huang et al. 2024: RpGAN with f(t) = -log(1 + exp(-t)), which D ascends at D(x) - D(G(z))
    and G at D(G(z)) - D(x), and gamma / 2 times the squared slopes at real and at fake.
    """

    def penalty(real: Tensor, fake: Tensor) -> Tensor:
        r1 = sum(squared_slope(plain, x) for x in real) / len(real)
        r2 = sum(squared_slope(plain, x) for x in fake) / len(fake)
        return gamma1 / 2 * r1 + gamma2 / 2 * r2

    def softplus(t: Tensor) -> Tensor:
        return torch.log(1 + torch.exp(t))

    alternate(
        plain,
        steps,
        1,
        *adams(plain, alpha, 0.0, 0.9),
        critic_loss=lambda real, fake: softplus(fake - real).mean(),
        generator_loss=lambda fake: softplus(plain.critic(plain.real(again=True)) - fake).mean(),
        penalty=penalty,
    )
