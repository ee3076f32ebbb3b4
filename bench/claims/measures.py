"""Measures: one number of a run, NaN where it has none. What claims compare.

A measure of quality is NaN for a run that diverged: it has no final model. `contrasts` treat such
seeds both ways.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from bench.claims.observations import Observation
from bench.stats.rank import time_adjusted
from bench.stats.tracking import PRIMARY_ESTIMATE, usable

Measure = Callable[[Observation], float]


def last(column: str) -> Measure:
    """The last value of a column; NaN for a run that is not done."""

    def measure(run: Observation) -> float:
        _, values = run.column(column)
        return float(values[-1]) if run.state == "done" and len(values) else math.nan

    return measure


def final(column: str) -> Measure:
    """The last value of a column before the run ended, however it ended."""

    def measure(run: Observation) -> float:
        _, values = run.column(column)
        return float(values[-1]) if len(values) else math.nan

    return measure


def at_step(column: str, step: int) -> Measure:
    """The value of a column at a step; NaN where the run has none there."""

    def measure(run: Observation) -> float:
        steps, values = run.column(column)
        there = values[steps == step]
        return float(there[0]) if len(there) else math.nan

    return measure


def largest(column: str) -> Measure:
    """The largest value of a column over the run, however it ended."""

    def measure(run: Observation) -> float:
        _, values = run.column(column)
        return float(values.max()) if len(values) else math.nan

    return measure


def late(column: str, reduce: Callable[[Sequence[float]], float], share: float = 0.5) -> Measure:
    """A figure of a column's values over the last `share` of the steps of a run that is done."""

    def measure(run: Observation) -> float:
        steps, values = run.column(column)
        kept = values[steps >= (1 - share) * run.spec.config.steps]
        if run.state != "done" or len(kept) < 3:
            return math.nan
        return float(reduce(list(map(float, kept))))

    return measure


def over(first: Measure, second: Measure) -> Measure:
    """One measure divided by another; NaN where the second is 0."""

    def measure(run: Observation) -> float:
        above, below = first(run), second(run)
        return above / below if below else math.nan

    return measure


def at_least(measure: Measure, least: float) -> Measure:
    """A measure that is cut below, so that 0 has a logarithm."""

    def cut(run: Observation) -> float:
        value = measure(run)
        return max(value, least) if math.isfinite(value) else value

    return cut


def diverged(run: Observation) -> float:
    """1 for a run that diverged, else 0."""
    return float(run.state == "diverged")


def failed_to_learn(column: str, level: float) -> Measure:
    """1 for a run that diverged or ended with `column` above `level`, else 0."""

    def measure(run: Observation) -> float:
        if run.state == "diverged":
            return 1.0
        value = last(column)(run)
        return float(value > level) if math.isfinite(value) else math.nan

    return measure


def reached(column: str, level: float) -> Measure:
    """The share of the steps until `column` first fell to `level`; 2 where it never did."""

    def measure(run: Observation) -> float:
        steps, values = run.column(column)
        there = steps[values <= level]
        return float(there[0]) / run.spec.config.steps if len(there) else 2.0

    return measure


def seconds_per_step(run: Observation) -> float:
    """Training seconds per generator update, evaluation excluded."""
    steps = float(run.row["steps"] or 0)
    return float(run.row["training_seconds"]) / steps if steps else math.nan


def tracking(quality: str, estimate: str = PRIMARY_ESTIMATE) -> Measure:
    """The time-adjusted rank correlation of an estimate with the quality (STATISTICS section 1)."""

    def measure(run: Observation) -> float:
        if run.state != "done":
            return math.nan
        counted = counted_rows(run, quality, estimate)
        columns = (counted[name].to_numpy() for name in (estimate, quality, "step"))
        return time_adjusted(*columns)

    return measure


def overfitting(run: Observation) -> float:
    """Training less held-out estimate over the scores' standard deviation, mean of the last half.

    It has no scale: about 0 where the critic scores unseen images as those it was trained on.
    """
    columns = [run.column(name) for name in ("estimate", "estimate_held_out", "score_std")]
    steps = set.intersection(*(set(steps) for steps, _ in columns))
    kept = sorted(step for step in steps if step >= run.spec.config.steps / 2)
    if run.state != "done" or not kept:
        return math.nan
    train, held_out, spread_of_scores = (values[np.isin(steps, kept)] for steps, values in columns)
    if not spread_of_scores.all():
        return math.nan
    return float(np.mean((train - held_out) / spread_of_scores))


def counted_rows(run: Observation, quality: str, estimate: str) -> pd.DataFrame:
    """A run's evaluations that count: columns step, `estimate` and `quality`."""
    floor = run.floor.get(quality)
    counted, _ = usable(
        run.curve,
        quality,
        estimate=estimate,
        floor=float(floor) if isinstance(floor, int | float) else None,
    )
    return counted


def spread(values: Sequence[float]) -> float:
    """The standard deviation of values (divisor n - 1); for `late`."""
    return float(np.std(values, ddof=1))


def jitter(values: Sequence[float]) -> float:
    """Median size of the second difference of the logarithms: what is no steady fall; for `late`.

    A curve that falls by the same share from each value to the next has none.
    """
    if min(values) <= 0:
        return math.nan
    return float(np.median(np.abs(np.diff(np.log(values), n=2))))


def highest_peak(values: Sequence[float]) -> float:
    """The largest over the median: how far the highest spike stands out; for `late`."""
    middle = float(np.median(values))
    return max(values) / middle if middle else math.nan


def deepest_trough(values: Sequence[float]) -> float:
    """The median over that of the lowest twentieth in a row: how low a zone lies; for `late`.

    Infinite values are cut at 1e12, where a whole zone is 0.
    """
    length = max(1, len(values) // 20)
    zones = np.lib.stride_tricks.sliding_window_view(np.asarray(values), length)
    lowest = float(np.median(zones, axis=1).min())
    middle = float(np.median(values))
    return min(middle / lowest, 1e12) if lowest > 0 else 1e12 if middle > 0 else math.nan


def log_spread(values: Sequence[float]) -> float:
    """The standard deviation of the logarithms, zeros at the smallest that is not; for `late`."""
    there = np.asarray([value for value in values if value > 0])
    if not len(there):
        return math.nan
    return float(np.std(np.log(np.maximum(values, there.min())), ddof=1))
