"""How often the intervals over seeds hold their estimand, tanh(E z)."""

import math

import numpy as np
import pytest
from simulated import SEEDS, simulated

from bench.stats import fisher_interval
from bench.stats.bootstrap import bootstrap_adjusted, bootstrap_raw
from bench.stats.rank import spearman_rows, time_adjusted_rows

LINK, SPREAD = 0.5, 0.3


def figures(kind, losses, qualities, steps):
    count = losses.shape[-1]
    flat = losses.reshape(-1, count), qualities.reshape(-1, count)
    values = time_adjusted_rows(*flat, steps) if kind == "adjusted" else spearman_rows(*flat)
    return values.reshape(losses.shape[:2])


def estimand(kind, count, sweeps, spread=SPREAD):
    """tanh(E z) of the clipped sample correlation of one training."""
    values = figures(kind, *simulated(21, sweeps, count, "decay", link=LINK, spread=spread))
    return math.tanh(np.arctanh(np.clip(values, -0.99, 0.99)).mean())


def primary_coverage(kind, count, sweeps):
    truth = estimand(kind, count, 4 * sweeps)
    values = figures(kind, *simulated(22, sweeps, count, "decay", link=LINK, spread=SPREAD))
    intervals = [fisher_interval(row) for row in values.tolist()]
    return np.mean([interval.low <= truth <= interval.high for interval in intervals])


def bootstrap_coverage(kind, count, sweeps, spread=SPREAD):
    truth = estimand(kind, count, 4000, spread)
    curves = simulated(23, sweeps, count, "decay", link=LINK, spread=spread)
    interval_of = bootstrap_adjusted if kind == "adjusted" else bootstrap_raw
    losses, qualities, steps = curves
    intervals = [
        interval_of([(a, b, steps) for a, b in zip(loss, quality, strict=True)])
        for loss, quality in zip(losses, qualities, strict=True)
    ]
    return np.mean([interval.low <= truth <= interval.high for interval in intervals])


@pytest.mark.parametrize("kind", ["raw", "adjusted"])
@pytest.mark.parametrize("count", [20, 40])
def test_the_primary_interval_covers_95_percent_at_five_seeds(kind, count):
    # 4,000 sweeps: standard error .0034, so that .93 and .97 lie six of them off.
    assert SEEDS == 5
    assert 0.93 <= primary_coverage(kind, count, 4000) <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["raw", "adjusted"])
@pytest.mark.parametrize("count", [20, 40])
def test_the_primary_interval_covers_what_is_documented(kind, count):
    # Documented 94.4 to 96.1 %; 16,000 sweeps: standard error .0017.
    assert 0.94 <= primary_coverage(kind, count, 16_000) <= 0.965


@pytest.mark.slow
@pytest.mark.parametrize("count", [20, 40])
@pytest.mark.parametrize(
    ("spread", "least", "most"), [(0.0, 0.95, 0.995), (0.3, 0.90, 0.97), (0.6, 0.84, 0.92)]
)
def test_the_bootstrap_covers_the_less_the_more_the_seeds_differ(count, spread, least, most):
    # Documented 88.7 to 98.7 %; 1,500 sweeps: standard error .006 to .009.
    assert least <= bootstrap_coverage("adjusted", count, 1500, spread) <= most


@pytest.mark.slow
def test_one_seed_in_five_that_does_not_track_costs_the_primary_interval_coverage():
    """Documented: 86.9 % with 20 % of seeds not tracking; so every seed is drawn in the report.

    How much it costs depends on how strong the link of the others is: 92 % at .7, 77 at .9.
    """
    draw = np.random.default_rng(24)

    def values(sweeps):
        z = np.where(draw.random((sweeps, SEEDS)) < 0.2, 0.0, math.atanh(0.8)) + 0.2 * draw.normal(
            size=(sweeps, SEEDS)
        )
        return np.tanh(z)

    truth = math.tanh(np.arctanh(np.clip(values(40_000), -0.99, 0.99)).mean())
    intervals = [fisher_interval(row) for row in values(4000).tolist()]
    covered = np.mean([interval.low <= truth <= interval.high for interval in intervals])
    assert 0.82 <= covered <= 0.90


def test_a_bootstrap_of_five_seeds_covers_what_it_was_measured_to():
    assert 0.87 <= bootstrap_coverage("adjusted", 20, 200) <= 0.99
