"""What the plain loops share: a DCGAN of width `WIDTH` on 8 x 8 images, the streams, and the
alternation of critic and generator, with plain torch and nothing of `wgan`.
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


def leaky_relu(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.2)


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

    def forward(
        self,
        x: Tensor,
        weights: list[Tensor] | None = None,
        activation: Callable[[Tensor], Tensor] = leaky_relu,
    ) -> Tensor:
        w1, b1, w2, *between, w3, b3 = self.layers
        if weights is not None:
            w1, w2, w3 = weights
        x = activation(F.conv2d(x, w1, b1, stride=2, padding=1))
        if self.batch_norm:  # Ioffe and Szegedy 2015, Algorithm 1
            gamma, beta = (v[None, :, None, None] for v in between)
            x = F.conv2d(x, w2, stride=2, padding=1)
            mean = x.mean((0, 2, 3), keepdim=True)
            variance = ((x - mean) ** 2).mean((0, 2, 3), keepdim=True)
            x = gamma * (x - mean) / torch.sqrt(variance + 1e-5) + beta
        else:
            x = F.conv2d(x, w2, between[0], stride=2, padding=1)
        x = activation(x)
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
    data_again: torch.Generator  # reals for the generator's step, where its loss needs them
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

    def real(self, again: bool = False) -> Tensor:
        rng = self.data_again if again else self.data
        rows = torch.randint(len(self.pixels), (self.batch_size,), generator=rng)
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


def alternate(
    plain: Plain,
    steps: int,
    n_critic: int,
    d_optimizer: torch.optim.Optimizer,
    g_optimizer: torch.optim.Optimizer,
    critic_loss: Callable[[Tensor, Tensor], Tensor],
    generator_loss: Callable[[Tensor], Tensor],
    score: Callable[[Tensor], Tensor] | None = None,
    penalty: Callable[[Tensor, Tensor], Tensor] | None = None,
    after_update: Callable[[], None] = lambda: None,
) -> None:
    """`n_critic` updates of the critic, then one of the generator; `steps` times."""
    score = score or plain.critic
    for _ in range(steps):
        for _ in range(n_critic):
            real, fake = plain.real(), plain.generator(plain.z()).detach()
            real_scores, fake_scores = score(real), score(fake)
            loss = critic_loss(real_scores, fake_scores)
            punished = None if penalty is None else penalty(real, fake)
            d_optimizer.zero_grad()
            (loss if punished is None else loss + punished).backward()
            d_optimizer.step()
            after_update()
            plain.note_critic(loss, punished, real_scores, fake_scores)
        kept = [p.grad.clone() for p in plain.critic.parameters()]
        loss = generator_loss(score(plain.generator(plain.z())))
        g_optimizer.zero_grad()
        loss.backward()
        g_optimizer.step()
        restore(plain.critic, kept)
        plain.note_generator(loss)


def cross_entropy(real: Tensor, fake: Tensor) -> Tensor:
    return -F.logsigmoid(real).mean() - F.logsigmoid(-fake).mean()


def adams(
    plain: Plain, alpha: float, beta1: float, beta2: float
) -> tuple[torch.optim.Adam, torch.optim.Adam]:
    """The critic's and the generator's."""
    return (
        torch.optim.Adam(plain.critic.parameters(), lr=alpha, betas=(beta1, beta2)),
        torch.optim.Adam(plain.generator.parameters(), lr=alpha, betas=(beta1, beta2)),
    )


def restore(module: nn.Module, gradients: list[Tensor]) -> None:
    for parameter, gradient in zip(module.parameters(), gradients, strict=True):
        parameter.grad = gradient
