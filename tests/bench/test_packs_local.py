"""Packs in processes of their own: whatever a process dies of, one run is to blame at most."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import planted_deaths
import pytest
from click.testing import CliRunner
from test_backend_local import later, wait_for, when_trained_a_little
from tiny_runs import assert_same_run, frozen, packable, state_of

from bench import worker
from bench.backends import Inline, Local, forked
from bench.cli import main
from bench.execute import Outcome, execute
from bench.lease import owner_of
from bench.progress import PlainDisplay
from bench.run_folder import RunFolder
from bench.spec import RunSpec
from bench.store import Planned, Store

LONG = 100_000
SPECS = [packable("wgan_gp", seed=seed, steps=150) for seed in range(3)]


def planned(results: Path, *specs: RunSpec) -> list[Planned]:
    frozen(results, *specs)
    return Store(results, "s").plan(specs)


@contextlib.contextmanager
def local(slots: int = 1) -> Iterator[Local]:
    backend = Local(slots=slots, packed=True)
    try:
        yield backend
    finally:
        backend.close(kill=True)


def run_all(items: Sequence[Planned], slots: int = 1, **options: bool) -> tuple[Outcome, str]:
    """The outcome and what was printed."""
    stream = io.StringIO()
    with local(slots) as backend:
        return execute(items, backend, PlainDisplay(stream), **options), stream.getvalue()


def when_all_have_trained(items: Sequence[Planned]) -> int:
    """Their process, once each has a checkpoint that binds it to the size of its pack."""
    wait_for(lambda: all(RunFolder(item.folder).kept_step() for item in items))
    return int((owner_of(items[0].folder) or {})["pid"])


def pack_of(item: Planned) -> int:
    return int(json.loads((item.folder / "env.json").read_text())["numerics"].get("pack", 1))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A pack of three that nobody has disturbed."""
    paths = frozen(tmp_path_factory.mktemp("whole"), *SPECS)
    worker.run(paths, packed=True)
    return paths


def test_a_process_and_the_runner_s_own_train_the_same_pack(
    tmp_path: Path, whole: list[Path]
) -> None:
    ours, theirs = planned(tmp_path / "a", *SPECS), planned(tmp_path / "b", *SPECS)
    outcome, printed = run_all(ours)
    assert outcome.exit_code == 0
    assert execute(theirs, Inline(packed=True), PlainDisplay(io.StringIO())).exit_code == 0
    for one, other, path in zip(ours, theirs, whole, strict=True):
        assert_same_run(one.folder, path, one.spec)
        assert_same_run(other.folder, path, one.spec)
    assert "[3/3]" in printed
    first = ours[0].folder / "log.txt"
    assert f"what its process prints goes to {first}" in (ours[1].folder / "log.txt").read_text()
    assert "prints" not in first.read_text()


def test_as_many_packs_are_made_as_there_are_slots(tmp_path: Path) -> None:
    items = planned(tmp_path, *(packable(seed=seed, steps=20) for seed in range(4)))
    run_all(items, slots=2)
    assert [pack_of(item) for item in items] == [2] * 4


@pytest.mark.parametrize("death", ["segfault", "kill", "exit"])
def test_a_pack_that_dies_is_halved_until_the_guilty_run_is_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, death: str
) -> None:
    monkeypatch.setattr(forked, "train", planted_deaths.train_with_a_guilty_one)
    items = planned(tmp_path, *(packable(label=death, seed=seed, steps=20) for seed in range(4)))
    outcome, printed = run_all(items)
    states = [outcome.states[item.spec.run_id] for item in items]
    assert states == ["done", "done", "failed", "done"]
    assert [pack_of(item) for item in items] == [2, 2, 1, 1]
    reason = {"segfault": "crashed by SIGSEGV", "kill": "killed from outside", "exit": "code 7"}
    assert reason[death] in state_of(items[2].folder)["reason"]
    for item in items:
        assert "its pack of 4 is over: " in (item.folder / "log.txt").read_text()
        assert not (item.folder / "lease").exists()
    assert printed.count("4 runs go on apart: its pack's process died") == 1
    assert printed.count("2 runs go on apart") == 1
    assert printed.count("failed: ") == 1


def check_killed(results: Path, whole: list[Path], seconds: float) -> None:
    """Killed so long after all have trained, and trained on in halves by the same runner."""
    items = planned(results, *SPECS)

    def kill() -> None:
        wait_for(lambda: all(RunFolder(item.folder).kept_step() for item in items))
        time.sleep(seconds)
        owner = owner_of(items[0].folder)
        if owner is not None:  # it was not quicker
            with contextlib.suppress(ProcessLookupError):
                os.kill(owner["pid"], signal.SIGKILL)

    thread = later(kill)
    outcome, _ = run_all(items)
    thread.join()
    assert outcome.exit_code == 0
    for item, other in zip(items, whole, strict=True):
        assert_same_run(item.folder, other, item.spec)
        assert list(item.folder.glob("lease*")) == []
        assert list(item.folder.rglob("*.tmp")) == []


def test_a_killed_pack_goes_on_in_halves_with_the_same_bits(
    tmp_path: Path, whole: list[Path]
) -> None:
    check_killed(tmp_path, whole, random.uniform(0.0, 0.3))


@pytest.mark.slow
@pytest.mark.parametrize("kill", range(12))
def test_twelve_killed_packs_go_on_with_the_same_bits(
    tmp_path: Path, whole: list[Path], kill: int
) -> None:
    check_killed(tmp_path, whole, random.Random(kill).uniform(0.0, 1.5))


def test_a_stop_from_outside_interrupts_all_and_the_next_runner_finishes(
    tmp_path: Path, whole: list[Path]
) -> None:
    items = planned(tmp_path, *SPECS)
    thread = later(lambda: os.kill(when_all_have_trained(items), signal.SIGTERM))
    outcome, _ = run_all(items)
    thread.join()
    assert set(outcome.states.values()) == {"interrupted"}
    again = Store(tmp_path, "s").plan(SPECS)
    assert [item.action for item in again] == ["resume"] * 3
    assert run_all(again, slots=2)[0].exit_code == 0
    for item, other in zip(items, whole, strict=True):
        assert_same_run(item.folder, other, item.spec)


def test_what_is_taken_back_of_a_pack_stops_and_the_others_go_on(
    tmp_path: Path, whole: list[Path]
) -> None:
    items = planned(tmp_path, *SPECS)
    with local() as backend:
        backend.submit(items)
        backend.states()
        when_all_have_trained(items)
        backend.cancel([items[1].spec.run_id])
        while backend.busy():
            backend.states()
            backend.wait(0.05)
        states = backend.states()
    assert [states[item.spec.run_id][0] for item in items] == ["done", "interrupted", "done"]
    assert_same_run(items[0].folder, whole[0], SPECS[0])


def test_a_run_that_ends_early_is_told_before_its_pack_ends(tmp_path: Path) -> None:
    items = planned(tmp_path, *(packable(seed=seed, steps=LONG) for seed in range(2)))
    with local() as backend:
        backend.submit(items)
        backend.states()
        when_trained_a_little(items[1])
        RunFolder(items[1].folder).cancel_request.write_text("{}")
        wait_for(lambda: backend.states()[items[1].spec.run_id][0] == "cancelled")
        assert backend.states()[items[0].spec.run_id] == ("running", "")
        assert backend.busy()


def test_with_fail_fast_a_failure_within_a_pack_stops_the_others(tmp_path: Path) -> None:
    items = planned(tmp_path, *(packable(seed=seed, steps=LONG) for seed in range(2)))

    def spoil() -> None:
        when_trained_a_little(items[1])
        items[1].folder.rename(tmp_path / "gone")
        items[1].folder.mkdir()
        RunFolder(items[1].folder).finish(items[1].spec.run_id, "failed", reason="a test")

    thread = threading.Thread(target=spoil)
    thread.start()
    outcome, printed = run_all(items, fail_fast=True)
    thread.join()
    assert [outcome.states[item.spec.run_id] for item in items] == ["interrupted", "failed"]
    assert "stopping after a failure, as asked" in printed


@pytest.mark.slow
def test_two_runners_train_every_run_once(tmp_path: Path) -> None:
    items = planned(tmp_path, *(packable(seed=seed, steps=300) for seed in range(12)))
    outcomes: list[Outcome] = []
    threads = [later(lambda: outcomes.append(run_all(items)[0])) for _ in range(2)]
    for thread in threads:
        thread.join()
    assert [outcome.exit_code for outcome in outcomes] == [0, 0]
    for item in items:
        assert state_of(item.folder)["state"] == "done"
        log = (item.folder / "log.txt").read_text()
        assert (log.count("begins at step 0"), log.count("done at step 300")) == (1, 1)


SWEEP = """
name: s
base: {dataset: ring8, network: {mlp: {width: 16}}, batch_size: 32, noise_size: 4, steps: 30}
grid: {recipe: wgan_gp, seed: 0..3}
evaluate: {every: 15, samples: 50}
"""


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """The command line, in a folder with a sweep file; returns what was printed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text(SWEEP)

    def call(verb: str, *options: str) -> str:
        result = CliRunner().invoke(main, [verb, "s.yaml", *options])
        assert result.exit_code == 0, result.output
        return result.output

    return call


def test_the_plan_says_what_is_packed_and_that_is_what_runs(
    command: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.verbs.planning.usable_cores", lambda: 2)
    assert "4 runs train as 2 packs of 2, 2 at once (run --no-pack: each alone)" in command("plan")
    plan = {run["run_id"]: run for run in json.loads(command("plan", "--json"))["runs"]}
    assert {run["pack"] for run in plan.values()} == {2}
    assert "4 runs train as 2 packs of 2\n" in command("run", "--slots", "2", "--plain")
    for run_id, run in plan.items():
        env = json.loads((tmp_path / run["folder"] / "env.json").read_text())
        assert env["numerics"]["pack"] == run["pack"] == len(run["together"])
        assert run_id in run["together"]
    assert "pack" not in json.loads(command("plan", "--json"))["runs"][0]
    assert "packs" not in command("plan")
    command("collect")
    command("report")
    (report,) = tmp_path.glob("reports/s/report.md")
    assert (
        "4 runs of 4 trained in packs, as one model with other seeds (of 2)" in report.read_text()
    )
    assert "Numerics are mixed" not in report.read_text()


@pytest.mark.parametrize("backend", ["local", "inline"])
def test_without_packs_every_run_is_alone(
    command: Callable[..., str], tmp_path: Path, backend: str
) -> None:
    assert "pack" not in command("run", "--no-pack", "--plain", "--backend", backend)
    for path in tmp_path.glob("results/s/*/env.json"):
        assert "pack" not in json.loads(path.read_text())["numerics"]


@pytest.mark.slow
def test_a_killed_runner_of_packs_leaves_no_orphan_and_the_next_one_finishes(
    tmp_path: Path,
) -> None:
    (tmp_path / "s.yaml").write_text(SWEEP.replace("steps: 30", "steps: 3000"))
    program = [sys.executable, "-c", "from bench.cli import main; main()", "run", "s.yaml"]
    variables = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    runner = subprocess.Popen(program, cwd=tmp_path, env=variables, stderr=subprocess.PIPE)
    rows = "results/s/*/train.jsonl"
    wait_for(lambda: sum(path.stat().st_size > 0 for path in tmp_path.glob(rows)) == 4, 60)
    runner.kill()
    runner.communicate()
    wait_for(lambda: not list(tmp_path.glob("results/s/*/lease")), 30)
    kept = [RunFolder(path).kept_step() for path in tmp_path.glob("results/s/*--*")]
    assert len(kept) == 4
    assert min(kept) > 0
    done = subprocess.run(program, cwd=tmp_path, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for path in tmp_path.glob("results/s/*--*"):
        assert state_of(path)["state"] == "done"
        assert (path / "log.txt").read_text().count("begins at step 0") == 1
