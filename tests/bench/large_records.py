"""Records of sweeps as large as anybody's: many labels, many seeds, long curves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from fake_records import fake_records

from bench.records import Records


def large_records(
    labels: int, seeds: int, evaluations: int = 100, *, long: bool = False
) -> Records:
    """One finished recipe over and over: `labels` settings of `seeds` seeds.

    Args:
        labels, seeds: how many.
        evaluations: of each run, step 0 among them.
        long: whether labels are as long as those of settings that differ in many fields.
    """
    one = fake_records(["wgan_gp"], range(seeds), evaluations=evaluations, pictures=False)
    draw = np.random.default_rng(0)
    runs, curves, environments, folders = [], [], {}, {}
    for place in range(labels):
        tail = (
            " (optimizer.adam.lr 0.0001, optimizer.adam.beta1 0.5, critic_steps 5)" if long else ""
        )
        named = {run: f"{place:04x}{run[4:]}{run[:4]}" for run in one.runs["run_id"]}
        own = one.curves.assign(run_id=one.curves["run_id"].map(named))
        size = np.exp(0.02 * draw.normal(size=(2, len(own))) + 0.02 * place)
        own["fid"] *= size[0]
        own["estimate_held_out"] *= size[1]
        curves.append(own)
        runs.append(
            one.runs.assign(run_id=list(named.values()), label=f"setting {place:03d}{tail}")
        )
        environments |= {named[run]: one.environments[run] for run in named}
        folders |= {run: f"quickstart/run--{run}" for run in named.values()}
    return replace(
        one,
        runs=pd.concat(runs, ignore_index=True),
        curves=pd.concat(curves, ignore_index=True),
        environments=environments,
        folders=folders,
    )
