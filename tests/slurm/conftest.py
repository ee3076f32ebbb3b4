"""The cluster of the SLURM tests: up for the session, whole again and without jobs after each test.

One that is up already (`python -m tests.slurm.cluster up`) is used and left up.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))  # tiny_runs

from tests.slurm.cluster import Cluster
from tests.slurm.processes import ClusterError


@pytest.fixture(scope="session")
def running_cluster() -> Iterator[Cluster]:
    cluster = Cluster()
    ours = cluster.up()
    yield cluster
    if ours:
        cluster.down()


@pytest.fixture
def cluster(running_cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """The cluster, to which SLURM's commands in this process and its children talk meanwhile."""
    inside = running_cluster.environment()
    for name in os.environ.keys() - inside.keys():
        monkeypatch.delenv(name)
    monkeypatch.setenv("SLURM_CONF", inside["SLURM_CONF"])
    yield running_cluster
    try:
        running_cluster.restore()
    except ClusterError:
        running_cluster.down()  # so that one test's damage is not the next one's
        running_cluster.up()
        raise
