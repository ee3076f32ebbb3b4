"""Tracking contrasts: diverged seeds, dead stretches, and a standard GAN that says nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from claim_worlds import world

from bench.claims.beyond_time import does_not_track, tracks
from bench.claims.contrasts import in_run
from bench.claims.evidence import REFUTED, SUPPORTED, find
from bench.claims.measures import tracking
from bench.claims.observations import Observations

HERE: dict[str, Any] = {"loss": "nonsaturating"}
DRAW = np.random.default_rng(8)
TIME = np.linspace(3, 1, 41)
SHARED, OWN = DRAW.normal(0, 0.3, (2, 10, 41))


def curves(link: float, **more: Any) -> dict[str, Any]:
    """Estimate and FID with a common trend, whose rest correlates by `link`."""
    rest = link * SHARED + np.sqrt(1 - link**2) * OWN
    return {
        "estimate_held_out": [list(TIME + row) for row in rest],
        "fid": [list(10 * TIME + 10 * row) for row in SHARED],
        **more,
    }


def test_a_seed_that_diverged_counts_as_one_that_misleads() -> None:
    lost = world([(HERE, curves(1.0))], lost={0: [2, 5]})
    (found,) = tracks("r", HERE, "fid")(lost)
    assert len(found.values) == 8
    assert found.lost == (0, 2)
    (turned,) = does_not_track("r", HERE, "fid")(lost)
    assert turned.lost == (0, 2)


@pytest.mark.parametrize(
    ("link", "word"), [(-0.9, SUPPORTED), (-0.4, SUPPORTED), (0.0, SUPPORTED), (0.8, REFUTED)]
)
def test_not_tracking_is_saying_nothing_or_misleading(link: float, word: str) -> None:
    (found,) = does_not_track("r", HERE, "fid")(world([(HERE, curves(link))]))
    assert find(found).word == word
    assert found.read.center == pytest.approx(link, abs=0.15)


def test_the_seed_swap_leaves_out_the_dead_stretches_that_the_correlation_does() -> None:
    """Without the floor nothing is known to be dead; there each estimate follows another seed's."""
    errors = np.zeros(41)
    errors[22:] = 9.0  # blind there: within 3 standard errors of 0
    held = curves(1.0, estimate_held_out_error=[list(errors)] * 10)
    for seed, row in enumerate(held["estimate_held_out"]):
        row[22:] = list(2 + 9 * SHARED[(seed + 1) % 10, 22:])
    seen = world([(HERE, held)])
    floored = Observations([replace(run, floor={"fid": 0.5}) for run in seen.runs])
    (without,) = tracks("r", HERE, "fid")(seen)
    (found,) = tracks("r", HERE, "fid")(floored)
    assert min(found.values) > max(without.values)
    assert found.also < 0.001
    assert without.also > 0.05


def test_two_estimates_of_the_same_runs_are_compared() -> None:
    both = curves(0.9)
    both["estimate"] = [list(TIME + row) for row in OWN]
    seen = world([(HERE, both)])
    (found,) = in_run(
        "d",
        tracking("fid", "estimate"),
        tracking("fid"),
        HERE,
        claimed="below",
        margin=0.2,
        scale="correlation",
    )(seen)
    one, two = tracking("fid", "estimate"), tracking("fid")
    expected = [np.arctanh(one(run)) - np.arctanh(two(run)) for run in seen.runs]
    assert found.values == pytest.approx(tuple(expected))
    assert find(found).word == SUPPORTED
