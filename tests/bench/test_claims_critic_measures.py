"""What claims read of a critic: hand-made profiles and curves whose figures are known."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from claim_worlds import observed, world

from bench.claims.contrasts import all_of, single
from bench.claims.critic_measures import (
    FAINTEST,
    between_modes,
    growth,
    known_share,
    layer_drift,
    layer_ratio,
    minus,
    wrong_sign,
)
from bench.claims.evidence import REFUTED, SUPPORTED, UNDECIDED, combine, find
from bench.claims.measures import at_step, last
from bench.claims.observations import Observation, Observations

CLIP: dict[str, Any] = {"lipschitz": "weight_clipping"}


def profiled(norms: list[float | None], seed: int = 0, state: str = "done") -> Observation:
    run = observed(CLIP, seed, {"fid": [1.0]}, state=state)
    return replace(run, profiles={"layer_gradients": {"layers": [], "gradient_norms": norms}})


def test_the_first_layer_is_held_against_the_last() -> None:
    assert layer_ratio(profiled([3.0, 9.0, 0.5])) == pytest.approx(6)
    assert layer_ratio(profiled([0.5, 9.0, 3.0])) == pytest.approx(1 / 6)
    assert layer_drift(profiled([0.5, 9.0, 3.0])) == pytest.approx(math.log(6))
    assert layer_drift(profiled([3.0, 9.0, 0.5])) == pytest.approx(math.log(6))


def test_a_layer_that_no_gradient_reaches_is_starved_and_not_left_out() -> None:
    assert layer_ratio(profiled([0.0, 1e-3, 1.0])) == FAINTEST
    starved = Observations([profiled([0.0, 1.0], seed) for seed in range(10)])
    (found,) = single(
        "r", layer_ratio, CLIP, claimed="below", margin=1.5, scale="ratio", against=0.1
    )(starved)
    assert find(found).word == SUPPORTED


@pytest.mark.parametrize("norms", [[], [1.0], [1.0, 0.0], [None, 1.0], [math.nan, 1.0]])
def test_a_profile_without_both_ends_has_no_ratio(norms: list[float | None]) -> None:
    assert math.isnan(layer_ratio(profiled(norms)))
    assert math.isnan(layer_drift(profiled(norms)))


def test_the_last_profile_of_a_run_that_diverged_is_not_its_end() -> None:
    assert math.isnan(layer_ratio(profiled([1.0, 2.0], state="diverged")))
    assert math.isnan(layer_ratio(observed(CLIP, 0, {"fid": [1.0]})))


def test_a_diverged_critic_counts_as_exploded() -> None:
    runs = [profiled([40.0 + seed, 1.0], seed) for seed in range(10)]
    lost = [profiled([1.0, 1.0], seed, "diverged") for seed in range(10, 16)]
    exploded = {"claimed": "above", "margin": 1.5, "scale": "ratio", "against": 10}
    (found,) = single("r", layer_ratio, CLIP, **exploded)(Observations(runs + lost))  # type: ignore[arg-type]
    assert len(found.values) == 10
    assert found.lost == (6, 0)
    assert find(found).word == SUPPORTED
    assert "6 runs without a value" in found.note
    starved = {"claimed": "below", "margin": 1.5, "scale": "ratio", "against": 1000}
    (found,) = single("r", layer_ratio, CLIP, **starved)(Observations(runs + lost))  # type: ignore[arg-type]
    assert find(found).word == UNDECIDED
    assert "without the seeds that diverged" in find(found).why


def test_a_wrong_sign_is_a_negative_estimate() -> None:
    signs = [
        wrong_sign(observed(CLIP, 0, {"estimate_held_out": [1.0, value]}))
        for value in (-0.1, 0.0, 2.0, math.nan)
    ]
    assert signs[:3] == [1, 0, 0]
    assert signs[3] == 0  # the last finite one is 1
    assert math.isnan(wrong_sign(observed(CLIP, 0, {"fid": [1.0]})))


def test_growth_is_from_a_quarter_of_the_steps_to_the_end() -> None:
    run = observed(CLIP, 0, {"largest_score": [1.0, 2.0, 3.0, 6.0, 16.0]})  # steps 0, 25, ..., 100
    assert growth("largest_score")(run) == 8
    assert growth("largest_score", 0.5)(run) == pytest.approx(16 / 3)
    # Rows that the quarter falls between: the first after it.
    assert growth("largest_score", 0.3)(run) == pytest.approx(16 / 3)
    lost = observed(
        CLIP, 0, {"largest_score": [1.0, 2.0, 9e8]}, steps=[1, 30, 60], state="diverged"
    )
    assert growth("largest_score")(lost) == 4.5e8
    early = observed(CLIP, 0, {"largest_score": [1.0, 9e8]}, steps=[1, 10], state="diverged")
    assert math.isnan(growth("largest_score")(early))


@pytest.mark.parametrize(
    ("power", "word"), [(2.0, SUPPORTED), (0.0, REFUTED), (1.0, REFUTED), (0.7, REFUTED)]
)
def test_scores_run_away_if_they_grow_faster_than_the_steps(power: float, word: str) -> None:
    noise = np.random.default_rng(2).normal(0, 0.02, (10, 21))
    steps = np.linspace(0, 1, 21) + 1e-3
    curves = [list(steps**power * np.exp(row)) for row in noise]
    claim = single(
        "g",
        growth("largest_score"),
        CLIP,
        claimed="above",
        margin=1.1,
        scale="ratio",
        against=4,
    )
    (found,) = claim(world([(CLIP, {"largest_score": curves})]))
    assert find(found).word == word


def test_shares_differences_and_samples_between_modes() -> None:
    columns = {
        "estimate_held_out": [0.0, 0.6],
        "known_w1": [1.5, 1.5],
        "weights_at_limit": [0.94, 0.7],
        "high_quality_share": [0.1, 0.8],
    }
    run = observed(CLIP, 0, columns)
    assert known_share("estimate_held_out")(run) == pytest.approx(0.4)
    taken_off = minus(last("weights_at_limit"), at_step("weights_at_limit", 0))(run)
    assert taken_off == pytest.approx(-0.24)
    assert between_modes(run) == pytest.approx(0.2)
    bare = observed(CLIP, 0, {"fid": [1.0]})
    assert math.isnan(known_share("estimate_held_out")(bare))
    assert math.isnan(minus(last("weights_at_limit"), at_step("weights_at_limit", 0))(bare))
    assert math.isnan(between_modes(bare))


def test_heaps_that_the_first_clipping_made_are_no_work_of_training() -> None:
    """Both claims on one world: two heaps are there, and training has only taken from them."""
    noise = np.random.default_rng(1).normal(0, 0.01, 10)
    curves = {
        "weight_bimodality": [[0.33, 0.9 + one] for one in noise],
        "weights_at_limit": [[0.9, 0.7 + one] for one in noise],
    }
    seen = world([(CLIP, curves)])
    heaps = single(
        "b", last("weight_bimodality"), CLIP, claimed="above", margin=0.02, against=5 / 9
    )
    driven = single(
        "d",
        minus(last("weights_at_limit"), at_step("weights_at_limit", 0)),
        CLIP,
        claimed="above",
        margin=0.05,
    )
    assert [find(part).word for part in all_of(heaps, driven)(seen)] == [SUPPORTED, REFUTED]
    assert combine([find(part) for part in all_of(heaps, driven)(seen)]).word == REFUTED
