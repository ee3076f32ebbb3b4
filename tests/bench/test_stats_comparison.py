import math

import numpy as np
import pandas as pd
import pytest
from comparison_frames import DIVERGED, outcome_frame
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.stats.comparison import (
    MOST_SETTINGS,
    all_pairs,
    compare,
    default_baseline,
    least_p,
    log_ratio_interval,
    pairs_needed,
    pairs_with_baseline,
    probability_of_improvement,
)
from bench.stats.paired import holm, sign_flip


def pair(first, second):
    (found,) = compare(outcome_frame({"b": second, "a": first}), [("a", "b")])
    return found


def test_paired_differences_are_scipys_one_sample_t():
    draw = np.random.default_rng(0)
    first, second = draw.lognormal(3, 0.3, (2, 8))
    found = pair(first, second)
    expected = stats.ttest_1samp(first - second, 0).confidence_interval()
    assert (found.difference.low, found.difference.high) == pytest.approx(
        (expected.low, expected.high)
    )
    logs = stats.ttest_1samp(np.log(first / second), 0).confidence_interval()
    assert (found.ratio.low, found.ratio.high) == pytest.approx(np.exp([logs.low, logs.high]))
    assert found.ratio.center == pytest.approx(stats.gmean(first / second))
    assert found.p == sign_flip(first - second)
    assert found.difference.n == found.ratio.n == 8


def test_what_seeds_share_falls_out_of_paired_differences():
    draw = np.random.default_rng(0)
    shared, own = draw.normal(0, 10, 8), draw.normal(0, 0.1, 8)
    found = pair(100 + shared + own, 102 + shared)
    assert found.difference.high < -1.8
    assert found.p == pytest.approx(2 / 2**8)


def test_only_common_seeds_with_two_final_models_are_paired():
    found = pair([10.0, DIVERGED, 12.0, None, 14.0], [20.0, 21.0, DIVERGED, 23.0])
    assert found.difference.n == 1
    assert found.difference.center == pytest.approx(-10)
    assert found.lost_pairs == 2
    assert found.diverged == (1, 1)


def test_a_run_that_has_not_ended_is_no_lost_pair():
    assert pair([DIVERGED, DIVERGED], [None, DIVERGED]).lost_pairs == 1


def test_diverged_runs_count_as_worst_in_the_second_probability():
    found = pair([1.0, 2.0, DIVERGED], [3.0, 4.0, DIVERGED])
    assert found.improvement.center == 1
    # Of 9 pairs 6 are won, 2 lost, and both diverged in one.
    assert found.improvement_with_diverged.center == pytest.approx(6.5 / 9)
    same = pair([1.0, 2.0], [3.0, 1.5])
    assert same.improvement == same.improvement_with_diverged


@given(st.integers(0, 10_000), st.integers(1, 15), st.integers(1, 15))
def test_the_probability_of_improvement_is_mann_whitneys_u(seed, one, other):
    draw = np.random.default_rng(seed)
    first, second = draw.integers(0, 6, one), draw.integers(0, 6, other)
    u = stats.mannwhitneyu(second, first).statistic
    found = probability_of_improvement(first, second)
    assert found.center == pytest.approx(u / (one * other), abs=1e-12)


def test_the_improvements_interval_comes_from_ten_runs_of_each():
    values = np.arange(10.0)
    assert probability_of_improvement(values, values + 0.5).known
    assert not probability_of_improvement(values[:9], values + 0.5).known
    assert not probability_of_improvement(values, values[:9] + 0.5).known


def test_where_all_pairs_agree_the_probability_has_no_interval():
    values = np.arange(10.0)
    certain = probability_of_improvement(values, values + 100)
    assert certain.center == 1
    assert not certain.known


def test_the_improvements_bootstrap_is_that_of_explicit_resamples():
    draw = np.random.default_rng(5)
    first, second = draw.normal(0, 1, 12), draw.normal(0.7, 1, 15)
    found = probability_of_improvement(first, second)
    drawn = [
        np.less.outer(draw.choice(first, 12), draw.choice(second, 15)).mean() for _ in range(20_000)
    ]
    assert found.low == pytest.approx(np.quantile(drawn, 0.025), abs=0.015)
    assert found.high == pytest.approx(np.quantile(drawn, 0.975), abs=0.015)


@pytest.mark.parametrize("bad", [0.0, -1.0])
def test_a_ratio_needs_positive_values(bad):
    found = pair([bad, 2.0, 3.0], [2.0, 3.0, 4.5])
    assert found.difference.known
    assert found.ratio.n == 0
    assert math.isnan(found.ratio.center)


def test_a_ratio_of_wild_seeds_overflows_to_no_error():
    ratio = log_ratio_interval([1e-300, 1e300], [1e300, 1e-300])
    assert math.isfinite(ratio.high)


def test_p_values_are_adjusted_over_all_comparisons_made():
    draw = np.random.default_rng(2)
    frame = outcome_frame(
        {name: draw.lognormal(3 - shift, 0.1, 8) for shift, name in enumerate("abcd")}
    )
    found = compare(frame, all_pairs(list("abcd")))
    assert len(found) == 6
    assert [one.p_holm for one in found] == holm([one.p for one in found])
    assert all(one.p_holm > one.p for one in found)


def test_a_setting_without_final_models_counts_in_the_family_and_gives_no_number():
    frame = outcome_frame({"a": [1.0, 2.0, 3.0], "b": [DIVERGED] * 3, "c": [2.0, 3.0, 4.0]})
    found = {one.first: one for one in compare(frame, pairs_with_baseline(list("abc"), "a"))}
    assert math.isnan(found["b"].p)
    assert math.isnan(found["b"].difference.center)
    assert found["b"].lost_pairs == 3
    assert found["c"].p == 0.25
    assert found["c"].p_holm == 0.5


def test_the_baseline_is_the_first_that_has_a_final_model():
    frame = outcome_frame({"z": [DIVERGED], "m": [5.0], "a": [1.0]})
    assert default_baseline(frame) == "m"
    assert default_baseline(outcome_frame({"z": [DIVERGED]})) is None


def test_many_settings_are_compared_with_the_baseline_only():
    few = [f"s{number}" for number in range(MOST_SETTINGS)]
    pairs = all_pairs(few)
    assert len({frozenset(pair) for pair in pairs}) == len(pairs) == math.comb(MOST_SETTINGS, 2)
    assert all(few.index(first) > few.index(second) for first, second in pairs)
    assert all_pairs([*few, "more"]) == []
    against = pairs_with_baseline([*few, "more"], "s3")
    assert len(against) == MOST_SETTINGS
    assert {second for _, second in against} == {"s3"}


def test_the_pairs_needed_are_those_that_let_p_reach_the_level():
    for family in (1, 6, 66):
        pairs = pairs_needed(family)
        smallest = sign_flip(np.arange(1.0, pairs + 1))
        assert smallest == least_p(pairs)
        assert holm([smallest] + [1.0] * (family - 1))[0] <= 0.05
        assert family * least_p(pairs - 1) > 0.05


@given(st.permutations(range(10)))
def test_the_order_of_seeds_changes_no_bit(order):
    draw = np.random.default_rng(4)
    frame = outcome_frame({"a": draw.lognormal(3, 1, 10), "b": draw.lognormal(3, 1, 10)})
    seeds = pd.Series(order)
    shuffled = frame.iloc[[*order, *(10 + place for place in order)]]
    renamed = frame.assign(seed=frame["seed"].map(seeds))
    pairs = [("a", "b")]
    assert compare(shuffled, pairs) == compare(renamed, pairs) == compare(frame, pairs)


@given(st.floats(1e-3, 1e3))
def test_scaled_quality_scales_differences_and_moves_nothing_else(scale):
    draw = np.random.default_rng(4)
    frame = outcome_frame({"a": draw.lognormal(3, 1, 10), "b": draw.lognormal(3, 1, 10)})
    (plain,) = compare(frame, [("a", "b")])
    (scaled,) = compare(frame.assign(final=frame["final"] * scale), [("a", "b")])
    assert scaled.difference.center == pytest.approx(scale * plain.difference.center, rel=1e-9)
    assert scaled.ratio.high == pytest.approx(plain.ratio.high, rel=1e-9)
    assert scaled.p == plain.p
    assert scaled.improvement == plain.improvement


@pytest.mark.slow
@pytest.mark.parametrize(("shared", "low", "high"), [(0.0, 0.92, 0.97), (0.5, 0.95, 1.0)])
@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_the_improvements_interval_covers_at_ten_runs(shared, low, high, shift):
    # Where equal seeds make both sides alike, it covers more than it promises.
    draw, hits, repetitions = np.random.default_rng(1), 0, 2000
    truth = stats.norm.cdf(shift / math.sqrt(2))
    for _ in range(repetitions):
        common = math.sqrt(shared) * draw.normal(size=10)
        first, second = common + math.sqrt(1 - shared) * draw.normal(size=(2, 10))
        found = probability_of_improvement(first - shift, second)
        hits += found.low <= truth <= found.high if found.known else 0
    assert low <= hits / repetitions <= high
