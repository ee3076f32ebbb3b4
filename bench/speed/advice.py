"""What would make a sweep faster: sentences from measured numbers, each only where it is true."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from bench.backends.gpus import choose_gpus
from bench.doctor.machine import check_threads
from bench.limits import crowded, usable_cores
from bench.speed.cells import Cell
from bench.speed.figures import CellFigures
from bench.speed.measure import Measured
from bench.speed.predict import Prediction, predict
from bench.speed.trial import Arrangement
from bench.speed.units import Unit, sizes_of
from bench.store import Planned
from bench.tracker import spell
from wgan.components import ConfigError
from wgan.data.base import DEVICE_BUDGET

_GAIN = 1.05  # less is not worth a sentence, and may be noise
_EVALUATION_SHARE, _BATCH_SHARE, _LOW_PEAK = 0.25, 0.2, 0.1
_BUSY = 0.5  # processes of others per core


@dataclass(frozen=True)
class Findings:
    """Everything that advice is made from.

    Attributes:
        units: what slots train at a time.
        figures: by label; shares: of the peak, by the name of a measured cell.
    """

    arrangement: Arrangement
    units: Sequence[Unit]
    cells: Sequence[Cell]
    figures: Mapping[str, CellFigures]
    measured: Measured
    prediction: Prediction
    shares: Mapping[str, float]


def advise(found: Findings) -> list[str]:
    """What would be faster, and by how much; then what made the figures worse than they need be."""
    return [
        *_evaluation(found),
        *_alternatives(found),
        *_packs(found),
        *_idle(found),
        *_unused_gpu(found),
        *_small(found),
        *_batches(found),
        *_crowded(found),
        *_disturbed(found),
    ]


def _evaluation(found: Findings) -> Iterator[str]:
    """Half as many evaluations, where they take much of the time."""
    parts = found.prediction.parts
    share = parts.evaluation / parts.total if parts.total else 0.0
    if share < _EVALUATION_SHARE:
        return
    every = found.cells[0].spec.evaluate.every
    seldom = [
        unit._replace(items=tuple(_evaluated(item, 2 * every) for item in unit.items))
        for unit in found.units
    ]
    less = predict(seldom, found.figures, found.measured.beside, server=found.measured.server)
    saved = 1 - less.seconds.middle / found.prediction.seconds.middle
    if saved > 1 - 1 / _GAIN:
        yield (
            f"evaluation takes {share:.0%} of the time: `evaluate: {{every: {2 * every}}}` in "
            f"place of {every} would save {saved:.0%}"
        )


def _evaluated(item: Planned, every: int) -> Planned:
    """The run with so many steps between evaluations."""
    evaluate = dataclasses.replace(item.spec.evaluate, every=every)
    return dataclasses.replace(item, spec=dataclasses.replace(item.spec, evaluate=evaluate))


def _alternatives(found: Findings) -> Iterator[str]:
    """Other threads, more runs on a GPU, other precisions: what was tried and went faster."""
    name = found.cells[0].name
    for tried in found.measured.alternatives:
        if tried.gain < _GAIN:
            continue
        if tried.name.startswith("precision"):
            yield (
                f"`{tried.name}` trained {name} {tried.gain:.2g} times as fast; it is another "
                f"setting with other numbers, and its runs have ids of their own"
            )
        else:
            yield f"`{tried.name}` trained {name} {tried.gain:.2g} times as fast, all runs together"


def _packs(found: Findings) -> Iterator[str]:
    """Runs that train as one model and had better not, and the reverse."""
    packed = sizes_of(found.units)
    for cell in found.cells:
        figures = found.measured.cells.get(cell.key)
        if figures is None or figures.pack == 1:
            continue
        gain = figures.pack * figures.iteration.middle / figures.packed.middle
        used = any(item.spec.label in packed for item in cell.runs)
        if not used and gain > _GAIN:
            yield (
                f"runs of {cell.name} that differ in their seed alone train {gain:.2g} times as "
                f"fast as one model of {figures.pack}: leave `--no-pack` out"
            )
        elif used and gain < 1 / _GAIN:
            yield (
                f"{figures.pack} runs of {cell.name} as one model train {gain:.2g} times as fast "
                f"as alone: `--no-pack`"
            )


def _idle(found: Findings) -> Iterator[str]:
    """Slots that have nothing to do."""
    idle = found.arrangement.slots - len(found.units)
    if idle > 0 and found.arrangement.device == "cpu":
        more = max(1, usable_cores() // max(1, len(found.units)))
        hint = f"; try `--threads {more}`" if more > found.arrangement.threads else ""
        yield f"{idle} of {found.arrangement.slots} slots have no run to train{hint}"


def _unused_gpu(found: Findings) -> Iterator[str]:
    if found.arrangement.gpus or found.arrangement.backend != "local":
        return
    with contextlib.suppress(ConfigError):
        number = len(choose_gpus("all"))
        there = "a GPU is" if number == 1 else f"{number} GPUs are"
        if torch.version.cuda is None:
            yield f"{there} not used: this torch is built without CUDA"
        else:
            yield f"{there} not used: `speed` with `--gpus all` measures what it would bring"


def _small(found: Findings) -> Iterator[str]:
    """Runs that leave a GPU idle."""
    low = {name: share for name, share in found.shares.items() if 0 < share < _LOW_PEAK}
    helped = any(tried.gain >= _GAIN for tried in found.measured.alternatives)
    if found.arrangement.gpus and low and not helped:
        name = min(low, key=lambda name: low[name])
        yield (
            f"{len(low)} kind(s) of runs are too small for this GPU ({name} reaches "
            f"{low[name]:.1%} of its peak), and more at once did not help: cores may do as well"
        )


def _batches(found: Findings) -> Iterator[str]:
    """Iterations that wait for their data."""
    for cell in found.cells:
        figures = found.measured.cells.get(cell.key)
        if figures is None:
            continue
        share = figures.batches / figures.iteration.middle
        if share > _BATCH_SHARE:
            shape = cell.spec.config.dataset.shape
            big = found.arrangement.gpus and len(shape) == 3
            why = f" (a set beyond {DEVICE_BUDGET >> 30} GiB stays in main memory)" if big else ""
            yield f"drawing batches takes {share:.0%} of an iteration of {cell.name}{why}"


def _crowded(found: Findings) -> Iterator[str]:
    """Slots that want more than there is."""
    beside = found.measured.beside
    if found.arrangement.gpus or beside.slots == 1:
        return
    if beside.training > beside.slots and not _disturbed_by_others(found.measured):
        yield (
            f"{beside.slots} runs at once are slower than one after another: each takes "
            f"{beside.training:.2g} times as long; `--slots {max(1, beside.slots // 2)}`"
        )
    elif remark := crowded(found.arrangement.slots, found.arrangement.threads):
        yield f"{remark}; each takes {beside.training:.2g} times as long as alone"
    bound = check_threads()
    if bound.advice:
        yield f"{bound.found}: {bound.advice}"


def _disturbed(found: Findings) -> Iterator[str]:
    """What was not the sweep's own."""
    measured = found.measured
    if _disturbed_by_others(measured):
        yield (
            f"the machine was busy with something else when it was measured (a load of "
            f"{measured.load:.1f} on {usable_cores()} cores): without that it is faster"
        )
    if measured.swapped:
        yield (
            f"{measured.swapped / 1e6:,.0f} MB were written to swap meanwhile: memory is short, "
            f"and fewer runs at once are faster"
        )
    for name, seconds in measured.statistics.items():
        yield (
            f"the first run of {name} took {spell(seconds)} longer, for what is computed of the "
            f"real data; that is kept now, and no run waits for it again"
        )


def _disturbed_by_others(measured: Measured) -> bool:
    return measured.load > _BUSY * usable_cores()
