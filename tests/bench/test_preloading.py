"""What runs need is loaded before their processes are forked: a run imports next to nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_runs import frozen, tiny

from bench.backends import Local
from bench.backends.processes import modules_for
from bench.spec import EvaluateSpec
from bench.store import Planned
from wgan.diagnostics import PROFILES

ROOT = Path(__file__).parents[2]
LOADER = """
import json, sys
from importlib import import_module
from pathlib import Path
from bench import worker
for name in json.loads(sys.argv[2]):
    import_module(name)
import gc, torch
assert gc.get_freeze_count() > 100_000
assert torch.get_num_threads() == 1
import os
before = set(sys.modules)
if os.fork() == 0:
    worker.run([Path(sys.argv[1])])
    print(json.dumps(sorted(set(sys.modules) - before)), flush=True)
    os._exit(0)
os.wait()
"""
EVERYTHING = EvaluateSpec(
    samples=50,
    ascent_steps=2,
    gap_updates=2,
    upper_bound=True,
    halves=True,
    fresh_sets=2,
    step_cost=True,
    profiles=tuple(PROFILES),
)
DIGITS = tiny(
    dataset="digits", network={"dcgan": {"width": 4}}, noise_size=8, label="digits", steps=1
)


def planned(folder: Path, *specs: object) -> list[Planned]:
    return [Planned(spec, folder, "pending", "run", "not begun") for spec in specs]


@pytest.mark.slow
@pytest.mark.parametrize(
    "spec",
    [
        tiny(steps=1),
        DIGITS,
        replace(tiny(steps=1, recipe="wgan_gp"), evaluate=EVERYTHING),
        replace(DIGITS, evaluate=replace(EVERYTHING, profiles=("layer_gradients",))),
    ],
    ids=["points", "images", "points, all looks", "images, all looks"],
)
def test_a_run_finds_nearly_every_module_loaded(tmp_path: Path, spec: object) -> None:
    (path,) = frozen(tmp_path, spec)
    modules = modules_for(planned(tmp_path, spec))
    done = subprocess.run(
        [sys.executable, "-c", LOADER, str(path), json.dumps(modules)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert json.loads((path / "state.json").read_text())["state"] == "done"
    # A handful of small ones; torch._dynamo forgotten would be 800.
    assert len(json.loads(done.stdout)) < 10


def test_what_images_need_is_loaded_for_images_alone(tmp_path: Path) -> None:
    backend = Local(slots=1)
    backend.submit(planned(tmp_path, tiny(), tiny(seed=1)))
    assert "bench.evaluate.images" not in backend._processes.modules
    backend.submit(planned(tmp_path, DIGITS))
    assert "bench.evaluate.images" in backend._processes.modules
    assert backend._processes.modules[-1] == "bench.backends.preloading"
