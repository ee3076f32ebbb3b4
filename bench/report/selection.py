"""Which recipes and seeds the figures show where there are more than can be told apart.

Nothing is left out of the tables. What a figure leaves out is said in its caption.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from bench.report.sentences import quality_name

MOST_LABELS = 24  # panels that still fit a page
MOST_SEEDS = 10  # as many as there are markers


@dataclass(frozen=True)
class Drawn:
    """The runs that figures draw.

    Attributes:
        labels: of them, in the order of the runs.
        runs: every run of these labels.
        first_seeds: of each label the runs with its lowest seeds, for figures of single runs.
        labels_note, seeds_note: sentences on what is left out; empty where nothing is.
    """

    labels: tuple[str, ...]
    runs: pd.DataFrame
    first_seeds: pd.DataFrame
    labels_note: str
    seeds_note: str


def drawn(runs: pd.DataFrame, curves: pd.DataFrame, quality: str) -> Drawn:
    """What is drawn: all of a sweep of usual size, else a fair part of it.

    Too many recipes are thinned evenly from the lowest to the highest mean of their runs' last
    `quality`, both ends among them, so that good and bad ones are shown alike.
    """
    labels = list(dict.fromkeys(runs["label"]))
    labels_note = seeds_note = ""
    chosen = set(labels)
    if len(labels) > MOST_LABELS:
        ranked = _ranked(runs, curves, quality)
        places = np.linspace(0, len(ranked) - 1, MOST_LABELS).round().astype(int)
        chosen = {ranked[place] for place in places}
        labels_note = (
            f" Drawn are {MOST_LABELS} of {len(labels)} recipes, spaced evenly from the lowest to "
            f"the highest mean of the runs' last {quality_name(quality)}; the tables hold all."
        )
    kept = runs[runs["label"].isin(chosen)]
    place = kept.sort_values(["seed", "run_id"]).groupby("label", sort=False).cumcount()
    first = kept[place.reindex(kept.index) < MOST_SEEDS]
    if len(first) < len(kept):
        most = int(kept.groupby("label").size().max())
        seeds_note = (
            f" Of each recipe the {MOST_SEEDS} lowest seeds are drawn, of {most} at most; the "
            "tables hold all."
        )
    kept_labels = tuple(label for label in labels if label in chosen)
    return Drawn(kept_labels, kept, first, labels_note, seeds_note)


def _ranked(runs: pd.DataFrame, curves: pd.DataFrame, quality: str) -> list[str]:
    """The labels from the lowest mean last quality to the highest, unknown ones last."""
    scored = curves[np.isfinite(curves[quality].astype(float))].sort_values("step", kind="stable")
    last = scored.groupby("run_id", sort=False)[quality].last()
    means = runs["run_id"].map(last).astype(float).groupby(runs["label"], sort=False).mean()
    ordered = means.sort_values(kind="stable", na_position="last")
    return [str(label) for label in ordered.index]
