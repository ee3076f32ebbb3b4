"""How long runs take, and how long a sweep does: the schedule of the slots, played through.

A run's time is what its cell costs for each step, evaluation and checkpoint, times how many it
makes. Slots that are busy side by side slow each other down by what was measured.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple

from bench.spec import RunSpec
from bench.speed.figures import CellFigures, SideBySide, Timing
from bench.speed.units import Unit
from wgan.config import TrainConfig

Choice = Callable[[Timing], float]
MIDDLE: Choice = attrgetter("middle")
LOW: Choice = attrgetter("low")
HIGH: Choice = attrgetter("high")


class Parts(NamedTuple):
    """The seconds of a run."""

    training: float
    evaluation: float
    around: float

    @property
    def total(self) -> float:
        """All of them."""
        return self.training + self.evaluation + self.around


@dataclass(frozen=True)
class Prediction:
    """Seconds of wall time: as the medians say, and between what ends.

    Attributes:
        parts: of all runs together, each alone in its slot.
    """

    seconds: Timing
    slots: int
    runs: int
    parts: Parts


def run_parts(figures: CellFigures, spec: RunSpec, step: int = 0, choose: Choice = MIDDLE) -> Parts:
    """What is left of a run that goes on from `step`, alone in its slot.

    Args:
        choose: which of a measurement's three numbers counts.
    """
    return pack_parts(figures, spec, step, choose)


def pack_parts(
    figures: CellFigures,
    spec: RunSpec,
    step: int = 0,
    choose: Choice = MIDDLE,
    size: int = 1,
    runs: int = 1,
) -> Parts:
    """The same of `runs` that train together as a model of `size`."""
    steps = spec.config.steps - step
    iteration = packed_iteration(figures, size, choose)
    slower = iteration / choose(figures.iteration) if choose(figures.iteration) else 1.0
    more = extra_updates(spec.config, step) * figures.update * slower
    training = steps * iteration + more
    between = spec.config.steps // spec.evaluate.every - step // spec.evaluate.every
    between -= int(steps > 0 and spec.config.steps % spec.evaluate.every == 0)
    evaluation = between * choose(figures.evaluation)
    evaluation += figures.first_evaluation * (step == 0) + figures.last_evaluation * (steps > 0)
    evaluation *= runs
    if spec.checkpoint_seconds > 0:
        saved = (training + evaluation) // spec.checkpoint_seconds
    else:
        saved = steps / spec.log_every + between
    around = along(figures.around, figures.packed_around, figures.pack, runs)
    return Parts(training, evaluation, around + saved * runs * figures.checkpoint)


def packed_iteration(figures: CellFigures, size: int, choose: Choice = MIDDLE) -> float:
    """Seconds of an iteration of `size` trainings as one; where none was tried, of each in turn."""
    return along(choose(figures.iteration), choose(figures.packed), figures.pack, size)


def along(one: float, many: float, pack: int, size: int) -> float:
    """What `size` take, on the line through what one takes and what a pack does."""
    if size == 1:
        return one
    if pack == 1:
        return one * size
    return max(0.0, one + (many - one) * (size - 1) / (pack - 1))


def extra_updates(config: TrainConfig, step: int) -> int:
    """The critic updates that warm-ups add after `step` generator updates."""
    first = max(0, min(config.warm_up_steps, config.steps) - step)
    start = max(step, config.warm_up_steps)
    later = 0
    if config.warm_up_every and start < config.steps:
        later = (config.steps - 1) // config.warm_up_every - (start - 1) // config.warm_up_every
    return (first + later) * (config.warm_up_critic_steps - config.critic_steps)


def predict(
    units: Sequence[Unit],
    figures: Mapping[str, CellFigures],
    beside: SideBySide,
    *,
    server: float = 0.0,
) -> Prediction:
    """How long it takes to train these, in this order.

    Args:
        figures: by label.
        server: what passes once before the first run.
    """

    def reckon(choose: Choice, training: float, evaluation: float) -> float:
        alone, slowed = [], 0.0
        for part in parts_of(units, figures, choose):
            alone.append(part.total)
            slowed += part.training * training + (part.evaluation + part.around) * evaluation
        full = slowed / sum(alone) if sum(alone) else 1.0
        return server + schedule(alone, beside.slots, full)

    seconds = reckon(MIDDLE, beside.training, beside.evaluation)
    low, high = (reckon(LOW, beside.least, beside.least), reckon(HIGH, beside.most, beside.most))
    columns = zip(*parts_of(units, figures, MIDDLE), strict=True)
    return Prediction(
        Timing(seconds, min(low, seconds), max(high, seconds)),
        beside.slots,
        sum(len(unit.items) for unit in units),
        Parts(*map(sum, columns)) if units else Parts(0.0, 0.0, 0.0),
    )


def parts_of(
    units: Iterable[Unit], figures: Mapping[str, CellFigures], choose: Choice
) -> list[Parts]:
    """What is left of each; those that differ in their seeds alone are reckoned once."""
    known: dict[tuple[str, int, int, int], Parts] = {}
    found = []
    for unit in units:
        label, step = unit.spec.label, unit.step
        at = (label, step, unit.size, len(unit.items))
        if at not in known:
            known[at] = pack_parts(
                figures[label], unit.spec, step, choose, unit.size, len(unit.items)
            )
        found.append(known[at])
    return found


def schedule(work: Sequence[float], slots: int, full: float = 1.0) -> float:
    """When the last of these is done: each in its turn goes to the slot that is free first.

    Args:
        work: seconds of each, alone.
        full: how much longer everything takes while all slots are busy; with fewer, by a line.
    """
    slots = max(1, slots)
    now = progress = 0.0  # of the clock on the wall, and of the work that each busy slot has done
    busy: list[float] = []
    waiting = iter(work)
    for seconds in waiting:
        heapq.heappush(busy, seconds)
        if len(busy) == slots:
            break
    while busy:
        slower = 1 + (full - 1) * (len(busy) - 1) / (slots - 1) if slots > 1 else 1.0
        done = heapq.heappop(busy)
        now += (done - progress) * slower
        progress = done
        following = next(waiting, None)
        if following is not None:
            heapq.heappush(busy, progress + following)
    return now
