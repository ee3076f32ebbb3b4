"""Submissions: who has taken which runs of a sweep into a queue, written where everybody sees it.

A runner on this machine announces its queue for as long as it lives; what was handed to SLURM stays
written down with its job numbers, so that another shell, or next week's, can ask for it. A run's
own state never stands here: it is in its folder.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import time
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.files import FileError, read_json, write_json
from bench.lease import Lease, take_lease

SUBMISSIONS = "submissions"
_RECORD = "submission.json"
_STAMP = "submitted"  # an empty file: the disk's clock tells when it was made
_WITHDRAWN = "withdrawn.txt"
_FORMAT = 1


@dataclass(frozen=True)
class Submission:
    """Runs that one call of `run` or `retry` has taken on.

    Attributes:
        path: its folder, which also holds what its jobs print.
        backend: "local" or "slurm".
        tasks: run ids, by task: the runs of one task share a process or a job.
        jobs: SLURM's number of each task's job, e.g. "12_3"; the tasks beyond were never accepted.
        written: when it was begun, by the clock of the disk, in seconds since 1970.
        host: where it was submitted.
        code: `bench.environment.code_hash` at that moment; empty where it does not matter.
        cluster: the settings of the cluster file, plain; empty for "local".
        withdrawn: ids of runs that were taken back since: whatever its jobs do, they do not wait
            for these any more.
    """

    path: Path
    backend: str
    tasks: tuple[tuple[str, ...], ...]
    jobs: tuple[str, ...] = ()
    written: float = 0.0
    host: str = ""
    code: str = ""
    cluster: Mapping[str, Any] = field(default_factory=dict)
    withdrawn: frozenset[str] = frozenset()

    @property
    def outputs(self) -> Path:
        """The folder of what SLURM and submitit write."""
        return self.path / "jobs"

    def events(self, task: int) -> Path:
        """The file in which a task's jobs note when they start and stop."""
        return self.path / "events" / f"task-{task}.jsonl"


@dataclass(frozen=True)
class Entry:
    """A run as its newest submission shows it.

    Attributes:
        state: "queued"; or, of a job that is over while its run is not, "interrupted", "cancelled"
            or "failed".
        reason: a sentence.
        submitted: when, by the clock of the disk, in seconds since 1970.
        shared: it waits in another runner, from which this one may take it.
        job: SLURM's number of its job; empty for a runner on some machine.
        pending: the job has not been started.
        submission, task: where it stands.
    """

    state: str
    reason: str
    submitted: float
    shared: bool = False
    job: str = ""
    pending: bool = False
    submission: Submission | None = None
    task: int = 0


def folder_of(sweep_folder: Path) -> Path:
    """Where the submissions of a sweep lie."""
    return sweep_folder / SUBMISSIONS


def new_submission(
    sweep_folder: Path,
    backend: str,
    tasks: Sequence[Sequence[str]],
    *,
    code: str = "",
    cluster: Mapping[str, Any] | None = None,
) -> Submission:
    """Write down a submission of which no job is known yet.

    Raises:
        OSError: it cannot be written.
    """
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:6]}"
    path = folder_of(sweep_folder) / name
    path.mkdir(parents=True)
    (path / _STAMP).touch()
    return _write(
        Submission(
            path,
            backend,
            tuple(map(tuple, tasks)),
            host=socket.gethostname(),
            code=code,
            cluster=dict(cluster or {}),
        )
    )


def with_jobs(submission: Submission, jobs: Sequence[str]) -> Submission:
    """The submission with the jobs that SLURM has accepted, written down.

    Raises:
        OSError: it cannot be written; the older record stands.
    """
    return _write(
        Submission(
            submission.path,
            submission.backend,
            submission.tasks,
            tuple(jobs),
            host=submission.host,
            code=submission.code,
            cluster=submission.cluster,
        )
    )


def read_submissions(sweep_folder: Path) -> tuple[list[Submission], list[str]]:
    """All submissions of a sweep, oldest first, and what was found damaged."""
    found, notes = [], []
    for path in sorted(folder_of(sweep_folder).glob("*-*")):
        try:
            found.append(_read(path))
        except FileNotFoundError:
            continue  # being made, or being removed
        except FileError as error:
            notes.append(f"{error}; its jobs are not known here")
    found.sort(key=lambda submission: submission.written)
    return found, notes


def withdraw(submission: Submission, run_ids: Collection[str]) -> None:
    """Write down that these runs were taken back.

    Raises:
        OSError: it cannot be written.
    """
    with (submission.path / _WITHDRAWN).open("a", encoding="utf-8") as file:
        file.write("".join(f"{run_id}\n" for run_id in run_ids))


def note_event(submission: Submission, task: int, event: str, **more: Any) -> None:
    """Write down that a task's job starts or stops.

    Raises:
        OSError: it cannot be written.
    """
    path = submission.events(task)
    path.parent.mkdir(exist_ok=True)
    row = {"event": event, "at": time.time(), "host": socket.gethostname(), **more}
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def read_events(submission: Submission, task: int) -> list[dict[str, Any]]:
    """When and where a task's jobs have started and stopped, oldest first; torn lines are left."""
    try:
        lines = submission.events(task).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    rows = []
    for line in lines:
        with contextlib.suppress(ValueError):
            rows.append(json.loads(line))
    return [row for row in rows if isinstance(row, dict)]


@contextlib.contextmanager
def announced(sweep_folder: Path, run_ids: Sequence[str]) -> Iterator[None]:
    """While it is open others see that this process has these runs in its queue.

    Where nothing can be written it does nothing: the runs themselves will say so.
    """
    lease: Lease | None = None
    submission: Submission | None = None
    try:
        with contextlib.suppress(OSError):
            if run_ids:
                submission = new_submission(sweep_folder, "local", [run_ids])
                lease = take_lease(submission.path)
                lease.keep_alive()
        yield
    finally:
        if lease is not None:
            with contextlib.suppress(OSError):
                lease.release()
        if submission is not None:
            shutil.rmtree(submission.path, ignore_errors=True)


def _write(submission: Submission) -> Submission:
    content = {
        "format": _FORMAT,
        "backend": submission.backend,
        "host": submission.host,
        "user": _user(),
        "created": time.time(),
        "code": submission.code,
        "cluster": dict(submission.cluster),
        "tasks": [list(task) for task in submission.tasks],
        "jobs": list(submission.jobs),
    }
    write_json(submission.path / _RECORD, content)
    return _read(submission.path)


def _read(path: Path) -> Submission:
    record = path / _RECORD
    content = read_json(record)
    try:
        if content["format"] != _FORMAT:
            raise ValueError(content["format"])
        return Submission(
            path,
            str(content["backend"]),
            tuple(tuple(map(str, task)) for task in content["tasks"]),
            tuple(map(str, content["jobs"])),
            (path / _STAMP).stat().st_mtime,
            str(content["host"]),
            str(content["code"]),
            dict(content["cluster"]),
            _withdrawn(path),
        )
    except (KeyError, TypeError, ValueError, OSError):
        raise FileError(f"{record} is not of this program") from None


def _withdrawn(path: Path) -> frozenset[str]:
    try:
        return frozenset((path / _WITHDRAWN).read_text(encoding="utf-8").split())
    except FileNotFoundError:
        return frozenset()


def _user() -> str:
    return os.environ.get("USER") or os.environ.get("LOGNAME") or str(os.getuid())
