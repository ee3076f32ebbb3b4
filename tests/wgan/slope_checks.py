"""What right DRAGAN, R1 and R2 penalties do, as checks that take the method's class.

`test_dragan` and `test_zero_centred` pass the real ones through all of them;
`test_planted_slope_bugs` shows that broken ones fail.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import scipy.stats
import torch
from penalty_checks import SHAPES, Curved, curved_penalty, expected_excess
from small import Linear, normal, rng
from torch import Tensor, nn

from wgan.lipschitz import LipschitzMethod

Made = Callable[..., LipschitzMethod]


def seen_by(critic: nn.Module) -> list[Tensor]:
    """A list that will hold what `critic` is asked about."""
    seen: list[Tensor] = []
    critic.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach().clone()))
    return seen


def check_graph(penalty: Tensor, parameter: Tensor, expected: Tensor, of: Tensor) -> None:
    """The penalty and its gradient in `parameter` are those of the closed form `expected`."""
    assert penalty.shape == ()
    torch.testing.assert_close(penalty, expected, rtol=1e-10, atol=1e-12)
    assert penalty.requires_grad, "the penalty's graph does not reach the critic"
    torch.testing.assert_close(
        torch.autograd.grad(penalty, parameter),
        torch.autograd.grad(expected, of),
        rtol=1e-9,
        atol=1e-11,
    )


# R1 and R2. `own` says whose batch counts: 0 for the reals, 1 for the fakes.


def check_zero_centred_linear(made: Made, own: int) -> None:
    """weight / 2 * |a|^2 and its gradient weight * a for f(x) = a.x."""
    for shape, weight in itertools.product(SHAPES, (10.0, 0.3)):
        critic = Linear(normal(*shape, seed=1))
        slope = critic.slope.detach().clone().requires_grad_()
        penalty = made(weight=weight).penalty(
            critic, normal(6, *shape, seed=2), normal(6, *shape, seed=3), rng()
        )
        check_graph(penalty, critic.slope, weight / 2 * slope.square().sum(), slope)


def check_zero_centred_flat(made: Made, own: int) -> None:
    """f = 0 costs nothing, and the gradient there is 0, not NaN."""
    critic = Linear(torch.zeros(5, dtype=torch.float64))
    penalty = made().penalty(critic, normal(4, 5, seed=2), normal(4, 5, seed=3), rng())
    assert penalty.item() == 0
    (gradient,) = torch.autograd.grad(penalty, critic.slope)
    assert torch.equal(gradient, torch.zeros_like(gradient))


def check_zero_centred_curved(made: Made, own: int) -> None:
    """f(x) = x'Ax / 2: weight / 2 * mean |(A + A') x / 2|^2 over the method's own batch alone."""
    for shape in ((5,), (2, 2, 3)):
        batches = normal(6, *shape, seed=4), normal(6, *shape, seed=8)
        size = batches[0][0].numel()
        critic, form = Curved(normal(size, size, seed=5)), normal(size, size, seed=5)
        form.requires_grad_()
        seen = seen_by(critic)
        penalty = made(weight=3.0).penalty(critic, *batches, rng())
        check_graph(
            penalty, critic.form, curved_penalty(form, batches[own], 3.0 / 2, target=0.0), form
        )
        assert len(seen) == 1
        assert torch.equal(seen[0], batches[own]), "the gradient is not taken at the samples"


def check_zero_centred_batch(made: Made, own: int) -> None:
    """Permuting the batch changes nothing, and the mean over two halves is the whole's."""
    critic, other = Curved(normal(4, 4, seed=6)), normal(8, 4, seed=9)

    def penalty(part: Tensor) -> float:
        pair = [other[: len(part)], other[: len(part)]]
        pair[own] = part
        return made().penalty(critic, *pair, rng()).item()

    points = normal(8, 4, seed=7)
    whole = penalty(points)
    assert penalty(points[torch.randperm(8, generator=rng(1))]) == pytest.approx(whole, rel=1e-12)
    assert (penalty(points[:4]) + penalty(points[4:])) / 2 == pytest.approx(whole, rel=1e-12)


def check_zero_centred_draws_nothing(made: Made, own: int) -> None:
    """Neither its own stream nor the global generator moves; the batches stay as they are."""
    real, fake, stream = normal(4, 3, seed=2), normal(4, 3, seed=3), rng()
    before, copies = (torch.get_rng_state(), stream.get_state()), (real.clone(), fake.clone())
    made().penalty(Linear(normal(3, seed=1)), real, fake, stream)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert torch.equal(stream.get_state(), before[1])
    assert torch.equal(real, copies[0])
    assert torch.equal(fake, copies[1])
    assert not real.requires_grad
    assert not fake.requires_grad


ZERO_CENTRED_CHECKS = (
    check_zero_centred_linear,
    check_zero_centred_flat,
    check_zero_centred_curved,
    check_zero_centred_batch,
    check_zero_centred_draws_nothing,
)


# DRAGAN.


def check_dragan_linear(made: Made) -> None:
    """weight * (|a| - target)^2 exactly, whatever the noise, for f(x) = a.x."""
    for shape, noise, sides, length, (weight, target) in itertools.product(
        SHAPES, ("uniform", "gaussian"), ("two", "one"), (0.3, 1.7), ((10.0, 1.0), (3.0, 0.5))
    ):
        slope = normal(*shape, seed=1)
        critic = Linear(slope * length / slope.norm())
        slope = critic.slope.detach().clone().requires_grad_()
        penalty = made(weight=weight, target=target, sides=sides, noise=noise).penalty(
            critic, normal(6, *shape, seed=2), normal(6, *shape, seed=3), rng()
        )
        expected = weight * expected_excess(slope.norm(), target, sides).square()
        check_graph(penalty, critic.slope, expected, slope)


def check_dragan_curved(made: Made) -> None:
    """Each point has its own norm; value and gradient in closed form at the points it took."""
    for noise in ("uniform", "gaussian"):
        critic, form = Curved(normal(5, 5, seed=5)), normal(5, 5, seed=5).requires_grad_()
        seen = seen_by(critic)
        penalty = made(weight=2.0, noise=noise).penalty(
            critic, normal(6, 5, seed=4), normal(6, 5, seed=8), rng()
        )
        check_graph(penalty, critic.form, curved_penalty(form, seen[0], 2.0, target=1.0), form)


# Far from 0 and with a deviation of 3, so that neither the size nor the root mean square of the
# reals serves for their deviation. Many coordinates, so that a sample shows its own mixing weight.
_REALS = normal(300, 20, 20, seed=8) * 3 + 40


def _steps(made: Made, scale: float, noise: str) -> Tensor:
    """(x^ - x) / (scale * s) with s as numpy computes it, shape (N, 400)."""
    critic = Linear(normal(20, 20, seed=1))
    made(scale=scale, noise=noise).penalty(critic, _REALS, -_REALS, rng(3))
    return (critic.seen[0] - _REALS).flatten(1) / (scale * float(_REALS.numpy().std()))


def check_dragan_uniform_points(made: Made) -> None:
    """x^ = x + u scale s v: one u ~ U[0, 1] per sample, one v ~ U[0, 1] per coordinate."""
    for scale in (0.5, 2.0):
        steps = _steps(made, scale, "uniform")
        assert steps.min() > -1e-9
        assert steps.max() < 1 + 1e-9
        # The largest of 400 coordinates shows the sample's u to a 400th.
        mix = steps.amax(dim=1, keepdim=True)
        assert mix.unique().numel() == 300, "samples share a mixing weight"
        assert scipy.stats.kstest(mix.flatten().numpy(), "uniform").pvalue > 0.01
        shares = (steps / mix)[:, :200].flatten()
        assert shares.unique().numel() > 0.99 * shares.numel(), "coordinates share a step"
        assert scipy.stats.kstest(shares.numpy(), "uniform").statistic < 0.01


def check_dragan_gaussian_points(made: Made) -> None:
    """x^ = x + d with d ~ N(0, (scale s)^2), one for each coordinate."""
    for scale in (0.5, 2.0):
        steps = _steps(made, scale, "gaussian").flatten()
        assert steps.unique().numel() == steps.numel(), "coordinates share a step"
        assert scipy.stats.kstest(steps.numpy(), "norm").pvalue > 0.01


def check_dragan_without_noise(made: Made) -> None:
    """With scale 0 the points are the reals: fakes do not matter, nor does the batch's order."""
    critic, points = Curved(normal(4, 4, seed=6)), normal(8, 4, seed=7)

    def penalty(real: Tensor, fake: Tensor, noise: str) -> float:
        return made(scale=0.0, noise=noise).penalty(critic, real, fake, rng()).item()

    expected = curved_penalty(critic.form.detach(), points, 10.0, target=1.0).item()
    for noise in ("uniform", "gaussian"):
        assert penalty(points, -points, noise) == pytest.approx(expected, rel=1e-12)
        assert penalty(points, points + 9, noise) == pytest.approx(expected, rel=1e-12)
        shuffled = points[torch.randperm(8, generator=rng(1))]
        assert penalty(shuffled, points, noise) == pytest.approx(expected, rel=1e-12)
        halves = (penalty(points[:4], points, noise) + penalty(points[4:], points, noise)) / 2
        assert halves == pytest.approx(expected, rel=1e-12)


def check_dragan_own_stream(made: Made) -> None:
    """The perturbation comes from the given stream and from nothing else."""

    def points(own: int, everybodys: int, noise: str) -> Tensor:
        critic = Linear(normal(3, seed=1))
        torch.manual_seed(everybodys)
        before = torch.get_rng_state()
        made(noise=noise).penalty(critic, normal(4, 3, seed=2), normal(4, 3, seed=3), rng(own))
        assert torch.equal(torch.get_rng_state(), before), "the global generator was drawn from"
        return critic.seen[0]

    with torch.random.fork_rng(devices=[]):
        for noise in ("uniform", "gaussian"):
            assert torch.equal(points(0, 1, noise), points(0, 2, noise))
            assert not torch.equal(points(0, 1, noise), points(1, 1, noise))


DRAGAN_CHECKS = (
    check_dragan_linear,
    check_dragan_curved,
    check_dragan_uniform_points,
    check_dragan_gaussian_points,
    check_dragan_without_noise,
    check_dragan_own_stream,
)
