"""Descriptions beside the primary analysis: other curves, statistics, lags and smoothings.

None of them decides anything. The primary analysis was fixed beforehand; whoever takes the best of
many descriptions finds links that are not there (the best of 7 lags lifts false positives from 2 to
8 %).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.stats.described_pairs import CURVES, FIGURES, STATISTICS, Figure, lagged, smoothed
from bench.stats.evaluations import PRIMARY_ESTIMATE, Evaluations, Vector, evaluations_by_run
from bench.stats.intervals import Interval, fisher_interval, mean_interval
from bench.stats.rank import by_grid, ranks, step_share_rows
from bench.stats.tracking import DIVERGED, LIVE, Tracking, warm_up_ends

SEED_COLUMNS = (
    "label",
    "run_id",
    "seed",
    "kind",
    "curve",
    "statistic",
    "lag",
    "smoother",
    "width",
    "name",
    "value",
    "evaluations",
    "note",
)


@dataclass(frozen=True)
class Described:
    """A description over a setting's live seeds.

    Attributes:
        label: the setting.
        figure: what is described.
        over_seeds: by Fisher's z; undefined seeds are left out.
        with_diverged: with -1 for each diverged seed besides; None where no seed diverged.
        note: which live seeds have no such figure, and why; "" where all have one.
    """

    label: str
    figure: Figure
    over_seeds: Interval
    with_diverged: Interval | None
    note: str


def taken_by_run(
    runs: pd.DataFrame, curves: pd.DataFrame, quality: str, floor: float | None
) -> dict[str, Evaluations]:
    """Every run's evaluations as the primary analysis takes them."""
    return evaluations_by_run(curves, quality, floor=floor, warm_up=warm_up_ends(runs))


def describe_seeds(
    trackings: Sequence[Tracking], taken: Mapping[str, Evaluations], quality: str
) -> pd.DataFrame:
    """Every description of every live seed: one row each, with `SEED_COLUMNS`.

    The evaluations are those of the primary analysis. A value that is undefined is NaN, and `note`
    says why.
    """
    live = [
        (tracking.label, seed.run_id, seed.seed)
        for tracking in trackings
        for seed in tracking.having(LIVE)
    ]
    held = [taken.get(run_id, _EMPTY) for _, run_id, _ in live]
    frames = []
    for figure, values, counts in _values(held, quality):
        described = {
            "label": [label for label, _, _ in live],
            "run_id": [run_id for _, run_id, _ in live],
            "seed": [seed for _, _, seed in live],
            **{name: getattr(figure, name) for name in SEED_COLUMNS[3:10]},
            "value": values,
            "evaluations": counts,
            "note": [
                "" if math.isfinite(value) else _why(figure, run, quality, int(count))
                for value, count, run in zip(values.tolist(), counts, held, strict=True)
            ],
        }
        frames.append(pd.DataFrame(described, columns=list(SEED_COLUMNS)))
    return pd.concat(frames, ignore_index=True)


def describe(trackings: Sequence[Tracking], seeds: pd.DataFrame) -> list[Described]:
    """The descriptions over seeds, in the order of the settings and then of `FIGURES`.

    Args:
        trackings: the primary analysis, whose diverged seeds are counted.
        seeds: what `describe_seeds` gave.
    """
    found = []
    # All figures have the same rows: every live seed, in order.
    rows = len(seeds) // len(FIGURES)
    labels = seeds["label"].to_numpy(dtype=object)[:rows]
    numbers = seeds["seed"].to_numpy()[:rows]
    values = seeds["value"].to_numpy(dtype=float).reshape(len(FIGURES), rows)
    notes = seeds["note"].to_numpy(dtype=object).reshape(len(FIGURES), rows)
    for tracking in trackings:
        own = np.flatnonzero(labels == tracking.label)
        diverged = tracking.count(DIVERGED)
        for figure, value, note in zip(FIGURES, values[:, own], notes[:, own], strict=True):
            lost = [-1.0] * (diverged if np.isfinite(value).any() else 0)
            found.append(
                Described(
                    tracking.label,
                    figure,
                    fisher_interval(value),
                    fisher_interval([*value, *lost]) if lost else None,
                    _together(numbers[own], note),
                )
            )
    return found


@dataclass(frozen=True)
class Levels:
    """What is no correlation, as means over a setting's live seeds with t intervals.

    Attributes:
        label: the setting.
        loss_share, quality_share: of the variance of the ranks, what the step alone explains.
        gap: the critic-optimality gap on held-out data, mean over the evaluations that count.
        gap_share: the same over the mean size of the held-out estimate; 0 is an optimal critic.
    """

    label: str
    loss_share: Interval
    quality_share: Interval
    gap: Interval
    gap_share: Interval


def levels(
    trackings: Sequence[Tracking], taken: Mapping[str, Evaluations], quality: str
) -> list[Levels]:
    """Shares of the step and critic-optimality gaps of every setting."""
    found = []
    for tracking in trackings:
        held = [taken.get(seed.run_id, _EMPTY) for seed in tracking.having(LIVE)]
        runs = [(t.counted(PRIMARY_ESTIMATE), t.counted(quality), t.steps[t.counts]) for t in held]
        gaps = [_mean(t.counted("critic_gap_held_out")) for t in held]
        sizes = [_mean(np.abs(t.counted(PRIMARY_ESTIMATE))) for t in held]
        found.append(
            Levels(
                tracking.label,
                mean_interval(by_grid(lambda a, _, steps: step_share_rows(a, steps), runs)),
                mean_interval(by_grid(lambda _, b, steps: step_share_rows(b, steps), runs)),
                mean_interval(gaps),
                mean_interval(
                    gap / size if size > 0 else math.nan
                    for gap, size in zip(gaps, sizes, strict=True)
                ),
            )
        )
    return found


_EMPTY = Evaluations(np.zeros(0), {}, np.zeros(0, dtype=bool), np.zeros(0, dtype=bool))


def _values(
    held: Sequence[Evaluations], quality: str
) -> Iterator[tuple[Figure, Vector, npt.NDArray[np.int64]]]:
    """Each figure with its value for every run and from how many evaluations."""
    places: dict[bytes, list[int]] = {}
    for place, run in enumerate(held):
        places.setdefault(run.steps.tobytes(), []).append(place)
    grids = [
        (
            np.array(group),
            held[group[0]].steps,
            {
                name: np.stack([_counted(held[place], curve.take(held[place])) for place in group])
                for name, curve in CURVES.items()
            },
            np.stack([_counted(held[place], held[place].figure(quality)) for place in group]),
        )
        for group in places.values()
    ]
    ranked = _Ranked([(curves, qualities, steps) for _, steps, curves, qualities in grids])
    for figure in FIGURES:
        values = np.full(len(held), math.nan)
        counts = np.zeros(len(held), dtype=np.int64)
        for place, (group, *_) in enumerate(grids):
            for rows, first, second, steps in ranked.of(place, figure):
                counts[group[rows]] = len(steps)
                if len(steps) >= STATISTICS[figure.statistic].least:
                    found = STATISTICS[figure.statistic].rows(first, second, steps)
                    values[group[rows]] = found
        yield figure, values, counts


class _Ranked:
    """Ranks of what is described, kept while several statistics are made from them.

    Args:
        grids: for all runs with common steps, the curves by name, quality, both of shape (runs, n)
            with NaN where an evaluation does not count, and the steps.
    """

    def __init__(self, grids: Sequence[tuple[Mapping[str, Vector], Vector, Vector]]) -> None:
        self._grids = grids
        self._kept: dict[tuple[int, str, int, str, int], list[_Rows]] = {}

    def of(self, place: int, figure: Figure) -> list[_Rows]:
        """The rows whose known evaluations are the same, with their ranks and steps."""
        key = (place, figure.curve, figure.lag, figure.smoother, figure.width)
        if key not in self._kept:
            curves, qualities, steps = self._grids[place]
            curve = curves[figure.curve]
            if figure.smoother:
                curve = smoothed(curve, figure.smoother, figure.width)
            first, second = lagged(curve, qualities, figure.lag)
            at, _ = lagged(steps, steps, figure.lag)
            self._kept[key] = _rows(first, second, at)
        return self._kept[key]


_Rows = tuple[npt.NDArray[np.int64], Vector, Vector, Vector]


def _counted(run: Evaluations, values: Vector) -> Vector:
    return np.where(run.counts, values, math.nan)


def _rows(first: Vector, second: Vector, steps: Vector) -> list[_Rows]:
    """Rows with the same known evaluations: which, the ranks of both sides there, the steps."""
    known = np.isfinite(first) & np.isfinite(second)
    places: dict[bytes, list[int]] = {}
    for place, row in enumerate(known):
        places.setdefault(row.tobytes(), []).append(place)
    found = []
    for rows in places.values():
        columns = known[rows[0]]
        if columns.any():
            sides = (ranks(side[rows][:, columns]) for side in (first, second))
            found.append((np.array(rows), *sides, steps[columns]))
    return found


def _why(figure: Figure, run: Evaluations, quality: str, count: int) -> str:
    """Why a run has no such figure, in words."""
    own = _counted(run, CURVES[figure.curve].take(run))
    values = own[np.isfinite(own)]
    if len(values) == 0:
        return "not recorded" if run.counts.any() else "no usable evaluation"
    if np.ptp(values) == 0 and len(values) > 1:
        return f"constant ({values[0]:.3g} at all {len(values)} evaluations)"
    score = run.counted(quality)
    if len(score) > 1 and np.ptp(score) == 0:
        return f"{quality} is constant ({score[0]:.3g} at all {len(score)} evaluations)"
    least = STATISTICS[figure.statistic].least
    if count < least:
        return f"only {count} of at least {least} evaluations"
    return "the step alone explains one of the two curves, or nothing varies"


def _together(seeds: npt.NDArray[np.int64], notes: npt.NDArray[np.object_]) -> str:
    """The notes of all seeds, each reason once."""
    by_reason: dict[str, list[int]] = {}
    for seed, note in zip(seeds.tolist(), notes.tolist(), strict=True):
        if note:
            by_reason.setdefault(note, []).append(seed)
    said = []
    for reason, having in by_reason.items():
        every = len(having) == len(seeds)
        word = "seed" if len(having) == 1 else "seeds"
        said.append(reason if every else f"{word} {', '.join(map(str, having))}: {reason}")
    return "; ".join(said)


def _mean(values: Vector) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else math.nan
