"""What two curves that share nothing but a trend are taken for, and what a true link is."""

import math

import numpy as np
import pytest
from simulated import SEEDS, TRENDS, simulated

from bench.stats import decide, fisher_interval, seed_swap
from bench.stats.other_ranks import difference_rows, partial_rows
from bench.stats.rank import spearman_rows, time_adjusted_rows


def intervals(figure, losses, qualities, steps):
    """The interval over the seeds of each sweep."""
    sweeps, seeds, count = losses.shape
    values = figure(losses.reshape(-1, count), qualities.reshape(-1, count), steps)
    return [fisher_interval(row) for row in values.reshape(sweeps, seeds).tolist()]


def raw_figure(losses, qualities, _):
    return spearman_rows(losses, qualities)


def verdicts(losses, qualities, steps):
    """The verdict of each sweep, by the rules."""
    count = losses.shape[-1]
    raw = intervals(raw_figure, losses, qualities, steps)
    adjusted = intervals(time_adjusted_rows, losses, qualities, steps)
    # Only where the interval lies above 0 does the seed swap have a say.
    swaps = [
        seed_swap(list(loss), list(quality)) if interval.above(0) else math.nan
        for loss, quality, interval in zip(losses, qualities, adjusted, strict=True)
    ]
    return [
        decide(*figures, SEEDS, count).word for figures in zip(raw, adjusted, swaps, strict=True)
    ]


def tracking_share(seed, sweeps, count, trend, **world):
    words = verdicts(*simulated(seed, sweeps, count, trend, **world))
    return np.mean([word == "tracks" for word in words])


def above_zero(figure, seed, sweeps, count, trend, **noise):
    curves = simulated(seed, sweeps, count, trend, **noise)
    return np.mean([interval.above(0) for interval in intervals(figure, *curves)])


@pytest.mark.parametrize("trend", TRENDS)
def test_a_trend_alone_is_seldom_taken_for_tracking(trend):
    # With 400 sweeps a true 5 % reads above 8 % once in 200 times; measured 0.8 to 1.3 %.
    assert tracking_share(1, 400, 20, trend) <= 0.05


@pytest.mark.slow
@pytest.mark.parametrize("count", [20, 40])
@pytest.mark.parametrize("trend", TRENDS)
def test_at_most_5_percent_of_trends_alone_are_taken_for_tracking(trend, count):
    # 6,000 sweeps: standard error .0028 at .05, .0015 at the 1.3 % that are found.
    assert tracking_share(2, 6000, count, trend) <= 0.05 - 3 * 0.0028


@pytest.mark.slow
@pytest.mark.parametrize("count", [20, 40])
@pytest.mark.parametrize("trend", TRENDS)
def test_the_time_adjusted_bound_alone_is_false_in_2_to_3_percent(trend, count):
    # Nominal 2.5 % on one side; 6,000 sweeps: standard error .002.
    assert 0.015 <= above_zero(time_adjusted_rows, 3, 6000, count, trend) <= 0.035


@pytest.mark.slow
@pytest.mark.parametrize("count", [20, 40])
@pytest.mark.parametrize("trend", TRENDS)
def test_the_seed_swap_alone_is_false_in_about_5_percent(trend, count):
    losses, qualities, _ = simulated(4, 3000, count, trend)
    p = [seed_swap(list(a), list(b)) for a, b in zip(losses, qualities, strict=True)]
    assert 0.03 <= np.mean(np.array(p) <= 0.05) <= 0.08


def differences(losses, qualities, _):
    return difference_rows(losses, qualities)


@pytest.mark.parametrize(
    ("figure", "noise"), [(raw_figure, 0.15), (partial_rows, 0.15), (differences, 0.05)]
)
def test_a_common_u_shape_fools_what_does_not_correct_for_time(figure, noise):
    assert above_zero(figure, 5, 100, 20, "u_shaped", noise=noise) >= 0.9


def test_a_common_u_shape_does_not_fool_the_time_adjusted_figure():
    assert above_zero(time_adjusted_rows, 5, 400, 20, "u_shaped") <= 0.05


def test_the_seed_swap_holds_where_a_polynomial_cannot_follow_a_smooth_trend():
    # The ranks of a nearly noiseless U have a kink, which is left in both curves: the time-adjusted
    # bound alone then shows a link in 47 % of sweeps, and the verdict in 4 %.
    assert above_zero(time_adjusted_rows, 9, 200, 20, "u_shaped", noise=0.03) >= 0.3
    assert tracking_share(9, 200, 20, "u_shaped", noise=0.03) <= 0.09


@pytest.mark.slow
@pytest.mark.parametrize("count", [20, 40])
@pytest.mark.parametrize("noise", [0.05, 0.01])
@pytest.mark.parametrize("trend", TRENDS)
def test_smooth_trends_alone_are_taken_for_tracking_in_5_percent_at_most(trend, noise, count):
    # The seed swap alone is false in 6 of its 120 pairings; 3,000 sweeps: standard error .004.
    assert tracking_share(10, 3000, count, trend, noise=noise) <= 0.05 + 2 * 0.004


@pytest.mark.slow
@pytest.mark.parametrize("trend", TRENDS)
@pytest.mark.parametrize(("count", "least", "most"), [(20, 0.58, 0.74), (40, 0.80, 0.96)])
def test_a_true_half_is_found_about_as_often_as_documented(trend, count, least, most):
    # Documented for 5 seeds: .58 to .68 with 20 evaluations, .89 to .96 with 40. It depends on how
    # much trainings truly differ: with no spread .78 and .99, with 0.25 on z .60 and .80.
    share = tracking_share(6, 1500, count, trend, link=0.5, spread=0.2)
    assert least <= share <= most


@pytest.mark.parametrize("trend", TRENDS)
def test_a_strong_link_beyond_time_is_found(trend):
    assert tracking_share(7, 100, 40, trend, link=0.8) >= 0.99
    assert tracking_share(7, 100, 40, trend, link=-0.8) == 0


def test_an_opposite_link_is_said_to_mislead():
    words = verdicts(*simulated(8, 100, 40, "decay", link=-0.8))
    assert words.count("misleads") >= 98
