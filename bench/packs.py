"""Packs: runs that differ in nothing but their seed, and train as one stacked model.

What a pack is and how it is called; which runs form one is planned in `bench.backends.packing`, and
`bench.crew` trains them.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from itertools import pairwise
from typing import TypeVar

from bench.spec import RunSpec

T = TypeVar("T")


def kind(spec: RunSpec) -> Hashable:
    """What two runs must have in common to be trained as one: all but the seed, and all looks."""
    twin = spec.config.with_seed(0).run_id
    return twin, spec.evaluate, spec.log_every, spec.checkpoint_seconds


def evenly(items: Sequence[T], parts: int) -> list[tuple[T, ...]]:
    """The items in so many parts, in order, whose sizes differ by one at most, the larger first."""
    small, larger = divmod(len(items), parts)
    starts = [number * small + min(number, larger) for number in range(parts + 1)]
    return [tuple(items[start:end]) for start, end in pairwise(starts)]


def listed_seeds(seeds: Iterable[int]) -> str:
    """Seeds as a person lists them: "seed 3", "seeds 0 to 6, 9"."""
    ordered = sorted(seeds)
    spans: list[list[int]] = []
    for seed in ordered:
        if spans and seed == spans[-1][1] + 1:
            spans[-1][1] = seed
        else:
            spans.append([seed, seed])
    words = [
        str(first) if first == last else f"{first}{' to ' if last > first + 1 else ', '}{last}"
        for first, last in spans
    ]
    return f"seed{'s' if len(ordered) > 1 else ''} {', '.join(words)}"
