"""Processes forked from a server that has torch loaded: a run starts in milliseconds.

Not for GPUs: what has used CUDA once can never be forked again.
"""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Sequence
from multiprocessing import forkserver
from pathlib import Path

import psutil

from bench import server
from bench.backends.processes import AtWork, NotStarted, Terms, modules_for, train

SERVER_KILLED = "the process that starts runs was killed"
_UNKNOWN = 255  # what multiprocessing reports of a process whose server is gone


class Forked:
    """A process per run, forked from one server."""

    def __init__(self, terms: Terms) -> None:
        self.modules = modules_for(())
        self._terms = terms
        self._context = multiprocessing.get_context("forkserver")
        self._servers: dict[AtWork, int | None] = {}

    def start(self, folders: Sequence[Path], place: str) -> AtWork:
        """A process at these runs; with a second server, should the first have been killed."""
        for _ in range(2):
            process = self._context.Process(
                target=train,
                args=(tuple(folders), self._terms),
                name=folders[0].name,
                daemon=True,  # asked to stop, should this process end without closing the backend
            )
            with contextlib.suppress(EOFError, ConnectionError):
                self._ensure_server()
                process.start()
                self._servers[process] = _server()
                return process
        raise NotStarted(SERVER_KILLED)

    def _ensure_server(self) -> None:
        """Begin the server if it is not there."""
        server.ensure(self._terms.threads, self.modules)

    def prepare(self, waiting: int) -> None:
        """Nothing: the server is ready for any number."""

    def lost(self, process: AtWork) -> bool:
        """Whether the server that would have said how the process ended was killed."""
        server = self._servers.pop(process, None)
        return process.exitcode == _UNKNOWN and not _lives(server)

    def close(self) -> None:
        """Nothing: the server serves the next backend of this process, and ends with it."""


def _server() -> int | None:
    """The server's process number, which multiprocessing tells nobody."""
    return getattr(getattr(forkserver, "_forkserver", None), "_forkserver_pid", None)


def _lives(pid: int | None) -> bool:
    if pid is None:
        return False
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    return False
