"""Verdicts: each claim's evidence, with Holm's adjustment over the claims of its family."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.claims.claim import Claim
from bench.claims.evidence import (
    LEVEL,
    NO_DATA,
    REFUTED,
    SUPPORTED,
    UNDECIDED,
    Evidence,
    Finding,
    combine,
    find,
)
from bench.claims.observations import Missing, Observations
from bench.stats import holm


@dataclass(frozen=True)
class Judged:
    """A claim and its verdict.

    Attributes:
        word: one of `evidence.WORDS`.
        evidence, findings: of each part of the claim; what each says by itself.
        p, p_holm: of the whole claim, and after Holm; NaN without data, or where nothing is left
            to chance.
        why: what an undecided claim, or one without data, lacks.
    """

    claim: Claim
    word: str
    evidence: tuple[Evidence, ...]
    findings: tuple[Finding, ...]
    p: float
    p_holm: float
    why: str

    @property
    def seeds(self) -> int:
        """The least number of seeds of any part."""
        return min((len(part.values) for part in self.evidence), default=0)


def judge(claims: Iterable[Claim], observed: Mapping[str, Observations]) -> list[Judged]:
    """The verdicts on these claims, in their order.

    Every claim counts in its family's adjustment, whether there are data for it or not; only claims
    that are computed without chance do not.

    Args:
        claims: whole families, so that the adjustment does not depend on what has been run.
        observed: by the claim's name, the runs that it is tested on.
    """
    claims = list(claims)
    before = [_weigh(claim, observed) for claim in claims]
    families: dict[str, list[int]] = defaultdict(list)
    for index, (claim, (evidence, _, _)) in enumerate(zip(claims, before, strict=True)):
        if not (evidence and all(part.exact for part in evidence)):
            families[claim.family].append(index)
    adjusted = [math.nan] * len(claims)
    for members in families.values():
        ps = holm([before[index][1].p for index in members])
        for index, p in zip(members, ps, strict=True):
            adjusted[index] = p
    return [
        _judged(claim, evidence, finding, findings, p)
        for claim, (evidence, finding, findings), p in zip(claims, before, adjusted, strict=True)
    ]


def _weigh(
    claim: Claim, observed: Mapping[str, Observations]
) -> tuple[tuple[Evidence, ...], Finding, tuple[Finding, ...]]:
    seen = observed.get(claim.name) if claim.sweep else Observations([])
    if seen is None:
        return (), Finding(NO_DATA, math.nan, f"the sweep {claim.sweep} has not been run"), ()
    try:
        evidence = tuple(claim.test(seen))
    except Missing as missing:
        return (), Finding(NO_DATA, math.nan, str(missing)), ()
    findings = tuple(map(find, evidence))
    return evidence, combine(findings), findings


def _judged(
    claim: Claim,
    evidence: tuple[Evidence, ...],
    finding: Finding,
    findings: Sequence[Finding],
    p_holm: float,
) -> Judged:
    word, why = finding.word, finding.why
    if word in (SUPPORTED, REFUTED) and p_holm > LEVEL:  # NaN, where nothing is left to chance
        why = f"{word} by itself, but not after Holm's adjustment over its family"
        word = UNDECIDED
    if word == UNDECIDED and not why:
        why = "the interval lies on neither side wholly"
    return Judged(claim, word, evidence, tuple(findings), finding.p, p_holm, why)
