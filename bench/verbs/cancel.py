"""`cancel`: runs that wait are taken back, runs that are being trained save and stop."""

from __future__ import annotations

import getpass
import json
import socket
import time
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

from bench.backends.base import mark
from bench.backends.slurm_states import SlurmError, cancel_jobs
from bench.grid import load
from bench.lease import LeaseHeld
from bench.queues import Queue, waiting_jobs
from bench.run_folder import RunFolder
from bench.store import Planned, Store
from bench.submissions import Submission, withdraw
from bench.verbs.look import look_and_settle
from bench.verbs.request import Request
from bench.verbs.show import note, runs, say, show_json

_PATIENCE_SECONDS = 30.0
_LOOK_SECONDS = 0.5


def cancel(request: Request) -> int:
    """Cancel what waits or runs of the sweep, or of its part that `--only` names.

    A run that is being trained keeps its checkpoint; `run` and `retry` take it up again from there.
    """
    sweep = load(request.sweep, request.overrides, request.only)
    store = Store(request.results, sweep.name)
    planned, queue = look_and_settle(store, sweep.runs)
    for text in queue.remarks:
        note(f"note: {text}")
    wanted = [item for item in planned if item.state in ("queued", "running")]
    asked = [item for item in wanted if not _take_back(item)]
    ids = {item.spec.run_id for item in wanted}
    jobs = waiting_jobs(queue, ids)
    _withdraw(queue, ids)
    try:
        cancel_jobs(jobs)
    except SlurmError as error:
        note(
            f"note: {len(jobs)} job(s) stay in SLURM's queue ({error}); they will find nothing to "
            f"do and end"
        )
    going = _wait(store, asked, quiet=request.as_json)
    stopped = len(wanted) - len(going)
    if request.as_json:
        show_json(
            {
                "sweep": sweep.name,
                "cancelled": sorted(ids - {item.spec.run_id for item in going}),
                "asked": [item.spec.run_id for item in going],
                "jobs": sorted(jobs),
            }
        )
        return 0
    if not wanted:
        say(f"{sweep.name}: nothing waits or runs")
        return 0
    say(f"{sweep.name}: {runs(stopped)} cancelled")
    for item in going:
        say(f"still saving: {item.spec.run_id} ({item.reason})")
    say(f"next: {request.command('retry')} takes them up again")
    return 0


def _withdraw(queue: Queue, ids: AbstractSet[str]) -> None:
    """Have nobody believe any more that these runs wait in SLURM, even if it cannot be asked."""
    by_path: dict[Path, tuple[Submission, list[str]]] = {}
    for run_id in sorted(ids & queue.entries.keys()):
        submission = queue.entries[run_id].submission
        if submission is not None:
            by_path.setdefault(submission.path, (submission, []))[1].append(run_id)
    for submission, run_ids in by_path.values():
        withdraw(submission, run_ids)


def _take_back(item: Planned) -> bool:
    """Cancel a run: at once where nobody is at it, else by asking who is; whether it was done."""
    folder = RunFolder(item.folder)
    who = f"by {getpass.getuser()} on {socket.gethostname()}"
    if item.state == "queued":
        try:
            mark(folder, item.spec.run_id, "cancelled", who, over=("failed", "cancelled"))
        except LeaseHeld:
            pass  # it has begun meanwhile
        else:
            return True
    # Not by a temporary file: a run that begins just now removes those. That it is there is enough.
    folder.cancel_request.write_text(json.dumps({"who": who, "at": time.time()}), encoding="utf-8")
    return False


def _wait(store: Store, asked: Sequence[Planned], *, quiet: bool) -> list[Planned]:
    """Those of the runs asked to stop that have not done so after a while."""
    if asked and not quiet:
        note(f"{runs(len(asked))} asked to save and stop")
    until = time.monotonic() + _PATIENCE_SECONDS
    while asked and time.monotonic() < until:
        time.sleep(_LOOK_SECONDS)
        asked = [item for item in store.plan([i.spec for i in asked]) if item.state == "running"]
    return list(asked)
