"""The test cluster does what a site's does: jobs, arrays, accounts, limits, preemption."""

from __future__ import annotations

import operator
from pathlib import Path

import psutil
import pytest
import submitit

from tests.slurm.cluster import Cluster
from tests.slurm.processes import ClusterError, until
from tests.slurm.settings import ADDRESS, ARRAY_LIMIT, CORES, GRACE_SECONDS, NODES

pytestmark = pytest.mark.slurm

# Says that it starts, shows each TERM, and ends when a file called `go` lies in its directory.
PATIENT = """
trap 'echo told to stop >>diary' TERM
echo "start ${SLURM_RESTART_COUNT:-0} on $SLURMD_NODENAME" >>diary
until [ -e go ]; do sleep 0.2; done
echo "end on $SLURMD_NODENAME" >>diary
"""


@pytest.mark.parametrize("node", NODES)
def test_a_job_runs_on_each_node_and_the_accounting_says_completed(
    cluster: Cluster, node: str
) -> None:
    job = cluster.sbatch("srun true", f"--nodelist={node}")
    cluster.wait_for(job, {"COMPLETED"}, 30)
    (row,) = cluster.wait_for_accounting(job, "COMPLETED")
    assert (row["JobID"], row["NodeList"], row["ExitCode"]) == (job, node, "0:0")


def test_a_job_that_fails_is_failed_with_its_exit_code(cluster: Cluster) -> None:
    job = cluster.sbatch("exit 3")
    cluster.wait_for(job, {"FAILED"}, 30)
    assert cluster.wait_for_accounting(job, "FAILED")[0]["ExitCode"] == "3:0"


def test_a_job_sees_the_gpu_it_asked_for_and_none_otherwise(
    cluster: Cluster, tmp_path: Path
) -> None:
    for options in (["--gpus-per-node=1"], []):
        output = tmp_path / f"{len(options)}"
        script = "srun sh -c 'echo seen: $CUDA_VISIBLE_DEVICES'"
        job = cluster.sbatch(script, *options, output=output)
        cluster.wait_for(job, {"COMPLETED"}, 30)
        assert output.read_text().split() == ["seen:", *(["0"] if options else [])]


def test_an_array_of_submitit_ends_with_the_result_of_each_task(
    cluster: Cluster, tmp_path: Path
) -> None:
    executor = submitit.SlurmExecutor(folder=tmp_path)
    executor.update_parameters(time=10, partition="main", account="research", gpus_per_node=1)
    jobs = executor.map_array(operator.mul, [2, 3, 4], [10, 10, 10])
    assert [job.result() for job in jobs] == [20, 30, 40]
    rows = cluster.wait_for_accounting(jobs[0].job_id.split("_")[0], "COMPLETED", tasks=3)
    assert sorted(row["JobID"] for row in rows) == sorted(job.job_id for job in jobs)


def test_an_array_above_the_limit_is_refused(cluster: Cluster) -> None:
    job = cluster.sbatch("true", f"--array=0-{ARRAY_LIMIT - 1}")
    with pytest.raises(ClusterError, match="Invalid job array specification"):
        cluster.sbatch("true", f"--array=0-{ARRAY_LIMIT}")
    cluster.wait_for(job, {"COMPLETED"}, 60)
    cluster.wait_for_accounting(job, "COMPLETED", tasks=ARRAY_LIMIT)


@pytest.mark.parametrize(
    ("option", "words"),
    [("--account=nobodys", "Invalid account"), ("--partition=none", "invalid partition")],
)
def test_an_unknown_account_or_partition_is_refused(
    cluster: Cluster, option: str, words: str
) -> None:
    with pytest.raises(ClusterError, match=words):
        cluster.sbatch("true", option)


def test_a_cancelled_job_is_cancelled_for_the_controller_and_the_accounting(
    cluster: Cluster,
) -> None:
    job = cluster.sbatch("sleep 300")
    cluster.wait_for(job, {"RUNNING"}, 30)
    cluster.run("scancel", job)
    cluster.wait_for(job, {"CANCELLED"}, 30)
    assert cluster.wait_for_accounting(job, "CANCELLED")[0]["State"].startswith("CANCELLED by")


def test_a_job_over_its_time_is_timed_out_after_the_signal_it_asked_for(
    cluster: Cluster, tmp_path: Path
) -> None:
    script = "trap 'echo signalled' USR2; while true; do sleep 0.2; done"
    output = tmp_path / "output"
    job = cluster.sbatch(script, "--time=1", "--signal=B:USR2@20", output=output)
    cluster.wait_for(job, {"TIMEOUT"}, 180)
    assert "signalled" in output.read_text()
    cluster.wait_for_accounting(job, "TIMEOUT")


def test_an_urgent_job_preempts_another_which_is_requeued_and_ends_later(
    cluster: Cluster, tmp_path: Path
) -> None:
    whole = [f"--cpus-per-task={CORES}", "--nodelist=n1"]
    job = cluster.sbatch(PATIENT, *whole, f"--chdir={tmp_path}", "--partition=main")
    cluster.wait_for(job, {"RUNNING"}, 30)
    urgent = cluster.sbatch("true", *whole, "--partition=urgent")
    cluster.wait_for(urgent, {"COMPLETED"}, 60 + GRACE_SECONDS)
    assert cluster.states(job) == {"PENDING"}
    assert cluster.field(job, "Restarts") == "1"

    cluster.start_now(job)
    cluster.wait_for(job, {"RUNNING"}, 20)
    (tmp_path / "go").touch()
    cluster.wait_for(job, {"COMPLETED"}, 30)
    cluster.wait_for_accounting(job, "COMPLETED")
    tries = cluster.sacct(job, duplicates=True)
    assert [row["State"] for row in tries] == ["PREEMPTED", "COMPLETED"]
    diary = (tmp_path / "diary").read_text().splitlines()
    assert diary == ["start 0 on n1", "told to stop", "start 1 on n1", "end on n1"]


def test_all_of_it_listens_on_the_loopback_only(cluster: Cluster) -> None:
    job = cluster.sbatch("srun sleep 60")
    cluster.wait_for(job, {"RUNNING"}, 30)

    def steps() -> list[psutil.Process]:
        found = [process for node in NODES for process in cluster.node_processes(node)]
        return found if any(process.name() == "srun" for process in found) else []

    daemons = [daemon.process() for daemon in cluster.daemons.values()]
    running = [*filter(None, daemons), *until(steps, 20, "the step to be there")]
    sockets = [socket for process in running for socket in process.net_connections("inet")]
    listening = [socket for socket in sockets if socket.status == psutil.CONN_LISTEN]
    assert len(listening) >= len(daemons)  # munged has none, srun has some
    assert {socket.laddr.ip for socket in listening} == {ADDRESS}
