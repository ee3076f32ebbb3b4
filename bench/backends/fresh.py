"""Processes that begin afresh, each with one GPU to see: never forked from what has used CUDA.

Loading torch takes seconds, so a spare is loaded ahead for each slot while runs wait: with its GPU
chosen, torch imported and CUDA untouched, until it is sent its run through a pipe.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from bench.backends.gpus import VISIBLE
from bench.backends.processes import NotStarted, Terms, beginnings, modules_for, train


@dataclass(frozen=True)
class _Fresh:
    """A process that was begun, and this end of its pipe."""

    process: BaseProcess
    pipe: Connection

    def loads(self) -> bool:
        """Whether it is still importing: it says when that is over, or ends."""
        return not self.pipe.poll()

    def lives(self) -> bool:
        return self.process.exitcode is None

    def end(self) -> None:
        """End a process that was given nothing to do."""
        self.process.kill()
        self.process.join()
        self.process.close()
        self.pipe.close()


class Fresh:
    """A process per run, each on one GPU, from spares where there are any.

    Args:
        gpus: what CUDA_VISIBLE_DEVICES holds for each.
        per_gpu: spares kept for each GPU while so many runs wait; 0 keeps none.
    """

    def __init__(self, terms: Terms, gpus: Sequence[str], per_gpu: int) -> None:
        self.modules = modules_for(())
        self._terms = terms
        self._per_gpu = per_gpu
        self._context = multiprocessing.get_context("spawn")
        self._spares: dict[str, list[_Fresh]] = {gpu: [] for gpu in gpus}
        self._begun: dict[str, list[_Fresh]] = {gpu: [] for gpu in gpus}

    def start(self, folders: Sequence[Path], place: str) -> BaseProcess:
        """A process that sees this GPU alone, at these runs."""
        spares = self._spares[place]
        for _ in range(len(spares) + 2):
            fresh = spares.pop(0) if spares else self._begin(place)
            if fresh.lives():
                try:
                    fresh.pipe.send(tuple(folders))
                except OSError:
                    pass  # it has just died
                else:
                    self._begun[place].append(fresh)
                    return fresh.process
            fresh.end()
        raise NotStarted("every process that was begun for it ended before it could be told so")

    def prepare(self, waiting: int) -> None:
        """Keep spares while runs wait; on each GPU one process loads at a time."""
        for gpu, spares in self._spares.items():
            for fresh in self._begun[gpu]:
                if not fresh.loads():
                    fresh.pipe.close()
            self._begun[gpu] = [fresh for fresh in self._begun[gpu] if not fresh.pipe.closed]
            for spare in [spare for spare in spares if not spare.lives()]:
                spares.remove(spare)
                spare.end()
            wanted = min(self._per_gpu, waiting)
            while len(spares) > wanted:
                spares.pop().end()
            busy = self._begun[gpu] or any(spare.loads() for spare in spares)
            if len(spares) < wanted and not busy:
                spares.append(self._begin(gpu))

    def lost(self, process: BaseProcess) -> bool:
        """Never: these are this process's own children."""
        return False

    def close(self) -> None:
        """End the spares."""
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
    """Load, wait for the folders of runs, train them; ends with the process that began this one."""
    problem: Exception | None = None
    try:
        for name in modules:
            import_module(name)
    except Exception as error:  # told in the log of the run that it keeps from being trained
        problem = error
    try:
        pipe.send("loaded")
        if not pipe.poll():
            # While it has nothing to save it may be told to end.
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
            pipe.poll(None)
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        folders: tuple[Path, ...] = pipe.recv()
    except (EOFError, OSError):
        return  # nobody is there to send one any more
    if problem is not None:
        for folder in folders:
            with (folder / "log.txt").open("a") as log:
                log.write(f"{type(problem).__name__}: {problem}\n")
        raise SystemExit(1)
    train(folders, terms)
