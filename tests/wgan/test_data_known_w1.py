"""Pairs of distributions whose W1 is known: each closed form against ways that do not use it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
import torch
from small import registered, rng
from torch import Tensor

from wgan.components import ConfigError
from wgan.data import Dataset, Density, NoiselessRing, PointMass, ScaledGaussians, ShiftedGaussians
from wgan.exact import exact_w1

PAIRS = [
    *(PointMass(theta=theta) for theta in (1.0, -2.5, 0.0)),
    PointMass(theta=0.5, dimension=2),
    *(ShiftedGaussians(shift=shift, dimension=d) for shift, d in ((1, 1), (-3, 1), (2, 2), (0, 1))),
    *(ScaledGaussians(scale=s, dimension=d) for s, d in ((2, 1), (0.25, 1), (3, 2), (0, 2))),
    NoiselessRing(),
    NoiselessRing(radius=5.0),
]
every_pair = pytest.mark.parametrize("dataset", PAIRS, ids=str)


def drawn(data: Density, count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Independent samples of both sides, float64."""
    assert data.counterpart is not None
    return (
        data.batch(count, rng(seed)).double(),
        data.counterpart(count, rng(seed + 1000)).double(),
    )


def test_every_known_pair_in_few_dimensions_is_tested_here():
    known = {
        made
        for made in registered(Dataset)
        if len(made().shape) == 1 and made().load().w1 is not None
    }
    assert known == {type(dataset) for dataset in PAIRS}


@every_pair
def test_exact_assignment_between_samples_finds_w1(dataset):
    """Samples of n points have W1 off by the error of the means and, in the plane, by about
    sqrt(log n / n) in their favour: 0.12 standard deviations for n = 600.
    """
    data = dataset.load()
    found = exact_w1(*drawn(data, 600))
    spread = max(part.std(0).max().item() for part in drawn(data, 600))
    assert found == pytest.approx(data.w1, abs=0.12 * spread + 1e-6)


@pytest.mark.parametrize("dataset", [pair for pair in PAIRS if pair.shape == (1,)], ids=str)
def test_on_a_line_the_quantile_formula_gives_w1(dataset):
    """W1 = integral of |F^-1 - G^-1|, by scipy, from 200,000 samples of each side."""
    data = dataset.load()
    real, other = drawn(data, 200_000)
    found = scipy.stats.wasserstein_distance(real[:, 0].numpy(), other[:, 0].numpy())
    assert found == pytest.approx(data.w1, abs=0.015)


def sandwiched(data: Density, coupled: Tensor, potential: Tensor) -> None:
    """W1 lies between what a 1-Lipschitz function tells apart and what a plan costs."""
    for values in (coupled, potential):
        error = values.std().item() / math.sqrt(len(values))
        assert abs(values.mean().item() - data.w1) < 4 * error + 1e-5


@pytest.mark.parametrize("dimension", [1, 2, 16, 64])
@pytest.mark.parametrize("shift", [-1.5, 2.0])
def test_no_plan_and_no_critic_beats_the_shift(dimension, shift):
    data = ShiftedGaussians(shift=shift, dimension=dimension).load()
    real, other = data.batch(20_000, rng(3)), data.counterpart(20_000, rng(3))
    # The same stream gives the same normal numbers: the optimal plan.
    sandwiched(data, (real - other).norm(dim=1), math.copysign(1, shift) * (real - other)[:, 0])
    assert torch.allclose((real - other)[:, 0], torch.full((20_000,), shift), atol=1e-5)
    assert torch.equal(real[:, 1:], other[:, 1:])
    # Independent samples: the critic's side alone.
    real, other = drawn(data, 20_000)
    told = math.copysign(1, shift) * (real[:, 0].mean() - other[:, 0].mean()).item()
    assert told == pytest.approx(data.w1, abs=4 * math.sqrt(2 / 20_000))


@pytest.mark.parametrize("dimension", [1, 2, 16, 64, 3072])
@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_no_plan_and_no_critic_beats_the_scaling(dimension, scale):
    data = ScaledGaussians(scale=scale, dimension=dimension).load()
    count = 20_000 if dimension < 100 else 500
    real, other = data.batch(count, rng(3)), data.counterpart(count, rng(3))
    told = math.copysign(1, scale - 1) * (real.norm(dim=1) - other.norm(dim=1))
    sandwiched(data, (real - other).norm(dim=1), told)
    assert real.std().item() == pytest.approx(scale, rel=0.02)


@pytest.mark.parametrize("radius", [0.5, 2.0, 5.0])
def test_the_ring_s_w1_is_the_mean_distance_to_the_nearest_mass(radius):
    """By a sum over a grid in the plane, where the program integrates along rays."""
    data = NoiselessRing(radius=radius).load()
    step = 0.02
    ticks = np.arange(-8 + step / 2, 8, step)
    x, y = np.meshgrid(ticks, ticks)
    angles = np.arange(8) * math.pi / 4
    nearest = np.min(
        [np.hypot(x - radius * math.cos(a), y - radius * math.sin(a)) for a in angles], axis=0
    )
    mass = np.exp(-(x**2 + y**2) / 2) / (2 * math.pi) * step**2
    assert mass.sum() == pytest.approx(1, abs=1e-9)
    assert data.w1 == pytest.approx((nearest * mass).sum(), abs=2e-6)


def test_the_ring_of_radius_2_is_at_9665():
    assert NoiselessRing().load().w1 == pytest.approx(0.9665, abs=5e-5)


def test_the_plan_to_the_nearest_mass_gives_each_an_eighth():
    data = NoiselessRing().load()
    other = data.counterpart(100_000, rng())
    nearest = torch.cdist(other, data.modes).argmin(1)
    counts = torch.bincount(nearest, minlength=8)
    assert scipy.stats.chisquare(counts.numpy()).pvalue > 0.001
    distances = torch.cdist(other, data.modes).amin(1)
    assert distances.mean().item() == pytest.approx(data.w1, abs=4 * 0.55 / math.sqrt(100_000))


def test_the_ring_has_eight_equal_masses_and_nothing_between():
    data = NoiselessRing(radius=3.0).load()
    points, counts = data.batch(8000, rng()).unique(dim=0, return_counts=True)
    assert len(points) == 8
    assert scipy.stats.chisquare(counts.numpy()).pvalue > 0.001
    assert torch.allclose(points.norm(dim=1), torch.tensor(3.0))


def test_a_point_mass_is_a_point_wherever_it_lies():
    data = PointMass(theta=-0.7, dimension=3).load()
    assert torch.equal(data.batch(5, rng()), torch.zeros(5, 3))
    assert torch.equal(data.counterpart(5, rng()), torch.tensor([[-0.7, 0, 0]]).expand(5, 3))
    assert data.w1 == 0.7


def test_the_counterpart_of_a_gaussian_is_standard_normal():
    for made in (ShiftedGaussians(dimension=3, shift=9.0), ScaledGaussians(dimension=3, scale=9.0)):
        points = made.load().counterpart(50_000, rng(5))
        assert points.dtype == torch.float32
        assert points.mean(0).abs().max() < 0.02
        assert torch.allclose(points.T.cov(), torch.eye(3), atol=0.03)


def test_a_density_without_a_counterpart_says_so():
    for made in registered(Dataset):
        if len(made().shape) == 1:
            data = made().load()
            assert (data.w1 is None) == (data.counterpart is None)


def test_settings_that_make_no_distribution_are_refused():
    for make in (
        lambda: ScaledGaussians(scale=-1),
        lambda: NoiselessRing(radius=0),
        lambda: ShiftedGaussians(dimension=0),
    ):
        with pytest.raises(ConfigError, match="is not allowed"):
            make()
