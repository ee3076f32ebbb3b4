"""The plain loops of the recipes that change what the critic computes: normalised weights, scores
divided by their slope.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from plain_training import Plain, adams, alternate, cross_entropy
from torch import Tensor

Score = Callable[[Tensor], Tensor]


def spectral(plain: Plain, iterations: int = 1) -> tuple[Score, Callable[[], None]]:
    """Miyato et al. 2018, Algorithm 1: the score with W / (u' W v), and the power iteration that
    advances u and v; the first vectors are given.
    """

    def score(x: Tensor) -> Tensor:
        weights = []
        for w, (u, v) in zip(list(plain.critic.layers)[::2], plain.singular, strict=True):
            weights.append(w / (u @ w.reshape(len(w), -1) @ v))
        return plain.critic(x, weights)

    @torch.no_grad()
    def power_iteration() -> None:
        for layer, w in enumerate(list(plain.critic.layers)[::2]):
            matrix = w.reshape(len(w), -1)
            u, v = plain.singular[layer]
            for _ in range(iterations):
                v = matrix.T @ u / torch.sqrt(((matrix.T @ u) ** 2).sum())
                u = matrix @ v / torch.sqrt(((matrix @ v) ** 2).sum())
            plain.singular[layer] = (u, v)

    return score, power_iteration


def train_sngan(
    plain: Plain,
    steps: int,
    alpha: float = 1e-4,
    beta1: float = 0.5,
    beta2: float = 0.9,
    n_critic: int = 5,
) -> None:
    """Miyato et al. 2018, Algorithm 1 with the standard loss: one power iteration before each
    critic update but the first, whose vectors are given. Setting A of Table 1.
    """
    score, power_iteration = spectral(plain)
    alternate(
        plain,
        steps,
        n_critic,
        *adams(plain, alpha, beta1, beta2),
        critic_loss=cross_entropy,
        generator_loss=lambda fake: -F.logsigmoid(fake).mean(),
        score=score,
        after_update=power_iteration,
    )


def train_sngan_hinge(
    plain: Plain, steps: int, alpha: float = 1e-4, margin: float = 1.0, iterations: int = 1
) -> None:
    """Miyato et al. 2018, equations 16 and 17, which are to be maximised."""
    score, power_iteration = spectral(plain, iterations)

    def critic_loss(real: Tensor, fake: Tensor) -> Tensor:
        zero = torch.zeros((), dtype=plain.dtype)
        to_real, to_fake = torch.minimum(zero, real - margin), torch.minimum(zero, -margin - fake)
        return -(to_real.mean() + to_fake.mean())

    alternate(
        plain,
        steps,
        5,
        *adams(plain, alpha, 0.5, 0.9),
        critic_loss=critic_loss,
        generator_loss=lambda fake: -fake.mean(),
        score=score,
        after_update=power_iteration,
    )


def train_wgan_sn(
    plain: Plain, steps: int, alpha: float = 1e-4, beta1: float = 0.5, n_critic: int = 5
) -> None:
    """The Wasserstein loss under spectral normalisation."""
    score, power_iteration = spectral(plain)
    alternate(
        plain,
        steps,
        n_critic,
        *adams(plain, alpha, beta1, 0.9),
        critic_loss=lambda real, fake: fake.mean() - real.mean(),
        generator_loss=lambda fake: -fake.mean(),
        score=score,
        after_update=power_iteration,
    )


def train_gngan(plain: Plain, steps: int, alpha: float = 2e-4, zeta: float = 1.0) -> None:
    """Wu et al. 2021: f(x) / (||grad f(x)|| + zeta(x)) with zeta(x) = |f(x)|, here times `zeta`;
    each sample by itself.
    """

    def normalised(point: Tensor) -> Tensor:
        if not point.requires_grad:
            point = point.clone().requires_grad_()
        f = plain.critic(point)[0]
        (gradient,) = torch.autograd.grad(f, point, create_graph=True)
        return f / ((gradient**2).sum().sqrt() + zeta * f.abs())

    alternate(
        plain,
        steps,
        1,
        *adams(plain, alpha, 0.0, 0.9),
        critic_loss=cross_entropy,
        generator_loss=lambda fake: -F.logsigmoid(fake).mean(),
        score=lambda x: torch.stack([normalised(x[i : i + 1]) for i in range(len(x))]),
    )


def orthonormal(w: Tensor, iterations: int) -> Tensor:
    """Bjorck and Bowie 1971 on W, reshaped to (out, everything else): W (3 I - W'W) / 2, again and
    again, from a scale at which no singular value exceeds 1.
    """
    matrix = w.reshape(len(w), -1)
    fourth_power_norm = torch.trace(matrix @ matrix.T @ matrix @ matrix.T) ** 0.25
    matrix = matrix / fourth_power_norm
    for _ in range(iterations):
        matrix = (3 * matrix - matrix @ matrix.T @ matrix) / 2
    return matrix.reshape(w.shape)


def train_orthonormal_gan(
    plain: Plain, steps: int, alpha: float = 1e-4, iterations: int = 25
) -> None:
    """The standard GAN with the orthonormal factor of every weight; Adam of Miyato et al. 2018,
    Table 1, A.
    """

    def score(x: Tensor) -> Tensor:
        weights = [orthonormal(w, iterations) for w in list(plain.critic.layers)[::2]]
        return plain.critic(x, weights)

    alternate(
        plain,
        steps,
        5,
        *adams(plain, alpha, 0.5, 0.9),
        critic_loss=cross_entropy,
        generator_loss=lambda fake: -F.logsigmoid(fake).mean(),
        score=score,
    )


def almost_orthogonal(kernel: Tensor) -> Tensor:
    """Prach and Lampert 2022, theorem 1, for the transposed matrix of a convolution at stride 2:
    each output channel divided by the root of its row sum in |J J'|.

    The kernel is 4 x 4, so an output overlaps its eight neighbours and no others: the matrix J of
    the convolution that makes 3 x 3 outputs from 8 x 8 pixels holds all the middle one meets.
    """
    outputs, inputs = kernel.shape[:2]
    pixels = torch.eye(inputs * 64, dtype=kernel.dtype).reshape(-1, inputs, 8, 8)
    j = F.conv2d(pixels, kernel, stride=2).reshape(len(pixels), outputs, 9)
    middle, all_outputs = j[:, :, 4], j.reshape(len(pixels), -1)
    row_sums = (middle.T @ all_outputs).abs().sum(1)
    return kernel / row_sums.sqrt()[:, None, None, None]


def max_min(x: Tensor) -> Tensor:
    """Anil et al. 2019: of each two neighbouring channels the smaller, then the larger."""
    first, second = x[:, ::2], x[:, 1::2]
    pairs = torch.stack([torch.minimum(first, second), torch.maximum(first, second)], 2)
    return pairs.reshape(x.shape)


def train_lipschitz_wgan(
    plain: Plain,
    steps: int,
    d_alpha: float = 2e-3,
    g_alpha: float = 2e-4,
    beta1: float = 0.5,
    activation: Score = max_min,
) -> None:
    """Anil et al. 2019: the Wasserstein loss with a critic of layers of norm 1 and MaxMin."""

    def score(x: Tensor) -> Tensor:
        w1, w2, w3 = list(plain.critic.layers)[::2]
        weights = [almost_orthogonal(w1), almost_orthogonal(w2), w3 / (w3**2).sum().sqrt()]
        return plain.critic(x, weights, activation)

    d_adam, _ = adams(plain, d_alpha, beta1, 0.999)
    _, g_adam = adams(plain, g_alpha, beta1, 0.999)
    alternate(
        plain,
        steps,
        5,
        d_adam,
        g_adam,
        critic_loss=lambda real, fake: fake.mean() - real.mean(),
        generator_loss=lambda fake: -fake.mean(),
        score=score,
    )
