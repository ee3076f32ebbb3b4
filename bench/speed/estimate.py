"""The estimate that `plan` shows: from runs of the sweep that are finished, else from kept figures.

Finished runs on this machine are the truest source: they were trained beside others, as the next
ones will be. It reads little and measures nothing, so that a plan of 10,000 runs stays quick.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench.backends.base import cost
from bench.backends.packing import Pack
from bench.environment import code_hash, machine, pack_size
from bench.files import FileError, read_json
from bench.limits import usable_cores
from bench.run_folder import RunFolder
from bench.spec import RunSpec
from bench.speed.cells import key_of, left
from bench.speed.figures import Timing
from bench.speed.kept import Kept, read_kept
from bench.speed.likeness import fill_up
from bench.speed.predict import HIGH, LOW, MIDDLE, Choice, predict, schedule
from bench.speed.units import Unit
from bench.store import Planned
from bench.tracker import spell

_LOOKED_AT, _AT_MOST = 3, 100  # finished runs that are read: of each label, and of all
_LOCAL = "--backend local"


@dataclass(frozen=True)
class Estimate:
    """How long it will take, and where that is known from.

    Attributes:
        source: "runs" that are finished, or "figures" that `speed` has kept.
        measured: when those ended or were measured, the last of them, in seconds since 1970.
        other_code: whether the training's code has changed since.
        guessed: runs of which nothing is known, reckoned from the others by their work.
    """

    seconds: Timing
    slots: int
    options: str
    source: str
    measured: float
    other_code: bool = False
    guessed: int = 0

    def __str__(self) -> str:
        slots = f"{self.slots} slot{'s' if self.slots > 1 else ''}"
        day = time.strftime("%Y-%m-%d", time.localtime(self.measured))
        code = " with other code" if self.other_code else ""
        told = {"runs": f"from finished runs, {day}", "figures": f"measured {day} on this machine"}
        also = f"; {self.guessed:,} runs like the others, by their work" if self.guessed else ""
        said = f"{told[self.source]}{code}{also}; {self.options}"
        return f"estimated {spell_range(self.seconds)} on {slots} ({said})"

    def to_plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "seconds": self.seconds.middle,
            "seconds_low": self.seconds.low,
            "seconds_high": self.seconds.high,
            "slots": self.slots,
            "options": self.options,
            "source": self.source,
            "measured": self.measured,
            "other_code": self.other_code,
            "guessed_runs": self.guessed,
        }


def spell_range(seconds: Timing) -> str:
    """The middle and, where they read otherwise, the ends: `12 min (10 to 15 min)`."""
    middle, first, last = (spell(value) for value in (seconds.middle, seconds.low, seconds.high))
    if first == last:
        return middle
    start, _, unit = first.partition(" ")
    alike = " " not in unit and last.partition(" ")[2] == unit
    return f"{middle} ({start if alike else first} to {last})"


def estimate(
    planned: Sequence[Planned], packs: Sequence[Pack], folder: Path | None = None
) -> Estimate | None:
    """How long it takes to train what the plan will train, or None where nothing is known.

    Args:
        packs: those of the plan's runs that are to be trained.
        folder: where figures are kept; None: in the user's cache.
    """
    units = [Unit.of(pack) for pack in packs]
    if not units:
        return None
    finished = _finished(planned, {unit.spec.label for unit in units})
    if finished:
        specs = {item.spec.label: item.spec for item in planned}
        return _from_runs(units, finished, specs)
    return max(
        (found for kept in read_kept(folder) if (found := _from_kept(units, kept)) is not None),
        key=lambda found: -found.guessed,
        default=None,
    )


def _from_runs(
    units: Sequence[Unit],
    finished: Mapping[str, list[_Finished]],
    specs: Mapping[str, RunSpec],
) -> Estimate:
    """From whole runs, which already contain what they cost each other."""
    ran = [run for runs in finished.values() for run in runs]
    threads = Counter(run.threads for run in ran).most_common(1)[0][0]
    gpus = {run.gpu for run in ran} - {""}
    slots = len(gpus) or max(1, usable_cores() // threads)
    per_step = {
        label: Timing.of([run.seconds_per_step for run in runs]) for label, runs in finished.items()
    }
    costs = {label: cost(spec) / max(1, spec.config.steps) for label, spec in specs.items()}
    usual = median(per_step[label].middle / costs[label] for label in finished)
    unknown = [unit for unit in units if unit.spec.label not in per_step]
    for unit in unknown:
        per_step[unit.spec.label] = Timing.exactly(usual * costs[unit.spec.label])

    def reckon(choose: Choice) -> float:
        work = [choose(per_step[unit.spec.label]) * sum(map(left, unit.items)) for unit in units]
        return schedule(work, slots)

    options = "--gpus all" if gpus else _LOCAL + (f" --threads {threads}" if threads > 1 else "")
    return Estimate(
        Timing(*(reckon(choose) for choose in (MIDDLE, LOW, HIGH))),
        slots,
        options,
        "runs",
        max(run.ended for run in ran),
        any(run.code != code_hash() for run in ran),
        sum(len(unit.items) for unit in unknown),
    )


def _from_kept(units: Sequence[Unit], kept: Kept) -> Estimate | None:
    """From measured figures; None where they know none of these runs."""
    specs = {unit.spec.label: unit.spec for unit in units}
    known = {
        label: kept.cells[key]
        for label, spec in specs.items()
        if (key := key_of(spec)) in kept.cells
    }
    if not known:
        return None
    figures = fill_up(specs, known)
    found = predict(units, figures, kept.beside, server=kept.server)
    return Estimate(
        found.seconds,
        kept.slots,
        kept.options,
        "figures",
        max(found.measured for found in known.values()),
        any(found.code != code_hash() for found in known.values()),
        sum(len(unit.items) for unit in units if unit.spec.label not in known),
    )


@dataclass(frozen=True)
class _Finished:
    """A run that was trained on this machine in one go; of a pack its share of the time."""

    seconds_per_step: float
    threads: int
    gpu: str
    ended: float
    code: str


def _finished(planned: Sequence[Planned], wanted: set[str]) -> dict[str, list[_Finished]]:
    """By label, some of its finished runs whose seconds can be believed; wanted labels first."""
    done = [item for item in planned if item.state == "done"]
    found: dict[str, list[_Finished]] = {}
    tried: Counter[str] = Counter()
    here = machine()
    for item in sorted(done, key=lambda item: item.spec.label not in wanted):
        label = item.spec.label
        if tried[label] >= _LOOKED_AT:
            continue
        if tried.total() >= _AT_MOST:
            break
        tried[label] += 1
        run = _read(item, here)
        if run is not None:
            found.setdefault(label, []).append(run)
    return found


def _read(item: Planned, here: Mapping[str, Any]) -> _Finished | None:
    """What a finished run tells; None where it was trained elsewhere, or in several goes."""
    final, steps = item.final or {}, item.spec.config.steps
    try:
        environment = read_json(RunFolder(item.folder).environment)
        seconds = float(final["finished"]) - float(environment["started"])
        same = environment["cpu"] == here["cpu"] and (
            environment["versions"]["torch"] == here["torch"]
        )
        if not same or environment["earlier"] or seconds <= 0 or steps == 0:
            return None
        gpu = str(environment["visible_gpus"] or "0") if environment["device"] != "cpu" else ""
        return _Finished(
            seconds / steps / pack_size(environment["numerics"]),
            int(environment["threads"]),
            gpu,
            float(final["finished"]),
            str(environment["numerics"]["code"]),
        )
    except (FileNotFoundError, FileError, KeyError, TypeError, ValueError):
        return None
