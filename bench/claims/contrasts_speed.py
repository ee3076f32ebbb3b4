"""A contrast of speed: who takes longer to bring a figure down to a share of where it began.

A level of its own for each seed, since settings with one seed begin from the same generator: no
level has to be chosen that suits the data.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from bench.claims.claim import Test
from bench.claims.evidence import Claimed, Evidence
from bench.claims.observations import Missing, Observation, Observations, Where, pairs

NEVER = 2.0  # how many times the planned steps a run counts for that never came so far


def steps_until(run: Observation, column: str, share: float) -> float:
    """Generator updates until `column` first fell to `share` of its value at step 0.

    `inf` where it never did, or the run diverged; NaN where the column says nothing of step 0.
    """
    steps, values = run.column(column)
    if not len(steps) or steps[0] != 0:
        return math.nan
    there = steps[values <= share * values[0]]
    if run.state == "diverged" or not len(there):
        return math.inf
    return float(there[0])


def slower(
    effect: str,
    column: str,
    share: float,
    first: Where,
    second: Where,
    *,
    claimed: Claimed,
    margin: float,
) -> Test:
    """The ratio of the steps that `first` and `second` take, over common seeds.

    Where one side never comes so far it counts for twice the planned steps, a bound from below;
    where neither does, the seed says nothing of who is slower and is left out.

    Args:
        column: a figure that falls while training goes well.
        share: of its value at step 0, in (0, 1).
        margin: a ratio of steps; the evaluation interval bounds what can be told apart.
    """

    def test(seen: Observations) -> Sequence[Evidence]:
        values, never, both = [], [0, 0], 0
        for one, other in pairs(seen.where(first), seen.where(second)):
            took = [steps_until(run, column, share) for run in (one, other)]
            if any(map(math.isnan, took)):
                continue
            late = [math.isinf(steps) for steps in took]
            if all(late):
                both += 1
                continue
            counted = [
                NEVER * run.spec.config.steps if is_late else max(steps, 1.0)
                for run, steps, is_late in zip((one, other), took, late, strict=True)
            ]
            never = [count + is_late for count, is_late in zip(never, late, strict=True)]
            values.append(math.log(counted[0] / counted[1]))
        if not values:
            raise Missing(
                f"on none of the common seeds does either side bring {column} down to {share:g} of "
                "its first value"
            )
        return [
            Evidence(
                effect,
                tuple(values),
                claimed,
                math.log(margin),
                "ratio",
                note=_note(never, both),
            )
        ]

    return test


def _note(never: Sequence[int], both: int) -> str:
    """Which runs never came so far, in words."""
    said = []
    if any(never):
        said.append(
            f"{never[0]} of the first and {never[1]} of the second never came so far and count for "
            f"{NEVER:g} times the planned steps"
        )
    if both:
        said.append(f"{both} seeds on which neither did are left out")
    return "; ".join(said)
