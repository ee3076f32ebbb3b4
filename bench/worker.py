"""run(run_dirs): train, evaluate, record. The only callable that any backend dispatches.

What happened stands in the runs' folders: rows, log.txt, and, written last, state.json. A run that
fails takes no other with it.
"""

from __future__ import annotations

import faulthandler
import os
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from bench.crew import Crew
from bench.failures import explain
from bench.lease import LeaseLost
from bench.session import CANCELLED, Place
from bench.stopping import StopRequest, stop_with_parent
from bench.threads import held_to

__all__ = ["explain", "run"]


def run(
    run_dirs: Sequence[Path],
    *,
    device: str = "cpu",
    threads: int = 1,
    allow_numerics: Collection[str] = (),
    between: Callable[[], None] | None = None,
    own_process: bool = False,
    packed: bool = False,
) -> None:
    """Train the runs that are frozen in these folders: one after another, or as a pack.

    A run that is finished, or that another process is at, is left alone. At INT, TERM or USR2 the
    runs at work are checkpointed within seconds and the others are left for later; at USR1 they are
    checkpointed and go on. A run that fails says so in its folder, and is not raised.

    A run that was trained in a pack before goes on in a stack of that size, alone or not.

    Args:
        threads: CPU threads that this process may use.
        allow_numerics: names of `numerics` in which a resumed run may differ; "all" allows any.
        between: called at every pause, to keep a display alive.
        own_process: this process serves these runs alone: what it prints goes to their log.txt,
            and it stops when the process that started it is gone.
        packed: the runs differ in nothing but their seed and are trained as one stacked model, but
            for those that, by their checkpoints, cannot go on beside each other.

    Raises:
        OSError: a folder, the first of them, in which not even that can be written; the others have
            been trained.
        LeaseLost: likewise, where one was taken over by another process or removed in mid-run.
    """
    first: OSError | LeaseLost | None = None
    place = Place(device, threads, tuple(allow_numerics))
    print_to = _print_to if own_process else None
    waiting: list[tuple[Path, ...]]
    waiting = [tuple(run_dirs)] if packed else [(run_dir,) for run_dir in run_dirs]
    with StopRequest() as stop, held_to(threads, begun_so=own_process):
        if own_process:
            stop_with_parent(stop)
        while waiting and not stop():
            crew = Crew(waiting.pop(0), stop, place, between, print_to)
            members = list(crew.members)
            waiting[:0] = crew.work()
            for member in members:
                first = first or member.problem
            stop.forget(CANCELLED)
    if first is not None:
        raise first


def _print_to(log: Path) -> None:
    """Send what this process prints, and the trace of a crash in native code, to the run's log."""
    sys.stdout.flush()  # what is left of the run before
    sys.stderr.flush()
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    faulthandler.enable(file=2)
