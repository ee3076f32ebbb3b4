"""Quality at equal budgets: after equal steps, and after equal training seconds.

A method that takes five critic steps per generator step is not compared fairly by steps alone, nor
by seconds where its runs had another machine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bench.stats.intervals import Interval, mean_interval
from bench.stats.outcomes import FINAL


@dataclass(frozen=True)
class Budget:
    """A label's finished runs at the common budgets; means with t intervals.

    `at_steps` and `at_seconds` are quality at the last evaluation within the budget; `seconds_used`
    is what the common steps took, `steps_reached` the step of the evaluation that `at_seconds` is
    of. `n` of an interval is the number of runs in it.
    """

    label: str
    at_steps: Interval
    seconds_used: Interval
    at_seconds: Interval
    steps_reached: Interval


@dataclass(frozen=True)
class Budgets:
    """What all finished runs reach, and what each label has there.

    `steps` and `seconds` are the largest that every one of them reaches at an evaluation; None
    without finished runs, or where no time is recorded for some run.
    """

    steps: int | None
    seconds: float | None
    labels: tuple[Budget, ...]


def at_equal_budgets(frame: pd.DataFrame, curves: pd.DataFrame, quality: str) -> Budgets:
    """Quality of every label at the largest common steps and at the largest common seconds.

    Nothing is interpolated: a run stands at its last evaluation at or before the budget.

    Args:
        frame: made by `bench.stats.outcomes.outcomes`; only runs with a final model count.
        curves: columns run_id, step, training_seconds (evaluation left out), `quality`.
    """
    finished = frame[frame["status"] == FINAL]
    rows = curves[curves["run_id"].isin(finished["run_id"])]
    rows = rows[np.isfinite(rows[quality].astype(float))].sort_values("step")
    steps, seconds = _common(rows, "step"), _common(rows, "training_seconds")
    by_steps, by_seconds = _within(rows, "step", steps), _within(rows, "training_seconds", seconds)
    found = []
    for label, group in frame.groupby("label", sort=False):
        ids = group.loc[group["status"] == FINAL, "run_id"]
        early, timed = by_steps.reindex(ids), by_seconds.reindex(ids)
        found.append(
            Budget(
                str(label),
                mean_interval(early[quality]),
                mean_interval(early["training_seconds"]),
                mean_interval(timed[quality]),
                mean_interval(timed["step"]),
            )
        )
    return Budgets(None if steps is None else int(steps), seconds, tuple(found))


def _common(rows: pd.DataFrame, column: str) -> float | None:
    """The largest value of the column that every run reaches."""
    if rows.empty or column not in rows.columns:
        return None
    least = float(rows.groupby("run_id")[column].max().min(skipna=False))
    return least if math.isfinite(least) else None


def _within(rows: pd.DataFrame, column: str, budget: float | None) -> pd.DataFrame:
    """Each run's last evaluation at or before the budget, by run id."""
    kept = rows.iloc[:0] if budget is None else rows[rows[column] <= budget]
    last = kept.groupby("run_id", sort=False).tail(1).set_index("run_id")
    return last if "training_seconds" in last.columns else last.assign(training_seconds=np.nan)
