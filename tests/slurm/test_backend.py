"""The SLURM backend on a real SLURM: faults really made, and runs that end bit for bit the same."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from tiny_runs import assert_same_run, frozen, state_of

from bench import worker
from bench.backends.slurm_states import array_limit
from bench.cli import main
from bench.grid import load
from bench.run_folder import RunFolder
from bench.spec import RunSpec
from bench.submissions import read_events, read_submissions
from tests.slurm.cluster import Cluster

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(600)]

SWEEP = """
name: s
base: {dataset: ring8, network: {mlp: {width: 8}}, steps: STEPS, batch_size: 8, noise_size: 4}
grid: {recipe: gan, seed: 0..LAST}
evaluate: {every: 1000, samples: 50}
"""
LONG = 6000  # steps: ten seconds where nothing else runs
LONGER = 36_000  # a minute


def write_sweep(folder: Path, steps: int, runs: int, more: str = "") -> Path:
    path = folder / "s.yaml"
    path.write_text(SWEEP.replace("STEPS", str(steps)).replace("LAST", str(runs - 1)) + more)
    return path


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "two.yaml").write_text("cpus: 2\n")  # a job has a node for itself
    return tmp_path


Whole = tuple[Path, RunSpec]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """The long run that nothing happened to."""
    return trained_here(tmp_path_factory.mktemp("whole"), LONG)


@pytest.fixture(scope="module")
def whole_longer(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """The longer run that nothing happened to."""
    return trained_here(tmp_path_factory.mktemp("longer"), LONGER)


def trained_here(folder: Path, steps: int) -> Whole:
    (spec,) = load(write_sweep(folder, steps, 1), (), ()).runs
    (path,) = frozen(folder / "results", spec)
    worker.run([path])
    return path, spec


def ask(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(main, [*words, "--plain"])
    assert result.exit_code == code, result.output
    return result.output


def states() -> list[str]:
    return [run["state"] for run in json.loads(ask("plan", "s.yaml", "--json"))["runs"]]


def folders() -> list[Path]:
    return sorted(Path("results/s").glob("*--*"))


def log_of(folder: Path) -> str:
    path = folder / "log.txt"
    return path.read_text() if path.exists() else ""


def wait_until(wanted: set[str], seconds: float = 120) -> None:
    """Until every run is in one of these states."""
    end = time.monotonic() + seconds
    while not set(now := states()) <= wanted:
        assert time.monotonic() < end, ask("plan", "s.yaml")
        time.sleep(0.5)
    assert now


def wait_for_checkpoint(folder: Path, seconds: float = 90) -> None:
    """Until the run has begun and has something to go on from; it saves as often as it can."""
    end = time.monotonic() + seconds
    while RunFolder(folder).kept_step() == 0:
        assert time.monotonic() < end, ask("plan", "s.yaml")
        time.sleep(0.1)


def submit_long(steps: int = LONG) -> tuple[Path, str]:
    """One long run in SLURM, well under way: its folder, and the number of its job."""
    write_sweep(Path(), steps, 1, "record: {checkpoint_seconds: 0.5}\n")
    ask("run", "s.yaml", "--backend", "slurm", "--cluster", "two.yaml")
    (folder,) = folders()
    wait_for_checkpoint(folder)
    ((submission,), _) = read_submissions(Path("results/s"))
    return folder, submission.jobs[0]


def assert_trained_once(folder: Path, whole: Whole) -> None:
    """It began once, went on from a checkpoint, and ended as if nothing had happened."""
    log = log_of(folder)
    assert log.count("begins at step 0") == 1
    assert "goes on from the checkpoint" in log
    assert_same_run(folder, *whole)


def test_submitted_runs_go_on_without_the_shell_that_submitted_them(
    here: Path, cluster: Cluster
) -> None:
    """Two to a job, side by side, more jobs than an array may have, and a run that fails."""
    write_sweep(here, 40, 5)
    (here / "pack.yaml").write_text("pack: 2\nside_by_side: 2\narray_limit: 2\n")
    said = ask("run", "s.yaml", "--backend", "slurm", "--cluster", "pack.yaml")
    assert "submitted 5 runs in 3 job(s) of SLURM" in said
    ((submission,), _) = read_submissions(here / "results" / "s")
    assert len({job.partition("_")[0] for job in submission.jobs}) == 2
    (folders()[3] / "train.jsonl").mkdir()  # this one cannot write its rows
    assert set(states()) <= {"queued", "running", "done"}
    wait_until({"done", "failed"}, 240)
    assert [state_of(folder)["state"] for folder in folders()].count("failed") == 1
    assert state_of(folders()[3])["state"] == "failed"
    assert "5 runs: 4 done, 1 failed" in ask("collect", "s.yaml")
    (folders()[3] / "train.jsonl").rmdir()
    assert "submitted 1 run in 1 job(s)" in ask("retry", "s.yaml", "--backend", "slurm")
    wait_until({"done"})


def test_the_site_s_own_limit_of_arrays_is_asked_for(cluster: Cluster) -> None:
    assert array_limit() == 11  # tests/slurm/settings.py


def test_a_preempted_run_is_requeued_and_finished_from_its_checkpoint_once(
    cluster: Cluster, whole: Whole
) -> None:
    folder, job = submit_long()
    node = cluster.node_of(job)
    cluster.sbatch("sleep 1", "--partition=urgent", "--cpus-per-task=2", f"--nodelist={node}")
    wait_until({"queued"}, 60)
    assert "(SIGTERM)" in log_of(folder)
    cluster.start_now(job)
    wait_until({"done"})
    assert_trained_once(folder, whole)


def test_a_preempted_pack_is_requeued_and_finished_as_if_nothing_had_happened(
    here: Path, cluster: Cluster
) -> None:
    """Three seeds in one job, trained as one model, which goes on in a stack of its size."""
    (here / "two.yaml").write_text("cpus: 2\npack: 3\nside_by_side: 1\n")
    path = write_sweep(here, LONG, 3, "record: {checkpoint_seconds: 0.5}\n")
    path.write_text(
        path.read_text().replace("width: 8", "width: 16").replace("size: 8", "size: 32")
    )
    specs = load(path, (), ()).runs
    whole = frozen(here / "whole", *specs)
    worker.run(whole, packed=True)
    assert "submitted 3 runs in 1 job(s)" in ask(
        "run", "s.yaml", "--backend", "slurm", "--cluster", "two.yaml"
    )
    for folder in folders():
        wait_for_checkpoint(folder)
    ((submission,), _) = read_submissions(here / "results/s")
    (job,) = submission.jobs
    node = cluster.node_of(job)
    cluster.sbatch("sleep 1", "--partition=urgent", "--cpus-per-task=2", f"--nodelist={node}")
    wait_until({"queued"}, 60)
    assert all("(SIGTERM)" in log_of(folder) for folder in folders())
    cluster.start_now(job)
    wait_until({"done"})
    for path, spec in zip(whole, specs, strict=True):
        (folder,) = (one for one in folders() if one.name == path.name)
        env = json.loads((folder / "env.json").read_text())
        assert env["numerics"]["pack"] == 3
        assert_trained_once(folder, (path, spec))


def test_a_run_whose_time_is_up_is_requeued_and_finished_from_its_checkpoint_once(
    here: Path, cluster: Cluster, whole: Whole
) -> None:
    """The scheduler's own signal, as it comes before a limit; it may send it a minute early."""
    (here / "two.yaml").write_text("cpus: 2\ntime: 2\nsignal_seconds: 5\n")
    write_sweep(here, 400_000, 1)
    ask("run", "s.yaml", "--backend", "slurm", "--cluster", "two.yaml")
    (folder,) = folders()
    ((submission,), _) = read_submissions(here / "results" / "s")
    end = time.monotonic() + 200
    while "(SIGUSR2)" not in log_of(folder):
        assert time.monotonic() < end
        time.sleep(1)
    cluster.start_now(submission.jobs[0])
    while "goes on from the checkpoint" not in log_of(folder):
        assert time.monotonic() < end
        time.sleep(0.5)
    assert states() == ["running"]
    events = [row["event"] for row in read_events(submission, 0)]
    assert events == ["start", "stop", "start"]
    assert "1 run cancelled" in ask("cancel", "s.yaml")


def test_the_warning_signal_saves_within_seconds_and_the_run_ends_the_same(
    cluster: Cluster, whole: Whole
) -> None:
    folder, job = submit_long()
    began = time.monotonic()
    cluster.run("scancel", "--signal=USR2", job)
    while "(SIGUSR2)" not in log_of(folder):
        assert time.monotonic() < began + 10
        time.sleep(0.05)
    cluster.start_now(job)
    wait_until({"done"})
    assert_trained_once(folder, whole)


@pytest.mark.parametrize("hard", [True, False])
def test_a_node_lost_in_mid_run_costs_nothing_but_time(
    cluster: Cluster, whole_longer: Whole, hard: bool
) -> None:
    """Hard: the machine dies. Else: only SLURM's daemon, so that the run goes on unseen there."""
    folder, job = submit_long(LONGER)
    node = cluster.node_of(job)
    cluster.stop_node(node, hard=hard)
    cluster.wait_for(job, {"PENDING"}, 90)
    assert set(states()) <= {"queued", "running", "done"}
    cluster.start_now(job)
    cluster.wait_for(job, {"RUNNING"}, 60)
    assert cluster.node_of(job) != node
    if not hard:  # the daemon comes back and ends what SLURM no longer counts there
        cluster.start_node(node)
    wait_until({"done"})
    cluster.wait_for(job, {"COMPLETED"}, 60)
    log = log_of(folder)
    assert log.count("begins at step 0") == 1
    assert_same_run(folder, *whole_longer)


def test_a_run_cancelled_by_hand_says_so_and_is_taken_up_again(
    cluster: Cluster, whole: Whole
) -> None:
    folder, job = submit_long()
    subprocess.run(["scancel", job], check=True)
    wait_until({"cancelled"}, 60)
    assert f"job {job} was cancelled by user" in ask("plan", "s.yaml")
    ask("status", "s.yaml")
    final = state_of(folder)
    assert (final["state"], final["step"] > 0) == ("cancelled", True)
    ask("retry", "s.yaml", "--backend", "slurm")
    wait_until({"done"})
    assert_trained_once(folder, whole)


def test_while_slurm_s_daemons_are_down_nothing_is_called_failed(
    cluster: Cluster, whole_longer: Whole
) -> None:
    folder, job = submit_long(LONGER)
    cluster.stop_controller()
    said = ask("status", "s.yaml")
    assert "SLURM's controller cannot be asked" in said
    assert set(states()) <= {"queued", "running", "done"}
    cluster.start_controller()
    cluster.stop_accounting()
    said = ask("status", "s.yaml")
    assert "SLURM's accounting cannot be asked" in said
    wait_until({"done"})  # a job needs neither to finish
    assert not [path for path in folders() if state_of(path)["state"] == "failed"]
    cluster.start_accounting()
    assert_same_run(folder, *whole_longer)
    cluster.wait_for(job, {"COMPLETED"}, 60)


def test_edits_of_the_sweep_file_change_nothing_that_is_queued(
    here: Path, cluster: Cluster
) -> None:
    blocker = cluster.sbatch("sleep 600", "--nodes=2", "--exclusive")
    cluster.wait_for(blocker, {"RUNNING"}, 30)
    write_sweep(here, 40, 2)
    ask("run", "s.yaml", "--backend", "slurm")
    frozen_before = [(folder / "spec.json").read_text() for folder in folders()]
    edited = (here / "s.yaml").read_text().replace("samples: 50", "samples: 60")
    (here / "s.yaml").write_text(edited)
    plan = ask("plan", "s.yaml", code=2)
    assert "evaluate.samples is 50 there, 60 is asked for" in plan
    ask("run", "s.yaml", "--backend", "slurm", code=2)
    cluster.run("scancel", blocker)
    end = time.monotonic() + 120
    while not all((folder / "state.json").exists() for folder in folders()):
        assert time.monotonic() < end
        time.sleep(0.5)
    assert [(folder / "spec.json").read_text() for folder in folders()] == frozen_before


def test_a_job_that_cannot_start_fails_its_runs_with_its_own_words(
    here: Path, cluster: Cluster
) -> None:
    (here / "bad.yaml").write_text("setup: ['module load nothing_of_that_kind', 'exit 3']\n")
    write_sweep(here, 40, 1)
    ask("run", "s.yaml", "--backend", "slurm", "--cluster", "bad.yaml")
    wait_until({"failed"}, 60)
    said = ask("status", "s.yaml")
    assert "FAILED" in said
    assert "module: command not found" in said


def test_what_slurm_refuses_is_told_in_its_words(here: Path, cluster: Cluster) -> None:
    (here / "bad.yaml").write_text("partition: nowhere\n")
    write_sweep(here, 40, 1)
    said = ask("run", "s.yaml", "--backend", "slurm", "--cluster", "bad.yaml", code=2)
    assert "SLURM refused what bad.yaml asks for: sbatch: error: " in said
    assert "invalid partition specified: nowhere" in said
    assert states() == ["pending"]
