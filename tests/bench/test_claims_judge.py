"""Verdicts over a family: Holm's adjustment, missing data, and what is computed without chance."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from bench.claims import claim as claims_module
from bench.claims.claim import Claim
from bench.claims.evidence import NO_DATA, REFUTED, SUPPORTED, UNDECIDED, Evidence
from bench.claims.judge import judge
from bench.claims.observations import Missing, Observations

SEEN = dict.fromkeys(("a", "b", "c", *(f"c{index}" for index in range(19))), Observations([]))
SURE = (1.0, 1.1, 0.9, 1.0, 1.2, 0.8, 1.0, 1.1, 0.9, 1.0)
FAIR = (1.0, 1.1, 0.9, 1.0, 1.2, 0.8, 1.0, 1.1, 0.9, -0.4)  # p = 4 / 1024 by hand


@pytest.fixture(autouse=True)
def _no_claim_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims_module, "CLAIMS", {})


def claim(
    name: str, values: Sequence[float], family: str = "penalty", sweep: str = "s", **more: object
) -> Claim:
    def test(_: Observations) -> list[Evidence]:
        return [Evidence("x", tuple(values), "above", 0.1, **more)]  # type: ignore[arg-type]

    return Claim(name, family, "X is above 0.", "here", "nobody", sweep, test)


def lacking(name: str) -> Claim:
    def test(_: Observations) -> list[Evidence]:
        raise Missing("no run has loss hinge")

    return Claim(name, "penalty", "X.", "here", "nobody", "s", test)


def test_one_claim_alone_needs_no_adjustment() -> None:
    (found,) = judge([claim("a", SURE)], SEEN)
    assert (found.word, found.p, found.p_holm) == (SUPPORTED, 2 / 1024, 2 / 1024)
    assert found.seeds == 10


def test_holm_takes_back_what_one_family_says_too_often() -> None:
    """A p of .0039 is enough alone, and not as one of twenty of which the others say nothing."""
    (alone,) = judge([claim("a", FAIR)], SEEN)
    assert alone.word == SUPPORTED
    zeros = (1.0, -1.0) * 5
    many = judge(
        [claim("b", FAIR)] + [claim(f"c{index}", zeros) for index in range(19)],
        SEEN,
    )
    assert many[0].p == alone.p == 4 / 1024
    assert many[0].p_holm == pytest.approx(20 * 4 / 1024)
    assert many[0].p_holm > 0.05
    assert many[0].word == UNDECIDED
    assert many[0].why == "supported by itself, but not after Holm's adjustment over its family"


def test_families_are_adjusted_apart() -> None:
    zeros = (1.0, -1.0) * 5
    others = [claim(f"c{index}", zeros, family="coverage") for index in range(9)]
    found = judge([claim("b", FAIR), *others], SEEN)
    assert found[0].p_holm == found[0].p
    assert found[0].word == SUPPORTED


def test_a_claim_without_data_says_what_is_missing_and_counts_in_its_family() -> None:
    found = judge(
        [claim("a", SURE), lacking("b"), claim("d", SURE, sweep="not_run")],
        SEEN,
    )
    assert [item.word for item in found] == [SUPPORTED, NO_DATA, NO_DATA]
    assert found[1].why == "no run has loss hinge"
    assert found[2].why == "the sweep not_run has not been run"
    assert found[0].p_holm == pytest.approx(3 * 2 / 1024)
    assert math.isnan(found[1].p_holm)


def test_what_is_computed_without_chance_needs_no_p_and_takes_none_from_others() -> None:
    exact = claim("a", (0.5, 0.7), sweep="", exact=True)
    wrong = claim("b", (-0.5, -0.7), sweep="", exact=True)
    found = judge([exact, wrong, claim("c", SURE)], SEEN)
    assert [item.word for item in found] == [SUPPORTED, REFUTED, SUPPORTED]
    assert math.isnan(found[0].p_holm)
    assert found[2].p_holm == 2 / 1024


def test_undecided_says_why() -> None:
    (found,) = judge([claim("a", (3.0, -2.5) * 5)], SEEN)
    assert found.word == UNDECIDED
    assert found.why == "the interval lies on neither side wholly"


def test_a_family_that_is_not_there_and_a_name_that_is_taken_are_refused() -> None:
    with pytest.raises(ValueError, match="family 'fun' is none of"):
        claim("a", SURE, family="fun")
    claim("a", SURE)
    with pytest.raises(ValueError, match="two claims are named 'a'"):
        claim("a", SURE)
