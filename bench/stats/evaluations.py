"""The evaluations of every run as arrays, and which of them count.

Step 0, the critic's warm-up, dead stretches and values that are not finite are left out of every
figure of loss against quality. All runs are gone through at once: frames of a thousand runs, cut up
run by run, would take longer than all statistics on them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

PRIMARY_ESTIMATE = "estimate_held_out"
DEAD_STREAK = 3  # evaluations in a row
# Beside quality and step, what tells that a critic is dead.
DEATH_COLUMNS = (PRIMARY_ESTIMATE, "estimate_held_out_error", "score_std", "score_mean")
# Means over the training steps since the last row, which need not fall on an evaluation.
WINDOW_COLUMNS = ("critic_loss", "penalty", "generator_loss", "estimate_window")

Vector = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Evaluations:
    """A run's evaluations after its warm-up, in order of step; every array has shape (n,).

    Attributes:
        steps: when.
        figures: by column; NaN where an evaluation has no such figure, or one that is not finite.
            Figures of a training window are those of the last window that ended by then.
        dead: which belong to a dead stretch.
        counts: which count: alive, and with finite estimate and quality.
    """

    steps: Vector
    figures: Mapping[str, Vector]
    dead: Mask
    counts: Mask

    @property
    def left_out(self) -> int:
        """How many do not count."""
        return int(len(self.counts) - self.counts.sum())

    def counted(self, column: str) -> Vector:
        """A figure at the evaluations that count; NaN where it was not taken."""
        return self.figure(column)[self.counts]

    def figure(self, column: str) -> Vector:
        """A figure at all evaluations; NaN where it was not taken."""
        found = self.figures.get(column)
        return np.full(len(self.steps), math.nan) if found is None else found


def evaluations_by_run(
    curves: pd.DataFrame,
    quality: str,
    *,
    estimate: str = PRIMARY_ESTIMATE,
    floor: float | None = None,
    warm_up: Mapping[str, float] | None = None,
) -> dict[str, Evaluations]:
    """Every run's evaluations, by run id; runs without any row are not in it.

    Args:
        curves: run_id, step and the figures, one row per run and step.
        quality, estimate: the columns without which an evaluation does not count.
        floor: quality of real data against real data, by which dead stretches are known.
        warm_up: by run id, the last step of the critic's warm-up; 0 for those not named.
    """
    codes, ids = pd.factorize(curves["run_id"], sort=False)
    if len(ids) == 0:
        return {}
    steps = column_of(curves, "step")
    order = np.lexsort((steps, codes))
    codes, steps = codes[order], steps[order]
    figures = {
        str(name): np.where(np.isfinite(values := column_of(curves, name)), values, math.nan)[order]
        for name in curves.columns
        if name not in ("run_id", "step") and pd.api.types.is_numeric_dtype(curves[name].dtype)
    }
    _carry_windows(figures, codes)

    # Rows of training alone have neither a score nor an estimate, not even one that is not finite.
    scored = np.zeros(len(steps), dtype=bool)
    for name in {quality, PRIMARY_ESTIMATE} & set(curves.columns):
        scored |= curves[name].notna().to_numpy()[order]
    codes, steps = codes[scored], steps[scored]
    figures = {name: values[scored] for name, values in figures.items()}
    dead = dead_stretches(figures, steps, codes, quality, floor)
    ends = np.array([float((warm_up or {}).get(str(name), 0)) for name in ids])
    late = steps > np.maximum(ends, 0)[codes]

    nothing = np.full(len(steps), math.nan)
    finite = np.isfinite(figures.get(quality, nothing) + figures.get(estimate, nothing))
    counts = ~dead & finite
    codes, steps, dead, counts = codes[late], steps[late], dead[late], counts[late]
    figures = {name: values[late] for name, values in figures.items()}
    bounds = np.searchsorted(codes, np.arange(len(ids) + 1))
    return {
        str(name): Evaluations(
            steps[start:end],
            {column: values[start:end] for column, values in figures.items()},
            dead[start:end],
            counts[start:end],
        )
        for name, start, end in zip(ids, bounds, bounds[1:], strict=False)
    }


def dead_stretches(
    figures: Mapping[str, Vector],
    steps: Vector,
    codes: npt.NDArray[np.integer],
    quality: str,
    floor: float | None,
) -> Mask:
    """Which evaluations belong to a dead stretch; shape (n,).

    At three or more in a row the critic either cannot tell real from fake (the held-out estimate
    lies within 3 standard errors of 0) while quality is more than twice the floor, or gives
    constant scores (standard deviation below 1e-6 of their mean's size). Columns that are not there
    make no evaluation dead.

    Args:
        figures: by column, in order of run and step.
        steps, codes: the step and the run of each.
        quality, floor: the quality measure, and its value for real data; None where not known.
    """

    def column(name: str) -> Vector:
        found = figures.get(name)
        return np.full(len(steps), math.nan) if found is None else found

    limit = 2 * (math.nan if floor is None else floor)
    with np.errstate(invalid="ignore"):
        blind = np.abs(column(PRIMARY_ESTIMATE)) <= 3 * column("estimate_held_out_error")
        blind &= column(quality) > limit
        constant = column("score_std") <= 1e-6 * np.abs(column("score_mean"))
    # At step 0 the critic has learnt nothing yet, so it cannot have died.
    dead: Mask = (blind | constant) & (steps > 0)
    if not len(dead):
        return dead
    starts = np.concatenate([[True], (dead[1:] != dead[:-1]) | (codes[1:] != codes[:-1])])
    stretch = np.cumsum(starts) - 1
    long_enough: Mask = np.bincount(stretch)[stretch] >= DEAD_STREAK
    return dead & long_enough


def column_of(frame: pd.DataFrame, name: str) -> Vector:
    """A column as numbers, NaN where it is not there."""
    if name not in frame.columns:
        return np.full(len(frame), np.nan)
    return frame[name].to_numpy(dtype=np.float64, na_value=np.nan)


def _carry_windows(figures: dict[str, Vector], codes: npt.NDArray[np.integer]) -> None:
    """Give rows without a training window the figures of the last one before, in place."""
    columns = [name for name in WINDOW_COLUMNS if name in figures]
    if not columns:
        return
    places = np.arange(len(codes))
    closed = np.logical_or.reduce([~np.isnan(figures[name]) for name in columns])
    last = np.maximum.accumulate(np.where(closed, places, -1))
    same_run = (last >= 0) & (codes[last] == codes)
    for name in columns:
        figures[name] = np.where(same_run, figures[name][last], math.nan)
