"""`run` and `retry`: training what is missing, here or by SLURM."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence

from bench.backends import make_backend
from bench.backends.packing import in_words
from bench.execute import execute
from bench.files import FileError, read_json
from bench.grid import Sweep
from bench.lease import owner_of, process_is_gone
from bench.limits import crowded
from bench.progress import make_display
from bench.run_folder import RunFolder
from bench.store import STATES, Planned, Store
from bench.submissions import announced
from bench.verbs.launch import Launch
from bench.verbs.needs import check_precisions, have_weights, read_data
from bench.verbs.planning import as_json, packs_for, planned_for, show_remarks, totals
from bench.verbs.request import Request
from bench.verbs.show import note, runs, say, show_json, tally
from bench.verbs.submitting import submit


def run(request: Request, launch: Launch) -> int:
    """Train what is missing, and say how it ended and what comes next."""
    return _launch(request, launch, again=None)


def retry(request: Request, launch: Launch) -> int:
    """Train again what failed or was cancelled, from its checkpoint; nothing else."""
    return _launch(request, launch, again=("failed", "cancelled"))


def _launch(request: Request, launch: Launch, again: Collection[str] | None) -> int:
    """Train what is missing, or only what is in one of the states `again`."""
    launch.check()
    sweep, store, planned, queue = planned_for(request)
    if again is not None:
        planned = [item for item in planned if item.state in again]
        if not planned and not request.as_json:
            say(f"{sweep.name}: nothing has failed or was cancelled")
            return 0
    show_remarks(sweep, store, planned, queue)
    wanted = [item for item in planned if item.action in ("run", "resume")]
    # What must be had before anything is written, unless the plan is refused anyway.
    if all(item.action != "refuse" for item in planned):
        if launch.backend != "slurm":
            check_precisions(wanted, on_gpus=launch.gpus is not None)
        read_data(sweep, wanted)
        have_weights(sweep, wanted)
    if launch.backend == "slurm":
        return submit(request, launch, sweep, store, planned)
    return _train(request, launch, sweep, store, planned)


def _train(
    request: Request, launch: Launch, sweep: Sweep, store: Store, planned: Sequence[Planned]
) -> int:
    """Train here, and wait for it."""
    display = make_display(plain=request.plain, quiet=request.as_json)
    chosen = make_backend(
        launch.backend,
        slots=launch.slots,
        threads=launch.threads,
        gpus=launch.gpus,
        per_gpu=launch.per_gpu,
        allow_numerics=launch.allow_numerics,
        packed=launch.packed,
        between=display.tick,
    )
    packs = packs_for(planned, chosen.packing)
    wanted = [run_id for pack in packs for run_id in pack.run_ids]
    others = _taken_by_others(planned)
    if wanted and (remark := crowded(chosen.slots, launch.threads, others)):
        note(f"note: {remark}")
    store.freeze(planned, sweep.question, sweep.text)
    if not request.as_json:
        say(totals(sweep, planned))
        if packed := in_words(packs):
            say(packed)
    began = time.monotonic()
    with announced(store.folder, wanted):
        outcome = execute(planned, chosen, display, fail_fast=launch.fail_fast)
    seconds = time.monotonic() - began
    if request.as_json:
        content = as_json(sweep, planned, packs=packs)
        for plain in content["runs"]:
            plain["state"] = outcome.states[plain["run_id"]]
            plain["reason"] = outcome.reasons.get(plain["run_id"], "")
        content["folder"] = str(store.folder)
        content["interrupted"] = outcome.interrupted
        show_json(content)
        return outcome.exit_code
    ended = tally(outcome.states.values(), STATES)
    spent = f" in {seconds:,.0f} s" if wanted else "; nothing was left to do"
    say(f"{runs(len(planned))}: {ended}{spent}; results in {store.folder}")
    failed = [run_id for run_id, state in outcome.states.items() if state == "failed"]
    folders = {item.spec.run_id: item.folder for item in planned}
    told = [run_id for run_id in failed if folders[run_id].is_dir()]
    if told:
        say(f"why: {request.logs_command(told[0])}")
    for other, count in outcome.elsewhere.items():
        say(f"{runs(count)} still being trained by {other}")
    once_more = outcome.interrupted or outcome.exit_code != 0
    theirs = set(outcome.states.values()) & {"running", "queued"}
    verb = "run" if once_more else "status" if theirs else "report"
    say(f"next: {request.command(verb)}")
    return outcome.exit_code


def _taken_by_others(planned: Sequence[Planned]) -> int:
    """The threads of this sweep's runs that other runners train on this machine now."""
    taken: dict[object, int] = {}
    for item in planned:
        owner = owner_of(item.folder) if item.state == "running" else None
        if owner is not None and process_is_gone(owner) is False:
            try:
                threads = int(read_json(RunFolder(item.folder).environment)["threads"])
            except (FileNotFoundError, FileError, KeyError):
                threads = 1  # it has just begun
            # Runs of one pack share their process.
            taken[owner.get("pid")] = max(threads, taken.get(owner.get("pid"), 0))
    return sum(taken.values())
