"""Exact W1 against all permutations, scipy in one dimension, and closed forms."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.stats
import torch
from small import normal, rng

from wgan.exact import exact_w1


@pytest.mark.parametrize("seed", range(5))
def test_w1_is_the_least_over_all_permutations(seed):
    x, y = normal(6, 3, seed=seed), normal(6, 3, seed=100 + seed) + 0.5
    best = min(
        np.mean([np.linalg.norm(x[i] - y[j]) for i, j in enumerate(order)])
        for order in itertools.permutations(range(6))
    )
    assert exact_w1(x, y) == pytest.approx(best, rel=1e-12)


def test_w1_in_one_dimension_equals_scipys():
    x, y = normal(200, 1, seed=1), 2 * normal(200, 1, seed=2) + 1
    expected = scipy.stats.wasserstein_distance(x[:, 0].numpy(), y[:, 0].numpy())
    assert exact_w1(x, y) == pytest.approx(expected, rel=1e-12)


def test_a_translation_costs_its_length():
    x, shift = normal(100, 4, seed=1), torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)
    assert exact_w1(x, x + shift) == pytest.approx(shift.norm().item(), rel=1e-12)


def test_scaling_by_s_scales_and_points_on_rays_travel_straight():
    """From x to s x every point keeps its ray: W1 = (s - 1) E |x|, for s > 1."""
    x = normal(80, 3, seed=4)
    expected = 0.7 * x.norm(dim=1).mean().item()
    assert exact_w1(x, 1.7 * x) == pytest.approx(expected, rel=1e-12)
    assert exact_w1(5 * x, 8.5 * x) == pytest.approx(5 * expected, rel=1e-12)


def test_the_order_of_the_points_does_not_matter():
    x, y = normal(50, 2, seed=1), normal(50, 2, seed=2)
    shuffled = x[torch.randperm(50, generator=rng())]
    assert exact_w1(x, shuffled) == 0
    assert exact_w1(shuffled, y) == pytest.approx(exact_w1(y, x), rel=1e-12)


def test_images_are_vectors():
    x, y = normal(9, 1, 2, 3, seed=1), normal(9, 1, 2, 3, seed=2)
    assert exact_w1(x, y) == pytest.approx(exact_w1(x.flatten(1), y.flatten(1)), rel=1e-15)


def test_small_distances_far_from_the_origin_are_kept():
    x = torch.full((20, 2), 1e4) + torch.arange(20.0)[:, None]
    assert exact_w1(x, x + 2**-9) == pytest.approx(2**0.5 * 2**-9, rel=1e-6)


def test_a_kantorovich_witness_is_never_above():
    """E f(x) - E f(y) <= W1 for the 1-Lipschitz f = distance to any point."""
    x, y = normal(60, 2, seed=1), 1.5 * normal(60, 2, seed=2)
    w1 = exact_w1(x, y)
    for centre in normal(30, 2, seed=3):
        assert abs((x - centre).norm(dim=1).mean() - (y - centre).norm(dim=1).mean()) <= w1 + 1e-12


def test_inputs_may_require_grad_and_stay_as_they_were():
    x = normal(5, 2, seed=1).requires_grad_()
    before = x.detach().clone()
    assert exact_w1(x, x.detach() + 1) == pytest.approx(2**0.5, rel=1e-12)
    assert torch.equal(x.detach(), before)


@pytest.mark.parametrize(("left", "right"), [((5, 2), (4, 2)), ((5, 2), (5, 3)), ((0, 2), (0, 2))])
def test_unequal_or_empty_samples_are_refused(left, right):
    with pytest.raises(ValueError, match="needs two samples of one shape, not"):
        exact_w1(torch.zeros(left), torch.zeros(right))


@pytest.mark.parametrize("shape", [(40,), (40, 1), (40, 1, 1, 1)])
@pytest.mark.parametrize("copies", [1, 5])
def test_on_a_line_it_is_the_assignment_s_value(shape, copies):
    from scipy.optimize import linear_sum_assignment

    rng = torch.Generator().manual_seed(3)
    x = torch.randn(shape, generator=rng).repeat(copies, *[1] * (len(shape) - 1))
    y = (2 * torch.randn(shape, generator=rng) + 1).repeat(copies, *[1] * (len(shape) - 1))
    costs = (x.double().reshape(-1, 1) - y.double().reshape(1, -1)).abs().numpy()
    rows, columns = linear_sum_assignment(costs)
    assert exact_w1(x, y) == pytest.approx(costs[rows, columns].mean(), rel=1e-12)
