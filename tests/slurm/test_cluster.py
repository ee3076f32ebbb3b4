"""The test cluster is a real one: it runs jobs, loses nodes and daemons, preempts and requeues."""

from __future__ import annotations

import pytest

from tests.slurm.cluster import Cluster
from tests.slurm.settings import NODES

pytestmark = pytest.mark.slurm


@pytest.mark.parametrize("node", NODES)
def test_a_job_runs_on_each_node_and_the_accounting_says_completed(
    cluster: Cluster, node: str
) -> None:
    job = cluster.sbatch("srun true", f"--nodelist={node}")
    cluster.wait_for(job, {"COMPLETED"}, 30)
    (row,) = cluster.wait_for_accounting(job, "COMPLETED")
    assert (row["JobID"], row["NodeList"], row["ExitCode"]) == (job, node, "0:0")
