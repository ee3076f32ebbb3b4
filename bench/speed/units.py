"""What a slot trains at a time: a run, or a pack of runs that differ in their seed alone.

The backends decide which runs form a pack; here it is only asked for, and reckoned with.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bench.backends.base import turn
from bench.spec import RunSpec
from bench.speed.cells import begun
from bench.store import Planned


class Unit(NamedTuple):
    """Runs that a slot trains together, and how many trainings the model holds; 1: a run alone."""

    items: tuple[Planned, ...]
    size: int = 1

    @property
    def spec(self) -> RunSpec:
        """The run that stands for all."""
        return self.items[0].spec

    @property
    def step(self) -> int:
        """The step from which they go on."""
        return begun(self.items[0])


def alone(planned: Iterable[Planned], *, ordered: bool = True) -> list[Unit]:
    """What is to be trained of a plan, each run by itself.

    Args:
        ordered: longest first, as `local` does; else in the plan's order.
    """
    todo = [item for item in planned if item.action in ("run", "resume")]
    return [Unit((item,)) for item in (sorted(todo, key=turn) if ordered else todo)]


def sizes_of(units: Sequence[Unit]) -> dict[str, int]:
    """By label, the largest pack of its runs, where there are packs."""
    sizes: dict[str, int] = {}
    for unit in units:
        if unit.size > 1:
            label = unit.spec.label
            sizes[label] = max(unit.size, sizes.get(label, 1))
    return sizes
