"""`plan` and `run`: what is to be done, and doing it."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from typing import Any

from bench.backends import make_backend
from bench.evaluate import EvaluateError, check_enough
from bench.evaluate.classifiers import choose
from bench.execute import execute
from bench.grid import Sweep, SweepError, load
from bench.limits import crowded
from bench.progress import make_display
from bench.store import STATES, Planned, Store
from bench.verbs.request import Request
from bench.verbs.show import note, runs, say, show_json, show_table, tally
from wgan.data import DataError, Dataset, Images
from wgan.data.places import at_home

_ACTIONS = {"run": "to run", "resume": "to resume", "refuse": "refused"}
_ORDER = ("to run", "to resume", "refused", *STATES)


def plan(request: Request) -> int:
    """Print every run with its state, what `run` would do about it, and why."""
    sweep, store, planned = _planned(request)
    refused = any(item.action == "refuse" for item in planned)
    if request.as_json:
        show_json(_as_json(sweep, planned))
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
    say(_totals(sweep, planned))
    _remarks(sweep, store, planned)
    if any(item.action in ("run", "resume") for item in planned) and not refused:
        say(f"next: {request.command('run')}")
    return 2 if refused else 0


def run(
    request: Request,
    *,
    backend: str,
    slots: int | None,
    threads: int,
    gpus: str | None,
    per_gpu: int | None,
    fail_fast: bool,
    allow_numerics: Collection[str],
) -> int:
    """Train what is missing, and say how it ended and what comes next."""
    sweep, store, planned = _planned(request)
    _remarks(sweep, store, planned)
    wanted = [item for item in planned if item.action in ("run", "resume")]
    display = make_display(plain=request.plain, quiet=request.as_json)
    chosen = make_backend(
        backend,
        slots=slots,
        threads=threads,
        gpus=gpus,
        per_gpu=per_gpu,
        allow_numerics=allow_numerics,
        between=display.tick,
    )
    if wanted and (remark := crowded(chosen.slots, threads)):
        note(f"note: {remark}")
    # What must be had before anything is written, unless the plan is refused anyway.
    if all(item.action != "refuse" for item in planned):
        _read_data(sweep, wanted)
        _have_weights(sweep, wanted)
    store.freeze(planned, sweep.question, sweep.text)
    if not request.as_json:
        say(_totals(sweep, planned))
    began = time.monotonic()
    outcome = execute(planned, chosen, display, fail_fast=fail_fast)
    seconds = time.monotonic() - began
    if request.as_json:
        content = _as_json(sweep, planned)
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
    again = outcome.interrupted or outcome.exit_code != 0
    verb = "run" if again else "status" if outcome.elsewhere else "report"
    say(f"next: {request.command(verb)}")
    return outcome.exit_code


def _planned(request: Request) -> tuple[Sweep, Store, list[Planned]]:
    sweep = load(request.sweep, request.overrides, request.only)
    for weights in {run.evaluate.inception_weights for run in sweep.runs} - {""}:
        if not at_home(weights).is_file():
            raise SweepError(
                f"{sweep.weights_place}: evaluate.inception_weights: there is no file "
                f"{weights!r}; give the path of torch-fidelity's Inception weights, or "
                "nothing for its own download"
            )
    store = Store(request.results, sweep.name)
    planned = store.plan(sweep.runs)
    _check_data(sweep, planned)
    return sweep, store, planned


def _check_data(sweep: Sweep, planned: Sequence[Planned]) -> None:
    """Refuse, before anything is trained, data sets that are not where the sweep says.

    Raises:
        SweepError: what is missing and how to get it.
    """
    for dataset in _datasets([item for item in planned if item.action in ("run", "resume")]):
        try:
            dataset.check_present()
        except DataError as error:
            raise SweepError(f"{_dataset_place(sweep, dataset)}: dataset: {error}") from None


def _read_data(sweep: Sweep, wanted: Sequence[Planned]) -> None:
    """Have each image set read, those that lie in files into the cache, once for all runs.

    Raises:
        SweepError: one cannot be had, or is too small to score with; nothing has been trained.
    """
    for dataset in _datasets(wanted):
        if type(dataset).check_present is not Dataset.check_present:
            note(f"reading {dataset.label}")
        if len(dataset.shape) == 3:
            try:
                data = dataset.load()
                if isinstance(data, Images):
                    check_enough(dataset, data)
            except DataError as error:
                raise SweepError(f"{_dataset_place(sweep, dataset)}: dataset: {error}") from None
            except EvaluateError as error:
                raise SweepError(f"{_dataset_place(sweep, dataset)}: {error}") from None


def _have_weights(sweep: Sweep, wanted: Sequence[Planned]) -> None:
    """Have the Inception weights, downloaded if need be, where images are scored with them.

    Raises:
        SweepError: they cannot be had; nothing has been trained.
    """
    for item in wanted:
        spec, dataset = item.spec.evaluate, item.spec.config.dataset
        if len(dataset.shape) == 3 and choose(spec.extractor, dataset.name) == "inception":
            from bench.evaluate.extractors import inception_weights

            try:
                inception_weights(spec.inception_weights)
            except EvaluateError as error:
                raise SweepError(f"{sweep.weights_place}: {error}") from None
            return


def _dataset_place(sweep: Sweep, dataset: Dataset) -> str:
    return sweep.dataset_places.get(str(dataset.to_plain()), str(sweep.path))


def _datasets(planned: Sequence[Planned]) -> list[Dataset]:
    """The data sets of these runs, those that are equal but lie elsewhere included."""
    found = {str(item.spec.config.dataset.to_plain()): item.spec.config.dataset for item in planned}
    return list(found.values())


def _totals(sweep: Sweep, planned: Sequence[Planned]) -> str:
    words = [_ACTIONS.get(item.action, item.state) for item in planned]
    chosen = f" (of {sweep.total:,}, by --only)" if len(planned) < sweep.total else ""
    return f"{sweep.name}: {runs(len(planned))}{chosen}: {tally(words, _ORDER)}"


def _remarks(sweep: Sweep, store: Store, planned: Sequence[Planned]) -> None:
    for text in sweep.notes:
        note(f"note: {text}")
    for item in planned:
        for text in item.notes:
            note(f"note: {text}")
    before = store.read_sweep_text()
    if before is not None and before != sweep.text:
        note(f"note: {sweep.path} has changed since the last run of {sweep.name}")


def _as_json(sweep: Sweep, planned: Sequence[Planned]) -> dict[str, Any]:
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
            }
            for item in planned
        ],
        "excluded": [
            {"where": rule.where, "reason": rule.reason, "runs": rule.runs}
            for rule in sweep.excluded
        ],
        "notes": [*sweep.notes, *(text for item in planned for text in item.notes)],
    }
