"""The SLURM backend: runs handed to a cluster as job arrays, through submitit, and let go.

The runner returns at once. What was submitted is frozen: the runs' folders hold what will be
trained, and the record of the submission what their jobs are called. States, cancelling and trying
again work later, and from any shell that sees the results folder.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import signal
import subprocess
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import submitit
from submitit.core.utils import DelayedSubmission, FailedJobError, FailedSubmissionError

from bench.backends.base import State
from bench.backends.packing import Terms, shares
from bench.backends.slurm_job import Work, job_number
from bench.backends.slurm_states import (
    SlurmError,
    array_limit,
    cancel_jobs,
    is_being_preempted,
)
from bench.clusters import Cluster
from bench.environment import code_hash
from bench.queues import read_queue, waiting_jobs
from bench.store import Planned, Store
from bench.submissions import Submission, new_submission, with_jobs

_USUAL_ARRAY_LIMIT = 1001  # MaxArraySize where a site sets none
_TRIES, _PAUSE_SECONDS = 12, 5.0  # of putting a job back while the controller is away


class Slurm:
    """Submits, and knows what it has submitted; it never waits.

    Args:
        store: the sweep's results, on a disk that the nodes see too.
        cluster: what each job asks for.
        cluster_name: the cluster file, for messages.
        allow_numerics: names of `numerics` in which a resumed run may differ.
        packed: whether a job trains those of its runs that differ in their seed alone as one model
            where that pays.
    """

    name = "slurm"

    def __init__(
        self,
        store: Store,
        cluster: Cluster,
        cluster_name: str = "the cluster file",
        allow_numerics: Collection[str] = (),
        *,
        packed: bool = False,
    ) -> None:
        self._store, self._cluster, self._cluster_name = store, cluster, cluster_name
        self._allow_numerics = tuple(allow_numerics)
        self._packed = packed
        self._items: dict[str, Planned] = {}
        self.submission: Submission | None = None

    def submit(self, runs: Sequence[Planned]) -> None:
        """Hand the runs to SLURM, each in its turn, `pack` of them to a job.

        Those that may train as one model share a job.

        Raises:
            SlurmError: SLURM refuses; what it has accepted before that is written down and stays.
            OSError: the record cannot be written.
        """
        if not runs:
            return
        device = "cuda" if self._cluster.gpus else "cpu"
        packing = Terms(self._cluster.side_by_side, device, self._allow_numerics, self._packed)
        tasks = shares(runs, self._cluster.pack, packing)
        folder = self._store.folder.absolute()
        if shutil.which("srun") is None or shutil.which("sbatch") is None:
            raise SlurmError(
                "SLURM is not here: srun and sbatch are not on the PATH; submit from a login "
                "node, or take --backend local"
            )
        if "%" in str(folder):
            raise SlurmError(f"{folder}: SLURM cannot write below a path with % in it")
        submission = new_submission(
            folder,
            self.name,
            [[item.spec.run_id for item in task] for task in tasks],
            code=code_hash(),
            cluster=self._cluster.to_plain(),
        )
        jobs = [
            Job(
                Work(
                    folder,
                    submission.path.name,
                    number,
                    tuple(item.folder.name for item in task),
                    self._allow_numerics,
                    self._packed,
                )
            )
            for number, task in enumerate(tasks)
        ]
        self._items.update({item.spec.run_id: item for item in runs})
        self.submission = submission
        limit = self._cluster.array_limit or array_limit() or _USUAL_ARRAY_LIMIT
        for start in range(0, len(jobs), limit):
            try:
                numbers = self._hand_over(submission, jobs[start : start + limit])
            except SlurmError:
                if not submission.jobs:
                    shutil.rmtree(submission.path, ignore_errors=True)
                raise
            try:
                submission = with_jobs(submission, [*submission.jobs, *numbers])
            except OSError:
                cancel_jobs(numbers)  # nobody would know of them
                raise
            self.submission = submission

    def states(self) -> dict[str, State]:
        """By run id, each submitted run's state and reason; asks SLURM once."""
        queue = read_queue(self._store.folder, self._store.finished())
        specs = [item.spec for item in self._items.values()]
        planned = self._store.plan(specs, queue.entries)
        return {item.spec.run_id: (item.state, item.reason) for item in planned}

    def cancel(self, ids: Collection[str]) -> None:
        """Take those jobs out of SLURM's queue that wait for none but these runs.

        Raises:
            SlurmError: SLURM cannot be asked for it.
        """
        queue = read_queue(self._store.folder, self._store.finished())
        cancel_jobs(waiting_jobs(queue, ids))

    def _hand_over(self, submission: Submission, jobs: Sequence[Job]) -> list[str]:
        """Submit these jobs as one array; returns their numbers."""
        said = io.StringIO()
        try:
            executor = submitit.SlurmExecutor(
                submission.outputs,
                max_num_timeout=self._cluster.requeues,
                python=self._cluster.python or None,
            )
            executor.update_parameters(
                **parameters(self._cluster, f"wgan-bench-{self._store.sweep}")
            )
            with contextlib.redirect_stderr(said):  # submitit repeats there what it raises
                return [str(job.job_id) for job in executor.submit_array(jobs)]
        except (FailedJobError, FailedSubmissionError) as error:
            told = " ".join(str(error).split())
            raise SlurmError(f"SLURM refused what {self._cluster_name} asks for: {told}") from None


def parameters(cluster: Cluster, job_name: str) -> dict[str, Any]:
    """What submitit is to write into the submission file."""
    asked = {
        "partition": cluster.partition,
        "account": cluster.account,
        "qos": cluster.qos,
        "constraint": cluster.constraint,
        "gpus_per_node": cluster.gpus,
        "mem": f"{round(cluster.memory_gb * 1024)}M" if cluster.memory_gb else "",
        "setup": list(cluster.setup),
    }
    return {
        **{name: value for name, value in asked.items() if value},
        "job_name": job_name,
        "time": cluster.time,
        "nodes": 1,
        "ntasks_per_node": 1,
        "cpus_per_task": cluster.cores,
        "array_parallelism": cluster.jobs_at_once,
        "signal_delay_s": cluster.signal_seconds,
        "wckey": None,  # submitit's own would be refused where keys are checked
        "additional_parameters": {"requeue": True, **cluster.options},
    }


@dataclass(frozen=True)
class Job:
    """What submitit pickles, and calls on the node."""

    work: Work

    def __call__(self) -> None:
        """Train; where the time is up or the node is wanted, go back into the queue and end.

        What was told to end otherwise, by `scancel` or by hand, ends.
        """
        stopped_by = self.work.go()
        if stopped_by == "SIGUSR2" or (stopped_by == "SIGTERM" and _is_being_preempted()):
            _put_back()

    def checkpoint(self) -> DelayedSubmission:
        """What the job does when it starts again: the same, which goes on from the checkpoints."""
        return DelayedSubmission(self)


def _is_being_preempted() -> bool:
    for _ in range(_TRIES):
        try:
            return is_being_preempted(job_number())
        except SlurmError:
            time.sleep(_PAUSE_SECONDS)
    return False


def _put_back() -> None:
    """Let submitit's handler of the signal, which is in place again, requeue this job and end it.

    The controller may be away for a moment: there are some seconds left to try again.
    """
    for attempt in range(_TRIES):
        try:
            signal.raise_signal(signal.SIGUSR2)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            if attempt == _TRIES - 1:
                raise
            time.sleep(_PAUSE_SECONDS)
