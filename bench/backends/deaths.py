"""What is written of a run whose process ended without being able to say how."""

from __future__ import annotations

import os
import signal

from bench.backends.base import State, mark_failed
from bench.backends.processes import UNWRITABLE
from bench.run_folder import RunFolder
from bench.store import Planned
from bench.unwritable import unwritable

# What a process does to itself: nobody sent these.
_CRASHES = {signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT}


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
    return mark_failed(item, f"its process ended with exit code {code}: {words}")


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
