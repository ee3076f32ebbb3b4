"""The field's received claims, each turned into a test over the records that can come out any way.

`claim` says what a claim is, `observations` chooses runs, `measures` takes a number from a run,
`contrasts` makes evidence of numbers, `evidence` and `judge` give the verdicts, `declared` holds
the claims.
"""

from bench.claims.claim import CLAIMS, FAMILIES, Claim
from bench.claims.evidence import WORDS, Evidence, Finding
from bench.claims.judge import Judged, judge
from bench.claims.observations import Observations

__all__ = [
    "CLAIMS",
    "FAMILIES",
    "WORDS",
    "Claim",
    "Evidence",
    "Finding",
    "Judged",
    "Observations",
    "all_claims",
    "judge",
]


def all_claims() -> dict[str, Claim]:
    """All claims by name, family by family."""
    from bench.claims.declared import load

    load()
    order = list(FAMILIES)
    return dict(sorted(CLAIMS.items(), key=lambda item: order.index(item[1].family)))
