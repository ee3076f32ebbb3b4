"""The statistics of loss against quality, and of methods: pure functions on arrays and DataFrames.

`rank` correlates within a run, `intervals` goes from runs to seeds, `verdicts` decides, `tracking`
applies the three to the tables of a sweep, `summary` gives each setting's final and best quality.
Beside that, deciding nothing: `bootstrap` (the secondary interval), `descriptions`, `final_models`,
`selection` (what choosing by the loss buys), `resolution` (what the data could have shown).
Settings against each other: `outcomes` has a row per run, on which `location`, `comparison`,
`performance`, `robustness`, `budgets`, `noise` and `choices` stand.
"""

from bench.stats.intervals import Interval, fisher_interval, mean_interval
from bench.stats.paired import holm, sign_flip
from bench.stats.rank import seed_swap, spearman, step_share, time_adjusted
from bench.stats.summary import Summary, quality_column, summarise
from bench.stats.tracking import SeedTracking, Tracking, dead_evaluations, track, usable
from bench.stats.verdicts import VERDICTS, Projection, Verdict, decide, project

__all__ = [
    "VERDICTS",
    "Interval",
    "Projection",
    "SeedTracking",
    "Summary",
    "Tracking",
    "Verdict",
    "dead_evaluations",
    "decide",
    "fisher_interval",
    "holm",
    "mean_interval",
    "project",
    "quality_column",
    "seed_swap",
    "sign_flip",
    "spearman",
    "step_share",
    "summarise",
    "time_adjusted",
    "track",
    "usable",
]
