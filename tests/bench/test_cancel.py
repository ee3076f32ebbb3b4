"""`cancel` and `retry` through the command line, with a real runner in another process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from fake_slurm import FakeSlurm, fake_slurm
from tiny_runs import state_of

from bench.cli import main
from bench.lease import owner_of, take_lease
from bench.verbs import cancel

ROOT = Path(__file__).parents[2]
SWEEP = """
name: s
base: {dataset: ring8, network: {mlp: {width: 8}}, steps: STEPS, batch_size: 8, noise_size: 4}
grid: {recipe: gan, seed: 0..2}
evaluate: {every: 5000, samples: 50}
"""


def ask(*words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, [*words, "--plain"])
    assert result.exit_code == code, result.output
    return result


def state_by_seed() -> dict[int, str]:
    runs = json.loads(ask("plan", "s.yaml", "--json").stdout)["runs"]
    return {run["seed"]: run["state"] for run in runs}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text(SWEEP.replace("STEPS", "2000000"))
    return tmp_path


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    return fake_slurm(tmp_path, monkeypatch)


@pytest.mark.slow
def test_what_runs_saves_and_what_waits_is_never_begun(here: Path) -> None:
    runner = subprocess.Popen(
        [sys.executable, "-c", "from bench.cli import main; main()", "run", "s.yaml", "--slots=1"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    end = time.monotonic() + 120
    while "running" not in (now := state_by_seed()).values():
        assert time.monotonic() < end
    assert sorted(now.values()) == ["queued", "queued", "running"]
    (going,) = [seed for seed, state in now.items() if state == "running"]
    (waiting, other) = [seed for seed, state in now.items() if state == "queued"]
    assert "1 run cancelled" in ask("cancel", "s.yaml", "--only", f"seed={waiting}").output
    assert state_by_seed()[going] == "running"

    said = ask("cancel", "s.yaml", "--only", f"seed={going}").output
    assert "1 run asked to save and stop" in said
    assert "1 run cancelled" in said
    while state_by_seed()[other] != "running":  # the slot is free for the last one
        assert time.monotonic() < end
    ask("cancel", "s.yaml")
    output, _ = runner.communicate(timeout=30)
    assert "3 cancelled" in output
    assert runner.returncode == 1
    assert set(state_by_seed().values()) == {"cancelled"}
    (folder,) = here.glob(f"results/s/*-seed{going}--*")
    assert state_of(folder)["step"] > 0
    assert not (folder / "cancel.json").exists()
    assert owner_of(folder) is None

    # A worker that meets a cancelled run leaves it; `run` wants it again and goes on from its step.
    plan = json.loads(ask("plan", "s.yaml", "--json").stdout)["runs"][going]
    assert plan["action"] == "resume"
    assert plan["step"] == state_of(folder)["step"]


def test_a_run_that_begins_just_now_leaves_the_wish_that_it_be_cancelled(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It removes what killed writers left behind; the wish is not to be taken for that."""
    monkeypatch.setattr(cancel, "_PATIENCE_SECONDS", 0.0)
    ask("run", "s.yaml", "--backend", "inline", "--set", "steps=1", "--only", "seed=0")
    (folder,) = here.glob("results/s/*--*")
    (folder / "state.json").unlink()
    written: list[Path] = []
    replace = Path.replace

    def note(path: Path, target: Path) -> Path:
        written.append(path)
        return replace(path, target)

    with take_lease(folder):
        monkeypatch.setattr(Path, "replace", note)
        said = ask("cancel", "s.yaml", "--set", "steps=1", "--only", "seed=0").output
    assert "still saving" in said
    assert (folder / "cancel.json").exists()
    assert written == []


def test_with_nothing_waiting_cancel_says_so(here: Path) -> None:
    assert "s: nothing waits or runs" in ask("cancel", "s.yaml").output
    assert not (here / "results").exists()


def test_runs_in_slurm_are_taken_back_with_their_jobs(here: Path, slurm: FakeSlurm) -> None:
    said = ask("run", "s.yaml", "--backend", "slurm").output
    assert "submitted 3 runs in 3 job(s) of SLURM (12), as the defaults" in said
    slurm.says("squeue", "12_[0-2]|PENDING||Priority")
    assert set(state_by_seed().values()) == {"queued"}
    again = ask("run", "s.yaml", "--backend", "slurm").output
    assert "nothing was submitted: 3 runs already wait or run" in again
    ask("cancel", "s.yaml", "--only", "seed=1")
    assert state_by_seed() == {0: "queued", 1: "cancelled", 2: "queued"}
    assert slurm.calls("scancel") == ["12_1"]

    said = ask("retry", "s.yaml", "--backend", "slurm").output
    assert "submitted 1 run in 1 job(s) of SLURM (13)" in said
    slurm.says("squeue", "12_[0,2]|PENDING||Priority", "13|PENDING||Priority")
    assert set(state_by_seed().values()) == {"queued"}


def test_a_cancelled_run_whose_job_starts_all_the_same_is_not_trained(
    here: Path, slurm: FakeSlurm
) -> None:
    from bench import worker

    ask("run", "s.yaml", "--backend", "slurm")
    slurm.says("squeue", "12_[0-2]|PENDING||Priority")
    slurm.is_down("scancel", "scancel: error: Unable to contact slurm controller")
    said = ask("cancel", "s.yaml").output
    assert "3 job(s) stay in SLURM's queue (scancel: error: Unable to contact" in said
    folders = sorted(here.glob("results/s/*--*"))
    worker.run(folders)
    assert [state_of(folder)["state"] for folder in folders] == ["cancelled"] * 3
    assert not list(here.glob("results/s/*/env.json"))


def test_runs_of_a_cluster_that_is_gone_are_freed_by_cancelling_them(
    here: Path, slurm: FakeSlurm
) -> None:
    (here / "s.yaml").write_text(SWEEP.replace("STEPS", "20"))
    ask("run", "s.yaml", "--backend", "slurm")
    for program in ("squeue", "sacct", "scancel"):
        slurm.is_down(program, "no such cluster")
    assert set(state_by_seed().values()) == {"queued"}
    ask("run", "s.yaml", "--backend", "inline")
    assert set(state_by_seed().values()) == {"queued"}
    ask("cancel", "s.yaml")
    ask("retry", "s.yaml", "--backend", "inline", "--only", "seed=0")
    (here / "results/s/submissions").joinpath("x-y").mkdir()  # being made
    assert state_by_seed() == {0: "done", 1: "cancelled", 2: "cancelled"}
    for folder in here.glob("results/s/*--*"):
        (folder / "state.json").unlink()  # as when taken up again, and interrupted
    assert "queued" not in state_by_seed().values()


def test_retry_takes_up_what_failed_and_leaves_what_diverged(here: Path) -> None:
    (here / "s.yaml").write_text(SWEEP.replace("STEPS", "20").replace("gan,", "[gan, wgan],"))
    ask("run", "s.yaml", "--backend", "inline", "--only", "recipe=gan")
    folders = sorted(here.glob("results/s/gan*--*"))
    for folder, state in zip(folders, ("failed", "cancelled", "diverged"), strict=True):
        path = folder / "state.json"
        path.write_text(path.read_text().replace('"done"', f'"{state}"'))
    before = (folders[2] / "state.json").read_text()

    said = ask("retry", "s.yaml", "--backend", "inline").output
    assert [state_of(folder)["state"] for folder in folders] == ["done", "done", "diverged"]
    assert (folders[2] / "state.json").read_text() == before
    assert not list(here.glob("results/s/wgan*/env.json"))  # what never began is for `run`
    assert "2 runs: 2 done" in said
    assert "nothing has failed or was cancelled" in ask("retry", "s.yaml").output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--cluster", "x"), "cluster: is for --backend slurm only"),
        (("--backend", "slurm", "--slots", "2"), "slots: is not for --backend slurm, which runs"),
        (("--backend", "slurm", "--threads", "2"), "threads: stands in the cluster file"),
        (("--backend", "slurm", "--cluster", "x"), "clusters/x.yaml: no such file"),
        (("--backend", "slrum"), "unknown backend 'slrum'; did you mean 'slurm'?"),
    ],
)
def test_options_that_do_not_go_together_are_told(
    here: Path, words: tuple[str, ...], message: str
) -> None:
    assert message in ask("run", "s.yaml", *words, code=2).output
    assert not (here / "results").exists()


def test_a_runner_that_died_leaves_no_queue(here: Path) -> None:
    from bench.submissions import new_submission

    ask("run", "s.yaml", "--backend", "inline", "--set", "steps=1", "--only", "seed=0")
    ids = [run["run_id"] for run in json.loads(ask("plan", "s.yaml", "--json").stdout)["runs"]]
    new_submission(here / "results" / "s", "local", [ids])  # whose process is gone
    assert set(state_by_seed().values()) == {"pending"}
