"""Runs trained on this machine, in processes of their own, as many at once as there are slots.

A slot owns its threads: two processes that share their cores' threads slow each other down. Slots
on GPUs are divided evenly among them, and each process sees one. What a pack's process dies of is
one run's fault: its halves are then trained apart, until the one that dies is alone.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from collections.abc import Collection, Sequence
from multiprocessing import connection

from bench.backends.base import State, found_state, mark_failed, taken_elsewhere
from bench.backends.deaths import Running, after_its_server, has_died, note_death, written
from bench.backends.forked import Forked
from bench.backends.fresh import Fresh
from bench.backends.packing import Pack, form, place_in_turn
from bench.backends.packing import Terms as Packing
from bench.backends.processes import LOST, NotStarted, Processes, Terms, modules_for
from bench.limits import oom_kills, usable_cores
from bench.stopping import SAVE_SIGNAL
from bench.store import FINAL_STATES, Planned

_GPU = "cuda"
_RUNNING: State = ("running", "")
_LOOK_SECONDS = 1.0  # between two looks at who of a pack has ended


class Local:
    """Slots on this machine's cores or GPUs, with a queue, longest runs first.

    Args:
        slots: runs, or packs, at once; None: the cores that this process may use, divided by
            `threads`; on GPUs, all their slots.
        threads: CPU threads that each of them owns.
        allow_numerics: names of `numerics` in which a resumed run may differ.
        gpus: what CUDA_VISIBLE_DEVICES holds for each GPU (`gpus.choose_gpus`); none: cores.
        per_gpu: runs, or packs, at once on each GPU.
        packed: whether runs that differ in their seed alone train as one model where that pays.
    """

    name = "local"

    def __init__(
        self,
        slots: int | None = None,
        threads: int = 1,
        allow_numerics: Collection[str] = (),
        gpus: Sequence[str] = (),
        per_gpu: int = 1,
        *,
        packed: bool = False,
    ) -> None:
        self._places = tuple(gpus) or ("",)
        terms = Terms(_GPU if gpus else "cpu", threads, tuple(allow_numerics))
        there = len(gpus) * per_gpu if gpus else max(1, usable_cores() // threads)
        self.slots = there if slots is None else min(slots, there) if gpus else slots
        self._processes: Processes = Fresh(terms, gpus, per_gpu) if gpus else Forked(terms)
        self.packing = Packing(self.slots, terms.device, terms.allow_numerics, packed)
        self._queue: list[Pack] = []
        self._running: list[Running] = []
        self._states: dict[str, State] = {}
        self._goes_apart = False

    def submit(self, runs: Sequence[Planned]) -> None:
        """Queue the runs, each in its turn, as packs where that pays."""
        self._queue = sorted([*self._queue, *form(runs, self.packing)], key=place_in_turn)
        self._processes.modules = modules_for([pack.items[0] for pack in self._queue])
        self._states.update({item.spec.run_id: ("queued", "") for item in runs})

    def states(self) -> dict[str, State]:
        """Everybody's state, after ended processes were buried and free slots filled."""
        for running in list(self._running):
            if running.process.exitcode is not None:
                self._running.remove(running)
                self._bury(running)
            else:
                self._look_at(running)
        if self._goes_apart:  # why, before they go on
            self._goes_apart = False
            return dict(self._states)
        while self._queue and len(self._running) < self.slots:
            self._start(self._queue.pop(0))
        self._processes.prepare(len(self._queue))
        return dict(self._states)

    def busy(self) -> bool:
        """Whether runs wait or are being trained."""
        return bool(self._queue or self._running)

    def wait(self, seconds: float) -> None:
        """Sleep until a process has ended, for no longer than this."""
        sentinels = [running.process.sentinel for running in self._running]
        if sentinels:
            connection.wait(sentinels, timeout=seconds)
        else:
            time.sleep(seconds if self._queue else 0)

    def cancel(self, ids: Collection[str]) -> None:
        """Drop those that wait, ask those that run to save and stop.

        Of a pack all stop; those that are wanted still are queued again.
        """
        wanted, queue = set(ids), self._queue
        self._queue = [left for pack in queue if (left := pack.without(wanted)) is not None]
        dropped = [item for pack in queue for item in pack.items if item.spec.run_id in wanted]
        self._states.update({item.spec.run_id: found_state(item) for item in dropped})
        for running in self._running:
            unwanted = wanted & set(running.pack.run_ids)
            if unwanted - running.unwanted:
                running.unwanted |= unwanted
                running.process.terminate()

    def save(self) -> None:
        """Have the runs being trained write a checkpoint and go on."""
        for running in self._running:
            assert running.process.pid is not None
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.kill(running.process.pid, SAVE_SIGNAL)

    def close(self, *, kill: bool = False) -> None:
        """Drop the queue and end every process: asked and waited for, or killed."""
        self.cancel([*self._states])
        self._processes.close()
        for running in self._running:
            if kill:
                running.process.kill()
            running.process.join()
        self.states()

    def _start(self, pack: Pack) -> None:
        """Begin it in the least loaded place, without the runs at which others were quicker."""
        for item in pack.items:
            taken = taken_elsewhere(item)
            if taken is not None:
                self._states[item.spec.run_id] = taken
        waits = [run_id for run_id in pack.run_ids if self._states[run_id][0] == "queued"]
        free = pack.without(set(pack.run_ids).difference(waits))
        if free is None:
            return
        load = Counter(running.place for running in self._running)
        place = min(self._places, key=lambda place: load[place])
        kills = oom_kills()
        before = {item.spec.run_id: written(item) for item in free.items}
        try:
            process = self._processes.start([item.folder for item in free.items], place)
        except NotStarted as problem:
            for item in free.items:
                self._states[item.spec.run_id] = mark_failed(item, str(problem))
            return
        self._running.append(Running(free, process, place, kills, before))
        self._states.update(dict.fromkeys(free.run_ids, _RUNNING))

    def _look_at(self, running: Running) -> None:
        """Those of a pack that have ended while others train on, or that others were quicker at."""
        if len(running.pack.items) == 1 or time.monotonic() - running.looked < _LOOK_SECONDS:
            return
        running.looked = time.monotonic()
        for item in running.pack.items:
            if self._states[item.spec.run_id] == _RUNNING and running.has_left(item):
                state = found_state(item)
                if state[0] in FINAL_STATES or state[0] == "running":
                    self._states[item.spec.run_id] = state

    def _bury(self, running: Running) -> None:
        """Say of each run whose process has ended how; where it has not, train it on."""
        lost = self._processes.lost(running.process)
        code = running.process.exitcode or 0
        running.process.close()
        left = [item for item in running.pack.items if self._states[item.spec.run_id] == _RUNNING]
        for item in left:
            state = after_its_server(item) if lost else running.found(item, code)
            self._states[item.spec.run_id] = state
        left = [item for item in left if running.is_open(item, self._states[item.spec.run_id])]
        if lost or not left:
            return
        wanted = [item for item in left if item.spec.run_id not in running.unwanted]
        if running.asked:
            again = [Pack(tuple(wanted))] if wanted else []
            self._again(again, "others of its pack were taken back")
        elif has_died(code) and len(running.pack.items) > 1:
            reason = running.why(code)
            for item in left:
                note_death(item, len(running.pack.items), reason)
            self._again(Pack(tuple(left)).halved(), f"its pack's process died: {reason}")
        elif code not in (0, LOST):
            for item in left:
                self._states[item.spec.run_id] = running.bury(item, code)

    def _again(self, packs: Sequence[Pack], reason: str) -> None:
        """Queue these first: they have had their turn."""
        self._queue[:0] = packs
        self._goes_apart = bool(packs)
        for pack in packs:
            self._states.update(dict.fromkeys(pack.run_ids, ("queued", reason)))
