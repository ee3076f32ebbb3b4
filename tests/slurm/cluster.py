"""A real SLURM on this one host: munge, MariaDB, slurmdbd, slurmctld and two nodes.

`python -m tests.slurm.cluster up` prints the line that leads SLURM's commands to it, `down` takes
exactly its processes down. Every daemon is started directly from Debian's packages (install.sh),
with its own key, database, settings and ports; no service of the system is used or touched.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import psutil

from tests.slurm.client import Client
from tests.slurm.daemons import (
    check_programs,
    daemons,
    locked,
    make_database,
    make_key,
    open_database,
)
from tests.slurm.processes import ClusterError, kill, node_processes, until
from tests.slurm.settings import NODES, free_ports, user_name, write_settings

_CHECKOUT = Path(__file__).resolve().parents[2]


def default_state() -> Path:
    """The state directory of this checkout's cluster: short, since a socket's path lies in it."""
    mark = f"{os.getuid()}-{zlib.crc32(bytes(_CHECKOUT)):08x}"
    return Path(tempfile.gettempdir()) / f"wgan-bench-slurm-{mark}"


class Cluster(Client):
    """The cluster of one state directory, up or not."""

    def __init__(self, state: Path | None = None) -> None:
        self.state = state or default_state()
        super().__init__(self.state / "slurm.conf")
        self.daemons = daemons(self.state)

    def is_up(self) -> bool:
        """Whether every daemon runs."""
        return all(daemon.process() for daemon in self.daemons.values())

    def up(self) -> bool:
        """Bring it up afresh; returns False, and does nothing, if it is up.

        Raises:
            ClusterError: a package is missing, or a daemon did not start; nothing is left running.
        """
        with locked(self.state):
            if self.is_up():
                return False
            self._take_down()
            try:
                self._bring_up()
            except BaseException:
                self._take_down()
                raise
            return True

    def down(self) -> bool:
        """Take its processes down, jobs included; returns False if there were none."""
        if not self.state.exists():
            return False
        with locked(self.state):
            return self._take_down()

    def stop_node(self, name: str, *, hard: bool) -> None:
        """Stop a node's slurmd: its jobs go on unwatched.

        Args:
            name: n1 or n2.
            hard: the machine dies: slurmd, its step daemons and all that jobs started are killed.
        """
        self.daemons[name].stop(hard=hard)
        while hard and (left := self.node_processes(name)):
            kill(left)

    def call_down(self, name: str) -> None:
        """Say that a node is down, as an administrator does: its jobs are requeued at once."""
        self.run("scontrol", "update", f"NodeName={name}", "State=DOWN", "Reason=said so")

    def start_node(self, name: str) -> None:
        """Start a node's slurmd, or undo `call_down`, and wait until the node is usable."""
        if self.daemons[name].process():
            self._answers("scontrol", "update", f"NodeName={name}", "State=RESUME")
        self._start(name, lambda: self._is_usable(name))

    def node_processes(self, name: str) -> list[psutil.Process]:
        """What runs on a node beside its slurmd: step daemons and all that jobs started."""
        return node_processes(self.settings, self.state / "log" / f"slurmd.{name}.log", name)

    def stop_controller(self) -> None:
        """Stop slurmctld: squeue, sbatch and scontrol fail; jobs go on."""
        self.daemons["slurmctld"].stop()

    def start_controller(self) -> None:
        """Start slurmctld, which goes on from what it saved, and wait until it answers."""
        self._start("slurmctld", lambda: self._answers("scontrol", "ping"))

    def stop_accounting(self) -> None:
        """Stop slurmdbd: sacct fails; jobs are queued and run."""
        self.daemons["slurmdbd"].stop()

    def start_accounting(self) -> None:
        """Start slurmdbd and wait until it answers."""
        self._start("slurmdbd", lambda: self._answers("sacctmgr", "--noheader", "show", "cluster"))

    def restore(self) -> None:
        """Start what a test has stopped, end every job, and wait until none is left."""
        self.start_accounting()
        self.start_controller()
        self.run("scancel", "--user", user_name())
        for name in NODES:
            self.start_node(name)
        try:
            until(lambda: not self.run("squeue", "--noheader"), 120, "the last job to end")
        except ClusterError as error:
            raise ClusterError(f"{error}\n{self.picture()}") from None

    def _is_usable(self, name: str) -> bool:
        # Not only idle: a node without jobs can be called mix for minutes after a restart.
        state = self.run("sinfo", "--noheader", "--nodes", name, "--format=%t").split()[0]
        return state in ("idle", "mix", "alloc")

    def _answers(self, *command: str) -> bool:
        with contextlib.suppress(ClusterError):
            self.run(*command)
            return True
        return False

    def _bring_up(self) -> None:
        check_programs()
        shutil.rmtree(self.state / "log", ignore_errors=True)
        for part in ("run", "log", "database", "controller", "spool"):
            (self.state / part).mkdir()
        password = secrets.token_hex(16)
        write_settings(self.state, free_ports(self.state), password)
        make_key(self.state)
        self._start("munged", (self.state / "run" / "munge.socket").exists)
        make_database(self.state)
        self._start("mariadbd", (self.state / "run" / "mariadb.socket").exists)
        open_database(self.state, password)
        self.start_accounting()
        account = ("account=research", "cluster=wgan")
        self.run("sacctmgr", "--immediate", "add", "cluster", "wgan")
        self.run("sacctmgr", "--immediate", "add", "account", "research", "cluster=wgan")
        self.run("sacctmgr", "--immediate", "add", "user", user_name(), *account)
        self.start_controller()
        for name in NODES:
            self.start_node(name)

    def _start(self, name: str, answers: Callable[[], bool]) -> None:
        """Start a daemon and wait until it answers.

        Raises:
            ClusterError: it ended, or did not answer; carries what it said.
        """
        daemon = self.daemons[name]
        daemon.start(self.environment())

        def served() -> bool:
            if daemon.process() is None:
                raise ClusterError(f"{name} ended at its start: {daemon.last_words()}")
            return answers()

        until(served, 60, f"{name} to answer")

    def _take_down(self) -> bool:
        """End every process, the last started first, and remove all but the logs."""
        running = [name for name, daemon in self.daemons.items() if daemon.process()]
        for name in reversed(self.daemons):
            if name in NODES:
                self.stop_node(name, hard=True)
            else:
                self.daemons[name].stop(hard=name != "mariadbd")
        for part in self.state.iterdir():
            if part.name not in ("log", "lock"):
                shutil.rmtree(part) if part.is_dir() else part.unlink()
        return bool(running)


@contextlib.contextmanager
def _plainly() -> Iterator[None]:
    """Errors as one sentence, without a traceback."""
    try:
        yield
    except ClusterError as error:
        raise click.ClickException(str(error)) from None


@click.group(help=__doc__)
@click.option("--state", type=click.Path(path_type=Path), help="Where the cluster keeps its files.")
@click.pass_context
def main(context: click.Context, state: Path | None) -> None:
    context.obj = Cluster(state and state.resolve())


@main.command()
@click.pass_obj
def up(cluster: Cluster) -> None:
    """Bring it up; prints the line that leads SLURM's commands to it."""
    began = time.monotonic()
    with _plainly():
        fresh = cluster.up()
    took = f"up after {time.monotonic() - began:.1f} s" if fresh else "is up already"
    click.echo(f"{cluster.state}: {took}; nodes {', '.join(NODES)}", err=True)
    click.echo(f"export SLURM_CONF={cluster.settings}")


@main.command()
@click.pass_obj
def down(cluster: Cluster) -> None:
    """Take its processes down, jobs included."""
    began = time.monotonic()
    with _plainly():
        did = cluster.down()
    took = f"down after {time.monotonic() - began:.1f} s" if did else "is down already"
    click.echo(f"{cluster.state}: {took}", err=True)


@main.command()
@click.pass_obj
def status(cluster: Cluster) -> None:
    """Show each daemon's pid; ends with 1 unless all run."""
    for name, daemon in cluster.daemons.items():
        process = daemon.process()
        click.echo(f"{name:<10} {process.pid if process else 'stopped'}")
    sys.exit(0 if cluster.is_up() else 1)


if __name__ == "__main__":
    main()
