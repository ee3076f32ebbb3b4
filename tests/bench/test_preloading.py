"""What runs need is loaded before their processes are forked: a run imports next to nothing."""

from __future__ import annotations

import json
import os
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


WATCHED = """
import sys
from multiprocessing import forkserver
from bench import cli, server

begun, begin = [], forkserver.ensure_running
def watched():
    begin()
    begun.append(("torch" in sys.modules, forkserver._forkserver._forkserver_pid))
forkserver.ensure_running = watched
try:
    cli.main(sys.argv[1:])
except SystemExit:
    pass
print([loaded for loaded, _ in begun[:2]], len({pid for _, pid in begun}))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "told"),
    [
        ((), "[False, True] 1"),  # ahead, and for the first of its runs: it is there
        (("--backend", "inline"), "[] 0"),
        (("--gpus", "0", "--slots", "1"), "[] 0"),  # refused later on
        (("--backend", "slurm", "--slots", "1"), "[] 0"),
    ],
    ids=["cores", "inline", "gpus", "slurm"],
)
def test_the_server_of_runs_on_cores_is_begun_before_torch_is_loaded(
    tmp_path: Path, options: tuple[str, ...], told: str
) -> None:
    sweep = tmp_path / "s.yaml"
    sweep.write_text(
        "name: s\nquestion: Is it?\nbase: {dataset: ring8, network: {mlp: {width: 4}}, steps: 1}\n"
        "grid: {recipe: [wgan, gan]}\nevaluate: {every: 1, samples: 20}\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, "run", str(sweep), *options],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == told


def test_memory_is_searched_again_once_all_is_loaded() -> None:
    loaded = "bench.uncollected", "bench.backends.preloading"
    assert (modules_for(())[0], modules_for(())[-1]) == loaded
    code = "import gc; import bench.uncollected; assert not gc.isenabled()\n"
    code += "import bench.backends.preloading; assert gc.isenabled() and gc.get_freeze_count()"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
