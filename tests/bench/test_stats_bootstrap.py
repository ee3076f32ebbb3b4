import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated import simulated

from bench.stats import fisher_interval
from bench.stats.bootstrap import (
    DRAWS,
    REPLICATES,
    _blocks,
    _drawn,
    block_length,
    bootstrap_adjusted,
    bootstrap_raw,
)
from bench.stats.rank import ranks, spearman_rows, time_adjusted_rows


def runs_of(seed=0, seeds=5, count=25, **world):
    losses, qualities, steps = simulated(seed, 1, count, "decay", seeds=seeds, **world)
    return [(a, b, steps) for a, b in zip(losses[0], qualities[0], strict=True)]


def test_the_centre_is_the_primary_interval_s_own():
    runs = runs_of(link=0.5)
    losses, qualities = (np.stack([run[side] for run in runs]) for side in (0, 1))
    raw = fisher_interval(spearman_rows(losses, qualities).tolist())
    adjusted = fisher_interval(time_adjusted_rows(losses, qualities, runs[0][2]).tolist())
    assert (bootstrap_raw(runs).center, bootstrap_raw(runs).n) == (raw.center, raw.n)
    assert bootstrap_adjusted(runs).center == adjusted.center
    assert bootstrap_adjusted(runs).low < adjusted.center < bootstrap_adjusted(runs).high


def test_the_interval_is_the_same_every_time():
    assert bootstrap_adjusted(runs_of()) == bootstrap_adjusted(runs_of())


@given(st.permutations(range(7)))
@settings(max_examples=10, deadline=None)
def test_permuting_the_seeds_changes_nothing_bit_for_bit(order):
    runs = runs_of(seeds=7, link=0.3)
    turned = [runs[place] for place in order]
    assert bootstrap_raw(turned) == bootstrap_raw(runs)
    assert bootstrap_adjusted(turned) == bootstrap_adjusted(runs)


def test_a_monotone_transform_of_the_loss_changes_nothing():
    runs = runs_of(link=0.3)
    stretched = [(np.exp(5 * loss), quality, steps) for loss, quality, steps in runs]
    assert bootstrap_raw(stretched) == bootstrap_raw(runs)
    assert bootstrap_adjusted(stretched) == bootstrap_adjusted(runs)


def test_a_draw_is_a_correlation_of_the_evaluations_drawn():
    """Oracle: the evaluations of the drawn blocks written out, Pearson's r by numpy."""
    loss, quality, _ = runs_of(link=0.5, count=27)[0]
    a, b = ranks(loss), ranks(quality)
    count, length = len(a), block_length(len(a))
    found = _drawn(a, b)
    shares = _blocks(count)
    assert shares.shape == (count, DRAWS)
    np.testing.assert_allclose(shares.sum(axis=0), 1)
    blocks = math.ceil(count / length)
    for draw in range(20):
        times = np.rint(shares[:, draw] * blocks).astype(int)
        starts = np.repeat(np.arange(count), times)
        places = (starts[:, None] + np.arange(length)).ravel() % count
        r = np.corrcoef(a[places], b[places])[0, 1]
        assert found[draw] == pytest.approx(math.atanh(np.clip(r, -0.99, 0.99)), abs=1e-9)


@pytest.mark.parametrize(("count", "length"), [(5, 2), (8, 2), (20, 3), (27, 3), (40, 4), (100, 5)])
def test_blocks_are_as_long_as_the_cube_root(count, length):
    assert block_length(count) == length


def test_with_equal_seeds_only_the_evaluations_spread_it():
    one = runs_of(link=0.5)[0]
    equal = bootstrap_raw([one] * 5)
    z = _drawn(ranks(one[0]), ranks(one[1]))
    expected = z.std() / math.sqrt(5)
    width = math.atanh(equal.high) - math.atanh(equal.low)
    assert width == pytest.approx(2 * 1.96 * expected, rel=0.1)


def test_with_evaluations_that_agree_wholly_only_the_seeds_spread_it():
    """z is +-atanh .99 for each seed, so that the mean is a binomial one."""
    steps = np.arange(25.0)
    up, down = (steps, steps, steps), (steps, -steps, steps)
    interval = bootstrap_raw([up, up, up, up, down])
    most = math.atanh(0.99)
    assert interval.high == pytest.approx(0.99, abs=1e-9)
    # Of five draws with a fifth for the other: 2.5 % lie at 3 or more of them.
    assert math.atanh(interval.low) == pytest.approx(most * (2 - 3) / 5, abs=1e-9)


def test_diverged_seeds_count_as_minus_one():
    runs = runs_of(link=0.8)
    with_lost = bootstrap_raw(runs, diverged=2)
    values = spearman_rows(*(np.stack([run[side] for run in runs]) for side in (0, 1)))
    assert with_lost.center == fisher_interval([*values.tolist(), -1, -1]).center
    assert with_lost.n == 7
    assert with_lost.low < bootstrap_raw(runs).low


def test_one_seed_none_and_constant_ones_have_no_interval():
    one = runs_of(link=0.5)[:1]
    assert not bootstrap_raw(one).known
    assert bootstrap_raw([]).n == 0
    loss, quality, steps = one[0]
    constant = (np.full_like(loss, 0.5), quality, steps)
    assert bootstrap_raw([constant] * 3).n == 0
    assert bootstrap_raw([constant, *runs_of(link=0.5)]).n == 5


def test_few_evaluations_are_not_adjusted_for_time():
    short = [(loss[:15], quality[:15], steps[:15]) for loss, quality, steps in runs_of()]
    assert bootstrap_adjusted(short).n == 0
    assert bootstrap_raw(short).known
    assert REPLICATES >= 2000
