"""Measuring a sweep: peaks, each cell alone, one in all slots at once, and what may be faster.

The costliest cells come first. What does not fit into the time is left out, with the reason.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, median

import psutil
import torch

from bench.environment import code_hash
from bench.limits import usable_cores
from bench.spec import RunSpec
from bench.speed.cells import Cell
from bench.speed.figures import CellFigures, SideBySide, Timing
from bench.speed.inside import Inside, look_inside
from bench.speed.peaks import Peak, peak
from bench.speed.trial import Arrangement, OutOfTime, Trial, Workshop, shortened
from bench.threads import held_to
from wgan.components import ConfigError
from wgan.data import DataError

_PEAK_SHARE, _CELLS_SHARE = 0.08, 0.75  # of the time that was given; cells end by the latter
_BLOCKS = 10  # rows of a measured run, of which the first fifth is its warm-up
_LONGEST, _SHORTEST = 6.0, 0.5  # seconds of iterations of a cell
_STEPS = (10, 20_000)
_PILOT = 3
_WORTH_TELLING = 2.0  # seconds that a first run takes longer
TOGETHER = "all slots at once"  # among problems, beside the keys of cells

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Alternative:
    """Another way to train the costliest cell: `gain` is its throughput over the usual one's."""

    name: str
    gain: float


@dataclass
class Measured:
    """All that was found out.

    Attributes:
        peaks: by precision.
        cells: figures by key; problems: why a cell has none of its own.
        server: seconds before the first run begins.
        statistics: seconds that the first run of a cell took longer than its next, by label: for
            statistics of real data, which are kept from then on.
        load: processes that others kept busy when it began; swapped: bytes written to swap.
    """

    peaks: dict[str, Peak] = field(default_factory=dict)
    cells: dict[str, CellFigures] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    beside: SideBySide = field(default_factory=lambda: SideBySide(1))
    alternatives: list[Alternative] = field(default_factory=list)
    server: float = 0.0
    statistics: dict[str, float] = field(default_factory=dict)
    load: float = 0.0
    swapped: int = 0


@dataclass(frozen=True)
class _Alone:
    """The measured run of a cell, to be repeated beside others."""

    spec: RunSpec
    trial: Trial
    blocks: tuple[float, ...]


class Measuring:
    """Measures cells under one arrangement within some time.

    Args:
        seconds: for all of it; what has begun to be measured may overrun it a little.
        tell: told what is being measured.
    """

    def __init__(
        self, shop: Workshop, arrangement: Arrangement, seconds: float, tell: Tell
    ) -> None:
        self.shop, self.tell = shop, tell
        # Each run of a trial by itself, but where packs are what is measured.
        self.arrangement = dataclasses.replace(arrangement, packed=False)
        self.seconds = seconds
        self.until = time.monotonic() + seconds
        self.found = Measured(beside=SideBySide(arrangement.slots))
        self._alone: dict[str, _Alone] = {}
        self._first: Trial | None = None  # which waited for the server of all processes
        self._waited = 0.0  # by a later one
        self._packs: Mapping[str, int] = {}
        self._early = 0.0  # of a GPU's process, what passes before its first run alone

    def go(self, cells: Sequence[Cell], packs: Mapping[str, int] | None = None) -> Measured:
        """Measure as much as fits.

        Args:
            packs: by key of a cell, how many of its runs are to train as one model.
        """
        self._packs = packs or {}
        self.found.load = os.getloadavg()[0]
        swapped = _swapped()
        with held_to(self.arrangement.threads):
            self._peaks(cells)
            for number, cell in enumerate(cells, start=1):
                self._cell(cell, number, len(cells))
        if self._first is not None:
            self.found.server = max(0.0, self._first.waited - self._waited) + self._early
        first = next((cell for cell in cells if cell.key in self._alone), None)
        if first is not None:
            with contextlib.suppress(OutOfTime):
                self._side_by_side(first, sum(len(cell.runs) for cell in cells))
                self._others(first)
        self.found.swapped = max(0, _swapped() - swapped)
        return self.found

    def _peaks(self, cells: Sequence[Cell]) -> None:
        precisions = dict.fromkeys(("float32", *(cell.spec.config.precision for cell in cells)))
        for precision in precisions:
            self.tell(f"the machine in {precision}")
            share = self.seconds * _PEAK_SHARE / len(precisions)
            self.found.peaks[precision] = peak(precision, self.arrangement.device, min(3.0, share))

    def _cell(self, cell: Cell, number: int, of: int) -> None:
        """Measure a cell alone, in its share of the time that is left for cells."""
        left = self.until - time.monotonic() - self.seconds * (1 - _CELLS_SHARE)
        share = left / (of - number + 1)
        if self._alone and share < _SHORTEST:
            self.found.problems[cell.key] = "there was no time left to measure it"
            return
        self.tell(f"{cell.name} ({number} of {of})")
        try:
            self._measure(cell, share)
        except OutOfTime:
            self.found.problems[cell.key] = "it takes longer than there was time to measure"
        except _Failed as problem:
            self.found.problems[cell.key] = str(problem)
        except (ConfigError, DataError, RuntimeError, MemoryError) as error:
            self.found.problems[cell.key] = f"{error}".partition("\n")[0]

    def _measure(self, cell: Cell, share: float) -> None:
        started = time.monotonic()
        pilot = self._pilot(cell.spec)
        step, evaluation = min(pilot.blocks[1:]), pilot.evaluations[1]
        left = max(_SHORTEST, share - (time.monotonic() - started))
        often = 4 * evaluation < left / 2
        span = min(_LONGEST, left - (4 if often else 2) * evaluation, step * cell.steps)
        span = max(_SHORTEST, span)
        for _ in range(2):
            spec = _measured(cell.spec, span / step, often=often)
            trial = self._train(spec)
            blocks = trial.blocks[len(trial.blocks) // 5 :]
            # A first iteration that is far slower than all others made it too short.
            if trial.training > span / 3 or spec.config.steps == _STEPS[1]:
                break
            step = median(blocks)
        self._waited = trial.waited
        self._alone[cell.key] = _Alone(spec, trial, blocks)
        inside = look_inside(cell.spec, self.arrangement.device)
        self.found.cells[cell.key] = _figures(
            cell.spec, pilot, trial, blocks, inside, trial.waited - self._early
        )
        self._pack(cell)
        longer = pilot.around + pilot.evaluations[0] - trial.around - trial.evaluations[0]
        if longer > _WORTH_TELLING:
            self.found.statistics[cell.name] = longer

    def _pilot(self, spec: RunSpec) -> Trial:
        """A run of three steps, each scored.

        The first of all on a GPU is made twice in a row: what follows finds a process that has
        loaded everything.
        """
        specs, alone = [shortened(spec, _PILOT, 1, 1)], self.arrangement.alone()
        if self._first is None and alone.gpus:
            specs.append(shortened(spec, _PILOT, 1, 1, seed=spec.config.seed + 1))
        trials = self.shop.train(specs, alone, self.until)
        if self._first is None:
            self._first = trials[0]
            self.until += trials[0].waited  # to load what processes share is no measuring
        for following in trials[1:]:
            self._early = max(0.0, trials[0].around - _whole(following).around)
            self.until += self._early
        return _whole(trials[0])

    def _train(self, spec: RunSpec) -> Trial:
        """One run alone, on a GPU in a process of its own, whose loading is no measuring either."""
        self.until += self._early
        return _whole(self.shop.train([spec], self.arrangement.alone(), self.until)[0])

    def _pack(self, cell: Cell) -> None:
        """How long its runs take as one model, where they are to train so."""
        size = self._packs.get(cell.key, 1)
        if size == 1:
            return
        spec, together = self._alone[cell.key].spec, f"{size} runs as one of {cell.name}"
        self.tell(together)
        steps = max(_BLOCKS * spec.log_every, 2 * spec.config.steps // size)
        fewer = shortened(spec, steps, steps, spec.log_every)
        as_one = dataclasses.replace(self.arrangement.alone(), packed=True)
        try:
            trials = self._copies(fewer, size, as_one)
        except (_Failed, OutOfTime) as problem:
            why = str(problem) or "there was no time left for it"
            self.found.problems[together] = why
            return
        alone = self.found.cells[cell.key]
        self.found.cells[cell.key] = dataclasses.replace(
            alone,
            pack=size,
            packed=Timing.of([sum(rows) for rows in zip(*map(_settled, trials), strict=True)]),
            packed_around=around_of(trials, alone),
        )

    def _together(self, alone: _Alone, arrangement: Arrangement) -> list[Trial]:
        """Copies of a measured run, one in each slot."""
        return self._copies(alone.spec, arrangement.slots, arrangement)

    def _copies(self, spec: RunSpec, count: int, arrangement: Arrangement) -> list[Trial]:
        """So many copies of a run, each from a seed of its own."""
        self.until += self._early
        first = spec.config.seed
        specs = [
            dataclasses.replace(spec, config=dataclasses.replace(spec.config, seed=first + number))
            for number in range(count)
        ]
        return [_whole(trial) for trial in self.shop.train(specs, arrangement, self.until)]

    def _side_by_side(self, cell: Cell, runs: int) -> None:
        """How much slower a run gets when as many slots are busy as there are runs for."""
        slots = min(self.arrangement.slots, runs)
        self.found.beside = SideBySide(slots)
        if slots == 1:
            return
        self.tell(f"{slots} runs at once of {cell.name}")
        alone = self._alone[cell.key]
        self.found.problems[TOGETHER] = "there was no time left for it"
        try:
            busy = dataclasses.replace(self.arrangement, slots=slots)
            self.found.beside = compare(alone.trial, self._together(alone, busy))
            del self.found.problems[TOGETHER]
        except _Failed as problem:
            self.found.problems[TOGETHER] = str(problem)

    def _others(self, cell: Cell) -> None:
        """Try other arrangements, and other precisions, of the costliest cell."""
        alone, usual = self._alone[cell.key], self.found.beside
        before = usual.slots / usual.training / median(alone.blocks)
        for name, arrangement in other_arrangements(self.arrangement):
            self.tell(f"{cell.name} with {name}")
            with contextlib.suppress(_Failed):
                trials = self._together(alone, arrangement)
                now = sum(1 / median(_settled(trial)) for trial in trials)
                self.found.alternatives.append(Alternative(name, now / before))
        for precision in other_precisions(cell.spec, self.arrangement.device):
            self.tell(f"{cell.name} in {precision}")
            config = dataclasses.replace(alone.spec.config, precision=precision)
            with contextlib.suppress(_Failed):
                trial = self._train(dataclasses.replace(alone.spec, config=config))
                gain = median(alone.blocks) / median(_settled(trial))
                self.found.alternatives.append(Alternative(f"precision: {precision}", gain))


def around_of(trials: Sequence[Trial], alone: CellFigures) -> float:
    """What a pack takes beside its training and its evaluations, from its process's beginning.

    A run's rows hold its share of the training; its pictures are counted with its evaluations.
    """
    wall = max(trial.seconds for trial in trials) + min(trial.waited for trial in trials)
    pictures = alone.beside * sum(len(trial.evaluations) for trial in trials)
    spent = sum(trial.training + sum(trial.evaluations) for trial in trials)
    return max(0.0, wall - spent - pictures)


def compare(alone: Trial, together: Sequence[Trial]) -> SideBySide:
    """The factors by which runs that train at once are slower than one alone; never under 1."""
    usual = median(_settled(alone))
    training = [max(1.0, median(_settled(trial)) / usual) for trial in together]
    scored = mean(alone.evaluations)
    evaluation = [max(1.0, mean(trial.evaluations) / scored) for trial in together]
    factors = [*training, *evaluation]
    return SideBySide(len(together), mean(training), mean(evaluation), min(factors), max(factors))


def other_arrangements(usual: Arrangement) -> Iterator[tuple[str, Arrangement]]:
    """Fewer slots with more threads, or the reverse; on GPUs more runs on each."""
    if usual.backend != "local":
        return
    if usual.gpus:
        per_gpu = 2 * usual.per_gpu
        slots = per_gpu * len(usual.gpus)
        yield f"--per-gpu {per_gpu}", dataclasses.replace(usual, per_gpu=per_gpu, slots=slots)
        return
    if usual.threads > 1:
        yield (
            "--threads 1",
            dataclasses.replace(usual, threads=1, slots=usual.slots * usual.threads),
        )
    elif usable_cores() > 1:
        slots = max(1, min(usual.slots, usable_cores()) // 2)
        yield f"--threads 2 (slots: {slots})", dataclasses.replace(usual, threads=2, slots=slots)


def other_precisions(spec: RunSpec, device: str) -> Iterator[str]:
    """Precisions below float32 that a run may have and this device computes in."""
    config = spec.config
    if config.precision != "float32":
        return
    there = {
        "bf16": torch.cuda.is_bf16_supported() if device == "cuda" else _cpu_has_bf16(),
        "tf32": device == "cuda",
    }
    for precision, fits in there.items():
        if fits:
            with contextlib.suppress(ConfigError):
                yield dataclasses.replace(config, precision=precision).precision


def _cpu_has_bf16() -> bool:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False
    return "avx512_bf16" in text or "amx_bf16" in text


class _Failed(Exception):
    """A run that was to be measured did not come to its end; says why."""


def _whole(trial: Trial) -> Trial:
    """The trial, where it has what is to be measured.

    Raises:
        _Failed: it failed, or diverged too early.
    """
    if trial.state == "done":
        return trial
    raise _Failed(f"it {trial.state} while it was measured: {trial.reason}")


def _measured(spec: RunSpec, steps: float, *, often: bool) -> RunSpec:
    """The run with about so many steps, in rows of equal length, and two or four evaluations."""
    wanted = int(min(max(steps, _STEPS[0]), _STEPS[1]))
    row = max(1, min(spec.log_every, wanted // _BLOCKS))
    rows = max(_BLOCKS, wanted // row)
    return shortened(spec, rows * row, -(-rows // 3) * row if often else rows * row, row)


def _settled(trial: Trial) -> tuple[float, ...]:
    """The rows after the warm-up."""
    return trial.blocks[len(trial.blocks) // 5 :]


def _figures(
    spec: RunSpec,
    pilot: Trial,
    trial: Trial,
    blocks: Sequence[float],
    inside: Inside,
    begun: float,
) -> CellFigures:
    """The figures of a cell; `begun`: seconds that a process's beginning adds to its run."""
    lazy = any(method.every > 1 for method in spec.config.lipschitz)
    iteration = Timing.of(blocks)
    if lazy:  # some iterations do more than others, and all count
        iteration = dataclasses.replace(iteration, middle=mean(blocks))
    between = [*pilot.evaluations[1:-1], *trial.evaluations[1:-1]]
    beside = inside.beside
    share = inside.update_flops / inside.flops if inside.flops else 0.5
    return CellFigures(
        iteration=iteration,
        update=iteration.middle * share,
        first_evaluation=trial.evaluations[0] + beside,
        evaluation=Timing.of([seconds + beside for seconds in between]),
        last_evaluation=trial.evaluations[-1] + beside,
        around=max(0.0, trial.around + begun - beside * len(trial.evaluations)),
        beside=beside,
        checkpoint=inside.checkpoint,
        batches=inside.batches,
        flops=inside.flops,
        convolutional=inside.convolutional,
        measured=time.time(),
        code=code_hash(),
    )


def _swapped() -> int:
    """Bytes that this machine has written to swap since it began."""
    with contextlib.suppress(OSError, RuntimeError):
        return int(psutil.swap_memory().sout)
    return 0
