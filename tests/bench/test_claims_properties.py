"""Properties of divergences: what mathematics knows comes out, a wrong distance is found out."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.claims import Observations, all_claims
from bench.claims import divergences as known
from bench.claims.declared.divergences_trained import expected_slope
from bench.claims.evidence import REFUTED, SUPPORTED, combine, find
from bench.claims.properties import asymmetry, bounded, detour, growth, jump, slope

PROVEN = {
    "js_is_symmetric": SUPPORTED,
    "js_is_bounded": SUPPORTED,
    "js_is_continuous": REFUTED,
    "js_has_a_triangle_inequality": REFUTED,
    "root_js_has_a_triangle_inequality": SUPPORTED,
    "kl_is_symmetric": REFUTED,
    "kl_is_bounded": REFUTED,
    "kl_is_continuous": REFUTED,
    "kl_has_a_triangle_inequality": REFUTED,
    "w1_is_symmetric": SUPPORTED,
    "w1_is_bounded": REFUTED,
    "w1_is_continuous": SUPPORTED,
    "w1_has_a_triangle_inequality": SUPPORTED,
    "js_is_flat_on_disjoint_supports": SUPPORTED,
    "w1_slopes_to_the_data_on_disjoint_supports": SUPPORTED,
    "best_discriminator_is_p_over_p_plus_q": SUPPORTED,
    "minimax_value_is_twice_js_less_log_4": SUPPORTED,
}


@pytest.mark.parametrize(("name", "word"), PROVEN.items())
def test_what_mathematics_knows_comes_out(name: str, word: str) -> None:
    parts = all_claims()[name].test(Observations([]))
    assert combine([find(part) for part in parts]).word == word


def test_every_computed_claim_is_among_them() -> None:
    assert set(PROVEN) == {name for name, claim in all_claims().items() if not claim.sweep}


def test_the_worst_case_over_pairs_and_triples_is_found() -> None:
    def centre(p: known.KnownDensity) -> float:
        return (p.low + p.high) / 2

    def squared(p: known.KnownDensity, q: known.KnownDensity) -> float:
        return (centre(p) - centre(q)) ** 2

    def signed(p: known.KnownDensity, q: known.KnownDensity) -> float:
        return max(0.0, centre(q) - centre(p))

    # The centres on the line are 0, 1, 3, 0, 0 and 2.25: 9 straight on, 1 + 4 by way of 1, and by
    # 2.25 it is 5.0625 + .5625; of D / (1 + D) the largest difference is at 0, 1, 2.25.
    tried = [(0, 1, 3), (0, 2.25, 3), (1, 2.25, 3), (0, 1, 2.25)]
    on_line = max(bounded((r - p) ** 2) - bounded((q - p) ** 2 + (r - q) ** 2) for p, q, r in tried)
    # In the plane they are 3, 6 and 12.
    in_plane = bounded(81.0) - bounded(9.0 + 36.0)
    assert detour(squared) == pytest.approx(max(on_line, in_plane))
    assert asymmetry(squared) == 0
    assert asymmetry(signed) == pytest.approx(9 / 10)
    assert asymmetry(lambda p, q: signed(q, p)) == pytest.approx(9 / 10)


def test_infinite_is_one_and_growth_and_slopes_are_known() -> None:
    assert bounded(math.inf) == 1
    assert bounded(1.0) == 0.5
    assert growth(known.kl) == pytest.approx(math.log(4), abs=1e-9)
    assert growth(known.w1) == pytest.approx(math.log(2), abs=1e-9)
    assert jump(known.point_kl) == 1
    assert jump(known.point_js) == pytest.approx(math.log(2) / (1 + math.log(2)))
    assert slope(known.point_w1, -3.0, 0.0) == pytest.approx(-1, abs=1e-9)


def test_what_the_best_discriminator_lets_through_is_the_integral() -> None:
    """E_q p / (p + q) for N(1, 1) and N(0, 1), against a simulation of standard error 3e-4."""
    x = np.random.default_rng(0).standard_normal(400_000)
    simulated = (1 / (1 + np.exp(0.5 - x))).mean()
    assert expected_slope() == pytest.approx(simulated, abs=2e-3)
