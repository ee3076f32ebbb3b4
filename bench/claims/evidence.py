"""Evidence: one number per seed, what was claimed of it, and what follows by STATISTICS section 6.

Values stand on the scale on which seeds are averaged: a difference, the logarithm of a ratio, or
Fisher's z of a correlation. The rules know no method and no measure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.stats import Interval, mean_interval, sign_flip

Claimed = Literal["above", "below", "within", "apart"]
Scale = Literal["difference", "ratio", "correlation"]

SUPPORTED, REFUTED, UNDECIDED, NO_DATA = "supported", "refuted", "undecided", "no data"
WORDS = (SUPPORTED, REFUTED, UNDECIDED, NO_DATA)
LEAST_SEEDS = 10  # two-sided, five sign flips cannot go below .0625
LEVEL = 0.05

# From the scale of averaging to that of reading.
READ: dict[Scale, Callable[[float], float]] = {
    "difference": lambda value: value,
    "ratio": math.exp,
    "correlation": math.tanh,
}


@dataclass(frozen=True)
class Evidence:
    """What was measured for a claim, or for one part of it.

    Attributes:
        effect: what the numbers are, in words, such as "final FID of wgan_gp over that of wgan".
        values: one per seed, on the scale of averaging.
        claimed: "above" or "below" 0, "within" +-margin, or "apart" by more than it, either way.
        margin: what counts as none, on the scale of averaging, above 0.
        scale: "difference" reads as it stands; "ratio" holds logarithms; "correlation" Fisher's z.
        against: what reading starts from, added back when shown: values are measure - against.
        lost: seeds without a value since a run diverged, by the side that lost: how many of them
            count for "above" and for "below".
        also: a further p value that must hold for the claimed side (the seed swap); NaN for none.
        exact: computed without chance: the values' extent is the interval, and there is no p.
        note: what a reader must know of it; "" for nothing.
    """

    effect: str
    values: tuple[float, ...]
    claimed: Claimed
    margin: float
    scale: Scale = "difference"
    against: float = 0.0
    lost: tuple[int, int] = (0, 0)
    also: float = math.nan
    exact: bool = False
    note: str = ""

    def __post_init__(self) -> None:
        if not self.margin > 0:
            raise ValueError(f"the margin of {self.effect!r} is {self.margin}: must be above 0")
        if not all(map(math.isfinite, self.values)):
            raise ValueError(f"{self.effect!r}: non-finite values must be left out")

    @property
    def interval(self) -> Interval:
        """The mean with its 95 % interval by Student's t, on the scale of averaging."""
        if self.exact and self.values:
            middle = sum(self.values) / len(self.values)
            return Interval(middle, min(self.values), max(self.values), len(self.values))
        return mean_interval(self.values)

    @property
    def read(self) -> Interval:
        """The interval as it is read: a difference, a ratio or a correlation."""
        back, held = READ[self.scale], self.interval
        center, low, high = (
            back(value + self.against) for value in (held.center, held.low, held.high)
        )
        return Interval(center, low, high, held.n)

    @property
    def with_lost(self) -> tuple[float, ...]:
        """The values with each lost seed at the largest difference seen, against who lost."""
        most = max((abs(value) for value in self.values), default=0.0)
        most = max(most, 2 * self.margin)
        above, below = self.lost
        return (*self.values, *[most] * above, *[-most] * below)


@dataclass(frozen=True)
class Finding:
    """What evidence says by itself: a word, the two-sided p of that, and why it is undecided."""

    word: str
    p: float
    why: str = ""


def find(evidence: Evidence) -> Finding:
    """What one piece of evidence says, before any adjustment.

    *Supported*: the 95 % interval lies wholly on the claimed side. *Refuted*: wholly on the other,
    or within the margin, where a difference counts as none whatever its sign. Where runs diverged,
    both must hold also with those seeds counted at the largest difference seen. The p value is that
    of the side found, doubled, by sign flips: about 0, or about the margin.
    """
    first = _find(evidence, evidence.values)
    if not any(evidence.lost) or evidence.exact:
        return first
    second = _find(evidence, evidence.with_lost)
    if first.word == second.word:
        return Finding(first.word, max(first.p, second.p), first.why or second.why)
    if first.word == UNDECIDED and not evidence.values:
        return second
    why = f"{first.word} without the seeds that diverged, {second.word} with them"
    if UNDECIDED in (first.word, second.word) and len(evidence.values) < LEAST_SEEDS:
        return second  # too few pairs are left to say anything without those that diverged
    return Finding(UNDECIDED, _nan_max(first.p, second.p), why)


def combine(findings: Sequence[Finding]) -> Finding:
    """What several parts say together: all must be supported; one that is refuted refutes.

    An intersection-union test: the p value of "all hold" is the largest; that of "one does not" is
    the least of those refuted, times the number of parts.
    """
    refuted = [finding.p for finding in findings if finding.word == REFUTED]
    if refuted:
        least = min((p for p in refuted if not math.isnan(p)), default=math.nan)
        exact = any(math.isnan(p) for p in refuted)
        return Finding(REFUTED, math.nan if exact else min(1.0, len(findings) * least))
    p = _nan_max(*(finding.p for finding in findings)) if findings else math.nan
    if findings and all(finding.word == SUPPORTED for finding in findings):
        return Finding(SUPPORTED, p)
    return Finding(UNDECIDED, p, "; ".join(dict.fromkeys(f.why for f in findings if f.why)))


def _find(evidence: Evidence, values: Sequence[float]) -> Finding:
    held = evidence.interval if evidence.exact else mean_interval(values)
    margin, claimed = evidence.margin, evidence.claimed
    # In order: inside the margin comes before the sides, for there a difference counts as none.
    places = {
        "within": held.inside(margin),
        "above": held.above(margin if claimed in ("within", "apart") else 0),
        "below": held.below(-margin if claimed in ("within", "apart") else 0),
    }
    place = next((name for name, there in places.items() if there), None)
    word = UNDECIDED if place is None else SUPPORTED if _is_claimed(place, claimed) else REFUTED
    if evidence.exact:
        return Finding(word, math.nan)
    p = _p_value(values, place or claimed, margin, claimed)
    if word == SUPPORTED and not math.isnan(evidence.also):
        p = max(p, evidence.also)
        if evidence.also > LEVEL:
            return Finding(UNDECIDED, p, "the seed swap does not agree")
    if len(values) < LEAST_SEEDS:
        why = f"{len(values)} of at least {LEAST_SEEDS} seeds" if values else "no seed has a value"
        return Finding(UNDECIDED, p, why)
    return Finding(word, p)


def _is_claimed(place: str, claimed: Claimed) -> bool:
    return place == claimed or (claimed == "apart" and place in ("above", "below"))


def _p_value(values: Sequence[float], place: str, margin: float, claimed: Claimed) -> float:
    """The two-sided p of lying in a place: about .05 where the interval just lies there."""
    if not values:
        return math.nan
    up = [value + margin for value in values]
    down = [value - margin for value in values]
    if place == "within":
        return min(1.0, 2 * max(sign_flip(down, "less"), sign_flip(up, "greater")))
    if place == "apart":
        return min(1.0, 2 * min(sign_flip(down, "greater"), sign_flip(up, "less")))
    from_margin = claimed in ("within", "apart")
    if place == "above":
        return min(1.0, 2 * sign_flip(down if from_margin else values, "greater"))
    return min(1.0, 2 * sign_flip(up if from_margin else values, "less"))


def _nan_max(*values: float) -> float:
    return max((value for value in values if not math.isnan(value)), default=math.nan)
