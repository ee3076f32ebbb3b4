"""How steep a critic gets, to be held against what its method promises.

Slopes are taken at samples, between them and where climbing leads; ratios between pairs, which see
jumps that slopes miss.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from small import rng
from torch import Tensor, nn

from wgan.once import weights_computed_once

NEAR = 1e-2  # pairs nearer than this, in units of the samples' distances, are left out


@dataclass(frozen=True)
class Steepness:
    """The largest slope or ratio found in each way."""

    samples: float
    segments: float
    ratios: float
    climbed_slopes: float
    climbed_ratios: float

    @property
    def largest(self) -> float:
        """NaN where any is."""
        return torch.tensor(list(vars(self).values())).amax().item()


def steepness(critic: nn.Module, real: Tensor, fake: Tensor, rounds: int = 15) -> Steepness:
    """Measured at `real` and `fake`, equal counts of any shape (N, ...), and from there on.

    Slopes at samples and between them in the critic's own precision, as training sees them; all
    else in float64, since rounding would show in the ratios of near pairs.
    """
    mix = torch.rand(len(real), *[1] * (real.dim() - 1), generator=rng(5)).to(real)
    between = mix * real + (1 - mix) * fake
    samples = torch.cat([slopes(critic, real), slopes(critic, fake)])
    segments = slopes(critic, between)

    exact = copy.deepcopy(critic).double().requires_grad_(False)
    real, fake, between = real.double(), fake.double(), between.double()
    noise = torch.randn(real.shape, generator=rng(6), dtype=torch.float64)
    starts = torch.cat([real, fake, between, 5 * noise])
    others = torch.cat([fake, real + 0.1 * noise, fake.flip(0), -5 * noise])
    with weights_computed_once():
        return Steepness(
            samples=samples.amax().item(),
            segments=segments.amax().item(),
            ratios=max(ratios(exact, real, fake), ratios(exact, real, real.flip(0))),
            climbed_slopes=climb_slopes(exact, starts, rounds),
            climbed_ratios=climb_ratios(exact, starts, others, rounds),
        )


def assert_bounded(
    critic: nn.Module, bound: float, real: Tensor, fake: Tensor, slack: float = 1e-4
) -> None:
    """No slope and no ratio exceeds `bound` by more than the fraction `slack`, for rounding."""
    found = steepness(critic, real, fake)
    assert found.largest <= bound * (1 + slack), found


def slopes(critic: nn.Module, points: Tensor) -> Tensor:
    """||grad f|| at each point, shape (N,)."""
    at = points.detach().requires_grad_()
    (gradients,) = torch.autograd.grad(critic(at).sum(), at)
    return gradients.flatten(1).norm(dim=1)


def ratios(critic: nn.Module, left: Tensor, right: Tensor) -> float:
    """The largest |f(x) - f(y)| / ||x - y|| over all pairs of a left and a right point."""
    with torch.no_grad():
        rises = (critic(left)[:, None] - critic(right)[None]).abs()
    runs = torch.cdist(
        left.flatten(1), right.flatten(1), compute_mode="donot_use_mm_for_euclid_dist"
    )
    return _largest_ratio(rises, runs)


def climb_slopes(critic: nn.Module, starts: Tensor, rounds: int) -> float:
    """The largest slope after `rounds` random steps, of which those are kept that lead up.

    Following a gradient of the slope would not do: that of a piecewise linear critic is 0.
    """
    draws, points, found = rng(7), starts, slopes(critic, starts)
    spread = starts.flatten(1).norm(dim=1).view(-1, *[1] * (starts.dim() - 1))
    for count in range(rounds):
        step = torch.randn(points.shape, generator=draws, dtype=points.dtype)
        step = step * spread / step[0].numel() ** 0.5
        tried = points + step * 0.9**count
        there = slopes(critic, tried)
        up = there > found
        points = torch.where(up.view(spread.shape), tried, points)
        found = torch.where(up, there, found)
    return found.amax().item()


def climb_ratios(critic: nn.Module, left: Tensor, right: Tensor, rounds: int) -> float:
    """The largest ratio met on the way of pairs that each climb the gradient of their ratio."""
    shape, (left, right) = left.shape, (left.flatten(1), right.flatten(1))
    least = NEAR * (left - right).norm(dim=1).mean()
    best = 0.0
    for count in range(rounds):
        x, y = left.detach().requires_grad_(), right.detach().requires_grad_()
        rise = critic(x.view(shape)) - critic(y.view(shape))
        up_x, up_y = torch.autograd.grad(rise.sum(), (x, y))
        with torch.no_grad():
            run = (x - y).norm(dim=1)
            ratio = rise.abs() / run
            best = max(best, _largest_ratio(rise.abs(), run, least.item()))
            along = ratio[:, None] * (x - y) / run[:, None]
            sign = rise.sign()[:, None]
            to_x, to_y = sign * up_x - along, sign * up_y + along
            size = (0.2 * 0.95**count * run / (to_x.norm(dim=1) + to_y.norm(dim=1) + 1e-12))[
                :, None
            ]
            left, right = x + size * to_x, y + size * to_y
    return best


def _largest_ratio(rises: Tensor, runs: Tensor, least: float | None = None) -> float:
    least = NEAR * runs.mean().item() if least is None else least
    return torch.where(runs > least, rises / runs, 0.0).amax().item()
