"""The daemons of the cluster in the order of their start, and what must lie there before each."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.slurm.processes import ClusterError, Daemon
from tests.slurm.settings import ADDRESS, NODES, user_name

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def daemons(state: Path) -> dict[str, Daemon]:
    """By name and in the order of their start, the daemons of a state directory."""
    commands = {
        "munged": _munged(state),
        "mariadbd": ("mariadbd", f"--defaults-file={state}/mariadb.conf"),
        "slurmdbd": ("slurmdbd", "-D"),
        "slurmctld": ("slurmctld", "-D"),
        **{name: ("slurmd", "-D", "-N", name) for name in NODES},
    }
    return {name: Daemon(name, command, state) for name, command in commands.items()}


def check_programs() -> None:
    """See that Debian's packages are installed.

    Raises:
        ClusterError: a program is missing; says how to install it.
    """
    programs = ("munged", "mariadbd", "mariadb", "mariadb-install-db", "slurmdbd", "slurmctld")
    missing = [
        name for name in (*programs, "slurmd", "sbatch") if not shutil.which(name, path=PATH)
    ]
    if missing:
        raise ClusterError(f"not installed: {', '.join(missing)}; run tests/slurm/install.sh")


@contextlib.contextmanager
def locked(state: Path) -> Iterator[None]:
    """The state directory, made and locked, so that no two bring it up or down at once.

    Raises:
        ClusterError: it belongs to another user, or holds what no cluster has put there.
    """
    lock = state / "lock"
    state.mkdir(mode=0o755, parents=True, exist_ok=True)
    if state.stat().st_uid != os.getuid():
        raise ClusterError(f"{state} belongs to another user; name another with --state")
    if not lock.exists() and any(state.iterdir()):
        raise ClusterError(
            f"{state} holds other files, and would be emptied; name another with --state"
        )
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def make_key(state: Path) -> None:
    """Write the secret by which the daemons know each other."""
    key = state / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(secrets.token_bytes(128))


def make_database(state: Path) -> None:
    """Write the files of an empty MariaDB, whose only administrator is this user."""
    _run(
        "mariadb-install-db",
        f"--defaults-file={state}/mariadb.conf",
        "--auth-root-authentication-method=socket",
        f"--auth-root-socket-user={user_name()}",
        "--skip-test-db",
    )


def open_database(state: Path, password: str) -> None:
    """Give the accounting its own database in the running MariaDB."""
    account = f"slurm@{ADDRESS}"
    _run(
        "mariadb",
        f"--defaults-file={state}/mariadb.conf",
        given=f"CREATE DATABASE slurm; CREATE USER {account} IDENTIFIED BY '{password}';"
        f"GRANT ALL ON slurm.* TO {account};",
    )


def _munged(state: Path) -> tuple[str, ...]:
    run = state / "run"
    return (
        "munged",
        "--foreground",
        f"--key-file={state}/munge.key",
        f"--socket={run}/munge.socket",
        f"--pid-file={run}/munged.pid",
        f"--seed-file={run}/munged.seed",
        f"--log-file={state}/log/munged.log",
        "--num-threads=4",
        "--force",  # its socket may lie in a directory that only this user can enter
    )


def _run(*command: str, given: str = "") -> None:
    """Run a command of the set-up.

    Raises:
        ClusterError: it failed; carries the end of what it said.
    """
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        said = "\n".join((done.stdout + done.stderr).splitlines()[-10:])
        raise ClusterError(f"{command[0]} ended with {done.returncode}: {said}")
