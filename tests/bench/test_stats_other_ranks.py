import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.stats.other_ranks import difference_rows, kendall_rows, partial_rows
from bench.stats.rank import spearman_rows, time_adjusted, time_adjusted_rows


def rows(least, most=30):
    """Two tables of three runs with many ties."""

    def tables(count):
        row = st.lists(st.integers(-4, 4).map(float), min_size=count, max_size=count)
        table = st.lists(row, min_size=3, max_size=3).map(np.array)
        return st.tuples(table, table)

    return st.integers(least, most).flatmap(tables)


def same(found, expected):
    """Equal, NaN where scipy has none."""
    assert found == pytest.approx(expected, abs=1e-10, nan_ok=True)


def quietly(figure, a, b):
    return figure(a, b).statistic if np.ptp(a) > 0 and np.ptp(b) > 0 else np.nan


@given(rows(5))
@settings(max_examples=60, deadline=None)
def test_kendalls_tau_is_scipys(tables):
    first, second = tables
    expected = [quietly(scipy.stats.kendalltau, a, b) for a, b in zip(first, second, strict=True)]
    same(kendall_rows(first, second), expected)


@given(rows(6))
@settings(max_examples=60, deadline=None)
def test_the_correlation_of_differences_of_ranks_is_scipys(tables):
    first, second = tables
    expected = [
        quietly(
            scipy.stats.pearsonr,
            np.diff(scipy.stats.rankdata(a)),
            np.diff(scipy.stats.rankdata(b)),
        )
        for a, b in zip(first, second, strict=True)
    ]
    same(difference_rows(first, second), expected)


@given(rows(5))
@settings(max_examples=60, deadline=None)
def test_the_partial_correlation_is_the_textbooks(tables):
    """(r_ab - r_as r_bs) / sqrt((1 - r_as^2)(1 - r_bs^2)), each r a Spearman of scipy's."""
    first, second = tables
    steps = np.cumsum(np.arange(1.0, first.shape[1] + 1))
    found = partial_rows(first, second, steps)
    for a, b, value in zip(first, second, found, strict=True):
        ab, as_, bs = (
            quietly(scipy.stats.spearmanr, x, y) for x, y in ((a, b), (a, steps), (b, steps))
        )
        left = (1 - as_**2) * (1 - bs**2)
        if np.isfinite(value):
            assert value == pytest.approx((ab - as_ * bs) / np.sqrt(left), abs=1e-8)
        else:
            assert np.isnan(left) or left < 1e-12


@given(st.integers(0, 10**6), st.integers(20, 40))
@settings(max_examples=30, deadline=None)
def test_many_runs_at_once_give_each_its_own_figure_bit_for_bit(seed, count):
    draw = np.random.default_rng(seed)
    steps = np.cumsum(draw.integers(1, 500, count)).astype(float)
    first, second = draw.normal(size=(2, 7, count))
    together = time_adjusted_rows(first, second, steps)
    assert together.tolist() == [
        time_adjusted(a, b, steps) for a, b in zip(first, second, strict=True)
    ]
    order = draw.permutation(7)
    assert time_adjusted_rows(first[order], second[order], steps).tolist() == (
        together[order].tolist()
    )
    expected = [scipy.stats.spearmanr(a, b).statistic for a, b in zip(first, second, strict=True)]
    assert spearman_rows(first, second) == pytest.approx(expected, abs=1e-12)


@given(st.integers(0, 10**6), st.integers(20, 60))
@settings(max_examples=30, deadline=None)
def test_the_time_adjustment_is_least_squares_on_a_vandermonde(seed, count):
    draw = np.random.default_rng(seed)
    steps = np.cumsum(draw.integers(1, 500, count)).astype(float)
    loss, quality = draw.integers(0, 15, size=(2, count)).astype(float)
    design = np.vander((steps - steps.min()) / np.ptp(steps), 6)

    def left(values):
        ranked = scipy.stats.rankdata(values)
        return ranked - design @ np.linalg.lstsq(design, ranked, rcond=None)[0]

    expected = scipy.stats.pearsonr(left(loss), left(quality)).statistic
    assert time_adjusted(loss, quality, steps) == pytest.approx(expected, abs=1e-8)


@given(rows(21))
@settings(max_examples=30, deadline=None)
def test_a_monotone_transform_moves_none_of_them(tables):
    first, second = tables
    steps = np.arange(first.shape[1]) * 100.0
    stretched = np.exp(first / 2) - 5
    for figure in (
        spearman_rows,
        kendall_rows,
        difference_rows,
        lambda a, b: partial_rows(a, b, steps),
        lambda a, b: time_adjusted_rows(a, b, steps),
    ):
        np.testing.assert_array_equal(figure(stretched, second), figure(first, second))


def test_a_constant_row_has_no_figure_and_leaves_the_others_theirs():
    draw = np.random.default_rng(0)
    first, second = draw.normal(size=(2, 3, 25))
    first[1] = 0.5
    steps = np.arange(25.0)
    for figure in (
        spearman_rows,
        kendall_rows,
        difference_rows,
        lambda a, b: partial_rows(a, b, steps),
        lambda a, b: time_adjusted_rows(a, b, steps),
    ):
        assert np.isnan(figure(first, second)).tolist() == [False, True, False]


@pytest.mark.parametrize("count", [1, 2, 4])
def test_fewer_than_five_evaluations_have_no_figure(count):
    first, second = np.random.default_rng(0).normal(size=(2, 2, count))
    assert np.isnan(kendall_rows(first, second)).all()
    assert np.isnan(difference_rows(first, second)).all()
    assert np.isnan(partial_rows(first, second, np.arange(count))).all()


def test_kendalls_tau_of_many_long_runs_is_made_in_parts(monkeypatch):
    first, second = np.random.default_rng(0).normal(size=(2, 9, 30))
    whole = kendall_rows(first, second)
    monkeypatch.setattr("bench.stats.other_ranks._MOST_PAIRS", 1000)
    np.testing.assert_array_equal(kendall_rows(first, second), whole)
