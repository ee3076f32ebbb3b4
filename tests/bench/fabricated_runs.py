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
    "critic_gradient_norm_largest",
    "largest_score",
    "weight_norm",
)
GENERATING = (
    "generator_loss",
    "generator_gradient_norm",
    "generator_gradient_norm_largest",
)
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
QUALITY = ("fid", "exact_w1", "sliced_wasserstein")


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
    if asked.halves:
        columns += [f"{_quality(spec)}_first_half", f"{_quality(spec)}_second_half"]
    if any(method.weight_limit is not None for method in config.lipschitz):
        columns.append("weights_at_limit")
    return columns


def _quality(spec: RunSpec) -> str:
    dataset = spec.config.dataset
    if len(dataset.shape) > 1:
        return "fid"
    return "exact_w1" if dataset.shape[0] <= 2 else "sliced_wasserstein"


def _once(spec: RunSpec) -> dict[str, set[int]]:
    """The columns that hold a figure at one step only."""
    columns: dict[str, set[int]] = {}
    if spec.evaluate.step_cost:
        columns |= {"critic_step_bytes": {0}, "critic_step_flops": {0}}
    if spec.evaluate.fresh_sets:
        end = {spec.config.steps}
        quality = _quality(spec)
        columns |= {f"{quality}_fresh_mean": end, f"{quality}_fresh_sd": end, "fresh_sets": end}
    return columns


def _run(spec: RunSpec, draw: np.random.Generator) -> Observation:
    last = spec.config.steps
    rows = {*range(spec.log_every, last + 1, spec.log_every), last}
    scored = {*range(0, last + 1, spec.evaluate.every), last}
    steps = np.array(sorted(rows | scored))
    columns: dict[str, Any] = {"step": steps}
    own = (*TRAINING, *(GENERATING if spec.config.generator.trains else ()))
    filled = [(own, rows), (evaluation_columns(spec), scored)]
    filled += [((name,), there) for name, there in _once(spec).items()]
    for names, there in filled:
        missing = ~np.isin(steps, sorted(there))
        for name in names:
            values = np.exp(draw.normal(0, 1, len(steps)))
            # A critic whose estimate is all error counts as dead.
            values *= 0.01 if name == "estimate_held_out_error" else 1.0
            # Quality gets better by far: claims ask when it first fell to a share of what it was.
            values *= 1 + 1e4 * np.exp(-20 * steps / last) if name in QUALITY else 1.0
            values[missing] = np.nan
            columns[name] = values
    row: dict[str, Any] = {
        name: float(np.exp(draw.normal(0, 1))) for name, kind in RUN_TYPES.items() if kind != "str"
    }
    row |= {"state": "done", "steps": last, "seed": spec.config.seed, "dead_critic": False}
    profiles = {name: PROFILES[name](draw) for name in spec.evaluate.profiles}
    return Observation(spec, row, pd.DataFrame(columns), profiles, {"fid": 0.1, "exact_w1": 0.01})


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
