"""How far a sweep is: read from the run folders, reckoned here, shown by `bench.progress`."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median

from bench.backends.base import cost
from bench.environment import pack_size
from bench.files import FileError, last_row, read_json
from bench.lease import heartbeat_of
from bench.packs import listed_seeds
from bench.run_folder import RunFolder
from bench.store import Planned

_QUALITY = ("fid", "exact_w1", "sliced_wasserstein")
FINISHED = ("done", "diverged", "failed", "cancelled")


@dataclass(frozen=True)
class Figure:
    """How far one running run is; what is not known yet is None.

    `together` runs, itself among them, train as one model and share a slot.
    """

    label: str
    seed: int
    step: int
    steps: int
    steps_per_second: float | None
    quality: str
    seconds_left: float | None
    together: int = 1
    beside: tuple[int, ...] = ()  # seeds of those that are shown with it

    @property
    def name(self) -> str:
        """The run, or those that are shown with it, as a person calls them."""
        return f"{self.label} {listed_seeds((self.seed, *self.beside))}"


def merged(figures: Sequence[Figure]) -> list[Figure]:
    """The figures, those of runs in a pack as one: they make the same steps at the same time."""
    found: dict[object, Figure] = {}
    for figure in figures:
        alone = figure.together == 1
        key = (figure.label, figure.seed if alone else None, figure.step, figure.together)
        first = found.get(key)
        # What a score is like differs from run to run; that of none stands for all.
        found[key] = (
            figure
            if first is None
            else replace(first, beside=(*first.beside, figure.seed), quality="")
        )
    return list(found.values())


class Tracker:
    """Follows the runs of one plan.

    Args:
        planned: the plan.
        slots: runs trained at once.
        clock: in seconds, steady.
        rates: cost per second of runs that ended before.
    """

    def __init__(
        self,
        planned: Sequence[Planned],
        slots: int,
        clock: Callable[[], float] = time.monotonic,
        rates: Sequence[float] = (),
    ) -> None:
        self.items = {item.spec.run_id: item for item in planned}
        self.slots = slots
        self.states = {
            run_id: "waiting" if item.action in ("run", "resume") else item.state
            for run_id, item in self.items.items()
        }
        self._clock = clock
        self._began: dict[str, float] = {}
        self._rates = list(rates)  # cost per second of the runs that ended
        self._costs = {run_id: _cost_left(item) for run_id, item in self.items.items()}

    def begin(self, run_id: str) -> None:
        """A run has begun."""
        self.states[run_id] = "running"
        self._began[run_id] = self._clock()

    def leave(self, run_id: str) -> None:
        """Another runner is at it."""
        self._began.pop(run_id, None)
        self.states[run_id] = "elsewhere"

    def end(self, run_id: str, state: str) -> None:
        """A run has ended."""
        began = self._began.pop(run_id, None)
        if state == "done" and began is not None:
            made = self._costs[run_id]
            if made > 0:
                share = max(self._clock() - began, 1e-3) / _pack_size(self.items[run_id])
                self._rates.append(made / share)
        self.states[run_id] = state

    def seconds_taken(self, run_id: str) -> float | None:
        """Since a running run began; None where it did not begin here."""
        began = self._began.get(run_id)
        return None if began is None else self._clock() - began

    def name(self, run_id: str) -> str:
        """The run as a person calls it."""
        spec = self.items[run_id].spec
        return f"{spec.label} seed {spec.config.seed}"

    def count(self, *states: str) -> int:
        """How many runs are in one of these states."""
        return sum(state in states for state in self.states.values())

    def tally(self) -> Counter[str]:
        """How many runs are in each state."""
        return Counter(self.states.values())

    def running(self) -> list[Figure]:
        """The runs being trained here, in the order in which they began."""
        return [self.figure(run_id) for run_id in self._began]

    def figure(self, run_id: str) -> Figure:
        """How far one run is, by its heartbeat and its last score."""
        item = self.items[run_id]
        steps, beat = item.spec.config.steps, heartbeat_of(item.folder)
        step, rate = beat.get("step"), beat.get("steps_per_second")
        together = beat.get("together", 1)
        step = step if isinstance(step, int) and step > 0 else item.step
        rate = rate if isinstance(rate, int | float) and rate > 0 else None
        return Figure(
            item.spec.label,
            item.spec.config.seed,
            step,
            steps,
            rate,
            latest_quality(RunFolder(item.folder)),
            (steps - step) / rate if rate else None,
            together if isinstance(together, int) and together > 1 else 1,
        )

    def seconds_left(self) -> float | None:
        """When everything will be done, from the speed so far; None while nobody can know."""
        figures = {run_id: self.figure(run_id) for run_id in self._began}
        rates = self._rates + [
            figure.steps_per_second
            * (self.items[run_id].spec.config.critic_steps + 1)
            * figure.together
            for run_id, figure in figures.items()
            if figure.steps_per_second
        ]
        if not rates:
            return None
        rate = median(rates)  # of a slot: what it makes of all runs that share it
        here = [self._left(run_id, figure, rate) for run_id, figure in figures.items()]
        shares = [1 / figure.together for figure in figures.values()]
        waiting = [
            self._costs[run_id] / rate
            for run_id, state in self.states.items()
            if state == "waiting"
        ]
        busy = min(self.slots, math.ceil(sum(shares) - 1e-9) + len(waiting)) or 1
        at_work = sum(left * share for left, share in zip(here, shares, strict=True))
        return max([(at_work + sum(waiting)) / busy, *here])

    def _left(self, run_id: str, figure: Figure, rate: float) -> float:
        if figure.seconds_left is not None:
            return figure.seconds_left
        spec = self.items[run_id].spec
        left = (figure.steps - figure.step) * (spec.config.critic_steps + 1)
        return left * figure.together / rate


def _pack_size(item: Planned) -> int:
    """How many runs shared the slot of one that has ended."""
    try:
        numerics = read_json(RunFolder(item.folder).environment).get("numerics")
    except (FileNotFoundError, FileError):
        return 1
    return pack_size(numerics if isinstance(numerics, dict) else {})


def _cost_left(item: Planned) -> float:
    """What was left to do of a run when the plan was made."""
    kept = 0 if item.action == "run" else item.step  # "run": from the start
    return cost(item.spec) * max(0.0, 1 - kept / max(1, item.spec.config.steps))


def latest_quality(folder: RunFolder) -> str:
    """The last quality number with its name, e.g. "fid 24.1"; empty where there is none."""
    try:
        files = sorted(folder.path.glob("eval-*.jsonl"), key=lambda path: path.stat().st_mtime)
    except FileNotFoundError:
        return ""  # a training that begins again has just removed them
    row = last_row(files[-1]) if files else None
    for name in _QUALITY:
        if row is not None and row.get(name) is not None:
            return f"{name} {row[name]:.4g}"
    return ""


def spell(seconds: float | None) -> str:
    """A duration as a person says it: "40 s", "12 min", "3 h 20 min"."""
    if seconds is None:
        return "?"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
