"""The streams of random numbers: one per purpose, all from one seed.

Streams keep methods comparable: equal seeds give equal initial weights, equal data order and equal
noise whatever else a method draws, because a method's own draws come from a stream of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import torch

PURPOSES = (
    "init_generator",
    "init_critic",
    "data",
    "data:generator",  # reals for a loss that needs them in the generator's step
    "noise",
    "evaluation",
    "evaluation:reals",
    "evaluation:fresh",
)


def stream_seed(seed: int, purpose: str) -> int:
    """A 63-bit seed for one purpose; streams of unlike purposes share nothing."""
    digest = hashlib.sha256(f"{seed}:{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def stream(seed: int, purpose: str, device: torch.device | str = "cpu") -> torch.Generator:
    """The generator of random numbers for one purpose, at its beginning."""
    return torch.Generator(device).manual_seed(stream_seed(seed, purpose))


def training_streams(
    seed: int, methods: Iterable[str], device: torch.device | str = "cpu"
) -> dict[str, torch.Generator]:
    """What a training draws from: data, noise, and `penalty:<method>` for each method."""
    purposes = ["data", "data:generator", "noise", *(f"penalty:{method}" for method in methods)]
    return {purpose: stream(seed, purpose, device) for purpose in purposes}
