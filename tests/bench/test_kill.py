"""kill -9 and Ctrl-C of real processes: no orphan, no lie, and the same bits in the end."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from tiny_runs import assert_same_run, frozen, state_of, tiny

from bench.backends import Local
from bench.backends.base import found_state
from bench.execute import execute
from bench.lease import owner_of
from bench.progress import PlainDisplay
from bench.run_folder import RunFolder
from bench.spec import RunSpec
from bench.store import Store

SPEC = tiny("wgan_gp", steps=150)
SWEEP = [tiny(steps=500), tiny(steps=300, seed=1), tiny(steps=20, seed=2)]

RUNNER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from bench.backends import Local
from bench.execute import execute
from bench.progress import PlainDisplay
from bench.store import Store
from test_kill import SWEEP

if __name__ == "__main__":
    plan = Store(Path(sys.argv[1]), "s").plan(SWEEP)
    sys.exit(execute(plan, Local(slots=2), PlainDisplay(sys.stderr)).exit_code)
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that nobody killed."""
    return train(tmp_path_factory.mktemp("whole"), SPEC)


def train(results: Path, *specs: RunSpec) -> Path:
    """Train what is missing, in processes of its own."""
    paths = frozen(results, *specs)
    plan = Store(results, "s").plan(specs)
    assert execute(plan, Local(slots=2), PlainDisplay(sys.stderr)).exit_code == 0
    return paths[0]


def killed_after(results: Path, seconds: float) -> tuple[Path, str]:
    """The run, its process killed so long after it took its lease; and the state it is then in."""
    (path,) = frozen(results, SPEC)
    backend = Local(slots=1)
    backend.submit(Store(results, "s").plan([SPEC]))
    backend.states()
    while (owner := owner_of(path)) is None and backend.busy():
        time.sleep(0.001)
        backend.states()
    if owner is not None:
        time.sleep(seconds)
        with contextlib.suppress(ProcessLookupError):  # it was quicker
            os.kill(owner["pid"], signal.SIGKILL)
    while backend.busy():
        backend.states()
        backend.wait(0.1)
    return path, backend.states()[SPEC.run_id][0]


def check_kill(results: Path, whole: Path, seconds: float) -> None:
    path, state = killed_after(results, seconds)
    assert state in ("failed", "done")
    train(results, SPEC)
    assert_same_run(path, whole, SPEC)
    assert not (path / "lease").exists()
    assert list(path.glob("lease.*")) == []
    assert list(path.rglob("*.tmp")) == []


@pytest.mark.parametrize("longest", [0.0, 0.6])
def test_a_killed_run_goes_on_as_if_nothing_had_happened(
    tmp_path: Path, whole: Path, longest: float
) -> None:
    seconds = random.uniform(longest / 4, longest)
    check_kill(tmp_path, whole, seconds)


@pytest.mark.slow
@pytest.mark.parametrize("kill", range(20))
def test_twenty_killed_runs_go_on_as_if_nothing_had_happened(
    tmp_path: Path, whole: Path, kill: int
) -> None:
    check_kill(tmp_path, whole, random.Random(kill).uniform(0.0, 1.0))


@pytest.mark.slow
def test_a_run_killed_again_and_again_ends_with_the_same_bits(tmp_path: Path, whole: Path) -> None:
    for kill in range(6):
        path, _ = killed_after(tmp_path, 0.25 + 0.05 * kill)
    train(tmp_path, SPEC)
    assert_same_run(path, whole, SPEC)


def started_runner(results: Path) -> tuple[subprocess.Popen[bytes], list[psutil.Process]]:
    """A runner of its own with two runs being trained, and all processes it has started."""
    paths = frozen(results, *SWEEP)
    runner = subprocess.Popen(
        [sys.executable, "-c", RUNNER, str(results), str(Path(__file__).parent)],
        cwd=Path(__file__).parents[2],
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    for path in paths[:2]:
        end = time.monotonic() + 60
        while not RunFolder(path).checkpoints():
            assert time.monotonic() < end, "it never began"
            assert runner.poll() is None, "it ended by itself"
            time.sleep(0.01)
    return runner, psutil.Process(runner.pid).children(recursive=True)


@pytest.mark.slow
def test_killing_the_runner_leaves_no_orphan_and_the_next_one_finishes(tmp_path: Path) -> None:
    runner, children = started_runner(tmp_path)
    assert len(children) >= 3  # the fork server and two runs
    runner.kill()
    runner.communicate()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []
    plan = Store(tmp_path, "s").plan(SWEEP)
    assert [item.action for item in plan] == ["resume", "resume", "run"]
    assert not any((item.folder / "state.json").exists() for item in plan)
    assert not any((item.folder / "lease").exists() for item in plan)
    assert "(the runner is gone)" in (plan[0].folder / "log.txt").read_text()

    before = [item.step for item in plan]
    train(tmp_path, *SWEEP)
    for item, step in zip(plan, before, strict=True):
        assert state_of(item.folder)["state"] == "done"
        begun = (item.folder / "log.txt").read_text().count("begins at step 0")
        assert (begun, found_state(item)[0]) == (1, "done")
        assert step < item.spec.config.steps


@pytest.mark.slow
def test_after_a_killed_runner_the_next_one_does_only_what_is_missing(tmp_path: Path) -> None:
    runner, children = started_runner(tmp_path)
    end = time.monotonic() + 60
    while not (ended := list(tmp_path.glob("s/*/state.json"))):
        assert time.monotonic() < end, "none ended"
        time.sleep(0.01)
    runner.kill()
    runner.communicate()
    psutil.wait_procs(children, timeout=10)
    plan = Store(tmp_path, "s").plan(SWEEP)
    kept = [item for item in plan if item.action == "keep"]
    assert len(ended) <= len(kept) < len(plan), "it was too quick"
    before = {
        path: path.stat().st_mtime_ns
        for item in kept
        for path in item.folder.rglob("*")
        if path.is_file()
    }
    train(tmp_path, *SWEEP)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    for item in plan:
        log = (item.folder / "log.txt").read_text()
        assert (log.count("begins at step 0"), log.count("done at step")) == (1, 1)


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.7, 1.5, 2.2, 3.0])
def test_ctrl_c_while_the_server_still_loads_ends_in_a_sentence(
    tmp_path: Path, seconds: float
) -> None:
    (tmp_path / "two.yaml").write_text(
        "name: two\nbase: {network: {dcgan: {width: 4}}, steps: 5000}\ngrid: {seed: [0, 1]}\n"
    )
    runner = subprocess.Popen(
        [sys.executable, "-c", "from bench.cli import main; main()", "run", "two.yaml"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    assert runner.stdout is not None
    time.sleep(seconds)
    os.killpg(runner.pid, signal.SIGINT)
    said, _ = runner.communicate(timeout=60)
    assert b"Traceback" not in said
    assert b"Aborted" not in said
    assert runner.returncode == 130
    assert not list(tmp_path.glob("results/two/*/state.json"))


@pytest.mark.slow
def test_killing_the_server_leaves_interrupted_runs_and_says_so(tmp_path: Path) -> None:
    runner, children = started_runner(tmp_path)
    server = next(child for child in children if "forkserver" in " ".join(child.cmdline()))
    server.kill()
    runner.communicate(timeout=60)
    assert runner.returncode == 1
    plan = Store(tmp_path, "s").plan(SWEEP)
    assert not any((item.folder / "lease").exists() for item in plan)
    assert {item.state for item in plan} <= {"interrupted", "done"}
    train(tmp_path, *SWEEP)
    assert all(state_of(item.folder)["state"] == "done" for item in plan)


@pytest.mark.slow
@pytest.mark.parametrize("whole_group", [False, True])
def test_ctrl_c_of_the_runner_leaves_no_orphan(tmp_path: Path, whole_group: bool) -> None:
    """A terminal sends it to the whole process group, `kill -INT` to the runner alone."""
    runner, children = started_runner(tmp_path)
    (os.killpg if whole_group else os.kill)(runner.pid, signal.SIGINT)
    _, errors = runner.communicate(timeout=30)
    assert runner.returncode == 130
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []
    assert b"Traceback" not in errors
    plan = Store(tmp_path, "s").plan(SWEEP)
    assert [item.action for item in plan] == ["resume", "resume", "run"]
    assert not any((item.folder / "state.json").exists() for item in plan)
    train(tmp_path, *SWEEP)
