"""Processes at work, and what is written of runs whose process could not say how they ended."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from dataclasses import dataclass, field

from bench.backends.base import State, ended_state, lost_state, mark_failed
from bench.backends.forked import SERVER_KILLED
from bench.backends.packing import Pack
from bench.backends.processes import LOST, UNWRITABLE, AtWork
from bench.lease import owner_of, this_process
from bench.limits import oom_kills
from bench.run_folder import RunFolder
from bench.stopping import GRACE_SECONDS
from bench.store import FINAL_STATES, Planned
from bench.unwritable import unwritable

# What a process does to itself: nobody sent these.
_CRASHES = {signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT}


_ORPHAN_SECONDS = GRACE_SECONDS + 5.0


@dataclass
class Running:
    """A pack, or a run, in its process.

    Attributes:
        oom_kills: what the system had counted of them when it began.
        before: by run id, when an earlier end of the run was written.
        unwanted: ids of runs that its backend has asked back.
        looked: when its runs were looked at one by one.
    """

    pack: Pack
    process: AtWork
    place: str
    oom_kills: int | None
    before: dict[str, int]
    unwanted: set[str] = field(default_factory=set)
    looked: float = 0.0

    @property
    def asked(self) -> bool:
        """Whether its backend has asked it to stop."""
        return bool(self.unwanted)

    def has_left(self, item: Planned) -> bool:
        """Whether a run of it has ended meanwhile, or another process is at it."""
        if written(item) != self.before[item.spec.run_id]:
            return True
        owner = owner_of(item.folder)
        ours = (self.process.pid, this_process()["boot"])
        return owner is not None and (owner.get("pid"), owner.get("boot")) != ours

    def found(self, item: Planned, code: int) -> State:
        """The state of a run of it, when it has ended with this exit code."""
        may_be_gone = code in (LOST, UNWRITABLE + errno.ENOENT)
        return lost_state(item) if may_be_gone else ended_state(item)

    def is_open(self, item: Planned, state: State) -> bool:
        """Whether nobody has said how this run has ended, nor is at it."""
        if state[0] in ("done", "diverged", "running") or not item.folder.is_dir():
            return False
        if len(self.pack.items) == 1:
            return state[0] != "failed"
        return state[0] not in FINAL_STATES or written(item) == self.before[item.spec.run_id]

    def bury(self, item: Planned, code: int) -> State:
        """Mark a run of it as failed, and say why."""
        return bury(item, code, out_of_memory=self._lacked_memory())

    def why(self, code: int) -> str:
        """Why it has died, in words."""
        words = RunFolder(self.pack.items[0].folder).last_words()
        return _ended_by(-code, self._lacked_memory()) if code < 0 else _ended_with(code, words)

    def _lacked_memory(self) -> bool:
        kills = oom_kills()
        return kills is not None and self.oom_kills is not None and kills > self.oom_kills


def written(item: Planned) -> int:
    """When the end of a run was written, in nanoseconds; 0 where none is."""
    try:
        return RunFolder(item.folder).state.stat().st_mtime_ns
    except OSError:
        return 0


def has_died(code: int) -> bool:
    """Whether a process ended so without having done all that it could for each of its runs."""
    return code < 0 or 0 < code < LOST


def note_death(item: Planned, number: int, reason: str) -> None:
    """Say in a run's log what became of the pack that it was in."""
    with contextlib.suppress(OSError):
        RunFolder(item.folder).note(
            f"its pack of {number} is over: {reason}; it goes on in a half of it"
        )


def after_its_server(item: Planned) -> State:
    """The state of a run whose server was killed: it stops by itself, and nobody can say how."""
    state, until = ended_state(item), time.monotonic() + _ORPHAN_SECONDS
    while state[0] == "running" and time.monotonic() < until:
        time.sleep(0.2)
        state = ended_state(item)
    if state[0] in FINAL_STATES or state[0] == "running":
        return state
    return state[0], f"{SERVER_KILLED}; run again to go on"


def bury(item: Planned, code: int, *, out_of_memory: bool) -> State:
    """Mark the run of a process that ended with this exit code as failed, and say why.

    Args:
        code: as multiprocessing gives it: minus the signal's number where one ended it.
        out_of_memory: whether the system has ended a process for want of memory meanwhile.
    """
    if code < 0:
        return mark_failed(item, _ended_by(-code, out_of_memory))
    if code > UNWRITABLE:
        error = OSError(code - UNWRITABLE, os.strerror(code - UNWRITABLE))
        if (why := unwritable(error, item.folder)) is not None:
            return mark_failed(item, why)
    words = RunFolder(item.folder).last_words()
    return mark_failed(item, _ended_with(code, words))


def _ended_with(code: int, words: str) -> str:
    return f"its process ended with exit code {code}: {words}"


def _ended_by(number: int, out_of_memory: bool) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    if number in _CRASHES:
        return f"its process crashed by {name}; log.txt shows where"
    if number != signal.SIGKILL:
        return f"its process was killed from outside by {name}"
    if out_of_memory:
        return (
            "its process was killed by the system for want of memory; take fewer slots, a smaller "
            "batch or a smaller network"
        )
    return f"its process was killed from outside by {name} (by hand, or for want of memory)"
