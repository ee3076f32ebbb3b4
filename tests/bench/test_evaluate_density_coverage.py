"""Density and coverage: against a plain double loop and closed forms; the checks can fail."""

import math

import numpy as np
import pytest
import torch

from bench.evaluate import density_coverage as module
from bench.evaluate.density_coverage import ball_radii, expected_coverage


def scores(fake, real, neighbours):
    return module.density_coverage(fake, real, ball_radii(real, neighbours), neighbours)


def gaussian(count, size=3, seed=0, mean=0.0, scale=1.0):
    rng = torch.Generator().manual_seed(seed)
    return mean + scale * torch.randn(count, size, generator=rng)


def by_double_loop(fake, real, k):
    """The definitions, point by point."""
    fake, real = fake.tolist(), real.tolist()
    hits, covered = 0, 0
    for i, x in enumerate(real):
        others = sorted(math.dist(x, z) for j, z in enumerate(real) if j != i)
        inside = sum(math.dist(x, y) < others[k - 1] for y in fake)
        hits += inside
        covered += inside > 0
    return hits / (k * len(fake)), covered / len(real)


# The checks, which the planted bugs below must fail.


def check_double_loop(implementation):
    for k, fakes, reals, shift in ((1, 17, 23, 0.0), (3, 40, 20, 0.5), (5, 12, 30, -1.0)):
        fake, real = gaussian(fakes, seed=1, mean=shift, scale=0.7), gaussian(reals)
        assert implementation(fake, real, k) == pytest.approx(by_double_loop(fake, real, k))


def check_copies(implementation):
    # Each ball holds its own copy and those of its k - 1 nearest, and has the k-th on its surface.
    real = gaussian(50, size=64)
    assert implementation(real.clone(), real, 5) == (1.0, 1.0)


def check_means(implementation):
    found = np.array(
        [
            implementation(gaussian(30, seed=2 * seed), gaussian(20, seed=2 * seed + 1), 3)
            for seed in range(300)
        ]
    )
    expected = np.array([1.0, expected_coverage(20, 30, 3)])
    error = found.std(axis=0, ddof=1) / math.sqrt(len(found))
    assert (np.abs(found.mean(axis=0) - expected) < 4 * error).all()


CHECKS = (check_double_loop, check_copies, check_means)


@pytest.mark.parametrize("check", CHECKS)
def test_density_and_coverage_pass_the(check):
    check(scores)


# Bugs.


def radii_of_the_fakes(fake, real, k):
    radii = ball_radii(fake, k)
    inside = torch.cdist(real, fake) < radii[None, :]
    return float(inside.sum()) / (k * len(fake)), float(inside.any(1).double().mean())


def closed_balls(fake, real, k):
    inside = module._distances(real, fake) <= ball_radii(real, k)[:, None]
    return float(inside.sum()) / (k * len(fake)), float(inside.any(1).double().mean())


def a_neighbour_of_itself(fake, real, k):
    radii = module._distances(real, real).kthvalue(k, dim=1).values
    return module.density_coverage(fake, real, radii, k)


def one_neighbour_too_many(fake, real, k):
    return module.density_coverage(fake, real, ball_radii(real, k + 1), k)


def density_per_real(fake, real, k):
    density, coverage = scores(fake, real, k)
    return density * len(fake) / len(real), coverage


def density_without_k(fake, real, k):
    density, coverage = scores(fake, real, k)
    return density * k, coverage


def coverage_of_fakes(fake, real, k):
    inside = module._distances(real, fake) < ball_radii(real, k)[:, None]
    return scores(fake, real, k)[0], float(inside.any(dim=0).double().mean())


BUGS = {
    radii_of_the_fakes: {check_double_loop, check_means},
    closed_balls: {check_copies},
    a_neighbour_of_itself: {check_double_loop, check_copies, check_means},
    one_neighbour_too_many: {check_double_loop, check_copies, check_means},
    density_per_real: {check_double_loop, check_means},
    density_without_k: {check_double_loop, check_copies, check_means},
    coverage_of_fakes: {check_double_loop, check_means},
}


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_a_planted_bug_turns_its_checks_red(bug):
    for check in BUGS[bug]:
        with pytest.raises(AssertionError):
            check(bug)


# What they mean.


def test_the_expected_coverage_is_the_probability_that_not_all_k_nearest_are_real():
    # One ball, three others and two fakes: 2 nearest of 5 both real with chance 3/5 * 2/4.
    assert expected_coverage(4, 2, 2) == pytest.approx(1 - 3 / 5 * 2 / 4)
    assert expected_coverage(10**6, 10**6, 5) == pytest.approx(1 - 2**-5, abs=1e-5)
    assert expected_coverage(10_000, 2000) < 0.6 < 0.96 < expected_coverage(2000, 2000)


def test_many_fakes_around_a_real_outlier_raise_precision_but_not_density():
    cluster = gaussian(99, size=2, scale=0.1)
    real = torch.cat([cluster, torch.tensor([[50.0, 0.0]])])
    fake = torch.tensor([[50.0, 0.0]]) + gaussian(100, size=2, seed=1)
    density, coverage = scores(fake, real, 5)
    assert density == pytest.approx(1 / 5)  # of one ball each, where five are expected
    assert coverage == 1 / 100


def test_far_fakes_have_neither_density_nor_coverage():
    assert scores(gaussian(40, mean=100.0), gaussian(60), 5) == (0.0, 0.0)


def test_a_collapsed_generator_has_density_and_no_coverage():
    real = gaussian(500, size=2)
    density, coverage = scores(torch.zeros(500, 2), real, 5)
    assert density > 0.5
    assert coverage < 0.05


def test_reals_that_are_all_copies_have_empty_balls_and_no_error():
    same = torch.ones(30, 4)
    assert scores(same, same, 5) == (0.0, 0.0)
