"""Optimism of the best of equal models, intervals across final models, and what could be found."""

import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from simulated import simulated

from bench.stats import fisher_interval
from bench.stats.evaluations import Evaluations
from bench.stats.final_models import clustered_spearman
from bench.stats.rank import time_adjusted_rows
from bench.stats.resolution import (
    detectable,
    detection_power,
    exclusion_power,
    expected_spread,
)
from bench.stats.selection import _chosen, expected_optimism


def optimism(count, runs, noise=3.0):
    """Mean gains of optimistic and of split best over a random choice, in SDs of the noise.

    All evaluations are equally good; only the metric's noise differs, twice the variance in halves.
    """
    draw = np.random.default_rng(count)
    gains = []
    for _ in range(runs):
        halves = 50 + noise * math.sqrt(2) * draw.normal(size=(2, count))
        run = Evaluations(
            np.arange(1.0, count + 1),
            {
                "estimate_held_out": draw.normal(size=count),
                "fid": halves.mean(axis=0),
                "fid_first_half": halves[0],
                "fid_second_half": halves[1],
            },
            np.zeros(count, dtype=bool),
            np.ones(count, dtype=bool),
        )
        chosen = _chosen(run, "fid", "live")
        gains.append([chosen[name] for name in ("best_optimistic", "best", "by_loss", "at_random")])
    optimistic, split, loss, random = np.mean(gains, axis=0) / noise
    return optimistic - random, split, loss, random


@pytest.mark.parametrize(("count", "documented"), [(10, 1.54), (20, 1.87), (40, 2.16)])
def test_the_optimism_of_the_best_is_the_order_statistics_own(count, documented):
    assert expected_optimism(count) == pytest.approx(documented, abs=0.006)
    # 2,000 runs: standard errors about .015 and, of the last model's noise, .025.
    optimistic, split, loss, random = optimism(count, 2000)
    assert optimistic == pytest.approx(expected_optimism(count), abs=0.06)
    for unbiased in (split, loss, random):
        assert unbiased == pytest.approx(0, abs=0.13)


def test_the_optimism_of_two_is_one_over_root_pi():
    assert expected_optimism(2) == pytest.approx(1 / math.sqrt(math.pi), abs=1e-9)
    assert expected_optimism(3) == pytest.approx(1.5 / math.sqrt(math.pi), abs=1e-9)
    assert expected_optimism(1) == 0


def clustered(draw, settings, models, between, within, share):
    """Estimates and qualities of models: settings and seeds each with their own correlation."""

    def linked(size, correlation):
        first, second = draw.normal(size=(2, *size))
        return first, correlation * first + math.sqrt(1 - correlation**2) * second

    outer, inner = linked((settings, 1), between), linked((settings, models), within)
    first, second = (
        (math.sqrt(share) * a + math.sqrt(1 - share) * b).ravel()
        for a, b in zip(outer, inner, strict=True)
    )
    return pd.Series(first), pd.Series(second), pd.Series(np.repeat(np.arange(settings), models))


def clustered_coverage(sweeps, settings, models, between, within, share):
    draw = np.random.default_rng(settings)
    pearson = share * between + (1 - share) * within
    truth = 6 / math.pi * math.asin(pearson / 2)  # Spearman's of two normals
    intervals = [
        clustered_spearman(*clustered(draw, settings, models, between, within, share))
        for _ in range(sweeps)
    ]
    covered = np.mean([interval.low <= truth <= interval.high for interval in intervals])
    return covered, np.mean([interval.above(0) for interval in intervals])


def test_models_of_one_setting_are_not_taken_for_independent():
    covered, false = clustered_coverage(300, 5, 5, 0.0, 0.0, 0.8)
    assert 0.91 <= covered <= 0.99
    assert false <= 0.06


@pytest.mark.slow
@pytest.mark.parametrize(("settings", "models"), [(3, 4), (3, 10), (5, 5), (8, 5), (20, 5)])
@pytest.mark.parametrize(
    ("between", "within", "share"), [(0, 0, 0.5), (0, 0, 0.8), (0.7, 0, 0.7), (0.7, 0.7, 0.5)]
)
def test_the_interval_across_final_models_covers_its_promise(
    settings, models, between, within, share
):
    # 600 sweeps: standard error .009 (the script behind it had 1,500).
    covered, above = clustered_coverage(600, settings, models, between, within, share)
    assert 0.92 <= covered <= 0.985
    if between == within == 0:
        assert above <= 0.045


def test_the_smallest_link_found_is_found_in_80_percent():
    draw = np.random.default_rng(9)
    for seeds, spread in ((3, 0.2), (5, 0.3), (10, 0.3)):
        least = detectable(seeds, spread)
        z = math.atanh(least) + spread * draw.normal(size=(6000, seeds))
        found = np.mean([fisher_interval(row).above(0) for row in np.tanh(z).tolist()])
        assert found == pytest.approx(0.8, abs=0.02)  # standard error .005


@pytest.mark.parametrize("seeds", [5, 12])
def test_the_powers_are_those_of_the_noncentral_t(seeds):
    spread, t = 0.3, scipy.stats.t.ppf(0.975, seeds - 1)
    noncentrality = math.atanh(0.4) * math.sqrt(seeds) / spread
    expected = scipy.stats.nct.sf(t, seeds - 1, noncentrality)
    assert detection_power(seeds, spread, 0.4) == pytest.approx(expected, abs=1e-6)
    assert detection_power(seeds, spread, detectable(seeds, spread)) == pytest.approx(0.8, abs=1e-6)


def test_that_there_is_no_link_is_shown_as_often_as_said():
    draw = np.random.default_rng(10)
    for seeds, spread in ((8, 0.15), (20, 0.25), (15, 0.25)):
        z = spread * draw.normal(size=(5000, seeds))
        shown = np.mean([fisher_interval(row).inside(0.2) for row in np.tanh(z).tolist()])
        promised = exclusion_power(seeds, spread)
        assert promised > 0.3
        assert promised - 0.03 <= shown <= promised + 0.03


@pytest.mark.parametrize("count", [20, 25, 40])
def test_the_spread_of_seeds_that_differ_by_chance_is_the_expected_one(count):
    def measured(trend):
        losses, qualities, steps = simulated(11, 20_000, count, trend, seeds=1)
        return np.arctanh(time_adjusted_rows(losses[:, 0], qualities[:, 0], steps)).std()

    # 20,000 trainings: standard error .5 % or, z being long-tailed, some more. A curved trend,
    # whose ranks a polynomial does not follow wholly, adds 3 to 9 %.
    assert measured("linear") == pytest.approx(expected_spread(count), rel=0.04)
    assert expected_spread(count) < measured("decay") < 1.1 * expected_spread(count)
