"""What the two ways to give a run a process of its own have in common.

`forked` serves cores and `fresh` GPUs; `local` decides which run gets one, and when.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from bench import server
from bench.lease import LeaseLost
from bench.limits import die_first
from bench.store import Planned

# What a process ends with that could not write into its run's folder, plus the error's number.
UNWRITABLE = 64
LOST = 63  # what it ends with when its run was taken over, or its folder removed


class NotStarted(Exception):
    """No process could be had for a run; says why."""


class Terms(NamedTuple):
    """What every run of a backend is trained with, beside its folder.

    Several folders that a process is given are one pack.
    """

    device: str
    threads: int
    allow_numerics: tuple[str, ...]


def modules_for(runs: Sequence[Planned]) -> tuple[str, ...]:
    """What processes load ahead for these runs."""
    return server.modules(images=any(len(item.spec.config.dataset.shape) == 3 for item in runs))


class AtWork(Protocol):
    """Runs in the hands of a process, as their starter sees it: the process, or a turn in one."""

    @property
    def pid(self) -> int | None:
        """The process' number."""
        ...

    @property
    def sentinel(self) -> int:
        """What `multiprocessing.connection.wait` finds ready when there may be news of its end."""
        ...

    @property
    def exitcode(self) -> int | None:
        """None before its end, then as multiprocessing has it."""
        ...

    def terminate(self) -> None:
        """Ask it to stop."""
        ...

    def kill(self) -> None:
        """End it at once."""
        ...

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end."""
        ...

    def close(self) -> None:
        """Give it back, after its end."""
        ...


class Processes(Protocol):
    """A way to start processes.

    `modules` is what those that are begun from now on load ahead.
    """

    modules: tuple[str, ...]

    def start(self, folders: Sequence[Path], place: str) -> AtWork:
        """A process that trains the runs in `folders`, on the GPU `place` where there are any.

        Raises:
            NotStarted: even a second attempt failed.
        """
        ...

    def prepare(self, waiting: int) -> None:
        """Get ready for so many runs more; called often."""
        ...

    def lost(self, process: AtWork) -> bool:
        """Whether nobody can say how this process, which is gone from here, has ended."""
        ...

    def close(self) -> None:
        """Give back what was got ready."""
        ...


def train(folders: Sequence[Path], terms: Terms) -> None:
    """What a process does with a run or a pack.

    The import is free there, and kept out of the runner.
    """
    from bench import worker

    die_first()
    try:
        worker.run(
            folders,
            device=terms.device,
            threads=terms.threads,
            allow_numerics=terms.allow_numerics,
            own_process=True,
            packed=len(folders) > 1,
        )
    except LeaseLost:
        sys.exit(LOST)
    except OSError as error:
        why = worker.explain(error, folders[0])[0]
        with contextlib.suppress(OSError):  # its log is where it cannot write
            print(why, file=sys.stderr, flush=True)  # noqa: T201
        sys.exit(UNWRITABLE + error.errno if error.errno else 1)
