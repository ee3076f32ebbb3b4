"""Queues: what of a sweep waits in a runner or in SLURM, by what was submitted and what is known.

Nothing here is a run's last word. A run that has begun or ended says so in its own folder, and is
believed there; a queue only adds what a folder cannot know.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.backends import slurm_states
from bench.backends.slurm_states import AT_WORK, OUT_OF_TIME, Answer, JobState
from bench.lease import Observer, describe
from bench.submissions import Entry, Submission, read_events, read_submissions

Ask = Callable[[Sequence[str]], Answer]


@dataclass
class Queue:
    """By run id, what waits or has ended unsaid; and sentences for the user."""

    entries: dict[str, Entry] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


class SeldomAsked:
    """SLURM's answers, each good for a while: who watches must not wear its accounting out.

    Args:
        seconds: how long an answer serves.
        ask, clock: as they are, but for tests.
    """

    def __init__(
        self,
        seconds: float = 20.0,
        ask: Ask = slurm_states.ask,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seconds, self._ask, self._clock = seconds, ask, clock
        self._asked: frozenset[str] = frozenset()
        self._answer = Answer({})
        self._at = 0.0

    def __call__(self, jobs: Sequence[str]) -> Answer:
        """The states of these jobs, not older than that."""
        if not self._asked >= set(jobs) or self._clock() - self._at > self._seconds:
            self._asked, self._answer = frozenset(jobs), self._ask(jobs)
            self._at = self._clock()
        return self._answer


def read_queue(
    sweep_folder: Path, finished: Callable[[str], bool], ask: Ask = slurm_states.ask
) -> Queue:
    """What of a sweep waits, by its submissions and one poll of SLURM.

    SLURM is asked only where a run that was handed to it is not finished.

    Args:
        finished: whether a run id needs no more looking after.
        ask: answers for job numbers; by default SLURM does.
    """
    submissions, remarks = read_submissions(sweep_folder)
    newest = _newest(submissions)
    open_ = {run_id: where for run_id, where in newest.items() if not finished(run_id)}
    queue = Queue(remarks=remarks)
    _add_runners(queue, open_)
    _add_jobs(queue, open_, ask)
    return queue


def outputs_of(sweep_folder: Path, run_id: str) -> list[Path]:
    """The files in which SLURM keeps what the newest job of a run has printed, those that exist."""
    where = _newest(read_submissions(sweep_folder)[0]).get(run_id)
    if where is None:
        return []
    submission, task = where
    jobs = submission.jobs[task : task + 1]
    paths = [submission.outputs / f"{job}_0_log.{end}" for job in jobs for end in ("out", "err")]
    return [path for path in paths if path.exists()]


def closed_submissions(sweep_folder: Path, finished: Callable[[str], bool]) -> list[Path]:
    """The folders of submissions that nobody needs any more.

    Those whose runs are all finished or were submitted again since, and those of dead runners.
    """
    submissions, _ = read_submissions(sweep_folder)
    newest, observer = _newest(submissions), Observer()
    closed = []
    for submission in submissions:
        if submission.backend == "slurm":
            ids = [run_id for task in submission.tasks for run_id in task]
            own = [i for i in ids if i in newest and newest[i][0] is submission]
            needed = not all(map(finished, own))
        else:
            needed = observer.look(submission.path).state in ("held", "unsure")
        if not needed:
            closed.append(submission.path)
    return closed


def waiting_jobs(queue: Queue, ids: Collection[str]) -> set[str]:
    """The jobs that have not started, and that wait for none but the runs `ids`."""
    return {
        entry.job
        for run_id, entry in queue.entries.items()
        if run_id in ids
        and entry.pending
        and entry.submission is not None
        and set(entry.submission.tasks[entry.task]) & set(queue.entries) <= set(ids)
    }


def _newest(submissions: Iterable[Submission]) -> dict[str, tuple[Submission, int]]:
    """By run id, the last of the submissions that has it, and the task there."""
    return {
        run_id: (submission, task)
        for submission in submissions
        for task, run_ids in enumerate(submission.tasks)
        for run_id in run_ids
        if run_id not in submission.withdrawn
    }


def _add_runners(queue: Queue, newest: Mapping[str, tuple[Submission, int]]) -> None:
    observer, seen = Observer(), {}
    for run_id, (submission, _) in newest.items():
        if submission.backend == "slurm":
            continue
        if submission.path not in seen:
            seen[submission.path] = observer.look(submission.path).state
        if seen[submission.path] in ("held", "unsure"):
            queue.entries[run_id] = Entry(
                "queued",
                f"{describe(submission.path)} has it in its queue",
                submission.written,
                shared=True,
            )


def _add_jobs(queue: Queue, newest: Mapping[str, tuple[Submission, int]], ask: Ask) -> None:
    sent = {
        run_id: (submission, task)
        for run_id, (submission, task) in newest.items()
        if submission.backend == "slurm" and task < len(submission.jobs)
    }
    if not sent:
        return
    answer = ask(sorted({submission.jobs[task] for submission, task in sent.values()}))
    queue.remarks += answer.remarks
    by_job: dict[str, Entry] = {}
    for run_id, (submission, task) in sent.items():
        job = submission.jobs[task]
        if job not in by_job:
            by_job[job] = _entry(job, submission, task, answer)
        queue.entries[run_id] = by_job[job]
    queue.remarks += _other_code(submission for submission, _ in sent.values())


def _entry(job: str, submission: Submission, task: int, answer: Answer) -> Entry:
    """What a job's state means for those of its runs that are not finished."""

    def entry(state: str, reason: str, *, pending: bool = False) -> Entry:
        return Entry(
            state,
            reason,
            submission.written,
            job=job,
            pending=pending,
            submission=submission,
            task=task,
        )

    known = answer.states.get(job)
    if known is None:
        if answer.certain:
            return entry("interrupted", f"job {job} is over; SLURM no longer knows how it ended")
        return entry("queued", f"job {job}; SLURM cannot be asked")
    if not known.is_over:
        at_work = known.state in AT_WORK
        return entry("queued", _unfinished(job, known), pending=not at_work)
    if not answer.certain:
        return entry("queued", f"job {job}: {known.state} when last accounted for")
    return entry(*_ended(job, known, submission, task))


def _unfinished(job: str, known: JobState) -> str:
    where = f" on {known.node}" if known.node else ""
    if known.state in AT_WORK:
        return f"job {job} is {known.state.lower()}{where}; this run's turn has not come"
    why = f" ({known.reason})" if known.reason else ""
    return f"job {job} waits in SLURM{why}"


def _ended(job: str, known: JobState, submission: Submission, task: int) -> tuple[str, str]:
    """The state and the reason of a run whose job is over without a word from the run."""
    where = f" on {known.node}" if known.node else ""
    if known.state == "CANCELLED":
        by = f" {known.reason}" if known.reason.startswith("by ") else ""
        return "cancelled", f"job {job} was cancelled{by}"
    if known.state == "COMPLETED":
        return "interrupted", f"job {job} was stopped{where}"
    if known.state in OUT_OF_TIME or _saved_last(submission, task):
        return "interrupted", f"job {job} ended{where}: {known.state}"
    advice = "; ask for more memory_gb in the cluster file" if "MEMORY" in known.state else ""
    return "failed", f"job {job} ended{where}: {known.state}{advice}{_last_output(submission, job)}"


def _saved_last(submission: Submission, task: int) -> bool:
    """Whether the task's last job stopped in good order, after saving."""
    rows = read_events(submission, task)
    return bool(rows) and rows[-1].get("event") == "stop"


def _last_output(submission: Submission, job: str) -> str:
    path = submission.outputs / f"{job}_0_log.err"
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 4096))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f": {last} (all of it: {path})" if last else ""


def _other_code(submissions: Iterable[Submission]) -> list[str]:
    """A sentence per submission whose jobs started with other code than it was submitted with."""
    remarks = []
    for submission in {submission.path: submission for submission in submissions}.values():
        marks = list(submission.events(0).parent.glob("code-*"))
        if marks:
            now = ", ".join(sorted(mark.name.removeprefix("code-") for mark in marks))
            remarks.append(
                f"jobs of {submission.path.name} started with other code than was submitted: it "
                f"was {submission.code}, is {now}"
            )
    return remarks
