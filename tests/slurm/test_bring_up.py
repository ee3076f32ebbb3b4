"""Up and down of the test cluster: once, completely, and whatever became of the one before."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.slurm import cluster as cluster_module
from tests.slurm import daemons
from tests.slurm.cluster import Cluster
from tests.slurm.processes import ClusterError, until
from tests.slurm.settings import ADDRESS, NODES, Ports, free_ports

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Cluster]:
    """A second cluster, beside the one of the session."""
    cluster = Cluster(tmp_path / "state")
    yield cluster
    cluster.down()


def command(cluster: Cluster, verb: str) -> list[str]:
    return [sys.executable, "-m", "tests.slurm.cluster", "--state", str(cluster.state), verb]


def said(cluster: Cluster, verb: str) -> tuple[int, str, str]:
    done = subprocess.run(command(cluster, verb), cwd=CHECKOUT, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def left_of(state: Path) -> list[psutil.Process]:
    """Every process that was started with, or holds open, anything of a state directory."""
    found = []
    for process in psutil.process_iter():
        try:
            words = [*process.cmdline(), *process.environ().values()]
            words += [file.path for file in process.open_files()]
        except psutil.Error:
            continue
        if process.pid != os.getpid() and any(str(state) in word for word in words):
            found.append(process)
    return found


@pytest.mark.slurm
def test_up_and_down_say_what_they_did_and_do_nothing_twice(other: Cluster) -> None:
    code, out, error = said(other, "up")
    assert (code, out) == (0, f"export SLURM_CONF={other.settings}\n")
    assert "up after" in error
    running = [daemon.process() for daemon in other.daemons.values()]
    assert all(running)

    code, again, error = said(other, "up")
    assert (code, again) == (0, out)
    assert "is up already" in error
    assert [daemon.process() for daemon in other.daemons.values()] == running
    assert said(other, "status")[0] == 0

    job = other.sbatch("(setsid sleep 1000 &); sleep 1000")
    other.wait_for(job, {"RUNNING"}, 30)
    assert len(left_of(other.state)) > len(running)
    assert "down after" in said(other, "down")[2]
    assert left_of(other.state) == []
    assert "is down already" in said(other, "down")[2]
    code, out, _ = said(other, "status")
    assert code == 1
    assert out.count("stopped") == len(running)


@pytest.mark.slurm
def test_an_up_that_was_killed_half_way_leaves_nothing_that_blocks_the_next(
    cluster: Cluster, other: Cluster
) -> None:
    for last in ("munged", "mariadbd", "slurmctld"):
        with subprocess.Popen(
            command(other, "up"), cwd=CHECKOUT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as up:
            until(other.daemons[last].record.exists, 60, f"{last} to be started", pause=0.01)
            up.kill()
        assert not other.is_up()
    assert other.up()
    other.wait_for(other.sbatch("true"), {"COMPLETED"}, 30)
    assert other.down()
    assert left_of(other.state) == []
    assert cluster.is_up()  # two do not disturb each other


@pytest.mark.slurm
def test_an_up_without_one_of_its_nodes_brings_all_up_afresh(other: Cluster) -> None:
    other.up()
    other.stop_node("n1", hard=False)
    assert not other.is_up()
    assert other.up()
    assert {other.node_of(job) for job in on_each_node(other)} == set(NODES)


def on_each_node(cluster: Cluster) -> list[str]:
    jobs = [cluster.sbatch("true", f"--nodelist={node}") for node in NODES]
    for job in jobs:
        cluster.wait_for(job, {"COMPLETED"}, 30)
    return jobs


@pytest.mark.slurm
def test_a_daemon_that_cannot_start_is_named_and_nothing_stays_behind(
    other: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind((ADDRESS, 0))
        taken.listen()
        free = free_ports(other.state)
        ports = Ports(free.database, free.accounting, taken.getsockname()[1], free.nodes)
        monkeypatch.setattr(cluster_module, "free_ports", lambda state: ports)
        with pytest.raises(ClusterError, match=r"slurmctld ended at its start: [\s\S]*in use"):
            other.up()
    assert left_of(other.state) == []


@pytest.mark.parametrize("verb", ["up", "down"])
def test_a_directory_with_other_files_is_refused_and_left_as_it_is(
    tmp_path: Path, verb: str
) -> None:
    mine = tmp_path / "database"
    mine.write_text("mine")
    code, _, error = said(Cluster(tmp_path), verb)
    assert code == 1
    assert error.startswith(f"Error: {tmp_path} holds other files")
    assert [*tmp_path.iterdir()] == [mine]


def test_missing_packages_are_named_with_what_installs_them(
    other: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(daemons, "PATH", str(tmp_path))
    with pytest.raises(ClusterError, match=r"not installed: munged, .*run tests/slurm/install\.sh"):
        other.up()


@pytest.mark.parametrize("address", ["10.1.2.3", "127.0.1.1"])
def test_a_host_whose_name_leads_elsewhere_is_refused_with_what_to_do(
    other: Cluster, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setattr(cluster_module, "check_programs", lambda: None)
    monkeypatch.setattr(socket, "gethostname", lambda: "node7.example.org")
    monkeypatch.setattr(socket, "gethostbyname", {"node7": address}.__getitem__)
    with pytest.raises(ClusterError, match=f"node7, stands for {address}; add the line '127.0.0.1"):
        other.up()
