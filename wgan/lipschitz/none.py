"""No constraint: what every other method is compared with."""

from dataclasses import dataclass
from typing import ClassVar

from wgan.lipschitz.base import LipschitzMethod


@dataclass(frozen=True)
class Unconstrained(LipschitzMethod):
    """The critic as it is. Promises no bound; with the Wasserstein loss the scores run away."""

    name: ClassVar[str] = "none"
    reference: ClassVar[str] = "Goodfellow et al. 2014, arXiv:1406.2661"
    packable: ClassVar[bool] = True
