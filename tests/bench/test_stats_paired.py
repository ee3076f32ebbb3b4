"""Sign flips against scipy's permutation test, Holm against a worked example."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.stats.paired import Alternative, holm, sign_flip

FINITE = st.floats(-1e6, 1e6, allow_subnormal=False).map(lambda value: round(value, 3))


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
@pytest.mark.parametrize("count", [2, 3, 5, 9])
def test_sign_flips_are_scipys_exact_permutation_test(count: int, alternative: Alternative) -> None:
    values = np.random.default_rng(count).normal(0.4, 1, count)
    expected = stats.permutation_test(
        (values,),
        np.sum,
        permutation_type="samples",
        n_resamples=np.inf,
        alternative=alternative,
    ).pvalue
    assert sign_flip(values, alternative) == pytest.approx(expected, abs=1e-12)


def test_ten_equal_signs_are_the_least_that_ten_pairs_can_give() -> None:
    assert sign_flip([1.0] * 10) == 2 / 2**10
    assert sign_flip([1.0] * 10, "greater") == 1 / 2**10
    assert sign_flip([1.0] * 10, "less") == 1.0
    assert sign_flip([1.0] * 5) == 0.0625


def test_no_difference_is_no_evidence_and_no_data_no_number() -> None:
    assert sign_flip([0.0] * 8) == 1.0
    assert math.isnan(sign_flip([]))
    with pytest.raises(ValueError, match="non-finite"):
        sign_flip([1.0, math.nan])


def test_a_sample_of_signs_comes_near_the_exact_value() -> None:
    values = np.random.default_rng(3).normal(0.35, 1, 30)
    near_normal = 2 * stats.norm.sf(abs(values.sum()) / np.sqrt((values**2).sum()))
    # 10,000 draws: a standard error of .0022 at p = .05.
    assert sign_flip(values) == pytest.approx(near_normal, abs=0.01)
    assert sign_flip([1.0] * 40) == 1 / 10_001


@given(st.lists(FINITE, min_size=1, max_size=8), st.randoms())
def test_the_order_of_seeds_changes_nothing(values: list[float], random: object) -> None:
    shuffled = sorted(values, key=lambda _: random.random())  # type: ignore[attr-defined]
    assert sign_flip(values) == sign_flip(shuffled)
    assert sign_flip(values) == sign_flip([-value for value in values])
    assert sign_flip(values, "greater") == sign_flip([-value for value in values], "less")


def test_under_the_null_five_percent_are_below_five_percent() -> None:
    draws = np.random.default_rng(7).normal(0, 1, (2000, 10))
    share = np.mean([sign_flip(row) <= 0.05 for row in draws])
    assert 0.035 < share < 0.065  # exact level 50/1024; standard error .005


def test_holm_on_a_worked_example() -> None:
    """By hand: .005 x 4, .01 x 3, .03 x 2, .04 x 1 raised to its forerunner's .06."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02], abs=1e-15)


def test_holm_never_exceeds_one_and_keeps_ties() -> None:
    assert holm([0.5, 0.5, 0.5]) == [1.0, 1.0, 1.0]
    assert holm([]) == []
    assert holm([0.02]) == [0.02]


def test_a_test_that_could_not_be_made_makes_no_other_easier() -> None:
    adjusted = holm([0.01, math.nan, 0.02])
    assert adjusted[0] == pytest.approx(0.03)
    assert adjusted[2] == pytest.approx(0.04)
    assert math.isnan(adjusted[1])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=10))
def test_holm_lies_between_no_adjustment_and_bonferroni(values: list[float]) -> None:
    for before, after in zip(values, holm(values), strict=True):
        assert before <= after <= min(1.0, len(values) * before) + 1e-15
