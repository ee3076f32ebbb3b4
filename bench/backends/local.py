"""Runs trained on this machine, a process each, as many at once as there are slots.

Processes are forked from a server that has torch loaded, so that a run starts in milliseconds. A
slot owns its threads: two processes that share their cores' threads slow each other down.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import connection, forkserver, resource_tracker
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from bench.backends.base import State, cost, ended_state, found_state, mark_failed
from bench.run_folder import RunFolder
from bench.stopping import GRACE_SECONDS, SAVE_SIGNAL, held_back
from bench.store import Planned

# Loaded once, by the server. None of them computes anything when imported, so forking is safe.
_PRELOADED = ["bench.worker", "bench.evaluate.images", "bench.evaluate.points", "sklearn.datasets"]
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


_SERVER_GONE = 255  # what multiprocessing reports of a process whose server is gone
_ORPHAN_SECONDS = GRACE_SECONDS + 5.0
_NO_SERVER = "the process that starts runs was killed"


@dataclass
class _Running:
    """A run in its process; `asked` to stop by this backend or not."""

    item: Planned
    process: ForkServerProcess
    asked: bool = False


class Local:
    """Slots on this machine's cores, with a queue, longest runs first.

    Args:
        slots: runs at once; None: the cores that this process may use, divided by `threads`.
        threads: CPU threads that each run owns.
        allow_numerics: names of `numerics` in which a resumed run may differ.
    """

    name = "local"

    def __init__(
        self, slots: int | None = None, threads: int = 1, allow_numerics: Collection[str] = ()
    ) -> None:
        self.slots = max(1, usable_cores() // threads) if slots is None else slots
        self._threads = threads
        self._allow_numerics = tuple(allow_numerics)
        self._context = multiprocessing.get_context("forkserver")
        self._queue: list[Planned] = []
        self._running: dict[str, _Running] = {}
        self._states: dict[str, State] = {}

    def submit(self, runs: Sequence[Planned]) -> None:
        """Queue the runs; the longest begin first, so that no long one is left for the end."""
        self._queue += runs
        self._queue.sort(key=lambda item: cost(item.spec), reverse=True)
        self._states.update({item.spec.run_id: ("queued", "") for item in runs})

    def states(self) -> dict[str, State]:
        """Everybody's state, after ended processes were buried and free slots filled."""
        for run_id, running in list(self._running.items()):
            if running.process.exitcode is not None:
                del self._running[run_id]
                self._states[run_id] = _bury(running)
        while self._queue and len(self._running) < self.slots:
            self._start(self._queue.pop(0))
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
        for item in [item for item in self._queue if item.spec.run_id in ids]:
            self._queue.remove(item)
            self._states[item.spec.run_id] = found_state(item)
        for run_id, running in self._running.items():
            if run_id in ids:
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
        for running in self._running.values():
            if kill:
                running.process.kill()
            running.process.join()
        self.states()

    def _start(self, item: Planned) -> None:
        for _ in range(2):  # a second server, should the first have been killed
            process = self._context.Process(
                target=_train,
                args=(item.folder, self._threads, self._allow_numerics),
                name=item.folder.name,
                daemon=True,  # asked to stop, should this process end without closing the backend
            )
            try:
                self._ensure_server()
                process.start()
            except (EOFError, ConnectionError):
                continue
            self._running[item.spec.run_id] = _Running(item, process)
            self._states[item.spec.run_id] = ("running", "")
            return
        self._states[item.spec.run_id] = mark_failed(item, _NO_SERVER)

    def _ensure_server(self) -> None:
        """Start the server if it is not there; it hears no signal, and ends with this process.

        A terminal and a scheduler send theirs to all processes. Runs hear them once they can.
        """
        with held_back():
            resource_tracker.ensure_running()  # when it starts, it lets INT and TERM through again
        with held_back(), _environment(dict.fromkeys(_THREAD_VARIABLES, str(self._threads))):
            self._context.set_forkserver_preload(_PRELOADED)
            forkserver.ensure_running()


def usable_cores() -> int:
    """The cores that this process may use, which may be fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _train(run_dir: Path, threads: int, allow_numerics: tuple[str, ...]) -> None:
    """What a process does; the import is free there, and kept out of the runner."""
    from bench import worker

    try:
        worker.run([run_dir], threads=threads, allow_numerics=allow_numerics, own_process=True)
    except OSError as error:
        sys.exit(worker.explain(error, run_dir)[0])


def _bury(running: _Running) -> State:
    """The state of a run whose process has ended; where it could not say so itself, say it."""
    item, code = running.item, running.process.exitcode or 0
    running.process.close()
    state = ended_state(item)
    # Where the server was killed nobody can say how its children ended: they stop by themselves.
    until = time.monotonic() + _ORPHAN_SECONDS
    while code == _SERVER_GONE and state[0] == "running" and time.monotonic() < until:
        time.sleep(0.2)
        state = ended_state(item)
    if code == _SERVER_GONE and state[0] in ("pending", "interrupted"):
        return state[0], f"{_NO_SERVER}; run again to go on"
    if code == 0 or running.asked or state[0] in ("done", "diverged", "failed"):
        return state
    if code < 0:
        return mark_failed(item, _killed_by(-code))
    words = RunFolder(item.folder).last_words()
    return mark_failed(item, f"its process ended with exit code {code}: {words}")


def _killed_by(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    hint = " (by hand, or by the system for want of memory)" if name == "SIGKILL" else ""
    return f"its process was killed from outside by {name}{hint}"


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """These environment variables, for processes started meanwhile."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
