"""The results folder of a sweep: what is planned, what stands, and what is read back.

One function, `Store.plan`, says for every run what its state is and what is to be done about it;
the plan that is printed and the plan that is run are both its answer. A run's own folder is
`bench.run_folder`; the tables are made in `bench.collect`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.files import FileError, finite_row, read_json, write_bytes, write_json
from bench.lease import Observer
from bench.refusals import refusal
from bench.run_folder import FINAL_STATES, STATES, RunFolder, Standing
from bench.spec import RunSpec
from bench.submissions import Entry
from bench.unwritable import unwritable

if TYPE_CHECKING:
    from bench.records import Records

__all__ = ["ACTIONS", "FINAL_STATES", "STATES", "Planned", "Store", "StoreError"]

ACTIONS = ("run", "resume", "keep", "refuse")


class StoreError(ValueError):
    """A results folder that cannot be used: where, what is wrong, and the ways out."""


@dataclass(frozen=True)
class Planned:
    """One run of the plan.

    Attributes:
        spec: the run as the sweep file asks for it now.
        folder: its run folder; it need not exist yet.
        state: one of STATES.
        action: "run" (from the start), "resume" (from the last good checkpoint), "keep" (nothing to
            do: it is finished, or another process is at it) or "refuse" (what stands there does not
            fit; `reason` shows the difference and the ways out).
        reason: a sentence; never empty.
        step: the last step known to be kept (of the final state, or of the checkpoint that is
            resumed); 0 where there is none.
        notes: what was found damaged in the folder.
        final: the content of state.json where it holds, or None.
    """

    spec: RunSpec
    folder: Path
    state: str
    action: str
    reason: str
    step: int = 0
    notes: tuple[str, ...] = ()
    final: Mapping[str, Any] | None = None


class Store:
    """The results of one sweep: `results/<sweep>/`.

    Args:
        results: the results folder of all sweeps, e.g. Path("results"). It need not exist yet.
        sweep: the sweep's name.
    """

    def __init__(self, results: Path, sweep: str) -> None:
        self.results = results
        self.sweep = sweep
        self.folder = results / sweep
        self.cache = results / ".cache"
        self._observer = Observer()

    def run_folder(self, spec: RunSpec) -> Path:
        """Where this run lies or will lie.

        A run is known by its id: a folder that was made under an older label is found again.
        """
        return self._folders([spec])[spec.run_id]

    def plan(
        self, specs: Sequence[RunSpec], queued: Mapping[str, Entry] | None = None
    ) -> list[Planned]:
        """What stands and what is to be done, in the order of `specs`. Writes nothing.

        Nothing is remembered from an earlier plan either: every folder is read anew, which takes
        under a second for 10,000 finished runs.

        Args:
            queued: by run id, what `bench.queues` knows of runs that wait somewhere.

        Raises:
            StoreError: the results folder cannot be read.
        """
        folders, queued = self._folders(specs), queued or {}
        return [
            self._plan_one(spec, folders[spec.run_id], queued.get(spec.run_id)) for spec in specs
        ]

    def finished(self) -> Callable[[str], bool]:
        """Tells of a run id whether that run is done or has diverged: nobody waits for it."""
        names = _by_id(self._standing())

        def is_finished(run_id: str) -> bool:
            name = names.get(run_id)
            final = RunFolder(self.folder / name).final(run_id)[0] if name is not None else None
            return final is not None and final["state"] in ("done", "diverged")

        return is_finished

    def check(self, planned: Sequence[Planned]) -> None:
        """Refuse a plan in which something is refused.

        Raises:
            StoreError: shows all of it.
        """
        refused = [item.reason for item in planned if item.action == "refuse"]
        if refused:
            raise StoreError("\n".join(refused))

    def freeze(self, planned: Sequence[Planned], question: str, sweep_text: str) -> None:
        """Make the folders of the runs to be run, their `spec.json`, and a copy of the sweep file.

        `spec.json` is what will be trained, however the sweep file is edited later. Of a run that
        has begun only its label and what else touches no row is brought up to date.

        Raises:
            StoreError: the results folder cannot be written, or a run of the plan is refused (the
                message shows them all).
        """
        self.check(planned)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._keep_text(sweep_text)
            write_json(self.folder / "sweep.json", {"name": self.sweep, "question": question})
            for item in planned:
                if item.action != "keep" or item.state != "queued":
                    self._freeze_one(item)
                if item.action in ("run", "resume"):
                    RunFolder(item.folder).take_up()
        except OSError as error:
            raise _unwritable(self.folder, error) from error

    def collect(
        self, specs: Sequence[RunSpec], question: str = "", *, pictures: bool = True
    ) -> Records:
        """Everything the sweep has left behind, finished or not.

        Damage is noted in `Records.notes`, never raised. Without `pictures`, which the tables do
        not need, `Records.samples` stays empty.

        Raises:
            StoreError: the results folder cannot be read.
        """
        from bench import collect

        folders, refusals = self._folders(specs), []

        def read(spec: RunSpec) -> collect.RunRecord:
            folder = RunFolder(folders[spec.run_id])
            run = collect.read_run(spec, folder, self._observer, pictures=pictures)
            if run.frozen != spec.to_plain() and folder.state.exists():
                refusals.append(refusal(spec, folder))
            return run

        question = question or self._question()
        found = collect.records(self.sweep, question, map(read, specs), self.results)
        found.notes.extend(reason for reason in refusals if reason is not None)
        return found

    def write_tables(self, records: Records) -> tuple[Path, Path]:
        """Write runs.parquet and curves.parquet into the sweep's folder; returns their paths.

        Raises:
            StoreError: the folder cannot be written.
        """
        from bench import collect

        runs, curves = self.folder / "runs.parquet", self.folder / "curves.parquet"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_bytes(runs, collect.to_parquet(records.runs, collect.RUN_TYPES))
            floors = collect.floors(records.protocols)
            write_bytes(curves, collect.to_parquet(records.curves, collect.CURVE_TYPES, floors))
        except OSError as error:
            raise _unwritable(self.folder, error) from error
        return runs, curves

    def write_profiles(self, records: Records) -> Path | None:
        """Write profiles.json, the last profiles by run id and name, beside the tables.

        Returns its path, or None where there are no profiles: an older file then goes.

        Raises:
            StoreError: the folder cannot be written.
        """
        path = self.folder / "profiles.json"
        try:
            if not records.profiles:
                path.unlink(missing_ok=True)
                return None
            self.folder.mkdir(parents=True, exist_ok=True)
            plain = {
                run_id: {name: finite_row(profile) for name, profile in profiles.items()}
                for run_id, profiles in records.profiles.items()
            }
            text = json.dumps(plain, ensure_ascii=False, allow_nan=False)
            write_bytes(path, (text + "\n").encode())
        except OSError as error:
            raise _unwritable(self.folder, error) from error
        return path

    def read_sweep_text(self) -> str | None:
        """The frozen copy of the sweep file, or None where nothing was frozen."""
        try:
            return (self.folder / "sweep.yaml").read_text(encoding="utf-8")
        except OSError:
            return None

    def _folders(self, specs: Sequence[RunSpec]) -> dict[str, Path]:
        """By run id, the folder of each run: the one that stands, or the one that would be made."""
        standing = self._standing()
        by_id, folders = _by_id(standing), {}
        for spec in specs:
            name = spec.folder
            found = name if name in standing else by_id.get(spec.run_id, name)
            folders[spec.run_id] = self.folder / found
        return folders

    def _standing(self) -> set[str]:
        """The names of what stands in the sweep's folder."""
        try:
            return {path.name for path in self.folder.iterdir()} if self.folder.exists() else set()
        except OSError as error:
            raise StoreError(
                f"results folder {str(self.folder)!r} cannot be read: {error.strerror}"
            ) from error

    def _plan_one(self, spec: RunSpec, path: Path, entry: Entry | None) -> Planned:
        folder = RunFolder(path)
        standing = folder.standing(spec.run_id, self._observer)
        if entry is not None:
            standing = _as_queued(standing, entry, folder)
        action, reason = _action(standing, folder, entry)
        # A training without a checkpoint begins again: there is nothing that could be mixed up,
        # unless somebody has it in a queue as it was frozen.
        if action != "run" or standing.state == "queued":
            refused = refusal(spec, folder)
            if refused is not None:
                action, reason = "refuse", refused
        return Planned(
            spec,
            path,
            standing.state,
            action,
            reason,
            standing.step,
            standing.notes,
            standing.final,
        )

    def _freeze_one(self, item: Planned) -> None:
        item.folder.mkdir(exist_ok=True)
        path, plain = RunFolder(item.folder).spec, item.spec.to_plain()
        try:
            if read_json(path) == plain:
                return
        except (FileNotFoundError, FileError):
            pass  # nothing has begun, or the plan would have refused it
        write_json(path, plain)

    def _keep_text(self, text: str) -> None:
        """Copy the sweep file; an older copy that differs is kept beside it."""
        path, older = self.folder / "sweep.yaml", self.read_sweep_text()
        if older is not None and older != text:
            digest = hashlib.sha256(older.encode()).hexdigest()[:8]
            write_bytes(self.folder / f"sweep-{digest}.yaml", older.encode())
        if older != text:
            write_bytes(path, text.encode())

    def _question(self) -> str:
        try:
            return str(read_json(self.folder / "sweep.json").get("question", ""))
        except (FileNotFoundError, FileError):
            return ""


def _by_id(names: Collection[str]) -> dict[str, str]:
    """By run id, the names that are those of run folders; of several the last in order."""
    return {name.rpartition("--")[2]: name for name in sorted(names) if "--" in name}


def _as_queued(standing: Standing, entry: Entry, folder: RunFolder) -> Standing:
    """What a run that nobody is at stands for, beside what is known of its place in a queue."""
    if standing.state in ("done", "diverged", "running"):
        return standing
    if standing.final is not None and folder.state.stat().st_mtime >= entry.submitted:
        return standing  # it ended after it was submitted
    # A job that is over leaves the run as its folder shows it.
    state = standing.state if entry.state == "interrupted" else entry.state
    return dataclasses.replace(standing, state=state, reason=entry.reason, final=None)


def _action(standing: Standing, folder: RunFolder, entry: Entry | None) -> tuple[str, str]:
    """What is to be done about a run that stands so, and why."""
    damage = "; ".join(standing.notes)
    again = f"{damage}; " if damage else ""
    match standing.state:
        case "pending":
            told = f" ({standing.reason})" if standing.reason else ""
            return "run", f"{again}not begun{told}"
        case "queued" if entry is not None and not entry.shared:
            return "keep", standing.reason
        case "running":
            return "keep", standing.reason
        case "done":
            return "keep", f"done at step {standing.step}"
        case "diverged":
            return "keep", f"diverged (a result): {standing.reason}"
    if folder.checkpoints():
        where = f"goes on from the checkpoint at step {folder.kept_step()}"
    else:
        where = "begins again, there is no checkpoint"
    told = f": {standing.reason}" if standing.reason else ""
    why = standing.state if standing.state in ("failed", "cancelled", "queued") else "not finished"
    why += told
    return "resume" if folder.checkpoints() else "run", f"{again}{why}; {where}"


def _unwritable(folder: Path, error: OSError) -> StoreError:
    place = error.filename or folder
    sentence = unwritable(error, folder) or (
        f"{error.strerror} ({place}); choose another with --results, or see to its permissions"
    )
    return StoreError(f"results folder {str(folder)!r} cannot be written: {sentence}")
