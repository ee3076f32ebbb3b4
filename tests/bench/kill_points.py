"""A worker that is killed (-9) at a chosen one of its writes, in the midst of it where it can be.

Evaluations count as well.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

PRELOADED = ["bench.worker", "bench.evaluate.points", "kill_points"]


class Points:
    """Counts what touches the disk; at number `last` writes half of it, and is killed."""

    def __init__(self, last: int) -> None:
        self.last, self.met = last, 0

    def here(self) -> bool:
        """Whether this is the one; heartbeats, which come by the clock, do not count."""
        if threading.current_thread() is not threading.main_thread():
            return False
        self.met += 1
        return self.met == self.last

    def before(self, act: Callable[..., Any]) -> Callable[..., Any]:
        """`act`, killed before it is done."""

        def counted(*arguments: Any, **options: Any) -> Any:
            if self.here():
                kill()
            return act(*arguments, **options)

        return counted

    def opening(self, path: Path, mode: str = "r", *rest: Any, **options: Any) -> Any:
        """A file whose writes are torn where it is its turn."""
        file = OPEN(path, mode, *rest, **options)
        return Torn(file, self) if mode in ("wb", "ab", "a") else file


class Torn:
    """A file of which one write is torn."""

    def __init__(self, file: Any, points: Points) -> None:
        self._file, self._points = file, points

    def write(self, content: Any) -> int:
        if self._points.here():
            self._file.write(content[: len(content) // 2])
            self._file.flush()
            kill()
        return int(self._file.write(content))

    def __enter__(self) -> Torn:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


OPEN = Path.open


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def train(path: Path, last: int, tell: Any) -> None:
    """What the process does: train, be killed at that write; tell how many there were if not."""
    from bench import session, worker

    points = Points(last)
    os.fsync = points.before(os.fsync)
    for name in ("replace", "rename", "unlink", "mkdir"):
        setattr(Path, name, points.before(getattr(Path, name)))
    session.diagnose = points.before(session.diagnose)  # in the midst of an evaluation
    Path.open = lambda *arguments, **options: points.opening(*arguments, **options)  # type: ignore
    worker.run([path], own_process=True)
    tell.send(points.met)


def killed_at(path: Path, last: int) -> int:
    """Train in a process of its own; 0 where it was killed, else how many writes there were."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    hear, tell = context.Pipe(duplex=False)
    process = context.Process(target=train, args=(path, last, tell))
    process.start()
    tell.close()
    process.join(60)
    if process.exitcode == -signal.SIGKILL:
        return 0
    assert process.exitcode == 0
    return int(hear.recv())
