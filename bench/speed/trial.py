"""Trials: real runs of a few steps on the real backend, in a folder that is thrown away.

Nothing is imitated, so that whatever a run does (its process, its data, its evaluations, its files)
is in what is measured, and is found there whichever way it is done.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import shutil
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.backends import Inline, Local, Runner
from bench.execute import execute
from bench.files import read_rows
from bench.run_folder import RunFolder
from bench.spec import RunSpec
from bench.store import Planned, Store

_PREFIX = ".speed-"
_NEVER = 1e9  # seconds between two checkpoints


class OutOfTime(BaseException):
    """The time for measuring is over. No Exception, so that none swallows it."""


@dataclass(frozen=True)
class Arrangement:
    """Where runs are trained, and how many at once.

    Attributes:
        backend: "inline" or "local".
        gpus: what CUDA_VISIBLE_DEVICES holds for each; none: cores.
        packed: whether runs that differ in their seed alone train as one model where that pays.
    """

    backend: str = "local"
    slots: int = 1
    threads: int = 1
    gpus: tuple[str, ...] = ()
    per_gpu: int = 1
    packed: bool = False

    @property
    def device(self) -> str:
        """The kind of device."""
        return "cuda" if self.gpus else "cpu"

    def alone(self) -> Arrangement:
        """One slot of it, and nobody beside."""
        return dataclasses.replace(self, slots=1, gpus=self.gpus[:1], per_gpu=1, packed=False)

    def runner(self, clock: _Clock) -> Runner:
        """The backend."""
        if self.backend == "inline":
            return Inline(self.threads, (), clock.tick, packed=self.packed)
        return Local(self.slots, self.threads, (), self.gpus, self.per_gpu, packed=self.packed)


@dataclass(frozen=True)
class Trial:
    """What a short run took, in seconds.

    Attributes:
        waited: until its process had begun; seconds: from then to its end.
        training: in the loop; blocks: per iteration, of each row.
        evaluations: of each in turn, that of step 0 first.
    """

    state: str
    reason: str
    waited: float
    seconds: float
    training: float
    blocks: tuple[float, ...]
    evaluations: tuple[float, ...]

    @property
    def around(self) -> float:
        """All but training and evaluations."""
        return max(0.0, self.seconds - self.training - sum(self.evaluations))


def shortened(
    spec: RunSpec, steps: int, every: int, log_every: int, *, seed: int | None = None
) -> RunSpec:
    """The run with so many steps and evaluations, without warm-ups, which would be all of it."""
    config = dataclasses.replace(
        spec.config,
        steps=steps,
        warm_up_steps=0,
        warm_up_every=0,
        seed=spec.config.seed if seed is None else seed,
    )
    return dataclasses.replace(
        spec,
        config=config,
        evaluate=dataclasses.replace(spec.evaluate, every=every),
        log_every=log_every,
        checkpoint_seconds=_NEVER,
    )


@contextmanager
def workshop(results: Path) -> Iterator[Workshop]:
    """A place for trials in the results folder: their disk, and their statistics of real data.

    Raises:
        StoreError: (by a trial) the results folder cannot be written.
    """
    _sweep_up(results)
    place = Workshop(results)
    try:
        yield place
    finally:
        place.clear()


class Workshop:
    """Trains short runs, and forgets them."""

    def __init__(self, results: Path) -> None:
        self.results = results
        self._name = f"{_PREFIX}{socket.gethostname()}-{os.getpid()}"

    def train(
        self, specs: Sequence[RunSpec], arrangement: Arrangement, until: float
    ) -> list[Trial]:
        """What each of these runs took, trained together; their ids must differ.

        Args:
            until: on the clock `time.monotonic`, and later by what the first of them waited for
                its process; the inline backend sees it at pauses only.

        Raises:
            OutOfTime: they took longer.
            KeyboardInterrupt: somebody asked to stop.
        """
        specs = [dataclasses.replace(spec, sweep=self._name) for spec in specs]
        store, clock = Store(self.results, self._name), _Clock(until)
        planned = store.plan(specs)
        try:
            store.freeze(planned, "", "")
            outcome = execute(planned, arrangement.runner(clock), clock)
            if outcome.interrupted:
                raise KeyboardInterrupt
            return [
                _read(
                    item,
                    outcome.states[item.spec.run_id],
                    outcome.reasons[item.spec.run_id],
                    clock,
                )
                for item in planned
            ]
        finally:
            self.clear()

    def clear(self) -> None:
        """Remove what trials have left."""
        shutil.rmtree(self.results / self._name, ignore_errors=True)


class _Clock:
    """A display that shows nothing: it notes when runs begin and end, and when time is over."""

    def __init__(self, until: float) -> None:
        self.until = until
        self.started = time.monotonic()
        self.began: dict[str, float] = {}
        self.ended: dict[str, float] = {}

    def start(self, planned: Sequence[Planned], slots: int) -> None:
        """The clock begins."""
        self.started = time.monotonic()

    def tick(self) -> None:
        """Look at the time."""
        if time.monotonic() > self.until:
            raise OutOfTime

    def running(self, run_id: str) -> None:
        """A run has begun; what the first waited for its process does not count."""
        self.began[run_id] = time.monotonic()
        if len(self.began) == 1:
            self.until += self.began[run_id] - self.started

    def elsewhere(self, run_id: str) -> None:
        """Nobody else knows of these runs."""

    def finished(self, run_id: str, state: str, reason: str) -> None:
        """A run has ended."""
        self.ended[run_id] = time.monotonic()

    def message(self, text: str) -> None:
        """What is told of a stop is told once, at the end."""

    def stop(self) -> None:
        """There is nothing to put away."""


def _read(item: Planned, state: str, reason: str, clock: _Clock) -> Trial:
    """A trial from what stands in its folder."""
    folder, run_id = RunFolder(item.folder), item.spec.run_id
    rows, _ = read_rows(folder.train_rows)
    scored = [row for path in folder.path.glob("eval-*.jsonl") for row in read_rows(path)[0]]
    points = [(0, 0.0), *((row["step"], row["training_seconds"]) for row in rows)]
    began = clock.began.get(run_id, clock.started)
    return Trial(
        state,
        reason,
        waited=began - clock.started,
        seconds=clock.ended.get(run_id, began) - began,
        training=points[-1][1],
        blocks=tuple(
            (after[1] - before[1]) / (after[0] - before[0])
            for before, after in itertools.pairwise(points)
        ),
        evaluations=tuple(row["evaluation_seconds"] for row in sorted(scored, key=_step)),
    )


def _step(row: dict[str, int]) -> int:
    return row["step"]


def _sweep_up(results: Path) -> None:
    """Remove the places of processes of this host that are gone."""
    ours = f"{_PREFIX}{socket.gethostname()}-"
    with contextlib.suppress(OSError):
        for path in results.glob(f"{ours}*"):
            number = path.name.removeprefix(ours)
            if number.isdecimal() and not psutil.pid_exists(int(number)):
                shutil.rmtree(path, ignore_errors=True)
