"""Only what was started here is ever signalled, and it is whatever became of its starter."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.slurm.processes import ClusterError, Daemon, kill, node_processes, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="SLURM and /proc are Linux's")


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[Daemon]:
    daemon = Daemon("sleeper", ("sleep", "600"), tmp_path)
    for part in ("run", "log"):
        (tmp_path / part).mkdir()
    yield daemon
    daemon.stop(hard=True)


def started(daemon: Daemon) -> psutil.Process:
    daemon.start(os.environ)
    process = daemon.process()
    assert process is not None
    return process


def test_a_daemon_is_no_child_of_its_starter_and_is_started_once(sleeper: Daemon) -> None:
    process = started(sleeper)
    until(lambda: process.name() == "sleep", 10, "the shell to become the daemon", pause=0.01)
    assert process.ppid() != os.getpid()
    assert started(sleeper) == process


@pytest.mark.parametrize("hard", [True, False])
def test_a_stopped_daemon_is_gone_and_can_be_started_again(sleeper: Daemon, hard: bool) -> None:
    process = started(sleeper)
    sleeper.stop(hard=hard)
    assert sleeper.process() is None
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    assert started(sleeper) != process


def test_a_daemon_that_does_not_go_when_asked_is_killed_with_its_helpers(tmp_path: Path) -> None:
    for part in ("run", "log"):
        (tmp_path / part).mkdir()
    script = "trap '' TERM; sleep 600 & echo ready; while true; do sleep 0.1; done"
    daemon = Daemon("stubborn", ("sh", "-c", script), tmp_path)
    process = started(daemon)
    until(lambda: "ready" in daemon.output.read_text(), 10, "the trap to be set")
    helpers = process.children()
    daemon.stop(seconds=0.3)
    assert helpers
    kept = [each for each in (process, *helpers) if each.is_running()]
    assert all(each.status() == psutil.STATUS_ZOMBIE for each in kept)


def test_a_pid_that_belongs_to_somebody_else_by_now_is_left_alone(sleeper: Daemon) -> None:
    stranger = subprocess.Popen(["sleep", "600"])
    try:
        pid, rest = Path(f"/proc/{stranger.pid}/stat").read_text().split(maxsplit=1)
        fields = rest.split()
        fields[20] = str(int(fields[20]) - 1)  # as if it had started a moment earlier
        sleeper.record.write_text(f"{pid} {' '.join(fields)}\n")
        assert sleeper.process() is None
        sleeper.stop(hard=True)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_what_a_job_left_behind_is_found_by_its_environment_and_nothing_else_is(
    tmp_path: Path,
) -> None:
    settings = tmp_path / "slurm.conf"
    marks = [
        {"SLURMD_NODENAME": "n1", "SLURM_CONF": str(settings)},
        {"SLURMD_NODENAME": "n2", "SLURM_CONF": str(settings)},
        {"SLURMD_NODENAME": "n1", "SLURM_CONF": str(tmp_path / "other.conf")},
        {"SLURM_CONF": str(settings)},
    ]
    jobs = [subprocess.Popen(["sleep", "600"], env={**os.environ, **mark}) for mark in marks]
    try:
        found = node_processes(settings, tmp_path / "slurmd.n1.log", "n1")
        assert [process.pid for process in found] == [jobs[0].pid]
        kill(found)
        assert [job.poll() for job in jobs[1:]] == [None] * 3
    finally:
        for job in jobs:
            job.kill()
            job.wait()


def test_a_wait_that_ends_in_vain_says_what_it_waited_for() -> None:
    with pytest.raises(ClusterError, match="waited 0 s for rain; last seen: 0"):
        until(lambda: 0, 0.05, "rain", pause=0.01)
