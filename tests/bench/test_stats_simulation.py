"""The simulations behind the rules, smaller than those that the rules were made from."""

import math

import numpy as np
import pytest

from bench.stats import fisher_interval, spearman, time_adjusted

SEEDS, NOISE = 5, 0.15


def trends(name, count):
    """A trend of the loss and one of the quality over training, each from 0 to 1."""
    time = np.linspace(0, 1, count)
    decay, u_shaped = np.exp(-4 * time), 4 * (time - 0.5) ** 2
    return {
        "linear": (1 - time, 1 - time),
        "decay": (decay, decay),
        "u_shaped": (u_shaped, u_shaped),
        "decay_against_u": (decay, u_shaped),
    }[name]


def shown(name, count, repetitions, figure):
    """How often a 95 % lower bound lies above 0 where nothing but a trend is shared."""
    draw = np.random.default_rng(7)
    steps = np.arange(count) * 100.0
    first, second = trends(name, count)
    hits = 0
    for _ in range(repetitions):
        noise = NOISE * draw.normal(size=(2, SEEDS, count))
        found = (
            figure(first + noise[0, seed], second + noise[1, seed], steps) for seed in range(SEEDS)
        )
        hits += fisher_interval(found).above(0)
    return hits / repetitions


def raw(loss, quality, steps):
    return spearman(loss, quality)


def test_a_common_u_shape_fools_the_raw_figure_and_not_the_adjusted_one():
    assert shown("u_shaped", 20, 20, raw) == 1
    assert shown("u_shaped", 20, 200, time_adjusted) <= 0.07


@pytest.mark.slow
@pytest.mark.parametrize("count", [20, 40])
@pytest.mark.parametrize("name", ["linear", "decay", "u_shaped", "decay_against_u"])
def test_no_trend_alone_is_taken_for_tracking(name, count):
    assert shown(name, count, 1500, time_adjusted) <= 0.05


def coverage(repetitions, count):
    """How often the interval over 5 seeds holds tanh(E z)."""
    draw = np.random.default_rng(11)
    steps = np.arange(count) * 100.0
    trend, _ = trends("decay", count)

    def run():
        link = math.tanh(0.6 + 0.3 * draw.normal())
        shared, own = draw.normal(size=(2, count))
        other = link * shared + math.sqrt(1 - link**2) * own
        return time_adjusted(trend + NOISE * shared, trend + NOISE * other, steps)

    estimand = fisher_interval(run() for _ in range(5 * repetitions)).center
    intervals = (fisher_interval(run() for _ in range(SEEDS)) for _ in range(repetitions))
    return np.mean([interval.low <= estimand <= interval.high for interval in intervals])


def test_the_interval_over_five_seeds_covers_what_it_promises():
    assert 0.90 <= coverage(200, 20) <= 0.99


@pytest.mark.slow
@pytest.mark.parametrize("count", [20, 40])
def test_the_interval_covers_95_percent(count):
    assert 0.93 <= coverage(2000, count) <= 0.97


def test_a_true_link_beyond_time_is_found():
    draw = np.random.default_rng(5)
    count = 40
    steps = np.arange(count) * 50.0
    trend, _ = trends("decay", count)
    hits = 0
    for _ in range(60):
        shared, own = NOISE * draw.normal(size=(2, SEEDS, count))
        found = (
            time_adjusted(trend + shared[seed], trend + 0.8 * shared[seed] + 0.6 * own[seed], steps)
            for seed in range(SEEDS)
        )
        hits += fisher_interval(found).above(0)
    assert hits >= 58
