"""Contrasts: from runs to evidence. Each makes the test of a claim from measures and settings.

Seeds are paired wherever two settings are compared: with equal seeds data order, noise and initial
weights are the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from bench.claims.claim import Test
from bench.claims.evidence import Claimed, Evidence, Scale
from bench.claims.measures import Measure
from bench.claims.observations import Missing, Observation, Observations, Where, pairs
from bench.stats.intervals import CLIP
from bench.stats.rank import ranks

_TO_SCALE: dict[Scale, Callable[[float], float]] = {
    "difference": lambda value: value,
    "ratio": lambda value: math.log(value) if value > 0 else math.nan,
    "correlation": lambda r: math.atanh(min(max(r, -CLIP), CLIP)) if r == r else math.nan,
}


def paired(
    effect: str,
    measure: Measure,
    first: Where,
    second: Where,
    *,
    claimed: Claimed,
    margin: float,
    scale: Scale = "ratio",
    large_is_bad: bool = True,
) -> Test:
    """A measure at `first` against that at `second`, over common seeds.

    Args:
        effect: what is compared, in words.
        margin: on the scale of reading: 1.1 for ratios within 10 %, .2 for differences and
            correlations.
        large_is_bad: to which side a seed counts whose run diverged and so has no measure.
    """
    worse = 1 if large_is_bad else -1

    def test(seen: Observations) -> Sequence[Evidence]:
        ones, others = seen.where(first), seen.where(second)
        values, sides = [], []
        for one, other in pairs(ones, others):
            change = _change(measure, one, other, scale)
            if math.isfinite(change):
                values.append(change)
            elif (one.state == "diverged") != (other.state == "diverged"):
                sides.append(worse if one.state == "diverged" else -worse)
        return [_evidence(effect, values, claimed, margin, scale, sides)]

    return test


def single(
    effect: str,
    measure: Measure,
    where: Where,
    *,
    claimed: Claimed,
    margin: float,
    scale: Scale = "difference",
    against: float | None = None,
    large_is_bad: bool = True,
) -> Test:
    """A measure of one setting's seeds against a number.

    Args:
        margin: on the scale of reading.
        against: the number, on the scale of reading; None: 0, or 1 for ratios.
        large_is_bad: to which side a seed counts whose run diverged and so has no measure.
    """
    start = (1.0 if scale == "ratio" else 0.0) if against is None else against
    zero = _TO_SCALE[scale](start)

    def test(seen: Observations) -> Sequence[Evidence]:
        values, sides = [], []
        for run in seen.where(where).values():
            value = _TO_SCALE[scale](measure(run)) - zero
            if math.isfinite(value):
                values.append(value)
            elif run.state == "diverged":
                sides.append(1 if large_is_bad else -1)
        evidence = _evidence(effect, values, claimed, margin, scale, sides)
        said = f"{len(sides)} runs without a value, since they diverged" if sides else ""
        return [replace(evidence, against=zero, note=said)]

    return test


def in_run(
    effect: str,
    first: Measure,
    second: Measure,
    where: Where,
    *,
    claimed: Claimed,
    margin: float,
    scale: Scale = "ratio",
) -> Test:
    """Two measures of the same runs, the first against the second.

    Seeds are left out that lack either.
    """

    def test(seen: Observations) -> Sequence[Evidence]:
        scaled = [
            _TO_SCALE[scale](first(run)) - _TO_SCALE[scale](second(run))
            for run in seen.where(where).values()
        ]
        values = [value for value in scaled if math.isfinite(value)]
        return [_evidence(effect, values, claimed, margin, scale, ())]

    return test


def trend(
    effect: str,
    measure: Measure,
    along: Sequence[Where],
    *,
    claimed: Claimed,
    margin: float = 0.2,
    large_is_bad: bool = True,
) -> Test:
    """Spearman's correlation of a measure with the order of settings, seed by seed.

    A run that diverged counts as the worst, equal values everywhere as 0. Seeds that lack one of
    the settings are left out.
    """
    worst = math.inf if large_is_bad else -math.inf

    def test(seen: Observations) -> Sequence[Evidence]:
        values = []
        for row in _rows(seen, along):
            found = [worst if run.state == "diverged" else measure(run) for run in row]
            if any(map(math.isnan, found)):
                continue
            if len(set(found)) == 1:
                values.append(0.0)
                continue
            order = ranks(found)
            values.append(float(np.corrcoef(order, np.arange(len(found)))[0, 1]))
        return [_evidence(effect, values, claimed, margin, "difference", ())]

    return test


def interaction(
    effect: str,
    measure: Measure,
    first: tuple[Where, Where],
    second: tuple[Where, Where],
    *,
    claimed: Claimed,
    margin: float,
    scale: Scale = "ratio",
) -> Test:
    """How much more a change (from the first to the second of a pair) does in `first`.

    Seeds with a run that diverged are left out.
    """

    def test(seen: Observations) -> Sequence[Evidence]:
        values = []
        for a, b, c, d in _rows(seen, (*first, *second)):
            change = _change(measure, b, a, scale) - _change(measure, d, c, scale)
            if math.isfinite(change):
                values.append(change)
        return [_evidence(effect, values, claimed, margin, scale, ())]

    return test


def spread_over(
    effect: str,
    measure: Measure,
    first: Sequence[Where],
    second: Sequence[Where],
    *,
    claimed: Claimed,
    margin: float,
) -> Test:
    """How widely log measure spreads over settings: the ratio of the standard deviations.

    A run that diverged counts as the worst value that the seed has anywhere.
    """

    def test(seen: Observations) -> Sequence[Evidence]:
        values = []
        for row in _rows(seen, (*first, *second)):
            logs = np.array([_TO_SCALE["ratio"](measure(run)) for run in row])
            lost = np.array([run.state == "diverged" for run in row])
            if lost.all() or np.isnan(logs[~lost]).any():
                continue
            logs[lost] = logs[~lost].max()
            ones, others = logs[: len(first)].std(ddof=1), logs[len(first) :].std(ddof=1)
            if ones > 0 and others > 0:
                values.append(float(np.log(ones / others)))
        return [_evidence(effect, values, claimed, margin, "ratio", ())]

    return test


def best_of(
    effect: str,
    measure: Measure,
    first: Mapping[float, Where],
    second: Mapping[float, Where],
    *,
    claimed: Claimed,
    margin: float,
) -> Test:
    """Where the least measure lies: the ratio of the best numbers of `first` and `second`.

    Args:
        first, second: settings by the number that is varied, above 0. Runs that diverged are no
            candidates.
    """

    def test(seen: Observations) -> Sequence[Evidence]:
        values = []
        for row in _rows(seen, (*first.values(), *second.values())):
            ones = _best(measure, list(first), row[: len(first)])
            others = _best(measure, list(second), row[len(first) :])
            if ones is not None and others is not None:
                values.append(math.log(ones / others))
        return [_evidence(effect, values, claimed, margin, "ratio", ())]

    return test


def least_of(
    effect: str,
    measure: Measure,
    first: Sequence[Where],
    second: Sequence[Where],
    *,
    claimed: Claimed,
    margin: float,
    scale: Scale = "ratio",
) -> Test:
    """The least that a measure comes to over settings `first` against that over `second`.

    Give both as many settings: the least of more is lower by chance. Runs that diverged are no
    candidates; where all of one side have, the seed counts against that side.
    """

    def test(seen: Observations) -> Sequence[Evidence]:
        values, sides = [], []
        for row in _rows(seen, (*first, *second)):
            found = [_TO_SCALE[scale](measure(run)) for run in row]
            ones, others = (
                [value for value in part if math.isfinite(value)]
                for part in (found[: len(first)], found[len(first) :])
            )
            if ones and others:
                values.append(min(ones) - min(others))
            elif ones or others:
                sides.append(-1 if ones else 1)
        return [_evidence(effect, values, claimed, margin, scale, sides)]

    return test


def all_of(*tests: Test) -> Test:
    """The parts of a claim that must hold together."""

    def test(seen: Observations) -> Sequence[Evidence]:
        return [evidence for part in tests for evidence in part(seen)]

    return test


def _change(measure: Measure, one: Observation, other: Observation, scale: Scale) -> float:
    return _TO_SCALE[scale](measure(one)) - _TO_SCALE[scale](measure(other))


def _evidence(
    effect: str,
    values: Sequence[float],
    claimed: Claimed,
    margin: float,
    scale: Scale,
    sides: Sequence[int],
) -> Evidence:
    above = sum(side > 0 for side in sides)
    lost = (above, len(sides) - above)
    said = f"{len(sides)} pairs lack a side that diverged" if sides else ""
    return Evidence(
        effect, tuple(values), claimed, _TO_SCALE[scale](margin), scale, lost=lost, note=said
    )


def _rows(seen: Observations, settings: Sequence[Where]) -> Iterator[tuple[Observation, ...]]:
    """For each seed that all settings have, its run of each."""
    held = [seen.where(where) for where in settings]
    common = set.intersection(*(set(runs) for runs in held))
    if not common:
        raise Missing("no seed has ended under all the settings that are compared")
    for seed in sorted(common):
        yield tuple(runs[seed] for runs in held)


def _best(measure: Measure, numbers: Sequence[float], runs: Sequence[Observation]) -> float | None:
    found = [(measure(run), number) for run, number in zip(runs, numbers, strict=True)]
    known = [pair for pair in found if math.isfinite(pair[0])]
    return min(known)[1] if known else None
