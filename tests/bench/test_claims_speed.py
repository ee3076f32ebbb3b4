"""Who takes longer to a share of where it began: worlds in which the answer is known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from claim_worlds import observed, world

from bench.claims.contrasts_speed import slower, steps_until
from bench.claims.evidence import REFUTED, SUPPORTED, UNDECIDED, Claimed, Evidence, find
from bench.claims.observations import Missing, Observations

CLIP: dict[str, Any] = {"lipschitz": "weight_clipping"}
PENALTY: dict[str, Any] = {"lipschitz": "gradient_penalty"}
GRID = np.linspace(0, 1, 21)  # of the steps, which are 100: an evaluation every 5


def falling(times: Sequence[float]) -> dict[str, list[list[float]]]:
    """For each seed a FID that begins at a level of its own and reaches a tenth at this share."""
    starts = np.linspace(50, 500, len(times))
    return {
        "fid": [
            list(start * 0.1 ** (GRID / time)) for start, time in zip(starts, times, strict=True)
        ]
    }


def compared(seen: Observations, claimed: Claimed = "above") -> Evidence:
    (found,) = slower("s", "fid", 0.1, CLIP, PENALTY, claimed=claimed, margin=1.25)(seen)
    return found


def test_the_first_step_at_a_share_of_the_first_value_counts() -> None:
    curve = [8.0, 5.0, 2.0, 4.0, 1.0]
    run = observed(CLIP, 0, {"fid": curve})
    assert steps_until(run, "fid", 0.25) == 50
    assert steps_until(run, "fid", 0.125) == 100
    assert steps_until(run, "fid", 0.1) == math.inf
    assert math.isnan(steps_until(run, "kid", 0.1))
    late = observed(CLIP, 0, {"fid": curve}, steps=[10, 20, 30, 40, 50])
    assert math.isnan(steps_until(late, "fid", 0.25))
    lost = observed(CLIP, 0, {"fid": curve}, state="diverged")
    assert steps_until(lost, "fid", 0.25) == math.inf


@pytest.mark.parametrize(
    ("clipped", "word"),
    [(0.8, SUPPORTED), (0.2, REFUTED), (0.4, REFUTED)],
)
def test_slower_faster_and_as_fast(clipped: float, word: str) -> None:
    seen = world([(CLIP, falling([clipped] * 10)), (PENALTY, falling([0.4] * 10))])
    found = compared(seen)
    assert found.read.center == pytest.approx(clipped / 0.4)
    assert find(found).word == word
    assert found.note == ""


def test_seeds_that_disagree_decide_nothing() -> None:
    seen = world([(CLIP, falling([0.8, 0.2] * 5)), (PENALTY, falling([0.4] * 10))])
    assert find(compared(seen)).word == UNDECIDED


def test_who_never_comes_so_far_counts_for_twice_the_steps() -> None:
    """A bound from below: the true ratio is larger."""
    seen = world([(CLIP, falling([5.0] * 10)), (PENALTY, falling([0.4] * 10))])
    found = compared(seen)
    assert found.read.center == pytest.approx(2 / 0.4)
    assert "10 of the first and 0 of the second never came so far" in found.note
    turned = slower("s", "fid", 0.1, PENALTY, CLIP, claimed="below", margin=1.25)(seen)[0]
    assert turned.read.center == pytest.approx(0.4 / 2)
    assert find(turned).word == SUPPORTED


def test_seeds_on_which_neither_comes_so_far_say_nothing() -> None:
    """Counted as equal they would refute: an untrained pair is no proof of equal speed."""
    times = [5.0] * 4 + [0.4] * 6
    seen = world([(CLIP, falling([2 * time for time in times])), (PENALTY, falling(times))])
    found = compared(seen)
    assert len(found.values) == 6
    assert found.note == "4 seeds on which neither did are left out"
    assert find(found).word == UNDECIDED
    never = world([(CLIP, falling([5.0] * 10)), (PENALTY, falling([5.0] * 10))])
    with pytest.raises(Missing, match=r"on none of the common seeds .* fid down to 0.1"):
        compared(never)


def test_a_run_that_diverged_never_came_so_far() -> None:
    cells = [(CLIP, falling([0.4] * 10)), (PENALTY, falling([0.4] * 10))]
    assert find(compared(world(cells))).word == REFUTED
    found = compared(world(cells, lost={0: range(10)}))
    assert found.read.center == pytest.approx(2 / 0.4)
    assert find(found).word == SUPPORTED
