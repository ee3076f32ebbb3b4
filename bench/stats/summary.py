"""Each setting's final and best quality over its seeds."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bench.stats.intervals import Interval, mean_interval

QUALITY_COLUMNS = ("fid", "exact_w1")  # images, densities: low is good


@dataclass(frozen=True)
class Summary:
    """A label's quality and cost over its finished seeds (state `done`, dead critics among them).

    `best` is the mean over seeds of each run's lowest evaluation: picked by the very score that it
    reports, so optimistic.
    """

    label: str
    first: Interval
    final: Interval
    best: Interval
    training_seconds: Interval
    planned: int
    finished: int
    diverged: int
    dead: int
    unfinished: int


def quality_column(curves: pd.DataFrame, stated: str | None = None) -> str | None:
    """The quality measure these curves hold: what their protocol states, else FID or exact W1.

    None where they hold none.
    """
    for name in ((stated,) if stated else ()) + QUALITY_COLUMNS:
        if name in curves.columns and np.isfinite(curves[name].astype(float)).any():
            return name
    return None


def summarise(runs: pd.DataFrame, curves: pd.DataFrame, quality: str) -> list[Summary]:
    """Every label's summary, in the order in which the labels first stand in `runs`."""
    scored = curves[np.isfinite(curves[quality].astype(float))].sort_values("step")
    by_run = scored.groupby("run_id", sort=False)
    at_start = scored[scored["step"] == 0].set_index("run_id")[quality]
    last_step, last, best = by_run["step"].last(), by_run[quality].last(), by_run[quality].min()
    found = []
    for label, group in runs.groupby("label", sort=False):
        done = group[group["state"] == "done"]
        ids = done["run_id"]
        # A run's last score is its final one only where it was taken at its last step.
        final = last[ids[ids.map(last_step) == done["steps"]]] if len(ids) else last.iloc[:0]
        found.append(
            Summary(
                label=str(label),
                first=mean_interval(at_start.reindex(ids)),
                final=mean_interval(final),
                best=mean_interval(best.reindex(ids)),
                training_seconds=mean_interval(_floats(done, "training_seconds")),
                planned=len(group),
                finished=len(done),
                diverged=int((group["state"] == "diverged").sum()),
                dead=sum(flag is True or flag == 1 for flag in done["dead_critic"]),
                unfinished=int((~group["state"].isin(["done", "diverged"])).sum()),
            )
        )
    return found


def _floats(frame: pd.DataFrame, name: str) -> list[float]:
    if name not in frame.columns:
        return [math.nan] * len(frame)
    return [float(value) for value in pd.to_numeric(frame[name], errors="coerce")]
