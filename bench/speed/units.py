"""What a slot trains at a time: a run, or a pack of runs that differ in their seed alone.

The backends decide which runs form a pack; here it is only asked for, and reckoned with.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bench.backends.packing import Pack, Terms, form
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

    @classmethod
    def of(cls, pack: Pack) -> Unit:
        """What the backends call a pack, be it of one run."""
        return cls(pack.items, pack.size)

    @property
    def step(self) -> int:
        """The step from which they go on."""
        return begun(self.items[0])


def units_of(planned: Iterable[Planned], terms: Terms, *, ordered: bool = True) -> list[Unit]:
    """What is to be trained of a plan, as a backend makes packs of it.

    Args:
        ordered: longest first, as `local` does; else in the plan's order, as `inline` does.
    """
    todo = [item for item in planned if item.action in ("run", "resume")]
    units = [Unit.of(pack) for pack in form(todo, terms)]
    if not ordered:
        order = {item.spec.run_id: place for place, item in enumerate(todo)}
        units.sort(key=lambda unit: min(order[item.spec.run_id] for item in unit.items))
    return units


def sizes_of(units: Sequence[Unit]) -> dict[str, int]:
    """By label, the largest pack of its runs, where there are packs."""
    sizes: dict[str, int] = {}
    for unit in units:
        if unit.size > 1:
            label = unit.spec.label
            sizes[label] = max(unit.size, sizes.get(label, 1))
    return sizes
