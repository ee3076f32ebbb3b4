"""Divergences of known densities against closed forms and scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, stats
from scipy.spatial.distance import jensenshannon

from bench.claims.divergences import (
    best_discriminator,
    gaussian,
    js,
    kl,
    minimax_value,
    point_js,
    point_kl,
    point_w1,
    radius,
    uniform,
    w1,
)

SAME = gaussian(0, 1)


@pytest.mark.parametrize(("mean", "deviation"), [(0, 1), (1, 1), (-3, 0.5), (10, 2), (0.1, 30)])
def test_kl_of_gaussians_is_the_closed_form(mean: float, deviation: float) -> None:
    expected = math.log(deviation) + (1 + mean**2) / (2 * deviation**2) - 0.5
    assert kl(SAME, gaussian(mean, deviation)) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("deviation", [0.2, 1, 2.0, 9.0])
def test_radii_stand_for_scaled_gaussians_in_the_plane(deviation: float) -> None:
    """In d = 2: KL = 2 log s + 1 / s^2 - 1, W1 = |s - 1| sqrt(pi / 2)."""
    p, q = radius(1), radius(deviation)
    expected = 2 * math.log(deviation) + 1 / deviation**2 - 1
    assert kl(p, q) == pytest.approx(expected, abs=1e-9)
    assert w1(p, q) == pytest.approx(abs(deviation - 1) * math.sqrt(math.pi / 2), abs=1e-9)


def test_kl_is_infinite_where_the_other_has_no_mass() -> None:
    assert kl(uniform(0, 1), uniform(0.5, 1.5)) == math.inf
    assert kl(uniform(2, 3), uniform(0, 1)) == math.inf
    assert kl(gaussian(0, 1), uniform(-50, 50)) < 5  # beyond 12 deviations lies nothing
    assert kl(gaussian(0, 1), uniform(-1, 1)) == math.inf
    assert kl(uniform(0, 1), uniform(0, 2)) == pytest.approx(math.log(2), abs=1e-12)


def test_js_of_overlapping_uniforms_is_the_closed_form() -> None:
    """Each keeps 1 - t of its mass in common and t where the mixture is half of it: t log 2."""
    for t in (0.0, 0.001, 0.25, 1.0):
        found = js(uniform(0, 1), uniform(t, 1 + t))
        assert found == pytest.approx(t * math.log(2), abs=1e-11)
    assert js(uniform(0, 1), uniform(7, 9)) == pytest.approx(math.log(2), abs=1e-12)


@pytest.mark.parametrize(("mean", "deviation"), [(1, 1), (0.01, 1), (3, 0.5), (30, 1), (0, 5)])
def test_js_of_gaussians_is_that_of_a_fine_grid(mean: float, deviation: float) -> None:
    x = np.linspace(-60, 60, 400_001)
    # Above the smallest numbers, whose halves are 0 and make scipy's infinite.
    p, q = stats.norm.pdf(x) + 1e-290, stats.norm.pdf(x, mean, deviation) + 1e-290
    expected = jensenshannon(p, q) ** 2  # scipy's is the square root
    assert js(SAME, gaussian(mean, deviation)) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("p", "q", "expected"),
    [
        (SAME, gaussian(-2.5, 1), 2.5),
        (SAME, gaussian(0, 3), 2 * math.sqrt(2 / math.pi)),
        (uniform(0, 1), uniform(5, 6), 5),
        (uniform(0, 1), uniform(0, 3), 1),
        (SAME, SAME, 0),
    ],
)
def test_w1_on_the_line_is_the_closed_form(p, q, expected) -> None:  # type: ignore[no-untyped-def]
    assert w1(p, q) == pytest.approx(expected, abs=1e-9)
    assert w1(q, p) == pytest.approx(expected, abs=1e-9)


def test_every_density_integrates_to_its_distribution() -> None:
    for known in (gaussian(1, 0.3), uniform(-1, 2), radius(2)):
        middle = (known.low + known.high) / 2
        half, _ = integrate.quad(lambda x, k=known: math.exp(k.log_density(x)), known.low, middle)
        assert half == pytest.approx(known.distribution(middle), abs=1e-9)
        assert known.distribution(known.low) == pytest.approx(0, abs=1e-12)
        assert known.distribution(known.high) == pytest.approx(1, abs=1e-12)


def test_masses_on_points_are_scipys() -> None:
    p, q = {0.0: 0.5, 1.0: 0.5}, {0.0: 0.25, 2.0: 0.75}
    assert point_js(p, q) == pytest.approx(jensenshannon([0.5, 0.5, 0], [0.25, 0, 0.75]) ** 2)
    assert point_kl(p, q) == math.inf
    assert point_kl({0.0: 1.0}, {0.0: 0.5, 1.0: 0.5}) == pytest.approx(math.log(2))
    assert point_w1(p, q) == pytest.approx(1.0)  # a quarter goes from 0 to 2, half from 1 to 2
    assert point_w1({0.0: 1.0}, {-3.0: 1.0}) == 3


def test_the_value_of_the_best_discriminator_is_known() -> None:
    far = gaussian(40, 1)
    assert minimax_value(SAME, SAME) == pytest.approx(-2 * math.log(2), abs=1e-9)
    assert minimax_value(SAME, far) == pytest.approx(0, abs=1e-9)
    # A discriminator that says 1/4 everywhere: log 1/4 + log 3/4.
    quarter = minimax_value(SAME, far, lambda x: -math.log(3))
    assert quarter == pytest.approx(math.log(0.25) + math.log(0.75), abs=1e-9)
    assert best_discriminator(SAME, gaussian(1, 1), 0.5) == 0.5
    assert best_discriminator(SAME, gaussian(1, 1), 0.0) == pytest.approx(
        1 / (1 + math.exp(-0.5)), abs=1e-12
    )
    assert best_discriminator(uniform(0, 1), uniform(2, 3), 5.0) == 0.5
    assert best_discriminator(uniform(0, 1), uniform(2, 3), 2.5) == 0
