"""A claim from the literature: a sentence, where it is meant to hold, and the test that decides it.

Declarations stand in `bench/claims/declared`, one file per family; importing them registers them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.claims.evidence import Evidence
from bench.claims.observations import Observations

Test = Callable[[Observations], Sequence[Evidence]]

# Fixed beforehand: Holm's adjustment goes over the claims of one family.
FAMILIES = {
    "loss_and_quality": "Loss and quality",
    "divergences": "Divergences and distances",
    "gradients": "Gradients",
    "coverage": "Mode coverage",
    "clipping": "Weight clipping",
    "optimizers": "Optimizers",
    "balance": "Balance of critic and generator",
    "penalty": "Gradient penalty",
    "constraints": "Other constraints",
}

CLAIMS: dict[str, Claim] = {}


@dataclass(frozen=True)
class Claim:
    """A sentence that can come out either way.

    Attributes:
        name: how a sweep file lists it under `claims`.
        family: a key of `FAMILIES`.
        sentence: what is claimed.
        scope: the data, networks and budget for which the verdict is given.
        source: who says so: paper, section.
        sweep: the name of the sweep that supplies the data (`sweeps/claims/<sweep>.yaml`); "" for a
            claim that is computed from known densities, without a training.
        test: from the runs to the evidence, one piece for each part of the claim, all of which must
            hold. It raises `Missing` where runs that it needs are not there.

    Raises:
        ValueError: a family that is not there, or a name that is taken.
    """

    name: str
    family: str
    sentence: str
    scope: str
    source: str
    sweep: str
    test: Test

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise ValueError(f"{self.name}: family {self.family!r} is none of {list(FAMILIES)}")
        if self.name in CLAIMS:
            raise ValueError(f"two claims are named {self.name!r}")
        CLAIMS[self.name] = self
