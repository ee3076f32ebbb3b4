"""What SLURM says of jobs: one call of its controller and one of its accounting, however many.

Either may be down or missing. What is then not known stays not known: nobody may conclude from
silence that a job has failed.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

WAITING = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "RESV_DEL_HOLD", "SPECIAL_EXIT")
AT_WORK = ("RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT")
# Ended by no fault of the run: it goes on from its checkpoint.
OUT_OF_TIME = ("TIMEOUT", "PREEMPTED", "NODE_FAIL", "REVOKED", "DEADLINE")
_SECONDS = 30.0  # for an answer
_WORDS_OF_A_CALL = 500


@dataclass(frozen=True)
class JobState:
    """The state of a job in SLURM's own word, the node it has or had, and why it waits."""

    state: str
    node: str = ""
    reason: str = ""

    @property
    def is_over(self) -> bool:
        """Whether the job has ended for good."""
        return self.state not in WAITING and self.state not in AT_WORK


@dataclass(frozen=True)
class Answer:
    """What was learned.

    Attributes:
        states: by job number, e.g. "12" or "12_3".
        certain: whether the controller has answered, so that what it did not name has ended.
        accounted: whether accounting has answered, so that it is known how what ended has ended.
        remarks: sentences for the user about what did not answer.
    """

    states: dict[str, JobState]
    certain: bool = True
    accounted: bool = True
    remarks: tuple[str, ...] = ()


class SlurmError(RuntimeError):
    """A program of SLURM that is missing, that does not answer, or that refuses; says which."""


def ask(jobs: Sequence[str]) -> Answer:
    """The states of these jobs, by two calls in all."""
    arrays = sorted({job.partition("_")[0] for job in jobs}, key=int)
    if not arrays:
        return Answer({})
    states: dict[str, JobState] = {}
    remarks = []
    accounted = certain = True
    try:
        states.update(_accounting(arrays))
    except SlurmError as error:
        accounted = False
        remarks.append(f"SLURM's accounting cannot be asked how jobs ended: {error}")
    try:
        states = _merged(states, _controller(arrays))
    except SlurmError as error:
        certain = False
        remarks.append(
            f"SLURM's controller cannot be asked what waits and runs: {error}; nothing is "
            f"concluded from that"
        )
    return Answer(states, certain, accounted, tuple(remarks))


def _merged(
    accounting: dict[str, JobState], controller: dict[str, JobState]
) -> dict[str, JobState]:
    """The controller knows what goes on now, accounting how it ended.

    What accounting believes to go on without the controller knowing of it does not.
    """
    ended = {job: state for job, state in accounting.items() if state.is_over}
    both_over = {job for job in ended if job in controller and controller[job].is_over}
    return {**ended, **{job: s for job, s in controller.items() if job not in both_over}}


def call(*words: str) -> str:
    """What one of SLURM's programs prints.

    Raises:
        SlurmError: it is missing, fails, or does not answer.
    """
    program = shutil.which(words[0])
    if program is None:
        raise SlurmError(f"{words[0]} is not on the PATH")
    try:
        done = subprocess.run(  # noqa: S603 - a found program; every word is ours or a checked id
            [program, *words[1:]],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise SlurmError(f"{words[0]} did not answer in {_SECONDS:.0f} s") from None
    except OSError as error:
        raise SlurmError(f"{words[0]}: {error.strerror}") from None
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        named = lines[-1].startswith(words[0])
        raise SlurmError(lines[-1] if named else f"{words[0]}: {lines[-1]}")
    return done.stdout


def is_being_preempted(job: str) -> bool:
    """Whether SLURM wants the node of this running job for another one.

    A job that ends by itself in the time it is then given counts as completed, and is not put back
    into the queue: it has to see to that itself.

    Raises:
        SlurmError: the controller does not answer.
    """
    told = call("scontrol", "show", "job", "--oneliner", job)
    fields = dict(word.partition("=")[::2] for word in told.split())
    return fields.get("JobState") == "RUNNING" and fields.get("PreemptTime") not in (None, "None")


def cancel_jobs(jobs: Iterable[str]) -> list[str]:
    """Take these jobs out of SLURM; returns those that were asked for.

    Raises:
        SlurmError: SLURM cannot be asked for it.
    """
    wanted = sorted(set(jobs))
    for start in range(0, len(wanted), _WORDS_OF_A_CALL):
        call("scancel", *wanted[start : start + _WORDS_OF_A_CALL])
    return wanted


def array_limit() -> int | None:
    """How many tasks an array may have at this site; None where it cannot be asked."""
    try:
        match = re.search(r"^MaxArraySize\s*=\s*(\d+)", call("scontrol", "show", "config"), re.M)
    except SlurmError:
        return None
    return max(1, int(match[1])) if match else None


def _accounting(arrays: Sequence[str]) -> dict[str, JobState]:
    text = call(
        "sacct",
        "--allocations",
        "--noheader",
        "--parsable2",
        "--format=JobID,State,NodeList",
        f"--jobs={','.join(arrays)}",
    )
    return dict(_rows(text))


def _controller(arrays: Sequence[str]) -> dict[str, JobState]:
    try:
        text = call(
            "squeue",
            "--noheader",
            "--states=all",
            "--format=%i|%T|%N|%r",
            f"--jobs={','.join(arrays)}",
        )
    except SlurmError as error:
        if "Invalid job id" in str(error):  # none of them is known any more
            return {}
        raise
    return dict(_rows(text))


def _rows(text: str) -> Iterator[tuple[str, JobState]]:
    for line in text.splitlines():
        cells = [*(cell.strip() for cell in line.split("|")), "", ""]
        words = cells[1].split()
        if not words or "." in cells[0]:
            continue
        by = f"by user {words[2]}" if words[1:2] == ["by"] and len(words) > 2 else ""
        node = "" if cells[2].lower().startswith("none") else cells[2]
        reason = "" if cells[3] in ("None", "") else cells[3]
        state = JobState(words[0].rstrip("+"), node, by or reason)
        for job in expand(cells[0]):
            yield job, state


def expand(job: str) -> Iterator[str]:
    """The numbers that SLURM writes as one: "12_[0-2,5%4]" is 12_0, 12_1, 12_2 and 12_5."""
    match = re.fullmatch(r"(\d+)_\[([\d,\-]+)(?:%\d+)?\]", job)
    if match is None:
        yield job
        return
    for part in match[2].split(","):
        first, _, last = part.partition("-")
        for index in range(int(first), int(last or first) + 1):
            yield f"{match[1]}_{index}"
