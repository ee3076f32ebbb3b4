"""Measures of the critic itself: its gradients from layer to layer, its sign, its growing scores.

And what a few claims need of a column beside `measures`. NaN where a run has none.
"""

from __future__ import annotations

import math

from bench.claims.measures import Measure, final, last
from bench.claims.observations import Observation

# A layer that no gradient reaches counts as one of the smallest number in single precision.
FAINTEST = 1e-45


def layer_ratio(run: Observation) -> float:
    """The gradient's norm at the critic's first layer over that at its last, of its last profile.

    Gulrajani et al. 2017, arXiv:1704.00028, figure 1(b). Above 1 the gradient explodes on its way
    back, below 1 it vanishes; held within 1e-45 and 1e45. NaN for a run that is not done, and
    without the profile `layer_gradients`.
    """
    norms: list[float | None] = run.profiles.get("layer_gradients", {}).get("gradient_norms", [])
    if run.state != "done" or len(norms) < 2:
        return math.nan
    first, final_layer = norms[0], norms[-1]
    if first is None or not final_layer or not math.isfinite(first / final_layer):
        return math.nan
    return min(max(first / final_layer, FAINTEST), 1 / FAINTEST)


def layer_drift(run: Observation) -> float:
    """By how many factors of e the first layer's gradient differs from the last's, either way."""
    ratio = layer_ratio(run)
    return abs(math.log(ratio)) if math.isfinite(ratio) else math.nan


def wrong_sign(run: Observation) -> float:
    """1 for a run that ended with a held-out estimate below 0, fakes scored above reals; else 0."""
    estimate = last("estimate_held_out")(run)
    return float(estimate < 0) if math.isfinite(estimate) else math.nan


def known_share(column: str) -> Measure:
    """A column's last value over the W1 that is known of a frozen pair."""

    def measure(run: Observation) -> float:
        known = last("known_w1")(run)
        return last(column)(run) / known if known else math.nan

    return measure


def growth(column: str, share: float = 0.25) -> Measure:
    """A column's last value over that at the first row from this share of the steps on.

    Taken from what a run recorded before it ended, however it ended.
    """

    def measure(run: Observation) -> float:
        steps, values = run.column(column)
        begun = values[steps >= share * run.spec.config.steps]
        if len(begun) < 2 or not begun[0]:
            return math.nan
        return final(column)(run) / float(begun[0])

    return measure


def minus(first: Measure, second: Measure) -> Measure:
    """The difference of two measures."""

    def measure(run: Observation) -> float:
        return first(run) - second(run)

    return measure


def between_modes(run: Observation) -> float:
    """The share of samples that lie near no mode of a mixture, at the end."""
    return 1 - last("high_quality_share")(run)
