"""Runs trained on this machine, in processes of their own, as many at once as there are slots.

A slot owns its threads: two processes that share their cores' threads slow each other down. Slots
on GPUs are divided evenly among them, and each run sees one.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from multiprocessing import connection

from bench.backends.base import (
    State,
    ended_state,
    found_state,
    lost_state,
    mark_failed,
    taken_elsewhere,
    turn,
)
from bench.backends.deaths import bury
from bench.backends.forked import SERVER_KILLED, Forked
from bench.backends.fresh import Fresh
from bench.backends.processes import (
    LOST,
    UNWRITABLE,
    AtWork,
    NotStarted,
    Processes,
    Terms,
    modules_for,
)
from bench.limits import oom_kills, usable_cores
from bench.stopping import GRACE_SECONDS, SAVE_SIGNAL
from bench.store import FINAL_STATES, Planned

_GPU = "cuda"
_ORPHAN_SECONDS = GRACE_SECONDS + 5.0


@dataclass
class _Running:
    """A run in its process; `asked` to stop by this backend or not."""

    item: Planned
    process: AtWork
    place: str
    oom_kills: int | None
    asked: bool = False


class Local:
    """Slots on this machine's cores or GPUs, with a queue, longest runs first.

    Args:
        slots: runs at once; None: the cores that this process may use, divided by `threads`; on
            GPUs, all their slots.
        threads: CPU threads that each run owns.
        allow_numerics: names of `numerics` in which a resumed run may differ.
        gpus: what CUDA_VISIBLE_DEVICES holds for each GPU (`gpus.choose_gpus`); none: cores.
        per_gpu: runs at once on each GPU.
    """

    name = "local"

    def __init__(
        self,
        slots: int | None = None,
        threads: int = 1,
        allow_numerics: Collection[str] = (),
        gpus: Sequence[str] = (),
        per_gpu: int = 1,
    ) -> None:
        self._places = tuple(gpus) or ("",)
        terms = Terms(_GPU if gpus else "cpu", threads, tuple(allow_numerics))
        there = len(gpus) * per_gpu if gpus else max(1, usable_cores() // threads)
        self.slots = there if slots is None else min(slots, there) if gpus else slots
        self._processes: Processes = Fresh(terms, gpus, per_gpu) if gpus else Forked(terms)
        self._queue: list[Planned] = []
        self._running: dict[str, _Running] = {}
        self._states: dict[str, State] = {}

    def submit(self, runs: Sequence[Planned]) -> None:
        """Queue the runs, each in its turn."""
        self._queue += runs
        self._queue.sort(key=turn)
        self._processes.modules = modules_for(self._queue)
        self._states.update({item.spec.run_id: ("queued", "") for item in runs})

    def states(self) -> dict[str, State]:
        """Everybody's state, after ended processes were buried and free slots filled."""
        for run_id, running in list(self._running.items()):
            if running.process.exitcode is not None:
                del self._running[run_id]
                self._states[run_id] = self._bury(running)
        while self._queue and len(self._running) < self.slots:
            self._start(self._queue.pop(0))
        self._processes.prepare(len(self._queue))
        return dict(self._states)

    def busy(self) -> bool:
        """Whether runs wait or are being trained."""
        return bool(self._queue or self._running)

    def wait(self, seconds: float) -> None:
        """Sleep until a process has ended, for no longer than this."""
        sentinels = [running.process.sentinel for running in self._running.values()]
        if sentinels:
            connection.wait(sentinels, timeout=seconds)
        else:
            time.sleep(seconds if self._queue else 0)

    def cancel(self, ids: Collection[str]) -> None:
        """Drop those that wait, ask those that run to save and stop."""
        wanted = set(ids)
        dropped = [item for item in self._queue if item.spec.run_id in wanted]
        self._queue = [item for item in self._queue if item.spec.run_id not in wanted]
        self._states.update({item.spec.run_id: found_state(item) for item in dropped})
        for run_id, running in self._running.items():
            if run_id in wanted:
                running.asked = True
                running.process.terminate()

    def save(self) -> None:
        """Have the runs being trained write a checkpoint and go on."""
        for running in self._running.values():
            assert running.process.pid is not None
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.kill(running.process.pid, SAVE_SIGNAL)

    def close(self, *, kill: bool = False) -> None:
        """Drop the queue and end every process: asked and waited for, or killed."""
        self.cancel([*self._states])
        self._processes.close()
        for running in self._running.values():
            if kill:
                running.process.kill()
            running.process.join()
        self.states()

    def _start(self, item: Planned) -> None:
        """Begin a run in the least loaded place, unless another runner was quicker."""
        run_id = item.spec.run_id
        taken = taken_elsewhere(item)
        if taken is not None:
            self._states[run_id] = taken
            return
        load = Counter(running.place for running in self._running.values())
        place = min(self._places, key=lambda place: load[place])
        kills = oom_kills()
        try:
            process = self._processes.start([item.folder], place)
        except NotStarted as problem:
            self._states[run_id] = mark_failed(item, str(problem))
            return
        self._running[run_id] = _Running(item, process, place, kills)
        self._states[run_id] = ("running", "")

    def _bury(self, running: _Running) -> State:
        """The state of a run whose process has ended; where it could not say so itself, say it."""
        item, code = running.item, running.process.exitcode or 0
        lost = self._processes.lost(running.process)
        running.process.close()
        if lost:
            return _after_its_server(item)
        may_be_gone = code in (LOST, UNWRITABLE + errno.ENOENT)
        state = lost_state(item) if may_be_gone else ended_state(item)
        if code in (0, LOST) or running.asked or state[0] in ("done", "diverged", "failed"):
            return state
        kills = oom_kills()
        more = kills is not None and running.oom_kills is not None and kills > running.oom_kills
        return bury(item, code, out_of_memory=more)


def _after_its_server(item: Planned) -> State:
    """The state of a run whose server was killed: it stops by itself, and nobody can say how."""
    state, until = ended_state(item), time.monotonic() + _ORPHAN_SECONDS
    while state[0] == "running" and time.monotonic() < until:
        time.sleep(0.2)
        state = ended_state(item)
    if state[0] in FINAL_STATES or state[0] == "running":
        return state
    return state[0], f"{SERVER_KILLED}; run again to go on"
