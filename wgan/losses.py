"""Losses: pure functions on vectors of scores, shape (N,). The critic is high on real.

Each loss also says what it estimates: `distance` is the divergence that the critic's loss bounds
from below, without any penalty. It is positive when the critic works, zero when it cannot tell real
from fake and says so as well as it can, and negative when it is wrong.
"""

from __future__ import annotations

import copy
import functools
import math
from dataclasses import dataclass
from typing import ClassVar, Self

from torch import Tensor
from torch.nn import functional as F

from wgan.components import Component


@dataclass(frozen=True)
class Loss(Component, family="loss"):
    """A pair of losses and the distance they estimate.

    `distance_name` is the divergence, `bounds` how `distance` relates to it, `needs_real` whether
    the generator's step scores reals as well.
    """

    distance_name: ClassVar[str]
    bounds: ClassVar[str]
    needs_real: ClassVar[bool] = False
    _shape: ClassVar[tuple[str, ...]] = ("N",)  # of the scores that it takes

    def critic_loss(self, real_scores: Tensor, fake_scores: Tensor) -> Tensor:
        """What the critic minimises, a scalar."""
        raise NotImplementedError

    def generator_loss(self, fake_scores: Tensor, real_scores: Tensor | None = None) -> Tensor:
        """What the generator minimises, a scalar."""
        raise NotImplementedError

    def distance(self, real_scores: Tensor, fake_scores: Tensor) -> Tensor:
        """The estimate of `distance_name` by this critic, a scalar."""
        raise NotImplementedError

    @functools.cached_property
    def stacked(self) -> Self:
        """The same loss for the scores of k critics, (k, N), that gives k values."""
        twin = copy.copy(self)
        object.__setattr__(twin, "_shape", ("k", "N"))
        return twin

    def _check(self, *scores: Tensor) -> None:
        """Refuse anything but vectors, or k of them where the loss is `stacked`.

        A (N, 1) against a (N,) would broadcast to (N, N) and change a loss without an error.

        Raises:
            ValueError: a tensor that is not of the shape that this loss takes.
        """
        for held in scores:
            if held.dim() != len(self._shape):
                wanted = ", ".join(self._shape) + ("," if len(self._shape) == 1 else "")
                raise ValueError(f"scores must have shape ({wanted}), not {tuple(held.shape)}")


@dataclass(frozen=True)
class Wasserstein(Loss):
    """Critic: E f(fake) - E f(real). Generator: -E f(fake).

    Equal to the form with labels +1 for real and -1 for fake, mean(-label * score) summed over both
    halves.
    """

    name: ClassVar[str] = "wasserstein"
    reference: ClassVar[str] = "Arjovsky et al. 2017, arXiv:1701.07875, equations 2 and 3"
    distance_name: ClassVar[str] = "W1"
    bounds: ClassVar[str] = (
        "W1 >= E f(real) - E f(fake) for every 1-Lipschitz f; K times that for a K-Lipschitz f"
    )

    def critic_loss(self, real_scores: Tensor, fake_scores: Tensor) -> Tensor:
        """Minus the distance."""
        self._check(real_scores, fake_scores)
        return fake_scores.mean(-1) - real_scores.mean(-1)

    def generator_loss(self, fake_scores: Tensor, real_scores: Tensor | None = None) -> Tensor:
        """-E f(fake)."""
        self._check(fake_scores)
        return -fake_scores.mean(-1)

    def distance(self, real_scores: Tensor, fake_scores: Tensor) -> Tensor:
        """E f(real) - E f(fake)."""
        self._check(real_scores, fake_scores)
        return real_scores.mean(-1) - fake_scores.mean(-1)


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """The discriminator's cross-entropy, D = sigmoid(score)."""

    distance_name: ClassVar[str] = "JS"
    bounds: ClassVar[str] = (
        "JS >= log 2 - (cross-entropy on real + cross-entropy on fake) / 2; at most log 2"
    )

    def critic_loss(self, real_scores: Tensor, fake_scores: Tensor) -> Tensor:
        """-E log D(real) - E log(1 - D(fake))."""
        self._check(real_scores, fake_scores)
        return F.softplus(-real_scores).mean(-1) + F.softplus(fake_scores).mean(-1)

    def distance(self, real_scores: Tensor, fake_scores: Tensor) -> Tensor:
        """Log 2 minus half the critic's loss, in nats."""
        return math.log(2) - self.critic_loss(real_scores, fake_scores) / 2


@dataclass(frozen=True)
class NonSaturating(CrossEntropy):
    """Cross-entropy; the generator maximises E log D(fake)."""

    name: ClassVar[str] = "nonsaturating"
    reference: ClassVar[str] = "Goodfellow et al. 2014, arXiv:1406.2661, section 3, last paragraph"

    def generator_loss(self, fake_scores: Tensor, real_scores: Tensor | None = None) -> Tensor:
        """-E log D(fake)."""
        self._check(fake_scores)
        return F.softplus(-fake_scores).mean(-1)


@dataclass(frozen=True)
class Minimax(CrossEntropy):
    """Cross-entropy; the generator minimises E log(1 - D(fake)), which saturates."""

    name: ClassVar[str] = "minimax"
    reference: ClassVar[str] = "Goodfellow et al. 2014, arXiv:1406.2661, equation 1 and Algorithm 1"

    def generator_loss(self, fake_scores: Tensor, real_scores: Tensor | None = None) -> Tensor:
        """E log(1 - D(fake))."""
        self._check(fake_scores)
        return -F.softplus(fake_scores).mean(-1)


@dataclass(frozen=True)
class Hinge(Loss):
    """Critic: E max(0, 1 - f(real)) + E max(0, 1 + f(fake)). Generator: -E f(fake)."""

    name: ClassVar[str] = "hinge"
    reference: ClassVar[str] = (
        "Lim and Ye 2017, arXiv:1705.02894; Miyato et al. 2018, arXiv:1802.05957, eq. 16, 17"
    )
    distance_name: ClassVar[str] = "TV"
    bounds: ClassVar[str] = "TV >= 1 - critic loss / 2; at most 1"

    def critic_loss(self, real_scores: Tensor, fake_scores: Tensor) -> Tensor:
        """The two hinges, each with margin 1."""
        self._check(real_scores, fake_scores)
        return F.relu(1 - real_scores).mean(-1) + F.relu(1 + fake_scores).mean(-1)

    def generator_loss(self, fake_scores: Tensor, real_scores: Tensor | None = None) -> Tensor:
        """-E f(fake)."""
        self._check(fake_scores)
        return -fake_scores.mean(-1)

    def distance(self, real_scores: Tensor, fake_scores: Tensor) -> Tensor:
        """1 minus half the critic's loss."""
        return 1 - self.critic_loss(real_scores, fake_scores) / 2


@dataclass(frozen=True)
class LeastSquares(Loss):
    """Critic: E (f(real) - 1)^2 + E f(fake)^2. Generator: E (f(fake) - 1)^2.

    The labels are the paper's second choice, a = 0 for fake and b = c = 1 for real. It halves every
    mean; here the halves are left out, so that a penalty beside this loss weighs half as much.

    With densities p of real and q of fake the best critic is p / (p + q) and its loss the integral
    of p q / (p + q). Since (p - q)^2 = (p + q)^2 - 4 p q, 2 minus four times that is the triangular
    discrimination: the integral of (p - q)^2 / (p + q), between 0 and 2 (Topsoe 2000). With the
    paper's halves it would be 2 minus eight times. A critic that cannot tell scores 1/2.
    """

    name: ClassVar[str] = "least_squares"
    reference: ClassVar[str] = "Mao et al. 2016, arXiv:1611.04076, equations 2 and 9"
    distance_name: ClassVar[str] = "triangular discrimination"
    bounds: ClassVar[str] = "triangular discrimination >= 2 - 4 critic loss; at most 2"

    def critic_loss(self, real_scores: Tensor, fake_scores: Tensor) -> Tensor:
        """The squared distances from the labels 1 and 0."""
        self._check(real_scores, fake_scores)
        return (real_scores - 1).square().mean(-1) + fake_scores.square().mean(-1)

    def generator_loss(self, fake_scores: Tensor, real_scores: Tensor | None = None) -> Tensor:
        """The squared distance of the fakes from the label of reals."""
        self._check(fake_scores)
        return (fake_scores - 1).square().mean(-1)

    def distance(self, real_scores: Tensor, fake_scores: Tensor) -> Tensor:
        """2 minus four times the critic's loss."""
        return 2 - 4 * self.critic_loss(real_scores, fake_scores)


@dataclass(frozen=True)
class Relativistic(Loss):
    """Relativistic pairing: critic E softplus(f(fake) - f(real)), generator with the signs turned.

    The i-th real and the i-th fake are a pair: the critic tells which of the two is real. Let p and
    q be the densities of real and fake. The loss is the cross-entropy of telling pairs drawn from p
    and q from the same pairs in the other order, by the logit f(x) - f(y). Over all logits the best
    is log p(x)/q(x) - log p(y)/q(y), which f = log p/q reaches, and log 2 minus its loss is the
    Jensen-Shannon divergence between the pairs in either order, JS(p x q, q x p). That is at least
    JS(p, q): whoever sees a pair sees either half.
    """

    name: ClassVar[str] = "relativistic"
    reference: ClassVar[str] = (
        "Jolicoeur-Martineau 2018, arXiv:1807.00734, section 4.1 (RSGAN); "
        "Huang et al. 2024, arXiv:2501.05441, section 2 (RpGAN)"
    )
    distance_name: ClassVar[str] = "JS of pairs"
    bounds: ClassVar[str] = "JS(real x fake, fake x real) >= log 2 - critic loss; at most log 2"
    needs_real: ClassVar[bool] = True

    def critic_loss(self, real_scores: Tensor, fake_scores: Tensor) -> Tensor:
        """-E log sigmoid(f(real) - f(fake)) over the pairs of the batch."""
        self._check(real_scores, fake_scores)
        if real_scores.shape != fake_scores.shape:
            raise ValueError(
                f"{len(real_scores)} real and {len(fake_scores)} fake scores make no pairs"
            )
        return F.softplus(fake_scores - real_scores).mean(-1)

    def generator_loss(self, fake_scores: Tensor, real_scores: Tensor | None = None) -> Tensor:
        """-E log sigmoid(f(fake) - f(real)): the critic's loss with the two exchanged."""
        self._check(fake_scores)
        if real_scores is None:
            raise ValueError("the relativistic generator's loss needs the scores of reals")
        return self.critic_loss(fake_scores, real_scores)

    def distance(self, real_scores: Tensor, fake_scores: Tensor) -> Tensor:
        """Log 2 minus the critic's loss, in nats."""
        return math.log(2) - self.critic_loss(real_scores, fake_scores)
