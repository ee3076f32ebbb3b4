import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from bench.stats import fisher_interval, mean_interval

correlations = st.lists(st.floats(-1, 1), min_size=2, max_size=12)


@given(st.lists(st.floats(-1e4, 1e4), min_size=2, max_size=12))
def test_the_interval_of_a_mean_is_scipys_t_interval(values):
    interval = mean_interval(values)
    error = scipy.stats.sem(values)
    half = scipy.stats.t.ppf(0.975, len(values) - 1) * error
    assert interval.center == pytest.approx(np.mean(values), abs=1e-8)
    assert interval.low == pytest.approx(np.mean(values) - half, rel=1e-9, abs=1e-8)
    assert interval.high == pytest.approx(np.mean(values) + half, rel=1e-9, abs=1e-8)
    assert interval.n == len(values)


@given(correlations)
def test_the_interval_of_correlations_is_a_t_interval_of_fishers_z(values):
    z = np.arctanh(np.clip(values, -0.99, 0.99))
    interval = fisher_interval(values)
    half = scipy.stats.t.ppf(0.975, len(z) - 1) * z.std(ddof=1) / math.sqrt(len(z))
    assert interval.center == pytest.approx(math.tanh(z.mean()), abs=1e-9)
    assert interval.low == pytest.approx(math.tanh(z.mean() - half), abs=1e-9)
    assert interval.high == pytest.approx(math.tanh(z.mean() + half), abs=1e-9)


@given(correlations, st.randoms())
def test_permuting_the_seeds_changes_nothing(values, random):
    shuffled = random.sample(values, len(values))
    assert fisher_interval(shuffled) == fisher_interval(values)


def test_the_worked_example_holds():
    # z of .5, .6, .7: .5493, .6931, .8673; mean .7033, deviation .1592, t(2) 4.3027.
    interval = fisher_interval([0.5, 0.6, 0.7])
    assert interval.center == pytest.approx(0.6064, abs=1e-4)
    assert (interval.low, interval.high) == (
        pytest.approx(0.2981, abs=1e-3),
        pytest.approx(0.8003, abs=1e-3),
    )


def test_a_perfect_correlation_is_clipped_and_stays_finite():
    interval = fisher_interval([1.0, 1.0, 0.9])
    assert interval.center < 0.99
    assert math.isfinite(interval.low)
    assert fisher_interval([1.0, 1.0]).center == pytest.approx(0.99)


def test_one_seed_gives_no_interval():
    for interval in (mean_interval([3.0]), fisher_interval([0.3])):
        assert math.isfinite(interval.center)
        assert not interval.known
        assert interval.n == 1
        assert not interval.above(-9)
        assert not interval.below(9)


def test_undefined_values_are_left_out_and_not_counted():
    assert fisher_interval([0.5, math.nan, 0.7]) == fisher_interval([0.5, 0.7])
    assert mean_interval([1.0, math.inf, 3.0]).n == 2
    assert fisher_interval([math.nan]).n == 0
    assert math.isnan(mean_interval([]).center)


def test_where_an_interval_lies():
    interval = fisher_interval([0.5, 0.6, 0.7])
    assert interval.above(0.2)
    assert not interval.above(0.4)
    assert interval.below(0.9)
    assert not interval.inside(0.7)
    assert interval.inside(0.9)
