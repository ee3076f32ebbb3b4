"""Run folders in every state, made by hand: what `status`, `clean` and `collect` look at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from bench.cli import main
from bench.grid import load
from bench.run_folder import RunFolder
from bench.spec import RunSpec

SWEEP = """
name: s
question: Does it work?
base: {dataset: ring8, network: {mlp: {width: 8}}, steps: 60, batch_size: 8, noise_size: 4}
grid:
  recipe: [wgan, wgan_gp]
  seed: 0..3
evaluate: {every: 30, samples: 50}
record: {log_every: 10, checkpoint_seconds: 0}
"""
PROTOCOL = "0123456789ab"


def call(*arguments: Any, **more: Any) -> Result:
    """The command line, in this process."""
    words = [str(word) for word in arguments]
    return CliRunner().invoke(main, words, catch_exceptions=False, **more)


def specs(text: str = SWEEP) -> list[RunSpec]:
    """The runs of a sweep, whose file is written into the current folder: wgan 0-3, wgan_gp 0-3."""
    Path("s.yaml").write_text(text)
    return load(Path("s.yaml")).runs


def stand(spec: RunSpec, results: Path = Path("results")) -> RunFolder:
    """The run's folder with its frozen specification: a run that has not begun."""
    folder = RunFolder(results / spec.sweep / spec.folder)
    folder.path.mkdir(parents=True, exist_ok=True)
    folder.spec.write_text(json.dumps(spec.to_plain()))
    return folder


def begun(spec: RunSpec, step: int = 30, results: Path = Path("results")) -> RunFolder:
    """A run that was interrupted at a checkpoint."""
    folder = stand(spec, results)
    folder.environment.write_text(json.dumps({"host": "here", "numerics": {"torch": "2"}}))
    write_rows(folder, step)
    for name in ("checkpoints", "samples"):
        (folder.path / name).mkdir(exist_ok=True)
    folder.checkpoint(step).write_bytes(b"c" * 1000)
    folder.sample(0).write_bytes(b"first")
    folder.sample(step).write_bytes(b"last")
    folder.note("begins at step 0")
    return folder


def ended(
    spec: RunSpec, state: str = "done", results: Path = Path("results"), **fields: Any
) -> RunFolder:
    """A run that has ended, at its last step or, where it did not get there, at step 30."""
    step = spec.config.steps if state == "done" else 30
    folder = begun(spec, step, results)
    reason = fields.pop("reason", "")
    seconds = {} if state in ("failed", "cancelled") else {"training_seconds": step / 20}
    folder.note(f"{state}: {reason}" if state == "failed" else f"{state} at step {step}")
    content = {"reason": reason, "step": step, "dead_critic": False, "protocol": PROTOCOL}
    folder.finish(spec.run_id, state, **{**content, **seconds, **fields})
    return folder


def write_rows(folder: RunFolder, step: int, **changes: float) -> None:
    """Training rows every 10 steps and a score every 30; `changes` are values of each row."""
    counted = {at: {"step": at, "images_seen": 8 * at} for at in range(0, step + 1, 10)}
    training = [
        {**counted[at], "training_seconds": at / 20, "critic_loss": 1 / at, **changes}
        for at in range(10, step + 1, 10)
    ]
    scores = [{**counted[at], "training_seconds": at / 20, "exact_w1": 2.0} for at in (0, step)]
    for path, rows in ((folder.train_rows, training), (folder.eval_rows(PROTOCOL), scores)):
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    folder.protocol(PROTOCOL).write_text(json.dumps({"id": PROTOCOL}))


def lease_elsewhere(folder: RunFolder, **beat: Any) -> None:
    """A lease of a process on another machine, of which this one cannot know."""
    lease = folder.path / "lease"
    lease.mkdir()
    owner = {"token": "t", "host": "node7", "boot": "b", "pid": 12, "created": 1.0}
    (lease / "owner.json").write_text(json.dumps(owner))
    (lease / "beat-t.json").write_text(json.dumps({"beat": 1, **beat}))
