"""What every declared claim must keep: its sweep has what it asks, and it can go either way."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from fabricated_runs import fabricated

from bench.claims import FAMILIES, Claim, Evidence, Observations, all_claims, judge
from bench.claims.evidence import LEAST_SEEDS, REFUTED, SUPPORTED, find
from bench.grid import Sweep, load

FOLDER = Path(__file__).parents[2] / "sweeps" / "claims"
CLAIMS = all_claims()
SWEEPS = sorted(path.stem for path in FOLDER.glob("*.yaml"))
CHANCY = [name for name, claim in CLAIMS.items() if claim.sweep]

Sides = Callable[[Claim, int], bool | None]


@functools.cache
def sweep(name: str) -> Sweep:
    return load(FOLDER / f"{name}.yaml")


@functools.cache
def fabricated_sweep(name: str) -> Observations:
    return fabricated(sweep(name).runs)


@functools.cache
def evidence(name: str) -> tuple[Evidence, ...]:
    """What the claim makes of its sweep as fabricated; raises where something is missing."""
    claim = CLAIMS[name]
    seen = fabricated_sweep(claim.sweep) if claim.sweep else Observations([])
    return tuple(claim.test(seen))


@dataclass(frozen=True)
class Standing:
    """A claim as `judge` sees it, with evidence that is put in its place."""

    name: str
    family: str
    sweep: str
    test: Callable[[Observations], Sequence[Evidence]]


def pushed(part: Evidence, claimed_side: bool | None) -> Evidence:
    """The evidence with values wholly on the claimed side, wholly on the other, or on neither."""
    count, margin = len(part.values), part.margin
    near = margin * np.linspace(-0.01, 0.01, count)
    there = {"above": 10, "below": -10, "within": 0, "apart": 10}[part.claimed]
    opposite = {"above": -10, "below": 10, "within": 10, "apart": 0}[part.claimed]
    values = near + margin * (there if claimed_side else opposite)
    if claimed_side is None:
        values = 100 * margin * np.resize([1.0, -1.0], count)
    also = part.also if np.isnan(part.also) else 0.001
    return replace(part, values=tuple(values), lost=(0, 0), also=also)


def verdicts(family: str, sides: Sides) -> dict[str, str]:
    """The family's verdicts where each part of each claim lies on the side that is said."""
    standing = []
    for claim in CLAIMS.values():
        if claim.family == family and claim.sweep:
            parts = [
                pushed(part, sides(claim, place)) for place, part in enumerate(evidence(claim.name))
            ]
            standing.append(Standing(claim.name, family, "s", lambda _, parts=parts: parts))
    runs = {item.name: Observations([]) for item in standing}
    found = judge(standing, {"s": Observations([]), **runs})  # type: ignore[arg-type]
    return {item.claim.name: item.word for item in found}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_claims(family: str) -> None:
    assert [claim for claim in CLAIMS.values() if claim.family == family]


@pytest.mark.parametrize("name", SWEEPS)
def test_a_sweep_of_claims_lists_claims_that_are_declared_to_use_it(name: str) -> None:
    listed = sweep(name).claims
    assert sweep(name).name == name
    assert listed == list(dict.fromkeys(listed))
    assert set(listed) == {claim.name for claim in CLAIMS.values() if claim.sweep == name}
    assert listed


@pytest.mark.parametrize("name", SWEEPS)
def test_a_sweep_of_claims_says_what_it_costs_and_has_seeds_enough(name: str) -> None:
    head = sweep(name).text.split("\nname:")[0].replace("#", "")
    assert "CPU hours" in " ".join(head.split())
    by_label: dict[str, set[int]] = {}
    for run in sweep(name).runs:
        by_label.setdefault(run.label, set()).add(run.config.seed)
    for label, seeds in by_label.items():
        assert seeds >= set(range(LEAST_SEEDS)), label


@pytest.mark.parametrize("name", CLAIMS)
def test_a_claim_says_what_where_and_who(name: str) -> None:
    claim = CLAIMS[name]
    assert claim.sentence[0].isupper() or claim.sentence[0].isdigit()
    assert claim.sentence.endswith(".")
    assert len(claim.scope) > 20
    assert len(claim.source) > 10
    assert not claim.sweep or claim.sweep in SWEEPS


@pytest.mark.parametrize("name", CLAIMS)
def test_a_claim_finds_all_that_it_asks_for_in_its_sweep(name: str) -> None:
    parts = evidence(name)
    assert parts
    assert len({part.effect for part in parts}) == len(parts)
    for part in parts:
        assert part.exact == (not CLAIMS[name].sweep)
        assert part.exact or len(part.values) >= LEAST_SEEDS, part.effect
        assert part.lost == (0, 0)


@pytest.mark.parametrize("name", [name for name in CLAIMS if name not in CHANCY])
def test_what_is_computed_is_decided(name: str) -> None:
    assert {find(part).word for part in evidence(name)} <= {SUPPORTED, REFUTED}


@pytest.mark.parametrize("family", sorted({CLAIMS[name].family for name in CHANCY}))
def test_a_whole_family_can_be_supported_at_once(family: str) -> None:
    assert set(verdicts(family, lambda claim, place: True).values()) == {SUPPORTED}


@pytest.mark.parametrize("name", CHANCY)
def test_a_claim_can_go_either_way_though_its_family_says_nothing(name: str) -> None:
    """Also after Holm: seeds must be enough for a family of this size and claims of these parts."""
    family = CLAIMS[name].family

    def holds(claim: Claim, place: int) -> bool | None:
        return True if claim.name == name else None

    def fails_in_a_part(claim: Claim, place: int) -> bool | None:
        return place > 0 if claim.name == name else None

    assert verdicts(family, holds)[name] == SUPPORTED
    assert verdicts(family, fails_in_a_part)[name] == REFUTED
