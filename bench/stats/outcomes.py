"""What each run ended with: its final model's quality, its best, and the one chosen by loss.

One row per run, on which the comparison of methods stands. A run that diverged has no final model.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from bench.stats.evaluations import PRIMARY_ESTIMATE, evaluations_by_run
from bench.stats.tracking import warm_up_ends

FINAL, DIVERGED, UNSCORED, UNFINISHED = "final", "diverged", "unscored", "unfinished"
_FRESH = ("fresh_mean", "fresh_sd")
# By which evaluations count and are chosen.
_OF_THE_CRITIC = (PRIMARY_ESTIMATE, "estimate_held_out_error", "score_mean", "score_std")


def outcomes(
    runs: pd.DataFrame, curves: pd.DataFrame, quality: str, *, floor: float | None = None
) -> pd.DataFrame:
    """One row per run, labels in the order in which they first stand in `runs`, then by seed.

    Args:
        runs: columns run_id, label, seed, state, steps, and those that `methods` reads.
        curves: columns run_id, step, `quality` (low is good), and where they are there the held-out
            estimate, what tells a dead stretch, and the figures of fresh samples.
        quality: such as "fid".
        floor: quality of real data, one of the things needed to know a dead stretch.

    Returns:
        label, method, run_id, seed; status ("final", "diverged", "unscored": done without a score
        at its last step, "unfinished"); final, best (the lowest evaluation, step 0 among them),
        chosen and chosen_step (the evaluation of smallest held-out estimate, step 0, the critic's
        warm-up and dead stretches left out), fresh_mean, fresh_sd and fresh_sets (of the final
        model). NaN where there is none; all of them belong to runs of status "final".
    """
    frame = runs[["label", "run_id", "seed"]].assign(method=methods(runs))
    scored = curves[np.isfinite(curves[quality].astype(float))].sort_values("step")
    by_run = scored.groupby("run_id", sort=False)
    last = by_run.tail(1).set_index("run_id").reindex(runs["run_id"])
    done = (runs["state"] == "done").to_numpy()
    # A run's last score is its final one only where it was taken at its last step.
    at_end = done & (last["step"].to_numpy() == runs["steps"].to_numpy())
    frame["status"] = np.select(
        [(runs["state"] == "diverged").to_numpy(), at_end, done],
        [DIVERGED, FINAL, UNSCORED],
        UNFINISHED,
    )
    found = {"final": last[quality], "best": by_run[quality].min().reindex(runs["run_id"])}
    found |= {name: _column(last, f"{quality}_{name}") for name in _FRESH}
    found["fresh_sets"] = _column(last, "fresh_sets")
    for name, values in found.items():
        frame[name] = np.where(at_end, values.to_numpy(dtype=float), np.nan)
    chosen = _chosen(runs, curves, quality, floor).reindex(runs["run_id"]).to_numpy(dtype=float)
    frame[["chosen", "chosen_step"]] = np.where(at_end[:, None], chosen, np.nan)
    place = {label: rank for rank, label in enumerate(dict.fromkeys(runs["label"]))}
    frame = frame.assign(place=frame["label"].map(place)).sort_values(["place", "seed", "run_id"])
    return frame.drop(columns="place").reset_index(drop=True)


def methods(runs: pd.DataFrame) -> list[str]:
    """What each run's setting is a setting of: its recipe, else its Lipschitz method and loss.

    Runs of one recipe that differ in method or loss, by an override, are told apart.
    """
    recipes = [
        "" if value is None or value is pd.NA or value != value else str(value)
        for value in (runs["recipe"] if "recipe" in runs.columns else [None] * len(runs))
    ]
    kinds = [f"{how}, {loss}" for how, loss in zip(runs["lipschitz"], runs["loss"], strict=True)]
    held: dict[str, set[str]] = {}
    for recipe, kind in zip(recipes, kinds, strict=True):
        held.setdefault(recipe, set()).add(kind)
    return [
        kind if not recipe else recipe if len(held[recipe]) == 1 else f"{recipe} ({kind})"
        for recipe, kind in zip(recipes, kinds, strict=True)
    ]


def values_by_label(frame: pd.DataFrame, column: str = "final") -> dict[str, list[float]]:
    """Each label's finite values, in the order of seeds; labels without any have an empty list."""
    return {
        str(label): [float(value) for value in group[column] if math.isfinite(value)]
        for label, group in frame.groupby("label", sort=False)
    }


def count_by_label(frame: pd.DataFrame, status: str) -> dict[str, int]:
    """How many runs of each label have this status."""
    hits = (frame["status"] == status).groupby(frame["label"], sort=False).sum()
    return {str(label): int(count) for label, count in hits.items()}


def by_median(frame: pd.DataFrame) -> list[str]:
    """The labels from the lowest median of final quality to the highest, those without any last."""
    medians = frame.groupby("label", sort=False)["final"].median()
    return [str(label) for label in medians.sort_values(kind="stable", na_position="last").index]


def _chosen(
    runs: pd.DataFrame, curves: pd.DataFrame, quality: str, floor: float | None
) -> pd.DataFrame:
    """By run, quality and step of the evaluation with the smallest held-out estimate."""
    kept = [name for name in ("run_id", "step", quality, *_OF_THE_CRITIC) if name in curves.columns]
    taken = evaluations_by_run(curves[kept], quality, floor=floor, warm_up=warm_up_ends(runs))
    rows = {}
    for run_id, evaluations in taken.items():
        if evaluations.counts.any():
            # The first of equals.
            place = int(evaluations.counted(PRIMARY_ESTIMATE).argmin())
            steps = evaluations.steps[evaluations.counts]
            rows[run_id] = (float(evaluations.counted(quality)[place]), float(steps[place]))
    return pd.DataFrame.from_dict(rows, orient="index", columns=["chosen", "chosen_step"])


def _column(frame: pd.DataFrame, name: str) -> pd.Series:
    return frame[name] if name in frame.columns else pd.Series(math.nan, frame.index, dtype=float)
