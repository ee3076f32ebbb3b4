"""The rules that turn numbers into verdicts, on numbers whose verdict is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.claims.evidence import (
    REFUTED,
    SUPPORTED,
    UNDECIDED,
    Claimed,
    Evidence,
    Finding,
    combine,
    find,
)

SMALL = [-0.01, 0.02, 0.0, 0.01, -0.02, 0.015, -0.005, 0.0, 0.01, -0.01]
WIDE = [-3.0, 2.0, 4.0, -1.0, 0.5, -2.5, 3.5, -4.0, 1.0, -0.5]


def evidence(
    values: list[float], claimed: Claimed, margin: float = 0.2, **more: object
) -> Evidence:
    return Evidence("x over y", tuple(values), claimed, margin, **more)  # type: ignore[arg-type]


def shifted(by: float) -> list[float]:
    return [value + by for value in SMALL]


@pytest.mark.parametrize(
    ("values", "claimed", "word"),
    [
        (shifted(1), "above", SUPPORTED),
        (shifted(-1), "above", REFUTED),
        (SMALL, "above", REFUTED),  # within the margin: none worth the name
        (shifted(0.1), "above", REFUTED),  # above 0 for sure, and yet within the margin
        (WIDE, "above", UNDECIDED),
        (shifted(-1), "below", SUPPORTED),
        (shifted(1), "below", REFUTED),
        (SMALL, "below", REFUTED),
        (WIDE, "below", UNDECIDED),
        (SMALL, "within", SUPPORTED),
        (shifted(1), "within", REFUTED),
        (shifted(-1), "within", REFUTED),
        (WIDE, "within", UNDECIDED),
        ([v / 4 + 0.2 for v in WIDE], "within", UNDECIDED),
        (shifted(1), "apart", SUPPORTED),
        (shifted(-1), "apart", SUPPORTED),
        (SMALL, "apart", REFUTED),
        (WIDE, "apart", UNDECIDED),
    ],
)
def test_each_verdict_is_given_where_it_is_known(
    values: list[float], claimed: Claimed, word: str
) -> None:
    found = find(evidence(values, claimed))
    assert found.word == word
    if word != UNDECIDED:
        assert found.p <= 0.05
        assert found.p == 2 * 2**-10  # all ten on one side


def test_nine_seeds_decide_nothing() -> None:
    found = find(evidence(shifted(1)[:9], "above"))
    assert found.word == UNDECIDED
    assert found.why == "9 of at least 10 seeds"
    assert find(evidence([], "above")).why == "no seed has a value"


def test_a_difference_smaller_than_the_margin_is_none_though_it_is_certain() -> None:
    values = shifted(0.1)
    assert find(evidence(values, "above", margin=0.05)).word == SUPPORTED
    assert find(evidence(values, "above", margin=0.2)).word == REFUTED


def test_seeds_that_diverged_count_for_the_side_that_lost() -> None:
    """Eight seeds say 'above'; two more whose other side diverged speak against it."""
    kept = shifted(1)[:8]
    against = find(evidence(kept, "above", lost=(0, 2)))
    assert against.word == UNDECIDED
    assert find(evidence(kept, "above", lost=(2, 0))).word == SUPPORTED
    # Ten that agree are not overturned by one, but no longer certain.
    ten = shifted(1)
    assert (
        find(evidence(ten, "above", lost=(0, 1))).word
        == find(evidence([*ten, -max(ten)], "above")).word
    )
    assert find(evidence([], "above", lost=(10, 0))).word == SUPPORTED
    assert find(evidence([], "above", lost=(0, 10))).word == REFUTED


def test_what_holds_only_without_the_diverged_is_undecided_and_says_so() -> None:
    found = find(evidence(shifted(1), "above", lost=(0, 8)))
    assert found.word == UNDECIDED
    assert found.why == "supported without the seeds that diverged, undecided with them"


def test_the_seed_swap_has_a_say_in_what_is_supported_only() -> None:
    assert find(evidence(shifted(1), "above", also=0.3)).word == UNDECIDED
    assert find(evidence(shifted(1), "above", also=0.3)).why == "the seed swap does not agree"
    assert find(evidence(shifted(1), "above", also=0.01)) == Finding(SUPPORTED, 0.01)
    assert find(evidence(shifted(-1), "above", also=0.3)).word == REFUTED


def test_what_is_computed_without_chance_is_judged_by_its_whole_extent() -> None:
    certain = find(evidence([0.3, 0.5], "above", exact=True))
    assert certain.word == SUPPORTED
    assert math.isnan(certain.p)
    assert find(evidence([-0.3, 0.5], "above", exact=True)).word == UNDECIDED
    assert find(evidence([1e-13, -1e-14], "within", margin=1e-9, exact=True)).word == SUPPORTED
    assert find(evidence([1e-3], "within", margin=1e-9, exact=True)).word == REFUTED


def test_numbers_are_read_on_their_own_scale() -> None:
    ratio = evidence([math.log(2)] * 10, "above", scale="ratio").read
    assert (ratio.center, ratio.low, ratio.high) == pytest.approx((2, 2, 2))
    r = evidence([math.atanh(0.5)] * 10, "above", scale="correlation").read
    assert r.center == pytest.approx(0.5)
    shifted_back = evidence([0.1] * 10, "above", against=3.0).read
    assert shifted_back.center == pytest.approx(3.1)


def test_all_parts_must_hold_and_one_can_refute() -> None:
    yes, maybe, no = Finding(SUPPORTED, 0.01), Finding(UNDECIDED, 0.4, "so"), Finding(REFUTED, 0.02)
    assert combine([yes, Finding(SUPPORTED, 0.03)]) == Finding(SUPPORTED, 0.03)
    assert combine([yes, maybe]) == Finding(UNDECIDED, 0.4, "so")
    assert combine([yes, no]) == Finding(REFUTED, 0.04)  # either might have refuted: times two
    assert combine([no, no, maybe]) == Finding(REFUTED, 0.06)


@given(
    st.lists(st.floats(-5, 5), min_size=10, max_size=12),
    st.sampled_from(["above", "below", "within", "apart"]),
    st.randoms(),
)
def test_the_order_of_seeds_changes_nothing(
    values: list[float], claimed: Claimed, random: object
) -> None:
    shuffled = sorted(values, key=lambda _: random.random())  # type: ignore[attr-defined]
    assert find(evidence(values, claimed)) == find(evidence(shuffled, claimed))


@given(st.lists(st.floats(-5, 5), min_size=10, max_size=12))
def test_a_claim_and_its_opposite_are_never_both_supported(values: list[float]) -> None:
    above, below = (find(evidence(values, side)).word for side in ("above", "below"))
    mirrored = find(evidence([-value for value in values], "below")).word
    assert above == mirrored
    assert (above, below).count(SUPPORTED) <= 1
    inside, outside = (find(evidence(values, side)).word for side in ("within", "apart"))
    assert {SUPPORTED: REFUTED, REFUTED: SUPPORTED, UNDECIDED: UNDECIDED}[inside] == outside


@pytest.mark.parametrize(
    ("claimed", "truth", "wrong"),
    [
        ("above", 0.0, SUPPORTED),
        ("below", 0.0, SUPPORTED),
        ("above", 0.5, REFUTED),  # at the margin itself a refutation is wrong
        ("within", 0.5, SUPPORTED),
        ("apart", 0.5, SUPPORTED),
    ],
)
def test_a_false_verdict_is_given_at_most_once_in_forty(
    claimed: Claimed, truth: float, wrong: str
) -> None:
    """2.5 % each, by simulation at 10 seeds; the standard error of 2,000 repetitions is .0035."""
    draws = np.random.default_rng(11).normal(truth, 0.4, (2000, 10))
    words = [find(evidence(list(row), claimed, margin=0.5)).word for row in draws]
    assert np.mean([word == wrong for word in words]) <= 0.025 + 3 * 0.0035


def test_a_margin_of_nothing_and_values_that_are_no_numbers_are_our_own_mistakes() -> None:
    with pytest.raises(ValueError, match="margin"):
        evidence(SMALL, "above", margin=0.0)
    with pytest.raises(ValueError, match="non-finite"):
        evidence([math.nan], "above")
