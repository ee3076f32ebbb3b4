"""`plan`: what every run of a sweep is, what would be done about it, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.backends.packing import Pack, Terms, by_run, form, in_words
from bench.grid import Sweep, load
from bench.limits import usable_cores
from bench.queues import Queue
from bench.speed.estimate import estimate
from bench.store import STATES, Planned, Store
from bench.verbs.look import look
from bench.verbs.needs import check_data, check_weights_named
from bench.verbs.request import Request
from bench.verbs.show import note, runs, say, show_json, show_table, tally

_ACTIONS = {"run": "to run", "resume": "to resume", "refuse": "refused"}
_ORDER = ("to run", "to resume", "refused", *STATES)


def plan(request: Request) -> int:
    """Print every run with its state, what `run` would do about it, and why."""
    sweep, store, planned, queue = planned_for(request)
    refused = any(item.action == "refuse" for item in planned)
    packs = packs_for(planned)
    estimated = None if refused else estimate(planned, packs)
    if request.as_json:
        plain = None if estimated is None else estimated.to_plain()
        show_json({**as_json(sweep, planned, queue, packs), "estimate": plain})
        return 2 if refused else 0
    show_table(
        ("label", "seed", "id", "state", "action", "reason"),
        [
            (
                item.spec.label,
                item.spec.config.seed,
                item.spec.run_id,
                item.state,
                item.action,
                item.reason,
            )
            for item in planned
        ],
        plain=request.plain,
    )
    say("")
    for excluded in sweep.excluded:
        say(f"excluded: {runs(excluded.runs)} with {excluded.where}: {excluded.reason}")
    say(totals(sweep, planned))
    if packed := in_words(packs):
        say(f"{packed}, {usable_cores()} at once (run --no-pack: each alone)")
    show_remarks(sweep, store, planned, queue)
    if any(item.action in ("run", "resume") for item in planned) and not refused:
        say(str(estimated) if estimated is not None else f"time: {request.command('speed')}")
        say(f"next: {request.command('run')}")
    return 2 if refused else 0


def planned_for(request: Request) -> tuple[Sweep, Store, list[Planned], Queue]:
    """The sweep, its results, its plan and the queue, when its data and weights are where it says.

    Raises:
        SweepError, StoreError: something is wrong with the file, the data or the results.
    """
    sweep = load(request.sweep, request.overrides, request.only)
    check_weights_named(sweep)
    store = Store(request.results, sweep.name)
    planned, queue = look(store, sweep.runs)
    check_data(sweep, planned)
    return sweep, store, planned, queue


def packs_for(planned: Sequence[Planned], terms: Terms | None = None) -> list[Pack]:
    """What would be trained together; by default as `run` does it here without further options."""
    wanted = [item for item in planned if item.action in ("run", "resume")]
    return form(wanted, terms or Terms(usable_cores()))


def totals(sweep: Sweep, planned: Sequence[Planned]) -> str:
    """The plan in a line."""
    words = [_ACTIONS.get(item.action, item.state) for item in planned]
    chosen = f" (of {sweep.total:,})" if len(planned) < sweep.total else ""
    return f"{sweep.name}: {runs(len(planned))}{chosen}: {tally(words, _ORDER)}"


def show_remarks(sweep: Sweep, store: Store, planned: Sequence[Planned], queue: Queue) -> None:
    """What was found on the way, beside the answer."""
    for text in (*sweep.notes, *queue.remarks):
        note(f"note: {text}")
    for item in planned:
        for text in item.notes:
            note(f"note: {text}")
    before = store.read_sweep_text()
    if before is not None and before != sweep.text:
        note(f"note: {sweep.path} has changed since the last run of {sweep.name}")


def as_json(
    sweep: Sweep,
    planned: Sequence[Planned],
    queue: Queue | None = None,
    packs: Sequence[Pack] = (),
) -> dict[str, Any]:
    """The plan for programs."""
    remarks = queue.remarks if queue is not None else []
    pack_of = by_run(packs)
    return {
        "sweep": sweep.name,
        "question": sweep.question,
        "total": sweep.total,
        "runs": [
            {
                "run_id": item.spec.run_id,
                "label": item.spec.label,
                "recipe": item.spec.recipe,
                "seed": item.spec.config.seed,
                "state": item.state,
                "action": item.action,
                "reason": item.reason,
                "step": item.step,
                "steps": item.spec.config.steps,
                "folder": str(item.folder),
                **_pack_as_json(pack_of.get(item.spec.run_id)),
            }
            for item in planned
        ],
        "excluded": [
            {"where": rule.where, "reason": rule.reason, "runs": rule.runs}
            for rule in sweep.excluded
        ],
        "notes": [*sweep.notes, *remarks, *(text for item in planned for text in item.notes)],
    }


def _pack_as_json(pack: Pack | None) -> dict[str, Any]:
    """With whom a run would be trained, by id; nothing of what is not to be trained."""
    return {} if pack is None else {"pack": pack.size, "together": list(pack.run_ids)}
