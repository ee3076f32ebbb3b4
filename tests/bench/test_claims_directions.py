"""What a claim's sentence says is what its test finds: in a world where it is so, and in another.

Runs are those of the claim's own sweep; what they have measured is written by hand.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench.claims import CLAIMS, Observations, all_claims
from bench.claims.evidence import REFUTED, SUPPORTED, combine, find
from bench.claims.observations import Observation
from bench.grid import load
from bench.spec import RunSpec

FOLDER = Path(__file__).parents[2] / "sweeps" / "claims"
FAMILIES = ("coverage", "clipping", "penalty", "constraints")
# From a run to what it ends with: columns, `first:` columns at step 0, "ratio" of a layer profile,
# "seconds" of training.
Rule = Callable[[RunSpec], dict[str, float]]

all_claims()


@functools.cache
def planned(sweep: str) -> list[RunSpec]:
    return load(FOLDER / f"{sweep}.yaml").runs


def world(sweep: str, rule: Rule) -> Observations:
    return Observations([made(run, rule(run)) for run in planned(sweep)])


def made(spec: RunSpec, told: dict[str, float]) -> Observation:
    steps = np.array([0, *(np.linspace(0.25, 1, 20) * spec.config.steps).round()])
    noise = np.random.default_rng(spec.config.seed).normal(0, 0.01)
    curve: dict[str, Any] = {"step": steps.astype(int)}
    for name, value in told.items():
        if name in ("ratio", "seconds") or name.startswith("first:"):
            continue
        signed = value * np.exp(noise) if value != round(value) else value
        curve[name] = np.full(len(steps), float(signed))
        curve[name][0] = told.get(f"first:{name}", signed)
        if name in FALLING:  # to its end along powers of the share of the steps
            curve[name] = 1000 * (signed / 1000) ** (steps / spec.config.steps)
        if name in GROWING:
            curve[name] = signed * np.maximum(steps, 1) ** told["first:" + name]
    profile = {"gradient_norms": [told.get("ratio", 1.0) * np.exp(noise), 5.0, 1.0]}
    row = {
        "state": "done",
        "steps": spec.config.steps,
        "training_seconds": told.get("seconds", 1.0) * spec.config.steps * np.exp(noise),
    }
    return Observation(spec, row, pd.DataFrame(curve), {"layer_gradients": profile})


FALLING, GROWING = {"fid"}, {"largest_score"}


def method(spec: RunSpec) -> str:
    return spec.config.method


def field(spec: RunSpec, name: str) -> Any:
    return getattr(spec.config.lipschitz[0], name)


def recipes(column: str, **values: float) -> Rule:
    return lambda spec: {column: values[str(spec.recipe)]}


def methods(column: str, *, others: float = 1.5, **values: float) -> Rule:
    return lambda spec: {column: values.get(method(spec), others)}


def parts(low: float, high: float) -> tuple[Rule, Rule]:
    """What a part of digits ends with, against the whole: less, and more."""

    def rule(of_part: float, whole: float) -> Rule:
        def told(spec: RunSpec) -> dict[str, float]:
            digits: Any = spec.config.dataset
            value = of_part if digits.images or digits.bias else whole
            return {"recall": value, "coverage": value}

        return told

    return rule(low, high), rule(high, low)


def limits(grid: float, roll: float) -> Rule:
    """The best clipping limit on either data set."""

    def told(spec: RunSpec) -> dict[str, float]:
        best = grid if spec.config.dataset.name == "grid25" else roll
        return {"exact_w1": 0.5 + abs(np.log(field(spec, "limit") / best))}

    return told


def of_pairs(**by_method: tuple[float, float, float]) -> Rule:
    """Estimate and estimate over K of each method on shift, scaling and ring, W1 being 1."""

    def told(spec: RunSpec) -> dict[str, float]:
        place = ["shifted_gaussians", "scaled_gaussians", "noiseless_ring"].index(
            spec.config.dataset.name
        )
        share = by_method.get(method(spec), (0.51, 0.51, 0.51))[place]
        return {
            "known_w1": 1,
            "estimate_held_out": share,
            "estimate_per_lipschitz": share,
            "lipschitz_lower_bound": share,
        }

    return told


def norms(clipped: float, penalised: float) -> Rule:
    """FID of penalised runs with batch norm is that of `clipped`."""

    def told(spec: RunSpec) -> dict[str, float]:
        bad = spec.recipe == "wgan" or spec.config.critic_norm == "batch"
        return {"fid": clipped if bad else penalised}

    return told


def spreads(axis: str, gan: float, wgan: float) -> Rule:
    """FIDs that lie apart by these factors along one axis, and are equal along the others."""

    def told(spec: RunSpec) -> dict[str, float]:
        config = spec.config
        optimizer, network = config.optimizer, config.network
        rate = optimizer.lr / (2e-4 if spec.recipe == "gan" else 1e-4)
        place = {
            "rate": np.log(rate) / np.log(4),
            "batch": np.log(config.batch_size / 64) / np.log(4),
            "architecture": float(network.name == "mlp")
            - float(getattr(network, "generator_norm", "batch") == "none"),
        }[axis]
        return {"fid": 30.5 * (gan if spec.recipe == "gan" else wgan) ** place}

    return told


def layers(**ratios: float) -> Rule:
    """The first layer's gradient over the last's, by method and limit or weight."""

    def told(spec: RunSpec) -> dict[str, float]:
        by = {"weight_clipping": "limit", "orthogonal_regularization": "weight"}.get(method(spec))
        name = f"{method(spec)}_{field(spec, by):g}" if by else method(spec)
        return {"ratio": ratios.get(name, 1.0)}

    return told


def scores(power: float) -> Rule:
    return lambda spec: {"largest_score": 1.5, "first:largest_score": power}


def signs(two: float, one: float) -> Rule:
    return lambda spec: {"estimate_held_out": two if field(spec, "sides") == "two" else one}


def costs(**factors: float) -> Rule:
    def told(spec: RunSpec) -> dict[str, float]:
        factor = factors.get(method(spec), 1.01)
        return {
            "seconds": factor,
            "critic_step_flops": factor * 1e6,
            "critic_step_bytes": factor * 1e6,
        }

    return told


def heaps(clipped: float, penalised: float) -> Rule:
    return methods("weight_bimodality", weight_clipping=clipped, gradient_penalty=penalised)


def walls(first: float, last: float) -> Rule:
    return lambda spec: {"weights_at_limit": last, "first:weights_at_limit": first}


# Claim: a world in which it holds, and one in which it does not.
CASES: dict[str, tuple[Rule, Rule]] = {
    **{
        f"{wgan}_covers_more_of_{dataset}": (
            recipes("modes_covered", gan=many / 2, wgan=many, wgan_gp=many),
            recipes("modes_covered", gan=many, wgan=many / 2, wgan_gp=many / 2),
        )
        for wgan in ("wgan", "wgan_gp")
        for dataset, many in (("ring8", 8), ("grid25", 24), ("stacked_digits", 900))
    },
    **{
        f"{wgan}_{said}": (
            recipes("high_quality_share", gan=0.95, wgan=0.6, wgan_gp=0.6),
            recipes("high_quality_share", gan=0.6, wgan=0.975, wgan_gp=0.975),
        )
        for wgan in ("wgan", "wgan_gp")
        for said in ("samples_fall_between_modes", "leaves_more_between_modes")
    },
    "few_images_cost_diversity": parts(0.3, 0.8),
    "biased_images_cost_diversity": parts(0.3, 0.8),
    "clipping_saturates_weights": (heaps(0.9, 0.34), heaps(0.34, 0.9)),
    "training_drives_weights_to_limit": (walls(0.5, 0.91), walls(0.91, 0.5)),
    "large_limit_explodes": (
        layers(**{"weight_clipping_0.1": 900.0}),
        layers(**{"weight_clipping_0.1": 5.0}),
    ),
    "small_limit_starves": (
        layers(**{"weight_clipping_0.01": 1e-9, "weight_clipping_0.001": 1e-20}),
        layers(**{"weight_clipping_0.01": 0.5, "weight_clipping_0.001": 1e-20}),
    ),
    "best_limit_depends_on_data": (limits(0.003, 0.1), limits(0.01, 0.01)),
    "clipped_critics_fit_only_simple_functions": (
        of_pairs(weight_clipping=(0.9, 0.4, 0.4), gradient_penalty=(0.9, 0.8, 0.8)),
        of_pairs(weight_clipping=(0.9, 0.8, 0.8), gradient_penalty=(0.9, 0.4, 0.4)),
    ),
    "clipping_slows_learning": (norms(400.5, 30.5), norms(30.5, 400.5)),
    "penalty_beats_clipping": (norms(90.5, 30.5), norms(30.5, 90.5)),
    "penalty_costs_more": (costs(gradient_penalty=2.5), costs(weight_clipping=2.5)),
    "batch_norm_harms_penalty": (norms(90.5, 30.5), norms(30.5, 90.5)),
    "one_side_equals_two_in_quality": (
        recipes("fid", wgan=90.5, wgan_gp=30.5, wgan_lp=31.5),
        recipes("fid", wgan=90.5, wgan_gp=30.5, wgan_lp=45.5),
    ),
    "one_side_equals_two_in_sign": (signs(2.5, 2.5), signs(-2.5, 2.5)),
    "penalty_keeps_layer_gradients": (
        layers(gradient_penalty=3.0),
        layers(gradient_penalty=300.0),
    ),
    **{
        f"penalty_is_{side}_sensitive_to_{axis}": worlds
        for axis in ("rate", "batch", "architecture")
        for side, worlds in (
            ("less", (spreads(axis, 3, 1.5), spreads(axis, 1.5, 3))),
            ("more", (spreads(axis, 1.5, 3), spreads(axis, 3, 1.5))),
        )
    },
    "scores_run_away_without_constraint": (scores(2), scores(0.5)),
    "spectral_norm_is_cheap_in_seconds": (costs(spectral_norm=1.1), costs(spectral_norm=1.6)),
    "spectral_norm_is_cheap_in_arithmetic": (costs(spectral_norm=1.1), costs(spectral_norm=1.6)),
    "spectral_norm_limits_expressiveness": (
        of_pairs(spectral_norm=(0.9, 0.5, 0.5), lipschitz_network=(0.9, 0.9, 0.9)),
        of_pairs(spectral_norm=(0.9, 0.9, 0.9), lipschitz_network=(0.9, 0.5, 0.5)),
    ),
    "orthogonal_regularization_preserves_gradients": (
        layers(orthogonal_regularization_1=1.5),
        layers(orthogonal_regularization_1=0.03),
    ),
    "orthogonal_regularization_preserves_more_than_none": (
        layers(orthogonal_regularization_1=0.5, none=900.0),
        layers(orthogonal_regularization_1=1e-4, none=3.0),
    ),
    "unit_norm_weights_are_1_lipschitz": (
        of_pairs(weight_normalization=(0.99, 0.99, 0.99)),
        of_pairs(weight_normalization=(0.99, 3.5, 0.99)),
    ),
    **{
        f"estimate_over_k_is_w1_with_{name}": (
            of_pairs(**{name: (0.97, 1.02, 0.96)}),
            of_pairs(**{name: (0.97, 1.02, 0.6)}),
        )
        for name in ("lipschitz_network", "gradient_penalty", "spectral_norm", "weight_clipping")
    },
    "wgan_trains_where_minimax_gan_fails": (
        recipes("exact_w1", minimax_gan=8.5, gan=8.5, wgan=2.5, wgan_gp=2.5),
        recipes("exact_w1", minimax_gan=2.5, gan=8.5, wgan=8.5, wgan_gp=8.5),
    ),
    "wgan_trains_where_gan_fails": (
        recipes("exact_w1", minimax_gan=8.5, gan=8.5, wgan=2.5, wgan_gp=2.5),
        recipes("exact_w1", minimax_gan=8.5, gan=2.5, wgan=8.5, wgan_gp=8.5),
    ),
}


def test_every_claim_of_these_families_has_its_two_worlds() -> None:
    assert set(CASES) == {claim.name for claim in CLAIMS.values() if claim.family in FAMILIES}


@pytest.mark.parametrize("name", CASES)
def test_a_claim_is_supported_where_it_holds_and_refuted_where_it_does_not(name: str) -> None:
    words = []
    for rule in CASES[name]:
        findings = [find(part) for part in CLAIMS[name].test(world(CLAIMS[name].sweep, rule))]
        words.append(combine(findings).word)
    assert words == [SUPPORTED, REFUTED]
