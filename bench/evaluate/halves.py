"""The quality of a model on parts of its samples: two halves, or further sets of them.

A model that is chosen on one half can be judged on the other, and the spread over further sets is
what its score owes to the samples alone. Both are scored like the whole, against the same reals,
and change no other score.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from torch import Tensor

from bench.spec import EvaluateSpec


def halved(samples: Tensor) -> tuple[Tensor, Tensor]:
    """The first and the second n // 2 of n samples; of an odd number the last is left out."""
    half = len(samples) // 2
    return samples[:half], samples[half : 2 * half]


def by_half(metric: str, values: Iterable[float]) -> dict[str, float]:
    """The metric of both halves, by column name."""
    return dict(zip(half_columns(metric), values, strict=True))


def half_columns(metric: str) -> tuple[str, str]:
    """The columns of the two halves."""
    return f"{metric}_first_half", f"{metric}_second_half"


def over_sets(metric: str, values: Iterable[float]) -> dict[str, float]:
    """Mean, standard deviation (divisor R - 1) and number R of the sets' values, by column name."""
    held = list(values)
    mean = math.fsum(held) / len(held)
    variance = math.fsum((value - mean) ** 2 for value in held) / (len(held) - 1)
    return {
        f"{metric}_fresh_mean": mean,
        f"{metric}_fresh_sd": math.sqrt(variance),
        "fresh_sets": len(held),
    }


def stated(spec: EvaluateSpec) -> dict[str, Any]:
    """What is taken beside the scores, in words; no part of the protocol's id."""
    words: dict[str, Any] = {}
    if spec.halves:
        words["halves"] = (
            "the quality metric of the first and of the second n_fake // 2 samples, against the "
            "same reals; exact W1 with as many of them as of samples"
        )
    if spec.fresh_sets:
        words["fresh_sets"] = (
            f"the quality metric of {spec.fresh_sets} further sets of n_fake samples of the final "
            "model, against the same reals; their mean, and their standard deviation (divisor "
            f"{spec.fresh_sets - 1})"
        )
    return words
