import math
import tracemalloc

import numpy as np
import pytest
import scipy.stats
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bench.stats import seed_swap, spearman, step_share, time_adjusted
from bench.stats.rank import SAMPLED_PAIRINGS, ranks

values = st.lists(st.integers(-50, 50).map(float), min_size=5, max_size=30)


def pairs(least):
    """Two vectors of one length, with ties, neither of them constant."""
    both = st.lists(
        st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=least, max_size=least + 15
    ).map(lambda rows: np.array(rows, dtype=float).T)
    return both.filter(lambda rows: np.ptp(rows[0]) > 0 and np.ptp(rows[1]) > 0)


def adjusted_by_regression(loss, quality, steps):
    """The time adjustment written out: a plain least-squares fit of the ranks on 1, s, ..., s^5."""
    scaled = (steps - steps.mean()) / np.ptp(steps)
    design = np.stack([scaled**power for power in range(6)], axis=1)

    def left(values):
        ranked = scipy.stats.rankdata(values)
        return ranked - design @ np.linalg.lstsq(design, ranked, rcond=None)[0]

    return scipy.stats.pearsonr(left(loss), left(quality)).statistic


@given(pairs(5))
@settings(max_examples=50)
def test_spearman_is_scipys(rows):
    assert spearman(*rows) == pytest.approx(scipy.stats.spearmanr(*rows).statistic, abs=1e-12)


@given(values)
def test_ranks_are_scipys(row):
    np.testing.assert_array_equal(ranks(row), scipy.stats.rankdata(row))


@pytest.mark.parametrize("shape", [(0,), (1,), (7, 1), (3, 0), (40, 23), (4, 5, 11)])
@pytest.mark.parametrize("hole", [1.0, math.inf, -math.inf, math.nan])
def test_ranks_of_tables_are_scipys_row_by_row(shape, hole):
    table = np.random.default_rng(0).integers(-4, 5, shape).astype(float)
    table.flat[::17] = hole
    np.testing.assert_array_equal(ranks(table), scipy.stats.rankdata(table, axis=-1))


@given(st.integers(0, 10**6), st.integers(20, 40))
@settings(max_examples=50)
def test_the_time_adjustment_is_a_regression_of_the_ranks(seed, count):
    draw = np.random.default_rng(seed)
    steps = np.cumsum(draw.integers(1, 500, count)).astype(float)
    loss, quality = draw.normal(size=(2, count)) + np.exp(-steps / steps[-1])
    expected = adjusted_by_regression(loss, quality, steps)
    assert time_adjusted(loss, quality, steps) == pytest.approx(expected, abs=1e-9)


@given(pairs(20))
@settings(max_examples=40)
def test_a_monotone_transform_of_the_loss_changes_no_figure(rows):
    loss, quality = rows
    steps = np.arange(len(loss)) * 100.0
    stretched = np.exp(loss / 3) + 7
    assert spearman(stretched, quality) == spearman(loss, quality)
    np.testing.assert_equal(
        time_adjusted(stretched, quality, steps), time_adjusted(loss, quality, steps)
    )


@given(pairs(20))
@settings(max_examples=40)
def test_turning_the_loss_round_turns_the_sign(rows):
    loss, quality = rows
    assert spearman(-loss, quality) == pytest.approx(-spearman(loss, quality), abs=1e-12)


def test_loss_and_fid_that_fall_together_give_plus_one():
    falling = np.exp(-np.arange(25) / 5)
    assert spearman(3 * falling, 2000 * falling) == pytest.approx(1)
    assert spearman(-falling, 2000 * falling) == pytest.approx(-1)


def test_a_constant_side_has_no_correlation_rather_than_zero():
    varied = np.random.default_rng(0).normal(size=25)
    steps = np.arange(25.0)
    for loss, quality in ((np.ones(25), varied), (varied, np.full(25, 0.3))):
        assert math.isnan(spearman(loss, quality))
        assert math.isnan(time_adjusted(loss, quality, steps))
    assert math.isnan(step_share(np.ones(25), steps))


def test_what_the_step_explains_wholly_leaves_nothing_to_correlate():
    steps = np.arange(30) * 200.0
    noise = np.random.default_rng(0).normal(size=30)
    assert math.isnan(time_adjusted(-steps, noise, steps))
    assert math.isnan(time_adjusted(noise, np.exp(steps / 1000), steps))
    assert step_share(steps**3, steps) == pytest.approx(1)


@pytest.mark.parametrize(("count", "known"), [(19, False), (20, True)])
def test_the_time_adjustment_needs_twenty_evaluations(count, known):
    loss, quality = np.random.default_rng(0).normal(size=(2, count))
    assert math.isfinite(time_adjusted(loss, quality, np.arange(count))) is known


@pytest.mark.parametrize(("count", "known"), [(4, False), (5, True)])
def test_a_rank_correlation_needs_five_values(count, known):
    loss, quality = np.random.default_rng(0).normal(size=(2, count))
    assert math.isfinite(spearman(loss, quality)) is known


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="non-finite"):
        spearman([1.0, 2, 3, 4, math.nan], [1.0, 2, 3, 4, 5])
    with pytest.raises(ValueError, match="one length"):
        spearman([1.0, 2, 3, 4, 5], [1.0, 2, 3, 4])


def test_the_share_of_the_step_is_that_of_a_regression():
    draw = np.random.default_rng(3)
    steps = np.arange(26) * 80.0
    values = draw.normal(size=26) - steps / 700
    ranked = scipy.stats.rankdata(values)
    design = np.vander(steps / steps[-1], 6)
    left = ranked - design @ np.linalg.lstsq(design, ranked, rcond=None)[0]
    assert step_share(values, steps) == pytest.approx(1 - left.var() / ranked.var(), abs=1e-9)


def linked(seeds, link, count=25):
    """Per seed a loss and a quality that share a trend with all seeds and noise with each other."""
    draw = np.random.default_rng(1)
    trend = -np.linspace(0, 2, count)
    shared, own = draw.normal(size=(2, seeds, count))
    return list(trend + link * shared + (1 - link) * own), list(trend + shared)


def test_the_seed_swap_counts_the_pairings_that_do_as_well():
    losses, qualities = linked(3, 0.4)
    table = np.array([[scipy.stats.spearmanr(a, b).statistic for b in qualities] for a in losses])
    orders = [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]
    means = [np.mean([table[i, j] for i, j in enumerate(order)]) for order in orders]
    expected = np.mean(np.array(means) >= means[0] - 1e-12)
    assert seed_swap(losses, qualities) == pytest.approx(expected)


def test_the_seed_swap_finds_what_belongs_together():
    assert seed_swap(*linked(5, 0.9)) == pytest.approx(1 / 120)
    assert seed_swap(*linked(8, 0.9)) == pytest.approx(1 / 10_001, abs=3e-4)


def test_the_seed_swap_is_not_fooled_by_a_common_trend():
    assert seed_swap(*linked(5, 0.0)) > 0.1
    alone = np.exp(-np.arange(25) / 5)
    assert seed_swap([alone] * 5, [alone] * 5) == 1


def test_the_seed_swap_needs_two_seeds_and_varied_curves():
    losses, qualities = linked(3, 0.5)
    assert math.isnan(seed_swap(losses[:1], qualities[:1]))
    assert math.isnan(seed_swap([losses[0], np.ones(25)], qualities[:2]))


@given(st.permutations(range(4)))
@settings(max_examples=10)
def test_the_order_of_the_seeds_does_not_matter_to_the_seed_swap(order):
    losses, qualities = linked(4, 0.5)
    assume(list(order) != sorted(order))
    swapped = seed_swap([losses[i] for i in order], [qualities[i] for i in order])
    assert swapped == pytest.approx(seed_swap(losses, qualities))


def test_the_seed_swap_of_many_long_runs_fits_into_memory():
    draw = np.random.default_rng(0)
    losses = list(draw.normal(size=(150, 2000)))
    qualities = [loss + draw.normal(size=2000) for loss in losses]
    tracemalloc.start()
    try:
        assert seed_swap(losses, qualities) == pytest.approx(1 / (1 + SAMPLED_PAIRINGS), rel=1e-12)
        assert tracemalloc.get_traced_memory()[1] < 150e6  # all pairs at once take 1,800 MB
    finally:
        tracemalloc.stop()
