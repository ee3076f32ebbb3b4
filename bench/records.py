"""Records: what a sweep has left behind, in memory.

`store.collect` makes it; reports read nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

RUN_COLUMNS = (
    "run_id",
    "sweep",
    "label",
    "recipe",
    "lipschitz",
    "loss",
    "optimizer",
    "dataset",
    "network",
    "seed",
    "state",
    "dead_critic",
    "steps",
    "training_seconds",
    "images_seen",
    "fid_last",
    "fid_best",
)
CURVE_COLUMNS = (
    "run_id",
    "step",
    "training_seconds",
    "images_seen",
    "critic_loss",
    "penalty",
    "estimate",
    "estimate_held_out",
    "generator_loss",
    "critic_gradient_norm",
    "generator_gradient_norm",
    "lipschitz_lower_bound",
    "lipschitz_upper_bound",
    "estimate_window",
    "estimate_per_lipschitz",
    "estimate_certified",
    "critic_accuracy",
    "critic_gap",
    "critic_gap_held_out",
    "fake_gradient_norm",
    "weight_bimodality",
    "weights_at_limit",
    "known_w1",
    "fid",
    "kid",
    "inception_score",
    "precision",
    "recall",
    "exact_w1",
    "modes_covered",
    "high_quality_share",
    "mode_reverse_kl",
    "density",
    "coverage",
    "sliced_wasserstein",
)
# In the metadata of curves.parquet: {protocol id: {metric: score of real data against real data}}.
FLOORS = b"wgan_bench.floors"


@dataclass(frozen=True)
class Records:
    """The tidy tables of a sweep and what a reader needs to trust them.

    Attributes:
        sweep, question: the sweep's name and the question it asks.
        runs: one row per run of the sweep, finished or not; RUN_COLUMNS first, others may follow.
        curves: one row per run and step; CURVE_COLUMNS first, others may follow; NaN where a step
            has no such figure.
        protocols: the distinct score protocols met, each the JSON of its `protocol.json` (with
            `id`, `floor`, `baselines`).
        specs, environments: by run id, the contents of `spec.json` and `env.json`.
        samples: by run id, the PNG bytes of the last sample grid.
        folders: by run id, the run folder relative to the results folder.
        notes: sentences about what was found damaged or recovered while reading.
        profiles: by run id and name, the last profile (`wgan.diagnostics.profiles`).
        claims: the names of the claims that the sweep file lists.
        file: the sweep file, as the user names it; "" where that is not known.
    """

    sweep: str
    question: str
    runs: pd.DataFrame
    curves: pd.DataFrame
    protocols: list[dict[str, Any]]
    specs: dict[str, dict[str, Any]]
    environments: dict[str, dict[str, Any]]
    samples: dict[str, bytes]
    folders: dict[str, str]
    notes: list[str]
    profiles: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    claims: tuple[str, ...] = ()
    file: str = ""
