"""Processes that begin afresh, each with one GPU to see: never forked from what has used CUDA.

Loading torch takes seconds, and the first use of a GPU another, and half a gigabyte of its memory.
So a process that has trained its runs to a result takes the next ones. For one that cannot, a spare
is loaded ahead: with its GPU chosen, torch imported and CUDA untouched, until it is sent its runs.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from bench.backends.gpus import VISIBLE
from bench.backends.processes import AtWork, NotStarted, Terms, modules_for, train
from bench.server import beginnings
from bench.stopping import CutShort, StopRequest

# What a process says when it is ready for its first runs, and for its next ones.
_LOADED, _SERVED = "loaded", "served"


class _Fresh:
    """A process that was begun, and this end of its pipe.

    Attributes:
        served: how often it was given runs that have left it fit for more.
    """

    def __init__(self, process: BaseProcess, pipe: Connection) -> None:
        self.process, self.pipe = process, pipe
        self.served = 0
        self.silent = False  # it will say nothing more: it is about to end, or has ended
        self._loaded = False

    def hear(self) -> None:
        """Take in what it has said."""
        while not self.silent and self.pipe.poll():
            try:
                self.served += self.pipe.recv() == _SERVED
                self._loaded = True
            except (EOFError, OSError):
                self.silent = True

    def loads(self) -> bool:
        """Whether it is still importing: it says when that is over, or ends."""
        self.hear()
        return not (self._loaded or self.silent)

    def lives(self) -> bool:
        return self.process.exitcode is None

    def end(self) -> None:
        """End a process that has nothing to do."""
        self.process.kill()
        self.process.join()
        self.process.close()
        self.pipe.close()


class _Turn:
    """Some runs in the hands of a process; with them the turn ends, and perhaps not the process."""

    def __init__(self, fresh: _Fresh, give_back: Callable[[_Turn], None]) -> None:
        self.fresh = fresh
        self.pid = fresh.process.pid
        self._give_back = give_back
        self._served_before = fresh.served
        self._asked = False
        self._code: int | None = None

    @property
    def sentinel(self) -> int:
        """Its pipe; after the last word there the process itself, which takes a while to end."""
        return self.fresh.process.sentinel if self.fresh.silent else self.fresh.pipe.fileno()

    @property
    def exitcode(self) -> int | None:
        """The process', or 0 when it has said that it is done with these runs."""
        if self._code is None:
            self.fresh.hear()
            served = self.fresh.served > self._served_before
            self._code = 0 if served else self.fresh.process.exitcode
        return self._code

    @property
    def goes_on(self) -> bool:
        """Whether the process can be given more: not if a signal meant for these is on its way."""
        return self.fresh.served > self._served_before and not self._asked

    def terminate(self) -> None:
        if self.exitcode is None:
            self._asked = True
            self.fresh.process.terminate()

    def kill(self) -> None:
        if self.exitcode is None:
            self._asked = True
            self.fresh.process.kill()

    def join(self, timeout: float | None = None) -> None:
        while self.exitcode is None and connection.wait([self.sentinel], timeout):
            pass

    def close(self) -> None:
        if self.exitcode is None:
            raise ValueError("its runs are not over")
        self._give_back(self)


class Fresh:
    """Processes on one GPU each, which take runs turn by turn, from spares where there are any.

    Args:
        gpus: what CUDA_VISIBLE_DEVICES holds for each.
        per_gpu: spares kept for each GPU while so many runs wait, of which all but one make way for
            processes at work; 0 keeps none.
    """

    def __init__(self, terms: Terms, gpus: Sequence[str], per_gpu: int) -> None:
        self.modules = modules_for(())
        self._terms = terms
        self._per_gpu = per_gpu
        self._context = multiprocessing.get_context("spawn")
        self._spares: dict[str, list[_Fresh]] = {gpu: [] for gpu in gpus}
        self._turns: dict[str, list[_Turn]] = {gpu: [] for gpu in gpus}
        self._closed = False

    def start(self, folders: Sequence[Path], place: str) -> AtWork:
        """A process that sees this GPU alone, at these runs: the last one that was at others."""
        spares = self._spares[place]
        for _ in range(len(spares) + 2):
            fresh = spares.pop(0) if spares else self._begin(place)
            if fresh.lives():
                turn = _Turn(fresh, lambda turn: self._take_back(turn, place))
                try:
                    fresh.pipe.send(tuple(folders))
                except OSError:
                    pass  # it has just died
                else:
                    self._turns[place].append(turn)
                    return turn
            fresh.end()
        raise NotStarted("every process that was begun for it ended before it could be told so")

    def _take_back(self, turn: _Turn, place: str) -> None:
        """Keep a turn's process for the next, before the spares: its GPU knows it already."""
        self._turns[place].remove(turn)
        if turn.goes_on and not self._closed:
            self._spares[place].insert(0, turn.fresh)
        else:
            turn.fresh.end()

    def prepare(self, waiting: int) -> None:
        """Keep spares while runs wait; on each GPU one process loads at a time."""
        for gpu, spares in self._spares.items():
            at_work = [turn for turn in self._turns[gpu] if turn.exitcode is None]
            for spare in [spare for spare in spares if not spare.lives()]:
                spares.remove(spare)
                spare.end()
            wanted = min(waiting, self._per_gpu, max(1, self._per_gpu - len(at_work)))
            while len(spares) > wanted:
                spares.pop().end()
            busy = any(fresh.loads() for fresh in (*spares, *(turn.fresh for turn in at_work)))
            if len(spares) < wanted and not busy:
                spares.append(self._begin(gpu))

    def lost(self, process: AtWork) -> bool:
        """Never: these are this process's own children."""
        return False

    def close(self) -> None:
        """End the spares, and from now on each process with its runs."""
        self._closed = True
        self.prepare(0)

    def _begin(self, gpu: str) -> _Fresh:
        here, there = self._context.Pipe()
        process = self._context.Process(
            target=_wait_and_train,
            args=(there, self._terms, self.modules),
            name=f"GPU {gpu}",
            daemon=True,
        )
        with beginnings(self._terms.threads, {VISIBLE: gpu}):
            process.start()
        there.close()
        return _Fresh(process, here)


def _wait_and_train(pipe: Connection, terms: Terms, modules: Sequence[str]) -> None:
    """Load, then train the runs that it is given, turn by turn.

    Ends with the process that began this one, or after a turn that may have left it ill.
    """
    problem: Exception | None = None
    try:
        for name in modules:
            import_module(name)
    except Exception as error:  # told in the log of the run that it keeps from being trained
        problem = error
    folders = _first(pipe)
    if problem is not None:
        for folder in folders:
            with (folder / "log.txt").open("a") as log:
                log.write(f"{type(problem).__name__}: {problem}\n")
        raise SystemExit(bool(folders))
    # From its first run on: threads of libraries are not held back, and must end no process.
    with StopRequest() as stop:
        while folders and not stop() and _serve(folders, terms):
            folders = _next(pipe, stop)


def _first(pipe: Connection) -> tuple[Path, ...]:
    """The first runs; none: nobody is there to send any."""
    try:
        pipe.send(_LOADED)
        if not pipe.poll():
            # While it has nothing to save it may be told to end.
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
            pipe.poll(None)
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        folders: tuple[Path, ...] = pipe.recv()
    except (EOFError, OSError):
        return ()
    return folders


def _next(pipe: Connection, stop: StopRequest) -> tuple[Path, ...]:
    """The next runs; none: it is to end, or nobody is there to send any."""
    if stop():
        return ()
    try:
        pipe.send(_SERVED)
        folders: tuple[Path, ...] = stop.unless_stopped(pipe.recv)
    except (CutShort, EOFError, OSError):
        return ()
    return folders


def _serve(folders: Sequence[Path], terms: Terms) -> bool:
    """Train these runs; returns whether this process is fit for more."""
    from bench.backends.reuse import Origin, ended_well

    origin, outputs = Origin(), [os.dup(number) for number in (1, 2)]
    train(folders, terms)
    if not (ended_well(folders) and origin.restored()):
        return False
    sys.stdout.flush()
    sys.stderr.flush()
    for number, output in zip((1, 2), outputs, strict=True):
        os.dup2(output, number)  # no longer into the log of a run that is over
        os.close(output)
    return True
