"""Daemons started directly, each known by a record of its pid, and the processes of a node.

A pid alone may belong to somebody else by now, so the kernel's start time stands beside it, and
only a process for which both hold is ever signalled.
"""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psutil

Found = TypeVar("Found")

# The record is written by the process that becomes the daemon: none runs without one.
_LAUNCH = 'read -r stat </proc/$$/stat && echo "$stat" >"$0.new" && mv "$0.new" "$0" && exec "$@"'
_PID, _START_TIME = 0, 21  # fields of /proc/PID/stat


class ClusterError(RuntimeError):
    """The cluster cannot do what was asked; says what is wrong and what to do."""


def until(probe: Callable[[], Found], seconds: float, what: str, pause: float = 0.2) -> Found:
    """The first true answer of `probe`.

    Raises:
        ClusterError: there was none in this many seconds; says `what` was waited for.
    """
    end = time.monotonic() + seconds
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() > end:
            raise ClusterError(f"waited {seconds:.0f} s for {what}; last seen: {found!r}")
        time.sleep(pause)


@dataclass(frozen=True)
class Daemon:
    """A program that is started in a session of its own and outlives whoever started it."""

    name: str
    command: tuple[str, ...]
    state: Path

    @property
    def record(self) -> Path:
        """The file that holds its line of /proc/PID/stat as it was at the start."""
        return self.state / "run" / f"{self.name}.started"

    @property
    def output(self) -> Path:
        """What it writes to its terminal."""
        return self.state / "log" / f"{self.name}.out"

    def process(self) -> psutil.Process | None:
        """The process, if it is running."""
        try:
            recorded = _fields(self.record)
            running = _fields(Path("/proc", recorded[_PID], "stat"))
            if running[_START_TIME] != recorded[_START_TIME]:
                return None
            process = psutil.Process(int(recorded[_PID]))
            return process if _runs(process) else None
        except (OSError, psutil.NoSuchProcess):
            return None

    def start(self, environment: Mapping[str, str]) -> None:
        """Start it, unless it is running."""
        if self.process():
            return
        self.record.unlink(missing_ok=True)
        launch = ["setsid", "--fork", "/bin/sh", "-c", _LAUNCH, str(self.record), *self.command]
        with self.output.open("ab") as output:
            subprocess.run(
                launch,
                env={**environment, "PATH": f"/usr/sbin:/usr/bin:{environment['PATH']}"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=True,
            )
        until(self.record.exists, 10, f"{self.name} to be started", pause=0.01)

    def stop(self, *, hard: bool = False, seconds: float = 20) -> None:
        """End it and its own helpers: asked first, unless `hard`; killed if it does not go."""
        process = self.process()
        if process is None:
            return
        family = [process, *process.children(recursive=True)]
        if not hard:
            with contextlib.suppress(psutil.NoSuchProcess, ClusterError):
                process.terminate()
                until(lambda: not self.process(), seconds, f"{self.name} to end", pause=0.02)
        kill(family)

    def last_words(self, lines: int = 5) -> str:
        """The end of what it printed."""
        if not self.output.exists():
            return ""
        return "\n".join(self.output.read_text(errors="replace").splitlines()[-lines:])


def _fields(path: Path) -> list[str]:
    """The fields of a stat line; the program's name, the second, is one field whatever it holds."""
    before, _, after = path.read_text().rpartition(")")
    return [before.split()[0], before.partition("(")[2], *after.split()]


def _runs(process: psutil.Process) -> bool:
    """Whether it can still do anything: what only waits to be reaped cannot."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def kill(processes: list[psutil.Process]) -> None:
    """Kill processes of ours and wait until none of them runs."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    until(lambda: not any(map(_runs, processes)), 10, "killed processes to end", pause=0.02)


def node_processes(settings: Path, log: Path, node: str) -> list[psutil.Process]:
    """What runs on a node beside its slurmd: the step daemons and all that the jobs started.

    A step daemon overwrites its environment, so it is known by the log that it holds open. What
    jobs started is known by descent, or where its parent has ended, by its environment.

    Args:
        settings: the slurm.conf of this cluster.
        log: the log of this node's slurmd.
        node: its name.
    """
    mark = {"SLURMD_NODENAME": node, "SLURM_CONF": str(settings)}
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if not _runs(process):
                continue
            if process.name() == "slurmstepd" and _holds_open(process, log):
                family = [process, *process.children(recursive=True)]
                found.update((member.pid, member) for member in family)
            elif mark.items() <= process.environ().items():
                found[process.pid] = process
    return list(found.values())


def _holds_open(process: psutil.Process, path: Path) -> bool:
    return any(file.path == str(path) for file in process.open_files())
