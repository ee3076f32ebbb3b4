"""`status`: how a sweep stands, once or renewed until everything is finished.

The exit code is 0 whenever it could be read, whatever has failed: looking is no verdict. The
figures are `bench.overview`'s; here they are put into words.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from bench.backends import slurm_states
from bench.grid import Sweep, load
from bench.overview import RESULTS, AtWork, Group, Overview, Progress, overview
from bench.queues import SeldomAsked
from bench.store import STATES, Planned, Store
from bench.tracker import spell
from bench.verbs.look import look_and_settle
from bench.verbs.request import Request
from bench.verbs.show import Block, Grid, room, runs, show_blocks, show_json, tally
from bench.verbs.watching import watch

_FEW_LABELS = 16  # with more, the table shows methods and optimizers alone
_STAMP = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d (?:failed: )?")
_STOPPED = {
    "interrupted": "stopped before the last step",
    "cancelled": "taken back by hand",
}
SHOWN = 12  # runs of a kind that are named; --json names all


def status(request: Request, *, by: str, watched: float | None) -> int:
    """Print the counts, the speed, the runs at work, and what ended badly and why.

    Args:
        by: rows of the table: "label", "method" or, as there are few labels or many, "auto".
        watched: seconds between two looks, 0 for the usual ones; None: look once.
    """
    sweep = load(request.sweep, request.overrides, request.only)
    store = Store(request.results, sweep.name)

    ask = SeldomAsked() if watched is not None else slurm_states.ask

    def look() -> Overview:
        planned, queue = look_and_settle(store, sweep.runs, ask)
        remarks = (*queue.remarks, *_remarks(request, sweep, store, planned))
        return overview(sweep.name, planned, remarks)

    def picture(seen: Overview) -> list[Block]:
        return list(blocks(seen, request, by))

    if watched is not None:
        watch(look, picture, as_json, watched, as_json=request.as_json, plain=request.plain)
    elif request.as_json:
        show_json(as_json(look()))
    else:
        show_blocks(picture(look()), plain=request.plain)
    return 0


def blocks(seen: Overview, request: Request, by: str = "auto") -> Iterator[Block]:
    """What is printed, from top to bottom."""
    yield from (f"note: {remark}" for remark in seen.remarks)
    yield f"{seen.sweep}: {runs(len(seen.runs))}: {tally((run.state for run in seen.runs), STATES)}"
    yield _pace(seen)
    yield _counts(seen, by, room(plain=request.plain))
    if seen.at_work:
        yield _work(seen.at_work)
        yield from _more(len(seen.at_work), "at work")
    yield from _failed(seen, request)
    yield from _to_do(seen, request)


def as_json(seen: Overview) -> dict[str, Any]:
    """Everything, for programs."""
    return {
        "sweep": seen.sweep,
        "finished": seen.is_finished,
        "counts": _counted(seen.runs),
        "steps_done": sum(run.steps_done for run in seen.runs),
        "steps": sum(run.steps for run in seen.runs),
        "steps_per_second": seen.steps_per_second,
        "seconds_left": seen.seconds_left,
        "remarks": list(seen.remarks),
        "by_method": [_group_as_json(group) for group in seen.by_method],
        "by_label": [_group_as_json(group) for group in seen.by_label],
        "at_work": [asdict(work) for work in seen.at_work],
        "runs": [asdict(run) for run in seen.runs],
    }


def _remarks(
    request: Request, sweep: Sweep, store: Store, planned: Sequence[Planned]
) -> tuple[str, ...]:
    """What a reader of the counts must know first."""
    found = [text for item in planned for text in item.notes]
    refused = [item.reason for item in planned if item.action == "refuse"]
    found += [*refused[:1], *([f"and {len(refused) - 1} more like it"] if refused[1:] else [])]
    before = store.read_sweep_text()
    if before is not None and before != sweep.text:
        found.append(
            f"{sweep.path} has changed since the last run of {sweep.name}: "
            f"{request.command('plan')} shows what that means"
        )
    return tuple(found)


def _counts(seen: Overview, by: str, width: int) -> Grid:
    """The table of states; `auto` shows labels where they are few and the terminal has room."""
    if by == "method" or (by == "auto" and len(seen.by_label) > _FEW_LABELS):
        return _table(seen.by_method, "labels")
    grid = _table(seen.by_label, "label")
    return grid if by == "label" or grid.width() <= width else _table(seen.by_method, "labels")


def _table(groups: Sequence[Group], third: str) -> Grid:
    met = [state for state in STATES if any(state in group.counts for group in groups)]
    dead = any(group.dead_critics for group in groups)
    rows, before = [], ("", "")
    for group in groups:
        own = (group.method, group.optimizer)
        rows.append(
            (
                *(own if own != before else ("", "")),
                group.label or f"{group.labels:,}",
                *(f"{count:,}" if (count := group.counts.get(state)) else "" for state in met),
                *([f"{group.dead_critics or ''}"] if dead else []),
                _percent(group.steps_done, group.steps),
                _rate(group.steps_per_second),
            )
        )
        before = own
    more = ("dead critic",) if dead else ()
    columns = ("method", "optimizer", third, *met, *more, "progress", "steps/s")
    return Grid(columns, rows, spare=("labels", "steps/s"))


def _pace(seen: Overview) -> str:
    done = _percent(sum(run.steps_done for run in seen.runs), sum(run.steps for run in seen.runs))
    facts = [f"{done} of the steps done"]
    if seen.at_work:
        speed, working = _rate(seen.steps_per_second), runs(len(seen.at_work))
        facts.append(f"{speed} steps/s by {working} now" if speed else f"{working} starting")
    if not seen.is_finished:
        left = spell(seen.seconds_left)
        facts.append(f"{'about ' if left != '?' else ''}{left} left")
    return ", ".join(facts)


def _work(working: Sequence[AtWork]) -> Grid:
    rows = [
        (
            f"{work.label} seed {work.seed}",
            f"{work.step:,}/{work.steps:,}",
            _percent(work.step, work.steps),
            _rate(work.steps_per_second),
            spell(work.seconds_left),
            work.quality,
            work.run_id,
            work.host if work.pid is None else f"{work.host} process {work.pid}",
            _doing(work),
        )
        for work in working[:SHOWN]
    ]
    columns = ("running", "step", "progress", "steps/s", "left", "latest", "id", "on", "now")
    return Grid(columns, rows, spare=("on", "id", "progress", "latest"))


def _doing(work: AtWork) -> str:
    if work.is_silent:
        return f"silent for {spell(work.silent_seconds)}"
    return "starting" if work.step == 0 and work.steps_per_second is None else work.doing


def _failed(seen: Overview, request: Request) -> Iterator[Block]:
    """The failed runs with why; those that failed alike in one line."""
    alike: dict[str, list[Progress]] = {}
    for run in seen.having("failed"):
        text = f"{run.last_line} {run.reason}"
        alike.setdefault(re.sub(r"\d+", "#", text.replace(run.folder, "")), []).append(run)
    for group in list(alike.values())[:SHOWN]:
        first = group[0]
        others = f" (and {runs(len(group) - 1)} more like it)" if group[1:] else ""
        yield f"failed: {first.run_id} {first.label}, seed {first.seed}{others}: {_why(first)}"
    yield from _more(len(alike), "kinds of failure")
    if alike:
        (first, *_), *_ = alike.values()
        yield f"more: {request.logs_command(first.run_id)}"


def _why(run: Progress) -> str:
    """Why a run failed, and the last line of its log where that says something else."""
    last = _STAMP.sub("", run.last_line)
    if not run.reason or run.reason in last:
        return last or "no reason is known"
    return f"{run.reason}; its log ends: {last}" if last else run.reason


def _to_do(seen: Overview, request: Request) -> Iterator[Block]:
    """The runs that wait for the user, and the command that takes them up."""
    for state, words in _STOPPED.items():
        if found := seen.having(state):
            named = [f"{run.label} seed {run.seed} (at step {run.step:,})" for run in found[:3]]
            named += ["..."] if found[3:] else []
            yield f"{state}: {runs(len(found))} {words}: {', '.join(named)}"
    if waiting := seen.having("queued"):
        yield from _queued(waiting)
    if seen.at_work or waiting:
        return
    if all(run.state in RESULTS for run in seen.runs):
        yield f"next: {request.command('report')}"
    else:
        idle = "" if seen.is_finished else "nothing is being trained; "
        yield f"next: {idle}{request.command('run')}"


def _queued(waiting: Sequence[Progress]) -> Iterator[str]:
    """In whose queues runs wait; a line for those that wait alike."""
    alike = Counter(run.reason for run in waiting)
    for reason, count in list(alike.items())[:SHOWN]:
        yield f"queued: {runs(count)}: {reason}"
    yield from _more(len(alike), "places in queues")


def _more(count: int, what: str) -> Iterator[str]:
    if count > SHOWN:
        yield f"and {count - SHOWN:,} more {what}; --json names them all"


def _percent(part: int, whole: int) -> str:
    """Rounded down, so that 100% means all."""
    return f"{100 * part // whole}%" if whole else ""


def _rate(value: float | None) -> str:
    return f"{value:,.1f}" if value is not None else ""


def _counted(found: Sequence[Progress]) -> dict[str, int]:
    counts = Counter(run.state for run in found)
    return {state: counts[state] for state in STATES if state in counts}


def _group_as_json(group: Group) -> dict[str, Any]:
    plain = asdict(group)
    return plain if group.label else {name: plain[name] for name in plain if name != "label"}
