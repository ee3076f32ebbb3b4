import math

import numpy as np
import pytest
from comparison_frames import DIVERGED, outcome_frame
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import trim_mean

from bench.stats.location import interquartile_mean, locate, median
from bench.stats.resamples import RESAMPLES, percentile_bounds, resampled_ranks

VALUES = st.lists(st.floats(0.1, 1e4), min_size=1, max_size=40)


@given(VALUES)
def test_the_interquartile_mean_is_scipys_trimmed_mean(values):
    assert interquartile_mean(values).center == pytest.approx(trim_mean(values, 0.25), rel=1e-12)


@given(VALUES)
def test_the_median_is_numpys(values):
    assert median(values).center == pytest.approx(float(np.median(values)), rel=1e-12)


@pytest.mark.parametrize(("figure", "oracle"), [(median, np.median), (interquartile_mean, None)])
def test_the_bootstrap_is_that_of_explicit_resamples(figure, oracle):
    values = np.random.default_rng(3).lognormal(3, 0.4, 13)
    plain = oracle or (lambda drawn: trim_mean(drawn, 0.25))
    figures = [plain(np.sort(values)[chosen]) for chosen in resampled_ranks(13)]
    low, high = percentile_bounds(figures)
    interval = figure(values)
    assert (interval.low, interval.high) == pytest.approx((low, high), rel=1e-12)
    assert np.quantile(figures, 0.025) == pytest.approx(low, rel=0.01)
    assert np.quantile(figures, 0.975) == pytest.approx(high, rel=0.01)


def test_resamples_are_drawn_evenly():
    ranks = resampled_ranks(10)
    assert ranks.shape == (RESAMPLES, 10)
    counts = np.bincount(ranks.ravel(), minlength=10)
    assert abs(counts / RESAMPLES - 1).max() < 0.06


@pytest.mark.parametrize("figure", [median, interquartile_mean])
def test_there_is_an_interval_from_ten_seeds_and_none_below(figure):
    values = np.arange(1.0, 11.0)
    assert figure(values).known
    nine = figure(values[:9])
    assert math.isfinite(nine.center)
    assert not nine.known
    assert figure([]).n == 0
    assert math.isnan(figure([]).center)


@given(st.permutations(list(np.random.default_rng(0).lognormal(3, 1, 12))))
def test_the_order_of_seeds_changes_no_bit(values):
    first = outcome_frame({"a": sorted(values)})
    assert locate(outcome_frame({"a": values}))[0] == locate(first)[0]


@given(st.floats(1e-3, 1e3))
def test_scaled_quality_scales_every_figure(scale):
    values = np.random.default_rng(1).lognormal(3, 1, 12)
    (plain,) = locate(outcome_frame({"a": values}))
    (scaled,) = locate(outcome_frame({"a": values * scale}))
    for name in ("mean", "median", "iqm"):
        one, other = getattr(plain, name), getattr(scaled, name)
        for bound in ("center", "low", "high"):
            assert getattr(other, bound) == pytest.approx(scale * getattr(one, bound), rel=1e-9)


def test_diverged_runs_are_left_out_and_counted_as_infinite():
    values = [10.0, 30.0, DIVERGED, 20.0, None]
    (found,) = locate(outcome_frame({"a": values}))
    assert (found.mean.n, found.diverged, found.others) == (3, 1, 1)
    assert found.mean.center == pytest.approx(20)
    assert found.median.center == 20
    assert (found.median_with_diverged.center, found.median_with_diverged.n) == (25, 4)
    (worse,) = locate(outcome_frame({"a": [10.0, 20.0, DIVERGED, DIVERGED]}))
    assert worse.median_with_diverged.center == math.inf


def test_a_bootstrap_with_diverged_runs_has_bounds_in_order():
    values = [*np.linspace(10, 20, 8), DIVERGED, DIVERGED]
    (found,) = locate(outcome_frame({"a": values}))
    both = found.median_with_diverged
    assert both.n == 10
    assert both.center == pytest.approx(np.linspace(10, 20, 8)[4:6].mean())
    assert both.low < both.center < both.high
    (worse,) = locate(outcome_frame({"a": [*np.linspace(10, 20, 6), *[DIVERGED] * 4]}))
    assert math.isfinite(worse.median_with_diverged.low)
    assert worse.median_with_diverged.high == math.inf


def coverage(figure, truth, draw, repetitions):
    """How often the interval of a figure holds what it is of."""
    intervals = (figure(draw()) for _ in range(repetitions))
    return np.mean([interval.low <= truth <= interval.high for interval in intervals])


@pytest.mark.slow
@pytest.mark.parametrize("count", [10, 20, 40])
@pytest.mark.parametrize("shape", ["normal", "lognormal"])
def test_the_bootstrap_covers_92_to_98_percent_from_ten_seeds(count, shape):
    random = np.random.default_rng(count)

    def draw(size=count):
        values = random.normal(size=size)
        return np.exp(values / 2) if shape == "lognormal" else values

    middle = 1.0 if shape == "lognormal" else 0.0
    half = float(trim_mean(draw(1_000_000), 0.25))
    assert 0.92 <= coverage(median, middle, draw, 3000) <= 0.98
    assert 0.92 <= coverage(interquartile_mean, half, draw, 3000) <= 0.98
