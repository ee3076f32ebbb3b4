"""What a right gradient normalisation does, as checks that take the module around the critic.

`test_gradient_normalization` passes the real one through all of them and shows that broken ones
fail.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from small import normal, rng
from torch import Tensor, nn

from wgan.lipschitz import GradientPenalty

Made = Callable[[nn.Module], nn.Module]


class Affine(nn.Module):
    """f(x) = a.x + b."""

    def __init__(self, slope: Tensor, offset: float) -> None:
        super().__init__()
        self.slope = nn.Parameter(slope.clone())
        self.offset = nn.Parameter(torch.tensor(offset, dtype=slope.dtype))

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.slope.flatten() + self.offset


class Smooth(nn.Module):
    """A critic of points (N, 3) with all derivatives, so that finite differences are exact."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = (
            nn.Parameter(normal(5, 3, seed=1)),
            nn.Parameter(normal(5, seed=2)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x @ self.first.t()) @ self.last + 0.3


def normalised_affine(slope: Tensor, offset: Tensor, x: Tensor) -> Tensor:
    scores = x.flatten(1) @ slope.flatten() + offset
    return scores / (slope.norm() + scores.abs())


def check_affine_critic(made: Made) -> None:
    """f / (|a| + |f|) for f(x) = a.x + b; value, and gradient in a, b and x."""
    for shape in ((2,), (1, 4, 4), (3, 2, 2)):
        for offset in (0.0, 2.0, -5.0):
            critic = Affine(normal(*shape, seed=1), offset)
            slope, bias = (p.detach().clone().requires_grad_() for p in critic.parameters())
            x = normal(6, *shape, seed=2).requires_grad_()
            scores, expected = made(critic)(x), normalised_affine(slope, bias, x)
            assert scores.shape == (6,)
            torch.testing.assert_close(scores, expected, rtol=1e-12, atol=1e-14)
            weighting = normal(6, seed=3)
            found = torch.autograd.grad(scores @ weighting, [*critic.parameters(), x])
            right = torch.autograd.grad(expected @ weighting, [slope, bias, x])
            torch.testing.assert_close(found, right, rtol=1e-10, atol=1e-12)


def check_scores_lie_within_1(made: Made) -> None:
    """|f^| < 1, and a critic of any size gives the same scores, with the critic's sign."""
    x = 10 * normal(200, 3, seed=4)
    critic = Smooth()
    scores = made(critic)(x).detach()
    assert scores.abs().max() < 1
    assert torch.equal(scores.sign(), critic(x).detach().sign())
    for factor in (1e-3, 1e3):
        larger = Affine(factor * normal(3, seed=5), 2 * factor)
        expected = made(Affine(normal(3, seed=5), 2.0))(x)
        torch.testing.assert_close(made(larger)(x), expected, rtol=1e-10, atol=1e-12)


def check_looking_needs_no_graph(made: Made) -> None:
    """Under `no_grad`, in eval mode and on an input that requires grad, the same scores; no graph
    where none is wanted; nothing left on the input or the weights.
    """
    module, x = made(Smooth()), normal(6, 3, seed=4)
    scores = module(x)
    assert scores.requires_grad
    with torch.no_grad():
        looks = [module(x), module(x.clone().requires_grad_())]
    assert not any(look.requires_grad for look in looks)
    looks += [module.eval()(x), module.train()(x.clone().requires_grad_())]
    assert all(torch.equal(look, scores) for look in looks)
    assert x.grad is None
    assert not x.requires_grad
    assert all(weight.grad is None for weight in module.parameters())

    module.requires_grad_(False)
    assert not module(x).requires_grad
    assert module(x.clone().requires_grad_()).requires_grad


def check_samples_do_not_interact(made: Made) -> None:
    """A sample scores alone as it does in a batch, at every place in it."""
    module, x = made(Smooth()), normal(6, 3, seed=4)
    scores = module(x)
    alone = torch.cat([module(sample[None]) for sample in x])
    torch.testing.assert_close(alone, scores, rtol=1e-12, atol=1e-14)
    order = torch.randperm(6, generator=rng(1))
    torch.testing.assert_close(module(x[order]), scores[order], rtol=1e-12, atol=1e-14)


def check_derivatives(made: Made) -> None:
    """First and second derivatives in x and in the weights against finite differences."""
    module, x = made(Smooth()), normal(4, 3, seed=4).requires_grad_()
    weights = tuple(weight.detach().clone().requires_grad_() for weight in module.parameters())
    names = [name for name, _ in module.named_parameters()]

    def scores(points: Tensor, *values: Tensor) -> Tensor:
        given = dict(zip(names, values, strict=True))
        return torch.func.functional_call(module, given, (points,))

    assert torch.autograd.gradcheck(scores, (x, *weights))
    assert torch.autograd.gradgradcheck(scores, (x, *weights))


def check_penalty_on_top(made: Made) -> None:
    """The gradient penalty of f^ (a third derivative of f) against finite differences."""
    module = made(Smooth())
    real, fake = normal(4, 3, seed=4), normal(4, 3, seed=6)

    def penalty() -> Tensor:
        return GradientPenalty().penalty(module, real, fake, rng(3))

    weights = list(module.parameters())
    found = torch.autograd.grad(penalty(), weights)
    step = 1e-5
    for weight, gradient in zip(weights, found, strict=True):
        for place in range(weight.numel()):
            ends = []
            for move in (step, -2 * step, step):
                weight.data.view(-1)[place] += move
                ends.append(penalty().item())
            slope = (ends[0] - ends[1]) / (2 * step)
            assert abs(gradient.flatten()[place].item() - slope) < 1e-7 * (1 + abs(slope))


def check_dead_critic(made: Made) -> None:
    """Where f and its gradient are both 0, as all-dead units give, the score is 0 and every
    gradient finite, that of a penalty on top too.
    """
    critic = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1), nn.Flatten(0)).double()
    with torch.no_grad():
        critic[0].bias.fill_(-100.0)
        critic[2].bias.zero_()
    module, x = made(critic), normal(4, 2, seed=4)
    scores = module(x)
    assert torch.equal(scores, torch.zeros_like(scores))
    penalty = GradientPenalty().penalty(module, x, x.clone(), rng())
    for value in (scores.sum(), penalty):
        assert value.isfinite()
        found = torch.autograd.grad(value, list(module.parameters()), allow_unused=True)
        assert all(gradient is None or gradient.isfinite().all() for gradient in found)


CHECKS = (
    check_affine_critic,
    check_scores_lie_within_1,
    check_looking_needs_no_graph,
    check_samples_do_not_interact,
    check_derivatives,
    check_penalty_on_top,
    check_dead_critic,
)
