"""Estimates held against an exact W1 that is known: the table of critics against frozen pairs."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.stats import Interval, mean_interval
from bench.tables import (
    Cell,
    Column,
    Table,
    interval_column,
    number,
    number_column,
    text_column,
)

# Column of the curves to its title; each is shown over the exact W1.
_FORMS = {
    "estimate_held_out": "raw",
    "estimate_per_lipschitz": "over K",
    "estimate_certified": "over norms",
}


def known_distances(runs: pd.DataFrame, curves: pd.DataFrame) -> pd.DataFrame:
    """Each run's last evaluation where the exact W1 was known, one row per run.

    Returns:
        the columns of `runs`, `step`, `known_w1`, the measured constant `lipschitz_lower_bound`,
        and of each form of the estimate its ratio to `known_w1`, under the form's own name.
    """
    if "known_w1" not in curves.columns:
        return pd.DataFrame()
    known = curves[curves["known_w1"].notna() & (curves["known_w1"] > 0)].sort_values("step")
    last = known.groupby("run_id", sort=False).last().reset_index()
    forms = [name for name in _FORMS if name in last.columns]
    last[forms] = last[forms].div(last["known_w1"], axis=0)
    kept = ["run_id", "step", "known_w1", "lipschitz_lower_bound", *forms]
    return runs.drop(columns="steps").merge(last[kept], on="run_id", how="inner")


def distances_table(runs: pd.DataFrame, curves: pd.DataFrame) -> Table | None:
    """The estimates over the exact W1 per label: 1 is right. None where no W1 is known."""
    frame = known_distances(runs, curves)
    if frame.empty:
        return None
    rows = []
    for label, group in frame.groupby("label", sort=False):
        estimates = group["estimate_held_out"].to_numpy(float)
        row = {
            "label": label,
            "distance": f"exact W1 {number(group['known_w1'].iloc[0])}",
            "lipschitz_lower_bound": group["lipschitz_lower_bound"].mean(),
            "wrong": int((estimates < 0).sum()),
            "n": len(group),
        }
        for form in _FORMS:
            held = group[form].to_numpy(float) if form in group else np.array([np.nan])
            interval: Interval = mean_interval(held)
            row |= {form: interval.center, f"{form}_low": interval.low}
            row |= {f"{form}_high": interval.high}
        rows.append(row)
    shown = pd.DataFrame(rows)
    columns = [
        text_column("setting", "label", "distance"),
        *(
            interval_column(title, form)
            for form, title in _FORMS.items()
            if shown[form].notna().any()
        ),
        number_column("K", "lipschitz_lower_bound"),
        Column("wrong sign", lambda row: Cell(f"{row['wrong']} of {row['n']}"), "right"),
    ]
    return Table(shown, tuple(columns), labelled=True)
