"""The last model, the one that the loss would have chosen, and the best: three figures apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from bench.stats.intervals import Interval, mean_interval
from bench.stats.outcomes import FINAL


@dataclass(frozen=True)
class Choice:
    """A label's quality by the model that is taken; means over runs with t intervals.

    Attributes:
        label: whose.
        last: of the final model.
        chosen: of the evaluation with the smallest held-out estimate (not step 0, no dead critic).
        best: the lowest, picked by the very score that it reports: optimistic.
        gain: last minus chosen within runs; above 0 the loss chose a better model than the last.
    """

    label: str
    last: Interval
    chosen: Interval
    best: Interval
    gain: Interval


def choices(frame: pd.DataFrame) -> list[Choice]:
    """Every label's three figures, in the order of `frame` (`bench.stats.outcomes.outcomes`)."""
    found = []
    for label, group in frame.groupby("label", sort=False):
        rows = group[group["status"] == FINAL]
        last, chosen = rows["final"].to_numpy(dtype=float), rows["chosen"].to_numpy(dtype=float)
        known = np.isfinite(chosen)
        found.append(
            Choice(
                str(label),
                mean_interval(last),
                mean_interval(chosen),
                mean_interval(rows["best"]),
                mean_interval(last[known] - chosen[known]),
            )
        )
    return found
