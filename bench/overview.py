"""How a sweep stands now: each run's progress, counted by method and optimizer and by label.

What a finished run shows comes with the plan (`Planned.final`), so that ten thousand of them cost
no file; only runs at work, failed ones and interrupted ones are looked into. Nothing is printed.
"""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.backends.base import cost
from bench.files import last_row
from bench.lease import heartbeat_of, owner_of
from bench.run_folder import RunFolder
from bench.store import Planned
from bench.tracker import FINISHED, Tracker

RESULTS = ("done", "diverged")  # states with nothing left to do
_WAITING = ("pending", "queued", "interrupted")
SILENT_SECONDS = 60.0  # without a heartbeat, from which on it is told


@dataclass(frozen=True)
class Progress:
    """How far one run is.

    Attributes:
        step: the last step made by a run at work, else the last one kept.
        steps_per_second: of a run at work as its heartbeat says, else over its training.
        reason: why it is in this state, in words.
        last_line: of a failed run, the last line of its log.
    """

    run_id: str
    label: str
    method: str
    optimizer: str
    seed: int
    state: str
    reason: str
    step: int
    steps: int
    steps_per_second: float | None
    dead_critic: bool
    last_line: str
    folder: str

    @property
    def steps_done(self) -> int:
        """The steps that need not be made any more: of a result, however early, all."""
        return self.steps if self.state in RESULTS else min(self.step, self.steps)


@dataclass(frozen=True)
class AtWork:
    """One run that is being trained, and by whom.

    Attributes:
        doing: "training", "evaluating"; empty where its owner has not said yet.
        silent_seconds: since its last heartbeat, by its owner's clock; None where there was none.
    """

    run_id: str
    label: str
    seed: int
    step: int
    steps: int
    steps_per_second: float | None
    seconds_left: float | None
    quality: str
    doing: str
    host: str
    pid: int | None
    silent_seconds: float | None

    @property
    def is_silent(self) -> bool:
        """Whether it has shown no sign of life for long."""
        return self.silent_seconds is not None and self.silent_seconds > SILENT_SECONDS


@dataclass(frozen=True)
class Group:
    """Runs with one method and optimizer, or with one label, counted.

    Attributes:
        labels: how many there are among them.
        steps_per_second: the median of the runs at work, else of those that have trained.
    """

    method: str
    optimizer: str
    label: str
    labels: int
    runs: int
    counts: dict[str, int]
    dead_critics: int
    steps_done: int
    steps: int
    steps_per_second: float | None


@dataclass(frozen=True)
class Overview:
    """Everything that `status` tells.

    Attributes:
        remarks: sentences to be read before the counts.
        steps_per_second: of all runs at work together, now.
        seconds_left: until everything that waits is trained by as many as are at work now; None
            where nobody can know.
    """

    sweep: str
    remarks: tuple[str, ...]
    runs: list[Progress]
    by_method: list[Group]
    by_label: list[Group]
    at_work: list[AtWork]
    steps_per_second: float | None
    seconds_left: float | None

    @property
    def is_finished(self) -> bool:
        """Whether every run has ended, well or not."""
        return all(run.state in FINISHED for run in self.runs)

    def having(self, *states: str) -> list[Progress]:
        """The runs in one of these states."""
        return [run for run in self.runs if run.state in states]


def overview(sweep: str, planned: Sequence[Planned], remarks: Sequence[str] = ()) -> Overview:
    """How the runs of this plan stand; a run that changes meanwhile is taken as it was met."""
    tracker = _tracker(planned)
    at_work = [_at_work(item, tracker) for item in planned if item.state == "running"]
    by_id = {work.run_id: work for work in at_work}
    runs = [_progress(item, by_id.get(item.spec.run_id)) for item in planned]
    rates = [
        work.steps_per_second for work in at_work if work.steps_per_second and not work.is_silent
    ]
    return Overview(
        sweep=sweep,
        remarks=tuple(remarks),
        runs=runs,
        by_method=_grouped(runs, with_label=False),
        by_label=_grouped(runs, with_label=True),
        at_work=at_work,
        steps_per_second=sum(rates) if rates else None,
        seconds_left=tracker.seconds_left() if at_work else None,
    )


def _tracker(planned: Sequence[Planned]) -> Tracker:
    """The reckoning of `run`, for whatever runs now, on whatever machines.

    Where the runs at work have no speed yet, those that are done lend theirs.
    """
    running = [
        replace(item, step=RunFolder(item.folder).kept_step())  # until it says where it is
        for item in planned
        if item.state == "running"
    ]
    beats = [heartbeat_of(item.folder).get("steps_per_second") for item in running]
    rates = [] if any(beats) else [rate for item in planned if (rate := _cost_per_second(item))]
    waiting = [item for item in planned if item.state in _WAITING and item.action != "refuse"]
    tracker = Tracker([*running, *waiting], len(running), rates=rates)
    for item in running:
        tracker.begin(item.spec.run_id)
    for item in waiting:
        tracker.states[item.spec.run_id] = "waiting"
    return tracker


def _cost_per_second(item: Planned) -> float | None:
    seconds = _number((item.final or {}).get("training_seconds"))
    if item.state != "done" or not seconds:
        return None
    return cost(item.spec) / seconds


def _at_work(item: Planned, tracker: Tracker) -> AtWork:
    run_id, beat = item.spec.run_id, heartbeat_of(item.folder)
    owner, at = owner_of(item.folder) or {}, _number(beat.get("at"))
    figure, pid = tracker.figure(run_id), owner.get("pid")
    return AtWork(
        run_id=run_id,
        label=item.spec.label,
        seed=item.spec.config.seed,
        step=figure.step,
        steps=item.spec.config.steps,
        steps_per_second=figure.steps_per_second,
        seconds_left=figure.seconds_left,
        quality=figure.quality,
        doing=str(beat.get("doing") or ""),
        host=str(owner.get("host") or "?"),
        pid=pid if isinstance(pid, int) else None,
        silent_seconds=None if at is None else max(0.0, time.time() - at),
    )


def _progress(item: Planned, work: AtWork | None) -> Progress:
    config, final = item.spec.config, item.final or {}
    rate = work.steps_per_second if work is not None else _past_rate(item)
    return Progress(
        run_id=item.spec.run_id,
        label=item.spec.label,
        method=config.method,
        optimizer=config.optimizer.name,
        seed=config.seed,
        state=item.state,
        reason=str(final.get("reason") or "") if item.state == "failed" else item.reason,
        step=work.step if work is not None else item.step,
        steps=config.steps,
        steps_per_second=rate,
        dead_critic=bool(final.get("dead_critic", False)),
        last_line=RunFolder(item.folder).last_words() if item.state == "failed" else "",
        folder=str(item.folder),
    )


def _past_rate(item: Planned) -> float | None:
    """Steps per second of training, by the final state or the last row."""
    final = item.final or {}
    step, seconds = final.get("step"), _number(final.get("training_seconds"))
    if seconds is None and item.state in ("interrupted", "failed", "cancelled"):
        row = last_row(RunFolder(item.folder).train_rows) or {}
        step, seconds = row.get("step"), _number(row.get("training_seconds"))
    return step / seconds if isinstance(step, int) and step and seconds else None


def _grouped(runs: Iterable[Progress], *, with_label: bool) -> list[Group]:
    groups: dict[tuple[str, str, str], list[Progress]] = {}
    for run in runs:
        key = (run.method, run.optimizer, run.label if with_label else "")
        groups.setdefault(key, []).append(run)
    order: dict[tuple[str, str], int] = {}
    for method, optimizer, _ in groups:
        order.setdefault((method, optimizer), len(order))
    ranked = sorted(groups, key=lambda key: order[key[:2]])
    return [_group(*key, groups[key]) for key in ranked]


def _group(method: str, optimizer: str, label: str, runs: Sequence[Progress]) -> Group:
    now = [run.steps_per_second for run in runs if run.state == "running" and run.steps_per_second]
    speeds = now or [run.steps_per_second for run in runs if run.steps_per_second]
    return Group(
        method=method,
        optimizer=optimizer,
        label=label,
        labels=len({run.label for run in runs}),
        runs=len(runs),
        counts=dict(Counter(run.state for run in runs)),
        dead_critics=sum(run.dead_critic for run in runs),
        steps_done=sum(run.steps_done for run in runs),
        steps=sum(run.steps for run in runs),
        steps_per_second=statistics.median(speeds) if speeds else None,
    )


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and value == value else None
