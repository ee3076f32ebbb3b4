"""When a critic counts as dead: it can no longer tell real from fake, though they are far apart."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

IN_A_ROW = 3  # evaluations
_ERRORS = 3.0  # standard errors within which an estimate is none
_FLOORS = 2.0  # times the floor, above which samples are plainly not real
_CONSTANT = 1e-6  # standard deviation of the scores over their mean's size

Quality = Callable[[Mapping[str, Any]], float | None]


def dead_since(
    evaluations: Iterable[Mapping[str, Any]], quality: Quality, floor: float | None
) -> int | None:
    """The first step of the first three evaluations in a row at which the critic was dead, or None.

    At each of them the held-out estimate lies within 3 standard errors of 0 (a scale-free test)
    while quality is more than twice the floor of real against real, or the scores are constant.
    Step 0 does not count: that critic has learnt nothing yet.

    Args:
        quality: the quality number of an evaluation row, or None where it has none.
        floor: the quality of real against real, or None where it is not known.
    """
    first, found = 0, 0
    for row in evaluations:
        if row["step"] == 0:
            continue
        if _is_blind(row, quality(row), floor) or _is_constant(row):
            first = first if found else int(row["step"])
            found += 1
            if found == IN_A_ROW:
                return first
        else:
            found = 0
    return None


def _is_blind(row: Mapping[str, Any], quality: float | None, floor: float | None) -> bool:
    estimate, error = row.get("estimate_held_out"), row.get("estimate_held_out_error")
    if estimate is None or error is None or quality is None or floor is None:
        return False
    return bool(abs(estimate) <= _ERRORS * error and quality > _FLOORS * floor)


def _is_constant(row: Mapping[str, Any]) -> bool:
    mean, deviation = row.get("score_mean"), row.get("score_std")
    return mean is not None and deviation is not None and deviation <= _CONSTANT * abs(mean)
