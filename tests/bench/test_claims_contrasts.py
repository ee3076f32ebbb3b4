"""From runs to evidence: each contrast on worlds whose answer is known."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from claim_worlds import ends, observed, world

from bench.claims.beyond_time import tracks
from bench.claims.contrasts import (
    all_of,
    best_of,
    interaction,
    paired,
    single,
    spread_over,
    trend,
)
from bench.claims.evidence import REFUTED, SUPPORTED, UNDECIDED, find
from bench.claims.measures import (
    at_step,
    diverged,
    failed_to_learn,
    final,
    largest,
    last,
    late,
    over,
    reached,
    seconds_per_step,
    spread,
)
from bench.claims.observations import Missing, Observations, said

CLIP: dict[str, Any] = {"lipschitz": {"weight_clipping": {"limit": 0.01}}}
LOOSE: dict[str, Any] = {"lipschitz": {"weight_clipping": {"limit": 0.1}}}
PENALTY: dict[str, Any] = {"lipschitz": "gradient_penalty"}
NOISE = np.random.default_rng(5).normal(0, 0.05, (8, 10))
FID = last("fid")


def fids(*levels: float) -> list[dict[str, Any]]:
    return [{"fid": ends(list(level * np.exp(NOISE[place])))} for place, level in enumerate(levels)]


def test_settings_are_chosen_in_the_words_of_a_sweep_file() -> None:
    seen = world(list(zip((CLIP, LOOSE, PENALTY), fids(1, 2, 3), strict=True)))
    assert set(seen.where(CLIP)) == set(range(10))
    assert seen.where({**CLIP, "dataset": "ring8", "critic_steps": [1, 5]}).keys() == set(range(10))
    with pytest.raises(Missing, match="several runs of seed 0 have lipschitz weight_clipping"):
        seen.where({"lipschitz": "weight_clipping"})
    with pytest.raises(Missing, match=r"no run has dataset grid25"):
        seen.where({"dataset": "grid25"})
    both = {"lipschitz": {"all": ["gradient_penalty", "spectral_norm"]}}
    with pytest.raises(Missing, match="no run has"):
        seen.where(both)
    assert said(CLIP) == "lipschitz weight_clipping(limit 0.01)"


def test_a_combination_is_found_by_each_of_its_methods_and_by_both() -> None:
    both = {"lipschitz": {"all": ["gradient_penalty", "spectral_norm"]}}
    seen = Observations([observed(both, 0, {"fid": [1.0]})])
    for wanted in (both, PENALTY, {"lipschitz": "spectral_norm"}):
        assert seen.where(wanted)


def test_a_run_that_has_not_ended_is_no_observation() -> None:
    seen = Observations([observed(CLIP, 0, {"fid": [1.0]}, state="interrupted")])
    with pytest.raises(Missing, match=r"none of 1 runs .* has ended"):
        seen.where(CLIP)


def test_pairs_are_compared_seed_by_seed() -> None:
    """Seeds that bring much to both sides leave the ratio as certain as it is."""
    brought = np.exp(np.linspace(-2, 2, 10))
    seen = world(
        [
            (CLIP, {"fid": ends(list(2 * brought))}),
            (PENALTY, {"fid": ends(list(brought))}),
        ]
    )
    (found,) = paired("r", FID, PENALTY, CLIP, claimed="below", margin=1.1)(seen)
    assert found.read.center == pytest.approx(0.5)
    assert found.read.high == pytest.approx(0.5)
    assert find(found).word == SUPPORTED
    (other,) = paired("r", FID, PENALTY, CLIP, claimed="above", margin=1.1)(seen)
    assert find(other).word == REFUTED
    (plain,) = paired("d", FID, PENALTY, CLIP, claimed="below", margin=0.1, scale="difference")(
        seen
    )
    assert plain.values == pytest.approx(tuple(-brought))


def test_a_side_that_diverged_counts_against_it() -> None:
    seen = world(list(zip((CLIP, PENALTY), fids(2, 1), strict=True)), lost={0: [3, 4]})
    (found,) = paired("r", FID, CLIP, PENALTY, claimed="above", margin=1.1)(seen)
    assert len(found.values) == 8
    assert found.lost == (2, 0)
    assert find(found).word == SUPPORTED
    (turned,) = paired("r", FID, PENALTY, CLIP, claimed="above", margin=1.1)(seen)
    assert turned.lost == (0, 2)
    assert find(turned).word == REFUTED
    good = paired("r", FID, CLIP, PENALTY, claimed="above", margin=1.1, large_is_bad=False)(seen)
    assert good[0].lost == (0, 2)


def test_one_setting_is_held_against_a_number() -> None:
    seen = world(list(zip((CLIP,), fids(2), strict=True)))
    (found,) = single("x", FID, CLIP, claimed="above", margin=0.05, against=1.5)(seen)
    assert found.read.center == pytest.approx(2 * np.exp(NOISE[0]).mean())
    assert find(found).word == SUPPORTED
    (ratio,) = single("x", FID, CLIP, claimed="within", margin=1.2, scale="ratio", against=2.0)(
        seen
    )
    assert find(ratio).word == SUPPORTED
    assert ratio.read.center == pytest.approx(2 * np.exp(NOISE[0].mean()))


@pytest.mark.parametrize(
    ("levels", "word"),
    [((1, 2, 3, 4), SUPPORTED), ((4, 3, 2, 1), REFUTED), ((2, 2, 2, 2), UNDECIDED)],
)
def test_a_trend_over_settings(levels: tuple[float, ...], word: str) -> None:
    along = [{"critic_steps": count} for count in (1, 5, 25, 100)]
    seen = world(list(zip(along, fids(*levels), strict=True)))
    (found,) = trend("t", FID, along, claimed="above", margin=0.2)(seen)
    assert find(found).word == word
    if word != UNDECIDED:
        assert abs(found.values[0]) == pytest.approx(1)


def test_equal_everywhere_is_no_trend_and_divergence_is_the_worst() -> None:
    along = [{"critic_steps": count} for count in (1, 5, 25)]
    same = world([(where, {"fid": ends([2.0] * 10)}) for where in along])
    (found,) = trend("t", FID, along, claimed="above")(same)
    assert found.values == (0.0,) * 10
    assert find(found).word == REFUTED
    lost = world(list(zip(along, fids(3, 2, 1), strict=True)), lost={2: range(10)})
    (found,) = trend("t", FID, along, claimed="below")(lost)
    assert found.values[0] == pytest.approx(0.5)  # ranks 2, 1, 3


def test_an_interaction_is_a_difference_of_changes() -> None:
    few, many = {"critic_steps": 1}, {"critic_steps": 5}
    cells = [{**few, **CLIP}, {**many, **CLIP}, {**few, **PENALTY}, {**many, **PENALTY}]
    seen = world(list(zip(cells, fids(4, 1, 2, 2), strict=True)))
    (found,) = interaction(
        "i", FID, (cells[0], cells[1]), (cells[2], cells[3]), claimed="below", margin=1.1
    )(seen)
    # From 4 to 1 on one side, from 2 to 2 on the other: a quarter.
    expected = math.exp((NOISE[1] - NOISE[0] - NOISE[3] + NOISE[2]).mean()) / 4
    assert found.read.center == pytest.approx(expected)
    assert find(found).word == SUPPORTED


def test_spreads_over_settings_are_compared() -> None:
    cells = [{**CLIP, "batch_size": size} for size in (8, 16, 32)]
    others = [{**PENALTY, "batch_size": size} for size in (8, 16, 32)]
    seen = world(list(zip((*cells, *others), fids(1, 10, 100, 1, 2, 4), strict=True)))
    (found,) = spread_over("s", FID, others, cells, claimed="below", margin=1.1)(seen)
    assert found.read.center == pytest.approx(math.log(2) / math.log(10), rel=0.05)
    assert find(found).word == SUPPORTED


def test_where_the_best_lies() -> None:
    def cells(dataset: str) -> dict[float, dict[str, Any]]:
        return {
            limit: {"dataset": dataset, "lipschitz": {"weight_clipping": {"limit": limit}}}
            for limit in (0.01, 0.1, 1.0)
        }

    first, second = cells("ring8"), cells("grid25")
    settings = [*first.values(), *second.values()]
    seen = world(list(zip(settings, fids(1, 2, 3, 3, 2, 1), strict=True)))
    (found,) = best_of("b", FID, first, second, claimed="apart", margin=2.0)(seen)
    assert found.read.center == pytest.approx(0.01)
    assert find(found).word == SUPPORTED
    same = world(list(zip(settings, fids(1, 2, 3, 1, 2, 3), strict=True)))
    (found,) = best_of("b", FID, first, second, claimed="apart", margin=2.0)(same)
    assert find(found).word == REFUTED


def test_tracking_is_beyond_time_and_asks_the_seed_swap() -> None:
    draw = np.random.default_rng(3)
    trend_line = np.linspace(3, 1, 41)
    own = draw.normal(0, 0.3, (10, 41))
    unlike = draw.normal(0, 0.3, (10, 41))
    linked = {
        "estimate_held_out": [list(trend_line + row) for row in own],
        "fid": [list(10 * trend_line + 10 * row) for row in own],
    }
    apart = {**linked, "fid": [list(10 * trend_line + 10 * row) for row in unlike]}
    (found,) = tracks("r", CLIP, "fid")(world([(CLIP, linked)]))
    assert find(found).word == SUPPORTED
    assert found.read.center == pytest.approx(0.99)
    (found,) = tracks("r", CLIP, "fid")(world([(CLIP, apart)]))
    assert find(found).word != SUPPORTED
    assert abs(found.read.center) < 0.2
    assert found.also > 0.05
    parts = all_of(tracks("r", CLIP, "fid"), tracks("r", CLIP, "fid", claimed="within"))(
        world([(CLIP, linked)])
    )
    assert [find(part).word for part in parts] == [SUPPORTED, REFUTED]


def test_measures_take_the_number_that_they_name() -> None:
    run = observed(CLIP, 0, {"fid": [8.0, 2.0, 4.0, math.nan, 6.0]}, training_seconds=50.0)
    assert last("fid")(run) == 6
    assert largest("fid")(run) == 8
    assert at_step("fid", 25)(run) == 2
    assert math.isnan(at_step("fid", 75)(run))
    assert reached("fid", 4)(run) == 0.25
    assert reached("fid", 1)(run) == 2
    assert late("fid", spread, share=0.75)(run) == pytest.approx(2.0)  # of 2, 4, 6
    assert math.isnan(late("fid", spread, share=0.25)(run))
    assert seconds_per_step(run) == 0.5
    assert over(last("fid"), at_step("fid", 50))(run) == 1.5
    assert math.isnan(last("nothing")(run))
    assert failed_to_learn("fid", 5)(run) == 1
    assert failed_to_learn("fid", 7)(run) == 0
    lost = observed(CLIP, 0, {"fid": [8.0, 2.0]}, state="diverged")
    assert math.isnan(last("fid")(lost))
    assert final("fid")(lost) == 2
    assert diverged(lost) == 1
    assert failed_to_learn("fid", 5)(lost) == 1


def test_a_diverged_setting_is_as_bad_as_the_worst_there_is() -> None:
    cells = [{**CLIP, "batch_size": size} for size in (8, 16)]
    others = [{**PENALTY, "batch_size": size} for size in (8, 16)]
    levels = [{"fid": ends([level] * 10)} for level in (10.0, 10.0, 1000.0, 100.0)]
    seen = world(list(zip((*cells, *others), levels, strict=True)), lost={0: range(10)})
    (found,) = spread_over("s", FID, cells, others, claimed="above", margin=1.1)(seen)
    # From 10 to 1,000, the worst anywhere, against 100 to 1,000: two decades over one.
    assert found.read.center == pytest.approx(2)
    assert find(found).word == SUPPORTED
