"""The folder of one run: where everything lies in it, what state it is in, and what its spec was.

```
spec.json              the run, frozen at planning
env.json               where and with what it was trained
train.jsonl            training rows
eval-<protocol>.jsonl  scores and diagnostics, one row per evaluation
protocol-<id>.json     how those scores were made
profiles.jsonl         what an evaluation saw that is no single number, where it was asked for
log.txt                what happened, in words
samples/               a picture per evaluation
checkpoints/           the last two; of a finished run, its last
lease/                 who is at it
cancel.json            somebody wants it stopped; gone when that is done
state.json             how it ended, written last
```
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.files import FileError, read_json, write_json
from bench.lease import Observer, describe

# Final states stand in state.json; the others are derived from lease, checkpoint and queue.
FINAL_STATES = ("done", "diverged", "failed", "cancelled")
STATES = ("pending", "queued", "running", "interrupted", *FINAL_STATES)

SPEC, STATE = "spec.json", "state.json"
TRAIN_ROWS = "train.jsonl"
PROFILE_ROWS = "profiles.jsonl"
_FORMAT = 1


@dataclass(frozen=True)
class Standing:
    """What a run folder shows.

    Attributes:
        state: one of STATES but `queued`, which only a backend knows.
        step: the last step kept: of the final state, or of the newest checkpoint.
        reason: why, in words; empty where the state says it all.
        final: the content of state.json where it holds.
        notes: what was found damaged.
    """

    state: str
    step: int = 0
    reason: str = ""
    final: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run; it need not exist."""

    path: Path

    @property
    def spec(self) -> Path:
        """The run, frozen at planning."""
        return self.path / SPEC

    @property
    def environment(self) -> Path:
        """Where and with what it was trained."""
        return self.path / "env.json"

    @property
    def state(self) -> Path:
        """How it ended."""
        return self.path / STATE

    @property
    def cancel_request(self) -> Path:
        """Somebody's wish that it be stopped."""
        return self.path / "cancel.json"

    @property
    def log(self) -> Path:
        """What happened, in words."""
        return self.path / "log.txt"

    @property
    def train_rows(self) -> Path:
        """Training rows."""
        return self.path / TRAIN_ROWS

    @property
    def profiles(self) -> Path:
        """Profiles, one row for each name and evaluation."""
        return self.path / PROFILE_ROWS

    @property
    def cache(self) -> Path:
        """Statistics of real data, shared by all sweeps of a results folder."""
        return self.path.parent.parent / ".cache"

    def at(self, name: str) -> str:
        """The path of a file as text: to join two takes pathlib as long as to read it."""
        return f"{self.path}/{name}"

    def eval_rows(self, protocol: str) -> Path:
        """The scores made by one protocol."""
        return self.path / f"eval-{protocol}.jsonl"

    def protocol(self, protocol: str) -> Path:
        """How those scores were made."""
        return self.path / f"protocol-{protocol}.json"

    def sample(self, step: int) -> Path:
        """The picture of the samples at one step."""
        return self.path / "samples" / f"step-{step:08d}.png"

    def checkpoint(self, step: int) -> Path:
        """The checkpoint at one step."""
        return self.path / "checkpoints" / f"step-{step:08d}.ckpt"

    def checkpoints(self) -> list[Path]:
        """The checkpoints that stand, newest first."""
        return self._of_steps("checkpoints", "ckpt")[::-1]

    def samples(self) -> list[Path]:
        """The pictures that stand, oldest first."""
        return self._of_steps("samples", "png")

    def _of_steps(self, folder: str, kind: str) -> list[Path]:
        """Files of single steps, in order; copies that somebody's tools have made are none."""
        found = (self.path / folder).glob(f"step-*.{kind}")
        return sorted(path for path in found if path.stem.removeprefix("step-").isdecimal())

    def note(self, text: str) -> None:
        """Add a line to log.txt."""
        stamp = time.strftime("%Y-%m-%d %H:%M:%S")
        with self.log.open("a", encoding="utf-8") as file:
            file.write(f"{stamp} {text}\n")

    def last_words(self) -> str:
        """The last line of log.txt."""
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return ""
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def finish(self, run_id: str, state: str, **fields: Any) -> None:
        """Write state.json, the last word on a run, with the bytes that its rows must have."""
        rows = (self.train_rows, self.profiles, *self.path.glob("eval-*.jsonl"))
        content = {
            "format": _FORMAT,
            "run_id": run_id,
            "state": state,
            **fields,
            "finished": time.time(),
            "files": {path.name: path.stat().st_size for path in rows if path.exists()},
        }
        write_json(self.state, content)
        self.cancel_request.unlink(missing_ok=True)

    def is_to_be_cancelled(self) -> bool:
        """Whether somebody has asked for it and nobody has done it yet."""
        return self.cancel_request.exists()

    def take_up(self) -> None:
        """Forget that the run was cancelled: it is wanted again.

        Raises:
            OSError: the folder cannot be written.
        """
        self.cancel_request.unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError, FileError):
            if read_json(self.state).get("state") == "cancelled":
                self.state.unlink()
                self.note("wanted again")

    def final(self, run_id: str) -> tuple[dict[str, Any] | None, str | None]:
        """The content of state.json if it stands and holds, and otherwise what is wrong with it."""
        try:
            content = read_json(self.at(STATE))
        except FileNotFoundError:
            return None, None
        except FileError as error:
            return None, str(error)
        if content.get("format") != _FORMAT or content.get("state") not in FINAL_STATES:
            return None, f"{self.state} is not of this program"
        if content.get("run_id") != run_id:
            return None, f"{self.state} is of the run {content.get('run_id')!r}"
        missing = _missing(self, content.get("files"))
        if missing and content["state"] in ("done", "diverged"):
            return None, f"{self.path}: recorded rows are missing: {missing}"
        return content, None

    def standing(self, run_id: str, observer: Observer) -> Standing:
        """The run's state, from what lies in its folder."""
        if not self.path.is_dir():
            return Standing("pending")
        content, damage = self.final(run_id)
        notes = () if damage is None else (damage,)
        if content is not None and content["state"] != "failed":
            return _finished(content, notes)
        if observer.look(self.path).state in ("held", "unsure"):
            return Standing("running", reason=f"{describe(self.path)} is at it", notes=notes)
        if content is not None:
            return _finished(content, notes)
        step = self.kept_step()
        begun = self.environment.exists() or bool(self.checkpoints())
        return Standing("interrupted" if begun else "pending", step, notes=notes)

    def kept_step(self) -> int:
        """The step of the newest checkpoint, or 0; whether it is whole shows when it is read."""
        newest = self.checkpoints()[:1]
        return int(newest[0].stem.removeprefix("step-")) if newest else 0


def _finished(content: Mapping[str, Any], notes: tuple[str, ...]) -> Standing:
    return Standing(
        str(content["state"]),
        _whole(content.get("step")),
        str(content.get("reason") or ""),
        dict(content),
        notes,
    )


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


def _missing(folder: RunFolder, files: object) -> str:
    """Which files hold fewer bytes than were recorded, in words; empty when none does."""
    if not isinstance(files, Mapping) or TRAIN_ROWS not in files:
        return f"state.json names no {TRAIN_ROWS}"
    short = []
    for name, size in files.items():
        if not isinstance(size, int):
            return f"state.json gives {size!r} as the size of {name}"
        held = _held(folder.at(name))
        if held < size:
            short.append(f"{name} holds {held} of {size} bytes")
    return ", ".join(short)


def _held(path: str) -> int:
    """The size of a file in bytes, 0 where there is none."""
    try:
        return os.stat(path).st_size  # noqa: PTH116 - it is text, see `at`
    except (OSError, ValueError):  # the latter of a name that no file can have
        return 0
