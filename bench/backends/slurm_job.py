"""What a job does on its node: train its share of the runs, as a runner on this machine would.

It knows nothing of submitit. Whoever calls `Work.go` learns why it stopped, and sees to it that the
job is put back into the queue where that is wanted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.backends.base import mark_failed
from bench.backends.local import Local
from bench.clusters import Cluster
from bench.environment import code_hash
from bench.execute import execute
from bench.files import FileError, read_json
from bench.progress import PlainDisplay
from bench.run_folder import RunFolder
from bench.spec import RunSpec
from bench.store import Planned, Store
from bench.submissions import Submission, note_event, read_events, read_submissions
from wgan.components import ConfigError


@dataclass(frozen=True)
class Work:
    """The runs of one task of a submission.

    Attributes:
        sweep_folder: `results/<sweep>`, absolute.
        submission: the name of the submission's folder.
        task: its place in it.
        run_dirs: the names of the run folders.
        allow_numerics: names of `numerics` in which a resumed run may differ.
        packed: whether those that differ in their seed alone train as one model where that pays.
    """

    sweep_folder: Path
    submission: str
    task: int
    run_dirs: tuple[str, ...]
    allow_numerics: tuple[str, ...] = ()
    packed: bool = False  # also of a job that was submitted when there were no packs

    def go(self) -> str:
        """Train what is not finished; returns the signal that stopped it, or "" when it is over.

        Raises:
            FileError: the record of the submission is gone.
        """
        submission = self._submission()
        cluster = Cluster.from_plain(submission.cluster)
        planned = list(self._planned(submission))
        lost = _ended_unsaved(submission, self.task)
        if lost > cluster.node_failures:
            reason = (
                f"its job ended {lost} times without saving, {cluster.node_failures} were allowed "
                f"(node_failures in the cluster file)"
            )
            for item in planned:
                mark_failed(item, reason)
            return ""
        note_event(submission, self.task, "start", job=job_number())
        self._note_other_code(submission, planned)
        outcome = execute(
            planned, self._slots(cluster), PlainDisplay(sys.stdout), wait_for_others=True
        )
        note_event(submission, self.task, "stop", reason=outcome.stopped_by)
        return outcome.stopped_by

    def _submission(self) -> Submission:
        found, notes = read_submissions(self.sweep_folder)
        for submission in found:
            if submission.path.name == self.submission:
                return submission
        told = f": {'; '.join(notes)}" if notes else ""
        raise FileError(f"the submission {self.submission} of {self.sweep_folder} is gone{told}")

    def _planned(self, submission: Submission) -> Iterator[Planned]:
        """The runs that are left: what failed or was cancelled after it was submitted stays so."""
        specs = []
        for name in self.run_dirs:
            folder = RunFolder(self.sweep_folder / name)
            try:
                specs.append(RunSpec.from_plain(read_json(folder.spec)))
            except FileNotFoundError:
                print(f"{folder.path}: it was removed; its run is left out")  # noqa: T201
            except (FileError, ConfigError) as error:
                print(f"{folder.path}: {error}; its run is left out")  # noqa: T201
        store = Store(self.sweep_folder.parent, self.sweep_folder.name)
        for item in store.plan(specs):
            if item.action == "keep" and item.state != "running":
                continue
            state = RunFolder(item.folder).state
            if item.state in ("failed", "cancelled") and (
                item.state == "cancelled" or state.stat().st_mtime >= submission.written
            ):
                continue
            yield item

    def _slots(self, cluster: Cluster) -> Local:
        if not cluster.gpus:
            return Local(
                cluster.side_by_side, cluster.threads, self.allow_numerics, packed=self.packed
            )
        given = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        gpus = tuple(name for name in given.split(",") if name) or tuple(
            str(index) for index in range(cluster.gpus)
        )
        per_gpu = -(-cluster.side_by_side // len(gpus))
        return Local(
            cluster.side_by_side,
            cluster.threads,
            allow_numerics=self.allow_numerics,
            gpus=gpus,
            per_gpu=per_gpu,
            packed=self.packed,
        )

    def _note_other_code(self, submission: Submission, planned: list[Planned]) -> None:
        """Show, in the logs and to `status`, that the code is not the one that was submitted."""
        now = code_hash()
        if now == submission.code:
            return
        (submission.events(self.task).parent / f"code-{now}").touch()
        text = f"submitted with the code {submission.code}, begins with {now}"
        print(f"note: {text}", flush=True)  # noqa: T201 - what a job prints is its log
        for item in planned:
            RunFolder(item.folder).note(text)


def _ended_unsaved(submission: Submission, task: int) -> int:
    """How many of a task's jobs have started and never stopped in good order."""
    events = [row.get("event") for row in read_events(submission, task)]
    return events.count("start") - events.count("stop")


def job_number() -> str:
    """SLURM's number of the job that this process belongs to, e.g. "12_3"; empty outside one."""
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    if array is not None:
        return f"{array}_{os.environ.get('SLURM_ARRAY_TASK_ID')}"
    return os.environ.get("SLURM_JOB_ID", "")
