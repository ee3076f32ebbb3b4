"""The test cluster fails as a site's does: a node, a slurmd, the controller, the accounting."""

from __future__ import annotations

import time
from pathlib import Path

import psutil
import pytest

from tests.slurm.cluster import Cluster
from tests.slurm.processes import ClusterError
from tests.slurm.settings import NODE_SECONDS
from tests.slurm.test_cluster import PATIENT

pytestmark = pytest.mark.slurm

NOTICED = NODE_SECONDS + 45  # seconds within which a node that does not answer is called down


def on_another_node(cluster: Cluster, job: str, node: str) -> None:
    """Wait until a job whose node failed runs again, and not there."""
    cluster.wait_for(job, {"PENDING"}, NOTICED)
    cluster.start_now(job)
    cluster.wait_for(job, {"RUNNING"}, 30)
    assert cluster.node_of(job) != node


def test_the_jobs_of_a_dead_node_are_requeued_and_end_on_the_other(
    cluster: Cluster, tmp_path: Path
) -> None:
    script = f"(setsid sleep 1000 &)\n{PATIENT}"  # a child that leaves its session dies as well
    job = cluster.sbatch(script, f"--chdir={tmp_path}")
    cluster.wait_for(job, {"RUNNING"}, 30)
    node = cluster.node_of(job)
    running = cluster.node_processes(node)
    assert "sleep" in {process.name() for process in running}

    cluster.stop_node(node, hard=True)
    assert not any(map(alive, running))
    assert cluster.states(job) == {"RUNNING"}  # nobody has noticed
    on_another_node(cluster, job, node)
    (tmp_path / "go").touch()
    cluster.wait_for(job, {"COMPLETED"}, 30)

    cluster.wait_for_accounting(job, "COMPLETED")
    tries = cluster.sacct(job, duplicates=True)
    assert [row["State"] for row in tries] == ["NODE_FAIL", "COMPLETED"]
    diary = (tmp_path / "diary").read_text().split("\n")
    other = cluster.node_of(job)
    assert diary[:-1] == [f"start 0 on {node}", f"start 1 on {other}", f"end on {other}"]


@pytest.mark.parametrize("dead", [True, False])
def test_a_node_that_is_called_down_gives_its_jobs_back_at_once_and_serves_again_when_started(
    cluster: Cluster, dead: bool
) -> None:
    job = cluster.sbatch("sleep 1000")
    cluster.wait_for(job, {"RUNNING"}, 30)
    node = cluster.node_of(job)
    if dead:
        cluster.stop_node(node, hard=True)
    cluster.call_down(node)
    cluster.wait_for(job, {"PENDING"}, 10)
    cluster.start_node(node)
    there = cluster.sbatch("true", f"--nodelist={node}")
    cluster.wait_for(there, {"COMPLETED"}, 30)


def test_a_lost_slurmd_leaves_the_job_running_beside_its_second_copy_until_it_is_back(
    cluster: Cluster, tmp_path: Path
) -> None:
    job = cluster.sbatch(PATIENT, f"--chdir={tmp_path}")
    cluster.wait_for(job, {"RUNNING"}, 30)
    node = cluster.node_of(job)
    first = [each for each in cluster.node_processes(node) if each.name() != "sleep"]

    cluster.stop_node(node, hard=False)
    on_another_node(cluster, job, node)
    assert all(map(alive, first))
    cluster.start_node(node)
    psutil.wait_procs(first, timeout=30)
    assert not any(map(alive, first))
    assert cluster.states(job) == {"RUNNING"}
    (tmp_path / "go").touch()
    cluster.wait_for(job, {"COMPLETED"}, 30)


def test_a_job_that_ends_while_its_slurmd_is_away_is_completed_once(
    cluster: Cluster, tmp_path: Path
) -> None:
    job = cluster.sbatch(PATIENT, f"--chdir={tmp_path}")
    cluster.wait_for(job, {"RUNNING"}, 30)
    node = cluster.node_of(job)
    cluster.stop_node(node, hard=False)
    (tmp_path / "go").touch()
    time.sleep(2)
    cluster.start_node(node)
    cluster.wait_for(job, {"COMPLETED"}, 60)
    assert cluster.field(job, "Restarts") == "0"


def test_without_its_controller_squeue_fails_and_the_jobs_are_there_when_it_is_back(
    cluster: Cluster, tmp_path: Path
) -> None:
    job = cluster.sbatch(PATIENT, f"--chdir={tmp_path}")
    waiting = cluster.sbatch("true", "--begin=now+1hour")
    cluster.wait_for_accounting(job, "RUNNING")

    cluster.stop_controller()
    with pytest.raises(ClusterError, match="Unable to contact slurm controller"):
        cluster.run("squeue")
    assert cluster.sacct(job)[0]["State"] == "RUNNING"  # the accounting still answers
    cluster.start_controller()

    assert (cluster.states(job), cluster.states(waiting)) == ({"RUNNING"}, {"PENDING"})
    (tmp_path / "go").touch()
    cluster.wait_for(job, {"COMPLETED"}, 30)
    assert (tmp_path / "diary").read_text().count("start") == 1


def test_a_job_that_ends_while_the_controller_is_away_is_completed_when_it_is_back(
    cluster: Cluster, tmp_path: Path
) -> None:
    job = cluster.sbatch(PATIENT, f"--chdir={tmp_path}")
    cluster.wait_for(job, {"RUNNING"}, 30)
    cluster.stop_controller()
    (tmp_path / "go").touch()
    time.sleep(2)
    cluster.start_controller()
    cluster.wait_for(job, {"COMPLETED"}, 90)
    cluster.wait_for_accounting(job, "COMPLETED")


def test_without_the_accounting_sacct_fails_and_jobs_run_and_are_accounted_for_later(
    cluster: Cluster,
) -> None:
    cluster.stop_accounting()
    with pytest.raises(ClusterError, match="Connection refused"):
        cluster.sacct("1")
    job = cluster.sbatch("true")
    cluster.wait_for(job, {"COMPLETED"}, 30)
    cluster.start_accounting()
    cluster.wait_for_accounting(job, "COMPLETED", 60)


def alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
