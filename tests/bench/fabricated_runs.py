"""Finished runs that never were, one for each run of a sweep, with the columns that it would leave.

A claim that asks for a figure which its sweep does not record finds nothing here either.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bench.claims import Observations
from bench.claims.observations import Observation
from bench.collect import RUN_TYPES
from bench.evaluate import COLUMNS, chosen_metrics
from bench.spec import RunSpec
from wgan.data import Density

# Of every training row, and of those of a generator that is trained.
TRAINING = (
    "critic_loss",
    "penalty",
    "estimate_window",
    "critic_gradient_norm",
    "largest_score",
    "weight_norm",
)
GENERATING = ("generator_loss", "generator_gradient_norm")
DIAGNOSED = (
    "estimate",
    "estimate_held_out",
    "estimate_held_out_error",
    "critic_accuracy",
    "score_mean",
    "score_std",
    "fake_gradient_norm",
    "lipschitz_gradient",
    "lipschitz_ratio",
    "lipschitz_lower_bound",
    "estimate_per_lipschitz",
    "weight_bimodality",
)


def fabricated(specs: list[RunSpec]) -> Observations:
    """A finished run for each, of random positive figures."""
    return Observations([_run(spec, np.random.default_rng([1, n])) for n, spec in enumerate(specs)])


def evaluation_columns(spec: RunSpec) -> list[str]:
    """The columns that an evaluation of this run fills."""
    config, asked = spec.config, spec.evaluate
    data = config.dataset.load() if len(config.dataset.shape) == 1 else None
    density = data if isinstance(data, Density) else None
    metrics = chosen_metrics(asked, config.dataset, density)
    columns = [*DIAGNOSED, *(column for metric in metrics for column in COLUMNS[metric])]
    if density is not None and config.generator.known_w1(density) is not None:
        columns.append("known_w1")
    if asked.upper_bound:
        columns += ["lipschitz_upper_bound", "estimate_certified"]
    if asked.gap_updates:
        columns += ["critic_gap", "critic_gap_held_out"]
    if asked.ascent_steps:
        columns.append("lipschitz_ascent")
    if any(method.weight_limit is not None for method in config.lipschitz):
        columns.append("weights_at_limit")
    return columns


def _run(spec: RunSpec, draw: np.random.Generator) -> Observation:
    last = spec.config.steps
    rows = {*range(spec.log_every, last + 1, spec.log_every), last}
    scored = {*range(0, last + 1, spec.evaluate.every), last}
    steps = np.array(sorted(rows | scored))
    curve = pd.DataFrame({"step": steps})
    own = (*TRAINING, *(GENERATING if spec.config.generator.trains else ()))
    for names, there in ((own, rows), (evaluation_columns(spec), scored)):
        missing = ~np.isin(steps, sorted(there))
        for name in names:
            values = np.exp(draw.normal(0, 1, len(steps)))
            values[missing] = np.nan
            curve[name] = values
    row: dict[str, Any] = {
        name: float(np.exp(draw.normal(0, 1))) for name, kind in RUN_TYPES.items() if kind != "str"
    }
    row |= {"state": "done", "steps": last, "seed": spec.config.seed, "dead_critic": False}
    profiles = {name: PROFILES[name](draw) for name in spec.evaluate.profiles}
    return Observation(spec, row, curve, profiles, {"fid": 0.1, "exact_w1": 0.01})


def _layer_gradients(draw: np.random.Generator) -> dict[str, Any]:
    return {"layers": list("abcd"), "gradient_norms": np.exp(draw.normal(0, 1, 4)).tolist()}


def _weight_histogram(draw: np.random.Generator) -> dict[str, Any]:
    counts = draw.integers(1, 100, 60).tolist()
    return {"edges": np.linspace(-0.01, 0.01, 61).tolist(), "counts": counts, "limit": 0.01}


def _value_surface(draw: np.random.Generator) -> dict[str, Any]:
    ticks = np.linspace(-1, 1, 5).tolist()
    points = draw.normal(0, 1, (2, 20, 2)).tolist()
    scores = draw.normal(0, 1, (5, 5)).tolist()
    return {"x": ticks, "y": ticks, "scores": scores, "real": points[0], "fake": points[1]}


PROFILES = {
    "layer_gradients": _layer_gradients,
    "weight_histogram": _weight_histogram,
    "value_surface": _value_surface,
}
