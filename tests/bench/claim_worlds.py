"""Runs that never were, for claims: settings that are real, curves that are written by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bench.claims.observations import Observation, Observations
from bench.spec import RunSpec
from wgan.config import TrainConfig

SEEDS = range(10)
SMALL: dict[str, Any] = {"dataset": "ring8", "network": {"mlp": {"width": 8}}, "steps": 100}


def observed(
    settings: Mapping[str, Any],
    seed: int,
    columns: Mapping[str, Sequence[float]],
    *,
    state: str = "done",
    steps: Sequence[int] | None = None,
    recipe: str | None = None,
    **row: Any,
) -> Observation:
    """A run with these settings whose curve holds these columns, spread evenly over its steps."""
    config = TrainConfig.from_plain({**SMALL, **settings, "seed": seed})
    count = len(next(iter(columns.values()), ()))
    at = np.linspace(0, config.steps, count).round() if steps is None else np.array(steps)
    curve = pd.DataFrame({"step": at.astype(int), **columns})
    spec = RunSpec(sweep="s", label="l", config=config, recipe=recipe)
    told = {"state": state, "steps": config.steps, "training_seconds": 1.0, **row}
    return Observation(spec, told, curve)


def world(
    cells: Sequence[tuple[Mapping[str, Any], Mapping[str, Sequence[Sequence[float]]]]],
    lost: Mapping[int, Sequence[int]] | None = None,
) -> Observations:
    """Observations of cells: settings, and per column one curve for each seed.

    Args:
        lost: by cell, the seeds whose run diverged.
    """
    runs = []
    for place, (settings, columns) in enumerate(cells):
        for seed in range(len(next(iter(columns.values())))):
            state = "diverged" if seed in (lost or {}).get(place, ()) else "done"
            own = {name: curves[seed] for name, curves in columns.items()}
            runs.append(observed(settings, seed, own, state=state))
    return Observations(runs)


def ends(values: Sequence[float]) -> list[list[float]]:
    """For each seed a curve of three evaluations that ends at its value."""
    return [[9.0, 5.0, value] for value in values]
