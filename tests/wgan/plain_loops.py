"""The recipes written once more, straight from the papers, with plain torch and nothing of `wgan`
but the seeds of its streams.

Each loop trains a DCGAN of width `WIDTH` on 8 x 8 images and returns what it saw. It is the oracle
of `test_recipes`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTH = 4


def plain_generator(noise_size: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(noise_size, 2 * WIDTH * 4, bias=False),
        nn.Unflatten(1, (2 * WIDTH, 2, 2)),
        nn.BatchNorm2d(2 * WIDTH),
        nn.ReLU(),
        nn.ConvTranspose2d(2 * WIDTH, WIDTH, 4, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(WIDTH),
        nn.ReLU(),
        nn.ConvTranspose2d(WIDTH, 1, 4, stride=2, padding=1),
        nn.Tanh(),
    )


class PlainCritic(nn.Module):
    """Two convolutions and a dense layer as bare tensors, so that a loop can put any weights in
    their place.
    """

    def __init__(self, batch_norm: bool) -> None:
        super().__init__()
        self.batch_norm = batch_norm
        shapes = [(WIDTH, 1, 4, 4), (2 * WIDTH, WIDTH, 4, 4), (1, 2 * WIDTH * 4)]
        self.layers = nn.ParameterList()
        for place, shape in enumerate(shapes):
            self.layers.append(nn.Parameter(torch.empty(shape)))
            self.layers.append(nn.Parameter(torch.empty(shape[0])))
            if batch_norm and place == 1:  # a scale and a shift instead of the bias
                self.layers.append(nn.Parameter(torch.empty(shape[0])))

    def forward(self, x: Tensor, weights: list[Tensor] | None = None) -> Tensor:
        w1, b1, w2, *between, w3, b3 = self.layers
        if weights is not None:
            w1, w2, w3 = weights
        x = F.leaky_relu(F.conv2d(x, w1, b1, stride=2, padding=1), 0.2)
        if self.batch_norm:  # Ioffe and Szegedy 2015, Algorithm 1
            gamma, beta = (v[None, :, None, None] for v in between)
            x = F.conv2d(x, w2, stride=2, padding=1)
            mean = x.mean((0, 2, 3), keepdim=True)
            variance = ((x - mean) ** 2).mean((0, 2, 3), keepdim=True)
            x = gamma * (x - mean) / torch.sqrt(variance + 1e-5) + beta
        else:
            x = F.conv2d(x, w2, between[0], stride=2, padding=1)
        x = F.leaky_relu(x, 0.2)
        return F.linear(x.reshape(len(x), -1), w3, b3)[:, 0]


@dataclass
class Plain:
    """The two networks, the streams, and what each update saw."""

    generator: nn.Sequential
    critic: PlainCritic
    pixels: Tensor
    data: torch.Generator
    noise: torch.Generator
    penalty: torch.Generator
    batch_size: int
    noise_size: int
    dtype: torch.dtype
    singular: list[tuple[Tensor, Tensor]] = field(default_factory=list)  # u, v of each layer
    critic_losses: list[float] = field(default_factory=list)
    penalties: list[float] = field(default_factory=list)
    real_scores: list[Tensor] = field(default_factory=list)
    fake_scores: list[Tensor] = field(default_factory=list)
    generator_losses: list[float] = field(default_factory=list)
    gradient_norms: list[tuple[float, float]] = field(default_factory=list)  # critic, generator

    def real(self) -> Tensor:
        rows = torch.randint(len(self.pixels), (self.batch_size,), generator=self.data)
        return (self.pixels[rows].float() / 127.5 - 1).to(self.dtype)

    def z(self) -> Tensor:
        return torch.randn(self.batch_size, self.noise_size, generator=self.noise, dtype=self.dtype)

    def note_critic(self, loss: Tensor, penalty: Tensor | None, real: Tensor, fake: Tensor) -> None:
        self.critic_losses.append(loss.item())
        self.penalties.append(0.0 if penalty is None else penalty.item())
        self.real_scores.append(real.detach())
        self.fake_scores.append(fake.detach())

    def note_generator(self, loss: Tensor) -> None:
        self.generator_losses.append(loss.item())
        norms = (
            sum(p.grad.square().sum().item() for p in parameters) ** 0.5
            for parameters in (self.critic.parameters(), self.generator.parameters())
        )
        self.gradient_norms.append(tuple(norms))


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


def train_sngan(
    plain: Plain, steps: int, alpha: float, beta1: float, beta2: float, n_critic: int
) -> None:
    """Miyato et al. 2018, Algorithm 1: one power iteration before each critic update but the first,
    whose vectors are given.
    """
    d_adam = torch.optim.Adam(plain.critic.parameters(), lr=alpha, betas=(beta1, beta2))
    g_adam = torch.optim.Adam(plain.generator.parameters(), lr=alpha, betas=(beta1, beta2))

    def normalised() -> list[Tensor]:
        weights = []
        for w, (u, v) in zip(list(plain.critic.layers)[::2], plain.singular, strict=True):
            weights.append(w / (u @ w.reshape(len(w), -1) @ v))
        return weights

    @torch.no_grad()
    def power_iteration() -> None:
        for layer, w in enumerate(list(plain.critic.layers)[::2]):
            matrix, (u, _) = w.reshape(len(w), -1), plain.singular[layer]
            v = matrix.T @ u / torch.sqrt(((matrix.T @ u) ** 2).sum())
            u = matrix @ v / torch.sqrt(((matrix @ v) ** 2).sum())
            plain.singular[layer] = (u, v)

    for _ in range(steps):
        for _ in range(n_critic):
            real, fake = plain.real(), plain.generator(plain.z()).detach()
            real_scores = plain.critic(real, normalised())
            fake_scores = plain.critic(fake, normalised())
            loss = -F.logsigmoid(real_scores).mean() - F.logsigmoid(-fake_scores).mean()
            d_adam.zero_grad()
            loss.backward()
            d_adam.step()
            power_iteration()
            plain.note_critic(loss, None, real_scores, fake_scores)
        kept = [p.grad.clone() for p in plain.critic.parameters()]
        fake_scores = plain.critic(plain.generator(plain.z()), normalised())
        loss = -F.logsigmoid(fake_scores).mean()
        g_adam.zero_grad()
        loss.backward()
        g_adam.step()
        restore(plain.critic, kept)
        plain.note_generator(loss)


def restore(module: nn.Module, gradients: list[Tensor]) -> None:
    for parameter, gradient in zip(module.parameters(), gradients, strict=True):
        parameter.grad = gradient


LOOPS: dict[str, Callable[..., None]] = {
    "gan": train_gan,
    "wgan": train_wgan,
    "wgan_gp": train_wgan_gp,
    "sngan": train_sngan,
}
