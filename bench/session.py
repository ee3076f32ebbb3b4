"""A session: one run trained in this process, recorded, scored and checkpointed at every pause.

Whether it trains alone or in a pack is `bench.crew`'s business, which hands it its pauses.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from bench.dead_critic import dead_since
from bench.environment import differing, environment
from bench.evaluate import Evaluator, reals_of, stated
from bench.files import FileError, Row, RowFile, read_json, read_rows, write_bytes, write_json
from bench.lease import Lease, sweep_away
from bench.resume import Beginning, open_rows
from bench.run_folder import RunFolder
from bench.samples import picture
from bench.spec import RunSpec
from bench.stopping import CutShort, StopRequest
from wgan import checkpoint
from wgan.cuda_graph import iteration_for
from wgan.data import Data
from wgan.diagnostics import (
    diagnose,
    fresh_sets,
    generate,
    lipschitz_protocol,
    make_profile,
    step_cost,
)
from wgan.train import Pause, TrainState, train

KEPT_CHECKPOINTS = 2
CANCELLED = "cancelled"  # why a run stopped that somebody wanted no more


@dataclass(frozen=True)
class Place:
    """Where runs are trained: device, CPU threads, and the `numerics` that may differ there."""

    device: str = "cpu"
    threads: int = 1
    allow_numerics: tuple[str, ...] = ()


class _Seen(NamedTuple):
    """What an evaluation found; no row where samples could not be scored."""

    diverged: str | None
    row: Row | None = None
    profiles: list[Row] = []  # noqa: RUF012 - never changed
    picture: bytes = b""


class Material(NamedTuple):
    """What a run trains on and what it is scored with; runs that differ in their seed share it."""

    data: Data
    evaluator: Evaluator


def read_material(spec: RunSpec, folder: RunFolder, device: str) -> Material:
    """Read or reckon it, which may take minutes.

    Raises:
        DataError, EvaluateError: it cannot be had.
    """
    data = spec.config.dataset.load().to(device)
    evaluator = Evaluator(
        spec.evaluate,
        spec.config.dataset,
        data,
        folder.cache,
        device,
        ema=spec.config.ema > 0,
    )
    return Material(data, evaluator)


class Session:
    """One run being trained in this process, under a lease.

    Args:
        beginning: the state from which it goes on.
        pack: the size of the stack in which it trains; 1: alone.

    Attributes:
        cancelled: set, from any thread, where this run is to save and stop, whatever others do.
        together: how many runs train beside each other with it, itself included, ballast not.
    """

    def __init__(
        self,
        spec: RunSpec,
        folder: RunFolder,
        lease: Lease,
        stop: StopRequest,
        place: Place,
        material: Material,
        beginning: Beginning,
        pack: int = 1,
    ) -> None:
        self.spec, self.folder, self.lease, self.stop = spec, folder, lease, stop
        self.data, self.evaluator = material
        self.place, self.cancelled, self.together = place, False, 1
        self.started = time.monotonic()
        self.environment = self._environment(pack)
        self.protocol_id = str(self.evaluator.protocol["id"])
        self._files: list[RowFile] = []
        self._prepare(beginning)

    def _environment(self, pack: int) -> dict[str, Any]:
        """Where this is, beside where it was before."""
        now = environment(self.place.device, self.place.threads, pack)
        try:
            before = read_json(self.folder.environment)
            now["earlier"] = [*before.pop("earlier", []), before]
        except (FileNotFoundError, FileError):
            now["earlier"] = []
        return now

    def _prepare(self, beginning: Beginning) -> None:
        self.state: TrainState = beginning.state
        self.evaluation_due = beginning.evaluation_due
        self.first_step = self.state.step
        self.last_checkpoint = time.monotonic()
        self.lease.check()
        self._note(beginning)
        if not beginning.resumed:
            self.environment["earlier"] = []
        # Before what is written with a sync of the folder: a machine's crash then loses no name.
        for name in ("samples", "checkpoints"):
            (self.folder.path / name).mkdir(exist_ok=True)
        try:
            self.rows, self.evaluations, self.profiles = (
                self._opened(path, beginning)
                for path in (
                    self.folder.train_rows,
                    self.folder.eval_rows(self.protocol_id),
                    self.folder.profiles,
                )
            )
            self._state_terms()
        except BaseException:
            self.close()
            raise
        self._tell("training")

    def _note(self, beginning: Beginning) -> None:
        """Say in log.txt where it begins."""
        if not beginning.resumed:
            self.folder.note("begins at step 0")
            return
        mixed = differing(beginning.numerics, self.environment["numerics"])
        if mixed:
            self.folder.note(f"goes on under other numerics, as allowed: {'; '.join(mixed)}")
        self.folder.note(f"goes on from the checkpoint at step {self.state.step}")

    def _opened(self, path: Path, beginning: Beginning) -> RowFile:
        self._files.append(open_rows(path, beginning))
        return self._files[-1]

    def _state_terms(self) -> None:
        """Write where it is trained, and how it is scored."""
        write_json(self.folder.environment, self.environment)
        stated = {
            **self.evaluator.protocol,
            **reals_of(self.spec.config.dataset),
            "diagnostics": self._diagnostics(),
        }
        write_json(self.folder.protocol(self.protocol_id), stated)

    def _diagnostics(self) -> dict[str, Any]:
        """How the critic is looked at: no part of the protocol's id, since it changes no score."""
        looks = self.spec.evaluate.looks
        return {
            "lipschitz": lipschitz_protocol(looks),
            "critic_gap_updates": looks.gap_updates,
            **stated(self.spec.evaluate),
        }

    def record(self, pause: Pause) -> bool:
        """Write down a pause's rows; whether the run goes on, which a diverged one does not."""
        self.lease.check()
        self.rows.append(pause.rows)
        self.evaluation_due = pause.evaluate and pause.diverged is None
        if pause.diverged is not None:
            self._finish("diverged", pause.diverged)
            return False
        self._tell("training")
        return True

    def evaluate(self, save: Callable[[], None] | None = None) -> bool:
        """Score the state where that is due; whether the run goes on.

        Args:
            save: called, in the midst of it, at a wish to save.
        """
        if not self.evaluation_due or self.cancelled:
            return True
        diverged = self._evaluate(save=save)
        if diverged is not None:
            self._finish("diverged", diverged)
            return False
        self._tell("training")
        return True

    def settle(self, save: bool) -> bool:
        """Save and stop where that is asked for, else save where it is due; whether it goes on."""
        stopped = self.cancelled or self.stop()
        if stopped and (self.evaluation_due or self.state.step < self.spec.config.steps):
            self._interrupt()
            return False
        if save:
            self.checkpoint()
        return True

    def keep(self) -> bool:
        """Write a checkpoint; the run goes on."""
        self.checkpoint()
        return True

    def complete(self) -> bool:
        """Write the end of a training that was trained to its end: it goes on no further."""
        self.checkpoint()
        self._finish("done", "")
        return False

    def pauses(self) -> Iterator[Pause]:
        """The pauses of a training alone."""
        spec = self.spec
        return train(
            spec.config,
            self.data,
            self.state,
            self.wants_a_pause,
            log_every=spec.log_every,
            evaluate_every=spec.evaluate.every,
            iterate=iteration_for(spec.config, self.data, self.state, self.folder.note),
        )

    def wants_a_pause(self) -> bool:
        """Whether the loop is to pause after this step, be there a row to record or not."""
        timed = self.spec.checkpoint_seconds > 0  # 0 saves at each pause, and asks for none
        asked = self.stop() or self.stop.save_asked or self.cancelled
        return asked or (timed and self.checkpoint_is_due())

    def checkpoint_is_due(self) -> bool:
        """Whether the last checkpoint is as old as it may become."""
        return time.monotonic() - self.last_checkpoint >= self.spec.checkpoint_seconds

    def close(self) -> None:
        """Close the files of rows; may be called twice."""
        for file in self._files:
            with contextlib.suppress(OSError):  # what counts was synced, or has failed before
                file.close()

    def _evaluate(self, *, save: Callable[[], None] | None = None) -> str | None:
        """Score the generator and look at the critic; returns why the run has diverged, or None.

        A stop cuts it short: the checkpoint then says that it is still due, and no part of it is
        recorded.
        """
        self._tell("evaluating")
        try:
            seen = self.stop.unless_stopped(self._see, save=save or self.checkpoint)
        except CutShort:
            return None
        if seen.row is not None:
            self.lease.check()
            self.evaluations.append([seen.row])
            self.profiles.append(seen.profiles)
            write_bytes(self.folder.sample(self.state.step), seen.picture, sync=False)
        self.evaluation_due = False
        return seen.diverged

    def _see(self) -> _Seen:
        """Everything that an evaluation finds. It reads only, and records nothing."""
        started = time.monotonic()
        config, state, asked = self.spec.config, self.state, self.spec.evaluate
        fake = generate(config, state, asked.samples, self.data)
        if not bool(torch.isfinite(fake).all()):
            return _Seen(f"generated samples were not finite at step {state.step}")
        scores = self.evaluator.score(fake)
        seen = diagnose(config, state, self.data, fake, asked.critic_samples, asked.looks)
        row: Row = {
            "step": state.step,
            "images_seen": state.images_seen,
            "training_seconds": state.training_seconds,
            **scores,
            **seen,
            **self._see_once(),
            "evaluation_seconds": time.monotonic() - started,
        }
        profiles = [
            {
                "step": state.step,
                "profile": name,
                **make_profile(name, config, state, self.data, fake, asked.critic_samples),
            }
            for name in asked.profiles
        ]
        # Not what is asked for beside: no run may end otherwise because somebody looks closer.
        columns = self.evaluator.columns
        watched = {name: value for name, value in scores.items() if name in columns}
        watched["estimate_held_out"] = seen["estimate_held_out"]
        bad = [name for name, value in watched.items() if not math.isfinite(value)]
        why = f"{', '.join(bad)} not finite at step {state.step}" if bad else None
        return _Seen(why, row, profiles, picture(fake, self.data))

    def _see_once(self) -> Row:
        """What is looked at in one evaluation alone: the first, or the final one."""
        config, state, asked = self.spec.config, self.state, self.spec.evaluate
        found: Row = {}
        if asked.step_cost and state.step == 0:
            found |= step_cost(config, state, self.data)
        if asked.fresh_sets and state.step == config.steps:
            sets = fresh_sets(config, state, asked.fresh_sets, asked.samples, self.data)
            found |= self.evaluator.score_sets(sets)
        return found

    def checkpoint(self) -> None:
        """Keep the state, after the rows that it stands for are safely on the disk."""
        self.lease.check()
        for file in self._files:
            file.sync()
        extra = {
            "sizes": {file.path.name: file.size for file in self._files},
            "evaluation_due": self.evaluation_due,
            "protocol": self.protocol_id,
            "numerics": self.environment["numerics"],
        }
        checkpoint.save(self.folder.checkpoint(self.state.step), self.state, extra)
        self.last_checkpoint = time.monotonic()
        for path in self.folder.checkpoints()[KEPT_CHECKPOINTS:]:
            path.unlink(missing_ok=True)

    def _interrupt(self) -> None:
        self.checkpoint()
        due = ", its evaluation still due" if self.evaluation_due else ""
        reason = CANCELLED if self.cancelled else self.stop.reason
        self.folder.note(f"stopped at step {self.state.step}{due} ({reason})")
        if self.folder.is_to_be_cancelled():
            self.folder.finish(self.spec.run_id, "cancelled", step=self.state.step)

    def _finish(self, state: str, reason: str) -> None:
        """Write the last word; of a finished run the last checkpoint alone is kept."""
        for file in self._files:
            file.sync()
        rows, _ = read_rows(self.evaluations.path)
        dead = dead_since(rows, self._quality, self.evaluator.floor_quality)
        if state == "done":
            for path in self.folder.checkpoints()[1:]:
                path.unlink(missing_ok=True)
        for path in self.folder.path.glob("checkpoints/*.bad"):
            path.unlink(missing_ok=True)
        self.lease.check()
        at = f"{state} at step {self.state.step}"
        self.folder.note(f"{at}: {reason}" if reason else at)
        self.folder.finish(
            self.spec.run_id,
            state,
            reason=reason,
            step=self.state.step,
            dead_critic=dead is not None,
            dead_critic_since=dead,
            protocol=self.protocol_id,
            started=self.environment["started"],
            training_seconds=self.state.training_seconds,
        )
        sweep_away(self.folder.path)

    def _quality(self, row: Mapping[str, Any]) -> float | None:
        return self.evaluator.quality(row)

    def _tell(self, doing: str) -> None:
        """Put what others may want to know into the heartbeat."""
        seconds = time.monotonic() - self.started
        made = self.state.step - self.first_step
        self.lease.progress = {
            "doing": doing,
            "step": self.state.step,
            "steps": self.spec.config.steps,
            "steps_per_second": made / seconds if made and seconds > 0 else None,
            **({"together": self.together} if self.together > 1 else {}),
        }
