"""Thousands of finished runs within seconds: one is really trained per recipe, and the others are
made after it, each with its own id, specification, final state and figures.

The last picture, the checkpoint and what else is the same in all of them are hard links; nothing
may be written through one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import worker
from bench.files import write_json
from bench.grid import Sweep, load
from bench.run_folder import RunFolder
from bench.spec import RunSpec
from bench.store import Store

# 21 evaluations and 25 training rows of each run: 41 rows once they are merged.
ROWS = 41
_SWEEP = """\
name: scale
base: {{dataset: ring8, network: mlp, steps: 100}}
grid:
  recipe: [wgan, wgan_gp, gan, sngan]
  seed: 0..{last}
evaluate: {{every: 5, samples: 100}}
record: {{log_every: 4, checkpoint_seconds: 1000}}
"""


def sweep_of(folder: Path, runs: int) -> Sweep:
    """A sweep of so many runs, a multiple of 4, whose file lies in `folder`."""
    path = folder / "scale.yaml"
    path.write_text(_SWEEP.format(last=runs // 4 - 1))
    return load(path)


def finish_all(results: Path, sweep: Sweep) -> Store:
    """The results folder in which every run of the sweep is done."""
    store = Store(results, sweep.name)
    first = {spec.recipe: spec for spec in reversed(sweep.runs)}
    store.freeze(store.plan(list(first.values())), sweep.question, sweep.text)
    worker.run([store.folder / spec.folder for spec in first.values()])
    for recipe, spec in first.items():
        others = [run for run in sweep.runs if run.recipe == recipe and run is not spec]
        _make_after(RunFolder(store.folder / spec.folder), others)
    return store


def _make_after(origin: RunFolder, specs: Sequence[RunSpec]) -> None:
    state = json.loads(origin.state.read_text())
    rows = {
        name: [json.loads(line) for line in (origin.path / name).read_text().splitlines()]
        for name in state["files"]
    }
    rest = [
        path
        for path in origin.path.iterdir()
        if path.is_file() and path.name not in (*rows, "spec.json", "state.json")
    ]
    shared = [*rest, origin.samples()[-1], *origin.checkpoints()]
    for number, spec in enumerate(specs, start=1):
        copy = RunFolder(origin.path.parent / spec.folder)
        for folder in (copy.path, copy.path / "samples", copy.path / "checkpoints"):
            folder.mkdir()
        for path in shared:
            os.link(path, copy.path / path.relative_to(origin.path))
        write_json(copy.spec, spec.to_plain(), sync=False)
        sizes = {
            name: (copy.path / name).write_text("".join(_line(row, number) for row in own))
            for name, own in rows.items()
        }
        final = {**state, "run_id": spec.run_id, "files": sizes}
        write_json(copy.state, final, sync=False)


def _line(row: Mapping[str, Any], number: int) -> str:
    """The row with figures of its own, so that no run looks like another."""
    factor = 1 + number * 1e-7
    own = {k: v * factor if isinstance(v, float) else v for k, v in row.items()}
    return json.dumps(own) + "\n"
