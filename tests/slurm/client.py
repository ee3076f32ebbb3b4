"""What a user does on the test cluster: commands, jobs, their states, and waiting for them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Collection
from pathlib import Path

from tests.slurm.processes import ClusterError, until

Row = dict[str, str]

_COLUMNS = ("JobID", "JobName", "Partition", "State", "ExitCode", "NodeList", "Start", "End")
_FOREIGN = ("SLURM", "SBATCH", "SQUEUE", "SINFO", "SCANCEL", "SALLOC", "SRUN", "SACCT")
_PATIENCE = 60  # seconds for a command: a controller that is down is tried for about half of it


class Client:
    """The commands of SLURM, run against one cluster."""

    def __init__(self, settings: Path) -> None:
        self.settings = settings

    def environment(self) -> dict[str, str]:
        """This process's environment, in which SLURM's commands talk to this cluster."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(_FOREIGN)}
        return {**kept, "SLURM_CONF": str(self.settings)}

    def run(self, *command: str) -> str:
        """What a command writes to standard output.

        Raises:
            ClusterError: it failed; carries what it wrote to standard error.
        """
        try:
            done = subprocess.run(
                command, env=self.environment(), capture_output=True, text=True, timeout=_PATIENCE
            )
        except subprocess.TimeoutExpired:
            raise ClusterError(f"{' '.join(command)}: no answer in {_PATIENCE} s") from None
        if done.returncode != 0:
            said = done.stderr.strip() or done.stdout.strip()
            raise ClusterError(f"{' '.join(command)} ended with {done.returncode}: {said}")
        return done.stdout

    def sbatch(self, script: str, *options: str, output: Path | None = None) -> str:
        """Submit a shell script and return the job's id; its output goes nowhere unless told."""
        where = str(output or "/dev/null")
        return self.run(
            "sbatch", "--parsable", f"--output={where}", *options, f"--wrap={script}"
        ).strip()

    def sacct(self, job_id: str, *, duplicates: bool = False) -> list[Row]:
        """What the accounting holds of a job: one row for each task of an array.

        Tasks that have not started share one row, "12_[3-7]".

        Args:
            job_id: "12", an array's "12" or a task's "12_3".
            duplicates: whether the earlier tries of a requeued job have rows too.
        """
        command = ["sacct", "--noheader", "--parsable2", "--allocations", "--jobs", job_id]
        command += ["--format", ",".join(_COLUMNS)]
        lines = self.run(*command, *(["--duplicates"] if duplicates else [])).splitlines()
        return [dict(zip(_COLUMNS, line.split("|"), strict=True)) for line in lines]

    def states(self, job_id: str) -> set[str]:
        """The controller's states of a job, or of an array's tasks; none if it knows no such job.

        A job that ended is forgotten after MinJobAge (300 s); the accounting keeps it.
        """
        every = self.run(
            "squeue", "--noheader", "--array", "--states=all", "--format=%A %F_%K %F %T"
        )
        rows = [line.split() for line in every.splitlines()]
        return {row[-1] for row in rows if job_id in row[:-1]}

    def wait_for(self, job_id: str, states: Collection[str], seconds: float) -> str:
        """Wait until a job, or each task of an array, is in one of these states; returns it.

        Args:
            job_id: "12", an array's "12" or a task's "12_3".
            states: the controller's words, such as RUNNING, COMPLETED, FAILED, CANCELLED, TIMEOUT.
            seconds: how long to wait.

        Raises:
            ClusterError: it is in none of them after that time; shows what the controller knows.
        """

        def arrived() -> str | None:
            found = self.states(job_id)
            return min(found) if found and found <= set(states) else None

        try:
            return until(arrived, seconds, f"job {job_id} to be {' or '.join(states)}")
        except ClusterError as error:
            raise ClusterError(f"{error}\n{self.picture()}") from None

    def wait_for_accounting(
        self, job_id: str, state: str, seconds: float = 20, *, tasks: int = 1
    ) -> list[Row]:
        """The rows of a job, as soon as the accounting, which lags, has this state for all tasks.

        Args:
            job_id: of a job, an array or a task.
            state: the accounting's word, such as COMPLETED or PREEMPTED.
            seconds: how long to wait.
            tasks: how many the array has.
        """
        rows: list[Row] = []

        def arrived() -> bool:
            rows[:] = self.sacct(job_id)
            return [row["State"].split()[0] for row in rows] == [state] * tasks

        until(arrived, seconds, f"the accounting to say {state} of all of job {job_id}")
        return rows

    def start_now(self, job_id: str, seconds: float = 30) -> None:
        """Have a requeued job start without its wait, as soon as the controller allows it."""

        def allowed() -> bool:
            try:
                self.run("scontrol", "update", f"JobId={job_id}", "StartTime=now")
            except ClusterError:
                return False
            return True

        until(allowed, seconds, f"the controller to let job {job_id} start now")

    def node_of(self, job_id: str) -> str:
        """The name of the node that a job runs on, or ran on last."""
        return self.field(job_id, "NodeList")

    def field(self, job_id: str, name: str) -> str:
        """One field of what `scontrol show job` says, such as Restarts or Reason."""
        words = self.run("scontrol", "show", "job", job_id).split()
        return next(word.partition("=")[2] for word in words if word.startswith(f"{name}="))

    def picture(self) -> str:
        """What the controller knows of its jobs and nodes, for a message."""
        said = []
        for command in (["scontrol", "show", "job"], ["scontrol", "show", "node"]):
            try:
                said.append(self.run(*command, "--oneliner"))
            except ClusterError as error:
                said.append(str(error))
        return "\n".join(said)
